/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bland. One status stands for refusals of very different kinds, so they are told apart by their
 * words: 429 is a number that is barred for good as well as a limit of ten seconds. The job id goes
 * along in `metadata`, which only the record of a single call shows: its list names candidates, and
 * each has to be read. Members that it does not know are refused, and so is a webhook without TLS.
 */
#include "consumer/providers/adapter.h"

#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "common/msg.h"
#include "common/rules/bland.h"

#define PATH_CALLS "/v1/calls"
#define LIST_PAGE_ROWS 1000 /* the most it gives */
#define SAME_NUMBER_WAIT_S 10

static const struct refusal_rule refusals[] = {
	/* The number. */
	{REFUSAL_ANY, "blacklisted", REFUSAL_NUMBER, 0},
	{REFUSAL_ANY, "dnc list", REFUSAL_NUMBER, 0},
	{REFUSAL_ANY, "sensitive number", REFUSAL_NUMBER, 0},
	{400, "transfer", REFUSAL_CONFIGURATION, 0}, /* to another number, and that one is wrong */
	{REFUSAL_ANY, "invalid phone number", REFUSAL_NUMBER, 0},
	/* Limits. */
	{REFUSAL_ANY, "every 10 seconds", REFUSAL_BACKPRESSURE, SAME_NUMBER_WAIT_S},
	{REFUSAL_ANY, "international rate limit", REFUSAL_BACKPRESSURE, 3600},
	{REFUSAL_ANY, "newly created accounts", REFUSAL_BACKPRESSURE, 300},
	{REFUSAL_ANY, "rate limit", REFUSAL_BACKPRESSURE, 60},
	{429, NULL, REFUSAL_BACKPRESSURE, 60},
	/* The account. */
	{401, NULL, REFUSAL_ACCOUNT, 0},
	{402, NULL, REFUSAL_ACCOUNT, 0},
	{403, NULL, REFUSAL_ACCOUNT, 0},
	{REFUSAL_ANY, "insufficient balance", REFUSAL_ACCOUNT, 0},
	{REFUSAL_ANY, "no billing record", REFUSAL_ACCOUNT, 0},
	{REFUSAL_ANY, "unauthorized", REFUSAL_ACCOUNT, 0},
	/* Its own trouble, called a bad request. */
	{REFUSAL_ANY, "unable to queue call", REFUSAL_RETRY, 0},
	{REFUSAL_ANY, "unable to save request", REFUSAL_RETRY, 0},
	{REFUSAL_IN_BODY, NULL, REFUSAL_RETRY, 0},
	{400, NULL, REFUSAL_CONFIGURATION, 0},
	{404, NULL, REFUSAL_CONFIGURATION, 0},
	{418, NULL, REFUSAL_CONFIGURATION, 0},
	{422, NULL, REFUSAL_CONFIGURATION, 0},
};

/* ---- Create ---- */

/* What speaks: one of these settings, each of them a member of the request. */
static const char *const speakers[] = {"pathway_id", "agent_id", "persona_id", "task"};
#define SPEAKERS (sizeof(speakers) / sizeof(speakers[0]))

/* NULL if there is none, or more than one. */
static const char *speaker_of(const struct account *a)
{
	const char *found = NULL;
	size_t n = 0;

	for (size_t i = 0; i < SPEAKERS; i++) {
		if (!account_setting(a, speakers[i]))
			continue;
		found = speakers[i];
		n++;
	}
	return n == 1 ? found : NULL;
}

/* No scheme before the key. False: the account has none. */
static bool begin_request(const struct account *a, struct provider_request *r)
{
	add_base_url(&r->url, a, PATH_CALLS);
	return add_api_key(r, a, "authorization: ");
}

static void add_body(struct buf *b, const struct account *a, const struct dial *d,
		     const char *speaker)
{
	const char *from = account_setting(a, "from_number");
	const char *url = account_setting(a, "webhook_url");
	const char *version = account_setting(a, "pathway_version");
	int64_t minutes = (d->max_call_s + 59) / 60;

	buf_addc(b, '{');
	add_member(b, "phone_number", d->phone, true);
	add_member(b, speaker, account_setting(a, speaker), false);
	if (version && strcmp(speaker, "pathway_id") == 0) {
		if (is_number(version))
			buf_addf(b, ",\"pathway_version\":%s", version);
		else
			add_member(b, "pathway_version", version, false);
	}
	if (from)
		add_member(b, "from", from, false);
	/* Published defaults disagree, so it is never left out. */
	buf_addf(b, ",\"max_duration\":%lld", (long long)minutes);
	buf_adds(b, ",\"voicemail\":{\"action\":\"hangup\"},\"request_data\":{");
	add_variables(b, d);
	buf_adds(b, "},\"metadata\":{");
	add_metadata(b, d);
	buf_addc(b, '}');
	/* Without one the account's own webhook is told. */
	if (url && strncasecmp(url, "https://", 8) == 0)
		add_member(b, "webhook", url, false);
	buf_addc(b, '}');
}

static bool build(const struct account *a, const struct dial *d, struct provider_request *r,
		  struct buf *error)
{
	const char *speaker = speaker_of(a);

	if (!speaker || !begin_request(a, r)) {
		buf_addf(error,
			 "account %s: api_key and one of pathway_id, agent_id, persona_id and task "
			 "are needed",
			 a->name);
		return false;
	}
	add_body(&r->body, a, d, speaker);
	return request_is_built(r, a, error);
}

