/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Omnidim from outside: the dispatch answers with a request id that is no proof of a call, a row
 * shows in the log when the call is over, one webhook tells of the end. Neither echoes anything of
 * the request but agent and number.
 */
#include "tests/simulator/simulator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"

#define CALL_ID_OFFSET 500000000 /* the call's own id is another number than the request's */
#define LOG_ROWS_MAX 150
#define LOG_ROWS_DEFAULT 30
#define WEBHOOK_RETRIES 4
#define WEBHOOK_RETRY_MS 500

static void refuse(struct http_exchange *x, unsigned status, const char *text)
{
	struct buf b;

	buf_init(&b, 2048);
	buf_addf(&b, "{\"error\":\"%s\",\"error_description\":",
		 status == 401	 ? "unauthorized"
		 : status == 404 ? "not_found"
		 : status >= 500 ? "server_error"
				 : "invalid_request");
	buf_add_json_string(&b, text, strlen(text));
	buf_addc(&b, '}');
	respond_json(x, status, &b);
	buf_release(&b);
}

/* ---- Create ---- */

static bool read_create(struct simulator *s, struct http_exchange *x, struct create *c)
{
	const char *phone = json_path_text(c->body, "to_number");
	const char *job_id = json_path_text(c->body, "call_context.job_id");
	int64_t agent;

	(void)s;
	if (!json_is_integer(json_path(c->body, "agent_id")) ||
	    !json_path_int(c->body, "agent_id", &agent)) {
		refuse(x, 400, "agent_id: an integer is required");
		return false;
	}
	if (!phone || !phone_usable(phone)) {
		refuse(x, 400, "to_number: a number with + and country code is required");
		return false;
	}
	snprintf(c->phone, sizeof(c->phone), "%s", phone);
	if (!job_id)
		job_id = http_header(x, "Idempotency-Key");
	snprintf(c->job_id, sizeof(c->job_id), "%s", job_id ? job_id : "");
	return true;
}

static void complete(struct simulator *s, struct call *c, const json_t *body)
{
	char number[32];
	const char *text = json_path_scalar(body, "agent_id", number, sizeof(number));

	(void)s;
	c->agent = text ? strdup(text) : NULL;
	text = json_path_scalar(body, "from_number_id", number, sizeof(number));
	c->from = text ? strdup(text) : NULL;
	snprintf(c->id, sizeof(c->id), "%lld", (long long)c->number);
	c->retries_max = WEBHOOK_RETRIES;
	c->retry_base_ms = WEBHOOK_RETRY_MS;
}

static void write_created(const struct simulator *s, const struct call *c, const json_t *body,
			  struct buf *out)
{
	(void)s;
	buf_addf(out,
		 "{\"success\":true,\"status\":\"dispatched\",\"requestId\":%s,"
		 "\"custom_variables_count\":%zu}",
		 c->id, json_object_size(json_object_get(body, "call_context")));
}

/* ---- What is told of a call ---- */

static const char *call_status(const struct call *c)
{
	return c->action->call_status ? c->action->call_status : c->outcome->omni_status;
}

static int64_t talk_seconds(const struct call *c)
{
	return c->answered_at ? (c->ended_at - c->answered_at + 999) / 1000 : 0;
}

/* "2026-01-05 16:20:11" or "01/05/2026 16:20:11", without a zone. */
static void write_time(int64_t at_ms, bool american, struct buf *out)
{
	char iso[TIME_TEXT_BYTES];

	time_format(at_ms, iso);
	if (american)
		buf_addf(out, "\"%.2s/%.2s/%.4s %.8s\"", iso + 5, iso + 8, iso, iso + 11);
	else
		buf_addf(out, "\"%.10s %.8s\"", iso, iso + 11);
}

static void write_variables(const struct simulator *s, const struct call *c, struct buf *out)
{
	char at[TIME_TEXT_BYTES];

	(void)s;
	buf_addf(out, "{\"outcome\":\"%s\",\"callback_at\":",
		 c->outcome->said ? c->outcome->said : "Not provided");
	if (strcmp(c->outcome->name, "CALLBACK") == 0) {
		time_format(c->ended_at + c->action->callback_in_ms, at);
		buf_addf(out, "\"%s\"}", at);
	} else {
		buf_adds(out, "\"Not provided\"}");
	}
}

static bool sends(const struct call *c, enum delivery_kind kind)
{
	(void)c;
	return kind == DELIVERY_REPORT;
}

static void write_event(const struct simulator *s, const struct call *c, enum delivery_kind kind,
			struct buf *out)
{
	(void)kind;
	buf_addf(out,
		 "{\"call_id\":%lld,\"call_sid\":false,\"bot_id\":%s,\"bot_name\":\"Simulated\","
		 "\"to_number\":\"%s\",\"phone_number\":\"%s\",\"from_number\":\"+12025550100\","
		 "\"call_direction\":\"outbound\",\"call_request_id\":%s,\"call_date\":",
		 (long long)c->number + CALL_ID_OFFSET, c->agent ? c->agent : "0", c->phone,
		 c->phone, c->id);
	write_time(c->created_at, false, out);
	buf_adds(out, ",\"start_time\":");
	write_time(c->created_at, false, out);
	buf_adds(out, ",\"end_time\":");
	write_time(c->ended_at, false, out);
	buf_addf(
		out,
		",\"call_duration\":%lld,\"call_status\":\"%s\",\"hangup_source\":false,"
		"\"recording_url\":false,\"recording_available_at\":null,\"low_interaction\":%s,"
		"\"call_report\":{\"summary\":\"%s\",\"sentiment\":\"Neutral\",\"extracted_variables\":",
		(long long)talk_seconds(c), call_status(c), c->outcome->talked ? "false" : "true",
		c->outcome->talked ? "A simulated conversation." : "");
	write_variables(s, c, out);
	buf_addf(out, ",\"full_conversation\":\"%s\",\"interactions\":[]}}",
		 c->outcome->talked ? "Agent: Hello.<br/>User: Hello." : "");
}

