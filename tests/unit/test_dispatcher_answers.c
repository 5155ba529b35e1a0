/* SPDX-License-Identifier: Apache-2.0 */
/* From a POST's answer to what is known of its call; slots, offsets and the end. */
#include "tests/unit/dispatcher_world.h"

/* ---- What the answer proves ---- */

static char huge[PROVIDER_ANSWER_MAX_BYTES + 1000];

static void test_unknown_is_never_retried_blindly(void **state)
{
	static const struct {
		enum provider_mode mode;
		unsigned status;
		const char *body;
	} rows[] = {
		{PROVIDER_RESETS, 0, NULL},
		{PROVIDER_HOLDS, 0, NULL}, /* until the timeout */
		{PROVIDER_ANSWERS, 500, "{\"success\":false,\"error\":\"Concurrency limit\"}"},
		{PROVIDER_ANSWERS, 200, "<html>what?</html>"},
		{PROVIDER_ANSWERS, 200, "{\"id\":"},
		{PROVIDER_ANSWERS, 201, "{\"status\":\"queued\"}"},
		{PROVIDER_ANSWERS, 201, huge},
		{PROVIDER_ANSWERS, 302, "{}"},
	};
	struct world *w = *state;
	const int n = (int)(sizeof(rows) / sizeof(rows[0]));

	snprintf(huge, sizeof(huge), "{\"id\":\"call-1\"}%*s", PROVIDER_ANSWER_MAX_BYTES, "");
	for (int i = 0; i < n; i++) {
		char sql[200];

		w->provider.mode = rows[i].mode;
		w->provider.status = rows[i].status;
		w->provider.body = rows[i].body;
		seed_job(w, i + 1, i % 2 ? "omni" : "vapi");
		RUN_UNTIL(w, w->provider.posts == i + 1);
		RUN_UNTIL(w, is_idle(w));
		assert_said(i + 1, RESULT_UNKNOWN);
		snprintf(sql, sizeof(sql),
			 "select f.status || ' ' || c.status || ' ' || v.state from follow_ups f "
			 "join calls c on c.follow_up_id = f.id join live v on v.job_id = c.job_id "
			 "where f.id = %d",
			 i + 1);
		assert_sql(w, sql, "dialing unknown unknown");
	}
	/* Published again, all of them. */
	for (int i = 0; i < n; i++)
		push_job(w, i + 1, "vapi");
	RUN_UNTIL(w, is_idle(w) && broker.stored == broker.end);
	run_for(w, 0.1);
	assert_int_equal(w->provider.posts, n);
	assert_int_equal(broker.said_count, n);
}

static void test_refusal_inside_a_200(void **state)
{
	struct world *w = *state;

	w->provider.status = 200;
	w->provider.body = "{\"success\":false,\"plan_expire\":false,"
			   "\"error\":\"Concurrency call limit exceeded\"}";
	seed_job(w, 1, "omni");
	RUN_UNTIL(w, w->provider.posts == 1 && is_idle(w));
	assert_said(1, RESULT_REFUSED);
	assert_sql(w, status_sql, "pending rejected none");
	/* Backpressure is no attempt. */
	assert_sql(w, "select attempts from follow_ups", "0");
}

/* A provider may ask for any wait, and write anything at all. */
static void test_absurd_refusal(void **state)
{
	struct world *w = *state;

	w->provider.status = 429;
	w->provider.header = "Retry-After: 99999999999999999\r\n";
	w->provider.body = "{\"message\":\"no \\u0007 \\u00e9\\u00e9\\u00e9\"}";
	seed_job(w, 1, "vapi");
	RUN_UNTIL(w, w->provider.posts == 1 && is_idle(w));
	assert_said(1, RESULT_REFUSED);
	assert_true(said_of(1)->retry_at <= clock_wall_ms(clock_system()) + 86400000);
	assert_sql(w,
		   "select f.status || ' ' || c.status || ' ' || (f.next_look_at < now() + "
		   "interval '2 hours') from follow_ups f, calls c",
		   "pending rejected true");
}

struct counted {
	const struct world *w;
	int *ret_connections;
};

static void count_connections(void *arg, const char *request)
{
	const struct counted *c = arg;

	(void)request;
	*c->ret_connections = c->w->provider.connections;
}

