/* SPDX-License-Identifier: Apache-2.0 */
/* The registry client against a scripted HTTP client: this file's http_send() takes the real one's
 * place in the link. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/json.h"
#include "common/schema_registry.h"

#define REQUESTS_MAX 300
#define URL "http://registry.example:8081/apis/ccompat/v7"
#define STAGE_OF_ANOTHER                                                                           \
	"{\"type\":\"record\",\"name\":\"StageTransition\",\"fields\":["                           \
	"{\"name\":\"event_id\",\"type\":\"string\"},{\"name\":\"tenant\",\"type\":\"string\"},"   \
	"{\"name\":\"to\",\"type\":\"string\"},{\"name\":\"reason\",\"type\":\"string\"},"         \
	"{\"name\":\"at\",\"type\":\"long\"},{\"name\":\"entity\",\"type\":{\"type\":\"enum\","    \
	"\"name\":\"E\",\"symbols\":[\"lead\"]}}]}"

struct http_client {
	struct {
		char method[8];
		char url[256];
		char body[16384];
		http_done_cb *done;
		void *arg;
	} requests[REQUESTS_MAX];
	size_t sent;
	size_t answered;
	bool full;
};

static struct http_client http;
static struct msg_codec *codec;
static struct ev_loop *loop;
static struct schema_registry *registry;
static char errors[4096];
static int resolved_calls;
static int32_t resolved_id;
static bool resolved_known;

bool http_send(struct http_client *c, const struct http_request *r, http_done_cb *cb, void *arg)
{
	bool typed = false;

	assert_ptr_equal(c, &http);
	assert_true(r->timeout_ms > 0 && r->max_response_bytes > 0);
	if (c->full || c->sent == REQUESTS_MAX)
		return false;
	for (size_t i = 0; r->headers[i]; i++)
		typed = typed ||
			strcmp(r->headers[i],
			       "Content-Type: application/vnd.schemaregistry.v1+json") == 0;
	assert_true(typed);
	snprintf(c->requests[c->sent].method, sizeof(c->requests[0].method), "%s", r->method);
	snprintf(c->requests[c->sent].url, sizeof(c->requests[0].url), "%s", r->url);
	assert_true(r->body_bytes < sizeof(c->requests[0].body));
	snprintf(c->requests[c->sent].body, sizeof(c->requests[0].body), "%s",
		 r->body ? r->body : "");
	c->requests[c->sent].done = cb;
	c->requests[c->sent].arg = arg;
	c->sent++;
	return true;
}

static void no_random(void *arg, void *ret_bytes, size_t n)
{
	(void)arg;
	memset(ret_bytes, 0xff, n); /* not "unfair"; any jitter */
}

static const struct clock test_clock = {.random = no_random};

static void on_resolved(void *arg, int32_t id, bool known)
{
	assert_ptr_equal(arg, &http);
	resolved_calls++;
	resolved_id = id;
	resolved_known = known;
}

static void on_error(void *arg, const char *reason)
{
	size_t n = strlen(errors);

	assert_ptr_equal(arg, &http);
	snprintf(errors + n, sizeof(errors) - n, "%s\n", reason);
}

static int start(void **state)
{
	struct schema_registry_options o = {
		.url = URL "/",
		.topic_prefix = "test/",
		.http = &http,
		.clock = &test_clock,
		.on_resolved = on_resolved,
		.on_error = on_error,
		.arg = &http,
	};

	(void)state;
	memset(&http, 0, sizeof(http));
	errors[0] = '\0';
	resolved_calls = 0;
	codec = msg_codec_new();
	o.codec = codec;
	loop = ev_loop_new(0);
	registry = schema_registry_new(loop, &o);
	return registry ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	schema_registry_free(registry);
	ev_loop_destroy(loop);
	msg_codec_free(codec);
	return 0;
}

/* Turns the loop until `n` requests were sent, for some seconds at most. */
static void wait_sent(size_t n)
{
	for (int i = 0; i < 1000 && http.sent < n; i++)
		ev_run(loop, EVRUN_ONCE);
	assert_int_equal(http.sent, n);
}

