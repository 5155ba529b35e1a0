/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Twilio from outside: forms in, JSON out, errors by their codes; a call shows in the list from its
 * creation on, with nothing of the request in it but the two numbers. Each state is told by a
 * signed form to the URL that the request named, query and all; who answered, to another one.
 */
#include "tests/simulator/simulator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/form.h"
#include "common/json.h"
#include "common/seal.h"

#define PAGE_ROWS_MAX 1000
#define PAGE_ROWS_DEFAULT 50
#define API_VERSION "2010-04-01"
#define RETRIES_MAX 5 /* of what our URLs ask for */
#define RETRY_MS 500
#define MAIL_TIME_BYTES 40
#define EVENTS_MEMBER "StatusCallbackEvents"

static void refuse_code(struct http_exchange *x, unsigned status, unsigned code, const char *text)
{
	struct buf b;

	buf_init(&b, 2048);
	buf_addf(&b, "{\"code\":%u,\"message\":", code);
	buf_add_json_string(&b, text, strlen(text));
	buf_addf(&b, ",\"more_info\":\"https://www.twilio.com/docs/errors/%u\",\"status\":%u}",
		 code, status);
	respond_json(x, status, &b);
	buf_release(&b);
}

static void refuse(struct http_exchange *x, unsigned status, const char *text)
{
	unsigned code = status == 401	? 20003
			: status == 404 ? 20404
			: status == 429 ? 20429
			: status >= 500 ? 20500
					: 20001;

	refuse_code(x, status, code, status == 401 ? "Authenticate" : text);
}

/* "Tue, 14 Nov 2023 22:13:20 +0000" */
static const char *mail_time(int64_t at_ms, char ret_text[MAIL_TIME_BYTES])
{
	time_t at = (time_t)(at_ms / 1000);
	struct tm tm;

	gmtime_r(&at, &tm);
	strftime(ret_text, MAIL_TIME_BYTES, "%a, %d %b %Y %H:%M:%S +0000", &tm);
	return ret_text;
}

/* ---- Create ---- */

/* The form as an object; what is repeated, as an array of its own. */
static json_t *parse(const char *bytes, size_t n, struct buf *error)
{
	struct form_pair *pairs = calloc(FORM_FIELDS_MAX, sizeof(*pairs));
	json_t *body = form_parse(bytes, n, error);
	json_t *events = json_array();
	struct buf storage;
	size_t count = 0;

	buf_init(&storage, n + 1);
	if (body && pairs && form_pairs(bytes, n, &storage, pairs, &count)) {
		for (size_t i = 0; i < count; i++) {
			if (pairs[i].name_bytes == 19 &&
			    memcmp(pairs[i].name, "StatusCallbackEvent", 19) == 0)
				json_array_append_new(
					events, json_stringn(pairs[i].value, pairs[i].value_bytes));
		}
		json_object_set(body, EVENTS_MEMBER, events);
	}
	json_decref(events);
	buf_release(&storage);
	free(pairs);
	return body;
}

static const struct {
	const char *event;
	enum delivery_kind kind;
} events[] = {
	{"initiated", DELIVERY_INITIATED},
	{"ringing", DELIVERY_RINGING},
	{"answered", DELIVERY_IN_PROGRESS},
	{"completed", DELIVERY_ENDED},
};

/* A bit for each kind; false: a word that is none. */
static bool read_events(const json_t *words, unsigned *ret)
{
	const json_t *word;
	size_t i;

	*ret = json_array_size(words) == 0 ? 1u << DELIVERY_ENDED : 0;
	json_array_foreach (words, i, word) {
		size_t k = 0;
		while (k < sizeof(events) / sizeof(events[0]) &&
		       strcmp(json_string_value(word), events[k].event) != 0)
			k++;
		if (k == sizeof(events) / sizeof(events[0]))
			return false;
		*ret |= 1u << events[k].kind;
	}
	return true;
}

static bool is_url(const char *text)
{
	return text && (strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0);
}

