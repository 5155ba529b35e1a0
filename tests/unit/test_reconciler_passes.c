/* SPDX-License-Identifier: Apache-2.0 */
/* The reconciler's passes: what it reads of calls and providers, says to Kafka and writes. */
#include "tests/unit/dispatcher_world.h"

static int make_accounts(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	world_init(w, "reconcile");
	RUN_UNTIL(w, reference_is_ready(w->reference));
	*state = w;
	return 0;
}

static void reconcile(struct world *w)
{
	const struct reconciler_options o = {
		.cfg = w->cfg,
		.pg = w->watch,
		.reference = w->reference,
		.worker = "unit/1",
		.clock = &w->clock,
	};

	w->reconciler = reconciler_new(w->loop, &o);
	assert_non_null(w->reconciler);
}

/* Call 1 in `status`, by `worker`, claimed so long ago; looked up in `check_s`. Then the
 * reconciler starts. */
static void seed_call(struct world *w, const char *account, const char *status, const char *worker,
		      int claimed_s, int check_s)
{
	const struct account *a = reference_account(w->reference, account);
	char sql[1536];

	assert_non_null(a);
	seed_queued(w, 1, account);
	snprintf(
		sql, sizeof(sql),
		"update follow_ups set status = 'dialing';"
		"insert into calls (job_id, tenant_id, follow_up_id, kind, lane_id, lead_id, account_id, "
		"provider, phone, attempt, status, worker, due_at, claimed_at, fingerprint) "
		"select f.job_id, 'default', f.id, f.kind, f.lane_id, f.lead_id, f.account_id, '%s', "
		"'+12125550101', 1, '%s', '%s', now(), now() - interval '%d seconds', '%s' "
		"from follow_ups f;"
		"insert into live (job_id, tenant_id, phone, lane_id, account_id, follow_up_id, state, "
		"lease_until, next_check_at) select job_id, tenant_id, phone, lane_id, account_id, "
		"follow_up_id, status, claimed_at + interval '1 minute', now() + interval '%d seconds' "
		"from calls;"
		"insert into applied_offsets (topic, partition, next, read_to) "
		"values ('" SAID_TOPIC "', 0, 0, now() + interval '1 day')",
		account, status, worker, claimed_s, a->fingerprint, check_s);
	sql_run(w->db.admin, sql);
	reconcile(w);
}

#define VAPI_ROW(more) "{\"id\":\"c-1\",\"name\":\"01890a5d-ac96-774b-bcce-000000000001\"," more "}"

static size_t count_said(enum msg_type type)
{
	size_t n = 0;

	for (size_t i = 0; i < broker.said_count; i++)
		n += broker.said[i].type == type;
	return n;
}

static void test_found(void **state)
{
	struct world *w = *state;

	w->provider.list = "[" VAPI_ROW("\"status\":\"ringing\"") "]";
	seed_call(w, "vapi", "unknown", "unit/1", 100, 0);
	RUN_UNTIL(w, sql_is(w, status_sql, "completed calling calling"));
	assert_said(1, RESULT_ACCEPTED);
	assert_string_equal(said_of(1)->provider_call_id, "c-1");
	assert_int_equal(w->provider.posts, 0);
}

static void test_absent_twice(void **state)
{
	struct world *w = *state;

	seed_call(w, "vapi", "unknown", "unit/1", 100, 0);
	RUN_UNTIL(w, sql_is(w, "select absent_at is not null from live", "t"));
	assert_sql(w, status_sql, "dialing unknown unknown");
	assert_int_equal(w->provider.gets, 1);
	RUN_UNTIL(w, sql_is(w, status_sql, "pending not_dialed none"));
	assert_int_equal(w->provider.gets, 2);
	assert_said(1, RESULT_NOT_SENT);
}

/* Not while its worker may still send it, however often it is absent. */
static void test_absent_too_early(void **state)
{
	struct world *w = *state;

	seed_call(w, "vapi", "dialing", "other/1", 100, 0);
	RUN_UNTIL(w, w->provider.gets > 0);
	run_for(w, 0.2);
	assert_sql(w, "select absent_at is null from live", "t");
	assert_sql(w, status_sql, "dialing dialing dialing");
}

/* A list that fails, and one of another account, prove nothing. */
static void test_no_proof(void **state)
{
	struct world *w = *state;

	w->provider.list = "{\"message\":\"try later\"}";
	seed_call(w, "vapi", "unknown", "unit/1", 100, 0);
	RUN_UNTIL(w, w->provider.gets == 1);
	run_for(w, 0.2);
	assert_sql(w, "select absent_at is null from live", "t");
	w->provider.list = "[]";
	sql_run(w->db.admin, "update calls set fingerprint = '0000000000000000';"
			     "update live set next_check_at = now()");
	RUN_UNTIL(w, w->provider.gets == 2);
	run_for(w, 0.2);
	assert_sql(w, "select absent_at is null from live", "t");
	assert_sql(w, status_sql, "dialing unknown unknown");
	assert_int_equal(broker.said_count, 0);
}

/* Where absence is no proof, a person decides: never dialed again by itself, its phone held. */
static void test_undetermined(void **state)
{
	struct world *w = *state;

	w->provider.list = "{\"call_log_data\":[]}";
	seed_call(w, "omni", "unknown", "unit/1", 7200, 0);
	RUN_UNTIL(w, sql_is(w, status_sql, "undetermined undetermined undetermined"));
	run_for(w, 1.2);
	assert_int_equal(w->provider.gets, 1);
	assert_int_equal(w->provider.posts, 0);
	assert_int_equal(broker.said_count, 0);
}