/* libcurl repeats a request whose reused connection dies; here it must not. */
static void test_reset_on_a_reused_connection(void **state)
{
	struct world *w = *state;
	int connections = 0;

	seed_job(w, 1, "vapi");
	RUN_UNTIL(w, w->provider.posts == 1 && is_idle(w));
	w->provider.mode = PROVIDER_RESETS;
	w->provider.on_post = count_connections;
	w->provider.arg = &(struct counted){w, &connections};
	seed_job(w, 2, "vapi");
	RUN_UNTIL(w, w->provider.posts == 2 && is_idle(w));
	run_for(w, 0.1);
	assert_int_equal(connections, 1); /* it was reused */
	assert_int_equal(w->provider.posts, 2);
	assert_said(2, RESULT_UNKNOWN);
}

/* Where what is lost can't be found again, no dial goes by a connection that may be dead. */
static void test_fresh_connections(void **state)
{
	struct world *w = *state;

	for (int n = 1; n <= 2; n++) {
		seed_job(w, n, "omni");
		RUN_UNTIL(w, w->provider.posts == n && is_idle(w));
	}
	assert_int_equal(w->provider.connections, 2);
}

/* ---- Slots ---- */

static void test_slots_of_one_host(void **state)
{
	struct world *w = *state;
	const int jobs = 3 * SLOTS;

	w->provider.mode = PROVIDER_HOLDS;
	for (int n = 1; n <= jobs; n++)
		seed_job(w, n, n % 2 ? "vapi" : "omni");
	RUN_UNTIL(w, w->provider.held == SLOTS);
	run_for(w, 0.2);
	/* As many as there are slots at once, and no claim without one. */
	assert_int_equal(w->provider.posts, SLOTS);
	assert_sql(w, "select count(*) from calls", "4");
	assert_int_equal(broker.stored, SLOTS);
	provider_release_all(&w->provider);
	RUN_UNTIL(w, w->provider.posts == jobs && is_idle(w));
	assert_sql(w, "select count(*) from calls where status = 'calling'", "12");
	assert_int_equal(broker.stored, jobs);
}

/* One that has many jobs does not take every slot from another. */
static void test_slots_are_shared(void **state)
{
	struct world *w = *state;

	w->provider.mode = PROVIDER_HOLDS;
	for (int n = 1; n <= 2 * SLOTS; n++)
		seed_job(w, n, "vapi");
	seed_job(w, 2 * SLOTS + 1, "omni");
	RUN_UNTIL(w, w->provider.held == SLOTS);
	assert_sql(w, "select count(*) from calls where provider = 'omni'", "1");
	provider_release_all(&w->provider);
	RUN_UNTIL(w, w->provider.posts == 2 * SLOTS + 1 && is_idle(w));
}

/* ---- Kafka ---- */

static void test_group_is_named_after_the_prefix(void **state)
{
	(void)state;
	assert_string_equal(broker.group, "test-dispatch");
}

/* The message comes again while its job is under way, and after. */
static void test_repeated_messages(void **state)
{
	struct world *w = *state;

	w->provider.mode = PROVIDER_HOLDS;
	seed_job(w, 1, "vapi");
	RUN_UNTIL(w, w->provider.held == 1);
	push_job(w, 1, "vapi");
	run_for(w, 0.05);
	provider_release_all(&w->provider);
	RUN_UNTIL(w, is_idle(w));
	push_job(w, 1, "vapi");
	RUN_UNTIL(w, is_idle(w) && broker.stored == broker.end);
	assert_int_equal(w->provider.posts, 1);
}

/* What can't be read goes to the dead letters, and its offset only when it is there. */
static void test_dead_letter(void **state)
{
	struct world *w = *state;

	broker.deaf = true;
	push_bytes("\0\0\0\0\7garbage", 12);
	RUN_UNTIL(w, broker.letters == 1);
	run_for(w, 0.05);
	assert_int_equal(broker.stored, -1);
	broker.error = "no leader";
	broker.deaf = false;
	RUN_UNTIL(w, broker.letters == 2);
	broker.error = NULL;
	RUN_UNTIL(w, broker.stored == 1);
	seed_job(w, 1, "vapi");
	RUN_UNTIL(w, w->provider.posts == 1 && is_idle(w));
}

