/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key and headers: what partitions, tracing and people at a console see of a message without
 * decoding it.
 */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "common/kafka.h"
#include "common/msg.h"

#define TRACEPARENT_BYTES 55 /* 00-<32 hex>-<16 hex>-<2 hex> */
#define TRACE_ID_AT 3
#define TRACE_ID_BYTES 32
#define SPAN_ID_AT 36
#define SPAN_ID_BYTES 16

/* What the envelope takes from a message, whatever its type. */
struct facts {
	const char *key[4];	/* the first that is there */
	const char *subject[6]; /* the first that is there */
	const char *id;
	const char *id_suffix;
	int64_t at;
};

static struct facts facts_of(const struct msg *m)
{
	assert((unsigned)m->type < MSG_TYPE_COUNT);
	switch (m->type) {
	case MSG_DISPATCH_REQUESTED: {
		const struct msg_dispatch_requested *r = &m->requested;
		return (struct facts){
			.key = {r->phone, r->job_id},
			.subject = {r->lead_id, r->job_id},
			.id = r->job_id,
			.at = MSG_NO_TIME,
		};
	}
	case MSG_DISPATCH_RESULT: {
		const struct msg_dispatch_result *r = &m->result;
		return (struct facts){
			.key = {r->phone, r->provider_call_id, r->job_id},
			.subject = {r->lead_id, r->job_id},
			.id = r->job_id,
			.id_suffix = dispatch_result_text(r->result),
			.at = r->answered_at,
		};
	}
	case MSG_CALL_EVENT: {
		const struct msg_call_event *v = &m->event;
		return (struct facts){
			.key = {v->phone, v->provider_call_id, v->job_id, v->event_id},
			.subject = {v->lead_id, v->job_id, v->provider_call_id, v->event_id},
			.id = v->event_id,
			.at = v->occurred_at,
		};
	}
	case MSG_REDIAL_UPDATE: {
		const struct msg_redial_update *r = &m->redial;
		return (struct facts){
			.key = {r->phone, r->provider_call_id, r->job_id, r->event_id},
			.subject = {r->lead_id, r->job_id, r->provider_call_id, r->event_id},
			.id = r->event_id,
			.at = r->ended_at,
		};
	}
	case MSG_STAGE_TRANSITION: {
		const struct msg_stage_transition *t = &m->stage;
		const char *lead = t->entity == ENTITY_LEAD ? t->id : NULL;
		return (struct facts){
			.key = {t->phone, t->provider_call_id, t->job_id, t->event_id},
			.subject = {lead, t->job_id, t->id, t->provider_call_id, t->event_id},
			.id = t->event_id,
			.at = t->at,
		};
	}
	case MSG_TYPE_COUNT:
		break;
	}
	return (struct facts){0};
}

static const char *first_of(const char *const *texts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (texts[i] && *texts[i])
			return texts[i];
	}
	return "-";
}

/* ---- Ids ---- */

/* FNV-1a. */
static uint64_t hash_text(const char *s)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
	return h;
}

void msg_id_fit(const char *id, const char *suffix, char *ret_text, size_t n)
{
	size_t id_bytes = strlen(id);
	size_t suffix_bytes = strlen(suffix);
	struct buf b;

	assert(n > suffix_bytes + 32);
	buf_init_fixed(&b, ret_text, n);
	if (id_bytes + suffix_bytes < n) {
		buf_add(&b, id, id_bytes);
	} else {
		const size_t hash_bytes = 17; /* "~" and 16 digits */
		buf_add(&b, id, utf8_prefix(id, id_bytes, n - 1 - suffix_bytes - hash_bytes));
		buf_addf(&b, "~%016" PRIx64, hash_text(id));
	}
	buf_adds(&b, suffix);
}

/* ---- Trace ---- */

static bool is_hex(const char *s, size_t n)
{
	return strspn(s, "0123456789abcdef") >= n && strspn(s, "0") < n;
}

