/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bland from outside: strict about members it does not know, a row in the list from the creation
 * on, but without the metadata, which the record of the single call has; one signed report after
 * the end, to where the request says or else to the account's own webhook. Its two shapes of
 * errors, and the number written without its '+' in the list, are as they are.
 */
#include "tests/simulator/simulator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/seal.h"

#define LIST_ROWS_MAX 1000
#define WEBHOOK_RETRIES 4
#define WEBHOOK_RETRY_MS 500
#define DEFAULT_ERROR "Call failed. The number you dialed is not found."

static void refuse(struct http_exchange *x, unsigned status, const char *text)
{
	struct buf b;

	buf_init(&b, 2048);
	if (status == 401) {
		buf_adds(&b, "{\"data\":null,\"errors\":[{\"error\":\"AUTH_FAILURE\",\"message\":"
			     "\"Unauthorized\"}]}");
	} else {
		buf_adds(&b, "{\"status\":\"error\",\"message\":");
		buf_add_json_string(&b, text, strlen(text));
		buf_addc(&b, '}');
	}
	respond_json(x, status, &b);
	buf_release(&b);
}

/* ---- Create ---- */

static bool member_known(const char *name)
{
	static const char *const known[] = {
		"agent_id",
		"analysis_schema",
		"background_track",
		"dialing_strategy",
		"dispositions",
		"first_sentence",
		"from",
		"interruption_threshold",
		"language",
		"max_duration",
		"metadata",
		"model",
		"pathway_id",
		"pathway_version",
		"persona_id",
		"phone_number",
		"record",
		"request_data",
		"retry",
		"start_node_id",
		"start_time",
		"summary_prompt",
		"task",
		"temperature",
		"timezone",
		"tools",
		"transfer_list",
		"transfer_phone_number",
		"voice",
		"voicemail",
		"wait_for_greeting",
		"webhook",
		"webhook_events",
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(name, known[i]) == 0)
			return true;
	}
	return false;
}

/* The one that speaks; NULL if there are none or several. */
static const char *speaker_of(const json_t *body)
{
	static const char *const speakers[] = {"task", "pathway_id", "persona_id", "agent_id"};
	const char *found = NULL;
	unsigned n = 0;

	for (size_t i = 0; i < sizeof(speakers) / sizeof(speakers[0]); i++) {
		const char *text = json_path_text(body, speakers[i]);
		found = text ? text : found;
		n += text != NULL;
	}
	return n == 1 ? found : NULL;
}

/* NULL, or what the API would say. */
static const char *find_fault(const json_t *body)
{
	const char *name;
	json_t *value;
	const char *phone = json_path_text(body, "phone_number");
	const json_t *webhook = json_path(body, "webhook");
	const json_t *minutes = json_path(body, "max_duration");

	json_object_foreach ((json_t *)body, name, value) {
		if (!member_known(name))
			return "Additional properties are not allowed";
	}
	if (!phone)
		return "Invalid parameters. Error: [\"Missing required parameter: phone_number.\"]";
	if (!phone_usable(phone))
		return "Invalid phone number. Please include a country code if outside the US.";
	if (!speaker_of(body))
		return "Invalid parameters. Error: [\"Missing required parameter: task.\"]";
	if (webhook && strncmp(json_string_value(webhook) ? json_string_value(webhook) : "",
			       "https://", 8) != 0)
		return "webhook must be a string that starts with https://.";
	if (minutes && (!json_is_number(minutes) || json_number_value(minutes) < 1))
		return "Max duration must be at least 1";
	if (!json_is_object(json_path(body, "metadata")) && json_path(body, "metadata"))
		return "metadata must be an object.";
	return NULL;
}

static bool read_create(struct simulator *s, struct http_exchange *x, struct create *c)
{
	const char *fault = find_fault(c->body);
	const char *job_id = json_path_text(c->body, "metadata.job_id");

	(void)s;
	if (fault) {
		refuse(x, 400, fault);
		return false;
	}
	snprintf(c->phone, sizeof(c->phone), "%s", json_path_text(c->body, "phone_number"));
	if (!job_id)
		job_id = http_header(x, "Idempotency-Key");
	snprintf(c->job_id, sizeof(c->job_id), "%s", job_id ? job_id : "");
	return true;
}

static void complete(struct simulator *s, struct call *c, const json_t *body)
{
	static const char *const members[] = {"metadata", "request_data", "max_duration"};
	const char *from = json_path_text(body, "from");
	const char *url = json_path_text(body, "webhook");
	struct buf b;

	uuid_v4(clock_system(), c->id); /* must not come again after a restart */
	c->agent = strdup(speaker_of(body));
	c->from = strdup(from ? from : "+12025550100");
	c->server_url = url && s->o.webhooks ? strdup(url) : NULL;
	c->retries_max = WEBHOOK_RETRIES;
	c->retry_base_ms = WEBHOOK_RETRY_MS;
	buf_init(&b, SIM_BODY_MAX_BYTES);
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		const json_t *value = json_path(body, members[i]);
		if (!value)
			continue;
		buf_addf(&b, ",\"%s\":", members[i]);
		json_write(value, &b);
	}
	c->echo = buf_detach(&b);
	buf_release(&b);
}

