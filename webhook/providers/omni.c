/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Omni signs nothing: the last part of the URL is the secret. It POSTs once a call, after the end,
 * with the agent's extracted variables. `false` stands for "none" in any field, statuses are
 * spelled in several ways, and older payloads have neither status nor request id.
 */
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "common/seal.h"
#include "webhook/adapter.h"
#include "webhook/signature.h"

#define SUMMARY_BYTES_MAX (64u << 10)
#define TRANSCRIPT_BYTES_MAX (512u << 10)
#define HASH_BYTES 16

static enum webhook_verify verify(const struct account *a, const struct webhook_request *r)
{
	const char *secrets = account_setting(a, "webhook_token");

	if (!secrets_given(secrets))
		return VERIFY_NO_SECRET;
	return secrets_match(r->token, secrets) ? VERIFY_OK : VERIFY_FORGED;
}

/* ---- Identity ---- */

/* The request id is a number, or an object with it as in the call log. */
static void set_provider_call_id(struct webhook_event *e, const json_t *body)
{
	static const char *const paths[] = {"call_request_id", "call_request_id.id"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]) && !e->event.provider_call_id;
	     i++) {
		if (webhook_id(body, paths[i], e->provider_call_id, sizeof(e->provider_call_id)) &&
		    strspn(e->provider_call_id, "0123456789") == strlen(e->provider_call_id))
			e->event.provider_call_id = e->provider_call_id;
	}
}

/*
 * By the call's id. A payload without one is known by what names its call; never by all its bytes,
 * since links in it differ from one delivery to the next.
 */
static bool set_event_id(struct webhook_event *e, const json_t *body)
{
	static const char *const paths[] = {"call_sid", "bot_id", "call_date", "start_time",
					    "call_status"};
	char id[WEBHOOK_CALL_ID_BYTES];
	unsigned char digest[SHA256_BYTES];
	char hex[2 * HASH_BYTES + 1];
	struct buf names;

	e->event.event_id = e->event_id;
	if (webhook_id(body, "call_id", id, sizeof(id))) {
		snprintf(e->event_id, sizeof(e->event_id), "omni:%s", id);
		return true;
	}
	if (!e->event.phone && !e->event.provider_call_id)
		return false;
	buf_init(&names, 2048);
	buf_addf(&names, "%s\n%s", e->phone, e->provider_call_id);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		webhook_id(body, paths[i], id, sizeof(id));
		buf_addf(&names, "\n%s", id);
	}
	const struct sign_part part = {names.data, names.len};
	bool good = !names.failed && sha256(&part, 1, digest);
	buf_release(&names);
	e->no_memory = !good;
	if (!good)
		return false;
	hex_encode(digest, HASH_BYTES, hex);
	snprintf(e->event_id, sizeof(e->event_id), "omni:hash:%s", hex);
	return true;
}

/* ---- Content ---- */

static void set_outcome(struct webhook_event *e, const json_t *body)
{
	const json_t *said = json_path(body, "call_report.extracted_variables");
	const char *status = webhook_said(body, "call_status");
	/* What older payloads leave out was told of completed calls alone. */
	const char *word = status ? status : "completed";

	e->event.callback_at = webhook_time(said, "callback_at");
	if (e->event.callback_at == MSG_NO_TIME)
		e->event.callback_at = webhook_time(said, "callback_time");
	webhook_event_ended_reason(e, status);
	webhook_event_outcome(e, webhook_said(said, "outcome"));
	webhook_event_outcome(e, webhook_said(said, "disposition"));
	webhook_event_status(e, word, false);
	webhook_event_outcome(e, word);
	webhook_event_outcome(e, "UNKNOWN");
}

static void set_job(struct webhook_event *e, const json_t *body)
{
	static const char *const paths[] = {
		"metadata.job_id",
		"call_report.extracted_variables.job_id",
		"call_context.job_id",
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		webhook_event_job(e, json_path_text(body, paths[i]));
	webhook_event_lead(e, body, "metadata.lead_id");
}

static void set_details(struct webhook_event *e, const json_t *body)
{
	double seconds;

	if (json_path_double(body, "call_duration", &seconds) && seconds >= 0 && seconds < 1e9)
		webhook_event_duration(e, (int64_t)(seconds * 1000));
	/* Its times have no zone; one that has is believed. */
	webhook_event_occurred(e, webhook_time(body, "end_time"));
	e->event.summary = webhook_text(body, "call_report.summary", SUMMARY_BYTES_MAX);
	e->event.transcript =
		webhook_text(body, "call_report.full_conversation", TRANSCRIPT_BYTES_MAX);
	e->event.recording_url = webhook_url(body, "recording_url");
}

static enum webhook_reading normalize(const struct account *a, const struct webhook_request *r,
				      struct webhook_event *ret, struct buf *error)
{
	const json_t *body = webhook_event_parse(ret, r, error);
	const char *direction = json_path_text(body, "call_direction");

	(void)a;
	if (!body)
		return READING_BAD;
	/* Somebody called the agent: no call of ours ended. */
	if (direction && strcmp(direction, "inbound") == 0)
		return READING_UNUSED;
	ret->event.type = EVENT_REPORT;
	webhook_event_phone(ret, json_path_text(body, "to_number"));
	webhook_event_phone(ret, json_path_text(body, "phone_number"));
	set_provider_call_id(ret, body);
	if (!set_event_id(ret, body)) {
		buf_adds(error, "no call_id, call_request_id or to_number");
		return READING_BAD;
	}
	set_job(ret, body);
	set_outcome(ret, body);
	set_details(ret, body);
	return READING_EVENT;
}

const struct webhook_adapter webhook_omni = {
	.provider = "omni",
	.verify = verify,
	.normalize = normalize,
};