/* What our URLs say of the call; free with json_decref(). */
static json_t *query_of(const char *url)
{
	const char *query = url ? strchr(url, '?') : NULL;
	char ignored[64];
	struct buf error;

	buf_init_fixed(&error, ignored, sizeof(ignored));
	return query ? form_parse(query + 1, strcspn(query + 1, "#"), &error) : NULL;
}

static bool read_create(struct simulator *s, struct http_exchange *x, struct create *c)
{
	const char *to = json_path_text(c->body, "To");
	const char *from = json_path_text(c->body, "From");
	const char *url = json_path_text(c->body, "Url");
	const char *callback = json_path_text(c->body, "StatusCallback");
	char text[200];
	unsigned kinds;

	(void)s;
	snprintf(text, sizeof(text),
		 "The phone number you are attempting to call, %.40s, is not valid.", to ? to : "");
	if (!to)
		refuse_code(x, 400, 21201, "No 'To' number is specified");
	else if (!phone_usable(to))
		refuse_code(x, 400, 21211, text);
	else if (!from || !phone_usable(from))
		refuse_code(x, 400, 21212, "The 'From' number is not valid.");
	else if (!is_url(url))
		refuse_code(x, 400, 21205, "Url is not a valid URL");
	else if (callback && !is_url(callback))
		refuse_code(x, 400, 21609, "Invalid 'StatusCallback' URL");
	else if (!read_events(json_path(c->body, EVENTS_MEMBER), &kinds))
		refuse_code(x, 400, 21626, "Invalid StatusCallbackEvents");
	else {
		_cleanup_json_ json_t *ids = query_of(callback ? callback : url);
		const char *job_id = json_path_text(ids, "job");
		if (!job_id)
			job_id = http_header(x, "Idempotency-Key");
		snprintf(c->phone, sizeof(c->phone), "%s", to);
		snprintf(c->job_id, sizeof(c->job_id), "%s", job_id ? job_id : "");
		return true;
	}
	return false;
}

static const char *final_status(const struct call *c)
{
	return c->stopped_status ? c->stopped_status : c->outcome->twilio_status;
}

static bool is_answered(const struct call *c)
{
	return strcmp(final_status(c), "completed") == 0;
}

static void complete(struct simulator *s, struct call *c, const json_t *body)
{
	const char *callback = json_path_text(body, "StatusCallback");
	const char *detection = json_path_text(body, "MachineDetection");
	const char *amd_url = json_path_text(body, "AsyncAmdStatusCallback");
	char uuid[UUID_TEXT_BYTES];
	size_t n = 2;

	uuid_v4(clock_system(), uuid); /* must not come again after a restart */
	memcpy(c->id, "CA", 2);
	for (const char *u = uuid; *u; u++) {
		if (*u != '-')
			c->id[n++] = *u;
	}
	c->id[n] = '\0';
	c->agent = strdup(json_path_text(body, "Url"));
	c->from = strdup(json_path_text(body, "From"));
	c->server_url = callback && s->o.webhooks ? strdup(callback) : NULL;
	c->amd_url = amd_url && detection && s->o.webhooks ? strdup(amd_url) : NULL;
	c->echo = detection ? strdup("detected") : NULL;
	read_events(json_path(body, EVENTS_MEMBER), &c->status_events);
	c->retries_max = RETRIES_MAX;
	c->retry_base_ms = RETRY_MS;
	/* A machine answers too. */
	if (is_answered(c) && c->answered_at == 0)
		c->answered_at = c->ringing_at + (c->ended_at - c->ringing_at) / 4;
}

/* ---- The call ---- */

static const char *status_at(const struct call *c, int64_t now)
{
	return now >= c->ended_at			 ? final_status(c)
	       : c->answered_at && now >= c->answered_at ? "in-progress"
	       : now >= c->ringing_at			 ? "ringing"
							 : "queued";
}

/* Who answered, where that was asked for; NULL: nobody knows. */
static const char *answered_by(const struct call *c)
{
	if (!c->echo || !is_answered(c))
		return NULL;
	return c->action->answered_by ? c->action->answered_by : c->outcome->twilio_answered_by;
}

