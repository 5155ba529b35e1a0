/* SPDX-License-Identifier: Apache-2.0 */
/* What others learn of the recorder. */
#include "tests/unit/recorder_world.h"

RECORDER_WORLD("recorder_read")

/* Up to when all is applied is told while a call's fate is looked for, and not before it is so. */
static void test_tells_what_is_read(void **state)
{
	struct texts t;
	struct msg m;

	(void)state;
	seed_call(&world, 1, 1, "vapi", "follow_up", "unknown");
	sql_run(world.db.admin, "update live set lease_until = now() + interval '1 day'");
	world_start(&world);
	run_until(&world, "select count(*) = 4 from applied_offsets");
	run_for(&world, 5);
	assert_sql(&world, "select max(read_to) from applied_offsets", "-infinity");
	/* It is waited for now, but a message is not applied. */
	broker.burst = 0;
	name_call(&t, 1, 1);
	m = event_of(&t, EVENT_RINGING, T0, NULL);
	push(&world, &m);
	run_for(&world, 3);
	sql_run(world.db.admin, "update live set lease_until = now();"
				"create table moment as select now() as at");
	run_for(&world, 5);
	assert_sql(&world, "select min(read_to) > (select at from moment) from applied_offsets",
		   "f");
	broker.burst = 1000;
	run_until(&world, "select state = 'ringing' from live");
	sql_run(world.db.admin, "update live set state = 'unknown'");
	run_until(&world, "select min(read_to) > (select at from moment) from applied_offsets");
}

static int heard(PGconn *conn)
{
	PGnotify *n;
	int count = 0;

	assert_int_equal(PQconsumeInput(conn), 1);
	while ((n = PQnotifies(conn))) {
		PQfreemem(n);
		count++;
	}
	return count;
}

/* Settings are read again by all processes when somebody wants no more calls, not with each
 * message. */
static void test_wakes_nobody(void **state)
{
	struct texts t;
	struct msg m;

	(void)state;
	seed_call(&world, 1, 1, "vapi", "follow_up", "calling");
	seed_call(&world, 2, 2, "vapi", "follow_up", "calling");
	world_start(&world);
	sql_run(world.db.admin, "listen carillon_settings");
	name_call(&t, 1, 1);
	m = redial_of(&t, REDIAL_SCHEDULE, T0, "NO_ANSWER");
	push(&world, &m);
	run_until(&world, "select count(*) = 1 from redial_queue");
	run_until_recorded(&world);
	assert_int_equal(heard(world.db.admin), 0);
	name_call(&t, 2, 2);
	m = redial_of(&t, REDIAL_STOP, T0, "DNC");
	m.redial.suppress = true;
	push(&world, &m);
	run_until(&world, "select count(*) = 1 from suppressions");
	assert_int_equal(heard(world.db.admin), 1);
	sql_run(world.db.admin, "unlisten *");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_tells_what_is_read),
		TEST(test_wakes_nobody),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
