/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vapi from outside: strict about members it does not know, a call object with what the request had
 * in it, rows from creation on, status updates while the call goes on and a report after it,
 * authenticated as the request's server asks for, or else as the assistant's credential is set up.
 */
#include "tests/simulator/simulator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/seal.h"

#define ORGANIZATION "0190a1b2-0000-7000-8000-00000000c0de"
#define LABEL_MAX_BYTES 40 /* name, customer.name, customer.externalId */
#define LIST_ROWS_MAX 1000
#define LIST_ROWS_DEFAULT 100
#define RETRIES_DEFAULT 5
#define RETRY_BASE_DEFAULT_MS 1000
#define SERVER_HEADERS_MAX 8

static void refuse(struct http_exchange *x, unsigned status, const char *text)
{
	struct buf b;

	buf_init(&b, 2048);
	buf_adds(&b, status == 400 ? "{\"message\":[" : "{\"message\":");
	buf_add_json_string(&b, text, strlen(text));
	buf_addf(&b, "%s,\"error\":\"%s\",\"statusCode\":%u}", status == 400 ? "]" : "",
		 status == 400	 ? "Bad Request"
		 : status == 401 ? "Unauthorized"
		 : status == 404 ? "Not Found"
				 : "Internal Server Error",
		 status);
	respond_json(x, status, &b);
	buf_release(&b);
}

/* ---- Create ---- */

static bool member_known(const char *name)
{
	static const char *const known[] = {
		"assistantId", "assistant",	    "assistantOverrides", "assistantVersion",
		"customer",    "customerId",	    "customers",	  "name",
		"phoneNumber", "phoneNumberId",	    "schedulePlan",	  "squad",
		"squadId",     "squadOverrides",    "transport",	  "workflow",
		"workflowId",  "workflowOverrides",
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(name, known[i]) == 0)
			return true;
	return false;
}

static bool label_fits(const json_t *body, const char *path)
{
	const char *text = json_path_text(body, path);

	return !text || strlen(text) <= LABEL_MAX_BYTES;
}

static bool plan_fits(const json_t *body)
{
	const char *earliest = json_path_text(body, "schedulePlan.earliestAt");
	const char *latest = json_path_text(body, "schedulePlan.latestAt");
	int64_t from = 0, to = 0;

	if (!json_path(body, "schedulePlan"))
		return true;
	return earliest && time_parse(earliest, strlen(earliest), &from) == 0 &&
	       (!latest || (time_parse(latest, strlen(latest), &to) == 0 && to > from));
}

/* NULL, or what the API would say. */
static const char *find_fault(const json_t *body, char *storage, size_t n)
{
	const char *name;
	json_t *value;
	const char *phone = json_path_text(body, "customer.number");

	json_object_foreach ((json_t *)body, name, value) {
		if (member_known(name))
			continue;
		snprintf(storage, n, "property %.60s should not exist", name);
		return storage;
	}
	if (!json_path_text(body, "assistantId") && !json_path(body, "assistant"))
		return "assistantId or assistant is required";
	if (!json_path_text(body, "phoneNumberId") && !json_path(body, "phoneNumber"))
		return "phoneNumberId or phoneNumber is required";
	if (!phone || !phone_usable(phone))
		return "customer.number must be a valid phone number in the E.164 format";
	if (!plan_fits(body))
		return "schedulePlan.earliestAt and schedulePlan.latestAt must be valid ISO 8601 date strings";
	if (!label_fits(body, "name") || !label_fits(body, "customer.name") ||
	    !label_fits(body, "customer.externalId"))
		return "name and externalId must be shorter than or equal to 40 characters";
	return NULL;
}

