# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# cmocka tests, through ctest.

part_unit() {
	local log=$WORK/unit.log passed failed
	build_asan || return 1
	if ! compgen -G "$ROOT/tests/unit/test_*.c" >/dev/null; then
		if nothing_there tests/unit; then count unit 0 1; else count unit 0 0; fi
		return
	fi
	# Tests of common/pg and of the migration runner make databases of their own.
	throwaway_postgres || return 1
	export CARILLON_TEST_DATABASE_URL=$PG_URL/postgres
	ctest --test-dir "$BUILD/asan" --output-on-failure -j "$(nproc)" "$@" 2>&1 | tee "$log" || true
	failed=$(sed -nE 's/.* ([0-9]+) tests? failed out of [0-9]+$/\1/p' "$log")
	passed=$(sed -nE 's/.* [0-9]+ tests? failed out of ([0-9]+)$/\1/p' "$log")
	[[ -n $failed ]] || die "ctest ran no test"
	count unit $((passed - failed)) "$failed"
}
