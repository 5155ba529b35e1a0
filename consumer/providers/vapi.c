/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vapi. The job id goes along in five places, because which of them come back depends on the route;
 * a call shows in the list from its creation on, so a complete list without it is proof. It has no
 * idempotency key, may answer 201 with a call that has already ended, and says "over the
 * concurrency limit" with 400.
 */
#include "consumer/providers/adapter.h"

#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "common/msg.h"

#define PATH_CALL "/call"
#define NAME_MAX_BYTES 40   /* of name, customer.name, customer.externalId */
#define LIST_PAGE_ROWS 1000 /* the most it gives */
#define WEBHOOK_TIMEOUT_S 20
#define WEBHOOK_RETRIES 5
#define SECRET_BYTES 1024

static const char *const correlation[] = {
	"name",
	"customer.externalId",
	"assistantOverrides.metadata.job_id",
	"assistantOverrides.variableValues.job_id",
	"assistantOverrides.server.url",
	NULL,
};

static const struct refusal_rule refusals[] = {
	{REFUSAL_ANY, "concurren", REFUSAL_BACKPRESSURE, 10},
	{REFUSAL_ANY, "rate limit", REFUSAL_BACKPRESSURE, 10},
	{429, NULL, REFUSAL_BACKPRESSURE, 10},
	{REFUSAL_ANY, "daily-limit", REFUSAL_BACKPRESSURE, 3600},
	{REFUSAL_ANY, "daily limit", REFUSAL_BACKPRESSURE, 3600},
	{401, NULL, REFUSAL_ACCOUNT, 0},
	{402, NULL, REFUSAL_ACCOUNT, 0},
	{403, NULL, REFUSAL_ACCOUNT, 0},
	{REFUSAL_ANY, "subscription", REFUSAL_ACCOUNT, 0},
	{REFUSAL_ANY, "credits", REFUSAL_ACCOUNT, 0},
	{REFUSAL_ANY, "wallet", REFUSAL_ACCOUNT, 0},
	{REFUSAL_ANY, "billing", REFUSAL_ACCOUNT, 0},
	{REFUSAL_ANY, "customer.number", REFUSAL_NUMBER, 0},
	{REFUSAL_ANY, "e.164", REFUSAL_NUMBER, 0},
	{REFUSAL_ANY, "number-international", REFUSAL_NUMBER, 0},
	/* The ends before dialing that a create can answer with. */
	{REFUSAL_IN_BODY, "call.start.error-get-", REFUSAL_CONFIGURATION, 0},
	{REFUSAL_IN_BODY, "fraud-check-failed", REFUSAL_CONFIGURATION, 0},
	{REFUSAL_IN_BODY, "assistant-not-", REFUSAL_CONFIGURATION, 0},
	{REFUSAL_IN_BODY, "call.start.error", REFUSAL_RETRY, 0},
	{400, NULL, REFUSAL_CONFIGURATION, 0},
	{404, NULL, REFUSAL_CONFIGURATION, 0},
	{422, NULL, REFUSAL_CONFIGURATION, 0},
};

/* ---- Create ---- */

/* False: the account has no key. */
static bool begin_request(const struct account *a, struct provider_request *r)
{
	add_base_url(&r->url, a, PATH_CALL);
	return add_api_key(r, a, "Authorization: Bearer ");
}

/*
 * A server given with the call takes the place of the assistant's own, its credential included. So
 * ours is sent only if we can say how its requests are to be authenticated.
 */
static void add_server(struct buf *b, const struct account *a, const struct dial *d)
{
	const char *url = account_setting(a, "webhook_url");
	const char *auth = account_setting(a, "webhook_auth");
	const char *credential = account_setting(a, "webhook_credential_id");
	char secret[SECRET_BYTES];
	bool has_secret =
		first_secret(account_setting(a, "webhook_secret"), secret, sizeof(secret));
	bool hmac = auth && strcmp(auth, "hmac") == 0;

	if (!url || (hmac && !credential) || (!has_secret && !credential))
		return;
	buf_adds(b, ",\"server\":{\"url\":");
	char text[2048];
	snprintf(text, sizeof(text), "%s%cjob=%s", url, strchr(url, '?') ? '&' : '?', d->job_id);
	buf_add_json_string(b, text, strlen(text));
	buf_addf(
		b,
		",\"timeoutSeconds\":%d,\"backoffPlan\":{\"type\":\"exponential\",\"maxRetries\":%d,"
		"\"baseDelaySeconds\":1}",
		WEBHOOK_TIMEOUT_S, WEBHOOK_RETRIES);
	if (credential) {
		add_member(b, "credentialId", credential, false);
	} else {
		bool bearer = auth && strcmp(auth, "bearer") == 0;
		snprintf(text, sizeof(text), "%s%s", bearer ? "Bearer " : "", secret);
		buf_adds(b, ",\"headers\":{");
		add_member(b, bearer ? "Authorization" : "X-Vapi-Secret", text, true);
		buf_addc(b, '}');
	}
	buf_adds(b, "},\"serverMessages\":[\"status-update\",\"end-of-call-report\"]");
}

