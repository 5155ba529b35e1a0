/* SPDX-License-Identifier: Apache-2.0 */
/* librdkafka's mock cluster, and a loop to run a client under test on. */
#ifndef CARILLON_TESTS_KAFKA_MOCK_H
#define CARILLON_TESTS_KAFKA_MOCK_H

#include <ev.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/kafka.h"

#include <librdkafka/rdkafka_mock.h> /* after rdkafka.h */

struct mock {
	rd_kafka_t *host;
	rd_kafka_mock_cluster_t *cluster;
	struct ev_loop *loop;
	struct kafka_settings settings;
	char file[64]; /* of properties, if one was written */
};

static inline void mock_init(struct mock *m)
{
	char reason[256];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	*m = (struct mock){.loop = ev_loop_new(EVFLAG_AUTO)};
	rd_kafka_conf_set_log_cb(conf, NULL);
	m->host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
	if (!m->host)
		fail_msg("%s", reason);
	m->cluster = rd_kafka_mock_cluster_new(m->host, 1);
	assert_non_null(m->cluster);
	m->settings = (struct kafka_settings){
		.brokers = rd_kafka_mock_cluster_bootstraps(m->cluster),
		.client_id = "unit",
	};
}

static inline void mock_release(struct mock *m)
{
	if (m->file[0])
		unlink(m->file);
	rd_kafka_mock_cluster_destroy(m->cluster);
	rd_kafka_destroy(m->host);
	ev_loop_destroy(m->loop);
}

static inline void mock_topic(struct mock *m, const char *name, int partitions)
{
	assert_int_equal(rd_kafka_mock_topic_create(m->cluster, name, partitions, 1), 0);
}

/* Makes `text` the properties file of the settings. */
static inline void mock_properties(struct mock *m, const char *text)
{
	snprintf(m->file, sizeof(m->file), "/tmp/carillon-unit-XXXXXX");
	int fd = mkstemp(m->file);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	m->settings.properties_file = m->file;
}

static inline void on_mock_limit(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)revents;
	*(bool *)w->data = true;
	ev_break(loop, EVBREAK_ALL);
}

/* Runs the loop until the condition holds; at most `seconds`, then the test fails. */
#define RUN_UNTIL(loop, seconds, condition)                                                        \
	do {                                                                                       \
		bool over_ = false;                                                                \
		ev_timer limit_;                                                                   \
		ev_now_update(loop);                                                               \
		ev_timer_init(&limit_, on_mock_limit, seconds, 0.0);                               \
		limit_.data = &over_;                                                              \
		ev_timer_start(loop, &limit_);                                                     \
		while (!(condition) && !over_)                                                     \
			ev_run(loop, EVRUN_ONCE);                                                  \
		ev_timer_stop(loop, &limit_);                                                      \
		if (over_)                                                                         \
			fail_msg("never came: %s", #condition);                                    \
	} while (0)

static inline void run_for(struct ev_loop *loop, double seconds)
{
	bool over = false;
	ev_timer limit;

	ev_now_update(loop);
	ev_timer_init(&limit, on_mock_limit, seconds, 0.0);
	limit.data = &over;
	ev_timer_start(loop, &limit);
	while (!over)
		ev_run(loop, EVRUN_ONCE);
}

#endif
