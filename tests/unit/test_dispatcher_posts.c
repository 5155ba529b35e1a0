/* SPDX-License-Identifier: Apache-2.0 */
/* From a message to its POST, or none: intent first, and gates until the first byte. */
#include "tests/unit/dispatcher_world.h"

/* ---- Intent first ---- */

/* The answer to `sql` in the moment a request has arrived whole. */
struct witness {
	struct world *w;
	const char *sql, *expected;
	int64_t stored;
	int seen;
};

static void look(void *arg, const char *request)
{
	struct witness *witness = arg;

	(void)request;
	assert_sql(witness->w, witness->sql, witness->expected);
	assert_int_equal(broker.stored, witness->stored);
	witness->seen++;
}

static void test_intent_is_committed_before_the_post(void **state)
{
	struct world *w = *state;
	struct witness witness = {
		.w = w, .sql = status_sql, .expected = "dialing dialing dialing", .stored = 1};

	w->provider.on_post = look;
	w->provider.arg = &witness;
	seed_job(w, 1, "vapi");
	RUN_UNTIL(w, witness.seen == 1);
	RUN_UNTIL(w, is_idle(w));
	assert_said(1, RESULT_ACCEPTED);
	assert_string_equal(said_of(1)->provider_call_id, "call-1");
	assert_sql(w, status_sql, "completed calling calling");
	assert_sql(w, "select provider_call_id || fingerprint <> '' from calls", "t");
	assert_int_equal(w->provider.posts, 1);
}

/* While its claim waits, nothing leaves and no offset is stored; then it goes on. */
static void test_nothing_before_the_claim(void **state)
{
	struct world *w = *state;

	seed_queued(w, 1, "vapi");
	sql_run(w->db.admin, "begin");
	sql_run(w->db.admin, "select 1 from follow_ups where id = 1 for update");
	push_job(w, 1, "vapi");
	RUN_UNTIL(w, w->dispatcher->batch_out);
	run_for(w, 0.3);
	assert_int_equal(w->provider.connections, 0);
	assert_int_equal(broker.stored, -1);
	sql_run(w->db.admin, "rollback");
	RUN_UNTIL(w, w->provider.posts == 1 && is_idle(w));
	assert_int_equal(broker.stored, 1);
}

/* The claim's connection breaks: it is claimed again, and posted once. */
static void test_broken_claim(void **state)
{
	struct world *w = *state;

	seed_queued(w, 1, "vapi");
	sql_run(w->db.admin, "begin");
	sql_run(w->db.admin, "select 1 from follow_ups where id = 1 for update");
	push_job(w, 1, "vapi");
	RUN_UNTIL(w, w->dispatcher->batch_out);
	run_for(w, 0.1);
	sql_run(w->db.admin, "select pg_terminate_backend(pid) from pg_stat_activity "
			     "where application_name = 'carillon-dispatcher' and datname = "
			     "current_database()");
	sql_run(w->db.admin, "rollback");
	RUN_UNTIL(w, w->provider.posts > 0 && is_idle(w));
	assert_sql(w, status_sql, "completed calling calling");
	assert_int_equal(w->provider.posts, 1);
}

/* As if the claim of job 1 by `worker` had been committed and its answer lost. */
static void lose_claim(struct world *w, const char *worker)
{
	char sql[1024], id[UUID_TEXT_BYTES];

	w->dispatcher->not_before_ms = INT64_MAX;
	seed_job(w, 1, "vapi");
	RUN_UNTIL(w, w->dispatcher->pool.counts[JOB_WAITING] == 1);
	snprintf(
		sql, sizeof(sql),
		"insert into calls (job_id, tenant_id, follow_up_id, kind, lane_id, lead_id, "
		"account_id, provider, phone, attempt, status, worker, due_at) select f.job_id, "
		"'default', f.id, f.kind, f.lane_id, f.lead_id, f.account_id, 'vapi', '+12125550101', "
		"1, 'dialing', '%s', now() from follow_ups f;"
		"insert into live (job_id, tenant_id, phone, lane_id, account_id, follow_up_id, state, "
		"lease_until, next_check_at) select job_id, tenant_id, phone, lane_id, account_id, "
		"follow_up_id, 'dialing', now() + interval '1 minute', now() + interval '1 minute' "
		"from calls; update follow_ups set status = 'dialing'",
		worker);
	sql_run(w->db.admin, sql);
	job_name(1, id);
	struct job *j = job_find(&w->dispatcher->pool, id);
	assert_non_null(j);
	j->lost = true;
	j->claim_sent_ms = clock_boot_ms(&w->clock);
	w->dispatcher->not_before_ms = 0;
}

