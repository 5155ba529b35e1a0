/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock of the real server is ours: the statements are run with a schema before pg_catalog that
 * has a now() of its own, and a random() that is always a half. Rows are compared as text, in the
 * order of their keys.
 */
#include "tests/simulation/differential.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/pg.h"
#include "consumer/recorder_internal.h"
#include "consumer_sql.h"

#define STATE_BYTES (256u << 10)
#define BODY_BYTES (64u << 10)
#define LONGEST_S "80" /* MAX_CALL_S and its grace */

static struct {
	PGconn *conn;
	bool prepared[CONSUMER_STMT_COUNT];
	struct recorder_rows inbox;
	struct buf body, here;
	bool stopped;
	size_t added; /* follow-ups that are there */
} twin;

static const char setup_sql[] =
	"SET sim.now TO '1767600000000'; CREATE SCHEMA sim;"
	"CREATE FUNCTION sim.now() RETURNS timestamptz LANGUAGE sql STABLE AS"
	" $$ SELECT to_timestamp(current_setting('sim.now')::bigint / 1000.0) $$;"
	"CREATE FUNCTION sim.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS"
	" $$ SELECT sim.now() $$;"
	"CREATE FUNCTION sim.random() RETURNS double precision LANGUAGE sql STABLE AS"
	" $$ SELECT 0.5::double precision $$;"
	"DO $$ DECLARE d record; BEGIN"
	" FOR d IN SELECT a.attrelid::regclass AS rel, a.attname FROM pg_attrdef f"
	"  JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum"
	"  JOIN pg_class c ON c.oid = a.attrelid AND c.relnamespace = 'carillon'::regnamespace"
	"  WHERE pg_get_expr(f.adbin, f.adrelid) = 'now()' LOOP"
	"  EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT sim.now()', d.rel, d.attname);"
	" END LOOP; END $$;"
	"INSERT INTO carillon.accounts (id, name, provider, source) OVERRIDING SYSTEM VALUE VALUES"
	" (1, 'vapi', 'vapi', 'environment'), (2, 'bland', 'bland', 'environment'),"
	" (3, 'omni', 'omni', 'environment');"
	"UPDATE carillon.lanes SET use_lead_window = false, window_start = NULL, window_end = NULL,"
	" days = NULL, max_concurrent = 0, active = true WHERE id = 1;"
	"SET search_path = sim, carillon, public, pg_catalog;"
	"SET timezone = 'UTC'; SET synchronous_commit = off;";

static const char reset_sql[] =
	"DELETE FROM live; DELETE FROM call_events; DELETE FROM provider_calls; DELETE FROM calls;"
	"DELETE FROM follow_ups; DELETE FROM redial_queue; DELETE FROM leads;"
	"DELETE FROM suppressions; DELETE FROM transitions;"
	"UPDATE accounts SET breaker_until = NULL;"
	"DELETE FROM settings WHERE key = 'stopped'";

/* As write_state() writes ours. */
static const char state_sql[] =
	"SELECT concat("
	"(SELECT string_agg(concat_ws(' ', 'f', id, status, coalesce(job_id::text, '-'),"
	" coalesce(to_ms(next_look_at), 0), attempts, coalesce(reason, '-'), coalesce(gate, '-'),"
	" phone), E'\\n' ORDER BY id) FROM (SELECT f.*, l.phone_e164 AS phone FROM follow_ups f"
	" JOIN leads l ON l.id = f.lead_id) x), E'\\n',"
	"(SELECT string_agg(concat_ws(' ', 'c', job_id, status, coalesce(provider_call_id, '-'),"
	" worker, coalesce(outcome, '-'), event_rank, decided_at IS NOT NULL,"
	" to_ms(claimed_at)), E'\\n' ORDER BY job_id) FROM calls), E'\\n',"
	"(SELECT string_agg(concat_ws(' ', 'v', job_id, state,"
	" CASE WHEN next_check_at = 'infinity' THEN 0 ELSE to_ms(next_check_at) END, checks,"
	" coalesce(to_ms(absent_at), 0), to_ms(lease_until)), E'\\n' ORDER BY job_id) FROM live), E'\\n',"
	"(SELECT string_agg('s ' || phone, E'\\n' ORDER BY phone) FROM suppressions))";

/* ---- The connection ---- */

static bool run(const char *sql)
{
	PGresult *r = PQexec(twin.conn, sql);
	bool good = PQresultStatus(r) == PGRES_COMMAND_OK || PQresultStatus(r) == PGRES_TUPLES_OK;

	if (!good)
		sim_fail("the twin: %s", PQresultErrorMessage(r));
	PQclear(r);
	return good;
}

