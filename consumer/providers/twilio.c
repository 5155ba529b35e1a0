/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Twilio. A create is a form; there is no field of ours in a call, so the job id goes along in the
 * query of the URLs that it is told, and comes back with each callback. Its list shows a call from
 * its creation on, by number alone: times of the day are not filtered by, and rows that wait to be
 * dialed have no start. A call that it took (201) may still wait for the account's rate, for a day
 * if need be, and it takes no latest time: what waits when its window closes is called off.
 */
#include "consumer/providers/adapter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/msg.h"
#include "common/rules/twilio.h"
#include "common/seal.h"

#define LIST_PAGE_ROWS 1000 /* the most it gives */
#define RING_TIMEOUT_S 60
#define RATE_WAIT_S 5	  /* too many requests at once: none of them was looked at */
#define LINES_WAIT_S 30	  /* as many calls as there may be */
#define QUEUE_WAIT_S 3600 /* a day of calls is waiting over there */
#define TOKEN_BYTES 256
#define URL_BYTES 4096
#define VARIABLES_MAX_BYTES (32u << 10)
#define COST_MAX 1e6
#define SECONDS_MAX (7 * 86400)

static const char *const correlation[] = {"StatusCallback", "AsyncAmdStatusCallback", "Url", NULL};

/* By its codes, which adapter_error_texts() puts before the words. */
static const struct refusal_rule refusals[] = {
	/* Limits: nothing was created. */
	{REFUSAL_ANY, "20429:", REFUSAL_BACKPRESSURE, RATE_WAIT_S},
	{REFUSAL_ANY, "10004:", REFUSAL_BACKPRESSURE, LINES_WAIT_S},
	{REFUSAL_ANY, "22005:", REFUSAL_BACKPRESSURE, QUEUE_WAIT_S},
	{429, NULL, REFUSAL_BACKPRESSURE, RATE_WAIT_S},
	/* The number: wrong, out of reach, barred, or somebody who wants no calls. */
	{REFUSAL_ANY, "13224:", REFUSAL_NUMBER, 0},
	{REFUSAL_ANY, "21211:", REFUSAL_NUMBER, 0},
	{REFUSAL_ANY, "21214:", REFUSAL_NUMBER, 0},
	{REFUSAL_ANY, "21215:", REFUSAL_NUMBER, 0},
	{REFUSAL_ANY, "21216:", REFUSAL_NUMBER, 0},
	{REFUSAL_ANY, "21217:", REFUSAL_NUMBER, 0},
	{REFUSAL_ANY, "21610:", REFUSAL_NUMBER, 0},
	/* The account: its credentials, its state. */
	{REFUSAL_ANY, "20003:", REFUSAL_ACCOUNT, 0},
	{REFUSAL_ANY, "20005:", REFUSAL_ACCOUNT, 0},
	{REFUSAL_ANY, "10001:", REFUSAL_ACCOUNT, 0},
	{401, NULL, REFUSAL_ACCOUNT, 0},
	{402, NULL, REFUSAL_ACCOUNT, 0},
	{403, NULL, REFUSAL_ACCOUNT, 0},
	/* The rest: a caller number that is not ours, URLs, events. */
	{400, NULL, REFUSAL_CONFIGURATION, 0},
	{404, NULL, REFUSAL_CONFIGURATION, 0},
	{422, NULL, REFUSAL_CONFIGURATION, 0},
};

/* ---- Requests ---- */

/* False: the account's settings don't allow one. */
static bool add_authorization(const struct account *a, struct provider_request *r)
{
	const char *sid = account_setting(a, "account_sid");
	char token[TOKEN_BYTES];
	struct buf plain;

	if (!sid || !first_secret(account_setting(a, "auth_token"), token, sizeof(token)))
		return false;
	buf_init(&plain, URL_BYTES);
	buf_addf(&plain, "%s:%s", sid, token);
	buf_adds(&r->authorization, "Authorization: Basic ");
	base64_encode((const unsigned char *)plain.data, plain.len, &r->authorization);
	bool good = !plain.failed && !r->authorization.failed;
	explicit_bzero(plain.data, plain.len);
	explicit_bzero(token, sizeof(token));
	buf_release(&plain);
	return good;
}

/* ".../Accounts/AC.../Calls" and what comes behind. */
static bool add_url(const struct account *a, const char *call_sid, struct buf *url)
{
	const char *sid = account_setting(a, "account_sid");

	add_base_url(url, a, "/2010-04-01/Accounts");
	add_path_segment(url, sid ? sid : "");
	buf_adds(url, "/Calls");
	if (call_sid)
		add_path_segment(url, call_sid);
	buf_adds(url, ".json");
	return !url->failed;
}