static void add_text(struct buf *out, const char *name, const char *text)
{
	buf_addf(out, ",\"%s\":", name);
	if (text)
		buf_add_json_string(out, text, strlen(text));
	else
		buf_adds(out, "null");
}

static long long talked_s(const struct call *c)
{
	return is_answered(c) && c->answered_at
		       ? (long long)(c->ended_at - c->answered_at + 999) / 1000
		       : 0;
}

static void write_call(const struct call *c, const char *account, int64_t now, struct buf *out)
{
	bool over = now >= c->ended_at;
	char at[MAIL_TIME_BYTES], seconds[24];

	snprintf(seconds, sizeof(seconds), "%lld", talked_s(c));
	buf_addf(out, "{\"sid\":\"%s\"", c->id);
	add_text(out, "account_sid", account);
	add_text(out, "api_version", API_VERSION);
	add_text(out, "to", c->phone);
	add_text(out, "from", c->from);
	add_text(out, "status", status_at(c, now));
	add_text(out, "direction", "outbound-api");
	add_text(out, "date_created", mail_time(c->created_at, at));
	add_text(out, "date_updated", mail_time(over ? c->ended_at : now, at));
	add_text(out, "start_time", now >= c->ringing_at ? mail_time(c->ringing_at, at) : NULL);
	add_text(out, "end_time", over ? mail_time(c->ended_at, at) : NULL);
	add_text(out, "duration", over ? seconds : NULL);
	add_text(out, "answered_by", over ? answered_by(c) : NULL);
	add_text(out, "price", over && is_answered(c) ? "-0.01300" : NULL);
	buf_addf(out,
		 ",\"price_unit\":\"USD\",\"queue_time\":\"0\",\"parent_call_sid\":null,"
		 "\"uri\":\"/" API_VERSION "/Accounts/%s/Calls/%s.json\"}",
		 account, c->id);
}

static void write_created(const struct simulator *s, const struct call *c, const json_t *body,
			  struct buf *out)
{
	(void)s;
	(void)body;
	write_call(c, "AC00000000000000000000000000000001", c->created_at, out);
}

/* ---- Callbacks ---- */

struct field {
	const char *name;
	char value[80];
};
#define FIELDS_MAX 20

struct fields {
	struct field fields[FIELDS_MAX];
	size_t n;
};

/* In the order of the names, by their bytes. */
static void add_field(struct fields *f, const char *name, const char *value)
{
	struct field *at = &f->fields[f->n++];

	at->name = name;
	snprintf(at->value, sizeof(at->value), "%s", value);
}

static const char *event_status(const struct call *c, enum delivery_kind kind)
{
	return kind == DELIVERY_INITIATED     ? "initiated"
	       : kind == DELIVERY_RINGING     ? "ringing"
	       : kind == DELIVERY_IN_PROGRESS ? "in-progress"
					      : final_status(c);
}

static void fill_state(const struct call *c, enum delivery_kind kind, struct fields *f)
{
	const int64_t times[] = {[DELIVERY_INITIATED] = c->created_at + c->action->queue_ms,
				 [DELIVERY_RINGING] = c->ringing_at,
				 [DELIVERY_IN_PROGRESS] = c->answered_at,
				 [DELIVERY_AMD] = 0,
				 [DELIVERY_ENDED] = c->ended_at};
	char text[MAIL_TIME_BYTES], number[24];

	/* Who answered is not in it: detection goes on beside the call, with a callback of its own.
	 */
	add_field(f, "ApiVersion", API_VERSION);
	snprintf(number, sizeof(number), "%lld", talked_s(c));
	if (kind == DELIVERY_ENDED)
		add_field(f, "CallDuration", number);
	add_field(f, "CallSid", c->id);
	add_field(f, "CallStatus", event_status(c, kind));
	add_field(f, "CallbackSource", "call-progress-events");
	add_field(f, "Called", c->phone);
	add_field(f, "Caller", c->from);
	add_field(f, "Direction", "outbound-api");
	add_field(f, "From", c->from);
	snprintf(number, sizeof(number), "%d",
		 kind == DELIVERY_ENDED ? (c->answered_at ? 3 : 2) : (int)kind);
	add_field(f, "SequenceNumber", number);
	add_field(f, "Timestamp", mail_time(times[kind], text));
	add_field(f, "To", c->phone);
	add_field(f, "ToCity", "");
}

