/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dispatcher's side of Kafka, and its life. A message is read only when there is room for it
 * and PostgreSQL is there to decide on it; its offset is stored when that decision is durable, in
 * order of the partition. What can't be read goes to the dead-letter topic, and the partition goes
 * on.
 */
#include "consumer/dispatcher_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/metrics.h"
#include "consumer_sql.h"

#define JOBS_PER_SLOT 8
#define JOBS_EXTRA_MAX 16384
#define DEAD_LETTERS_AT_ONCE 16
#define SCHEMA_WAIT_MS 30000
#define NO_MEMORY_WAIT_MS 250
#define TICK_S 0.25 /* what failed is tried again */
#define STOP_MARGIN_MS 10000
#define QUEUED_KBYTES 4096
#define REASON_BYTES 256
#define BATCHES_MAX 2
#define STATEMENT_TIMEOUT_MS 30000

/* ---- Offsets and room ---- */

static const char *topic(const struct dispatcher *d)
{
	return publisher_topic(d->o.publisher, MSG_DISPATCH_REQUESTED);
}

void dispatch_decided(struct dispatcher *d, struct job *j)
{
	int32_t partition = 0;
	int64_t next = 0;

	if (job_decide(&d->pool, j, &partition, &next))
		kafka_consumer_store(d->kafka, topic(d), partition, next);
}

static void skip(struct dispatcher *d, const rd_kafka_message_t *m)
{
	int64_t next = 0;

	if (job_pool_skip(&d->pool, m->partition, m->offset, &next))
		kafka_consumer_store(d->kafka, topic(d), m->partition, next);
}

static bool can_read(const struct dispatcher *d)
{
	return !d->stopping && dispatcher_has_database(d) && d->pool.counts[JOB_FREE] > 0 &&
	       d->pool.counts[JOB_DEAD] < DEAD_LETTERS_AT_ONCE;
}

/* After back-pressure there should be room for more than one. */
static bool can_read_on(const struct dispatcher *d)
{
	return can_read(d) && d->pool.counts[JOB_FREE] >= d->pool.n / 8 &&
	       d->schema_wait_since_ms == 0 && clock_boot_ms(d->o.clock) >= d->read_again_ms;
}

/* ---- Dead letters ---- */

static void send_dead_letter(struct dispatcher *d, struct job *j)
{
	j->publishing = publish_dead_letter(d->o.publisher, &j->dead, &j->delivery);
}

static void on_dead_letter(struct delivery *delivery, const char *error)
{
	struct job *j = (struct job *)(void *)((char *)delivery - offsetof(struct job, delivery));
	struct dispatcher *d = j->d;

	j->publishing = false;
	if (error)
		return; /* the ticker sends it again */
	metric_add(METRIC_DEAD_LETTERS, topic(d), 1);
	log_warn("job.dead_letter", LOG_STR("topic", topic(d)),
		 LOG_INT("partition", j->dead.partition), LOG_INT("offset", j->dead.offset),
		 LOG_STR("reason", j->dead.reason));
	dispatch_decided(d, j);
	job_free(&d->pool, j);
}

/* Keeps the bytes in `at`, one after the other: topic name and offsets are kept anyway. */
static void keep_bytes(struct job *j, const rd_kafka_message_t *m, const struct buf *headers,
		       const char *reason, char *at)
{
	size_t reason_bytes = strlen(reason) + 1;

	j->dead_bytes = at;
	dead_letter_of(m, at, &j->dead);
	memcpy(at, reason, reason_bytes);
	at += reason_bytes;
	if (m->payload)
		j->dead.value = memcpy(at, m->payload, j->dead.value_bytes);
	at += j->dead.value_bytes;
	if (m->key)
		j->dead.key = memcpy(at, m->key, j->dead.key_bytes);
	at += j->dead.key_bytes;
	j->dead.headers = memcpy(at, headers->data, headers->len);
	j->dead.headers_bytes = headers->len;
	j->dead.topic = topic(j->d);
}