static const char *assistant_of(const struct account *a, const struct dial *d)
{
	return d->assistant_id ? d->assistant_id : account_setting(a, "assistant_id");
}

static const char *number_of(const struct account *a, const struct dial *d)
{
	return d->phone_number_id ? d->phone_number_id : account_setting(a, "phone_number_id");
}

/* So late it would ring at the wrong time: then Vapi does not dial either. */
static void add_schedule(struct buf *b, const struct dial *d)
{
	char now[TIME_TEXT_BYTES], latest[TIME_TEXT_BYTES];

	if (d->dial_by_ms <= 0)
		return;
	time_format(d->now_ms, now);
	time_format(d->dial_by_ms, latest);
	buf_addf(b, ",\"schedulePlan\":{\"earliestAt\":\"%s\",\"latestAt\":\"%s\"}", now, latest);
}

static void add_body(struct buf *b, const struct account *a, const struct dial *d)
{
	char name[NAME_MAX_BYTES + 1];

	buf_addc(b, '{');
	add_member(b, "assistantId", assistant_of(a, d), true);
	add_member(b, "phoneNumberId", number_of(a, d), false);
	add_member(b, "name", d->job_id, false);
	buf_adds(b, ",\"customer\":{");
	add_member(b, "number", d->phone, true);
	customer_name(d, NAME_MAX_BYTES, name, sizeof(name));
	if (*name)
		add_member(b, "name", name, false);
	add_member(b, "externalId", d->job_id, false);
	buf_adds(b, "},\"assistantOverrides\":{\"metadata\":{");
	add_metadata(b, d);
	buf_adds(b, "},\"variableValues\":{");
	add_variables(b, d);
	buf_addf(b, "},\"maxDurationSeconds\":%lld", (long long)d->max_call_s);
	add_server(b, a, d);
	buf_addc(b, '}');
	add_schedule(b, d);
	buf_addc(b, '}');
}

static bool build(const struct account *a, const struct dial *d, struct provider_request *r,
		  struct buf *error)
{
	if (!assistant_of(a, d) || !number_of(a, d) || !begin_request(a, r)) {
		buf_addf(error, "account %s: api_key, assistant_id and phone_number_id are needed",
			 a->name);
		return false;
	}
	add_body(&r->body, a, d);
	return request_is_built(r, a, error);
}

/* The refusal behind a call that ended before it was dialed; NULL if it was dialed. */
static const struct refusal_rule *refusal_of_end(const struct adapter *ad, const json_t *call)
{
	const char *status = json_path_text(call, "status");
	const char *reason = json_path_text(call, "endedReason");

	if (!status || !reason || strcmp(status, "ended") != 0)
		return NULL;
	if (strncmp(reason, "call.start.error", 16) != 0 &&
	    strncmp(reason, "assistant-not-", 14) != 0)
		return NULL;
	return refusal_find(ad, REFUSAL_IN_BODY, reason);
}

static void read_created(const struct adapter *ad, const char *job_id, const json_t *body,
			 struct verdict *v)
{
	const char *name = json_path_text(body, "name");
	const struct refusal_rule *rule = refusal_of_end(ad, body);

	if (name && strcmp(name, job_id) != 0) {
		verdict_unknown(v, "the answer shows another call");
		return;
	}
	if (rule) {
		verdict_refuse(v, rule, json_path_text(body, "endedReason"));
		return;
	}
	verdict_accept(v, json_path_text(body, "id"), "a 2xx answer without a call id");
}

/* ---- Look-up ---- */

static bool build_list(const struct adapter *ad, const struct account *a,
		       const struct list_query *q, struct provider_request *r)
{
	char from[TIME_TEXT_BYTES], to[TIME_TEXT_BYTES];

	/* Of all its numbers: campaigns call from others than the account's. */
	if (!begin_request(a, r))
		return false;
	time_format(q->from_ms, from);
	time_format(q->to_ms, to);
	buf_addf(&r->url, "?limit=%d&createdAtGe=%s&createdAtLe=%s", ad->list_page_rows, from, to);
	return request_is_whole(r);
}

static const json_t *list_rows(const json_t *body)
{
	return json_is_array(body) ? body : NULL;
}

static bool build_get(const struct account *a, const char *provider_call_id,
		      struct provider_request *r)
{
	if (!begin_request(a, r))
		return false;
	add_path_segment(&r->url, provider_call_id);
	return request_is_whole(r);
}

/*
 * By the URL that a call has while it goes on, which is a secret of that call alone: our key is not
 * shown to it, for it is no address of the account's.
 */
