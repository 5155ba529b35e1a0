/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A callback is handled to its last message in one go; what waits is a small record of the
 * exchange. The record outlives its answer until Kafka has told of each of its messages, because
 * their deliveries point to it.
 */
#include "webhook/ingest.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/fail_point.h"
#include "common/log.h"
#include "common/metrics.h"
#include "webhook/dead_letter.h"
#include "webhook/refusals.h"

#define SOURCE "/carillon/webhook"
#define ERROR_BYTES 512
#define NAME_BYTES 128

/* A message that is sent once others are in Kafka. */
struct held {
	const char *topic;
	struct msg_envelope envelope; /* its key is behind the value */
	size_t value_bytes;
	char value[];
};

/* One exchange that waits for Kafka. */
struct pending {
	struct pending *prev, *next;
	void *exchange; /* NULL: answered */
	unsigned waiting;
	struct held *held; /* or NULL */
	struct ingest_answer success;
	int64_t deadline; /* boot clock */
	size_t bytes;
	/* For the answer and the log. */
	char provider[NAME_BYTES];
	char account[NAME_BYTES];
	char event_id[WEBHOOK_EVENT_ID_BYTES];
	char provider_call_id[WEBHOOK_CALL_ID_BYTES];
	char phone[PHONE_BYTES];
	char reason[ERROR_BYTES]; /* of a 400 whose sender is told */
};

struct ingest {
	struct ingest_options o;
	struct buf value;
	struct refusals *refusals;
	struct pending *open; /* in the order of their deadlines, the answered ones too */
	size_t unanswered;
	size_t records;
	size_t bytes;
	char topics[MSG_TYPE_COUNT][INGEST_TOPIC_BYTES]; /* of `types`; others are empty */
	char dead_topic[INGEST_TOPIC_BYTES + sizeof(DEAD_LETTER_SUFFIX)];
	const char *topic_list[MSG_TYPE_COUNT + 2];
};

/* The messages it can send. */
static const enum msg_type types[] = {MSG_CALL_EVENT, MSG_REDIAL_UPDATE, MSG_STAGE_TRANSITION};
#define TYPES (sizeof(types) / sizeof(types[0]))

/* ---- Answers ---- */

static const struct ingest_answer not_stored = {
	.status = 503, .detail = "the event could not be stored; send it again"};

static void answer(struct ingest *g, void *exchange, unsigned status, const char *detail)
{
	const struct ingest_answer a = {.status = status, .detail = detail};

	g->o.answer(g->o.arg, exchange, &a);
}

/* ---- Waiting for Kafka ---- */

static struct pending *pending_new(struct ingest *g, const struct account *a, void *exchange,
				   size_t bytes)
{
	struct pending *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->exchange = exchange;
	p->deadline = clock_boot_ms(g->o.clock) + g->o.timeout_ms;
	p->bytes = bytes;
	snprintf(p->provider, sizeof(p->provider), "%s", a->provider);
	snprintf(p->account, sizeof(p->account), "%s", a->name);
	DL_APPEND(g->open, p);
	g->records++;
	g->unanswered++;
	g->bytes += bytes;
	return p;
}

static void pending_remember(struct pending *p, const struct msg_call_event *e)
{
	snprintf(p->event_id, sizeof(p->event_id), "%s", e->event_id);
	snprintf(p->provider_call_id, sizeof(p->provider_call_id), "%s",
		 e->provider_call_id ? e->provider_call_id : "");
	snprintf(p->phone, sizeof(p->phone), "%s", e->phone ? e->phone : "");
}

static const char *or_null(const char *text)
{
	return *text ? text : NULL;
}

static void pending_answer(struct ingest *g, struct pending *p, const struct ingest_answer *a)
{
	void *exchange = p->exchange;

	p->exchange = NULL;
	g->unanswered--;
	g->o.answer(g->o.arg, exchange, a);
}

/* What is held is not sent any more: it comes again, or its call is looked up. */
static void pending_fail(struct ingest *g, struct pending *p, const char *error)
{
	free(p->held);
	p->held = NULL;
	log_warn("webhook.not_stored", LOG_STR("provider", p->provider),
		 LOG_STR("account", p->account), LOG_STR("event_id", or_null(p->event_id)),
		 LOG_STR("provider_call_id", or_null(p->provider_call_id)),
		 LOG_PHONE("phone", or_null(p->phone)), LOG_STR("error", error));
	pending_answer(g, p, &not_stored);
}

