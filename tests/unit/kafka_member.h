/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group member under test, which checks that it gets the numbers of each partition in order. The
 * mock cluster takes 3 s for each join of a group.
 */
#ifndef CARILLON_TESTS_KAFKA_MEMBER_H
#define CARILLON_TESTS_KAFKA_MEMBER_H

#include "tests/unit/kafka_mock.h"

#define PARTITIONS 2
#define JOIN_S 20.0 /* the mock now and then lets a group wait for 10 s */

struct member {
	struct kafka_consumer *c;
	int next[PARTITIONS]; /* the number that the next message of a partition must have */
	int count;
	int out_of_order;
	int accept; /* messages to accept before refusing; -1: all */
	int refused;
	int assigns;
	int revokes;
	size_t assigned; /* partitions that it has */
	bool defer;
	int64_t from; /* offset set in on_assign */
	struct kafka_partition *parts;
	int errors;
	bool fatal;
	int seek_at; /* message number of partition 0 at which on_message goes back to 0, once */
	bool store_at_revoke;
	int session_ms; /* 0: 6 s */
};

static struct mock mock;
static rd_kafka_t *producer;
static rd_kafka_topic_t *topic;
static const char *const topics[] = {"calls", NULL};

static inline bool on_message(void *arg, const rd_kafka_message_t *m)
{
	struct member *s = arg;
	int number = (int)strtol(m->payload, NULL, 10);

	assert_true(m->partition >= 0 && m->partition < PARTITIONS);
	if (s->accept == 0) {
		s->refused++;
		return false;
	}
	if (s->accept > 0)
		s->accept--;
	if (number != s->next[m->partition])
		s->out_of_order++;
	s->next[m->partition] = number + 1;
	s->count++;
	if (s->seek_at > 0 && m->partition == 0 && number == s->seek_at) {
		s->seek_at = 0;
		s->next[0] = 0;
		kafka_consumer_seek(s->c, "calls", 0, 0);
	}
	return true;
}

static inline bool on_assign(void *arg, struct kafka_partition *parts, size_t n)
{
	struct member *s = arg;

	s->assigns++;
	s->assigned = n;
	s->parts = parts;
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(parts[i].offset, RD_KAFKA_OFFSET_INVALID);
		if (s->from >= 0) {
			parts[i].offset = s->from;
			s->next[parts[i].partition] = (int)s->from;
		}
	}
	return !s->defer;
}

static inline void on_revoke(void *arg, const struct kafka_partition *parts, size_t n, bool lost)
{
	struct member *s = arg;

	(void)lost;
	s->revokes++;
	assert_int_equal(n, s->assigned);
	for (size_t i = 0; i < n && s->store_at_revoke; i++)
		kafka_consumer_store(s->c, parts[i].topic, parts[i].partition,
				     s->next[parts[i].partition]);
	s->assigned = 0;
}

static inline void on_error(void *arg, const char *reason, bool fatal)
{
	struct member *s = arg;

	assert_true(strlen(reason) > 0);
	s->errors++;
	s->fatal = s->fatal || fatal;
}

static inline struct kafka_consumer_options options(struct member *s)
{
	return (struct kafka_consumer_options){
		.settings = mock.settings,
		.group_id = "unit",
		.topics = topics,
		.session_timeout_ms = s->session_ms ? s->session_ms : 6000,
		.max_queued_kbytes = 4096,
		.on_message = on_message,
		.on_assign = on_assign,
		.on_revoke = on_revoke,
		.on_error = on_error,
		.arg = s,
	};
}

static inline void start(struct member *s)
{
	struct kafka_consumer_options o = options(s);
	struct buf error;

	s->accept = s->accept ? s->accept : -1;
	buf_init(&error, 1000);
	s->c = kafka_consumer_new(mock.loop, &o, &error);
	if (!s->c)
		fail_msg("%s", error.data);
	buf_release(&error);
}

/* Puts the numbers first..first+n-1 into each partition. */
static inline void produce(int first, int n)
{
	for (int i = first; i < first + n; i++) {
		for (int p = 0; p < PARTITIONS; p++) {
			char text[16];
			snprintf(text, sizeof(text), "%d", i);
			assert_int_equal(rd_kafka_produce(topic, p, RD_KAFKA_MSG_F_COPY, text,
							  strlen(text) + 1, NULL, 0, NULL),
					 0);
		}
	}
	assert_int_equal(rd_kafka_flush(producer, 5000), 0);
}

static inline int setup(void **state)
{
	char reason[256];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	(void)state;
	mock_init(&mock);
	mock_topic(&mock, "calls", PARTITIONS);
	/* A client of its own: the mock's host is not connected to the mock. */
	assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers", mock.settings.brokers, reason,
					   sizeof(reason)),
			 RD_KAFKA_CONF_OK);
	rd_kafka_conf_set_log_cb(conf, NULL);
	producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
	assert_non_null(producer);
	topic = rd_kafka_topic_new(producer, "calls", NULL);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	rd_kafka_topic_destroy(topic);
	rd_kafka_destroy(producer);
	mock_release(&mock);
	return 0;
}

#endif