/* A result that Kafka did not take is kept, and said when it does. */
static void test_result_is_said_at_last(void **state)
{
	struct world *w = *state;

	broker.full = true;
	seed_job(w, 1, "vapi");
	RUN_UNTIL(w, w->provider.posts == 1);
	run_for(w, 0.3);
	assert_sql(w, status_sql, "completed calling calling");
	assert_int_equal(w->dispatcher->pool.counts[JOB_REPORTING], 1);
	broker.full = false;
	RUN_UNTIL(w, is_idle(w));
	assert_said(1, RESULT_ACCEPTED);
}

static bool is_noted(struct world *w, int n)
{
	char job[UUID_TEXT_BYTES];

	seed_job(w, n, "vapi");
	RUN_UNTIL(w, w->provider.posts == n && is_idle(w));
	assert_sql(w, "select string_agg(distinct status, ' ') from calls", "calling");
	job_name(n, job);
	return written_take(w->written, job, RESULT_ACCEPTED);
}

/* The recorder need not apply it again; a commit that no standby confirmed can be undone. */
static void test_what_is_written_is_noted(void **state)
{
	struct world *w = *state;
	char job[UUID_TEXT_BYTES];

	assert_true(is_noted(w, 1));
	leave_unconfirmed(w, "update on calls");
	assert_false(is_noted(w, 2));
	sql_run(w->db.admin, "drop trigger unconfirmed on calls");
	seed_job(w, 3, "vapi");
	RUN_UNTIL(w, w->provider.posts == 3 && is_idle(w));
	sql_run(w->db.admin,
		"select pg_terminate_backend(pid) from pg_stat_activity where datname = "
		"current_database() and application_name = 'carillon-dispatcher results'");
	run_for(w, 0.3);
	job_name(3, job);
	assert_false(written_take(w->written, job, RESULT_ACCEPTED));
	assert_true(is_noted(w, 4));
}

/* Others of its batch are written, one by one; of the one that is refused nothing is known. */
static void test_result_that_is_refused(void **state)
{
	struct world *w = *state;

	sql_run(w->db.admin,
		"create function refuse() returns trigger language plpgsql as $$ begin "
		"if new.status = 'calling' then raise 'never this one'; end if; return null; end $$;"
		"create trigger refuse after update on calls for each row "
		"when (new.follow_up_id = 2) execute function refuse()");
	for (int n = 1; n <= 3; n++)
		seed_job(w, n, "vapi");
	RUN_UNTIL(w, w->provider.posts == 3 && is_idle(w));
	assert_sql(w, "select string_agg(status, ' ' order by follow_up_id) from calls",
		   "calling unknown calling");
	seed_job(w, 4, "vapi");
	RUN_UNTIL(w, w->provider.posts == 4 && is_idle(w));
	assert_sql(w, "select status from calls where follow_up_id = 4", "calling");
	assert_int_equal(broker.said_count, 4);
}

/* ---- The end ---- */

static void on_stopped(void *arg)
{
	*(bool *)arg = true;
}

/* What is under way is finished; what only waited is left to others, undecided. */
static void test_stop(void **state)
{
	struct world *w = *state;
	bool stopped = false;

	w->provider.mode = PROVIDER_HOLDS;
	for (int n = 1; n <= SLOTS + 2; n++)
		seed_job(w, n, "vapi");
	RUN_UNTIL(w, w->provider.held == SLOTS);
	dispatcher_stop(w->dispatcher, on_stopped, &stopped);
	run_for(w, 0.3);
	assert_false(stopped);
	provider_release_all(&w->provider);
	RUN_UNTIL(w, stopped);
	assert_int_equal(w->provider.posts, SLOTS);
	assert_int_equal(broker.stored, SLOTS);
	assert_sql(w, "select count(*) from follow_ups where status = 'completed'", "4");
	assert_sql(w, "select count(*) from follow_ups where status = 'queued'", "2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(test_unknown_is_never_retried_blindly),
		WORLD_TEST(test_refusal_inside_a_200),
		WORLD_TEST(test_absurd_refusal),
		WORLD_TEST(test_reset_on_a_reused_connection),
		WORLD_TEST(test_fresh_connections),
		WORLD_TEST(test_slots_of_one_host),
		WORLD_TEST(test_slots_are_shared),
		WORLD_TEST(test_group_is_named_after_the_prefix),
		WORLD_TEST(test_repeated_messages),
		WORLD_TEST(test_dead_letter),
		WORLD_TEST(test_result_is_said_at_last),
		WORLD_TEST(test_what_is_written_is_noted),
		WORLD_TEST(test_result_that_is_refused),
		WORLD_TEST(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