/* False without memory. */
static bool take_dead_letter(struct dispatcher *d, const rd_kafka_message_t *m, const char *why)
{
	char storage[KAFKA_HEADERS_BYTES + 1], reason[REASON_BYTES];
	struct dead_letter kept = {.key_bytes = m->key_len, .value_bytes = m->len};
	struct buf headers;

	dead_letter_cut(&kept);
	dead_letter_reason(m->key_len, m->len, why, reason, sizeof(reason));
	buf_init_fixed(&headers, storage, sizeof(storage));
	kafka_headers_pack(m, &headers);
	char *bytes = malloc(kept.value_bytes + kept.key_bytes + headers.len + strlen(reason) + 1);
	struct job *j = bytes ? job_take(&d->pool, JOB_DEAD, m->partition, m->offset) : NULL;

	if (!j) {
		free(bytes);
		return false;
	}
	keep_bytes(j, m, &headers, reason, bytes);
	j->delivery.done = on_dead_letter;
	send_dead_letter(d, j);
	return true;
}

/* ---- Messages ---- */

static bool job_is_valid(const struct msg_dispatch_requested *r, struct buf *reason)
{
	if (!uuid_valid(r->job_id))
		buf_adds(reason, "job_id is no UUID");
	else if (!r->follow_up_id || !is_number(r->follow_up_id))
		buf_adds(reason, "follow_up_id is no number");
	else if (!r->account || strlen(r->account) >= JOB_WORD_BYTES)
		buf_adds(reason, "no account, or its name is too long");
	return reason->len == 0;
}

/* Alone an account may fill the pool; beside others only half of it: the rest is published again
 * later. */
static bool has_too_many(const struct dispatcher *d, const struct account_use *use, int64_t now_ms)
{
	return use && use->waiting > d->pool.n / 2 && job_pool_is_shared(&d->pool, now_ms);
}

/* False without memory. */
static bool take_job(struct dispatcher *d, const struct msg_dispatch_requested *r,
		     const rd_kafka_message_t *m)
{
	int64_t now_ms = clock_boot_ms(d->o.clock);
	size_t n = 0;
	const char *traceparent = kafka_header_text(m, "traceparent", &n);
	struct job *j;

	if (job_find(&d->pool, r->job_id)) {
		metric_add(METRIC_JOBS, "repeated", 1);
		skip(d, m);
		return true;
	}
	j = job_take(&d->pool, JOB_WAITING, m->partition, m->offset);
	if (!j)
		return false;
	job_identify(&d->pool, j, r->job_id);
	job_set_use(&d->pool, j, r->account, now_ms);
	snprintf(j->follow_up_id, sizeof(j->follow_up_id), "%s", r->follow_up_id);
	j->traceparent[0] = '\0';
	if (traceparent && n < sizeof(j->traceparent)) {
		memcpy(j->traceparent, traceparent, n);
		j->traceparent[n] = '\0';
		if (strspn(j->traceparent, "0123456789abcdef-") != n)
			j->traceparent[0] = '\0';
	}
	if (has_too_many(d, j->use, now_ms)) {
		metric_add(METRIC_JOBS, "shed", 1);
		dispatch_decided(d, j);
		job_free(&d->pool, j);
	}
	return true;
}

/* True: the message waits for the registry's word on its schema. */
static bool wait_for_schema(struct dispatcher *d, int32_t id)
{
	int64_t now_ms = clock_boot_ms(d->o.clock);

	if (!d->o.registry || (d->schema_refused && d->schema_wait_id == id))
		return false;
	if (d->schema_wait_since_ms == 0 || d->schema_wait_id != id) {
		d->schema_wait_id = id;
		d->schema_wait_since_ms = now_ms;
		d->schema_refused = false;
		schema_registry_resolve(d->o.registry, MSG_DISPATCH_REQUESTED, id);
	}
	return true;
}

void dispatcher_schema_resolved(struct dispatcher *d, int32_t id, bool known)
{
	if (d->schema_wait_since_ms == 0 || d->schema_wait_id != id)
		return;
	d->schema_wait_since_ms = 0;
	d->schema_refused = !known;
}

