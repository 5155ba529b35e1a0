/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A publication is the rows of one statement; it has a tracker for each claim among them, which is
 * what librdkafka hands back with every acknowledgement. The tracker that reaches zero without a
 * failure queues its claim for confirmation. Nothing here is remembered across a crash: the claim's
 * row without published_at is the memory.
 */
#include "producer/publisher.h"

#include <stdlib.h>
#include <string.h>

#include "common/fail_point.h"
#include "common/log.h"
#include "common/metrics.h"
#include "producer_sql.h"

#define MESSAGES_MAX 20000
#define MESSAGE_MAX_BYTES (2 << 20)
#define VALUE_MAX_BYTES 65536
#define LINGER_MS 0.5
/* Confirmations that wait for PostgreSQL; a claim beyond is published twice, which is harmless. */
#define UNCONFIRMED_MAX 4096
#define CONFIRM_DELAY_S 0.05
#define CLOSE_TIMEOUT_MS 1000
#define TRACEPARENT_BYTES 56
#define REASON_BYTES 512

struct publication;

struct claim {
	struct publisher_delivery delivery; /* of each of its messages */
	struct publication *publication;
	int64_t id;
	size_t waiting; /* messages without an answer */
	bool failed;
};

struct publication {
	struct publisher *publisher;
	publication_cb *cb;
	void *arg;
	size_t waiting;
	struct publication_result result;
	char error[128]; /* the last one */
	size_t claims_count;
	struct claim claims[];
};

struct publisher {
	struct publisher_options o;
	struct pg *pg;
	struct kafka_producer *kafka;
	char topic[256];
	struct buf value;
	size_t publications;
	int64_t unconfirmed[UNCONFIRMED_MAX]; /* the first `confirming` are in flight */
	size_t unconfirmed_count;
	size_t confirming;
	ev_timer confirm_timer;
};

/* ---- Confirmation ---- */

static void on_confirmed(void *arg, const struct pg_batch_result *r)
{
	struct publisher *p = arg;
	size_t n = p->confirming;

	p->confirming = 0;
	if (r->error.status == PG_ERROR)
		log_error("claims.not_confirmed", LOG_INT("claims", n),
			  LOG_STR("error", r->error.message));
	/* Lost with the connection: confirmed again once it is back. */
	if (r->error.status == PG_LOST || r->error.status == PG_DOWN)
		return;
	p->unconfirmed_count -= n;
	memmove(p->unconfirmed, p->unconfirmed + n,
		p->unconfirmed_count * sizeof(p->unconfirmed[0]));
	publisher_confirm(p);
	p->o.on_room(p->o.arg);
}

void publisher_confirm(struct publisher *p)
{
	struct buf ids;
	struct pg_array a;

	if (p->confirming || !p->unconfirmed_count || !pg_is_up(p->pg))
		return;
	buf_init(&ids, (size_t)UNCONFIRMED_MAX * 24);
	pg_array_init(&a, &ids);
	for (size_t i = 0; i < p->unconfirmed_count; i++)
		pg_array_add_int(&a, p->unconfirmed[i]);
	const char *text = pg_array_finish(&a);
	if (text && pg_run(p->pg, PRODUCER_CONFIRM_CLAIMS, 1, &text, on_confirmed, p))
		p->confirming = p->unconfirmed_count;
	buf_release(&ids);
}

static void on_confirm_timer(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	publisher_confirm(w->data);
}

static void queue_confirmation(struct publisher *p, int64_t claim_id)
{
	if (p->unconfirmed_count == UNCONFIRMED_MAX)
		return;
	p->unconfirmed[p->unconfirmed_count++] = claim_id;
	/* A moment later, so that claims acknowledged together are confirmed together. */
	if (ev_is_active(&p->confirm_timer))
		return;
	ev_timer_set(&p->confirm_timer, CONFIRM_DELAY_S, 0.);
	ev_timer_start(p->o.loop, &p->confirm_timer);
}

/* ---- Answers of Kafka ---- */

static void finish_publication(struct publication *b)
{
	struct publisher *p = b->publisher;

	metric_add(METRIC_PUBLISHED, NULL, (double)b->result.published);
	metric_add(METRIC_PUBLISH_FAILED, NULL, (double)b->result.failed);
	if (b->result.failed)
		log_error("jobs.not_published", LOG_INT("jobs", b->result.failed),
			  LOG_STR("error", b->error));
	p->publications--;
	if (b->cb)
		b->cb(b->arg, &b->result);
	free(b);
	p->o.on_room(p->o.arg);
}