static void write_created(const struct simulator *s, const struct call *c, const json_t *body,
			  struct buf *out)
{
	(void)s;
	(void)body;
	buf_addf(
		out,
		"{\"status\":\"success\",\"message\":\"Call successfully queued.\",\"call_id\":\"%s\","
		"\"batch_id\":null}",
		c->id);
}

/* ---- The record of a call ---- */

static const char *queue_status_at(const struct call *c, int64_t now)
{
	return now >= c->ended_at
		       ? strcmp(c->outcome->bland_status, "failed") == 0 ? "call_error" : "complete"
	       : now >= c->ringing_at ? "started"
				      : "queued";
}

static const char *error_message(const struct call *c)
{
	if (c->action->error_message)
		return c->action->error_message;
	return strcmp(c->outcome->bland_status, "failed") == 0 ? DEFAULT_ERROR : NULL;
}

static void add_time(struct buf *out, const char *name, int64_t at_ms)
{
	char at[TIME_TEXT_BYTES];

	time_format(at_ms, at);
	buf_addf(out, ",\"%s\":\"%s\"", name, at);
}

static void add_text(struct buf *out, const char *name, const char *text)
{
	buf_addf(out, ",\"%s\":", name);
	if (text)
		buf_add_json_string(out, text, strlen(text));
	else
		buf_adds(out, "null");
}

/* What a row of the list has, without the closing brace. */
static void open_call(const struct call *c, int64_t now, const char *to, struct buf *out)
{
	bool over = now >= c->ended_at;
	double minutes =
		over && c->answered_at ? (double)(c->ended_at - c->answered_at) / 60000. : 0;

	buf_addf(out, "{\"call_id\":\"%s\",\"c_id\":\"%s\",\"to\":\"%s\",\"from\":\"%s\"", c->id,
		 c->id, to, c->from);
	add_time(out, "created_at", c->created_at);
	buf_addf(out,
		 ",\"completed\":%s,\"inbound\":false,\"batch_id\":null,\"queue_status\":\"%s\","
		 "\"call_length\":%.6f",
		 over ? "true" : "false", queue_status_at(c, now), minutes);
	add_text(out, "answered_by", over ? c->outcome->bland_answered_by : NULL);
	add_text(out, "error_message", over ? error_message(c) : NULL);
}

static void write_end(const struct call *c, struct buf *out)
{
	const struct outcome *o = c->outcome;
	int64_t talked_ms = c->answered_at ? c->ended_at - c->answered_at : 0;

	buf_addf(out, ",\"status\":\"%s\",\"corrected_duration\":\"%lld\"", o->bland_status,
		 (long long)(talked_ms + 999) / 1000);
	add_time(out, "started_at", c->created_at);
	add_time(out, "end_at", c->ended_at);
	add_text(out, "disposition_tag",
		 c->action->disposition ? c->action->disposition : o->bland_tag);
	add_text(out, "summary", o->talked ? "A simulated conversation." : NULL);
	add_text(out, "concatenated_transcript",
		 o->talked ? "assistant: Hello. \n user: Hello. \n " : "");
	buf_addf(out, ",\"recording_url\":null,\"price\":%s,\"call_ended_by\":\"%s\"",
		 o->talked ? "0.07" : "0.015", o->talked ? "USER" : "ASSISTANT");
}

static void write_call(const struct call *c, int64_t now, struct buf *out)
{
	open_call(c, now, c->phone, out);
	buf_adds(out, c->echo ? c->echo : "");
	buf_addf(out, ",\"variables\":{\"call_id\":\"%s\",\"to\":\"%s\"", c->id, c->phone);
	if (now >= c->ended_at && strcmp(c->outcome->name, "CALLBACK") == 0)
		add_time(out, "callback_at", c->ended_at + c->action->callback_in_ms);
	buf_addc(out, '}');
	if (now >= c->ended_at)
		write_end(c, out);
	else
		buf_adds(out, ",\"status\":\"unknown\"");
	buf_addc(out, '}');
}

/* ---- Webhook ---- */

static bool sends(const struct call *c, enum delivery_kind kind)
{
	(void)c;
	return kind == DELIVERY_REPORT;
}

static void write_event(const struct simulator *s, const struct call *c, enum delivery_kind kind,
			struct buf *out)
{
	(void)s;
	(void)kind;
	write_call(c, c->ended_at, out);
}