/* The message is offered again: at once when there is room, or after a while without memory. */
static bool refuse_message(struct dispatcher *d, bool no_memory)
{
	d->stalled = true;
	if (no_memory) {
		d->read_again_ms = clock_boot_ms(d->o.clock) + NO_MEMORY_WAIT_MS;
		log_error("dispatch.no_memory");
	}
	return false;
}

static bool on_message(void *arg, const rd_kafka_message_t *m)
{
	struct dispatcher *d = arg;
	char text[REASON_BYTES];
	struct buf reason;
	struct msg msg;
	int32_t schema_id = 0;

	if (!can_read(d))
		return refuse_message(d, false);
	buf_init_fixed(&reason, text, sizeof(text));
	switch (msg_decode(d->o.codec, MSG_DISPATCH_REQUESTED, m->payload, m->len, &msg, &schema_id,
			   &reason)) {
	case MSG_DECODED:
		if (!job_is_valid(&msg.requested, &reason))
			break;
		return take_job(d, &msg.requested, m) || refuse_message(d, true);
	case MSG_UNKNOWN_SCHEMA:
		if (wait_for_schema(d, schema_id))
			return refuse_message(d, false);
		buf_clear(&reason);
		buf_addf(&reason, "unknown schema id %d", (int)schema_id);
		break;
	case MSG_MALFORMED:
		break;
	}
	return take_dead_letter(d, m, text) || refuse_message(d, true);
}

static bool on_assign(void *arg, struct kafka_partition *parts, size_t n)
{
	(void)arg, (void)parts;
	log_info("dispatch.assigned", LOG_INT("partitions", n));
	return true;
}

static void on_revoke(void *arg, const struct kafka_partition *parts, size_t n, bool lost)
{
	struct dispatcher *d = arg;

	log_info("dispatch.revoked", LOG_INT("partitions", n), LOG_BOOL("lost", lost));
	for (size_t i = 0; i < n; i++)
		job_pool_revoke(&d->pool, parts[i].partition);
}

static void on_kafka_error(void *arg, const char *reason, bool fatal)
{
	(void)arg;
	if (fatal)
		log_error("dispatch.kafka_failed", LOG_STR("error", reason));
	else
		log_warn("dispatch.kafka", LOG_STR("error", reason));
}

/* ---- Turns ---- */

static void on_turn(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct dispatcher *d = w->data;

	(void)loop, (void)revents;
	int64_t wait_ms = dispatch_results_pump(d);
	int64_t claims_wait_ms = dispatch_claim_pump(d);
	if (claims_wait_ms >= 0 && (wait_ms < 0 || claims_wait_ms < wait_ms))
		wait_ms = claims_wait_ms;
	ev_timer_stop(d->loop, &d->linger);
	if (wait_ms >= 0) {
		ev_timer_set(&d->linger, (double)wait_ms / 1000.0, 0.0);
		ev_timer_start(d->loop, &d->linger);
	}
	if (d->stalled && can_read_on(d)) {
		d->stalled = false;
		kafka_consumer_resume(d->kafka);
	}
}

static bool is_drained(const struct dispatcher *d)
{
	const size_t *n = d->pool.counts;
	bool lost = false;

	for (const struct job *j = d->pool.lists[JOB_WAITING]; j && !lost; j = j->next)
		lost = j->lost;
	return !lost && !d->batch_out && d->results_out == 0 && n[JOB_CLAIMING] == 0 &&
	       n[JOB_POSTING] == 0 && n[JOB_REPORTING] == 0 && n[JOB_DEAD] == 0;
}

static void end_stop(struct dispatcher *d)
{
	bool late = clock_boot_ms(d->o.clock) >= d->stop_deadline_ms;

	if (!d->stopped || (!late && !is_drained(d)))
		return;
	if (late)
		log_warn("dispatch.stopped_late", LOG_INT("posting", d->pool.counts[JOB_POSTING]),
			 LOG_INT("reporting", d->pool.counts[JOB_REPORTING]));
	void (*stopped)(void *) = d->stopped;
	d->stopped = NULL;
	stopped(d->stopped_arg);
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct dispatcher *d = w->data;
	struct job *j = d->pool.lists[JOB_DEAD];
	int64_t now_ms = clock_boot_ms(d->o.clock);

	(void)loop, (void)revents;
	dispatch_publish_results(d);
	for (; j; j = j->next) {
		if (!j->publishing)
			send_dead_letter(d, j);
	}
	if (d->schema_wait_since_ms != 0 && now_ms - d->schema_wait_since_ms > SCHEMA_WAIT_MS)
		dispatcher_schema_resolved(d, d->schema_wait_id, false);
	if (d->stopping)
		end_stop(d);
}