/* One message of the claim has its answer; `error` NULL: it is in Kafka. */
static void answer(struct claim *c, const char *error)
{
	struct publication *b = c->publication;

	if (error) {
		b->result.failed++;
		c->failed = true;
		snprintf(b->error, sizeof(b->error), "%s", error);
	} else {
		b->result.published++;
	}
	if (--c->waiting == 0 && !c->failed)
		queue_confirmation(b->publisher, c->id);
	if (--b->waiting == 0)
		finish_publication(b);
}

static void on_job_delivered(struct publisher_delivery *d, const char *error)
{
	answer((struct claim *)(void *)((char *)d - offsetof(struct claim, delivery)), error);
}

static void on_delivery(void *arg, void *opaque, const char *error)
{
	struct publisher_delivery *d = opaque;

	(void)arg;
	d->done(d, error);
}

bool publisher_send(struct publisher *p, const struct kafka_message *m,
		    struct publisher_delivery *d)
{
	return p->kafka && kafka_produce(p->kafka, m, d);
}

struct msg_codec *publisher_codec(const struct publisher *p)
{
	return p->o.codec;
}

/* ---- Publishing ---- */

struct columns {
	int row, claim_id, job_id, follow_up_id, tenant, kind, lead_id, phone, account, attempt,
		due_at, dial_by;
};

static struct columns find_columns(const PGresult *rows)
{
	return (struct columns){
		.row = pg_col(rows, "row"),
		.claim_id = pg_col(rows, "claim_id"),
		.job_id = pg_col(rows, "job_id"),
		.follow_up_id = pg_col(rows, "follow_up_id"),
		.tenant = pg_col(rows, "tenant"),
		.kind = pg_col(rows, "kind"),
		.lead_id = pg_col(rows, "lead_id"),
		.phone = pg_col(rows, "phone"),
		.account = pg_col(rows, "account"),
		.attempt = pg_col(rows, "attempt"),
		.due_at = pg_col(rows, "due_at"),
		.dial_by = pg_col(rows, "dial_by"),
	};
}

static int64_t time_or_none(const PGresult *rows, int row, int col)
{
	return pg_text(rows, row, col) ? pg_int(rows, row, col) : MSG_NO_TIME;
}

static struct msg message_of(const PGresult *rows, int row, const struct columns *col)
{
	return (struct msg){
		.type = MSG_DISPATCH_REQUESTED,
		.requested =
			{
				.job_id = pg_text(rows, row, col->job_id),
				.follow_up_id = pg_text(rows, row, col->follow_up_id),
				.tenant = pg_text(rows, row, col->tenant),
				.kind = pg_text(rows, row, col->kind),
				.lead_id = pg_text(rows, row, col->lead_id),
				.phone = pg_text(rows, row, col->phone),
				.account = pg_text(rows, row, col->account),
				.attempt = pg_int(rows, row, col->attempt),
				.due_at = time_or_none(rows, row, col->due_at),
				.dial_by = time_or_none(rows, row, col->dial_by),
			},
	};
}

/* NULL, or why the message could not be handed to Kafka. */
static const char *produce(struct publisher *p, const struct msg *m, const char *traceparent,
			   struct claim *c)
{
	struct msg_envelope e;
	struct kafka_header headers[MSG_HEADERS_MAX];

	buf_clear(&p->value);
	if (msg_encode(p->o.codec, m, &p->value) != 0)
		return "the job can't be encoded";
	msg_envelope_init(&e, m, "/carillon/producer", traceparent, p->o.clock);
	for (size_t i = 0; i < e.headers_count; i++)
		headers[i] = (struct kafka_header){e.headers[i].name, e.headers[i].value};
	const struct kafka_message message = {
		.topic = p->topic,
		.key = e.key,
		.key_bytes = strlen(e.key),
		.value = p->value.data,
		.value_bytes = p->value.len,
		.headers = headers,
		.headers_count = e.headers_count,
	};
	return kafka_produce(p->kafka, &message, &c->delivery) ? NULL
							       : "the queue to Kafka is full";
}

/* One trace a publication: what was claimed together. */
static void new_traceparent(const struct clock *clock, char ret_text[TRACEPARENT_BYTES])
{
	uint64_t id[3];

	for (size_t i = 0; i < 3; i++)
		id[i] = 1 + clock_random_below(clock, UINT64_MAX - 1);
	snprintf(ret_text, TRACEPARENT_BYTES, "00-%016llx%016llx-%016llx-01",
		 (unsigned long long)id[0], (unsigned long long)id[1], (unsigned long long)id[2]);
}

/* The tracker of a claim id; rows of a claim mostly stand together. */
static struct claim *claim_of(struct publication *b, int64_t id)
{
	for (size_t i = b->claims_count; i-- > 0;) {
		if (b->claims[i].id == id)
			return &b->claims[i];
	}
	struct claim *c = &b->claims[b->claims_count++];
	*c = (struct claim){.delivery = {on_job_delivered}, .publication = b, .id = id};
	return c;
}