static bool build_hang_up(const struct account *a, const char *provider_call_id, const json_t *row,
			  struct provider_request *r)
{
	const char *url = json_path_text(row, "monitor.controlUrl");

	(void)a, (void)provider_call_id;
	if (!url || strncasecmp(url, "http", 4) != 0)
		return false;
	buf_adds(&r->url, url);
	buf_adds(&r->authorization, "Accept: application/json");
	buf_adds(&r->body, "{\"type\":\"end-call\"}");
	return !r->url.failed;
}

static int64_t path_time(const json_t *row, const char *path)
{
	const char *text = json_path_text(row, path);
	int64_t at = MSG_NO_TIME;

	return text && time_parse(text, strlen(text), &at) == 0 ? at : MSG_NO_TIME;
}

/* The first one is deprecated, and what most calls still have. */
static const char *vapi_recording(const json_t *artifact)
{
	static const char *const paths[] = {"recordingUrl", "recording.mono.combinedUrl",
					    "recording.stereoUrl"};
	const char *url = NULL;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]) && !url; i++)
		url = json_path_text(artifact, paths[i]);
	return url;
}

static void read_end(const json_t *row, struct found_call *f)
{
	const struct refusal_rule *rule = refusal_of_end(&vapi_adapter, row);
	int64_t started_at = path_time(row, "startedAt");
	double cost = 0;
	bool success = false;

	f->type = EVENT_REPORT;
	f->refusal = rule ? rule->refusal : REFUSAL_NONE;
	f->ended_reason = json_path_text(row, "endedReason");
	f->callback_at = path_time(row, "analysis.structuredData.callback_at");
	f->ended_at = path_time(row, "endedAt");
	if (started_at != MSG_NO_TIME && f->ended_at >= started_at)
		f->duration_ms = f->ended_at - started_at;
	if (json_path_bool(row, "analysis.successEvaluation", &success))
		f->success = success;
	if (json_path_double(row, "cost", &cost) && cost >= 0 && cost < 1e6)
		f->cost_micros = (int64_t)(cost * 1e6);
	f->summary = json_path_text(row, "analysis.summary");
	f->transcript = json_path_text(row, "artifact.transcript");
	f->recording_url = vapi_recording(json_path(row, "artifact"));
	f->success_evaluation = json_path_text(row, "analysis.successEvaluation");
	if (!found_call_said(f, &vapi_adapter,
			     json_path_text(row, "analysis.structuredData.outcome")) &&
	    !found_call_said(f, &vapi_adapter,
			     json_path_text(row, "analysis.structuredData.disposition")) &&
	    !found_call_status(f, &vapi_adapter, f->ended_reason))
		outcome_normalize("unknown", f->outcome);
}

static bool read_row(const json_t *row, struct found_call *f)
{
	static const struct {
		const char *status;
		enum event_type type;
	} types[] = {
		{"scheduled", EVENT_QUEUED},	   {"queued", EVENT_QUEUED},
		{"ringing", EVENT_RINGING},	   {"in-progress", EVENT_IN_PROGRESS},
		{"forwarding", EVENT_IN_PROGRESS},
	};
	const char *status = json_path_text(row, "status"), *kind = json_path_text(row, "type");

	if (!copy_text(json_path_text(row, "id"), f->provider_call_id, sizeof(f->provider_call_id)))
		return false;
	/* The last one is a URL and only of use to the webhook. */
	for (size_t i = 0; correlation[i + 1] && !f->job_id[0]; i++) {
		const char *id = json_path_text(row, correlation[i]);
		if (id && uuid_valid(id))
			copy_text(id, f->job_id, sizeof(f->job_id));
	}
	found_call_phone(f, json_path_text(row, "customer.number"));
	f->created_at = path_time(row, "createdAt");
	f->inbound = kind && strcmp(kind, "inboundPhoneCall") == 0;
	f->ended = status && strcmp(status, "ended") == 0;
	f->vague = !f->ended;
	for (size_t i = 0; status && i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(status, types[i].status) == 0) {
			f->type = types[i].type;
			f->vague = false;
		}
	}
	if (f->ended)
		read_end(row, f);
	return true;
}

const struct adapter vapi_adapter = {
	.provider = "vapi",
	.correlation = correlation,
	.refusals = refusals,
	.refusals_count = sizeof(refusals) / sizeof(refusals[0]),
	.fresh_connection = false,
	.absence_is_proof = true,
	.rows_from_end = false,
	.list_lag_s = 60,
	.list_kind = LIST_BY_TIME,
	.list_page_rows = LIST_PAGE_ROWS,
	.build = build,
	.read_created = read_created,
	.build_list = build_list,
	.list_rows = list_rows,
	.read_row = read_row,
	.build_get = build_get,
	.build_hang_up = build_hang_up,
};
