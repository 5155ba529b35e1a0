# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# The stack's database: created, migrated, with a login for each process and the sample leads. To be sourced
# after lib.sh and environment.sh.

migrate() {
	local line
	if [[ -z $(PGDATABASE=postgres owner_psql -At \
		-c "select 1 from pg_database where datname = 'carillon'") ]]; then
		PGDATABASE=postgres owner_psql -c "create database carillon"
	fi
	(
		while IFS= read -r line; do
			export "${line?}"
		done < <(process_environment producer)
		DATABASE_URL=$(database_url postgres "$(secret POSTGRES_PASSWORD)")
		export DATABASE_URL
		"$LOCAL/build/carillon-producer" --migrate
	)
	login_roles
}

login_roles() {
	local process
	for process in PRODUCER CONSUMER WEBHOOK; do
		export "${process}_DB_PASSWORD=$(secret "${process}_DB_PASSWORD")"
	done
	owner_psql -f "$ROOT/deploy/local/login_roles.sql"
}

load_samples() {
	owner_psql -f "$ROOT/deploy/local/sample_leads.sql"
}

# Calls in the ledger that reached a provider.
recorded_calls() {
	owner_psql -At -c "select count(*) from carillon.calls
		where status in ('calling', 'ringing', 'in_progress', 'completed', 'failed')"
}

# The whole circle: calls with their outcomes, and some that are to be dialed again.
some_calls_recorded() {
	(($(owner_psql -At -c "select (select count(*) from carillon.calls where outcome is not null)
		* (select count(*) from carillon.redial_queue)") >= 20))
}

wait_for_calls() {
	wait_for 120 "" "The first calls' records" some_calls_recorded
}
