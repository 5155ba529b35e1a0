/* SPDX-License-Identifier: Apache-2.0 */
/* Up to when all is applied is told while a call's fate is looked for, and not before it is so. */
#include "tests/unit/recorder_world.h"

static struct world world;

static int set_up(void **state)
{
	(void)state;
	world_init(&world, "recorder_read", "50");
	sql_run(world.db.admin, seed_sql);
	broker.burst = 1000;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	world_stop(&world);
	broker_clear();
	world_release(&world);
	return 0;
}

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tells_what_is_read),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