static void add_field(struct buf *form, const char *name, const char *value)
{
	if (form->len > 0)
		buf_addc(form, '&');
	buf_adds(form, name);
	buf_addc(form, '=');
	buf_add_url(form, value, strlen(value));
}

static void add_number_field(struct buf *form, const char *name, int64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	add_field(form, name, text);
}

/* ---- Create ---- */

static void add_parameter(struct buf *url, const char *name, const char *value)
{
	buf_addc(url, strchr(url->data, '?') ? '&' : '?');
	buf_addf(url, "%s=", name);
	buf_add_url(url, value, strlen(value));
}

/* The query of every URL: what a call is to us. */
static void add_ids(struct buf *url, const struct dial *d)
{
	_cleanup_json_ json_t *variables = NULL;
	struct buf ignored;
	char text[64];

	buf_init_fixed(&ignored, text, sizeof(text));
	if (d->variables)
		variables = json_parse(d->variables, strlen(d->variables), VARIABLES_MAX_BYTES,
				       &ignored);
	const char *pending_call_id = json_path_text(variables, "pending_call_id");

	add_parameter(url, "job", d->job_id);
	add_parameter(url, "kind", d->kind);
	if (d->lead_id && *d->lead_id)
		add_parameter(url, "lead", d->lead_id);
	if (pending_call_id)
		add_parameter(url, "pending_call_id", pending_call_id);
}

static void add_url_field(struct buf *form, const char *name, const char *base,
			  const struct dial *d, const char *more, const char *fragment)
{
	struct buf url;

	buf_init(&url, URL_BYTES);
	buf_adds(&url, base);
	add_ids(&url, d);
	buf_adds(&url, more);
	buf_adds(&url, fragment);
	add_field(form, name, url.data);
	form->failed |= url.failed;
	buf_release(&url);
}

/* What the account's setting `machine_detection` says; NULL: off. */
static const char *detection_of(const struct account *a)
{
	const char *text = account_setting(a, "machine_detection");

	if (!text)
		return "Enable";
	return strcmp(text, "off") == 0 ? NULL : text;
}

/* With `amd` in the query: who answered may be told apart from the end, and before or after it. */
static void add_callbacks(struct buf *form, const struct account *a, const struct dial *d)
{
	static const char *const events[] = {"initiated", "ringing", "answered", "completed"};
	const char *url = account_setting(a, "webhook_url");
	const char *detection = detection_of(a);
	const char *more = detection ? "&amd=1" : "";

	if (detection) {
		add_field(form, "MachineDetection", detection);
		add_field(form, "AsyncAmd", "true");
	}
	if (!url)
		return;
	if (detection)
		add_url_field(form, "AsyncAmdStatusCallback", url, d, more,
			      TWILIO_CALLBACK_RETRIES);
	add_url_field(form, "StatusCallback", url, d, more, TWILIO_CALLBACK_RETRIES);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		add_field(form, "StatusCallbackEvent", events[i]);
}

/* A campaign's assistant is the address of its instructions. */
static const char *instructions_of(const struct account *a, const struct dial *d)
{
	return d->assistant_id ? d->assistant_id : account_setting(a, "twiml_url");
}

static const char *number_of(const struct account *a, const struct dial *d)
{
	return d->phone_number_id ? d->phone_number_id : account_setting(a, "from_number");
}

static bool build(const struct account *a, const struct dial *d, struct provider_request *r,
		  struct buf *error)
{
	const char *instructions = instructions_of(a, d);
	const char *from = number_of(a, d);

	if (!instructions || !from || !account_setting(a, "base_url") || !add_authorization(a, r)) {
		buf_addf(
			error,
			"account %s: account_sid, auth_token, from_number and twiml_url are needed",
			a->name);
		return false;
	}
	if (strncasecmp(instructions, "https://", 8) != 0 &&
	    strncasecmp(instructions, "http://", 7) != 0) {
		buf_addf(error, "account %s: twiml_url, or the campaign's assistantId, is no URL",
			 a->name);
		return false;
	}
	add_url(a, NULL, &r->url);
	add_field(&r->body, "To", d->phone);
	add_field(&r->body, "From", from);
	add_url_field(&r->body, "Url", instructions, d, "", "");
	add_number_field(&r->body, "Timeout", RING_TIMEOUT_S);
	add_number_field(&r->body, "TimeLimit", d->max_call_s);
	add_callbacks(&r->body, a, d);
	return request_is_built(r, a, error);
}

static void read_created(const struct adapter *ad, const char *job_id, const json_t *body,
			 struct verdict *v)
{
	(void)ad, (void)job_id;
	verdict_accept(v, json_path_text(body, "sid"), "a 2xx answer without a call id");
}

