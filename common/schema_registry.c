/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registering our schemas and fetching others' are the same thing here: an ask, which is sent again
 * with backoff until the registry has given an answer that settles it.
 */
#include "common/schema_registry.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"

#define TIMEOUT_MS 10000
#define BACKOFF_BASE_MS 500
#define BACKOFF_MAX_MS 30000
#define URL_BYTES_MAX 8192
#define ANSWER_BYTES_MAX (1024 * 1024)
#define REASON_BYTES 512

struct ask {
	struct ask *next;
	struct schema_registry *registry;
	bool registers; /* our schema of `type`; else `id` is wanted */
	enum msg_type type;
	int32_t id;
	unsigned attempts;
	ev_timer again;
};

struct schema_registry {
	struct ev_loop *loop;
	struct schema_registry_options o;
	char *url;
	char *topic_prefix;
	struct ask *asks;
	size_t asks_count;
	size_t registered;
};

/* How an answer settles an ask. */
enum verdict { SETTLED, NOT_KNOWN, TRY_AGAIN };

static void send_ask(struct ask *a);

static void on_again(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)loop;
	(void)revents;
	send_ask(timer->data);
}

/* Sends the ask from the loop, after `delay_ms`. */
static void send_later(struct ask *a, int64_t delay_ms)
{
	ev_timer_stop(a->registry->loop, &a->again);
	ev_timer_set(&a->again, (double)delay_ms / 1000., 0.);
	ev_timer_start(a->registry->loop, &a->again);
}

/* false: no memory. */
static bool add_ask(struct schema_registry *r, bool registers, enum msg_type type, int32_t id)
{
	struct ask *a = calloc(1, sizeof(*a));

	if (!a)
		return false;
	a->registry = r;
	a->registers = registers;
	a->type = type;
	a->id = id;
	ev_init(&a->again, on_again);
	a->again.data = a;
	a->next = r->asks;
	r->asks = a;
	r->asks_count++;
	send_later(a, 0);
	return true;
}

static void ask_free(struct ask *a)
{
	ev_timer_stop(a->registry->loop, &a->again);
	free(a);
}

static void remove_ask(struct ask *a)
{
	struct schema_registry *r = a->registry;
	struct ask **at = &r->asks;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	r->asks_count--;
	ask_free(a);
}

/* ---- Answers ---- */

static void report(const struct ask *a, const char *reason)
{
	const struct schema_registry *r = a->registry;
	char text[REASON_BYTES];
	struct buf b;

	if (!r->o.on_error)
		return;
	buf_init_fixed(&b, text, sizeof(text));
	if (a->registers)
		buf_addf(&b, "schema registry, %s: ", msg_type_info(a->type)->topic_suffix);
	else
		buf_addf(&b, "schema registry, id %ld: ", (long)a->id);
	buf_add(&b, reason, utf8_prefix(reason, strlen(reason), REASON_BYTES - 1 - b.len));
	r->o.on_error(r->o.arg, text);
}

static enum verdict take_id(const struct ask *a, const json_t *answer, struct buf *why)
{
	int64_t id;

	if (!json_path_int(answer, "id", &id) || id < 0 || id > INT32_MAX) {
		buf_adds(why, "an answer without id");
		return TRY_AGAIN;
	}
	msg_codec_set_id(a->registry->o.codec, a->type, (int32_t)id);
	return SETTLED;
}

static enum verdict take_schema(const struct ask *a, const json_t *answer, struct buf *why)
{
	const char *kind = json_path_text(answer, "schemaType");
	const char *schema = json_path_text(answer, "schema");

	if (!schema) {
		buf_adds(why, "an answer without schema");
		return TRY_AGAIN;
	}
	if (kind && strcmp(kind, "AVRO") != 0) {
		buf_adds(why, "not an Avro schema");
		return NOT_KNOWN;
	}
	return msg_codec_add_schema(a->registry->o.codec, a->type, a->id, schema, strlen(schema),
				    why) == 0
		       ? SETTLED
		       : NOT_KNOWN;
}

static enum verdict read_answer(const struct ask *a, const struct http_answer *answer,
				struct buf *why)
{
	char parse_error[128];
	struct buf unread;

	if (answer->outcome != HTTP_ANSWERED) {
		buf_adds(why, answer->error ? answer->error : "no answer that can be used");
		return TRY_AGAIN;
	}
	buf_init_fixed(&unread, parse_error, sizeof(parse_error));
	_cleanup_json_ json_t *body =
		json_parse(answer->body, answer->body_bytes, ANSWER_BYTES_MAX, &unread);
	if (answer->status == 200 && body)
		return a->registers ? take_id(a, body, why) : take_schema(a, body, why);
	const char *message = json_path_text(body, "message");
	buf_addf(why, "HTTP %ld", answer->status);
	if (message)
		buf_addf(why, ": %.*s", (int)utf8_prefix(message, strlen(message), 200), message);
	return answer->status == 404 && !a->registers ? NOT_KNOWN : TRY_AGAIN;
}