static bool read_create(struct simulator *s, struct http_exchange *x, struct create *c)
{
	static const char *const places[] = {"assistantOverrides.metadata.job_id",
					     "customer.externalId", "name"};
	char storage[100];
	const char *fault = find_fault(c->body, storage, sizeof(storage));
	const char *job_id = NULL;

	(void)s;
	if (fault) {
		refuse(x, 400, fault);
		return false;
	}
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]) && !job_id; i++)
		job_id = json_path_text(c->body, places[i]);
	if (!job_id)
		job_id = http_header(x, "Idempotency-Key");
	snprintf(c->phone, sizeof(c->phone), "%s", json_path_text(c->body, "customer.number"));
	snprintf(c->job_id, sizeof(c->job_id), "%s", job_id ? job_id : "");
	return true;
}

/* The members that come back, `server` (which has secrets) left out. */
static char *make_echo(const json_t *body)
{
	static const char *const members[] = {"name", "assistantId", "phoneNumberId", "customer"};
	struct buf b;
	const char *name;
	json_t *value;
	bool first = true;

	buf_init(&b, SIM_BODY_MAX_BYTES);
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		value = json_object_get(body, members[i]);
		if (!value)
			continue;
		buf_addf(&b, ",\"%s\":", members[i]);
		json_write(value, &b);
	}
	buf_adds(&b, ",\"assistantOverrides\":{");
	json_object_foreach (json_object_get(body, "assistantOverrides"), name, value) {
		if (strcmp(name, "server") == 0)
			continue;
		buf_adds(&b, first ? "" : ",");
		first = false;
		buf_add_json_string(&b, name, strlen(name));
		buf_addc(&b, ':');
		json_write(value, &b);
	}
	buf_addc(&b, '}');
	char *text = buf_detach(&b);
	buf_release(&b);
	return text;
}

static void take_headers(struct call *c, json_t *headers)
{
	const char *name;
	json_t *value;
	size_t n = 0;

	c->server_headers = calloc(SERVER_HEADERS_MAX + 1, sizeof(*c->server_headers));
	if (!c->server_headers)
		return;
	json_object_foreach (headers, name, value) {
		struct buf b;
		if (n == SERVER_HEADERS_MAX || !json_is_string(value))
			continue;
		buf_init(&b, 4096);
		buf_addf(&b, "%s: %s", name, json_string_value(value));
		c->server_headers[n] = buf_detach(&b);
		n += c->server_headers[n] != NULL;
		buf_release(&b);
	}
}

static void take_server(struct call *c, const json_t *server)
{
	const char *url = json_path_text(server, "url");
	const char *type = json_path_text(server, "backoffPlan.type");
	int64_t n;

	c->retries_max = RETRIES_DEFAULT;
	c->retry_base_ms = RETRY_BASE_DEFAULT_MS;
	if (!url)
		return;
	c->server_url = strdup(url);
	c->retries_max = 0; /* none without a plan */
	if (json_path_int(server, "backoffPlan.maxRetries", &n) && n >= 0 && n <= 10)
		c->retries_max = (unsigned)n;
	if (json_path_int(server, "backoffPlan.baseDelaySeconds", &n) && n >= 0 && n <= 10)
		c->retry_base_ms = n * 1000;
	c->retry_fixed = type && strcmp(type, "fixed") == 0;
	c->server_credential = json_path_text(server, "credentialId") != NULL;
	take_headers(c, json_path(server, "headers"));
}

static void complete(struct simulator *s, struct call *c, const json_t *body)
{
	const char *agent = json_path_text(body, "assistantId");
	const char *from = json_path_text(body, "phoneNumberId");

	uuid_v4(clock_system(), c->id); /* unlike the rest not by the seed: it must not come again
					   after a restart */
	c->agent = agent ? strdup(agent) : NULL;
	c->from = from ? strdup(from) : NULL;
	c->echo = make_echo(body);
	take_server(c, s->o.webhooks ? json_path(body, "assistantOverrides.server") : NULL);
}

/* ---- The call object ---- */

static const char *ended_reason(const struct call *c)
{
	return c->action->ended_reason ? c->action->ended_reason : c->outcome->vapi_reason;
}

static const char *status_at(const struct call *c, int64_t now)
{
	return now >= c->ended_at			 ? "ended"
	       : c->answered_at && now >= c->answered_at ? "in-progress"
	       : now >= c->ringing_at			 ? "ringing"
							 : "queued";
}