static void test_claim_whose_answer_was_lost(void **state)
{
	struct world *w = *state;

	lose_claim(w, "unit/1");
	RUN_UNTIL(w, w->provider.posts > 0 && is_idle(w));
	assert_said(1, RESULT_ACCEPTED);
	assert_int_equal(w->provider.posts, 1);
}

static void test_lost_claim_of_another(void **state)
{
	struct world *w = *state;

	lose_claim(w, "unit/0");
	RUN_UNTIL(w, is_idle(w));
	run_for(w, 0.1);
	assert_int_equal(w->provider.connections, 0);
	assert_int_equal(broker.stored, 1);
	assert_sql(w, status_sql, "dialing dialing dialing");
}

/* Another worker enters a number after the gates have looked, for the same follow-up, which they
 * let pass: that one is held, not the rest. */
static void test_number_entered_meanwhile(void **state)
{
	struct world *w = *state;

	w->dispatcher->not_before_ms = INT64_MAX;
	seed_job(w, 1, "vapi");
	seed_job(w, 2, "vapi");
	RUN_UNTIL(w, w->dispatcher->pool.counts[JOB_WAITING] == 2);
	sql_run(w->db.admin, "begin");
	sql_run(w->db.admin,
		"insert into live (job_id, tenant_id, phone, lane_id, account_id, follow_up_id, "
		"state, lease_until, next_check_at) select uuid_v7(), 'default', phone_e164, 0, 0, "
		"id, 'dialing', now(), now() + interval '1 hour' from leads where id = 1");
	w->dispatcher->not_before_ms = 0;
	RUN_UNTIL(w, w->dispatcher->batch_out);
	run_for(w, 0.3);
	assert_int_equal(w->provider.connections, 0);
	sql_run(w->db.admin, "commit");
	RUN_UNTIL(w, w->provider.posts == 1 && is_idle(w));
	assert_said(2, RESULT_ACCEPTED);
	assert_int_equal(broker.said_count, 1);
	assert_sql(w, "select status || ' ' || gate from follow_ups where id = 1", "pending live");
	assert_sql(w, "select count(*) from calls", "1");
	assert_true(w->dispatcher->asking > 0);
}

/* A commit that no standby confirmed can be undone by a failover. */
static void test_claim_that_is_not_durable(void **state)
{
	struct world *w = *state;

	leave_unconfirmed(w, "insert on live");
	seed_job(w, 1, "vapi");
	RUN_UNTIL(w, broker.said_count == 1 && is_idle(w));
	assert_said(1, RESULT_NOT_SENT);
	assert_int_equal(w->provider.connections, 0);
	assert_sql(w, status_sql, "pending not_dialed none");
}

/* What one lead or one process lacks is nothing that closes the account for all. */
static void test_what_can_not_be_built(void **state)
{
	struct world *w = *state;

	sql_run(w->db.admin, "insert into accounts (name, provider, source) "
			     "values ('stranger', 'vapi', 'environment')");
	seed_job(w, 1, "stranger");
	seed_queued(w, 2, "vapi");
	sql_run(w->db.admin,
		"update leads set raw_payload = jsonb_build_object('variables', jsonb_build_object("
		"'rates', (select jsonb_agg(1.1) from generate_series(1, 6000)))) where id = 2");
	push_job(w, 2, "vapi");
	RUN_UNTIL(w, broker.said_count == 2 && is_idle(w));
	assert_said(1, RESULT_NOT_SENT);
	assert_sql(w, status_sql, "pending not_dialed none");
	assert_said(2, RESULT_REFUSED);
	assert_sql(w,
		   "select status || ' ' || refusal || ' ' || error from calls where lead_id = 2",
		   "rejected retry account vapi: the request is too large");
	assert_sql(w, "select count(*) from accounts where breaker_until is not null", "0");
	seed_job(w, 3, "vapi");
	RUN_UNTIL(w, w->provider.posts == 1 && is_idle(w));
	assert_said(3, RESULT_ACCEPTED);
}

/* ---- Gates at the claim ---- */