static void try_again(struct ask *a)
{
	const struct clock *clock = a->registry->o.clock;

	send_later(a, clock_backoff_ms(clock, a->attempts, BACKOFF_BASE_MS, BACKOFF_MAX_MS));
	if (a->attempts < 31)
		a->attempts++;
}

static void on_answer(void *arg, const struct http_answer *answer)
{
	struct ask *a = arg;
	struct schema_registry *r = a->registry;
	int32_t id = a->id;
	char text[REASON_BYTES];
	struct buf why;

	buf_init_fixed(&why, text, sizeof(text));
	enum verdict verdict = read_answer(a, answer, &why);
	if (verdict != SETTLED)
		report(a, why.data);
	if (verdict == TRY_AGAIN) {
		try_again(a);
		return;
	}
	bool registers = a->registers;
	remove_ask(a);
	if (registers)
		r->registered++;
	else
		r->o.on_resolved(r->o.arg, id, verdict == SETTLED);
}

/* ---- Requests ---- */

static void add_url(const struct ask *a, struct buf *url)
{
	const struct schema_registry *r = a->registry;

	buf_adds(url, r->url);
	if (!a->registers) {
		buf_addf(url, "/schemas/ids/%ld", (long)a->id);
		return;
	}
	const char *suffix = msg_type_info(a->type)->topic_suffix;
	buf_adds(url, "/subjects/");
	buf_add_url(url, r->topic_prefix, strlen(r->topic_prefix));
	buf_add_url(url, suffix, strlen(suffix));
	buf_adds(url, "-value/versions");
}

/* The .avsc text itself: avro-c's own print drops defaults and logical types. */
static void add_body(const struct ask *a, struct buf *body)
{
	size_t bytes;
	const char *schema = msg_schema_text(a->type, &bytes);

	buf_adds(body, "{\"schemaType\":\"AVRO\",\"schema\":");
	buf_add_json_string(body, schema, bytes);
	buf_addc(body, '}');
}

static void send_ask(struct ask *a)
{
	static const char *const headers[] = {
		"Content-Type: application/vnd.schemaregistry.v1+json",
		"Accept: application/vnd.schemaregistry.v1+json, application/json",
		NULL,
	};
	struct buf url;
	struct buf body;

	buf_init(&url, URL_BYTES_MAX);
	buf_init(&body, ANSWER_BYTES_MAX);
	add_url(a, &url);
	if (a->registers)
		add_body(a, &body);
	struct http_request request = {
		.method = a->registers ? "POST" : "GET",
		.url = url.data,
		.headers = headers,
		.body = a->registers ? body.data : NULL,
		.body_bytes = body.len,
		.timeout_ms = TIMEOUT_MS,
		.max_response_bytes = ANSWER_BYTES_MAX,
	};
	if (url.failed || body.failed || !http_send(a->registry->o.http, &request, on_answer, a)) {
		report(a, "the request can't be sent now");
		try_again(a);
	}
	buf_release(&body);
	buf_release(&url);
}

/* ---- Life ---- */

struct schema_registry *schema_registry_new(struct ev_loop *loop,
					    const struct schema_registry_options *o)
{
	struct schema_registry *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->loop = loop;
	r->o = *o;
	if (!r->o.clock)
		r->o.clock = clock_system();
	r->url = strdup(o->url);
	r->topic_prefix = strdup(o->topic_prefix);
	bool ok = r->url && r->topic_prefix;
	for (size_t n = ok ? strlen(r->url) : 0; n > 0 && r->url[n - 1] == '/'; n--)
		r->url[n - 1] = '\0';
	for (int t = 0; ok && t < MSG_TYPE_COUNT; t++)
		ok = add_ask(r, true, (enum msg_type)t, 0);
	if (ok)
		return r;
	schema_registry_free(r);
	return NULL;
}

void schema_registry_free(struct schema_registry *r)
{
	if (!r)
		return;
	while (r->asks) {
		struct ask *a = r->asks;
		r->asks = a->next;
		ask_free(a);
	}
	free(r->url);
	free(r->topic_prefix);
	free(r);
}

bool schema_registry_ready(const struct schema_registry *r)
{
	return r->registered == MSG_TYPE_COUNT;
}

void schema_registry_resolve(struct schema_registry *r, enum msg_type type, int32_t id)
{
	assert((unsigned)type < MSG_TYPE_COUNT);
	for (const struct ask *a = r->asks; a; a = a->next) {
		if (!a->registers && a->type == type && a->id == id)
			return;
	}
	size_t registering = MSG_TYPE_COUNT - r->registered;
	/* Without memory it is dropped as one too many is. */
	if (r->asks_count - registering < SCHEMA_REGISTRY_ASKS_MAX)
		(void)add_ask(r, false, type, id);
}