static bool address(const struct simulator *s, const struct call *c, enum delivery_kind kind,
		    const struct buf *body, struct buf *url, struct buf *headers)
{
	static const char type[] = "Content-Type: application/json";
	const struct sign_part part = {body->data, body->len};
	unsigned char digest[SIGN_MAX_BYTES];
	char hex[2 * SIGN_MAX_BYTES + 1];

	(void)kind;
	if (c->server_url)
		buf_adds(url, c->server_url);
	else
		buf_addf(url, "%s/webhooks/bland/bland", s->o.webhook_url);
	size_t n = sign_hmac(SIGN_SHA256, s->o.bland_secret, strlen(s->o.bland_secret), &part, 1,
			     digest);
	hex_encode(digest, n, hex);
	buf_add(headers, type, sizeof(type));
	buf_addf(headers, "X-Webhook-Signature: %s", hex);
	buf_add(headers, "", 1);
	return true;
}

const struct provider_ops bland_ops = {
	.row_at_end = false,
	.bare_key = true,
	.read_create = read_create,
	.complete = complete,
	.write_created = write_created,
	.created_status = 200,
	.sends = sends,
	.write_event = write_event,
	.address = address,
	.refuse = refuse,
};

/* ---- Look-ups ---- */

/* A date is a whole day. False if it can't be read. */
static bool take_time(const char *text, bool end, int64_t *ret)
{
	char whole[40];

	if (strlen(text) == 10) {
		snprintf(whole, sizeof(whole), "%sT%sZ", text, end ? "23:59:59.999" : "00:00:00");
		text = whole;
	}
	return time_parse(text, strlen(text), ret) == 0;
}

/* Without the '+', as it stores them. */
static bool same_number(const char *wanted, const char *number)
{
	return !wanted || strcmp(wanted + (*wanted == '+'), number + (*number == '+')) == 0;
}

void handle_bland_create(void *arg, struct http_exchange *x)
{
	create_handle(arg, PROVIDER_BLAND, x);
}

void handle_bland_list(void *arg, struct http_exchange *x)
{
	struct simulator *s = arg;
	const char *limit_text = http_query(x, "limit");
	size_t limit = limit_text ? strtoul(limit_text, NULL, 10) : LIST_ROWS_MAX;
	const char *from = http_query(x, "start_date"), *to = http_query(x, "end_date");
	int64_t from_ms = INT64_MIN, to_ms = INT64_MAX, now = simulator_now(s);
	size_t found = 0, shown = 0;

	if (!lookup_permitted(s, PROVIDER_BLAND, x))
		return;
	if (limit == 0 || limit > LIST_ROWS_MAX || (from && !take_time(from, false, &from_ms)) ||
	    (to && !take_time(to, true, &to_ms))) {
		refuse(x, 400, "limit must be at most 1000, dates must be ISO 8601");
		return;
	}
	buf_clear(&s->scratch);
	buf_adds(&s->scratch, "{\"calls\":[");
	for (size_t i = s->ledger.count; i-- > 0;) {
		const struct call *c = s->ledger.calls[i];
		if (c->provider != PROVIDER_BLAND || c->created_at < from_ms ||
		    c->created_at > to_ms || !call_listed(s, c) ||
		    !same_number(http_query(x, "to_number"), c->phone) ||
		    !same_number(http_query(x, "from_number"), c->from))
			continue;
		if (found++ >= limit)
			continue;
		buf_adds(&s->scratch, shown++ > 0 ? "," : "");
		open_call(c, now, c->phone + 1, &s->scratch);
		buf_addc(&s->scratch, '}');
	}
	buf_addf(&s->scratch, "],\"count\":%zu,\"total_count\":%zu}", shown, found);
	respond_json(x, 200, &s->scratch);
}

/* The call of the path; NULL: answered. */
static struct call *wanted_call(struct simulator *s, struct http_exchange *x)
{
	struct call *c = call_find(s, http_param(x, "id"));

	if (!lookup_permitted(s, PROVIDER_BLAND, x))
		return NULL;
	if (c && c->provider == PROVIDER_BLAND && call_listed(s, c))
		return c;
	refuse(x, 404, "Call not found.");
	return NULL;
}

void handle_bland_get(void *arg, struct http_exchange *x)
{
	struct simulator *s = arg;
	const struct call *c = wanted_call(s, x);

	if (!c)
		return;
	buf_clear(&s->scratch);
	write_call(c, simulator_now(s), &s->scratch);
	respond_json(x, 200, &s->scratch);
}

void handle_bland_stop(void *arg, struct http_exchange *x)
{
	static const char stopped[] =
		"{\"status\":\"success\",\"message\":\"Call ended successfully.\"}";
	struct simulator *s = arg;
	struct call *c = wanted_call(s, x);

	if (!c)
		return;
	if (!call_ended(s, c)) {
		deliveries_cancel(s, c);
		call_end(s, c, NULL);
		deliveries_plan(s, c, DELIVERY_ENDED);
	}
	http_respond(x, 200, "application/json", stopped, sizeof(stopped) - 1);
}
