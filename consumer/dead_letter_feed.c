/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A letter's place is where its message was read, so that however often it is told of it is one
 * row; a provider's callback was never a message, and has its place in the dead-letter topic. An
 * offset is stored when its row is: rows that come twice change nothing.
 */
#include "consumer/dead_letter_feed.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "common/log.h"
#include "consumer/recorder_internal.h"
#include "consumer_sql.h"

#define LETTERS_MAX 256
#define LETTERS_BYTES (4u << 20) /* one may be larger */
#define PREFETCH_KBYTES 1024
#define STATEMENT_TIMEOUT_MS 30000
#define TOPIC_BYTES 256 /* Kafka permits 249 */
#define RETRY_S 1.0

struct letter {
	struct letter *prev, *next;
	char topic[TOPIC_BYTES]; /* of the row */
	struct dead_letter row;
	char reason[RECORDER_TEXT_BYTES];
	const char *read_topic; /* the dead-letter topic */
	int32_t read_partition;
	int64_t read_offset;
	char bytes[]; /* key, value, headers */
};

struct dead_letter_feed {
	struct ev_loop *loop;
	struct dead_letter_feed_options o;
	char topics[MSG_TYPE_COUNT][TOPIC_BYTES];
	const char *topic_list[MSG_TYPE_COUNT + 1];
	char group[KAFKA_GROUP_BYTES];
	struct pg_options pg_options;
	struct pg *pg;
	struct kafka_consumer *consumer;
	struct recorder_rows rows;
	struct letter *queue;
	size_t count, bytes;
	size_t writing; /* the first ones of the queue, under way */
	size_t limit;	/* of the next statement */
	bool reading_stopped;
	bool closing;
	ev_timer retry;
};

/* ---- The queue ---- */

static void pop(struct dead_letter_feed *f)
{
	struct letter *l = f->queue;

	DL_DELETE(f->queue, l);
	f->count--;
	f->bytes -= l->row.value_bytes;
	free(l);
}

static bool is_full(const struct dead_letter_feed *f)
{
	return f->count >= LETTERS_MAX || f->bytes >= LETTERS_BYTES;
}

static bool parse_number(const char *text, int64_t highest, int64_t *ret)
{
	char *end = NULL;
	long long v = text && *text ? strtoll(text, &end, 10) : -1;

	if (!end || *end || v < 0 || v > highest)
		return false;
	*ret = v;
	return true;
}

/* Where its message was read; false: nowhere else. */
static bool read_place(struct letter *l, const struct kafka_header *headers, size_t n)
{
	const char *topic = kafka_headers_find(headers, n, "x-dlt-topic");
	int64_t partition, offset;

	if (!topic || !*topic || strlen(topic) >= sizeof(l->topic) ||
	    !parse_number(kafka_headers_find(headers, n, "x-dlt-partition"), INT32_MAX,
			  &partition) ||
	    !parse_number(kafka_headers_find(headers, n, "x-dlt-offset"), INT64_MAX, &offset))
		return false;
	snprintf(l->topic, sizeof(l->topic), "%s", topic);
	l->row.partition = (int32_t)partition;
	l->row.offset = offset;
	return true;
}

static char *append(char *at, const struct kafka_header *h)
{
	at = (char *)memcpy(at, h->name, strlen(h->name) + 1) + strlen(h->name) + 1;
	return (char *)memcpy(at, h->value, strlen(h->value) + 1) + strlen(h->value) + 1;
}

/* The headers that the message came with; of a callback, those that tell of it. */
static void keep_headers(struct letter *l, char *at, const struct buf *packed)
{
	struct kafka_header headers[KAFKA_HEADERS_MAX];
	size_t n = kafka_headers_unpack(packed->data, packed->len, headers);
	const char *reason = kafka_headers_find(headers, n, "x-dlt-reason");
	bool is_message = read_place(l, headers, n);

	snprintf(l->reason, sizeof(l->reason), "%.*s",
		 (int)(reason ? utf8_prefix(reason, strlen(reason), sizeof(l->reason) - 1) : 0),
		 reason ? reason : "");
	l->row.reason = l->reason;
	l->row.headers = at;
	for (size_t i = 0; i < n; i++) {
		if (!is_message || !is_dead_letter_header(headers[i].name))
			at = append(at, &headers[i]);
	}
	l->row.headers_bytes = (size_t)(at - l->row.headers);
}

