# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# cmocka tests, through ctest.

# What is wrong however slow the machine is.
UNIT_FINDINGS='Sanitizer|runtime error|Assertion .* failed|with exception:|\*\*\*Exception'

part_unit() {
	local log=$WORK/unit.log passed
	build_asan || return 1
	if ! compgen -G "$ROOT/tests/unit/test_*.c" >/dev/null; then
		if nothing_there tests/unit; then count unit 0 1; else count unit 0 0; fi
		return
	fi
	# Tests of common/pg and of the migration runner make databases of their own.
	throwaway_postgres || return 1
	export CARILLON_TEST_DATABASE_URL=$PG_URL/postgres
	run_ctest "$log" -j "$(nproc)" "$@"
	passed=$CTEST_PASSED
	# As in count_pytest.
	if [[ ${CI:-} == true ]] && ((CTEST_FAILED > 0 && CTEST_FAILED <= 3)) && ! grep -qE "$UNIT_FINDINGS" "$log"; then
		echo "-- once more, one after the other"
		log=$WORK/unit-again.log
		run_ctest "$log" --rerun-failed
		((CTEST_FAILED > 0)) || grep -E '^ *[0-9]+/[0-9]+ Test' "$log" | sed 's/^/-- unsteady, mend it: /'
		passed=$((passed + CTEST_PASSED))
	fi
	count unit "$passed" "$CTEST_FAILED"
}

# run_ctest LOG ARGUMENT...: sets CTEST_PASSED and CTEST_FAILED.
run_ctest() {
	local log=$1 total
	shift
	ctest --test-dir "$BUILD/asan" --output-on-failure "$@" 2>&1 | tee "$log" || true
	CTEST_FAILED=$(sed -nE 's/.* ([0-9]+) tests? failed out of [0-9]+$/\1/p' "$log")
	total=$(sed -nE 's/.* [0-9]+ tests? failed out of ([0-9]+)$/\1/p' "$log")
	[[ -n $CTEST_FAILED ]] || die "ctest ran no test"
	CTEST_PASSED=$((total - CTEST_FAILED))
}