static void test_gates_of_the_claim(void **state)
{
	static const struct {
		const char *set, *unset, *gate, *status;
	} rows[] = {
		{"update settings set value = 'true' where key = 'stopped'",
		 "update settings set value = 'false' where key = 'stopped'", "stopped", "pending"},
		{"update tenants set stopped_at = now()", "update tenants set stopped_at = null",
		 "stopped", "pending"},
		{"update lanes set active = false", "update lanes set active = true", "lane",
		 "pending"},
		{"update accounts set active = false", "update accounts set active = true",
		 "credentials", "pending"},
		{"update accounts set breaker_until = now() + interval '1 hour'",
		 "update accounts set breaker_until = null", "breaker", "pending"},
		{"update leads set paused = true", "update leads set paused = false", "paused",
		 "pending"},
		{"update leads set stage = 'lost'", "update leads set stage = 'new'", "stage",
		 "skipped"},
		{"insert into suppressions (phone) values ('+12125550101')",
		 "delete from suppressions", "suppressed", "skipped"},
		{"update lanes set time_zone = 'UTC', days = '{}' where name = 'follow_ups'",
		 "update lanes set time_zone = null, days = null where name = 'follow_ups'", "day",
		 "pending"},
		{"insert into holidays (tenant_id, day) select 'default', (now() at time zone 'UTC')::date",
		 "delete from holidays", "holiday", "pending"},
		{"update lanes set time_zone = 'UTC', window_start = (now() at time zone 'UTC' + "
		 "interval '2 hours')::time, window_end = (now() at time zone 'UTC' + interval '3 hours')::time where name = 'follow_ups'",
		 "update lanes set time_zone = null, window_start = null, window_end = null where name = 'follow_ups'",
		 "window", "pending"},
	};
	struct world *w = *state;

	seed_queued(w, 1, "vapi");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char id[UUID_TEXT_BYTES], sql[256], expected[64];

		job_name(1, id);
		sql_run(w->db.admin, rows[i].set);
		push_job(w, 1, "vapi");
		RUN_UNTIL(w, is_idle(w) && broker.stored == broker.end);
		snprintf(expected, sizeof(expected), "%s %s", rows[i].status, rows[i].gate);
		assert_sql(w, "select status || ' ' || gate from follow_ups", expected);
		sql_run(w->db.admin, rows[i].unset);
		snprintf(sql, sizeof(sql),
			 "update follow_ups set status = 'queued', gate = null, reason = null, "
			 "job_id = '%s'",
			 id);
		sql_run(w->db.admin, sql);
	}
	assert_sql(w, "select count(*) from calls", "0");
	assert_int_equal(w->provider.connections, 0);
}

/* Taken back while its message was in Kafka, or given another job id. */
static void test_job_that_is_no_longer_queued(void **state)
{
	static const char *const changes[] = {
		"update follow_ups set status = 'cancelled'",
		"update follow_ups set status = 'pending'",
		"update follow_ups set status = 'queued', job_id = uuid_v7()",
	};
	struct world *w = *state;

	seed_queued(w, 1, "vapi");
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		sql_run(w->db.admin, changes[i]);
		push_job(w, 1, "vapi");
		RUN_UNTIL(w, is_idle(w) && broker.stored == broker.end);
	}
	assert_sql(w, status_sql, "queued none none");
	assert_int_equal(w->provider.connections, 0);
}

/* ---- Gates at the first byte ---- */

/* What the feed would know after its next read. */
static void read_feed(struct world *w)
{
	struct buf ids;

	buf_init(&ids, 4096);
	buf_addc(&ids, '{');
	dispatch_waiting(w->dispatcher, &ids);
	buf_addc(&ids, '}');
	const char *const params[] = {"360", ids.data};
	PGresult *rows = PQexecParams(w->db.admin, consumer_stmts[CONSUMER_STOP_FEED].sql, 2, NULL,
				      params, NULL, NULL, 0);
	buf_release(&ids);
	assert_int_equal(PQresultStatus(rows), PGRES_TUPLES_OK);
	stop_feed_take(w->feed, clock_boot_ms(&w->clock), rows);
	PQclear(rows);
}

static struct job *posting(struct world *w)
{
	return w->dispatcher->pool.lists[JOB_POSTING];
}

static void let_lease_end(struct world *w)
{
	w->ahead_ms += w->dispatcher->lease_ms - w->dispatcher->margin_ms;
	read_feed(w);
}

static void let_window_end(struct world *w)
{
	posting(w)->dial_by = clock_wall_ms(&w->clock);
}

static void refuse_account(struct world *w)
{
	posting(w)->use->held_until_ms = clock_boot_ms(&w->clock) + 60000;
}

/* Until the rollback no read is answered. */
static void age_feed(struct world *w)
{
	sql_run(w->db.admin, "begin");
	sql_run(w->db.admin, "lock table suppressions in access exclusive mode");
	w->ahead_ms += STOP_FEED_MAX_AGE_MS + 1;
}

