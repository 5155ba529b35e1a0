/* SPDX-License-Identifier: Apache-2.0 */
/* The producer of common/kafka.h: every message has one end, whatever becomes of the broker. */
#include "tests/unit/kafka_mock.h"

#define MAX_MESSAGES 8
#define API_PRODUCE 0
#define OUT_OF_ORDER 45

struct delivery {
	int count;
	int good;
	int bad;
	char error[256];
	long opaques; /* sum of numbers */
	struct kafka_producer *produce_again;
};

static struct mock mock;
static struct delivery seen;
static const char *const topics[] = {"calls", NULL};

/* Opaque number i is the address of numbers[i]. */
static const char numbers[1001];

static bool produce(struct kafka_producer *p, const char *value, size_t n, size_t number)
{
	static const struct kafka_header headers[] = {{"ce_type", "test"}, {"ce_id", ""}};
	struct kafka_message m = {
		.topic = "calls",
		.key = "kafka",
		.key_bytes = 5,
		.value = value,
		.value_bytes = n,
		.headers = headers,
		.headers_count = 2,
	};
	return kafka_produce(p, &m, (void *)&numbers[number]);
}

static void on_delivery(void *arg, void *opaque, const char *error)
{
	struct delivery *d = arg;

	d->count++;
	*(error ? &d->bad : &d->good) += 1;
	d->opaques += (const char *)opaque - numbers;
	if (error)
		snprintf(d->error, sizeof(d->error), "%s", error);
	if (d->produce_again) {
		struct kafka_producer *p = d->produce_again;
		d->produce_again = NULL;
		assert_true(produce(p, "again", 5, 1000));
	}
}

static struct kafka_producer *start(int message_timeout_ms)
{
	struct kafka_producer_options o = {
		.settings = mock.settings,
		.linger_ms = 0.5,
		.message_timeout_ms = message_timeout_ms,
		.max_messages = MAX_MESSAGES,
		.max_message_bytes = 100000,
		.topics = topics,
		.on_delivery = on_delivery,
		.arg = &seen,
	};
	struct buf error;

	buf_init(&error, 1000);
	struct kafka_producer *p = kafka_producer_new(mock.loop, &o, &error);
	if (!p)
		fail_msg("%s", error.data);
	buf_release(&error);
	return p;
}

static int setup(void **state)
{
	(void)state;
	mock_init(&mock);
	mock_topic(&mock, "calls", 7);
	seen = (struct delivery){0};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mock_release(&mock);
	return 0;
}

/* What is in the topic, by a plain consumer. */
static rd_kafka_message_t *read_first(int32_t partition)
{
	char reason[256];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers", mock.settings.brokers, reason,
					   sizeof(reason)),
			 RD_KAFKA_CONF_OK);
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));
	rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, "calls", NULL);
	assert_int_equal(rd_kafka_consume_start(topic, partition, RD_KAFKA_OFFSET_BEGINNING), 0);
	rd_kafka_message_t *m = rd_kafka_consume(topic, partition, 5000);
	if (m) {
		assert_int_equal(m->err, 0);
		assert_int_equal(m->len, 5);
		assert_memory_equal(m->payload, "hello", 5);
		assert_memory_equal(m->key, "kafka", 5);
		size_t n = 9;
		assert_string_equal(kafka_header_text(m, "ce_type", &n), "test");
		assert_int_equal(n, 4);
		assert_string_equal(kafka_header_text(m, "ce_id", &n), "");
		assert_int_equal(n, 0);
		assert_null(kafka_header_text(m, "none", &n));
		rd_kafka_message_destroy(m);
	}
	rd_kafka_consume_stop(topic, partition);
	rd_kafka_topic_destroy(topic);
	rd_kafka_destroy(rk);
	return m;
}

