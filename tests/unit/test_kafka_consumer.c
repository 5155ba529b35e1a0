/* SPDX-License-Identifier: Apache-2.0 */
/* The consumer of common/kafka.h: where it begins, what it commits, and brokers that go away. */
#include "common/kafka_internal.h"
#include "tests/unit/kafka_member.h"

static void test_reads_all(void **state)
{
	struct member s = {.from = -1};

	(void)state;
	produce(0, 3000); /* more than one turn */
	start(&s);
	assert_false(kafka_consumer_ready(s.c));
	RUN_UNTIL(mock.loop, JOIN_S, s.count == 6000);
	assert_true(kafka_consumer_ready(s.c));
	assert_int_equal(s.out_of_order, 0);
	assert_int_equal(s.assigns, 1);
	assert_int_equal(s.assigned, PARTITIONS);
	/* Latency while idle: a message is there long before the tick, unless the machine is busy
	 * each time. */
	ev_tstamp latency = 5.0;
	for (int i = 0; i < 5 && latency >= 0.7; i++) {
		run_for(mock.loop, 0.3);
		ev_tstamp began = ev_time();
		produce(3000 + i, 1);
		RUN_UNTIL(mock.loop, 5.0, s.count == 6002 + 2 * i);
		latency = ev_time() - began;
	}
	assert_true(latency < 0.7);
	kafka_consumer_free(s.c);
	assert_int_equal(s.revokes, 1);
	assert_int_equal(s.errors, 0);
	kafka_consumer_free(NULL);
}

static void test_stored_offsets(void **state)
{
	struct member first = {.from = -1, .store_at_revoke = true};
	struct member second = {.from = -1};

	(void)state;
	produce(0, 20);
	start(&first);
	RUN_UNTIL(mock.loop, JOIN_S, first.count == 40);
	/* What is not ours or not stored is not committed. */
	kafka_consumer_store(first.c, "calls", 77, 5);
	kafka_consumer_free(first.c);
	produce(20, 5);
	second.next[0] = second.next[1] = 20;
	start(&second);
	RUN_UNTIL(mock.loop, JOIN_S, second.count == 10);
	run_for(mock.loop, 0.3);
	assert_int_equal(second.count, 10);
	assert_int_equal(second.out_of_order, 0);
	kafka_consumer_free(second.c);
}

static void test_begins_where_told(void **state)
{
	struct member s = {.from = 7, .defer = true};
	struct kafka_partition other[PARTITIONS] = {{"calls", 0, 1}, {"others", 1, 1}};

	(void)state;
	produce(0, 10);
	start(&s);
	RUN_UNTIL(mock.loop, JOIN_S, s.assigns == 1);
	kafka_consumer_assigned(s.c, other, PARTITIONS);
	kafka_consumer_assigned(s.c, s.parts, PARTITIONS - 1);
	run_for(mock.loop, 1.5);
	assert_int_equal(s.count, 0);
	kafka_consumer_assigned(s.c, s.parts, PARTITIONS);
	RUN_UNTIL(mock.loop, 5.0, s.count == 6);
	assert_int_equal(s.out_of_order, 0);
	/* Beyond the end: from the start. */
	kafka_consumer_assigned(s.c, s.parts, PARTITIONS);
	kafka_consumer_free(s.c);
	s = (struct member){.from = 1000};
	start(&s);
	s.next[0] = s.next[1] = 0;
	RUN_UNTIL(mock.loop, JOIN_S, s.count == 20);
	assert_int_equal(s.next[0], 10);
	assert_int_equal(s.next[1], 10);
	kafka_consumer_free(s.c);
}

static void test_free_while_deferred(void **state)
{
	struct member s = {.from = -1, .defer = true};

	(void)state;
	produce(0, 1);
	start(&s);
	RUN_UNTIL(mock.loop, JOIN_S, s.assigns == 1);
	ev_tstamp began = ev_time();
	kafka_consumer_free(s.c);
	assert_true(ev_time() - began < 8.0);
	assert_int_equal(s.count, 0);
}

static void test_outage(void **state)
{
	struct member s = {.from = -1};

	(void)state;
	produce(0, 5);
	start(&s);
	RUN_UNTIL(mock.loop, JOIN_S, s.count == 10);
	rd_kafka_mock_broker_set_down(mock.cluster, -1);
	RUN_UNTIL(mock.loop, 5.0, s.errors > 0);
	assert_false(kafka_consumer_ready(s.c));
	assert_false(s.fatal);
	rd_kafka_mock_broker_set_up(mock.cluster, -1);
	RUN_UNTIL(mock.loop, 15.0, kafka_consumer_ready(s.c));
	produce(5, 5);
	RUN_UNTIL(mock.loop, 15.0, s.count == 20);
	assert_int_equal(s.out_of_order, 0);
	/* Nobody is there to leave. */
	rd_kafka_mock_broker_set_down(mock.cluster, -1);
	ev_tstamp began = ev_time();
	kafka_consumer_free(s.c);
	assert_true(ev_time() - began < 8.0);
	rd_kafka_mock_broker_set_up(mock.cluster, -1);
}

/* librdkafka's client does nothing any more after one; a broker that was away fences static members
 * so. */
static void test_begins_anew_after_a_fatal_error(void **state)
{
	struct member s = {.from = -1};

	(void)state;
	produce(0, 5);
	start(&s);
	RUN_UNTIL(mock.loop, JOIN_S, s.count == 10);
	rd_kafka_test_fatal_error(kafka_consumer_client(s.c), RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID,
				  "fenced");
	RUN_UNTIL(mock.loop, 5.0, s.fatal);
	assert_false(kafka_consumer_ready(s.c));
	RUN_UNTIL(mock.loop, 10.0, s.revokes == 1);
	/* Nothing was stored: what was read comes again. */
	s.next[0] = s.next[1] = 0;
	s.count = 0;
	RUN_UNTIL(mock.loop, 2 * JOIN_S, s.count == 10 && kafka_consumer_ready(s.c));
	produce(5, 5);
	RUN_UNTIL(mock.loop, 15.0, s.count == 20);
	assert_int_equal(s.out_of_order, 0);
	assert_int_equal(s.assigns, 2);
	kafka_consumer_free(s.c);
	assert_int_equal(s.revokes, 2);
}

static void test_bad_options(void **state)
{
	struct member s = {.from = -1};
	struct buf error;

	(void)state;
	mock_properties(&mock, "partition.assignment.strategy=cooperative-sticky\n");
	struct kafka_consumer_options o = options(&s);
	buf_init(&error, 1000);
	assert_null(kafka_consumer_new(mock.loop, &o, &error));
	assert_non_null(strstr(error.data, "range"));
	unlink(mock.file);
	mock_properties(&mock, "session.timeout.ms=400000\nmax.poll.interval.ms=10\n");
	o.settings = mock.settings;
	buf_clear(&error);
	assert_null(kafka_consumer_new(mock.loop, &o, &error));
	assert_true(error.len > 0);
	buf_release(&error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reads_all, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stored_offsets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_begins_where_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_while_deferred, setup, teardown),
		cmocka_unit_test_setup_teardown(test_outage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_begins_anew_after_a_fatal_error, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_bad_options, setup, teardown),
	};
	return cmocka_run_group_tests_name("kafka_consumer", tests, NULL, NULL);
}