static void read_created(const struct adapter *ad, const char *job_id, const json_t *body,
			 struct verdict *v)
{
	const char *id = json_path_text(body, "call_id");
	const char *status = json_path_text(body, "status");
	bool refused = status ? strcmp(status, "success") != 0
			      : json_array_size(json_path(body, "errors")) > 0;
	char text[PROVIDER_ERROR_TEXTS_BYTES];

	(void)job_id;
	adapter_error_texts(body, text, sizeof(text));
	if (refused && !id) {
		verdict_refuse(v, refusal_find(ad, REFUSAL_IN_BODY, text),
			       *text ? text : "refused without a reason");
		return;
	}
	verdict_accept(v, refused ? NULL : id, "neither accepted nor refused");
}

/* ---- Look-up ---- */

/*
 * By time alone. Rows spell a number in several ways; were they filtered by it over there, a
 * spelling that does not match would make a call absent that was dialed.
 */
static bool build_list(const struct adapter *ad, const struct account *a,
		       const struct list_query *q, struct provider_request *r)
{
	char from[TIME_TEXT_BYTES], to[TIME_TEXT_BYTES];

	if (!begin_request(a, r))
		return false;
	time_format(q->from_ms, from);
	time_format(q->to_ms, to);
	buf_addf(&r->url, "?limit=%d&start_date=%s&end_date=%s", ad->list_page_rows, from, to);
	return request_is_whole(r);
}

static const json_t *list_rows(const json_t *body)
{
	return rows_at(body, "calls");
}

static bool build_get(const struct account *a, const char *provider_call_id,
		      struct provider_request *r)
{
	if (!begin_request(a, r))
		return false;
	add_path_segment(&r->url, provider_call_id);
	return request_is_whole(r);
}

static bool build_hang_up(const struct account *a, const char *provider_call_id, const json_t *row,
			  struct provider_request *r)
{
	(void)row;
	if (!build_get(a, provider_call_id, r))
		return false;
	buf_adds(&r->url, "/stop");
	buf_adds(&r->body, "{}");
	return !r->url.failed;
}

/* With and without its '+'. */
static void read_phone(const char *text, struct found_call *f)
{
	char whole[32];

	found_call_phone(f, text);
	if (f->phone[0] || !text)
		return;
	snprintf(whole, sizeof(whole), "+%.20s", text);
	found_call_phone(f, whole);
}

/* The refusal behind a call that ended before it was sent to the line. */
static enum refusal refusal_of_end(const json_t *row)
{
	const char *queue = json_path_text(row, "queue_status");
	const char *text = json_path_text(row, "error_message");

	if (!queue || (strcmp(queue, "pre_queue_error") != 0 && strcmp(queue, "queue_error") != 0))
		return REFUSAL_NONE;
	return refusal_find(&bland_adapter, REFUSAL_IN_BODY, text)->refusal;
}

static void read_end(const json_t *row, struct found_call *f)
{
	struct bland_end end;

	bland_end_read(row, f->rules, f->tenant, &end);
	f->type = EVENT_REPORT;
	f->refusal = refusal_of_end(row);
	snprintf(f->outcome, sizeof(f->outcome), "%s", end.outcome);
	f->ended_reason = end.reason;
	f->callback_at = end.callback_at;
	f->ended_at = end.ended_at;
	f->duration_ms = end.duration_ms;
	f->cost_micros = end.cost_micros;
	f->summary = json_path_text(row, "summary");
	f->transcript = json_path_text(row, "concatenated_transcript");
	f->recording_url = json_path_text(row, "recording_url");
}

static bool read_row(const json_t *row, struct found_call *f)
{
	const char *id = json_path_text(row, "call_id");
	const char *created = json_path_text(row, "created_at");
	const char *queue = json_path_text(row, "queue_status");
	const char *job_id = bland_job_id(row);

	if (!copy_text(id ? id : json_path_text(row, "c_id"), f->provider_call_id,
		       sizeof(f->provider_call_id)))
		return false;
	if (job_id)
		copy_text(job_id, f->job_id, sizeof(f->job_id));
	read_phone(json_path_text(row, "to"), f);
	if (!created || time_parse(created, strlen(created), &f->created_at) != 0)
		f->created_at = MSG_NO_TIME;
	f->inbound = json_path_is_true(row, "inbound");
	f->ended = bland_is_over(row);
	if (f->ended)
		read_end(row, f);
	else if (queue && strcmp(queue, "started") == 0)
		f->type = EVENT_IN_PROGRESS;
	return true;
}

const struct adapter bland_adapter = {
	.provider = "bland",
	.correlation = bland_job_paths,
	.refusals = refusals,
	.refusals_count = sizeof(refusals) / sizeof(refusals[0]),
	.fresh_connection = false,
	.absence_is_proof = true,
	.rows_from_end = false,
	.rows_need_get = true,
	.list_lag_s = 120,
	.list_kind = LIST_BY_TIME,
	.list_page_rows = LIST_PAGE_ROWS,
	.list_total = "total_count",
	.build = build,
	.read_created = read_created,
	.build_list = build_list,
	.list_rows = list_rows,
	.read_row = read_row,
	.build_get = build_get,
	.build_hang_up = build_hang_up,
};