static PGresult *run_params(const char *sql, int n, const char *const *params)
{
	PGresult *r = PQexecParams(twin.conn, sql, n, NULL, params, NULL, NULL, 0);

	if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
		sim_fail("the twin: %s", PQresultErrorMessage(r));
	return r;
}

static PGresult *run_statement(size_t statement, size_t n, const char *const *params)
{
	const struct pg_stmt *s = &consumer_stmts[statement];

	if (!twin.prepared[statement])
		PQclear(PQprepare(twin.conn, s->name, s->sql, 0, NULL));
	twin.prepared[statement] = true;
	PGresult *r = PQexecPrepared(twin.conn, s->name, (int)n, params, NULL, NULL, 0);
	if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
		sim_fail("the twin's %s: %s", s->name, PQresultErrorMessage(r));
	return r;
}

bool differential_begin(const char *url)
{
	twin.conn = PQconnectdb(url);
	if (PQstatus(twin.conn) != CONNECTION_OK || !run(setup_sql)) {
		fprintf(stderr, "%s%s\n", PQerrorMessage(twin.conn), sim.failure);
		return false;
	}
	buf_init(&twin.body, BODY_BYTES);
	buf_init(&twin.here, STATE_BYTES);
	return recorder_rows_init(&twin.inbox, INBOX_COLUMNS) == 0;
}

void differential_end(void)
{
	if (!twin.conn)
		return;
	PQfinish(twin.conn);
	recorder_rows_release(&twin.inbox);
	buf_release(&twin.body);
	buf_release(&twin.here);
	twin.conn = NULL;
}

bool differential_is_on(void)
{
	return twin.conn != NULL;
}

/* ---- The time, and the stop ---- */

static void set_moment(void)
{
	char sql[256];
	bool stopped = sim_now() >= sim.stopped_at && sim_now() < sim.stopped_until;

	snprintf(sql, sizeof(sql), "SET sim.now TO '%lld'", (long long)database_now());
	run(sql);
	if (stopped != twin.stopped)
		run(stopped ? "INSERT INTO settings (key, value) VALUES ('stopped', 'true')"
			    : "DELETE FROM settings WHERE key = 'stopped'");
	twin.stopped = stopped;
}

/* ---- Rows ---- */

static void add_follow_up(const struct follow_up *f)
{
	char id[24], account[24], due[24], lead_id[24];
	const char *lead[] = {lead_id, f->phone};
	const char *params[] = {id, account, due, lead_id};

	snprintf(id, sizeof(id), "%lld", (long long)f->id);
	snprintf(lead_id, sizeof(lead_id), "%lld", (long long)f->lead_id);
	snprintf(account, sizeof(account), "%zu", f->account + 1);
	snprintf(due, sizeof(due), "%lld", (long long)f->due_at);
	PQclear(run_params("INSERT INTO leads (id, phone, time_zone, auto_follow_up) OVERRIDING "
			   "SYSTEM VALUE VALUES ($1, $2, 'UTC', false) ON CONFLICT DO NOTHING",
			   2, lead));
	PQclear(run_params("INSERT INTO follow_ups (id, lead_id, kind, lane_id, account_id, "
			   "source_id, due_at, next_look_at) OVERRIDING SYSTEM VALUE VALUES "
			   "($1::bigint, $4::bigint, 'redial', 1, $2::bigint, $1::text, "
			   "from_ms($3::bigint), from_ms($3::bigint))",
			   4, params));
}

void differential_reset(void)
{
	if (!twin.conn)
		return;
	sim.closed_at = sim.opens_at = 0; /* lanes' hours are not simulated there */
	set_moment();
	run(reset_sql);
	twin.stopped = false;
	recorder_rows_clear(&twin.inbox);
	for (twin.added = 0; twin.added < db.follow_ups_n; twin.added++)
		add_follow_up(&db.follow_ups[twin.added]);
}

/* An empty text is null. */
static const char *or_null(const char *text)
{
	return *text ? text : NULL;
}

static const char *time_or_null(int64_t at, char ret_text[24])
{
	snprintf(ret_text, 24, "%lld", (long long)at);
	return at == NO_TIME ? NULL : ret_text;
}

