/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The consumer of common/kafka.h: each message once and in order through back-pressure, pauses,
 * seeks and rebalances.
 */
#include "common/clock.h"
#include "tests/unit/kafka_member.h"

static void test_back_pressure(void **state)
{
	struct member s = {.from = -1, .accept = 3};

	(void)state;
	produce(0, 100);
	start(&s);
	RUN_UNTIL(mock.loop, JOIN_S, s.refused == 1);
	for (int i = 0; i < 5; i++) {
		run_for(mock.loop, 0.05);
		assert_int_equal(s.count, 3 + 10 * i);
		assert_int_equal(s.refused, 1 + i);
		s.accept = 10;
		kafka_consumer_resume(s.c);
		RUN_UNTIL(mock.loop, 5.0, s.refused == 2 + i);
	}
	s.accept = -1;
	kafka_consumer_resume(s.c);
	RUN_UNTIL(mock.loop, 5.0, s.count == 200);
	run_for(mock.loop, 0.2);
	assert_int_equal(s.count, 200);
	assert_int_equal(s.out_of_order, 0);
	kafka_consumer_free(s.c);
}

static void test_long_back_pressure(void **state)
{
	struct member s = {.from = -1, .accept = 3};

	(void)state;
	produce(0, 100);
	start(&s);
	RUN_UNTIL(mock.loop, JOIN_S, s.refused == 1);
	run_for(mock.loop, 7.5);
	produce(100, 50);
	run_for(mock.loop, 1.5);
	assert_int_equal(s.count, 3);
	assert_int_equal(s.refused, 1);
	s.accept = 5;
	kafka_consumer_resume(s.c);
	RUN_UNTIL(mock.loop, 5.0, s.refused == 2);
	s.accept = -1;
	kafka_consumer_resume(s.c);
	kafka_consumer_resume(s.c);
	RUN_UNTIL(mock.loop, 5.0, s.count == 300);
	run_for(mock.loop, 0.5);
	assert_int_equal(s.count, 300);
	assert_int_equal(s.out_of_order, 0);
	assert_int_equal(s.assigns, 1);
	assert_int_equal(s.errors, 0);
	kafka_consumer_free(s.c);
}

/* What was read ahead meanwhile doesn't keep what comes next waiting. */
static void test_pressure_with_much_read_ahead(void **state)
{
	struct member s = {.from = -1, .accept = 1};
	int64_t waited_ms = 0;

	(void)state;
	start(&s);
	for (int round = 0; round < 8; round++) {
		produce(2000 * round, 1000);
		RUN_UNTIL(mock.loop, JOIN_S, s.refused == 1 + round);
		run_for(mock.loop, 0.1);
		produce(2000 * round + 1000, 1000);
		int64_t resumed_ms = clock_boot_ms(clock_system());
		s.accept = 2 * 2000 - 1;
		kafka_consumer_resume(s.c);
		RUN_UNTIL(mock.loop, 10.0, s.count == 4000 * (round + 1));
		waited_ms += clock_boot_ms(clock_system()) - resumed_ms;
		s.accept = 1;
	}
	assert_int_equal(s.out_of_order, 0);
	assert_in_range(waited_ms, 0, 3000);
	kafka_consumer_free(s.c);
}

static void test_seek(void **state)
{
	struct member s = {.from = -1, .seek_at = 30};

	(void)state;
	produce(0, 100);
	start(&s);
	/* 31 of partition 0 are read twice. */
	RUN_UNTIL(mock.loop, JOIN_S, s.count == 231);
	assert_int_equal(s.out_of_order, 0);

	/* While a message of it is held. */
	s.accept = 0;
	produce(100, 10);
	RUN_UNTIL(mock.loop, 5.0, s.refused == 1);
	for (int p = 0; p < PARTITIONS; p++) {
		kafka_consumer_seek(s.c, "calls", p, 90);
		s.next[p] = 90;
	}
	s.accept = -1;
	kafka_consumer_resume(s.c);
	RUN_UNTIL(mock.loop, 5.0, s.count == 231 + 40);
	assert_int_equal(s.out_of_order, 0);

	/* While paused. */
	s.accept = 0;
	produce(110, 10);
	RUN_UNTIL(mock.loop, 5.0, s.refused == 2);
	run_for(mock.loop, 6.5);
	kafka_consumer_seek(s.c, "calls", 1, 50);
	s.next[1] = 50;
	run_for(mock.loop, 6.5);
	kafka_consumer_resume(s.c);
	s.accept = -1;
	RUN_UNTIL(mock.loop, 5.0, s.next[0] == 120 && s.next[1] == 120);
	run_for(mock.loop, 0.3);
	assert_int_equal(s.count, 231 + 40 + 10 + 70);
	assert_int_equal(s.out_of_order, 0);
	kafka_consumer_free(s.c);
}

/* On a slow machine the mock cluster may leave each of two members with a generation of its own,
 * for ever. */
static bool come_to_share(const struct member *a, const struct member *b)
{
	for (int tenths = 0; tenths < 250; tenths++) {
		if (a->assigned == 1 && b->assigned == 1)
			return true;
		run_for(mock.loop, 0.1);
	}
	print_message("not shared: %zu and %zu\n", a->assigned, b->assigned);
	return false;
}

/* False: the mock cluster did not share the partitions. */
static bool rebalance(void)
{
	/* The mock waits for a member for a second less than its session; one under back-pressure
	 * polls again after 5 to 6 s. */
	struct member a = {.from = 0, .accept = 3, .session_ms = 12000};
	struct member b = {.from = 0, .session_ms = 12000};

	produce(0, 50);
	start(&a);
	RUN_UNTIL(mock.loop, JOIN_S, a.refused == 1);
	start(&b);
	bool shared = come_to_share(&a, &b);
	if (shared) {
		assert_true(a.revokes >= 1);
		a.accept = -1;
		kafka_consumer_resume(a.c);
		/* All of its one partition, from the start, as on_assign said; what was held is
		 * forgotten. */
		RUN_UNTIL(mock.loop, 5.0,
			  a.next[0] + a.next[1] >= 50 && a.count >= 53 && b.count >= 50);
		assert_int_equal(a.count, 53);
	}
	kafka_consumer_free(b.c);
	if (shared)
		RUN_UNTIL(mock.loop, 20.0, a.assigned == PARTITIONS);
	kafka_consumer_free(a.c);
	return shared;
}

static void test_rebalance(void **state)
{
	for (int tries = 0; !rebalance(); tries++) {
		assert_true(tries < 3);
		teardown(state);
		setup(state);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_back_pressure, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_back_pressure, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pressure_with_much_read_ahead, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_seek, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rebalance, setup, teardown),
	};
	return cmocka_run_group_tests_name("kafka_pressure", tests, NULL, NULL);
}
