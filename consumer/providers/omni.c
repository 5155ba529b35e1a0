/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Omnidim. Its create takes no correlation id that comes back in the call log, and a row shows only
 * when the call is over: a lost answer can be found by agent, number and time, but its absence
 * proves nothing. It refuses with HTTP 200, and writes false where it has no value.
 */
#include "consumer/providers/adapter.h"

#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "common/msg.h"

#define KEY_HEADER "Authorization: Bearer "
#define PATH_DISPATCH "/api/v1/calls/dispatch"
#define PATH_LOGS "/api/v1/calls/logs"
#define LOG_PAGE_ROWS 150 /* the most it gives */

static const char *const correlation[] = {"call_context.job_id", "metadata.job_id", NULL};

static const struct refusal_rule refusals[] = {
	{REFUSAL_ANY, "concurren", REFUSAL_BACKPRESSURE, 0},
	{REFUSAL_ANY, "rate limit", REFUSAL_BACKPRESSURE, 60},
	{REFUSAL_ANY, "too many", REFUSAL_BACKPRESSURE, 60},
	{429, NULL, REFUSAL_BACKPRESSURE, 60},
	{401, NULL, REFUSAL_ACCOUNT, 0},
	{402, NULL, REFUSAL_ACCOUNT, 0},
	{403, NULL, REFUSAL_ACCOUNT, 0},
	{REFUSAL_ANY, "balance", REFUSAL_ACCOUNT, 0},
	{REFUSAL_ANY, "insufficient", REFUSAL_ACCOUNT, 0},
	{REFUSAL_ANY, "subscription", REFUSAL_ACCOUNT, 0},
	{REFUSAL_ANY, "plan expire", REFUSAL_ACCOUNT, 0},
	{REFUSAL_ANY, "plan has expired", REFUSAL_ACCOUNT, 0},
	{REFUSAL_ANY, "to_number", REFUSAL_NUMBER, 0},
	{REFUSAL_ANY, "invalid phone", REFUSAL_NUMBER, 0},
	{REFUSAL_ANY, "invalid number", REFUSAL_NUMBER, 0},
	{REFUSAL_IN_BODY, NULL, REFUSAL_RETRY, 0},
	{400, NULL, REFUSAL_CONFIGURATION, 0},
	{404, NULL, REFUSAL_CONFIGURATION, 0},
	{405, NULL, REFUSAL_CONFIGURATION, 0},
	{422, NULL, REFUSAL_CONFIGURATION, 0},
};

/* ---- Create ---- */

static void add_url(const struct account *a, const char *path, struct buf *b)
{
	const char *whole = account_setting(a, "url");
	size_t n = whole ? strlen(whole) : 0;
	size_t tail = strlen(PATH_DISPATCH);

	/* OMNI_URL names the dispatch route; the logs are beside it. */
	if (whole && strcmp(path, PATH_DISPATCH) == 0) {
		buf_adds(b, whole);
	} else if (whole && n > tail && strcmp(whole + n - tail, PATH_DISPATCH) == 0) {
		buf_add(b, whole, n - tail);
		buf_adds(b, path);
	} else {
		add_base_url(b, a, path);
	}
}

static bool build(const struct account *a, const struct dial *d, struct provider_request *r,
		  struct buf *error)
{
	const char *agent = account_setting(a, "agent_id");
	const char *from = account_setting(a, "from_number_id");
	struct buf *b = &r->body;

	if (!is_number(agent) || (from && !is_number(from)) || !add_api_key(r, a, KEY_HEADER)) {
		buf_addf(error,
			 "account %s: api_key, agent_id (a number) and from_number_id (a "
			 "number, if any) are needed",
			 a->name);
		return false;
	}
	add_url(a, PATH_DISPATCH, &r->url);
	buf_adds(b, "{\"agent_id\":");
	buf_adds(b, agent);
	add_member(b, "to_number", d->phone, false);
	if (from)
		buf_addf(b, ",\"from_number_id\":%s", from);
	buf_adds(b, ",\"call_context\":{");
	add_variables(b, d);
	buf_adds(b, "},\"metadata\":{");
	add_metadata(b, d);
	buf_adds(b, "}}");
	return request_is_built(r, a, error);
}

static void read_created(const struct adapter *ad, const char *job_id, const json_t *body,
			 struct verdict *v)
{
	static const struct refusal_rule plan = {.refusal = REFUSAL_ACCOUNT};
	char number[32];
	const char *id = json_path_scalar(body, "requestId", number, sizeof(number));
	const char *status = json_path_text(body, "status");
	char text[PROVIDER_ERROR_TEXTS_BYTES];
	bool refused = json_is_false(json_path(body, "success")) ||
		       (status && strcasecmp(status, "error") == 0);