void differential_follow_up(const struct follow_up *f)
{
	char id[24], look[24], lease[24];
	const char *params[] = {id,
				follow_up_status_text(f->status),
				or_null(f->job_id),
				time_or_null(f->next_look_at, look),
				time_or_null(f->lease_until, lease),
				or_null(f->gate),
				or_null(f->reason)};

	if (!twin.conn)
		return;
	snprintf(id, sizeof(id), "%lld", (long long)f->id);
	set_moment();
	PQclear(run_params("UPDATE follow_ups SET status = $2, job_id = $3::uuid, next_look_at = "
			   "from_ms($4::bigint), lease_until = from_ms($5::bigint), gate = $6, "
			   "reason = $7 WHERE id = $1::bigint",
			   7, params));
}

/* ---- Comparing ---- */

static int compare_calls(const void *a, const void *b)
{
	return strcmp((*(const struct call *const *)a)->job_id,
		      (*(const struct call *const *)b)->job_id);
}

static int compare_live(const void *a, const void *b)
{
	return strcmp((*(const struct live *const *)a)->job_id,
		      (*(const struct live *const *)b)->job_id);
}

static int compare_suppressions(const void *a, const void *b)
{
	return strcmp((*(const struct suppression *const *)a)->phone,
		      (*(const struct suppression *const *)b)->phone);
}

static const char *or_dash(const char *text)
{
	return *text ? text : "-";
}

static int64_t or_zero(int64_t at)
{
	return at == NO_TIME || at == INT64_MAX ? 0 : at;
}

static void write_follow_ups(struct buf *b)
{
	for (size_t i = 0; i < db.follow_ups_n; i++) {
		const struct follow_up *f = &db.follow_ups[i];
		buf_addf(b, "%sf %lld %s %s %lld %lld %s %s %s", i > 0 ? "\n" : "",
			 (long long)f->id, follow_up_status_text(f->status), or_dash(f->job_id),
			 (long long)or_zero(f->next_look_at), (long long)f->attempts,
			 or_dash(f->reason), or_dash(f->gate), f->phone);
	}
	buf_addc(b, '\n');
}

static void write_calls(struct buf *b)
{
	const struct call *calls[CALLS_MAX];

	for (size_t i = 0; i < db.calls_n; i++)
		calls[i] = &db.calls[i];
	qsort(calls, db.calls_n, sizeof(calls[0]), compare_calls);
	for (size_t i = 0; i < db.calls_n; i++) {
		const struct call *c = calls[i];
		buf_addf(b, "%sc %s %s %s %s %s %lld %s %lld", i > 0 ? "\n" : "", c->job_id,
			 call_status_text(c->status), or_dash(c->provider_call_id), c->worker,
			 or_dash(c->outcome), (long long)c->event_rank, c->decided ? "t" : "f",
			 (long long)c->claimed_at);
	}
	buf_addc(b, '\n');
}

static void write_state(struct buf *b)
{
	const struct live *live[FOLLOW_UPS_MAX];
	const struct suppression *silent[FOLLOW_UPS_MAX];

	buf_clear(b);
	write_follow_ups(b);
	write_calls(b);
	for (size_t i = 0; i < db.live_n; i++)
		live[i] = &db.live[i];
	qsort(live, db.live_n, sizeof(live[0]), compare_live);
	for (size_t i = 0; i < db.live_n; i++)
		buf_addf(b, "%sv %s %s %lld %lld %lld %lld", i > 0 ? "\n" : "", live[i]->job_id,
			 call_status_text(live[i]->state),
			 (long long)or_zero(live[i]->next_check_at), (long long)live[i]->checks,
			 (long long)or_zero(live[i]->absent_at), (long long)live[i]->lease_until);
	buf_addc(b, '\n');
	for (size_t i = 0; i < db.suppressions_n; i++)
		silent[i] = &db.suppressions[i];
	qsort(silent, db.suppressions_n, sizeof(silent[0]), compare_suppressions);
	for (size_t i = 0; i < db.suppressions_n; i++)
		buf_addf(b, "%ss %s", i > 0 ? "\n" : "", silent[i]->phone);
}

/* The first line that differs. */
static void tell_difference(const char *what, const char *here, const char *there)
{
	size_t same = 0, line = 0;

	while (here[same] && here[same] == there[same]) {
		if (here[same++] == '\n')
			line = same;
	}
	sim_fail("%s: here \"%.*s\", in PostgreSQL \"%.*s\"", what, (int)strcspn(here + line, "\n"),
		 here + line, (int)strcspn(there + line, "\n"), there + line);
}

static void compare_state(const char *what)
{
	PGresult *r = PQexec(twin.conn, state_sql);
	const char *there = PQntuples(r) == 1 ? PQgetvalue(r, 0, 0) : PQresultErrorMessage(r);

	counts.compared++;
	write_state(&twin.here);
	if (strcmp(twin.here.data, there) != 0)
		tell_difference(what, twin.here.data, there);
	PQclear(r);
}