static void fill(const struct call *c, enum delivery_kind kind, struct fields *f)
{
	f->n = 0;
	add_field(f, "AccountSid", "AC00000000000000000000000000000001");
	if (kind != DELIVERY_AMD) {
		fill_state(c, kind, f);
		return;
	}
	add_field(f, "AnsweredBy", answered_by(c));
	add_field(f, "CallSid", c->id);
	add_field(f, "MachineDetectionDuration", "2400");
}

static bool sends(const struct call *c, enum delivery_kind kind)
{
	switch (kind) {
	case DELIVERY_INITIATED:
	case DELIVERY_RINGING:
	case DELIVERY_ENDED:
		return c->server_url && c->status_events & 1u << kind;
	case DELIVERY_IN_PROGRESS:
		return c->server_url && c->status_events & 1u << kind && is_answered(c);
	case DELIVERY_AMD:
		return c->amd_url && answered_by(c);
	case DELIVERY_REPORT:
	case DELIVERY_CLASSIFIED:
		break;
	}
	return false;
}

static void write_event(const struct simulator *s, const struct call *c, enum delivery_kind kind,
			struct buf *out)
{
	struct fields f;

	(void)s;
	fill(c, kind, &f);
	for (size_t i = 0; i < f.n; i++) {
		buf_addf(out, "%s%s=", i > 0 ? "&" : "", f.fields[i].name);
		buf_add_url(out, f.fields[i].value, strlen(f.fields[i].value));
	}
}

static bool address(const struct simulator *s, const struct call *c, enum delivery_kind kind,
		    const struct buf *body, struct buf *url, struct buf *headers)
{
	static const char type[] = "Content-Type: application/x-www-form-urlencoded";
	const char *to = kind == DELIVERY_AMD ? c->amd_url : c->server_url;
	unsigned char digest[SIGN_MAX_BYTES];
	struct fields f;
	struct buf text, signature;

	(void)body;
	fill(c, kind, &f);
	buf_add(url, to, strcspn(to, "#"));
	buf_init(&text, 16384);
	buf_init(&signature, 64);
	buf_add(&text, url->data, url->len);
	for (size_t i = 0; i < f.n; i++)
		buf_addf(&text, "%s%s", f.fields[i].name, f.fields[i].value);
	const struct sign_part part = {text.data, text.len};
	size_t n = sign_hmac(SIGN_SHA1, s->o.twilio_token, strlen(s->o.twilio_token), &part, 1,
			     digest);
	base64_encode(digest, n, &signature);
	buf_add(headers, type, sizeof(type));
	buf_addf(headers, "X-Twilio-Signature: %s", signature.data);
	buf_addc(headers, '\0');
	buf_release(&text);
	buf_release(&signature);
	return true;
}

const struct provider_ops twilio_ops = {
	.row_at_end = false,
	.basic = true,
	.parse = parse,
	.read_create = read_create,
	.complete = complete,
	.write_created = write_created,
	.created_status = 201,
	.sends = sends,
	.write_event = write_event,
	.address = address,
	.refuse = refuse,
};

/* ---- Look-ups and updates ---- */

void handle_twilio_create(void *arg, struct http_exchange *x)
{
	create_handle(arg, PROVIDER_TWILIO, x);
}

static bool same_if_asked(const struct http_exchange *x, const char *name, const char *value)
{
	const char *wanted = http_query(x, name);

	return !wanted || strcmp(wanted, value) == 0;
}