static void add_time(struct buf *out, const char *name, int64_t at_ms)
{
	char at[TIME_TEXT_BYTES];

	time_format(at_ms, at);
	buf_addf(out, ",\"%s\":\"%s\"", name, at);
}

/* Without its closing brace. */
static void open_call(const struct call *c, const char *status, struct buf *out)
{
	buf_addf(out,
		 "{\"id\":\"%s\",\"orgId\":\"" ORGANIZATION "\",\"type\":\"outboundPhoneCall\"",
		 c->id);
	add_time(out, "createdAt", c->created_at);
	buf_addf(out, ",\"status\":\"%s\"%s", status, c->echo ? c->echo : "");
}

/* Where one that goes on can be listened to and ended; elsewhere than the API itself. */
static void add_monitor(const struct simulator *s, const struct call *c, struct buf *out)
{
	buf_addf(out,
		 ",\"monitor\":{\"listenUrl\":\"wss://%s/%s/listen\",\"controlUrl\":"
		 "\"http://%s/vapi-monitor/%s/control\"}",
		 s->o.listen, c->id, s->o.listen, c->id);
}

static void write_analysis(const struct call *c, struct buf *out)
{
	const struct outcome *o = c->outcome;

	buf_addf(out, ",\"analysis\":{\"summary\":\"%s\",\"structuredData\":{",
		 o->talked ? "A simulated conversation." : "");
	if (o->said)
		buf_addf(out, "\"outcome\":\"%s\"", o->said);
	if (strcmp(o->name, "CALLBACK") == 0) /* which has been said */
		add_time(out, "callback_at", c->ended_at + c->action->callback_in_ms);
	buf_addf(out, "},\"successEvaluation\":\"%s\"}", o->success ? "true" : "false");
}

/* What an ended call has more than one that goes on. */
static void write_end(const struct call *c, struct buf *out)
{
	buf_addf(out, ",\"endedReason\":\"%s\"", ended_reason(c));
	if (c->answered_at)
		add_time(out, "startedAt", c->answered_at);
	add_time(out, "endedAt", c->ended_at);
	buf_addf(out, ",\"cost\":%s,\"artifact\":{\"transcript\":\"%s\",\"messages\":[]",
		 c->outcome->talked ? "0.07" : "0.01",
		 c->outcome->talked ? "AI: Hello. User: Hello." : "");
	if (c->outcome->talked)
		buf_addf(out, ",\"recordingUrl\":\"https://recordings.example.test/%s.wav\"",
			 c->id);
	buf_addc(out, '}');
	write_analysis(c, out);
}

static void write_call(const struct simulator *s, const struct call *c, struct buf *out)
{
	int64_t now = simulator_now(s);

	open_call(c, status_at(c, now), out);
	add_time(out, "updatedAt", now < c->ended_at ? now : c->ended_at);
	if (now >= c->ended_at)
		write_end(c, out);
	else
		add_monitor(s, c, out);
	buf_addc(out, '}');
}

static void write_created(const struct simulator *s, const struct call *c, const json_t *body,
			  struct buf *out)
{
	open_call(c, json_path(body, "schedulePlan") ? "scheduled" : "queued", out);
	add_time(out, "updatedAt", c->created_at);
	add_monitor(s, c, out);
	buf_adds(out,
		 ",\"subscriptionLimits\":{\"concurrencyBlocked\":false,\"concurrencyLimit\":10,"
		 "\"remainingConcurrentCalls\":10}}");
}

/* ---- Server messages ---- */

static bool sends(const struct call *c, enum delivery_kind kind)
{
	switch (kind) {
	case DELIVERY_IN_PROGRESS:
		return c->answered_at != 0;
	case DELIVERY_RINGING:
	case DELIVERY_ENDED:
	case DELIVERY_REPORT:
		return true;
	case DELIVERY_INITIATED:
	case DELIVERY_AMD:
	case DELIVERY_CLASSIFIED:
		break;
	}
	return false;
}

