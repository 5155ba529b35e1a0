/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes from Kafka while a transaction is under way is the next batch, so batches are small
 * when there is little and large when there is much; a trickle is taken a few at a time, since a
 * batch costs the database more than what it holds. While PostgreSQL is away the queue fills and
 * reading stops; Kafka keeps the rest.
 */
#include "consumer/recorder_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "common/log.h"
#include "consumer_sql.h"

#define QUEUE_BYTES (2 * RECORDER_BATCH_BYTES)
#define PREFETCH_KBYTES 4096
#define STATEMENT_TIMEOUT_MS 30000
#define REVISIT_S 30.0
#define MARK_S 2.0
#define BATCH_GAP_MS 40 /* between the starts of two batches of fewer than */
#define BATCH_ENOUGH 500
#define BACKOFF_BASE_MS 100
#define BACKOFF_MAX_MS 5000

/* ---- The queue ---- */

/* Copies bytes that lie behind an item, and moves `*at` behind them. NULL stays NULL. */
static void *keep(char **at, const void *bytes, size_t n)
{
	char *kept = *at;

	if (!bytes)
		return NULL;
	memcpy(kept, bytes, n);
	*at += n;
	return kept;
}

struct recorder_item *recorder_item_new(struct recorder *r, size_t topic,
					const rd_kafka_message_t *m)
{
	char storage[KAFKA_HEADERS_BYTES + 1];
	struct buf headers;
	size_t key_bytes = m->key ? m->key_len : 0, value_bytes = m->payload ? m->len : 0;

	buf_init_fixed(&headers, storage, sizeof(storage));
	kafka_headers_pack(m, &headers);
	struct recorder_item *item = malloc(sizeof(*item) + key_bytes + value_bytes + headers.len);
	if (!item)
		return NULL;
	char *at = item->bytes;
	*item = (struct recorder_item){
		.recorder = r,
		.topic = topic,
		.partition = m->partition,
		.offset = m->offset,
		.key_bytes = key_bytes,
		.value_bytes = value_bytes,
		.headers_bytes = headers.len,
	};
	item->key = keep(&at, m->key, key_bytes);
	item->value = keep(&at, m->payload, value_bytes);
	item->headers = keep(&at, headers.data, headers.len);
	return item;
}

void recorder_item_free(struct recorder_item *item)
{
	if (!item)
		return;
	if (item->state == ITEM_DEAD_SENT) {
		item->recorder->letters_on_way--;
		item->recorder = NULL;
		return;
	}
	free(item);
}

void recorder_pop(struct recorder *r)
{
	struct recorder_item *item = r->queue;

	DL_DELETE(r->queue, item);
	r->queue_count--;
	r->queue_bytes -= item->value_bytes;
	recorder_item_free(item);
}

void recorder_clear(struct recorder *r)
{
	while (r->queue)
		recorder_pop(r);
	r->batch.n = 0;
	r->probe_due = false;
}

void recorder_make_room(struct recorder *r)
{
	bool room = r->queue_count < r->queue_max && r->queue_bytes < QUEUE_BYTES;

	if (!r->reading_stopped || !room || r->lost_place || r->stopping)
		return;
	r->reading_stopped = false;
	kafka_consumer_resume(r->consumer);
}

/*
 * Offsets jump where the log was cut or made anew, and also if a seek went wrong, which would skip
 * messages: so a jump onwards is believed only when the message comes again after a second seek.
 */
static bool believes_jump(struct recorder *r, struct recorder_position *p,
			  const rd_kafka_message_t *m)
{
	bool believed = m->offset < p->expected || m->offset == p->jump_to;

	log_warn(believed ? "recorder.offset_jump" : "recorder.offset_jump_doubted",
		 LOG_STR("topic", r->topics[p->topic]), LOG_INT("partition", p->partition),
		 LOG_INT("expected", p->expected), LOG_INT("offset", m->offset));
	p->jump_to = m->offset;
	r->disturbed = true;
	p->mark = -1;
	if (!believed)
		kafka_consumer_seek(r->consumer, r->topics[p->topic], p->partition, p->expected);
	return believed;
}

