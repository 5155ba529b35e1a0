/* SPDX-License-Identifier: Apache-2.0 */
/* The guard and the parts of a target as pure functions; test_http_server.c has them against real
 * bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/http_guard.h"
#include "common/http_route.h"

struct verdict {
	const char *reason;
	bool has_body;
	uint64_t content_length;
};

/* A header given as its lines would be: "Name: value" one behind the other, NULL-terminated. */
static struct verdict judge(const char *version, const char *const *lines)
{
	struct http_guard g;
	struct verdict v = {0};

	http_guard_init(&g, "POST", "/call", version);
	for (; *lines; lines++) {
		const char *colon = strchr(*lines, ':');
		const char *value = colon + 1 + strspn(colon + 1, " ");
		http_guard_field(&g, *lines, (size_t)(colon - *lines), value, strlen(value));
	}
	v.reason = http_guard_verdict(&g, &v.has_body, &v.content_length);
	return v;
}

static void test_lengths(void **state)
{
	static const struct {
		const char *lines[4];
		bool good;
		bool has_body;
		uint64_t content_length;
	} rows[] = {
		{{"Host: a"}, true, false, 0},
		{{"Host: a", "Content-Length: 0"}, true, false, 0},
		{{"Host: a", "content-LENGTH: 12"}, true, true, 12},
		{{"Host: a", "Content-Length: 000012"}, true, true, 12},
		{{"Host: a", "Content-Length: 999999999999999999"}, true, true, 999999999999999999},
		{{"Host: a", "Transfer-Encoding: CHUNKED"}, true, true, UINT64_MAX},
		{{"Host: a", "Content-Length: 1000000000000000000"}, false, false, 0},
		{{"Host: a", "Content-Length: 1e3"}, false, false, 0},
		{{"Host: a", "Content-Length:"}, false, false, 0},
		{{"Host: a", "Content-Length: 1", "Content-Length: 1"}, false, false, 0},
		{{"Host: a", "Content-Length: 1", "Transfer-Encoding: chunked"}, false, false, 0},
		{{"Host: a", "Transfer-Encoding: chunked", "transfer-encoding: chunked"},
		 false,
		 false,
		 0},
		{{"Host: a", "Transfer-Encoding: chunked, chunked"}, false, false, 0},
		{{"Host: a", "Transfer-Encoding:"}, false, false, 0},
		{{"Host: a", "host: a"}, false, false, 0},
		{{"X-Host: a"}, false, false, 0},
		{{"Host: a", "Content-Length-: 1"}, true, false, 0},
		{{"Host: a", "Content-Length\t: 1"}, false, false, 0},
		{{"Host: a", "X-A: \x01"}, false, false, 0},
		{{"Host: a", "X-A: a\tb\x80\xff"}, true, false, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct verdict v = judge("HTTP/1.1", rows[i].lines);
		if ((v.reason == NULL) != rows[i].good || v.has_body != rows[i].has_body ||
		    v.content_length != rows[i].content_length)
			fail_msg("row %zu: %s", i, v.reason ? v.reason : "let through");
	}
	const char *const nothing[] = {NULL};
	assert_null(judge("HTTP/1.0", nothing).reason);
	assert_non_null(judge("HTTP/1.1", nothing).reason);
	const char *const chunked[] = {"Transfer-Encoding: chunked", NULL};
	assert_non_null(judge("HTTP/1.0", chunked).reason);
}

static void test_request_line(void **state)
{
	static const struct {
		const char *method, *target, *version;
		bool good;
	} rows[] = {
		{"GET", "/", "HTTP/1.1", true},		 {"M-SEARCH", "*", "HTTP/1.1", true},
		{"GET", "/a?b=%20#c", "HTTP/1.0", true}, {"", "/", "HTTP/1.1", false},
		{"GET ", "/", "HTTP/1.1", false},	 {"GET", "", "HTTP/1.1", false},
		{"GET", "a", "HTTP/1.1", false},	 {"GET", "/a b", "HTTP/1.1", false},
		{"GET", "/\xc3\xa9", "HTTP/1.1", false}, {"GET", "/", "HTTP/1.1 ", false},
		{"GET", "/", "HTTP/2", false},		 {"GET", "/", "", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_guard g;
		http_guard_init(&g, rows[i].method, rows[i].target, rows[i].version);
		if ((g.reason == NULL) != rows[i].good)
			fail_msg("row %zu: %s", i, g.reason ? g.reason : "let through");
	}
}

/* The block as libmicrohttpd leaves it: '|' stands for a NUL that replaced a separator. */
static void test_block(void **state)
{
	static const struct {
		const char *block;
		size_t fields;
		bool good;
	} rows[] = {
		{"||||", 0, true},
		{"||Host| a||||", 1, true},
		{"||Host|a||X|b||||", 2, true},
		{"||Host|a||X|||||", 2, true},
		{"||Host|a||X| \t b||||", 2, true},
		{"||Host|a||||", 2, false},	 /* a field that libmicrohttpd saw and we did not */
		{"||Host|a||X|b||||", 1, false}, /* and the other way round */
		{"|Host|a||||", 1, false},	 /* a bare line feed */
		{"||Host|a|X|b||||", 2, false},
		{"||Host|a|||", 1, false},
		{"||Host|a||", 1, false},
		{"||Host|a|b||||", 1, false}, /* a NUL of the client's */
		{"||Host|a|||b||||", 1, false},
		{"||Host|a|||||", 1, false},
		{"|| Host|a||||", 1, false}, /* a fold */
		{"||Host", 1, false},
		{"||Host|", 1, false},
		{"||Host|a", 1, false},
		{"||", 0, false},
		{"|", 0, false},
		{"", 0, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_guard g;
		char block[64];
		size_t n = strlen(rows[i].block);
		for (size_t j = 0; j < n; j++)
			block[j] = rows[i].block[j] == '|' ? '\0' : rows[i].block[j];
		http_guard_init(&g, "GET", "/", "HTTP/1.1");
		http_guard_block(&g, block, n, rows[i].fields);
		if ((g.reason == NULL) != rows[i].good)
			fail_msg("row %zu: %s", i, g.reason ? g.reason : "let through");
	}
}

static void test_decode(void **state)
{
	static const struct {
		const char *text;
		bool plus;
		const char *decoded; /* NULL: refused */
	} rows[] = {
		{"", true, ""},
		{"a+b%20c", true, "a b c"},
		{"a+b%20c", false, "a+b c"},
		{"%2B%2b", true, "++"},
		{"%41%7a", false, "Az"},
		{"caf%C3%A9", false, "caf\xc3\xa9"},
		{"%", false, NULL},
		{"%4", false, NULL},
		{"%4g", false, NULL},
		{"a%00b", false, NULL},
		{"a%c3%a9", true, "a\xc3\xa9"},
		{"a%c3", true, NULL},
		{"a%ff%fe", false, NULL},
		{"%%", false, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[32];
		size_t n = http_decode(rows[i].text, strlen(rows[i].text), rows[i].plus, text);
		if (!rows[i].decoded) {
			assert_int_equal(n, (size_t)-1);
		} else {
			assert_int_equal(n, strlen(rows[i].decoded));
			assert_string_equal(text, rows[i].decoded);
		}
	}
}

static void never(void *arg, struct http_exchange *x)
{
	(void)arg;
	(void)x;
}

static void test_routes(void **state)
{
	static const struct http_route routes[] = {
		{"GET", "/", never, 0},
		{"POST", "/webhooks/{provider}/{account}", never, 0},
		{"POST", "/webhooks/{provider}/{account}/{token}", never, 0},
		{"GET", "/api/leads/export", never, 0},
		{"GET,PATCH", "/api/leads/{id}", never, 0},
		{"GET", "/registry/*", never, 0},
		{"POST", "/api/leads/bulk", never, 0},
	};
	static const struct {
		const char *method, *path;
		int route; /* -1: none */
		const char *name, *value;
	} rows[] = {
		{"GET", "/", 0, NULL, NULL},
		{"HEAD", "/", 0, NULL, NULL},
		{"POST", "/webhooks/omni/a%2Fb", 1, "account", "a/b"},
		{"POST", "/webhooks/omni/omni/t0", 2, "token", "t0"},
		{"POST", "/webhooks/omni//t0", -1, NULL, NULL},
		{"POST", "/webhooks/omni", -1, NULL, NULL},
		{"GET", "/api/leads/export", 3, NULL, NULL},
		{"PATCH", "/api/leads/export", -1, NULL, NULL},
		{"POST", "/api/leads/bulk", 6, NULL, NULL},
		{"GET", "/api/leads/bulk", -1, NULL, NULL},
		{"GET", "/api/leads/bulk/", -1, NULL, NULL},
		{"GET", "/api/leads/7", 4, "id", "7"},
		{"GET", "/api/leads/7/", -1, NULL, NULL},
		{"GET", "/registry/", 5, "*", ""},
		{"GET", "/registry/schemas/ids/1", 5, "*", "schemas/ids/1"},
		{"GET", "/registry/a%2Fb/c", 5, "*", "a/b/c"},
		{"GET", "/registry", -1, NULL, NULL},
		{"GET", "//", -1, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char storage[256];
		struct http_path path;
		struct http_params params;
		struct buf allow;
		size_t n = strlen(rows[i].path);
		buf_init(&allow, 100);
		assert_true(http_path_parse(rows[i].path, n, storage, &path));
		const struct http_route *r =
			http_route_find(routes, sizeof(routes) / sizeof(routes[0]), rows[i].method,
					&path, &params, &allow);
		if ((r ? (int)(r - routes) : -1) != rows[i].route)
			fail_msg("%s %s", rows[i].method, rows[i].path);
		if (rows[i].name) {
			size_t last = params.count - 1;
			assert_int_equal(params.name_bytes[last], strlen(rows[i].name));
			assert_memory_equal(params.name[last], rows[i].name, strlen(rows[i].name));
			assert_string_equal(params.value[last], rows[i].value);
		}
		buf_release(&allow);
	}
	char storage[128];
	struct http_path path;
	const char *deep = "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17";
	assert_false(http_path_parse(deep, strlen(deep), storage, &path));
	assert_false(http_path_parse("", 0, storage, &path));
	assert_false(http_path_parse("*", 1, storage, &path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths), cmocka_unit_test(test_request_line),
		cmocka_unit_test(test_block),	cmocka_unit_test(test_decode),
		cmocka_unit_test(test_routes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