/* Once nothing points to it any more. */
static void pending_end(struct ingest *g, struct pending *p)
{
	if (p->waiting > 0)
		return;
	if (p->exchange) {
		fail_point(FAIL_PUBLISHED);
		pending_answer(g, p, &p->success);
	}
	DL_DELETE(g->open, p);
	g->records--;
	g->bytes -= p->bytes;
	free(p->held);
	free(p);
}

void ingest_expire(struct ingest *g)
{
	int64_t now = clock_boot_ms(g->o.clock);
	struct pending *p, *next;

	refusals_tick(g->refusals);
	DL_FOREACH_SAFE (g->open, p, next) {
		if (p->deadline > now)
			break;
		if (p->exchange)
			pending_fail(g, p, "no acknowledgement in time");
	}
}

static bool produce(struct ingest *g, struct pending *p, const struct kafka_message *m)
{
	if (!g->o.produce(g->o.arg, m, p))
		return false;
	p->waiting++;
	return true;
}

static bool produce_value(struct ingest *g, struct pending *p, const char *topic,
			  const struct msg_envelope *e, const void *value, size_t value_bytes)
{
	struct kafka_header headers[MSG_HEADERS_MAX];
	const struct kafka_message k = {
		.topic = topic,
		.key = e->key,
		.key_bytes = strlen(e->key),
		.value = value,
		.value_bytes = value_bytes,
		.headers = headers,
		.headers_count = msg_envelope_headers(e, headers),
	};

	return produce(g, p, &k);
}

/* Its turn has come. */
static void produce_held(struct ingest *g, struct pending *p)
{
	struct held *h = p->held;

	p->held = NULL;
	if (!produce_value(g, p, h->topic, &h->envelope, h->value, h->value_bytes) && p->exchange)
		pending_fail(g, p, "Kafka's queue is full");
	free(h);
}

void ingest_on_delivery(struct ingest *g, void *opaque, const char *error)
{
	struct pending *p = opaque;

	assert(p->waiting > 0);
	p->waiting--;
	if (error && p->exchange)
		pending_fail(g, p, error);
	if (p->held && p->waiting == 0)
		produce_held(g, p);
	pending_end(g, p);
}

/* ---- Events ---- */

enum published { PUBLISHED, NOT_TAKEN, NOT_ENCODED };

static bool encode(struct ingest *g, const struct msg *m, const char *traceparent,
		   struct msg_envelope *ret_envelope)
{
	buf_clear(&g->value);
	if (msg_encode(g->o.codec, m, &g->value) != 0)
		return false;
	msg_envelope_init(ret_envelope, m, SOURCE, traceparent, g->o.clock);
	return true;
}

static enum published publish(struct ingest *g, struct pending *p, const struct msg *m,
			      const char *traceparent)
{
	struct msg_envelope e;

	if (!encode(g, m, traceparent, &e))
		return NOT_ENCODED;
	return produce_value(g, p, g->topics[m->type], &e, g->value.data, g->value.len) ? PUBLISHED
											: NOT_TAKEN;
}

/* To be sent when all that is sent meanwhile is in Kafka. */
static enum published hold(struct ingest *g, struct pending *p, const struct msg *m,
			   const char *traceparent)
{
	struct msg_envelope e;

	if (!encode(g, m, traceparent, &e))
		return NOT_ENCODED;
	size_t key_bytes = strlen(e.key) + 1;
	struct held *h = malloc(sizeof(*h) + g->value.len + key_bytes);
	if (!h)
		return NOT_TAKEN;
	h->topic = g->topics[m->type];
	h->envelope = e;
	h->value_bytes = g->value.len;
	memcpy(h->value, g->value.data, g->value.len);
	h->envelope.key = memcpy(h->value + g->value.len, e.key, key_bytes);
	p->held = h;
	p->bytes += g->value.len;
	g->bytes += g->value.len;
	return PUBLISHED;
}

/*
 * The event and what the rules make of it: one to three messages. What follows from an end goes
 * first: a call that is over is not looked up again, and a decision that was lost then, or an
 * asked-for silence, would never be made. Twice it does no harm.
 */