static void write_event(const struct simulator *s, const struct call *c, enum delivery_kind kind,
			struct buf *out)
{
	static const char *const statuses[] = {[DELIVERY_RINGING] = "ringing",
					       [DELIVERY_IN_PROGRESS] = "in-progress",
					       [DELIVERY_ENDED] = "ended",
					       [DELIVERY_REPORT] = "ended"};
	const int64_t times[] = {[DELIVERY_RINGING] = c->ringing_at,
				 [DELIVERY_IN_PROGRESS] = c->answered_at,
				 [DELIVERY_ENDED] = c->ended_at,
				 [DELIVERY_REPORT] = c->ended_at};

	(void)s;
	if (kind == DELIVERY_REPORT)
		buf_adds(out, "{\"message\":{\"type\":\"end-of-call-report\"");
	else
		buf_addf(out, "{\"message\":{\"type\":\"status-update\",\"status\":\"%s\"",
			 statuses[kind]);
	buf_addf(out, ",\"timestamp\":%lld,\"call\":", (long long)times[kind]);
	open_call(c, statuses[kind], out);
	buf_addf(out, "},\"customer\":{\"number\":\"%s\"}", c->phone);
	if (kind == DELIVERY_ENDED)
		buf_addf(out, ",\"endedReason\":\"%s\"", ended_reason(c));
	else if (kind == DELIVERY_REPORT)
		write_end(c, out);
	buf_adds(out, "}}");
}

static void add_line(struct buf *headers, const char *name, const char *value)
{
	buf_addf(headers, "%s: %s", name, value);
	buf_add(headers, "", 1);
}

static void sign(const struct simulator *s, const struct buf *body, struct buf *headers)
{
	char timestamp[32];
	unsigned char digest[SIGN_MAX_BYTES];
	char hex[2 * SIGN_MAX_BYTES + 1];

	snprintf(timestamp, sizeof(timestamp), "%lld", (long long)simulator_now(s) / 1000);
	const struct sign_part parts[] = {
		{timestamp, strlen(timestamp)}, {".", 1}, {body->data, body->len}};
	size_t n = sign_hmac(SIGN_SHA256, s->o.vapi_secret, strlen(s->o.vapi_secret), parts, 3,
			     digest);
	hex_encode(digest, n, hex);
	add_line(headers, "x-timestamp", timestamp);
	add_line(headers, "x-signature", hex);
}

static void authenticate(const struct simulator *s, const struct buf *body, struct buf *headers)
{
	char text[1024];

	switch (s->o.vapi_auth) {
	case VAPI_AUTH_SECRET:
		add_line(headers, "X-Vapi-Secret", s->o.vapi_secret);
		break;
	case VAPI_AUTH_BEARER:
		snprintf(text, sizeof(text), "Bearer %s", s->o.vapi_secret);
		add_line(headers, "Authorization", text);
		break;
	case VAPI_AUTH_HMAC:
		sign(s, body, headers);
		break;
	}
}

static bool address(const struct simulator *s, const struct call *c, enum delivery_kind kind,
		    const struct buf *body, struct buf *url, struct buf *headers)
{
	(void)kind;
	add_line(headers, "Content-Type", "application/json");
	if (!c->server_url) {
		buf_addf(url, "%s/webhooks/vapi/vapi", s->o.webhook_url);
		authenticate(s, body, headers);
		return true;
	}
	buf_adds(url, c->server_url);
	for (char **h = c->server_headers; h && *h; h++)
		buf_add(headers, *h, strlen(*h) + 1);
	if (c->server_credential)
		authenticate(s, body, headers);
	return true;
}

const struct provider_ops vapi_ops = {
	.row_at_end = false,
	.read_create = read_create,
	.complete = complete,
	.write_created = write_created,
	.created_status = 201,
	.sends = sends,
	.write_event = write_event,
	.address = address,
	.refuse = refuse,
};

/* ---- Look-ups ---- */

struct window {
	int64_t after, before; /* both exclusive */
};