/* Version 00 of the W3C's header; ids of zeros are none. */
static bool traceparent_valid(const char *t)
{
	return t && strlen(t) == TRACEPARENT_BYTES && strncmp(t, "00-", TRACE_ID_AT) == 0 &&
	       is_hex(t + TRACE_ID_AT, TRACE_ID_BYTES) && t[SPAN_ID_AT - 1] == '-' &&
	       is_hex(t + SPAN_ID_AT, SPAN_ID_BYTES) && t[SPAN_ID_AT + SPAN_ID_BYTES] == '-';
}

static void add_hex(struct buf *b, const unsigned char *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++)
		buf_add(b, (char[]){digits[bytes[i] >> 4], digits[bytes[i] & 15]}, 2);
}

static void add_traceparent(struct buf *b, const char *parent, const struct clock *clock)
{
	unsigned char random[(TRACE_ID_BYTES + SPAN_ID_BYTES) / 2];
	unsigned char *span = random + TRACE_ID_BYTES / 2;

	clock->random(clock->arg, random, sizeof(random));
	random[0] |= 1; /* never all zeros */
	span[0] |= 1;
	buf_adds(b, "00-");
	if (traceparent_valid(parent))
		buf_add(b, parent + TRACE_ID_AT, TRACE_ID_BYTES);
	else
		add_hex(b, random, TRACE_ID_BYTES / 2);
	buf_addc(b, '-');
	add_hex(b, span, SPAN_ID_BYTES / 2);
	buf_adds(b, "-01");
}

/* ---- Headers ---- */

/* The next header's value, to be written. */
static struct buf next_header(struct msg_envelope *e, const char *name)
{
	struct buf b;

	assert(e->headers_count < MSG_HEADERS_MAX);
	e->headers[e->headers_count].name = name;
	buf_init_fixed(&b, e->headers[e->headers_count++].value, MSG_HEADER_BYTES);
	return b;
}

static void add_header(struct msg_envelope *e, const char *name, const char *value)
{
	struct buf b = next_header(e, name);

	buf_add(&b, value, utf8_prefix(value, strlen(value), MSG_HEADER_BYTES - 1));
}

static void add_id_header(struct msg_envelope *e, const struct facts *f)
{
	char suffix[32] = "";

	if (f->id_suffix) {
		struct buf b;
		buf_init_fixed(&b, suffix, sizeof(suffix));
		buf_addf(&b, ":%s", f->id_suffix);
	}
	next_header(e, "ce_id");
	msg_id_fit(f->id ? f->id : "-", suffix, e->headers[e->headers_count - 1].value,
		   MSG_HEADER_BYTES);
}

void msg_envelope_init(struct msg_envelope *e, const struct msg *m, const char *source,
		       const char *traceparent, const struct clock *clock)
{
	struct facts f = facts_of(m);
	char time[TIME_TEXT_BYTES];

	time_format(f.at != MSG_NO_TIME ? f.at : clock_wall_ms(clock), time);
	e->key = first_of(f.key, sizeof(f.key) / sizeof(f.key[0]));
	e->headers_count = 0;
	add_id_header(e, &f);
	add_header(e, "ce_source", source);
	add_header(e, "ce_type", msg_type_info(m->type)->ce_type);
	add_header(e, "ce_specversion", "1.0");
	add_header(e, "ce_time", time);
	add_header(e, "ce_subject", first_of(f.subject, sizeof(f.subject) / sizeof(f.subject[0])));
	add_header(e, "content-type", "application/avro");
	struct buf b = next_header(e, "traceparent");
	add_traceparent(&b, traceparent, clock);
}

size_t msg_envelope_headers(const struct msg_envelope *e, struct kafka_header *ret_headers)
{
	for (size_t i = 0; i < e->headers_count; i++) {
		ret_headers[i] = (struct kafka_header){
			.name = e->headers[i].name,
			.value = e->headers[i].value,
		};
	}
	return e->headers_count;
}