static enum published publish_all(struct ingest *g, struct pending *p,
				  const struct webhook_event *e, const char *traceparent)
{
	struct rule_decision d;
	struct msg m = {.type = MSG_CALL_EVENT, .event = e->event};

	rules_decide(&e->snapshot->rules, &e->event, &d);
	enum published done = d.has_redial || d.has_stage ? hold(g, p, &m, traceparent)
							  : publish(g, p, &m, traceparent);
	if (done == PUBLISHED && d.has_redial) {
		d.redial.list_id = e->list_id;
		d.redial.first_name = e->first_name;
		d.redial.last_name = e->last_name;
		d.redial.state = e->state;
		m = (struct msg){.type = MSG_REDIAL_UPDATE, .redial = d.redial};
		done = publish(g, p, &m, traceparent);
	}
	if (done == PUBLISHED && d.has_stage) {
		m = (struct msg){.type = MSG_STAGE_TRANSITION, .stage = d.stage};
		done = publish(g, p, &m, traceparent);
	}
	return done;
}

/* A state to move to: one message, about no call's event. */
static enum published publish_move(struct ingest *g, struct pending *p,
				   const struct webhook_event *e, const char *traceparent)
{
	const struct msg m = {.type = MSG_STAGE_TRANSITION, .stage = e->move};

	return publish(g, p, &m, traceparent);
}

/* A request on its way through, with what was found for it. */
struct passage {
	struct ingest *g;
	const struct webhook_adapter *adapter;
	const struct snapshot *snapshot;
	const struct account *account;
	const struct webhook_request *request;
	void *exchange;
};

/* It may well be authentic: to be sent again. */
static void refuse_for_memory(const struct passage *t)
{
	log_warn("webhook.no_memory", LOG_STR("provider", t->account->provider),
		 LOG_STR("account", t->account->name));
	t->g->o.answer(t->g->o.arg, t->exchange, &not_stored);
}

/* What is authentic but of no use to us as it is: kept for an operator before it is refused. */
static void refuse_unreadable(const struct passage *t, const char *reason)
{
	struct ingest *g = t->g;
	struct pending *p = pending_new(g, t->account, t->exchange, t->request->body_bytes);
	struct dead_letter l;

	log_warn("webhook.unreadable", LOG_STR("provider", t->account->provider),
		 LOG_STR("account", t->account->name), LOG_STR("reason", reason));
	if (!p) {
		g->o.answer(g->o.arg, t->exchange, &not_stored);
		return;
	}
	p->success =
		(struct ingest_answer){.status = 400, .detail = "the body can't be understood"};
	if (t->adapter->tells_reasons) {
		snprintf(p->reason, sizeof(p->reason), "%s", reason);
		p->success.detail = p->reason;
	}
	dead_letter_init(&l, g->dead_topic, g->topics[MSG_CALL_EVENT], SOURCE, t->account,
			 t->request, reason);
	if (!produce(g, p, &l.message))
		pending_fail(g, p, "Kafka's queue is full");
	else
		metric_add(METRIC_DEAD_LETTERS, g->topics[MSG_CALL_EVENT], 1);
	pending_end(g, p);
}

static void publish_message(const struct passage *t, const struct webhook_event *e,
			    enum published (*publish_it)(struct ingest *g, struct pending *p,
							 const struct webhook_event *e,
							 const char *traceparent),
			    const char *counted_as)
{
	struct ingest *g = t->g;
	const char *traceparent = t->request->header(t->request->header_arg, "traceparent");
	struct pending *p = pending_new(g, t->account, t->exchange, t->request->body_bytes);

	if (!p) {
		g->o.answer(g->o.arg, t->exchange, &not_stored);
		return;
	}
	pending_remember(p, &e->event);
	p->success = (struct ingest_answer){
		.status = 202,
		.event_id = p->event_id,
		.says_success = t->adapter->answers_success,
	};
	switch (publish_it(g, p, e, traceparent)) {
	case PUBLISHED:
		metric_add(METRIC_WEBHOOK_EVENTS, counted_as, 1);
		break;
	case NOT_TAKEN:
		pending_fail(g, p, "Kafka's queue is full");
		break;
	case NOT_ENCODED:
		pending_fail(g, p, "the message can't be encoded");
		break;
	}
	pending_end(g, p);
}