static int row_of(const PGresult *r, const char *job_id)
{
	int job = PQfnumber(r, "job_id");

	for (int i = 0; i < PQntuples(r); i++) {
		if (strcmp(PQgetvalue(r, i, job), job_id) == 0)
			return i;
	}
	return -1;
}

/* Each row that is here, column by column; of the lane and such there is no saying here. */
static void compare_answers(const char *what, const PGresult *here, const PGresult *there)
{
	if (PQntuples(here) != PQntuples(there))
		sim_fail("%s: %d rows here, %d in PostgreSQL", what, PQntuples(here),
			 PQntuples(there));
	for (int i = 0; i < PQntuples(here); i++) {
		const char *job = PQgetvalue(here, i, PQfnumber(here, "job_id"));
		int row = row_of(there, job);
		for (int col = 0; row >= 0 && col < PQnfields(here); col++) {
			int other = PQfnumber(there, PQfname(here, col));
			const char *a = PQgetvalue(here, i, col);
			const char *b = PQgetvalue(there, row, other);
			if (strcmp(a, b) != 0 && !PQgetisnull(here, i, col))
				sim_fail("%s, job %s: %s is \"%s\" here, \"%s\" in PostgreSQL",
					 what, job, PQfname(here, col), a, b);
		}
		if (row < 0)
			sim_fail("%s: PostgreSQL does not answer with job %s", what, job);
	}
}

/* The simulated recorder has no offsets there: up to when it has read is told with each question.
 */
static void tell_recorded_to(const char *topics)
{
	char at[24];
	const char *const params[] = {topics, at};

	snprintf(at, sizeof(at), "%lld", (long long)outside_recorded_to());
	PQclear(run_params(
		"INSERT INTO applied_offsets (topic, partition, next, read_to) "
		"SELECT DISTINCT t, 0, 0, from_ms($2) FROM unnest($1::text[]) t "
		"ON CONFLICT (topic, partition) DO UPDATE SET read_to = excluded.read_to",
		2, params));
}

void differential_statement(size_t statement, size_t n, const char *const *params,
			    const PGresult *r)
{
	const char *what = consumer_stmts[statement].name;

	if (!twin.conn || sim_failed())
		return;
	set_moment();
	if (statement == CONSUMER_DUE_CHECKS)
		tell_recorded_to(params[3]);
	PGresult *there = run_statement(statement, n, params);
	if (r && PQnfields(r) > 0 && !sim_failed())
		compare_answers(what, r, there);
	PQclear(there);
	if (!sim_failed())
		compare_state(what);
}

/* ---- The recorder ---- */

void differential_message(const struct msg *m)
{
	if (!twin.conn)
		return;
	recorder_rows_add_message(&twin.inbox, m, &twin.body);
	const char *const *params = recorder_rows_params(&twin.inbox);
	set_moment();
	PQclear(run_statement(CONSUMER_INBOX_INSERT, INBOX_COLUMNS, params));
	recorder_rows_clear(&twin.inbox);
}

/* Those that wait are looked at in each batch here, as in the recorder's revisits. */
static const char *const all_waiting[] = {"{}", "{}", "{}", "{}", "t"};

void differential_resolved(const struct inbox_row *const *proofs, size_t n)
{
	if (!twin.conn || sim_failed())
		return;
	set_moment();
	PGresult *r = run_statement(CONSUMER_INBOX_RESOLVE, 5, all_waiting);
	if (!sim_failed() && (size_t)PQntuples(r) != n)
		sim_fail("inbox_resolve: %zu calls are proved here, %d in PostgreSQL", n,
			 PQntuples(r));
	for (size_t i = 0; i < n && !sim_failed(); i++) {
		if (row_of(r, proofs[i]->call_job_id) < 0)
			sim_fail("inbox_resolve: PostgreSQL does not prove job %s",
				 proofs[i]->call_job_id);
	}
	PQclear(r);
}

void differential_apply(void)
{
	static const char *const longest[] = {LONGEST_S};

	if (!twin.conn || sim_failed())
		return;
	set_moment();
	run("BEGIN");
	PQclear(run_statement(CONSUMER_INBOX_RESOLVE, 5, all_waiting));
	PQclear(run_statement(CONSUMER_EVENTS_APPLY, 1, longest));
	PQclear(run_statement(CONSUMER_REDIAL_APPLY, 0, NULL));
	run("COMMIT");
	for (; twin.added < db.follow_ups_n; twin.added++)
		add_follow_up(&db.follow_ups[twin.added]);
	if (!sim_failed())
		compare_state("the recorder's batch");
}