/* False if a time can't be read. */
static bool read_window(const struct http_exchange *x, struct window *ret)
{
	static const struct {
		const char *name;
		bool lower;
		int64_t inclusive;
	} rows[] = {
		{"createdAtGt", true, 0},
		{"createdAtGe", true, 1},
		{"createdAtLt", false, 0},
		{"createdAtLe", false, 1},
	};

	*ret = (struct window){INT64_MIN, INT64_MAX};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *text = http_query(x, rows[i].name);
		int64_t at;
		if (!text)
			continue;
		if (time_parse(text, strlen(text), &at) != 0)
			return false;
		if (rows[i].lower)
			ret->after = at - rows[i].inclusive;
		else
			ret->before = at + rows[i].inclusive;
	}
	return true;
}

static bool same_if_asked(const struct http_exchange *x, const char *name, const char *value)
{
	const char *wanted = http_query(x, name);

	return !wanted || (value && strcmp(wanted, value) == 0);
}

void handle_vapi_create(void *arg, struct http_exchange *x)
{
	create_handle(arg, PROVIDER_VAPI, x);
}

void handle_vapi_list(void *arg, struct http_exchange *x)
{
	struct simulator *s = arg;
	const char *limit_text = http_query(x, "limit");
	size_t limit = limit_text ? strtoul(limit_text, NULL, 10) : LIST_ROWS_DEFAULT;
	struct window w;
	size_t found = 0;

	if (!lookup_permitted(s, PROVIDER_VAPI, x))
		return;
	if (limit > LIST_ROWS_MAX || !read_window(x, &w)) {
		refuse(x, 400,
		       "limit must not be greater than 1000, times must be valid ISO 8601 date strings");
		return;
	}
	buf_clear(&s->scratch);
	buf_addc(&s->scratch, '[');
	for (size_t i = s->ledger.count; i-- > 0 && found < limit;) {
		const struct call *c = s->ledger.calls[i];
		if (c->provider != PROVIDER_VAPI || c->created_at <= w.after ||
		    c->created_at >= w.before || !call_listed(s, c) ||
		    !same_if_asked(x, "phoneNumberId", c->from) ||
		    !same_if_asked(x, "assistantId", c->agent) || !same_if_asked(x, "id", c->id))
			continue;
		buf_adds(&s->scratch, found++ > 0 ? "," : "");
		write_call(s, c, &s->scratch);
	}
	buf_addc(&s->scratch, ']');
	respond_json(x, 200, &s->scratch);
}

void handle_vapi_get(void *arg, struct http_exchange *x)
{
	struct simulator *s = arg;
	const struct call *c = call_find(s, http_param(x, "id"));

	if (!lookup_permitted(s, PROVIDER_VAPI, x))
		return;
	if (!c || c->provider != PROVIDER_VAPI || !call_listed(s, c)) {
		refuse(x, 404, "Couldn't find call.");
		return;
	}
	buf_clear(&s->scratch);
	write_call(s, c, &s->scratch);
	respond_json(x, 200, &s->scratch);
}

/* Without a key: who knows the URL may. */
void handle_vapi_control(void *arg, struct http_exchange *x)
{
	struct simulator *s = arg;
	struct call *c = call_find(s, http_param(x, "id"));
	char text[100];
	struct buf error;
	size_t n;
	const char *bytes = http_body(x, &n);

	request_record(s, x);
	buf_init_fixed(&error, text, sizeof(text));
	_cleanup_json_ json_t *body = json_parse(bytes, n, SIM_BODY_MAX_BYTES, &error);
	const char *type = json_path_text(body, "type");
	if (!type || strcmp(type, "end-call") != 0) {
		refuse(x, 400, "type must be one of the following values: end-call");
		return;
	}
	if (!c || c->provider != PROVIDER_VAPI || call_ended(s, c)) {
		refuse(x, 404, "Call not found or not live.");
		return;
	}
	deliveries_cancel(s, c);
	call_end(s, c, outcome_find("CANCELLED"));
	deliveries_plan(s, c, DELIVERY_ENDED);
	http_respond(x, 200, "application/json", "{}", 2);
}
