/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vapi shows its secret in one of three ways, by the account's webhook_auth. Of its server messages
 * two tell of calls: status-update while one goes on, end-of-call-report after it. Both come at the
 * end, in any order or alone; an ended status-update names an outcome only where the reason alone
 * decides it, and leaves the rest to the report with its analysis.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/json.h"
#include "webhook/adapter.h"
#include "webhook/signature.h"

#define SUMMARY_BYTES_MAX (64u << 10)
#define EVALUATION_BYTES_MAX 1000
#define TRANSCRIPT_BYTES_MAX (512u << 10)
#define COST_MAX 1e6

/* ---- Verify ---- */

enum auth { AUTH_BEARER = 1, AUTH_SECRET = 2, AUTH_HMAC = 4 };

static const struct {
	const char *name;
	unsigned accepted;
} auths[] = {
	{"any", AUTH_BEARER | AUTH_SECRET | AUTH_HMAC},
	{"bearer", AUTH_BEARER},
	{"secret", AUTH_SECRET},
	{"hmac", AUTH_HMAC},
};

/* What the account accepts; nothing for a word that is none. */
static unsigned accepted_auth(const struct account *a)
{
	const char *name = account_setting(a, "webhook_auth");

	for (size_t i = 0; i < sizeof(auths) / sizeof(auths[0]); i++) {
		if (strcmp(name ? name : "any", auths[i].name) == 0)
			return auths[i].accepted;
	}
	return 0;
}

/* The token of "Authorization: Bearer token", or NULL. */
static const char *bearer_of(const char *authorization)
{
	static const char scheme[] = "Bearer ";

	if (!authorization || strncasecmp(authorization, scheme, sizeof(scheme) - 1) != 0)
		return NULL;
	authorization += sizeof(scheme) - 1;
	return authorization + strspn(authorization, " ");
}

static enum webhook_verify verify(const struct account *a, const struct webhook_request *r)
{
	const char *secrets = account_setting(a, "webhook_secret");
	unsigned accepted = accepted_auth(a), matched = 0;
	const struct timed_signature signature = {
		.signature = r->header(r->header_arg, "x-signature"),
		.timestamp = r->header(r->header_arg, "x-timestamp"),
	};

	if (!secrets_given(secrets) || accepted == 0)
		return VERIFY_NO_SECRET;
	if (secrets_match(bearer_of(r->header(r->header_arg, "authorization")), secrets))
		matched |= AUTH_BEARER;
	if (secrets_match(r->header(r->header_arg, "x-vapi-secret"), secrets))
		matched |= AUTH_SECRET;
	if ((accepted & AUTH_HMAC) &&
	    timed_signature_matches(&signature, secrets, r->body, r->body_bytes, r->received_at))
		matched |= AUTH_HMAC;
	return matched & accepted ? VERIFY_OK : VERIFY_FORGED;
}

/* ---- Kinds of messages ---- */

static const struct {
	const char *status;
	enum event_type type;
} statuses[] = {
	{"scheduled", EVENT_QUEUED},	   {"queued", EVENT_QUEUED},
	{"ringing", EVENT_RINGING},	   {"in-progress", EVENT_IN_PROGRESS},
	{"forwarding", EVENT_IN_PROGRESS}, {"ended", EVENT_ENDED},
	{"failed", EVENT_ENDED},
};

/* False: nothing we follow. *ret_status names the state in the event's id. */
static bool event_type_of(const json_t *message, const char *type, enum event_type *ret,
			  const char **ret_status)
{
	const char *status = json_path_text(message, "status");

	if (strcmp(type, "end-of-call-report") == 0) {
		*ret = EVENT_REPORT;
		*ret_status = "ended";
		return true;
	}
	if (strcmp(type, "status-update") != 0)
		return false;
	for (size_t i = 0; status && i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		if (strcmp(status, statuses[i].status) == 0) {
			*ret = statuses[i].type;
			*ret_status = statuses[i].status;
			return true;
		}
	}
	return false;
}

/* ---- Identity ---- */