static bool on_message(void *arg, const rd_kafka_message_t *m)
{
	struct recorder *r = arg;
	const char *topic = rd_kafka_topic_name(m->rkt);
	struct recorder_position *p = NULL;
	struct recorder_item *item;
	size_t t = 0;

	if (r->lost_place || r->stopping || r->queue_count >= r->queue_max ||
	    r->queue_bytes >= QUEUE_BYTES) {
		r->reading_stopped = r->disturbed = true;
		return false;
	}
	while (t < RECORDER_TOPICS && strcmp(r->topics[t], topic) != 0)
		t++;
	if (t < RECORDER_TOPICS)
		p = recorder_position_find(r, t, m->partition);
	if (!p)
		return true;
	if (m->offset != p->expected && !believes_jump(r, p, m))
		return true;
	item = recorder_item_new(r, t, m);
	if (!item) {
		r->reading_stopped = r->disturbed = true;
		recorder_back_off(r);
		return false;
	}
	p->expected = m->offset + 1;
	DL_APPEND(r->queue, item);
	r->queue_count++;
	r->queue_bytes += item->value_bytes;
	recorder_advance(r);
	return true;
}

/* ---- What is done next ---- */

static void start_batch(struct recorder *r)
{
	int64_t now_ms = clock_boot_ms(r->o.clock);
	int64_t wait_ms = r->started_ms + BATCH_GAP_MS - now_ms;

	if (wait_ms > 0 && r->queue_count < BATCH_ENOUGH && !r->probe_due) {
		recorder_pause(r, wait_ms);
		return;
	}
	r->started_ms = now_ms;
	recorder_batch_start(r);
}

void recorder_advance(struct recorder *r)
{
	if (r->batch.open || r->loading || r->letters_on_way > 0)
		return;
	if (r->stopping) {
		if (r->on_stopped)
			ev_timer_start(r->loop, &r->stopped);
		return;
	}
	if (ev_is_active(&r->pause) || !pg_is_up(r->pg))
		return;
	if (r->assigning || r->lost_place)
		recorder_load_offsets(r);
	else if (r->positions_count > 0 &&
		 (r->queue || r->proofs_count > 0 || r->revisit_due || r->probe_due))
		start_batch(r);
}

void recorder_pause(struct recorder *r, int64_t ms)
{
	if (ev_is_active(&r->pause))
		return;
	ev_timer_set(&r->pause, (double)ms / 1000, 0);
	ev_timer_start(r->loop, &r->pause);
}

void recorder_back_off(struct recorder *r)
{
	recorder_pause(
		r, clock_backoff_ms(r->o.clock, r->failures++, BACKOFF_BASE_MS, BACKOFF_MAX_MS));
}

static void on_pause_over(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct recorder *r = w->data;

	(void)loop;
	(void)revents;
	recorder_make_room(r);
	recorder_advance(r);
}

static void on_revisit(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct recorder *r = w->data;

	(void)loop;
	(void)revents;
	r->revisit_due = true;
	recorder_advance(r);
}

static void on_mark(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	recorder_mark(w->data);
}

static void on_stopped(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct recorder *r = w->data;
	void (*done)(void *) = r->on_stopped;

	(void)loop;
	(void)revents;
	r->on_stopped = NULL;
	if (done)
		done(r->on_stopped_arg);
}

void recorder_schema_resolved(struct recorder *r, int32_t id, bool known)
{
	if (r->schema_wanted != id)
		return;
	if (!known) {
		r->schema_refused = id;
		r->schema_refused_ms = clock_boot_ms(r->o.clock);
	}
	ev_timer_stop(r->loop, &r->pause);
	recorder_advance(r);
}

static void on_pg_state(void *arg, bool up, const char *reason)
{
	struct recorder *r = arg;

	if (up)
		log_info("recorder.postgres_up");
	else
		log_warn("recorder.postgres_down", LOG_STR("error", reason));
	/* One that was failed over to may not have all that is applied: what it lacks comes again.
	 */
	if (up && r->positions_count > 0 && !r->assigning)
		r->lost_place = true;
	written_forget(r->o.written);
	r->time = 0;
	if (up && r->pg)
		recorder_advance(r);
}

static void on_kafka_error(void *arg, const char *reason, bool fatal)
{
	struct recorder *r = arg;

	r->disturbed = true;
	if (fatal)
		log_error("recorder.kafka_failed", LOG_STR("error", reason));
	else
		log_warn("recorder.kafka_trouble", LOG_STR("error", reason));
}

/* ---- Life ---- */

static void init_names(struct recorder *r)
{
	const enum msg_type types[RECORDER_TOPICS] = {MSG_DISPATCH_RESULT, MSG_CALL_EVENT,
						      MSG_REDIAL_UPDATE, MSG_STAGE_TRANSITION};

	for (size_t t = 0; t < RECORDER_TOPICS; t++)
		r->topics[t] = publisher_topic(r->o.publisher, types[t]);
	kafka_group(r->o.cfg, "record", r->group);
}