static void answer_next(long status, const char *body)
{
	struct http_answer a = {
		.outcome = HTTP_ANSWERED,
		.status = status,
		.body = body,
		.body_bytes = strlen(body),
	};
	size_t i = http.answered++;

	assert_true(i < http.sent);
	http.requests[i].done(http.requests[i].arg, &a);
}

static void fail_next(enum http_outcome outcome, const char *error)
{
	struct http_answer a = {.outcome = outcome, .error = error};
	size_t i = http.answered++;

	assert_true(i < http.sent);
	http.requests[i].done(http.requests[i].arg, &a);
}

/* Registers all, with ids from 100 in the order of the requests. */
static void register_all(void)
{
	char body[32];

	wait_sent(MSG_TYPE_COUNT);
	for (int i = 0; i < MSG_TYPE_COUNT; i++) {
		assert_false(schema_registry_ready(registry));
		snprintf(body, sizeof(body), "{\"id\":%d}", 100 + i);
		answer_next(200, body);
	}
	assert_true(schema_registry_ready(registry));
}

static enum msg_decode decode_stage(unsigned char id)
{
	const unsigned char value[] = {0, 0, 0, 0, id, 2, 'e', 2, 't', 2, 'x', 2, 'r', 2, 0};
	char why[256];
	struct buf error;
	struct msg m;
	int32_t seen;

	buf_init_fixed(&error, why, sizeof(why));
	return msg_decode(codec, MSG_STAGE_TRANSITION, value, sizeof(value), &m, &seen, &error);
}

static void our_schemas_are_registered(void **state)
{
	(void)state;
	register_all();
	for (int t = 0; t < MSG_TYPE_COUNT; t++) {
		char url[256];
		size_t bytes;
		const char *schema = msg_schema_text((enum msg_type)t, &bytes);
		int requests = 0;
		/* The prefix of the path stays; the subject is one path segment. */
		snprintf(url, sizeof(url), URL "/subjects/test%%2F%s-value/versions",
			 msg_type_info((enum msg_type)t)->topic_suffix);
		for (size_t i = 0; i < http.sent; i++) {
			json_error_t e;
			if (strcmp(http.requests[i].url, url) != 0)
				continue;
			requests++;
			assert_string_equal(http.requests[i].method, "POST");
			_cleanup_json_ json_t *body = json_loads(http.requests[i].body, 0, &e);
			assert_non_null(body);
			assert_string_equal(json_path_text(body, "schema"), schema);
		}
		assert_int_equal(requests, 1);
	}
	assert_string_equal(errors, "");
}

static void issued_ids_are_written(void **state)
{
	struct msg m = {
		.type = MSG_STAGE_TRANSITION,
		.stage = {.event_id = "e", .tenant = "t", .to = "x", .reason = "r", .at = 1}};
	struct buf value;

	(void)state;
	register_all();
	buf_init(&value, 4096);
	assert_int_equal(msg_encode(codec, &m, &value), 0);
	assert_memory_equal(value.data, "\0\0\0\0", 4);
	assert_in_range((unsigned char)value.data[4], 100, 104);
	buf_release(&value);
}

static void registration_is_repeated_until_it_works(void **state)
{
	(void)state;
	wait_sent(MSG_TYPE_COUNT);
	answer_next(409, "{\"error_code\":409,\"message\":\"incompatible with version 1\"}");
	answer_next(200, "{\"id\":\"x\"}");
	answer_next(200, "<html>");
	fail_next(HTTP_FAILED, "connection refused");
	fail_next(HTTP_TOO_LARGE, NULL);
	assert_false(schema_registry_ready(registry));
	assert_non_null(strstr(errors, "HTTP 409: incompatible with version 1"));
	assert_non_null(strstr(errors, "an answer without id"));
	assert_non_null(strstr(errors, "HTTP 200"));
	assert_non_null(strstr(errors, "connection refused"));
	assert_non_null(strstr(errors, "schema registry, leads.stage.v1: "));
	wait_sent(2 * MSG_TYPE_COUNT);
	for (int i = 0; i < MSG_TYPE_COUNT; i++)
		answer_next(200, "{\"id\":1}");
	assert_true(schema_registry_ready(registry));
}

