/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever a provider sends in whatever place: the event stays within bounds and can be published.
 * Each value of a document is replaced, one after the other, by everything it should not be.
 */
#ifndef CARILLON_TESTS_WEBHOOK_HOSTILE_H
#define CARILLON_TESTS_WEBHOOK_HOSTILE_H

#include "webhook_fixture.h"

#include <stdlib.h>

#include "common/json.h"

/* What holds for each event, whatever it was made of. */
static inline void assert_event_sound(struct msg_codec *codec, const struct msg_call_event *e)
{
	const struct rule_set no_rules = {0};
	struct msg m = {.type = MSG_CALL_EVENT, .event = *e};
	struct rule_decision d;
	struct buf value, error;
	int32_t id;

	size_t id_bytes = e->event_id ? strlen(e->event_id) : 0;
	assert_true(id_bytes > 5 && id_bytes < WEBHOOK_EVENT_ID_BYTES);
	assert_true(!e->phone || phone_is_e164(e->phone));
	assert_true(!e->job_id || uuid_valid(e->job_id));
	assert_true(!e->outcome || *e->outcome);
	assert_true(!e->provider_call_id || *e->provider_call_id);
	assert_true(e->occurred_at <= e->received_at);
	assert_true(e->duration_ms == MSG_NO_INT ||
		    (e->duration_ms >= 0 && e->duration_ms <= INT32_MAX));
	assert_true(e->type != EVENT_REPORT || e->outcome);
	buf_init(&value, MSG_VALUE_BYTES_MAX);
	buf_init(&error, 1024);
	if (msg_encode(codec, &m, &value) != 0)
		fail_msg("event %s can't be encoded", e->event_id);
	if (msg_decode(codec, MSG_CALL_EVENT, value.data, value.len, &m, &id, &error) !=
	    MSG_DECODED)
		fail_msg("event %s: %s", e->event_id, error.data);
	rules_decide(&no_rules, e, &d);
	if (d.has_redial) {
		m = (struct msg){.type = MSG_REDIAL_UPDATE, .redial = d.redial};
		buf_clear(&value);
		assert_int_equal(msg_encode(codec, &m, &value), 0);
	}
	buf_release(&error);
	buf_release(&value);
}

static inline void assert_move_sound(struct msg_codec *codec, const struct msg_stage_transition *s)
{
	struct msg m = {.type = MSG_STAGE_TRANSITION, .stage = *s};
	struct buf value;

	assert_true(!s->phone || phone_is_e164(s->phone));
	assert_true(!s->job_id || uuid_valid(s->job_id));
	assert_true(!s->id || uuid_valid(s->id));
	assert_true(s->id || s->job_id || s->phone);
	json_t *detail = json_loads(s->detail, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(detail);
	json_decref(detail);
	buf_init(&value, MSG_VALUE_BYTES_MAX);
	assert_int_equal(msg_encode(codec, &m, &value), 0);
	buf_release(&value);
}

/* Normalizes a document; what comes out must be sound. */
static inline enum webhook_reading normalize_text(const struct webhook_adapter *adapter,
						  const struct account *a, struct msg_codec *codec,
						  const char *text, size_t n)
{
	struct sent_header headers[] = {{"webhook-id", "msg_1"}, {NULL, NULL}};
	struct webhook_request r = request_of("", headers);
	struct webhook_event e;
	struct buf error;

	r.body = text;
	r.body_bytes = n;
	buf_init(&error, 1024);
	webhook_event_init(&e, a, &r);
	enum webhook_reading reading = adapter->normalize(a, &r, &e, &error);
	if (reading == READING_EVENT)
		assert_event_sound(codec, &e.event);
	else if (reading == READING_MOVE)
		assert_move_sound(codec, &e.move);
	else if (reading == READING_BAD)
		assert_true(error.len > 0);
	webhook_event_release(&e);
	buf_release(&error);
	return reading;
}

/* What to put in the places of a document: some of everything that JSON can hold. */
static inline json_t *hostile_values(void)
{
	json_t *values = json_pack("[b, b, n, i, i, f, f, s, s, s, s, s, [], {}, [s], {s:s}]", 0, 1,
				   0, -1, 1e300, 0.5, "", " ", "Not provided", "\r\nX: y",
				   "\xc3\xa9\xf0\x9f\x98\x80", "x", "id", "x");
	char *long_text = malloc(700001);

	assert_non_null(values);
	assert_non_null(long_text);
	memset(long_text, 'A', 700000);
	long_text[700000] = '\0';
	json_array_append_new(values, json_string(long_text));
	json_array_append_new(values, json_integer(INT64_MAX));
	json_array_append_new(values, json_integer(INT64_MIN));
	free(long_text);
	return values;
}

struct hostile {
	const struct webhook_adapter *adapter;
	const struct account *account;
	struct msg_codec *codec;
	const json_t *document;
	json_t *values;
	size_t tried;
};

static inline void hostile_try(struct hostile *h)
{
	char *text = json_dumps(h->document, JSON_COMPACT);

	assert_non_null(text);
	normalize_text(h->adapter, h->account, h->codec, text, strlen(text));
	h->tried++;
	free(text);
}

/* Tries all values in the place of each member of `object`, then goes into its members. */
static inline void hostile_members(struct hostile *h, json_t *object)
{
	const char *key;
	json_t *value, *other;
	void *next;
	size_t i;

	json_object_foreach_safe (object, next, key, value) {
		json_incref(value);
		json_array_foreach (h->values, i, other) {
			json_object_set(object, key, other);
			hostile_try(h);
		}
		json_object_set_new(object, key, value);
		if (json_is_object(value))
			hostile_members(h, value);
	}
}

/* Each member replaced, and each beginning of the text: none may do harm. */
static inline void survives_hostility(const struct webhook_adapter *adapter,
				      const struct account *a, const char *document)
{
	json_t *j = json_loads(document, 0, NULL);
	struct hostile h = {
		.adapter = adapter,
		.account = a,
		.codec = msg_codec_new(),
		.document = j,
		.values = hostile_values(),
	};

	assert_non_null(j);
	assert_non_null(h.codec);
	hostile_members(&h, j);
	assert_true(h.tried > 100);
	for (size_t n = 0; n < strlen(document); n++)
		assert_int_equal(normalize_text(adapter, a, h.codec, document, n), READING_BAD);
	json_decref(h.values);
	json_decref(j);
	msg_codec_free(h.codec);
}

#endif