	(void)job_id;
	adapter_error_texts(body, text, sizeof(text));
	if (refused && !id) {
		const struct refusal_rule *rule = json_path_is_true(body, "plan_expire")
							  ? &plan
							  : refusal_find(ad, REFUSAL_IN_BODY, text);
		verdict_refuse(v, rule, *text ? text : "refused without a reason");
		return;
	}
	verdict_accept(v, refused || json_path_text(body, "error") ? NULL : id,
		       "neither accepted nor refused");
}

/* ---- Look-up ---- */

static bool build_list(const struct adapter *ad, const struct account *a,
		       const struct list_query *q, struct provider_request *r)
{
	const char *agent = account_setting(a, "agent_id");

	if (!is_number(agent) || !add_api_key(r, a, KEY_HEADER))
		return false;
	add_url(a, PATH_LOGS, &r->url);
	buf_addf(&r->url, "?pageno=%d&pagesize=%d&agentid=%s", q->page, ad->list_page_rows, agent);
	return request_is_whole(r);
}

static const json_t *list_rows(const json_t *body)
{
	return rows_at(body, "call_log_data");
}

/* "MM/DD/YYYY HH:MM:SS"; the zone is not documented and taken as UTC. */
static int64_t log_time(const char *text)
{
	char iso[TIME_TEXT_BYTES];
	int64_t at = MSG_NO_TIME;

	if (!text || strlen(text) != 19 || text[2] != '/' || text[5] != '/' || text[10] != ' ')
		return MSG_NO_TIME;
	snprintf(iso, sizeof(iso), "%.4s-%.2s-%.2sT%.8sZ", text + 6, text, text + 3, text + 11);
	return time_parse(iso, strlen(iso), &at) == 0 ? at : MSG_NO_TIME;
}

/* The agent's own word goes before the log's status, which is an outcome itself where it means
 * none. */
static void read_outcome(const json_t *row, struct found_call *f)
{
	f->ended_reason = json_path_text(row, "call_status");
	const char *status = json_path_is_true(row, "is_voicemail") ? "voicemail" : f->ended_reason;

	if (found_call_said(f, &omni_adapter, json_path_text(row, "extracted_variables.outcome")) ||
	    found_call_said(f, &omni_adapter,
			    json_path_text(row, "extracted_variables.disposition")) ||
	    found_call_status(f, &omni_adapter, status))
		return;
	outcome_normalize(status ? status : "unknown", f->outcome);
}

static bool read_row(const json_t *row, struct found_call *f)
{
	char number[32], log_id[64];
	const char *id = json_path_scalar(row, "call_request_id.id", number, sizeof(number));
	const char *direction = json_path_text(row, "call_direction");
	int64_t seconds = 0;

	if (!json_is_object(row))
		return false;
	/* Its own number is none of the ids that a create or a webhook gives. */
	if (!id) {
		id = json_path_scalar(row, "id", number, sizeof(number));
		snprintf(log_id, sizeof(log_id), "log:%s", id ? id : "");
		id = id ? log_id : NULL;
	}
	found_call_phone(f, json_path_text(row, "to_number"));
	if (!copy_text(id, f->provider_call_id, sizeof(f->provider_call_id)))
		return false;
	f->created_at = log_time(json_path_text(row, "time_of_call"));
	f->inbound = direction && strcasecmp(direction, "inbound") == 0;
	f->ended = true;
	f->type = EVENT_REPORT;
	if (json_path_int(row, "call_duration_in_seconds", &seconds) && seconds >= 0 &&
	    seconds < 86400 * 7) {
		f->duration_ms = seconds * 1000;
		if (f->created_at != MSG_NO_TIME)
			f->ended_at = f->created_at + f->duration_ms;
	}
	f->transcript = json_path_text(row, "call_conversation");
	f->recording_url = json_path_text(row, "recording_url");
	read_outcome(row, f);
	return true;
}

const struct adapter omni_adapter = {
	.provider = "omni",
	.correlation = correlation,
	.refusals = refusals,
	.refusals_count = sizeof(refusals) / sizeof(refusals[0]),
	.fresh_connection = true,
	.absence_is_proof = false,
	.rows_from_end = true,
	.rows_lack_id = true,
	.list_lag_s = 120,
	.list_kind = LIST_BY_PAGE,
	.list_page_rows = LOG_PAGE_ROWS,
	.build = build,
	.read_created = read_created,
	.build_list = build_list,
	.list_rows = list_rows,
	.read_row = read_row,
};