static bool address(const struct simulator *s, const struct call *c, enum delivery_kind kind,
		    const struct buf *body, struct buf *url, struct buf *headers)
{
	static const char type[] = "Content-Type: application/json";

	(void)c;
	(void)kind;
	(void)body;
	buf_addf(url, "%s/webhooks/omni/omni/", s->o.webhook_url);
	buf_add_url(url, s->o.omni_token, strlen(s->o.omni_token));
	buf_add(headers, type, sizeof(type));
	return true;
}

const struct provider_ops omni_ops = {
	.row_at_end = true,
	.read_create = read_create,
	.complete = complete,
	.write_created = write_created,
	.created_status = 200,
	.sends = sends,
	.write_event = write_event,
	.address = address,
	.refuse = refuse,
};

/* ---- The log ---- */

static void write_row(const struct simulator *s, const struct call *c, struct buf *out)
{
	int64_t seconds = talk_seconds(c);
	char status[40];

	snprintf(status, sizeof(status), "%s", call_status(c));
	for (char *mark = status; (mark = strchr(mark, '_'));)
		*mark = '-';
	buf_addf(out, "{\"id\":%lld,\"bot_name\":\"Simulated\",\"time_of_call\":",
		 (long long)c->number + CALL_ID_OFFSET);
	write_time(c->created_at, true, out);
	buf_addf(
		out,
		",\"from_number\":\"+12025550100\",\"to_number\":\"%s\",\"call_direction\":\"outbound\","
		"\"call_status\":\"%s\",\"call_duration\":\"%lld:%lld\","
		"\"call_duration_in_seconds\":%lld,\"recording_url\":false,"
		"\"internal_recording_url\":false,\"call_conversation\":\"%s\",\"extracted_variables\":",
		c->phone, status, (long long)seconds / 60, (long long)seconds % 60,
		(long long)seconds, c->outcome->talked ? "Agent: Hello.<br/>User: Hello." : "");
	write_variables(s, c, out);
	buf_addf(out,
		 ",\"sentiment_score\":\"Neutral\",\"is_voicemail\":%s,\"amd_detected\":false,"
		 "\"hangup_source\":false,\"hangup_reason\":false,\"call_cost\":0.05,"
		 "\"call_request_id\":{\"id\":%s,\"type_of_request\":\"single\"}}",
		 strcmp(c->outcome->omni_status, "voicemail_detected") == 0 ? "true" : "false",
		 c->id);
}

/* Not negative; `fallback` where it is not given. */
static size_t query_number(const struct http_exchange *x, const char *name, size_t fallback)
{
	const char *text = http_query(x, name);

	return text && *text ? strtoul(text, NULL, 10) : fallback;
}

static bool row_fits(const struct simulator *s, const struct call *c, const struct http_exchange *x)
{
	const char *agent = http_query(x, "agentid");
	const char *status = http_query(x, "call_status");
	char shown[40];

	if (c->provider != PROVIDER_OMNI || !call_listed(s, c) ||
	    (agent && *agent && (!c->agent || strcmp(c->agent, agent) != 0)))
		return false;
	snprintf(shown, sizeof(shown), "%s", call_status(c));
	for (char *mark = shown; (mark = strchr(mark, '_'));)
		*mark = '-';
	return !status || !*status || strcmp(shown, status) == 0;
}

void handle_omni_dispatch(void *arg, struct http_exchange *x)
{
	create_handle(arg, PROVIDER_OMNI, x);
}

void handle_omni_logs(void *arg, struct http_exchange *x)
{
	struct simulator *s = arg;
	size_t page = query_number(x, "pageno", 1);
	size_t rows = query_number(x, "pagesize", LOG_ROWS_DEFAULT);
	size_t found = 0;

	if (!lookup_permitted(s, PROVIDER_OMNI, x))
		return;
	if (page == 0 || rows == 0 || rows > LOG_ROWS_MAX || page > SIZE_MAX / LOG_ROWS_MAX) {
		refuse(x, 400, "pageno and pagesize (at most 150) must be positive");
		return;
	}
	buf_clear(&s->scratch);
	buf_adds(&s->scratch, "{\"call_log_data\":[");
	for (size_t i = s->ledger.count; i-- > 0;) {
		const struct call *c = s->ledger.calls[i];
		if (!row_fits(s, c, x))
			continue;
		if (found >= (page - 1) * rows && found < page * rows) {
			buf_adds(&s->scratch, found > (page - 1) * rows ? "," : "");
			write_row(s, c, &s->scratch);
		}
		found++;
	}
	buf_addf(&s->scratch, "],\"total_records\":%zu}", found);
	respond_json(x, 200, &s->scratch);
}

void handle_omni_log(void *arg, struct http_exchange *x)
{
	struct simulator *s = arg;
	long long wanted = strtoll(http_param(x, "id"), NULL, 10);

	if (!lookup_permitted(s, PROVIDER_OMNI, x))
		return;
	buf_clear(&s->scratch);
	buf_adds(&s->scratch, "{\"call_log_data\":[");
	for (size_t i = s->ledger.count; i-- > 0;) {
		const struct call *c = s->ledger.calls[i];
		if (c->provider == PROVIDER_OMNI && c->number + CALL_ID_OFFSET == wanted &&
		    call_listed(s, c))
			write_row(s, c, &s->scratch);
	}
	buf_adds(&s->scratch, "]}");
	respond_json(x, 200, &s->scratch);
}
