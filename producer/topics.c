/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread shares nothing with the loop but the fields below `lock`; it never logs.
 */
#include "producer/topics.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/kafka.h"
#include "common/log.h"
#include "common/msg.h"

#define TOPICS ((size_t)MSG_TYPE_COUNT * 2)
#define NAME_BYTES 256
#define MESSAGE_MAX_BYTES (2 << 20)
#define ATTEMPT_TIMEOUT_MS 5000
#define RETRY_S 2

struct topics {
	struct ev_loop *loop;
	const struct config *cfg;
	void (*on_ready)(void *arg);
	void *arg;
	ev_async news;
	pthread_t thread;
	char names[TOPICS][NAME_BYTES];
	struct kafka_topic_spec specs[TOPICS];
	pthread_mutex_t lock;
	pthread_cond_t stop;
	bool stopping;
	bool done;
	char error[512]; /* of the last attempt */
};

static int create(const struct topics *t, struct buf *error)
{
	const struct kafka_settings settings = {
		.brokers = config_str(t->cfg, CONFIG_KEY_KAFKA_BROKERS),
		.properties_file = config_str(t->cfg, CONFIG_KEY_KAFKA_PROPERTIES),
		.client_id = config_str(t->cfg, CONFIG_KEY_WORKER_NAME),
	};

	return kafka_create_topics(&settings, t->specs, TOPICS, ATTEMPT_TIMEOUT_MS, error);
}

/* Under the lock: waits for the next attempt or the end. */
static void pause_attempts(struct topics *t)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += RETRY_S;
	while (!t->stopping && pthread_cond_timedwait(&t->stop, &t->lock, &until) != ETIMEDOUT)
		;
}

static void *run(void *arg)
{
	struct topics *t = arg;
	char text[sizeof(t->error)];
	struct buf error;

	pthread_mutex_lock(&t->lock);
	while (!t->stopping && !t->done) {
		pthread_mutex_unlock(&t->lock);
		buf_init_fixed(&error, text, sizeof(text));
		bool created = create(t, &error) == 0;
		pthread_mutex_lock(&t->lock);
		t->done = created;
		snprintf(t->error, sizeof(t->error), "%s", created ? "" : error.data);
		ev_async_send(t->loop, &t->news);
		if (!created)
			pause_attempts(t);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

static void on_news(struct ev_loop *loop, ev_async *w, int events)
{
	struct topics *t = w->data;
	char error[sizeof(t->error)];

	(void)events;
	pthread_mutex_lock(&t->lock);
	bool done = t->done;
	snprintf(error, sizeof(error), "%s", t->error);
	pthread_mutex_unlock(&t->lock);
	if (!done) {
		log_warn("topics.not_ready", LOG_STR("error", error));
		return;
	}
	ev_async_stop(loop, w);
	t->on_ready(t->arg);
}

static void fill_specs(struct topics *t)
{
	const char *prefix = config_str(t->cfg, CONFIG_KEY_TOPIC_PREFIX);
	bool given = config_is_set(t->cfg, CONFIG_KEY_TOPIC_REPLICATION);

	for (size_t i = 0; i < TOPICS; i++) {
		snprintf(t->names[i], NAME_BYTES, "%s%s%s", prefix,
			 msg_type_info((enum msg_type)(i / 2))->topic_suffix, i % 2 ? "-dlt" : "");
		t->specs[i] = (struct kafka_topic_spec){
			.name = t->names[i],
			.partitions = (int)config_int(t->cfg, CONFIG_KEY_TOPIC_PARTITIONS),
			.replication =
				given ? (int)config_int(t->cfg, CONFIG_KEY_TOPIC_REPLICATION) : -1,
			.max_message_bytes = MESSAGE_MAX_BYTES,
		};
	}
}

struct topics *topics_new(struct ev_loop *loop, const struct config *cfg,
			  void (*on_ready)(void *arg), void *arg)
{
	struct topics *t = calloc(1, sizeof(*t));
	pthread_condattr_t monotonic;

	if (!t)
		abort();
	t->loop = loop;
	t->cfg = cfg;
	t->on_ready = on_ready;
	t->arg = arg;
	fill_specs(t);
	ev_async_init(&t->news, on_news);
	t->news.data = t;
	ev_async_start(loop, &t->news);
	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&t->stop, &monotonic);
	pthread_condattr_destroy(&monotonic);
	t->done = !config_bool(cfg, CONFIG_KEY_CREATE_TOPICS);
	if (t->done)
		ev_async_send(loop, &t->news);
	if (pthread_create(&t->thread, NULL, run, t) != 0)
		abort();
	return t;
}

void topics_free(struct topics *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->stopping = true;
	pthread_cond_signal(&t->stop);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->thread, NULL);
	ev_async_stop(t->loop, &t->news);
	pthread_cond_destroy(&t->stop);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
