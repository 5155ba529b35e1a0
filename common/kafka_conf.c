/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making, waking and ending librdkafka clients. Its defaults are for throughput and old brokers;
 * the ones here are for short waits and quick recovery.
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "common/kafka_internal.h"

#define FILE_LINES_MAX 1000

struct kafka_number kafka_int(long long v)
{
	struct kafka_number n;

	snprintf(n.text, sizeof(n.text), "%lld", v);
	return n;
}

/* ---- Configuration ---- */

static const struct kafka_property common_properties[] = {
	{"socket.keepalive.enable", "true"},
	{"socket.nagle.disable", "true"},
	{"socket.connection.setup.timeout.ms", "10000"},
	{"reconnect.backoff.ms", "100"},
	{"reconnect.backoff.max.ms", "2000"},
	{NULL, NULL},
};

static void drop_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	(void)rk;
	(void)level;
	(void)facility;
	(void)text;
}

/* librdkafka quotes bad values in its messages; those of such properties must not be seen. */
static bool is_secret(const char *name)
{
	static const char *const words[] = {"password", "secret", "pem", "oauth", "config"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strstr(name, words[i]))
			return true;
	}
	return false;
}

/* `place` (NULL: none) goes before the reason. */
static bool set(rd_kafka_conf_t *conf, const char *name, const char *value, const char *place,
		struct buf *error)
{
	char reason[256];

	if (!value)
		return true;
	rd_kafka_conf_res_t r = rd_kafka_conf_set(conf, name, value, reason, sizeof(reason));
	if (r == RD_KAFKA_CONF_OK)
		return true;
	if (error->len > 0)
		buf_addc(error, '\n');
	if (place)
		buf_addf(error, "%s: ", place);
	if (r == RD_KAFKA_CONF_INVALID && is_secret(name))
		buf_addf(error, "bad value of \"%s\"", name);
	else
		buf_adds(error, reason);
	return false;
}

static char *trim(char *s)
{
	static const char blank[] = " \t\r\n";
	size_t n;

	s += strspn(s, blank);
	n = strlen(s);
	while (n > 0 && strchr(blank, s[n - 1]))
		n--;
	s[n] = '\0';
	return s;
}

/* One NAME=VALUE line; comments and empty ones count as good. */
static bool set_line(rd_kafka_conf_t *conf, char *line, const char *place, struct buf *error)
{
	char *name = trim(line);
	char *equals = strchr(name, '=');

	if (*name == '\0' || *name == '#')
		return true;
	if (!equals || equals == name) {
		if (error->len > 0)
			buf_addc(error, '\n');
		buf_addf(error, "%s: not a NAME=VALUE line", place);
		return false;
	}
	*equals = '\0';
	return set(conf, trim(name), trim(equals + 1), place, error);
}

static bool set_file(rd_kafka_conf_t *conf, const char *path, struct buf *error)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t cap = 0;
	bool good = true;

	if (!f) {
		buf_addf(error, "%s: %s", path, strerror(errno));
		return false;
	}
	for (int n = 1; n <= FILE_LINES_MAX && getline(&line, &cap, f) >= 0; n++) {
		char place[512];
		snprintf(place, sizeof(place), "%s:%d", path, n);
		good = set_line(conf, line, place, error) && good;
	}
	if (!feof(f)) {
		buf_addf(error, "%s%s: can't be read to its end", error->len ? "\n" : "", path);
		good = false;
	}
	free(line);
	fclose(f);
	return good;
}

rd_kafka_conf_t *kafka_conf_new(const struct kafka_settings *s,
				const struct kafka_property *properties, struct buf *error)
{
	const struct kafka_property own[] = {
		{"bootstrap.servers", s->brokers},
		{"client.id", s->client_id},
		{NULL, NULL},
	};
	const struct kafka_property *const tables[] = {common_properties, own, properties};
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	bool good = true;

	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
		for (const struct kafka_property *p = tables[t]; p->name; p++)
			good = set(conf, p->name, p->value, NULL, error) && good;
	}
	if (s->properties_file)
		good = set_file(conf, s->properties_file, error) && good;
	if (!good) {
		rd_kafka_conf_destroy(conf);
		return NULL;
	}
	rd_kafka_conf_set_log_cb(conf, drop_log);
	return conf;
}

/* ---- Clients ---- */

