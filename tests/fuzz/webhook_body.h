/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzzer's input as the body of a provider's callback that was let in: whatever it says, the
 * event made of it stays within its bounds, is made again the same, and can be published.
 */
#ifndef CARILLON_FUZZ_WEBHOOK_BODY_H
#define CARILLON_FUZZ_WEBHOOK_BODY_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "webhook/adapter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REASON_BYTES 512

static inline const char *no_header(void *arg, const char *name)
{
	(void)arg, (void)name;
	return NULL;
}

static inline void check_message(struct msg_codec *codec, const struct msg *m)
{
	struct buf value, error;
	struct msg again;
	int32_t id;

	buf_init(&value, MSG_VALUE_BYTES_MAX);
	buf_init(&error, REASON_BYTES);
	if (msg_encode(codec, m, &value) != 0 ||
	    msg_decode(codec, m->type, value.data, value.len, &again, &id, &error) != MSG_DECODED)
		abort();
	buf_release(&error);
	buf_release(&value);
}

static inline void check_event(struct msg_codec *codec, const struct msg_call_event *e)
{
	const struct rule_set no_rules = {0};
	struct rule_decision d;

	assert(*e->event_id && strlen(e->event_id) < WEBHOOK_EVENT_ID_BYTES);
	assert(!e->phone || phone_is_e164(e->phone));
	assert(!e->job_id || uuid_valid(e->job_id));
	assert(!e->provider_call_id || *e->provider_call_id);
	assert(!e->outcome || *e->outcome);
	assert(e->type != EVENT_REPORT || e->outcome);
	assert(e->occurred_at <= e->received_at);
	assert(e->duration_ms == MSG_NO_INT ||
	       (e->duration_ms >= 0 && e->duration_ms <= INT32_MAX));
	check_message(codec, &(struct msg){.type = MSG_CALL_EVENT, .event = *e});
	rules_decide(&no_rules, e, &d);
	if (d.has_redial)
		check_message(codec, &(struct msg){.type = MSG_REDIAL_UPDATE, .redial = d.redial});
}

static inline void fuzz_request(const struct webhook_adapter *adapter,
				const struct webhook_request *r)
{
	static struct msg_codec *codec;
	const struct account a = {
		.name = adapter->provider, .tenant = "default", .provider = adapter->provider};
	struct webhook_event first, second;
	struct buf error;

	if (!codec)
		codec = msg_codec_new();
	assert(codec);
	buf_init(&error, REASON_BYTES);
	webhook_event_init(&first, &a, r);
	webhook_event_init(&second, &a, r);
	enum webhook_reading reading = adapter->normalize(&a, r, &first, &error);
	assert(reading != READING_BAD || error.len > 0);
	buf_clear(&error);
	assert(adapter->normalize(&a, r, &second, &error) == reading);
	if (reading == READING_EVENT) {
		assert(strcmp(first.event.event_id, second.event.event_id) == 0);
		check_event(codec, &first.event);
	} else if (reading == READING_MOVE) {
		check_message(codec,
			      &(struct msg){.type = MSG_STAGE_TRANSITION, .stage = first.move});
	}
	webhook_event_release(&first);
	webhook_event_release(&second);
	buf_release(&error);
}

static inline void fuzz_body(const struct webhook_adapter *adapter, const uint8_t *data,
			     size_t size)
{
	const struct webhook_request r = {
		.body = (const char *)data,
		.body_bytes = size,
		.header = no_header,
		.received_at = INT64_C(1700000000000),
	};

	fuzz_request(adapter, &r);
}

#endif