/* Only wakes the loop: the turn before it sleeps claims and writes what has lingered. */
static void on_linger(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop, (void)w, (void)revents;
}

static void on_pg_state(void *arg, bool up, const char *reason)
{
	struct dispatcher *d = arg;

	if (up) {
		d->not_before_ms = 0;
		d->errors = 0;
		log_info("dispatch.postgres_up");
	} else if (d->pg_seen != PG_SEEN_DOWN) {
		log_warn("dispatch.postgres_down", LOG_STR("error", reason));
	}
	d->pg_seen = up ? PG_SEEN_UP : PG_SEEN_DOWN;
}

/* That the server is away says the other connection. */
static void on_writer_state(void *arg, bool up, const char *reason)
{
	struct dispatcher *d = arg;

	written_forget(d->o.written);
	d->write_not_before_ms = 0;
	d->write_errors = 0;
	if (up) {
		if (d->writer_missed)
			log_info("dispatch.results_connected");
		d->writer_missed = false;
	} else if (!d->writer_missed && d->pg_seen == PG_SEEN_UP) {
		log_warn("dispatch.results_not_connected", LOG_STR("error", reason));
		d->writer_missed = true;
	}
}

/* ---- Life ---- */

static void set_limits(struct dispatcher *d)
{
	const struct config *cfg = d->o.cfg;

	d->slots = (size_t)config_int(cfg, CONFIG_KEY_HTTP_SLOTS);
	d->batch_max = (size_t)config_int(cfg, CONFIG_KEY_CLAIM_BATCH_MAX);
	d->lease_ms = config_int(cfg, CONFIG_KEY_JOB_LEASE_S) * 1000;
	d->margin_ms = config_int(cfg, CONFIG_KEY_LEASE_MARGIN_S) * 1000;
	d->post_timeout_ms = config_int(cfg, CONFIG_KEY_PROVIDER_TIMEOUT_S) * 1000;
	d->max_call_s = config_int(cfg, CONFIG_KEY_MAX_CALL_S);
	kafka_group(cfg, "dispatch", d->group);
}

static void start_watchers(struct dispatcher *d)
{
	ev_prepare_init(&d->turn, on_turn);
	d->turn.data = d;
	ev_prepare_start(d->loop, &d->turn);
	ev_timer_init(&d->linger, on_linger, 0.0, 0.0);
	d->linger.data = d;
	ev_timer_init(&d->ticker, on_tick, TICK_S, TICK_S);
	d->ticker.data = d;
	ev_timer_start(d->loop, &d->ticker);
}