static void test_acknowledged(void **state)
{
	(void)state;
	struct kafka_producer *p = start(5000);
	RUN_UNTIL(mock.loop, 5.0, kafka_producer_ready(p));
	for (size_t i = 1; i <= MAX_MESSAGES; i++)
		assert_true(produce(p, "hello", 5, i));
	assert_false(produce(p, "hello", 5, 100));
	assert_int_equal(kafka_producer_in_flight(p), MAX_MESSAGES);
	assert_int_equal(seen.count, 0);
	seen.produce_again = p;
	RUN_UNTIL(mock.loop, 5.0, seen.count == MAX_MESSAGES + 1);
	assert_int_equal(seen.good, MAX_MESSAGES + 1);
	assert_int_equal(seen.opaques, 36 + 1000);
	assert_int_equal(kafka_producer_in_flight(p), 0);
	kafka_producer_free(p, 1000);
	/* As Java's: murmur2("kafka") is 0xd067cf64. */
	assert_non_null(read_first((0xd067cf64 & 0x7fffffff) % 7));
}

static void test_free_waits(void **state)
{
	(void)state;
	struct kafka_producer *p = start(5000);
	for (size_t i = 1; i <= 3; i++)
		assert_true(produce(p, "hello", 5, i));
	kafka_producer_free(p, 5000);
	assert_int_equal(seen.good, 3);
	kafka_producer_free(NULL, 0);
}

static void test_free_fails_the_rest(void **state)
{
	(void)state;
	struct kafka_producer *p = start(60000);
	RUN_UNTIL(mock.loop, 5.0, kafka_producer_ready(p));
	rd_kafka_mock_broker_set_down(mock.cluster, -1);
	assert_true(produce(p, "hello", 5, 1));
	ev_tstamp began = ev_time();
	kafka_producer_free(p, 100);
	assert_true(ev_time() - began < 4.0);
	assert_int_equal(seen.bad, 1);
}

static void test_too_large_fails_later(void **state)
{
	(void)state;
	struct kafka_producer *p = start(5000);
	char *value = calloc(1, 1000000);
	assert_true(produce(p, value, 1000000, 7));
	free(value);
	assert_int_equal(seen.count, 0);
	assert_int_equal(kafka_producer_in_flight(p), 1);
	RUN_UNTIL(mock.loop, 5.0, seen.count == 1);
	assert_int_equal(seen.bad, 1);
	assert_int_equal(seen.opaques, 7);
	assert_non_null(strstr(seen.error, "too large"));
	assert_int_equal(kafka_producer_in_flight(p), 0);
	kafka_producer_free(p, 0);
}

static void test_outage(void **state)
{
	(void)state;
	struct kafka_producer *p = start(1000);
	RUN_UNTIL(mock.loop, 5.0, kafka_producer_ready(p));
	rd_kafka_mock_broker_set_down(mock.cluster, -1);
	RUN_UNTIL(mock.loop, 5.0, !kafka_producer_ready(p));
	assert_true(produce(p, "hello", 5, 1));
	RUN_UNTIL(mock.loop, 8.0, seen.count == 1);
	assert_int_equal(seen.bad, 1);
	assert_non_null(strstr(seen.error, "timed out"));
	rd_kafka_mock_broker_set_up(mock.cluster, -1);
	RUN_UNTIL(mock.loop, 8.0, kafka_producer_ready(p));
	assert_true(produce(p, "hello", 5, 2));
	RUN_UNTIL(mock.loop, 8.0, seen.count == 2);
	assert_int_equal(seen.good, 1);
	kafka_producer_free(p, 1000);
}

/* A broker that loses the sequence makes librdkafka's client useless; ours goes on with another. */
static void test_fatal_error(void **state)
{
	(void)state;
	struct kafka_producer *p = start(5000);
	RUN_UNTIL(mock.loop, 5.0, kafka_producer_ready(p));
	assert_true(produce(p, "hello", 5, 1));
	RUN_UNTIL(mock.loop, 5.0, seen.count == 1);
	rd_kafka_mock_push_request_errors(mock.cluster, API_PRODUCE, 1, OUT_OF_ORDER);
	assert_true(produce(p, "hello", 5, 2));
	assert_true(produce(p, "hello", 5, 3));
	RUN_UNTIL(mock.loop, 8.0, seen.count == 3);
	assert_int_equal(seen.bad, 2);
	assert_int_equal(seen.opaques, 6);
	RUN_UNTIL(mock.loop, 8.0, kafka_producer_ready(p));
	assert_true(produce(p, "hello", 5, 4));
	RUN_UNTIL(mock.loop, 5.0, seen.count == 4);
	assert_int_equal(seen.good, 2);
	assert_int_equal(kafka_producer_in_flight(p), 0);
	kafka_producer_free(p, 1000);
}