static int connect_kafka(struct recorder *r, struct buf *error)
{
	const struct config *cfg = r->o.cfg;
	const struct kafka_consumer_options options = {
		.settings = {.brokers = config_str(cfg, CONFIG_KEY_KAFKA_BROKERS),
			     .properties_file = config_str(cfg, CONFIG_KEY_KAFKA_PROPERTIES),
			     .client_id = r->o.worker},
		.group_id = r->group,
		/* A name made up at start is nobody's to come back to. */
		.group_instance_id = config_is_set(cfg, CONFIG_KEY_WORKER_NAME)
					     ? config_str(cfg, CONFIG_KEY_WORKER_NAME)
					     : NULL,
		.topics = r->topics,
		.session_timeout_ms = (int)config_int(cfg, CONFIG_KEY_KAFKA_SESSION_TIMEOUT_MS),
		.max_queued_kbytes = PREFETCH_KBYTES,
		.gather_ms = BATCH_GAP_MS,
		.on_message = on_message,
		.on_assign = recorder_on_assign,
		.on_revoke = recorder_on_revoke,
		.on_error = on_kafka_error,
		.arg = r,
	};

	r->consumer = kafka_consumer_new(r->loop, &options, error);
	return r->consumer ? 0 : -1;
}

static void connect_pg(struct recorder *r)
{
	r->pg_options = (struct pg_options){
		.url = config_str(r->o.cfg, CONFIG_KEY_DATABASE_URL),
		.application_name = "carillon-consumer record",
		.stmts = consumer_stmts,
		.stmts_count = CONSUMER_STMT_COUNT,
		.statement_timeout_ms = STATEMENT_TIMEOUT_MS,
		.max_batches = 2,
		.on_state = on_pg_state,
		.arg = r,
		.clock = r->o.clock,
	};
	r->pg = pg_new(r->loop, &r->pg_options);
}

struct recorder *recorder_new(struct ev_loop *loop, const struct recorder_options *o,
			      struct buf *error)
{
	struct recorder *r = calloc(1, sizeof(*r));

	if (!r) {
		buf_adds(error, "no memory");
		return NULL;
	}
	r->loop = loop;
	r->o = *o;
	r->limit_max = (size_t)config_int(o->cfg, CONFIG_KEY_RECORD_BATCH_MAX);
	r->limit = r->limit_max;
	r->queue_max = 2 * r->limit_max; /* a batch, and what comes meanwhile */
	ev_timer_init(&r->pause, on_pause_over, 0, 0);
	ev_timer_init(&r->stopped, on_stopped, 0, 0);
	ev_timer_init(&r->revisit, on_revisit, REVISIT_S, REVISIT_S);
	ev_timer_init(&r->marker, on_mark, MARK_S, MARK_S);
	r->pause.data = r->stopped.data = r->revisit.data = r->marker.data = r;
	init_names(r);
	if (recorder_batch_init(r) != 0) {
		buf_adds(error, "no memory");
		recorder_free(r);
		return NULL;
	}
	connect_pg(r);
	if (connect_kafka(r, error) != 0) {
		recorder_free(r);
		return NULL;
	}
	ev_timer_start(loop, &r->revisit);
	ev_timer_start(loop, &r->marker);
	return r;
}

int64_t recorder_lag(const struct recorder *r)
{
	return kafka_consumer_lag(r->consumer);
}

bool recorder_is_ready(const struct recorder *r)
{
	return pg_is_up(r->pg) && kafka_consumer_ready(r->consumer);
}

bool recorder_has_database(const struct recorder *r)
{
	return pg_is_up(r->pg);
}

void recorder_stop(struct recorder *r, void (*done)(void *arg), void *arg)
{
	r->stopping = true;
	r->on_stopped = done;
	r->on_stopped_arg = arg;
	recorder_advance(r);
}

void recorder_free(struct recorder *r)
{
	if (!r)
		return;
	r->stopping = true;
	r->on_stopped = NULL;
	ev_timer_stop(r->loop, &r->pause);
	ev_timer_stop(r->loop, &r->stopped);
	ev_timer_stop(r->loop, &r->revisit);
	ev_timer_stop(r->loop, &r->marker);
	kafka_consumer_free(r->consumer);
	pg_free(r->pg);
	recorder_clear(r);
	recorder_batch_release(r);
	free(r->positions);
	free(r->proofs);
	free(r);
}