static bool connect_all(struct dispatcher *d, struct buf *error)
{
	const struct config *cfg = d->o.cfg;
	const char *topics[] = {topic(d), NULL};
	struct pg_options po = {
		.url = config_str(cfg, CONFIG_KEY_DATABASE_URL),
		.application_name = "carillon-dispatcher",
		.stmts = consumer_stmts,
		.stmts_count = CONSUMER_STMT_COUNT,
		.statement_timeout_ms = STATEMENT_TIMEOUT_MS,
		.max_batches = BATCHES_MAX,
		.on_state = on_pg_state,
		.arg = d,
		.clock = d->o.clock,
	};
	const struct http_client_options ho = {
		.max_requests = d->slots,
		.connection_max_idle_s = (long)config_int(cfg, CONFIG_KEY_CONNECTION_MAX_IDLE_S),
		.allow_insecure = config_bool(cfg, CONFIG_KEY_ALLOW_INSECURE_PROVIDERS),
		.user_agent = "carillon/" CARILLON_VERSION,
		.clock = d->o.clock,
	};
	const struct kafka_consumer_options ko = {
		.settings = {.brokers = config_str(cfg, CONFIG_KEY_KAFKA_BROKERS),
			     .properties_file = config_str(cfg, CONFIG_KEY_KAFKA_PROPERTIES),
			     .client_id = d->o.worker},
		.group_id = d->group,
		.group_instance_id = config_is_set(cfg, CONFIG_KEY_WORKER_NAME)
					     ? config_str(cfg, CONFIG_KEY_WORKER_NAME)
					     : NULL,
		.topics = topics,
		.session_timeout_ms = (int)config_int(cfg, CONFIG_KEY_KAFKA_SESSION_TIMEOUT_MS),
		.max_queued_kbytes = QUEUED_KBYTES,
		.on_message = on_message,
		.on_assign = on_assign,
		.on_revoke = on_revoke,
		.on_error = on_kafka_error,
		.arg = d,
	};

	d->pg = pg_new(d->loop, &po);
	po.application_name = "carillon-dispatcher results";
	po.on_state = on_writer_state;
	d->writer = pg_new(d->loop, &po);
	d->http = http_client_new(d->loop, &ho);
	if (!d->pg || !d->writer || !d->http) {
		buf_adds(error, "no memory");
		return false;
	}
	d->kafka = kafka_consumer_new(d->loop, &ko, error);
	return d->kafka != NULL;
}

struct dispatcher *dispatcher_new(struct ev_loop *loop, const struct dispatcher_options *o,
				  struct buf *error)
{
	struct dispatcher *d = calloc(1, sizeof(*d));

	if (!d) {
		buf_adds(error, "no memory");
		return NULL;
	}
	d->loop = loop;
	d->o = *o;
	set_limits(d);
	size_t more = d->slots * (JOBS_PER_SLOT - 1);
	if (!job_pool_init(&d->pool, d->slots + (more < JOBS_EXTRA_MAX ? more : JOBS_EXTRA_MAX),
			   d)) {
		buf_adds(error, "no memory");
		free(d);
		return NULL;
	}
	dispatch_claim_init(d);
	result_batch_init(&d->results, d->o.cfg);
	provider_request_init(&d->request);
	start_watchers(d);
	if (!connect_all(d, error)) {
		dispatcher_free(d);
		return NULL;
	}
	stop_feed_ask(d->o.stop_feed, dispatch_waiting, d);
	return d;
}

int64_t dispatcher_lag(const struct dispatcher *d)
{
	return kafka_consumer_lag(d->kafka);
}

bool dispatcher_is_ready(const struct dispatcher *d)
{
	return !d->stopping && dispatcher_has_database(d) && kafka_consumer_ready(d->kafka);
}

bool dispatcher_has_database(const struct dispatcher *d)
{
	return pg_is_up(d->pg) && pg_is_up(d->writer);
}

/* What only waited was decided by nobody: its offset is not stored, and it is read again by
 * another. */
static void drop_waiting(struct dispatcher *d)
{
	struct job *j, *next;

	for (j = d->pool.lists[JOB_WAITING]; j; j = next) {
		next = j->next;
		if (!j->lost)
			job_forget(&d->pool, j);
	}
}

void dispatcher_stop(struct dispatcher *d, void (*done)(void *arg), void *arg)
{
	d->stopping = true;
	d->stopped = done;
	d->stopped_arg = arg;
	d->stop_deadline_ms = clock_boot_ms(d->o.clock) + d->post_timeout_ms + STOP_MARGIN_MS;
	drop_waiting(d);
}

void dispatcher_free(struct dispatcher *d)
{
	if (!d)
		return;
	d->stopping = true;
	stop_feed_ask(d->o.stop_feed, NULL, NULL);
	ev_prepare_stop(d->loop, &d->turn);
	ev_timer_stop(d->loop, &d->ticker);
	ev_timer_stop(d->loop, &d->linger);
	kafka_consumer_free(d->kafka);
	http_client_free(d->http);
	pg_free(d->pg);
	pg_free(d->writer);
	dispatch_claim_release(d);
	result_batch_release(&d->results);
	provider_request_release(&d->request);
	job_pool_release(&d->pool);
	free(d);
}