static void set_job(struct webhook_event *e, const json_t *message, const char *query)
{
	static const char *const paths[] = {
		"call.assistantOverrides.metadata.job_id",
		"call.metadata.job_id",
		"call.customer.externalId",
		"customer.externalId",
		"call.name",
		"call.assistantOverrides.variableValues.job_id",
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		webhook_event_job(e, json_path_text(message, paths[i]));
	webhook_event_job(e, query);
	webhook_event_lead(e, message, "call.assistantOverrides.metadata.lead_id");
}

/* By call, message and state; the same at each delivery, as the bytes are not. */
static bool set_event_id(struct webhook_event *e, const char *type, const char *status)
{
	const char *call = e->event.provider_call_id;
	char id[WEBHOOK_CALL_ID_BYTES + 16], suffix[64];

	if (!call && !e->event.job_id)
		return false;
	snprintf(id, sizeof(id), "vapi:%s%s", call ? "" : "job-", call ? call : e->event.job_id);
	snprintf(suffix, sizeof(suffix), ":%s:%s", type, status);
	msg_id_fit(id, suffix, e->event_id, sizeof(e->event_id));
	e->event.event_id = e->event_id;
	return true;
}

/* ---- Ends ---- */

/* What the reason says; a report always says something, since nothing comes after it. */
static void set_reason(struct webhook_event *e, const json_t *message)
{
	const char *reason = json_path_text(message, "endedReason");

	if (!reason)
		reason = json_path_text(message, "call.endedReason");
	const char *status = json_path_text(message, "status");
	if (!reason && status && strcmp(status, "failed") == 0)
		reason = "failed";
	webhook_event_ended_reason(e, reason);
	webhook_event_status(e, reason, e->event.type != EVENT_REPORT);
	if (e->event.type == EVENT_REPORT)
		webhook_event_outcome(e, "UNKNOWN");
}

/* A report's analysis: the assistant's own word goes before the reason's. */
static void set_analysis(struct webhook_event *e, const json_t *message)
{
	const json_t *data = json_path(message, "analysis.structuredData");
	bool success;

	webhook_event_outcome(e, webhook_said(data, "outcome"));
	webhook_event_outcome(e, webhook_said(data, "disposition"));
	e->event.callback_at = webhook_time(data, "callback_at");
	if (e->event.callback_at == MSG_NO_TIME)
		e->event.callback_at = webhook_time(data, "callback_time");
	if (json_path_bool(message, "analysis.successEvaluation", &success))
		e->event.success = success;
	e->event.summary = webhook_text(message, "analysis.summary", SUMMARY_BYTES_MAX);
	e->event.success_evaluation =
		webhook_text(message, "analysis.successEvaluation", EVALUATION_BYTES_MAX);
}

static void set_details(struct webhook_event *e, const json_t *message)
{
	int64_t started = webhook_time(message, "startedAt");
	int64_t ended = webhook_time(message, "endedAt");
	double cost;

	webhook_event_occurred(e, ended);
	if (started != MSG_NO_TIME && ended != MSG_NO_TIME)
		webhook_event_duration(e, ended - started);
	if (json_path_double(message, "cost", &cost) && cost >= 0 && cost < COST_MAX)
		e->event.cost_micros = (int64_t)(cost * 1e6 + 0.5);
	e->event.transcript = webhook_text(message, "artifact.transcript", TRANSCRIPT_BYTES_MAX);
	/* The first one is deprecated, and what most still send. */
	e->event.recording_url = webhook_url(message, "artifact.recordingUrl");
	if (!e->event.recording_url)
		e->event.recording_url =
			webhook_url(message, "artifact.recording.mono.combinedUrl");
	if (!e->event.recording_url)
		e->event.recording_url = webhook_url(message, "artifact.recording.stereoUrl");
}

/* ---- Normalize ---- */

static enum webhook_reading normalize(const struct account *a, const struct webhook_request *r,
				      struct webhook_event *ret, struct buf *error)
{
	const json_t *message = json_path(webhook_event_parse(ret, r, error), "message");
	const char *type = json_path_text(message, "type");
	const char *call_type = json_path_text(message, "call.type");
	const char *status = NULL;

	(void)a;
	if (!type) {
		if (error->len == 0)
			buf_adds(error, "no message.type");
		return READING_BAD;
	}
	if (!event_type_of(message, type, &ret->event.type, &status))
		return READING_UNUSED;
	/* Somebody called the assistant, or talks to it in a page: no call of ours. */
	if (call_type && strcmp(call_type, "outboundPhoneCall") != 0)
		return READING_UNUSED;
	if (webhook_id(message, "call.id", ret->provider_call_id, sizeof(ret->provider_call_id)))
		ret->event.provider_call_id = ret->provider_call_id;
	set_job(ret, message, r->job);
	if (!set_event_id(ret, type, status)) {
		buf_adds(error, "no message.call.id and no job id");
		return READING_BAD;
	}
	webhook_event_phone(ret, json_path_text(message, "customer.number"));
	webhook_event_phone(ret, json_path_text(message, "call.customer.number"));
	webhook_event_occurred(ret, webhook_time(message, "timestamp"));
	if (ret->event.type == EVENT_REPORT) {
		set_analysis(ret, message);
		set_details(ret, message);
	}
	if (ret->event.type == EVENT_REPORT || ret->event.type == EVENT_ENDED)
		set_reason(ret, message);
	return READING_EVENT;
}

const struct webhook_adapter webhook_vapi = {
	.provider = "vapi",
	.verify = verify,
	.normalize = normalize,
};