static void a_full_client_is_asked_again(void **state)
{
	(void)state;
	http.full = true;
	ev_run(loop, EVRUN_ONCE);
	assert_int_equal(http.sent, 0);
	assert_non_null(strstr(errors, "can't be sent now"));
	http.full = false;
	register_all();
}

static void an_unknown_id_is_fetched_once(void **state)
{
	struct buf body;

	(void)state;
	register_all();
	assert_int_equal(decode_stage(7), MSG_UNKNOWN_SCHEMA);
	for (int i = 0; i < 3; i++)
		schema_registry_resolve(registry, MSG_STAGE_TRANSITION, 7);
	wait_sent(MSG_TYPE_COUNT + 1);
	schema_registry_resolve(registry, MSG_STAGE_TRANSITION, 7);
	assert_string_equal(http.requests[MSG_TYPE_COUNT].url, URL "/schemas/ids/7");
	assert_string_equal(http.requests[MSG_TYPE_COUNT].method, "GET");
	/* The first answer is of no use. */
	fail_next(HTTP_FAILED, "timed out");
	assert_int_equal(resolved_calls, 0);
	wait_sent(MSG_TYPE_COUNT + 2);

	buf_init(&body, 4096);
	buf_adds(&body, "{\"schema\":");
	buf_add_json_string(&body, STAGE_OF_ANOTHER, strlen(STAGE_OF_ANOTHER));
	buf_adds(&body, ",\"schemaType\":\"AVRO\",\"references\":[]}");
	answer_next(200, body.data);
	buf_release(&body);
	assert_int_equal(resolved_calls, 1);
	assert_int_equal(resolved_id, 7);
	assert_true(resolved_known);
	assert_int_equal(decode_stage(7), MSG_DECODED);
}

static void an_id_that_gives_no_schema_is_settled(void **state)
{
	static const struct {
		long status;
		const char *body;
	} cases[] = {
		{404, "{\"error_code\":40403,\"message\":\"Schema not found\"}"},
		{200, "{\"schema\":\"{\\\"type\\\":\\\"string\\\"}\"}"},
		{200, "{\"schema\":\"syntax = \\\"proto3\\\";\",\"schemaType\":\"PROTOBUF\"}"},
	};

	(void)state;
	register_all();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		schema_registry_resolve(registry, MSG_STAGE_TRANSITION, 9);
		wait_sent(MSG_TYPE_COUNT + i + 1);
		answer_next(cases[i].status, cases[i].body);
		assert_int_equal(resolved_calls, i + 1);
		assert_int_equal(resolved_id, 9);
		assert_false(resolved_known);
		assert_int_equal(decode_stage(9), MSG_UNKNOWN_SCHEMA);
	}
	assert_non_null(strstr(errors, "schema registry, id 9: HTTP 404: Schema not found"));
	assert_non_null(strstr(errors, "not a record"));
	assert_non_null(strstr(errors, "not an Avro schema"));
}

static void open_asks_are_bounded(void **state)
{
	(void)state;
	register_all();
	for (int32_t id = 1; id <= SCHEMA_REGISTRY_ASKS_MAX + 20; id++)
		schema_registry_resolve(registry, MSG_CALL_EVENT, id);
	wait_sent(MSG_TYPE_COUNT + SCHEMA_REGISTRY_ASKS_MAX);
	/* stop() frees the open ones. */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(our_schemas_are_registered),
		TEST(issued_ids_are_written),
		TEST(registration_is_repeated_until_it_works),
		TEST(a_full_client_is_asked_again),
		TEST(an_unknown_id_is_fetched_once),
		TEST(an_id_that_gives_no_schema_is_settled),
		TEST(open_asks_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
