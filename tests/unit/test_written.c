/* SPDX-License-Identifier: Apache-2.0 */
/* Results that the process has written itself: what is noted, and what the recorder makes of it. */
#include "tests/unit/recorder_world.h"

#define JOB_1 "00000000-0000-0000-0000-000000000001"

RECORDER_WORLD("written")

static void push_accepted(void)
{
	struct texts t;

	name_call(&t, 1, 1);
	struct msg m = accepted_of(&t);
	push(&world, &m);
}

/* Connected: what was noted before is forgotten then. */
static void start(void)
{
	world_start(&world);
	run_until(&world, "select count(*) > 0 from applied_offsets");
}

/* ---- Notes ---- */

static void test_taken_once(void **state)
{
	struct written *w = world.written;

	(void)state;
	assert_false(written_take(w, JOB_1, RESULT_ACCEPTED));
	written_add(w, JOB_1, RESULT_ACCEPTED);
	assert_false(written_take(w, JOB_1, RESULT_UNKNOWN));
	assert_false(written_take(w, "00000000-0000-0000-0000-000000000002", RESULT_ACCEPTED));
	assert_true(written_take(w, JOB_1, RESULT_ACCEPTED));
	assert_false(written_take(w, JOB_1, RESULT_ACCEPTED));
}

/* Letters of either case are one id. */
static void test_one_id(void **state)
{
	(void)state;
	written_add(world.written, "01984f6e-7abc-7def-8bcd-ef0123456789", RESULT_REFUSED);
	assert_true(written_take(world.written, "01984F6E-7ABC-7DEF-8BCD-EF0123456789",
				 RESULT_REFUSED));
}

/* Ids that count on have places of their own; those that don't may push each other out, no more. */
static void test_many(void **state)
{
	char id[UUID_TEXT_BYTES];
	int kept = 0;

	(void)state;
	for (int i = 0; i < 5000; i++) {
		snprintf(id, sizeof(id), "01984f6e-7abc-7def-8bcd-ef%010x", 0x1234 + i);
		written_add(world.written, id, RESULT_ACCEPTED);
	}
	for (int i = 0; i < 5000; i++) {
		snprintf(id, sizeof(id), "01984f6e-7abc-7def-8bcd-ef%010x", 0x1234 + i);
		kept += written_take(world.written, id, RESULT_ACCEPTED);
	}
	assert_int_equal(kept, 5000);
}

static void test_forgotten(void **state)
{
	(void)state;
	written_add(world.written, JOB_1, RESULT_ACCEPTED);
	written_forget(world.written);
	assert_false(written_take(world.written, JOB_1, RESULT_ACCEPTED));
	written_add(NULL, JOB_1, RESULT_ACCEPTED);
	written_forget(NULL);
	assert_false(written_take(NULL, JOB_1, RESULT_ACCEPTED));
}

/* ---- The recorder ---- */

/* The ledger's row is left as it is, which shows that nothing was applied; a second message is. */
static void test_is_not_applied_again(void **state)
{
	(void)state;
	seed_call(&world, 1, 1, "vapi", "follow_up", "dialing");
	start();
	written_add(world.written, JOB_1, RESULT_ACCEPTED);
	push_accepted();
	run_until_recorded(&world);
	assert_sql(&world, "select status from calls", "dialing");
	push_accepted();
	run_until_recorded(&world);
	assert_sql(&world, "select status from calls", "calling");
}

static void test_another_result(void **state)
{
	(void)state;
	seed_call(&world, 1, 1, "vapi", "follow_up", "unknown");
	start();
	written_add(world.written, JOB_1, RESULT_UNKNOWN);
	push_accepted();
	run_until_recorded(&world);
	assert_sql(&world, "select status from calls", "calling");
}

/* What came before anybody knew the call goes on with the result, whoever wrote that. */
static void test_parked_goes_on(void **state)
{
	struct texts t;

	(void)state;
	seed_call(&world, 1, 1, "vapi", "follow_up", "dialing");
	name_call(&t, 1, 1);
	struct msg m = event_of(&t, EVENT_ENDED, T0, "BUSY");
	m.event.job_id = m.event.phone = NULL;
	push(&world, &m);
	world_start(&world);
	run_until_recorded(&world);
	assert_sql(&world, "select state from call_events", "parked");
	sql_run(world.db.admin,
		"update calls set status = 'calling', provider_call_id = 'call-1';"
		"insert into provider_calls select account_id, provider_call_id, job_id from calls");
	written_add(world.written, JOB_1, RESULT_ACCEPTED);
	push_accepted();
	run_until_recorded(&world);
	assert_sql(&world, "select status from calls", "failed");
	assert_sql(&world, "select state from call_events", "applied");
}

/* The next server may not have what was written to this one. */
static void test_next_server(void **state)
{
	(void)state;
	seed_call(&world, 1, 1, "vapi", "follow_up", "dialing");
	start();
	written_add(world.written, JOB_1, RESULT_ACCEPTED);
	end_connections(&world);
	run_for(&world, 0.5);
	push_accepted();
	run_until_recorded(&world);
	assert_sql(&world, "select status from calls", "calling");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_taken_once),	   TEST(test_one_id),
		TEST(test_many),	   TEST(test_forgotten),
		TEST(test_another_result), TEST(test_is_not_applied_again),
		TEST(test_parked_goes_on), TEST(test_next_server),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