static bool is_job(const PGresult *rows, int row, const struct columns *col)
{
	return strcmp(pg_text(rows, row, col->row), "job") == 0;
}

/* With a tracker for each claim, and every job counted as waiting. NULL without memory. */
static struct publication *new_publication(struct publisher *p, const PGresult *rows,
					   const struct columns *col)
{
	int count = PQntuples(rows);
	struct publication *b = calloc(1, sizeof(*b) + (size_t)count * sizeof(struct claim));

	if (!b)
		return NULL;
	b->publisher = p;
	for (int row = 0; row < count; row++) {
		if (!is_job(rows, row, col))
			continue;
		claim_of(b, pg_int(rows, row, col->claim_id))->waiting++;
		b->waiting++;
	}
	return b;
}

size_t publisher_publish(struct publisher *p, const PGresult *rows, publication_cb *cb, void *arg)
{
	const struct columns col = find_columns(rows);
	struct publication *b = new_publication(p, rows, &col);
	char traceparent[TRACEPARENT_BYTES];

	if (!b || b->waiting == 0) {
		/* Without memory the claims stay unconfirmed, and are published again. */
		free(b);
		if (cb)
			cb(arg, &(struct publication_result){0});
		return 0;
	}
	fail_point(FAIL_CLAIMED);
	size_t jobs = b->waiting;
	b->cb = cb;
	b->arg = arg;
	p->publications++;
	new_traceparent(p->o.clock, traceparent);
	/* The publication is freed with its last answer, which may be one given here. */
	for (int row = 0, left = (int)jobs; left > 0; row++) {
		if (!is_job(rows, row, &col))
			continue;
		left--;
		const struct msg m = message_of(rows, row, &col);
		struct claim *c = claim_of(b, pg_int(rows, row, col.claim_id));
		const char *error = produce(p, &m, traceparent, c);
		if (error)
			answer(c, error);
	}
	return jobs;
}

/* ---- Life ---- */

struct publisher *publisher_new(const struct publisher_options *o)
{
	struct publisher *p = calloc(1, sizeof(*p));

	if (!p)
		abort();
	p->o = *o;
	buf_init(&p->value, VALUE_MAX_BYTES);
	snprintf(p->topic, sizeof(p->topic), "%s%s", config_str(o->cfg, CONFIG_KEY_TOPIC_PREFIX),
		 msg_type_info(MSG_DISPATCH_REQUESTED)->topic_suffix);
	ev_timer_init(&p->confirm_timer, on_confirm_timer, 0., 0.);
	p->confirm_timer.data = p;
	return p;
}

void publisher_set_database(struct publisher *p, struct pg *pg)
{
	p->pg = pg;
}

bool publisher_start(struct publisher *p)
{
	char reason[REASON_BYTES];
	struct buf error;
	const char *const topics[] = {p->topic, NULL};
	const struct kafka_producer_options o = {
		.settings =
			{
				.brokers = config_str(p->o.cfg, CONFIG_KEY_KAFKA_BROKERS),
				.properties_file =
					config_str(p->o.cfg, CONFIG_KEY_KAFKA_PROPERTIES),
				.client_id = config_str(p->o.cfg, CONFIG_KEY_WORKER_NAME),
			},
		.linger_ms = LINGER_MS,
		.message_timeout_ms = PUBLISH_TIMEOUT_MS,
		.max_messages = MESSAGES_MAX,
		.max_message_bytes = MESSAGE_MAX_BYTES,
		.topics = topics,
		.on_delivery = on_delivery,
		.arg = p,
	};

	buf_init_fixed(&error, reason, sizeof(reason));
	p->kafka = kafka_producer_new(p->o.loop, &o, &error);
	if (!p->kafka)
		log_error("kafka.not_started", LOG_STR("error", error.data));
	return p->kafka != NULL;
}

bool publisher_ready(const struct publisher *p)
{
	return p->kafka && kafka_producer_ready(p->kafka);
}

size_t publisher_room(const struct publisher *p)
{
	return p->kafka ? MESSAGES_MAX - kafka_producer_in_flight(p->kafka) : 0;
}

bool publisher_idle(const struct publisher *p)
{
	return p->publications == 0 && p->unconfirmed_count == 0;
}

void publisher_close(struct publisher *p)
{
	if (!p)
		return;
	kafka_producer_free(p->kafka, CLOSE_TIMEOUT_MS);
	p->kafka = NULL;
}

void publisher_free(struct publisher *p)
{
	if (!p)
		return;
	publisher_close(p);
	ev_timer_stop(p->o.loop, &p->confirm_timer);
	buf_release(&p->value);
	free(p);
}
