/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any other dialer, by Standard Webhooks: it dials by itself and tells of each call's end. Its
 * words for ends are outcomes, unless the database gives them another meaning. A call is known by
 * its `call_id`: told again under another webhook-id it changes nothing, disposed of again with
 * another outcome it is another event.
 */
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "webhook/adapter.h"

#define NAME_BYTES_MAX 200
#define SUMMARY_BYTES_MAX (64u << 10)
#define TRANSCRIPT_BYTES_MAX (512u << 10)
#define SECONDS_MAX (7 * 24 * 3600.0)
#define CALL_ID_BYTES 65

static bool is_end(const char *type)
{
	return strcmp(type, "call.ended") == 0 || strcmp(type, "call.completed") == 0;
}

/* By call and outcome; false: it can't be told which call it is. */
static bool set_ids(struct webhook_event *e, const json_t *data)
{
	char id[WEBHOOK_CALL_ID_BYTES + 16], suffix[RULES_OUTCOME_BYTES + 8];

	if (!webhook_id(data, "call_id", e->provider_call_id, CALL_ID_BYTES) ||
	    !*e->provider_call_id)
		return false;
	e->event.provider_call_id = e->provider_call_id;
	snprintf(id, sizeof(id), "generic:%s", e->provider_call_id);
	snprintf(suffix, sizeof(suffix), ":%s", e->outcome);
	msg_id_fit(id, suffix, e->event_id, sizeof(e->event_id));
	e->event.event_id = e->event_id;
	return true;
}

static void set_end(struct webhook_event *e, const json_t *data)
{
	double seconds = -1;
	bool success;

	e->event.type = EVENT_REPORT;
	webhook_event_ended_reason(e, json_path_text(data, "ended_reason"));
	webhook_event_occurred(e, webhook_time(data, "ended_at"));
	if (json_path_double(data, "duration_seconds", &seconds) && seconds >= 0 &&
	    seconds < SECONDS_MAX)
		webhook_event_duration(e, (int64_t)(seconds * 1000));
	if (json_path_bool(data, "success", &success))
		e->event.success = success;
	e->event.callback_at = webhook_time(data, "callback_at");
	e->event.summary = webhook_text(data, "summary", SUMMARY_BYTES_MAX);
	e->event.transcript = webhook_text(data, "transcript", TRANSCRIPT_BYTES_MAX);
	e->event.recording_url = webhook_url(data, "recording_url");
}

static void set_person(struct webhook_event *e, const json_t *data)
{
	if (webhook_id(data, "lead_id", e->lead_id, sizeof(e->lead_id)) && *e->lead_id)
		e->event.lead_id = e->lead_id;
	e->list_id = webhook_text(data, "list_id", NAME_BYTES_MAX);
	e->first_name = webhook_text(data, "first_name", NAME_BYTES_MAX);
	e->last_name = webhook_text(data, "last_name", NAME_BYTES_MAX);
	e->state = webhook_text(data, "state", NAME_BYTES_MAX);
}

static enum webhook_reading normalize(const struct account *a, const struct webhook_request *r,
				      struct webhook_event *ret, struct buf *error)
{
	const json_t *body = webhook_event_parse(ret, r, error);
	const char *type = json_path_text(body, "type");
	const json_t *data = webhook_standard_data(body);

	(void)a;
	if (!body)
		return READING_BAD;
	if (type && !is_end(type))
		return READING_UNUSED;
	if (!type)
		webhook_problem(error, "no type");
	webhook_event_status(ret, json_path_text(data, "outcome"), false);
	webhook_event_outcome(ret, json_path_text(data, "outcome"));
	if (!ret->event.outcome)
		webhook_problem(error, "no outcome");
	if (!set_ids(ret, data))
		webhook_problem(error, "no call_id");
	webhook_event_phone(ret, json_path_text(data, "phone"));
	if (!ret->event.phone)
		webhook_problem(error, "no phone, or none in E.164");
	if (error->len > 0 || error->failed)
		return READING_BAD;
	webhook_event_occurred(ret, webhook_time(body, "timestamp"));
	set_end(ret, data);
	set_person(ret, data);
	return READING_EVENT;
}

const struct webhook_adapter webhook_generic = {
	.provider = "generic",
	.verify = webhook_verify_standard,
	.normalize = normalize,
	.tells_reasons = true,
};