static void read_event(const struct passage *t)
{
	struct webhook_event e;
	struct buf error;

	buf_init(&error, ERROR_BYTES);
	webhook_event_init(&e, t->account, t->request);
	e.snapshot = t->snapshot;
	switch (t->adapter->normalize(t->account, t->request, &e, &error)) {
	case READING_EVENT:
		publish_message(t, &e, publish_all, event_type_text(e.event.type));
		break;
	case READING_MOVE:
		publish_message(t, &e, publish_move, e.move.reason);
		break;
	case READING_UNUSED:
		metric_add(METRIC_WEBHOOK_EVENTS, "unused", 1);
		t->g->o.answer(t->g->o.arg, t->exchange,
			       &(struct ingest_answer){
				       .status = 202, .says_success = t->adapter->answers_success});
		break;
	case READING_BAD:
		if (e.no_memory || error.failed)
			refuse_for_memory(t);
		else
			refuse_unreadable(t, error.data);
		break;
	}
	webhook_event_release(&e);
	buf_release(&error);
}

/* ---- Who is it? ---- */

/* True if it may go on; else it is answered. */
static bool is_authentic(const struct passage *t)
{
	static const char forged[] = "wrong secret or signature";
	static const char no_secret[] = "no secret is configured";

	errno = 0;
	enum webhook_verify v = t->adapter->verify(t->account, t->request);

	if (v == VERIFY_OK)
		return true;
	if (v == VERIFY_FORGED && errno == ENOMEM) {
		refuse_for_memory(t);
		return false;
	}
	refusals_add(t->g->refusals, t->account, v == VERIFY_FORGED ? forged : no_secret);
	metric_add(METRIC_SIGNATURE_FAILURES, t->account->name, 1);
	answer(t->g, t->exchange, 401, "the request can't be verified");
	return false;
}

void ingest_take(struct ingest *g, const char *provider, const char *account,
		 const struct webhook_request *r, void *exchange)
{
	struct passage t = {
		.g = g,
		.adapter = webhook_adapter_find(provider),
		.snapshot = g->o.snapshot(g->o.arg),
		.request = r,
		.exchange = exchange,
	};

	/* The names come from the path, where a token may stand in the wrong place: not logged. */
	if (!t.adapter) {
		answer(g, exchange, 404, "no such provider");
		return;
	}
	if (!t.snapshot) {
		answer(g, exchange, 503, "not ready yet");
		return;
	}
	/* One that is not active takes no new calls; those made before still end. */
	t.account = snapshot_account(t.snapshot, account);
	if (snapshot_account_is_shut(t.snapshot, account)) {
		/* The trouble is ours: what it sends may be authentic. */
		log_warn("webhook.account_shut", LOG_STR("account", account));
		g->o.answer(g->o.arg, exchange, &not_stored);
		return;
	}
	if (!t.account || strcmp(t.account->provider, provider) != 0) {
		answer(g, exchange, 404, "no such account");
		return;
	}
	if (!is_authentic(&t))
		return;
	fail_point(FAIL_CALLED);
	if (g->records >= g->o.max_open || g->bytes + r->body_bytes > g->o.max_open_bytes) {
		log_warn("webhook.overloaded", LOG_STR("provider", t.account->provider),
			 LOG_STR("account", t.account->name), LOG_INT("open", g->records));
		g->o.answer(g->o.arg, exchange, &not_stored);
		return;
	}
	read_event(&t);
}

/* ---- Life ---- */

struct ingest *ingest_new(const struct ingest_options *o)
{
	struct ingest *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->refusals = refusals_new(o->clock);
	if (!g->refusals) {
		free(g);
		return NULL;
	}
	g->o = *o;
	g->o.topic_prefix = NULL; /* the topics are made of it here */
	buf_init(&g->value, MSG_VALUE_BYTES_MAX);
	for (size_t i = 0; i < TYPES; i++) {
		char *topic = g->topics[types[i]];
		snprintf(topic, INGEST_TOPIC_BYTES, "%s%s", o->topic_prefix,
			 msg_type_info(types[i])->topic_suffix);
		g->topic_list[i] = topic;
	}
	snprintf(g->dead_topic, sizeof(g->dead_topic), "%s%s", g->topics[MSG_CALL_EVENT],
		 DEAD_LETTER_SUFFIX);
	g->topic_list[TYPES] = g->dead_topic;
	return g;
}

void ingest_free(struct ingest *g)
{
	if (!g)
		return;
	assert(!g->open);
	refusals_free(g->refusals);
	buf_release(&g->value);
	free(g);
}

size_t ingest_open(const struct ingest *g)
{
	return g->unanswered;
}

const char *const *ingest_topics(const struct ingest *g)
{
	return g->topic_list;
}