/* First said, then written: what Kafka did not take is taken up again. */
static void test_nothing_is_written_unsaid(void **state)
{
	struct world *w = *state;

	broker.error = "no leader";
	w->provider.list = "[" VAPI_ROW("\"status\":\"queued\"") "]";
	seed_call(w, "vapi", "unknown", "unit/1", 100, 0);
	RUN_UNTIL(w, broker.said_count == 1);
	run_for(w, 0.3);
	assert_sql(w, status_sql, "dialing unknown unknown");
	broker.error = NULL;
	sql_run(w->db.admin, "update live set next_check_at = now()");
	RUN_UNTIL(w, sql_is(w, status_sql, "completed calling calling"));
	assert_int_equal(count_said(MSG_DISPATCH_RESULT), 2);
}

/* The end that no webhook brought, and what follows from it. */
static void test_end_is_told(void **state)
{
	struct world *w = *state;

	w->provider.list = VAPI_ROW("\"status\":\"ended\",\"endedReason\":\"customer-busy\"");
	seed_call(w, "vapi", "calling", "unit/1", 3600, 3600);
	sql_run(w->db.admin, "update calls set provider_call_id = 'c-1', posted_at = claimed_at;"
			     "update live set next_check_at = now()");
	RUN_UNTIL(w, count_said(MSG_CALL_EVENT) == 1 && count_said(MSG_REDIAL_UPDATE) == 1);
	assert_int_equal(count_said(MSG_DISPATCH_RESULT), 0);
}

/* A call that goes on, which an operator wants ended. */
static void seed_unwanted(struct world *w, char *row, size_t n)
{
	snprintf(row, n,
		 VAPI_ROW("\"status\":\"in-progress\",\"monitor\":{\"controlUrl\":"
			  "\"http://127.0.0.1:%u/c-1/control\"}"),
		 w->provider.port);
	w->provider.list = row;
	w->provider.status = 200;
	seed_call(w, "vapi", "in_progress", "unit/1", 60, 3600);
	sql_run(w->db.admin, "update calls set provider_call_id = 'c-1', posted_at = claimed_at;"
			     "update live set next_check_at = now(), hang_up_at = now()");
}

static const char hang_up_sql[] =
	"select string_agg(concat_ws(' ', t.reason, t.note), ', ' order by t.id) || ' / ' || "
	"(select hang_up_tries || case when hang_up_at is null then '' else ' wanted' end from live) "
	"from transitions t";

static void test_hung_up(void **state)
{
	struct world *w = *state;
	char row[512];

	w->provider.body = "{}";
	seed_unwanted(w, row, sizeof(row));
	RUN_UNTIL(w, sql_is(w, hang_up_sql, "hang_up_told / 1"));
	assert_int_equal(w->provider.posts, 1);
	/* It is over when the provider says so, and no sooner. */
	assert_sql(w, status_sql, "dialing in_progress in_progress");
	assert_int_equal(broker.said_count, 0);
}

/* Again for a while after what may pass; a refusal is final, also inside a 200. What repeats our
 * key is not repeated. */
static void test_hung_up_in_vain(void **state)
{
	struct world *w = *state;
	char row[512];

	w->provider.body = "{\"message\":\"try key-of-vapi later\"}";
	seed_unwanted(w, row, sizeof(row));
	w->provider.status = 503;
	RUN_UNTIL(w,
		  sql_is(w, hang_up_sql,
			 "hang_up_failed HTTP 503: try *********** later; tried again / 1 wanted"));
	w->provider.status = 200;
	w->provider.body = "{\"status\":\"error\",\"message\":\"no such call\"}";
	sql_run(w->db.admin, "delete from transitions; update live set next_check_at = now()");
	RUN_UNTIL(w, sql_is(w, hang_up_sql, "hang_up_refused HTTP 200: no such call / 2"));
	assert_int_equal(w->provider.posts, 2);
}

/* What has ended meanwhile is told as an end; nobody is asked to end it. */
static void test_over_before_it_was_hung_up(void **state)
{
	struct world *w = *state;
	char row[512];

	seed_unwanted(w, row, sizeof(row));
	w->provider.list = VAPI_ROW("\"status\":\"ended\",\"endedReason\":\"customer-busy\"");
	RUN_UNTIL(w, count_said(MSG_CALL_EVENT) == 1);
	assert_int_equal(w->provider.posts, 0);
}

/* What a former incarnation of ours left claimed is looked up at once, not after its lease. */
static void test_predecessor(void **state)
{
	struct world *w = *state;

	w->provider.list = "[" VAPI_ROW("\"status\":\"queued\"") "]";
	seed_call(w, "vapi", "dialing", "unit/0", 1, 3600);
	RUN_UNTIL(w, sql_is(w, status_sql, "completed calling calling"));
}

int main(void)
{
#define PASS_TEST(f) cmocka_unit_test_setup_teardown(f, make_accounts, free_world)
	const struct CMUnitTest tests[] = {
		PASS_TEST(test_found),
		PASS_TEST(test_absent_twice),
		PASS_TEST(test_absent_too_early),
		PASS_TEST(test_no_proof),
		PASS_TEST(test_undetermined),
		PASS_TEST(test_nothing_is_written_unsaid),
		PASS_TEST(test_end_is_told),
		PASS_TEST(test_hung_up),
		PASS_TEST(test_hung_up_in_vain),
		PASS_TEST(test_over_before_it_was_hung_up),
		PASS_TEST(test_predecessor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
