# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# A throwaway PostgreSQL: the migrations, every statement prepared on them, and the pgTAP tests.

# Moments at which the pgTAP tests must pass too, by the server's clock (UTC): New York's working hours, and the night in
# which its clocks change; with CARILLON_FULL=1 also another night, the end of a year and London's change.
CLOCKS=("2026-11-23 15:30:00" "2027-03-14 06:59:55")
[[ ${CARILLON_FULL:-} != 1 ]] || CLOCKS+=("2026-11-22 03:00:00" "2026-12-31 23:59:55" "2026-10-25 00:59:55")

part_sql() {
	local at
	build_asan || return 1
	python_env || return 1
	database || return 1
	CHECKS_PASSED=0 CHECKS_FAILED=0
	check "migrations apply to an empty database" migrate
	check "migrations apply a second time and change nothing" migrate
	count migrations "$CHECKS_PASSED" "$CHECKS_FAILED"
	((CHECKS_FAILED == 0)) || return 0

	prepare_statements
	pgtap "now" "$@"
	for at in "${CLOCKS[@]}"; do
		database "$at" || return 1
		migrate >"$WORK/migrate.log" 2>&1 || return 1
		pgtap "at $at" "$@"
	done
}

# database [WHEN]: an empty one on a server of its own, whose clock begins with WHEN.
database() {
	throwaway_postgres "$@" || return 1
	# shellcheck disable=SC2153
	export PGHOST=127.0.0.1 PGPORT=$PG_PORT PGUSER=postgres PGPASSWORD=$PG_PASSWORD PGDATABASE=carillon
	export DATABASE_URL=$PG_URL/carillon CARILLON_ROOT=$ROOT
	psql -X -q -d postgres -c 'create database carillon'
}

migrate() {
	KAFKA_BROKERS=127.0.0.1:1 "$BUILD/asan/carillon-producer" --migrate
}

prepare_statements() {
	local log=$WORK/statements.log ended=0 failed
	"$PYTHON" "$ROOT/tests/lib/prepare_statements.py" | tee "$log" || ended=$?
	failed=$(grep -c '^not ok ' "$log" || true)
	# One that broke off has failed even if each statement so far was fine.
	if ((ended && !failed)); then failed=1; fi
	count statements "$(grep -c '^ok ' "$log")" "$failed"
}

# pgtap WHEN [FILE...]
pgtap() {
	local log=$WORK/pgtap.log files=("${@:2}") passed failed
	((${#files[@]})) || mapfile -t files < <(find "$ROOT/tests/sql" -name '*.sql' | sort)
	if ((${#files[@]} == 0)); then
		if nothing_there tests/sql; then count pgtap 0 1; else count pgtap 0 0; fi
		return
	fi
	psql -X -q -c 'create extension if not exists pgtap schema public'
	if pg_prove -v "${files[@]}" >"$log" 2>&1; then
		failed=0
	else
		grep -E -A12 '^not ok|ERROR|Failed|Dubious' "$log" || tail -n 30 "$log"
		failed=$(grep -c '^not ok' "$log")
		# A file that broke off has failed even if each of its tests so far was fine.
		((failed)) || failed=1
	fi
	passed=$(grep -c '^ok ' "$log")
	((passed + failed)) || failed=1
	count "pgtap $1" "$passed" "$failed"
}
