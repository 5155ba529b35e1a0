/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bland signs the bytes it sends, with no time in them: an old report sent again is known by its
 * id. Three kinds of bodies come to one URL: the report after the end, messages while the call goes
 * on (they have a category), and what is extracted later (it has an event_type, and no state of a
 * call unless the report had to wait for it).
 */
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "common/rules/bland.h"
#include "webhook/adapter.h"
#include "webhook/signature.h"

#define SUMMARY_BYTES_MAX (64u << 10)
#define TRANSCRIPT_BYTES_MAX (512u << 10)

static enum webhook_verify verify(const struct account *a, const struct webhook_request *r)
{
	const char *secrets = account_setting(a, "webhook_secret");
	const char *signature = r->header(r->header_arg, "x-webhook-signature");

	if (!secrets_given(secrets))
		return VERIFY_NO_SECRET;
	return body_signature_matches(signature, secrets, r->body, r->body_bytes) ? VERIFY_OK
										  : VERIFY_FORGED;
}

/* ---- Kinds of bodies ---- */

static bool has_state(const json_t *body)
{
	return json_path_text(body, "status") || json_path_text(body, "queue_status") ||
	       json_path(body, "completed");
}

static bool is_report(const json_t *body)
{
	/* Text messages; calls to the agent; the agent's own calls to those it transfers to. */
	if (json_path_text(body, "conversation_id") || json_path_is_true(body, "inbound") ||
	    json_path_is_true(body, "is_proxy_agent_call"))
		return false;
	if (json_path_text(body, "category"))
		return false;
	return has_state(body) ? bland_is_over(body) : !json_path_text(body, "event_type");
}

/* ---- Content ---- */

static bool set_ids(struct webhook_event *e, const json_t *body)
{
	if (!webhook_id(body, "call_id", e->provider_call_id, sizeof(e->provider_call_id)) &&
	    !webhook_id(body, "c_id", e->provider_call_id, sizeof(e->provider_call_id)))
		return false;
	e->event.provider_call_id = e->provider_call_id;
	snprintf(e->event_id, sizeof(e->event_id), "bland:%s", e->provider_call_id);
	e->event.event_id = e->event_id;
	webhook_event_job(e, bland_job_id(body));
	webhook_event_lead(e, body, "metadata.lead_id");
	webhook_event_phone(e, json_path_text(body, "to"));
	webhook_event_phone(e, json_path_text(body, "variables.to"));
	return true;
}

static void set_end(struct webhook_event *e, const json_t *body)
{
	struct bland_end end;

	bland_end_read(body, webhook_event_rules(e), e->event.tenant, &end);
	e->event.type = EVENT_REPORT;
	e->event.callback_at = end.callback_at;
	e->event.cost_micros = end.cost_micros;
	memcpy(e->outcome, end.outcome, sizeof(e->outcome));
	e->event.outcome = e->outcome;
	webhook_event_ended_reason(e, end.reason);
	webhook_event_occurred(e, end.ended_at);
	if (end.duration_ms != MSG_NO_INT)
		webhook_event_duration(e, end.duration_ms);
	e->event.summary = webhook_text(body, "summary", SUMMARY_BYTES_MAX);
	e->event.transcript = webhook_text(body, "concatenated_transcript", TRANSCRIPT_BYTES_MAX);
	e->event.recording_url = webhook_url(body, "recording_url");
}

static enum webhook_reading normalize(const struct account *a, const struct webhook_request *r,
				      struct webhook_event *ret, struct buf *error)
{
	const json_t *body = webhook_event_parse(ret, r, error);

	(void)a;
	if (!body)
		return READING_BAD;
	if (!is_report(body))
		return READING_UNUSED;
	if (!set_ids(ret, body)) {
		buf_adds(error, "no call_id");
		return READING_BAD;
	}
	if (!has_state(body)) {
		buf_adds(error, "no status, queue_status or completed");
		return READING_BAD;
	}
	set_end(ret, body);
	return READING_EVENT;
}

const struct webhook_adapter webhook_bland = {
	.provider = "bland",
	.verify = verify,
	.normalize = normalize,
};