/* ---- Look-up ---- */

/* By whatever number of ours it was made from: campaigns call from others than the account's, and
 * the account's may be another by now. Whose number a row is of is looked at as it is read. */
static bool build_list(const struct adapter *ad, const struct account *a,
		       const struct list_query *q, struct provider_request *r)
{
	if (!add_authorization(a, r))
		return false;
	add_url(a, NULL, &r->url);
	buf_adds(&r->url, "?To=");
	buf_add_url(&r->url, q->phone, strlen(q->phone));
	buf_addf(&r->url, "&PageSize=%d", ad->list_page_rows);
	return !r->url.failed;
}

static const json_t *list_rows(const json_t *body)
{
	return rows_at(body, "calls");
}

static bool build_get(const struct account *a, const char *provider_call_id,
		      struct provider_request *r)
{
	return add_authorization(a, r) && add_url(a, provider_call_id, &r->url);
}

/* Whether it goes on or still waits to be dialed: neither rings anybody after this. */
static bool build_hang_up(const struct account *a, const char *provider_call_id, const json_t *row,
			  struct provider_request *r)
{
	(void)row;
	if (!build_get(a, provider_call_id, r))
		return false;
	buf_adds(&r->body, "Status=completed");
	return true;
}

/* Had it begun to ring meanwhile this would end it too, but not a conversation. */
static bool build_call_off(const struct account *a, const char *provider_call_id, const json_t *row,
			   struct provider_request *r)
{
	(void)row;
	if (!build_get(a, provider_call_id, r))
		return false;
	buf_adds(&r->body, "Status=canceled");
	return true;
}

/* Numbers are texts; what a call costs is negative. */
static bool read_number(const json_t *row, const char *name, double max, double *ret)
{
	char number[32], *end;
	const char *text = json_path_scalar(row, name, number, sizeof(number));

	if (!text)
		return false;
	*ret = strtod(text, &end);
	return end != text && *end == '\0' && *ret <= max && *ret >= -max;
}

static void read_end(const json_t *row, const char *status, struct found_call *f)
{
	const char *answered_by = json_path_text(row, "answered_by");
	double number;

	twilio_outcome(f->rules, f->tenant, status, answered_by, f->outcome);
	/* As a callback tells it: of an answered call, who answered. */
	f->ended_reason = answered_by && strcmp(status, "completed") == 0 ? answered_by : status;
	f->ended_at = twilio_time(json_path_text(row, "end_time"));
	if (read_number(row, "duration", SECONDS_MAX, &number) && number >= 0)
		f->duration_ms = (int64_t)(number * 1000);
	if (read_number(row, "price", COST_MAX, &number) && number <= 0)
		f->cost_micros = (int64_t)(-number * 1e6 + 0.5);
}

static bool read_row(const json_t *row, struct found_call *f)
{
	const char *status = json_path_text(row, "status");
	const char *direction = json_path_text(row, "direction");

	if (!copy_text(json_path_text(row, "sid"), f->provider_call_id,
		       sizeof(f->provider_call_id)))
		return false;
	/* Calls to us, and those that instructions made, are none that a create of ours asked for.
	 */
	bool asked_for = !direction || strcmp(direction, "outbound-api") == 0;
	found_call_phone(f, asked_for ? json_path_text(row, "to") : NULL);
	const char *from = json_path_text(row, "from");
	if (from && from[0] && phone_normalize(from, strlen(from), f->from) != PHONE_OK)
		snprintf(f->from, sizeof(f->from), "?");
	f->created_at = twilio_time(json_path_text(row, "date_created"));
	f->vague = !twilio_status(status, &f->type);
	if (f->vague)
		return true;
	f->ended = f->type == EVENT_REPORT;
	if (f->ended)
		read_end(row, status, f);
	return true;
}

const struct adapter twilio_adapter = {
	.provider = "twilio",
	.correlation = correlation,
	.content_type = "Content-Type: application/x-www-form-urlencoded",
	.refusals = refusals,
	.refusals_count = sizeof(refusals) / sizeof(refusals[0]),
	.fresh_connection = false,
	.absence_is_proof = true,
	.rows_from_end = false,
	.rows_lack_id = true,
	.list_lag_s = 60,
	.list_kind = LIST_BY_NUMBER,
	.list_page_rows = LIST_PAGE_ROWS,
	.list_next = "next_page_uri",
	.build = build,
	.read_created = read_created,
	.build_list = build_list,
	.list_rows = list_rows,
	.read_row = read_row,
	.build_get = build_get,
	.build_hang_up = build_hang_up,
	.build_call_off = build_call_off,
};