/* NULL without memory. */
static struct letter *letter_new(const struct dead_letter_feed *f, const rd_kafka_message_t *m)
{
	char storage[KAFKA_HEADERS_BYTES + 1];
	struct buf packed;

	buf_init_fixed(&packed, storage, sizeof(storage));
	kafka_headers_pack(m, &packed);
	struct letter *l = calloc(1, sizeof(*l) + m->key_len + m->len + packed.len);
	if (!l)
		return NULL;
	for (size_t t = 0; t < MSG_TYPE_COUNT; t++) {
		if (strcmp(f->topics[t], rd_kafka_topic_name(m->rkt)) == 0)
			l->read_topic = f->topics[t];
	}
	assert(l->read_topic);
	l->read_partition = m->partition;
	l->read_offset = m->offset;
	snprintf(l->topic, sizeof(l->topic), "%s", l->read_topic);
	l->row = (struct dead_letter){
		.topic = l->topic,
		.partition = m->partition,
		.offset = m->offset,
		.key_bytes = m->key_len,
		.value_bytes = m->len,
	};
	if (m->key)
		l->row.key = memcpy(l->bytes, m->key, m->key_len);
	if (m->payload)
		l->row.value = memcpy(l->bytes + m->key_len, m->payload, m->len);
	keep_headers(l, l->bytes + m->key_len + m->len, &packed);
	return l;
}

/* ---- Writing ---- */

static void write_next(struct dead_letter_feed *f);

static void pause_writing(struct dead_letter_feed *f)
{
	if (!f->closing && !ev_is_active(&f->retry)) {
		ev_timer_set(&f->retry, RETRY_S, 0.);
		ev_timer_start(f->loop, &f->retry);
	}
}

static void letters_done(struct dead_letter_feed *f)
{
	for (; f->writing > 0; f->writing--) {
		const struct letter *l = f->queue;

		assert(l);
		kafka_consumer_store(f->consumer, l->read_topic, l->read_partition,
				     l->read_offset + 1);
		pop(f);
	}
	f->limit = LETTERS_MAX;
	if (f->reading_stopped && !is_full(f)) {
		f->reading_stopped = false;
		kafka_consumer_resume(f->consumer);
	}
	write_next(f);
}

static void on_written(void *arg, const struct pg_batch_result *b)
{
	struct dead_letter_feed *f = arg;

	if (f->closing)
		return;
	if (b->error.status == PG_OK || b->error.status == PG_NOT_DURABLE) {
		letters_done(f);
		return;
	}
	if (b->error.status == PG_ERROR)
		log_warn("dead_letters.not_listed", LOG_INT("letters", f->writing),
			 LOG_STR("sqlstate", b->error.sqlstate),
			 LOG_STR("error", b->error.message));
	if (!pg_error_is_transient(&b->error) && f->writing == 1) {
		/* It stays in its topic alone. */
		letters_done(f);
		return;
	}
	f->limit = pg_error_is_transient(&b->error) ? f->limit : 1;
	f->writing = 0;
	pause_writing(f);
}

static void write_next(struct dead_letter_feed *f)
{
	size_t n = 0, bytes = 0;

	if (f->writing || !f->queue || ev_is_active(&f->retry) || !pg_is_up(f->pg))
		return;
	recorder_rows_clear(&f->rows);
	for (struct letter *l = f->queue; l && n < f->limit; l = l->next, n++) {
		bytes += l->row.value_bytes;
		if (n > 0 && bytes > LETTERS_BYTES)
			break;
		recorder_rows_add_letter(&f->rows, &l->row);
	}
	const char *const *params = recorder_rows_params(&f->rows);
	if (params &&
	    pg_run(f->pg, CONSUMER_DEAD_LETTERS_INSERT, LETTER_COLUMNS, params, on_written, f))
		f->writing = n;
	else
		pause_writing(f);
}

static void on_retry(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop, (void)revents;
	write_next(w->data);
}

/* ---- Callbacks ---- */

static bool on_message(void *arg, const rd_kafka_message_t *m)
{
	struct dead_letter_feed *f = arg;
	struct letter *l = is_full(f) ? NULL : letter_new(f, m);

	if (!l) {
		f->reading_stopped = true;
		pause_writing(f);
		return false;
	}
	DL_APPEND(f->queue, l);
	f->count++;
	f->bytes += l->row.value_bytes;
	write_next(f);
	return true;
}