rd_kafka_t *kafka_client_new(rd_kafka_type_t type, const rd_kafka_conf_t *conf, struct buf *error)
{
	char reason[256];
	rd_kafka_conf_t *copy = rd_kafka_conf_dup(conf);
	rd_kafka_t *rk = rd_kafka_new(type, copy, reason, sizeof(reason));

	if (!rk) {
		rd_kafka_conf_destroy(copy);
		if (error)
			buf_adds(error, reason);
	}
	return rk;
}

/* Shared by the thread that destroys and the one that waits for it; the last one frees it. */
struct destroying {
	rd_kafka_t *rk;
	atomic_int users;
	pthread_mutex_t mutex;
	pthread_cond_t done_cond;
	bool done;
};

static void destroying_unref(struct destroying *d)
{
	if (atomic_fetch_sub(&d->users, 1) > 1)
		return;
	pthread_cond_destroy(&d->done_cond);
	pthread_mutex_destroy(&d->mutex);
	free(d);
}

static void *destroy(void *arg)
{
	struct destroying *d = arg;

	rd_kafka_destroy_flags(d->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	pthread_mutex_lock(&d->mutex);
	d->done = true;
	pthread_cond_signal(&d->done_cond);
	pthread_mutex_unlock(&d->mutex);
	destroying_unref(d);
	return NULL;
}

void kafka_client_destroy(rd_kafka_t *rk, int timeout_ms)
{
	struct destroying *d = calloc(1, sizeof(*d));
	pthread_t thread;
	struct timespec until;

	if (!d)
		return; /* no memory: nor is there for an orderly end */
	d->rk = rk;
	atomic_init(&d->users, 2);
	pthread_mutex_init(&d->mutex, NULL);
	pthread_cond_init(&d->done_cond, NULL);
	if (pthread_create(&thread, NULL, destroy, d) != 0) {
		atomic_store(&d->users, 1);
		destroying_unref(d);
		return;
	}
	pthread_detach(thread);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += timeout_ms % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_mutex_lock(&d->mutex);
	while (!d->done && timeout_ms > 0) {
		if (pthread_cond_timedwait(&d->done_cond, &d->mutex, &until) != 0)
			break;
	}
	pthread_mutex_unlock(&d->mutex);
	destroying_unref(d);
}

/* The library has no question for that: a request that could be sent at all tells it. */
bool kafka_client_connected(rd_kafka_t *rk)
{
	const struct rd_kafka_metadata *metadata = NULL;
	rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 0, NULL, &metadata, 1);

	if (metadata)
		rd_kafka_metadata_destroy(metadata);
	return err == RD_KAFKA_RESP_ERR_NO_ERROR || err == RD_KAFKA_RESP_ERR__TIMED_OUT;
}

/* ---- Wake-ups ---- */

static const uint64_t one = 1;

bool kafka_wake_init(struct kafka_wake *w, struct ev_loop *loop,
		     void (*cb)(struct ev_loop *, ev_io *, int), void *data)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	*w = (struct kafka_wake){.loop = loop};
	ev_io_init(&w->io, cb, fd, EV_READ);
	w->io.data = data;
	if (fd < 0)
		return false;
	ev_io_start(loop, &w->io);
	return true;
}

void kafka_wake_release(struct kafka_wake *w)
{
	kafka_wake_follow(w, NULL);
	ev_io_stop(w->loop, &w->io);
	if (w->io.fd >= 0)
		close(w->io.fd);
}

void kafka_wake_follow(struct kafka_wake *w, rd_kafka_queue_t *queue)
{
	if (w->queue) {
		rd_kafka_queue_io_event_enable(w->queue, -1, NULL, 0);
		rd_kafka_queue_destroy(w->queue);
	}
	w->queue = queue;
	if (queue) {
		rd_kafka_queue_io_event_enable(queue, w->io.fd, &one, sizeof(one));
		kafka_wake_poke(w); /* for what is in it already */
	}
}

void kafka_wake_poke(struct kafka_wake *w)
{
	/* Fails only when the counter is full, that is when it wakes anyway. */
	(void)!write(w->io.fd, &one, sizeof(one));
}

void kafka_wake_clear(struct kafka_wake *w)
{
	uint64_t count;

	(void)!read(w->io.fd, &count, sizeof(count));
}