static void test_properties_file(void **state)
{
	struct buf error;
	struct kafka_producer_options o = {.max_messages = 1,
					   .max_message_bytes = 1000,
					   .message_timeout_ms = 1000,
					   .on_delivery = on_delivery};

	(void)state;
	mock_properties(&mock, "# a comment\n"
			       "\n"
			       "  client.id = other name  \r\n"
			       "no equals sign\n"
			       "no.such.property=1\n"
			       "=x\n"
			       "sasl.password=hunter2\n"
			       "ssl.ca.pem=hunter3\n"
			       "socket.timeout.ms=soon");
	o.settings = mock.settings;
	buf_init(&error, 4000);
	assert_null(kafka_producer_new(mock.loop, &o, &error));
	assert_non_null(strstr(error.data, ":4: not a NAME=VALUE line\n"));
	assert_non_null(strstr(error.data, ":5: No such configuration property"));
	assert_non_null(strstr(error.data, ":6: not a NAME=VALUE line\n"));
	assert_non_null(strstr(error.data, ":9: "));
	assert_null(strstr(error.data, ":3"));
	assert_null(strstr(error.data, "hunter"));
	unlink(mock.file);

	buf_clear(&error);
	assert_null(kafka_producer_new(mock.loop, &o, &error));
	assert_non_null(strstr(error.data, "No such file"));

	/* It wins, so what does not go together with it is an error. */
	mock_properties(&mock, "acks=1\n");
	o.settings = mock.settings;
	buf_clear(&error);
	assert_null(kafka_producer_new(mock.loop, &o, &error));
	assert_non_null(strstr(error.data, "acks"));
	unlink(mock.file);

	mock_properties(&mock, "compression.codec=none\n");
	o.settings = mock.settings;
	struct kafka_producer *p = kafka_producer_new(mock.loop, &o, &error);
	assert_non_null(p);
	kafka_producer_free(p, 0);
	buf_release(&error);
}

static void test_check_and_topics(void **state)
{
	struct kafka_topic_spec specs[] = {
		{.name = "calls", .partitions = 3, .replication = -1, .max_message_bytes = 2000000},
		{.name = "new", .partitions = 3, .replication = -1, .max_message_bytes = 2000000},
	};
	struct kafka_settings nobody = {.brokers = "127.0.0.1:1", .client_id = "unit"};
	struct buf error;

	(void)state;
	buf_init(&error, 4000);
	assert_int_equal(kafka_check(&mock.settings, 5000, &error), 0);
	assert_int_equal(error.len, 0);
	assert_int_equal(kafka_check(&nobody, 500, &error), -1);
	assert_non_null(strstr(error.data, "refused"));
	buf_clear(&error);
	/* The mock can't create: so this asked for nothing. */
	assert_int_equal(kafka_create_topics(&mock.settings, specs, 1, 5000, &error), 0);
	assert_int_equal(kafka_create_topics(&mock.settings, specs, 2, 500, &error), -1);
	assert_true(error.len > 0);
	buf_clear(&error);
	assert_int_equal(kafka_create_topics(&nobody, specs, 1, 500, &error), -1);
	assert_non_null(strstr(error.data, "refused"));
	buf_release(&error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_acknowledged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_fails_the_rest, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_large_fails_later, setup, teardown),
		cmocka_unit_test_setup_teardown(test_outage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fatal_error, setup, teardown),
		cmocka_unit_test_setup_teardown(test_properties_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_check_and_topics, setup, teardown),
	};
	return cmocka_run_group_tests_name("kafka_producer", tests, NULL, NULL);
}