/* Another reads them again; those under way go on. */
static void on_revoke(void *arg, const struct kafka_partition *parts, size_t n, bool lost)
{
	struct dead_letter_feed *f = arg;
	struct letter *l, *next;
	size_t i = 0;

	(void)parts, (void)n, (void)lost;
	DL_FOREACH_SAFE (f->queue, l, next) {
		if (i++ < f->writing)
			continue;
		DL_DELETE(f->queue, l);
		f->count--;
		f->bytes -= l->row.value_bytes;
		free(l);
	}
}

static void on_state(void *arg, bool up, const char *reason)
{
	struct dead_letter_feed *f = arg;

	if (!up)
		log_debug("dead_letters.postgres_down", LOG_STR("error", reason));
	else if (f->pg)
		write_next(f);
}

static void on_kafka_error(void *arg, const char *reason, bool fatal)
{
	(void)arg;
	if (fatal)
		log_error("dead_letters.kafka_failed", LOG_STR("error", reason));
	else
		log_debug("dead_letters.kafka_trouble", LOG_STR("error", reason));
}

/* ---- Life ---- */

static void connect_pg(struct dead_letter_feed *f)
{
	f->pg_options = (struct pg_options){
		.url = config_str(f->o.cfg, CONFIG_KEY_DATABASE_URL),
		.application_name = "carillon-consumer dead letters",
		.stmts = consumer_stmts,
		.stmts_count = CONSUMER_STMT_COUNT,
		.statement_timeout_ms = STATEMENT_TIMEOUT_MS,
		.max_batches = 1,
		.on_state = on_state,
		.arg = f,
		.clock = f->o.clock,
	};
	f->pg = pg_new(f->loop, &f->pg_options);
}

static int connect_kafka(struct dead_letter_feed *f, struct buf *error)
{
	const struct config *cfg = f->o.cfg;
	const struct kafka_consumer_options options = {
		.settings = {.brokers = config_str(cfg, CONFIG_KEY_KAFKA_BROKERS),
			     .properties_file = config_str(cfg, CONFIG_KEY_KAFKA_PROPERTIES),
			     .client_id = f->o.worker},
		.group_id = f->group,
		.group_instance_id = config_is_set(cfg, CONFIG_KEY_WORKER_NAME)
					     ? config_str(cfg, CONFIG_KEY_WORKER_NAME)
					     : NULL,
		.topics = f->topic_list,
		.session_timeout_ms = (int)config_int(cfg, CONFIG_KEY_KAFKA_SESSION_TIMEOUT_MS),
		.max_queued_kbytes = PREFETCH_KBYTES,
		.on_message = on_message,
		.on_revoke = on_revoke,
		.on_error = on_kafka_error,
		.arg = f,
	};

	f->consumer = kafka_consumer_new(f->loop, &options, error);
	return f->consumer ? 0 : -1;
}

struct dead_letter_feed *dead_letter_feed_new(struct ev_loop *loop,
					      const struct dead_letter_feed_options *o,
					      struct buf *error)
{
	struct dead_letter_feed *f = calloc(1, sizeof(*f));

	if (!f || recorder_rows_init(&f->rows, LETTER_COLUMNS) != 0) {
		free(f);
		buf_adds(error, "no memory");
		return NULL;
	}
	f->loop = loop;
	f->o = *o;
	f->limit = LETTERS_MAX;
	ev_timer_init(&f->retry, on_retry, RETRY_S, 0.);
	f->retry.data = f;
	for (int t = 0; t < MSG_TYPE_COUNT; t++) {
		snprintf(f->topics[t], TOPIC_BYTES, "%s%s-dlt",
			 config_str(o->cfg, CONFIG_KEY_TOPIC_PREFIX),
			 msg_type_info((enum msg_type)t)->topic_suffix);
		f->topic_list[t] = f->topics[t];
	}
	kafka_group(o->cfg, "dead-letters", f->group);
	connect_pg(f);
	if (connect_kafka(f, error) != 0) {
		dead_letter_feed_free(f);
		return NULL;
	}
	return f;
}

void dead_letter_feed_free(struct dead_letter_feed *f)
{
	if (!f)
		return;
	f->closing = true;
	ev_timer_stop(f->loop, &f->retry);
	kafka_consumer_free(f->consumer);
	pg_free(f->pg);
	while (f->queue)
		pop(f);
	recorder_rows_release(&f->rows);
	free(f);
}