/* Newest first. What lies behind the page is only announced. */
void handle_twilio_list(void *arg, struct http_exchange *x)
{
	struct simulator *s = arg;
	const char *size = http_query(x, "PageSize");
	size_t limit = size ? strtoul(size, NULL, 10) : PAGE_ROWS_DEFAULT;
	int64_t now = simulator_now(s);
	size_t shown = 0, found = 0;

	if (!lookup_permitted(s, PROVIDER_TWILIO, x))
		return;
	if (limit == 0 || limit > PAGE_ROWS_MAX) {
		refuse_code(x, 400, 20001, "Page size must be at most 1000");
		return;
	}
	buf_clear(&s->scratch);
	buf_adds(&s->scratch, "{\"calls\":[");
	for (size_t i = s->ledger.count; i-- > 0;) {
		const struct call *c = s->ledger.calls[i];
		if (c->provider != PROVIDER_TWILIO || !call_listed(s, c) ||
		    !same_if_asked(x, "To", c->phone) || !same_if_asked(x, "From", c->from) ||
		    !same_if_asked(x, "Status", status_at(c, now)))
			continue;
		if (found++ >= limit)
			continue;
		buf_adds(&s->scratch, shown++ > 0 ? "," : "");
		write_call(c, http_param(x, "account"), now, &s->scratch);
	}
	buf_addf(&s->scratch, "],\"page\":0,\"page_size\":%zu", limit);
	add_text(&s->scratch, "uri", http_path(x));
	add_text(&s->scratch, "next_page_uri", found > shown ? "/next" : NULL);
	buf_addc(&s->scratch, '}');
	respond_json(x, 200, &s->scratch);
}

/* The call of the path ("CA....json"); NULL: answered. */
static struct call *wanted_call(struct simulator *s, struct http_exchange *x)
{
	char id[sizeof(((struct call *)NULL)->id)];
	const char *name = http_param(x, "id");
	const char *dot = strrchr(name, '.');

	if (!lookup_permitted(s, PROVIDER_TWILIO, x))
		return NULL;
	snprintf(id, sizeof(id), "%.*s", dot ? (int)(dot - name) : 0, name);
	struct call *c = call_find(s, id);
	if (c && c->provider == PROVIDER_TWILIO && call_listed(s, c))
		return c;
	refuse(x, 404, "The requested resource was not found");
	return NULL;
}

static void respond_call(struct simulator *s, const struct call *c, struct http_exchange *x)
{
	buf_clear(&s->scratch);
	write_call(c, http_param(x, "account"), simulator_now(s), &s->scratch);
	respond_json(x, 200, &s->scratch);
}

void handle_twilio_get(void *arg, struct http_exchange *x)
{
	const struct call *c = wanted_call(arg, x);

	if (c)
		respond_call(arg, c, x);
}

/* Takes back what nobody answered yet, or hangs up. */
void handle_twilio_update(void *arg, struct http_exchange *x)
{
	struct simulator *s = arg;
	struct call *c = wanted_call(s, x);
	size_t n;
	const char *bytes = http_body(x, &n);
	char text[64];
	struct buf error;

	if (!c)
		return;
	buf_init_fixed(&error, text, sizeof(text));
	_cleanup_json_ json_t *body = form_parse(bytes, n, &error);
	const char *wanted = json_path_text(body, "Status");
	bool answered = c->answered_at && simulator_now(s) >= c->answered_at;
	bool cancel = wanted && strcmp(wanted, "canceled") == 0;

	if (!wanted || (!cancel && strcmp(wanted, "completed") != 0)) {
		refuse_code(x, 400, 20001, "Status must be canceled or completed");
		return;
	}
	if (call_ended(s, c) || (cancel && answered)) {
		refuse_code(x, 400, 21220, "Invalid call state");
		return;
	}
	c->stopped_status = answered ? "completed" : "canceled";
	deliveries_cancel(s, c);
	call_end(s, c, NULL);
	deliveries_plan(s, c, DELIVERY_ENDED);
	respond_call(s, c, x);
}