/* Each forbids the POST of a claimed job whose connection is being made. */
static void test_gates_of_the_first_byte(void **state)
{
	static const struct {
		const char *gate;
		void (*arrange)(struct world *w);
		const char *stop; /* instead: a stop that the feed reads */
		const char *unset;
	} rows[] = {
		{"lease", let_lease_end, NULL, NULL},
		{"dial_by", let_window_end, NULL, NULL},
		{"breaker", refuse_account, NULL, NULL},
		{"stop_feed", age_feed, NULL, "rollback"},
		{"stopped", NULL, "update settings set value = 'true' where key = 'stopped'",
		 "update settings set value = 'false' where key = 'stopped'"},
		{"stopped", NULL, "update tenants set stopped_at = now()",
		 "update tenants set stopped_at = null"},
		{"lane", NULL, "update lanes set active = false", "update lanes set active = true"},
		{"credentials", NULL, "update accounts set active = false",
		 "update accounts set active = true"},
		{"suppressed", NULL,
		 "insert into suppressions (phone) select phone_e164 from leads",
		 "delete from suppressions"},
		{"paused", NULL, "update leads set paused = true",
		 "update leads set paused = false"},
		{"stage", NULL, "update leads set stage = 'lost'",
		 "update leads set stage = 'new'"},
	};
	struct world *w = *state;

	for (int i = 0; i < (int)(sizeof(rows) / sizeof(rows[0])); i++) {
		char expected[64], sql[128];

		RUN_UNTIL(w, stop_feed_is_fresh(w->feed));
		seed_job(w, i + 1, "vapi");
		RUN_UNTIL(w, posting(w));
		struct account_use *use = posting(w)->use;
		if (rows[i].arrange)
			rows[i].arrange(w);
		else
			sql_run(w->db.admin, rows[i].stop);
		if (rows[i].stop)
			read_feed(w);
		RUN_UNTIL(w, is_idle(w));
		assert_said(i + 1, RESULT_NOT_SENT);
		snprintf(expected, sizeof(expected), "held: %s", rows[i].gate);
		assert_string_equal(said_of(i + 1)->error, expected);
		snprintf(sql, sizeof(sql),
			 "select f.status || c.status from follow_ups f, calls c "
			 "where f.id = %d and c.follow_up_id = f.id",
			 i + 1);
		assert_sql(w, sql, "pendingnot_dialed");
		use->held_until_ms = 0;
		if (rows[i].unset)
			sql_run(w->db.admin, rows[i].unset);
		read_feed(w);
	}
	assert_int_equal(w->provider.posts, 0);
	/* The same way without a gate. */
	seed_job(w, 50, "vapi");
	RUN_UNTIL(w, posting(w));
	RUN_UNTIL(w, is_idle(w));
	assert_int_equal(w->provider.posts, 1);
}

/* A lane is stopped after a claim passed the gates and before its commit is seen. */
static void test_stop_of_a_lane_with_a_queued_job(void **state)
{
	struct world *w = *state;
	char lane[32];

	seed_queued(w, 1, "vapi");
	sql_run(w->db.admin, "update lanes set active = false");
	read_feed(w);
	char *id = sql_value(w->db.admin, "select lane_id from follow_ups");
	snprintf(lane, sizeof(lane), "%s", id);
	free(id);
	const struct stop_scope scope = {.tenant = "default",
					 .lane_id = lane,
					 .account = "vapi",
					 .phone = "+12125550101",
					 .lead_id = "1"};
	const char *gate = stop_feed_holds(w->feed, &scope);
	assert_non_null(gate);
	assert_string_equal(gate, "lane");
}

/* Nothing is claimed by what is known too long ago. */
static void test_stale_feed_claims_nothing(void **state)
{
	struct world *w = *state;

	sql_run(w->db.admin, "begin");
	sql_run(w->db.admin, "lock table suppressions in access exclusive mode");
	RUN_UNTIL(w, !stop_feed_is_fresh(w->feed));
	push_job(w, 1, "vapi");
	run_for(w, 0.2);
	assert_int_equal(w->dispatcher->pool.counts[JOB_WAITING], 1);
	sql_run(w->db.admin, "rollback");
	RUN_UNTIL(w, is_idle(w));
	assert_int_equal(w->provider.connections, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(test_intent_is_committed_before_the_post),
		WORLD_TEST(test_nothing_before_the_claim),
		WORLD_TEST(test_broken_claim),
		WORLD_TEST(test_claim_whose_answer_was_lost),
		WORLD_TEST(test_lost_claim_of_another),
		WORLD_TEST(test_number_entered_meanwhile),
		WORLD_TEST(test_claim_that_is_not_durable),
		WORLD_TEST(test_what_can_not_be_built),
		WORLD_TEST(test_gates_of_the_claim),
		WORLD_TEST(test_job_that_is_no_longer_queued),
		WORLD_TEST(test_gates_of_the_first_byte),
		WORLD_TEST(test_stop_of_a_lane_with_a_queued_job),
		WORLD_TEST(test_stale_feed_claims_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
