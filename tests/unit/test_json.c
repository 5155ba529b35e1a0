/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing within bounds, and getters that survive any shape. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/json.h"

static json_t *parse(const char *text)
{
	struct buf error;

	buf_init(&error, 256);
	json_t *j = json_parse(text, strlen(text), 1000000, &error);
	if (!j)
		fail_msg("%s: %s", text, error.data);
	buf_release(&error);
	return j;
}

static void bad_documents_are_refused_with_a_reason(void **state)
{
	static const struct {
		const char *text, *reason;
	} rows[] = {
		{"", "ends too early"},
		{"{\"a\":1", "ends too early"},
		{"{\"a\":1} x", "goes on after its end"},
		{"{\"a\":1,\"a\":2}", "twice"},
		{"{'a':1}", "not JSON"},
		{"\"text\"", "not JSON"},
		{"{\"a\":\"\xff\"}", "not UTF-8"},
		{"{\"a\":\"\\u0000\"}", "NUL"},
		{"{\"a\":1e999}", "too large"},
	};
	struct buf error;

	(void)state;
	buf_init(&error, 256);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buf_clear(&error);
		assert_null(json_parse(rows[i].text, strlen(rows[i].text), 1000, &error));
		if (!strstr(error.data, rows[i].reason))
			fail_msg("%s: %s", rows[i].text, error.data);
	}
	buf_release(&error);
}

static void size_and_depth_are_bounded(void **state)
{
	char deep[200];
	struct buf error;

	(void)state;
	buf_init(&error, 256);
	assert_null(json_parse("{\"a\":1}", 7, 6, &error));
	assert_non_null(strstr(error.data, "at most 6"));
	for (size_t depth = 64; depth <= 65; depth++) {
		memset(deep, '[', depth);
		memset(deep + depth, ']', depth);
		buf_clear(&error);
		_cleanup_json_ json_t *j = json_parse(deep, 2 * depth, 1000, &error);
		assert_int_equal(j != NULL, depth == 64);
		assert_int_equal(error.len > 0, depth == 65);
	}
	/* Brackets in strings are no depth. */
	char flat_text[300];
	memset(deep, '[', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	snprintf(flat_text, sizeof(flat_text), "[\"\\\"%s\"]", deep);
	_cleanup_json_ json_t *flat = json_parse(flat_text, strlen(flat_text), 1000, &error);
	assert_non_null(flat);
	buf_release(&error);
}

static void paths_follow_objects_only(void **state)
{
	_cleanup_json_ json_t *j =
		parse("{\"message\":{\"call\":{\"id\":\"c-1\",\"list\":[{\"id\":2}],"
		      "\"no\":false,\"nothing\":null,\"empty\":\"\"}},\"\":{\"x\":3}}");

	(void)state;
	assert_string_equal(json_path_text(j, "message.call.id"), "c-1");
	assert_ptr_equal(json_path(j, ""), j);
	assert_null(json_path(j, "message.call.list.id"));
	assert_null(json_path(j, "message.call.id.more"));
	assert_null(json_path(j, "message.other.id"));
	assert_null(json_path(NULL, "message"));
	assert_null(json_path_text(j, "message.call.no"));
	assert_null(json_path_text(j, "message.call.nothing"));
	assert_null(json_path_text(j, "message.call.empty"));
	assert_null(json_path_text(j, "message.call"));
	assert_int_equal(json_integer_value(json_path(j, ".x")), 3);
}

static void scalars_become_text(void **state)
{
	_cleanup_json_ json_t *j =
		parse("{\"s\":\"x\",\"i\":3166940,\"n\":-9223372036854775808,\"r\":0.1,"
		      "\"big\":1e300,\"t\":true,\"f\":false,\"z\":null,\"o\":{}}");
	char text[64];

	(void)state;
	assert_string_equal(json_path_scalar(j, "s", text, sizeof(text)), "x");
	assert_string_equal(json_path_scalar(j, "i", text, sizeof(text)), "3166940");
	assert_string_equal(json_path_scalar(j, "n", text, sizeof(text)), "-9223372036854775808");
	assert_string_equal(json_path_scalar(j, "r", text, sizeof(text)), "0.1");
	assert_string_equal(json_path_scalar(j, "big", text, sizeof(text)), "1e+300");
	assert_null(json_path_scalar(j, "t", text, sizeof(text)));
	assert_null(json_path_scalar(j, "f", text, sizeof(text)));
	assert_null(json_path_scalar(j, "z", text, sizeof(text)));
	assert_null(json_path_scalar(j, "o", text, sizeof(text)));
	assert_null(json_path_scalar(j, "absent", text, sizeof(text)));
}

static void numbers_are_read_where_they_are_exact(void **state)
{
	_cleanup_json_ json_t *j =
		parse("{\"i\":42,\"whole\":42.0,\"part\":42.5,\"big\":1e18,\"s\":\"42\"}");
	int64_t v = 7;
	double d = 7;

	(void)state;
	assert_true(json_path_int(j, "i", &v) && v == 42);
	v = 7;
	assert_true(json_path_int(j, "whole", &v) && v == 42);
	v = 7;
	assert_false(json_path_int(j, "part", &v));
	assert_false(json_path_int(j, "big", &v));
	assert_false(json_path_int(j, "s", &v));
	assert_false(json_path_int(j, "absent", &v));
	assert_int_equal(v, 7);
	assert_true(json_path_double(j, "part", &d) && d == 42.5);
	assert_true(json_path_double(j, "i", &d) && d == 42.0);
	assert_false(json_path_double(j, "s", &d));
}

static void booleans_may_be_words(void **state)
{
	_cleanup_json_ json_t *j = parse(
		"{\"t\":true,\"f\":false,\"T\":\"True\",\"F\":\"false\",\"s\":\"yes\",\"i\":1}");
	bool v;

	(void)state;
	assert_true(json_path_bool(j, "t", &v) && v);
	assert_true(json_path_bool(j, "f", &v) && !v);
	assert_true(json_path_bool(j, "T", &v) && v);
	assert_true(json_path_bool(j, "F", &v) && !v);
	assert_false(json_path_bool(j, "s", &v));
	assert_false(json_path_bool(j, "i", &v));
	assert_true(json_path_is_true(j, "T"));
	assert_false(json_path_is_true(j, "F"));
	assert_false(json_path_is_true(j, "absent"));
}

static void documents_are_written_compactly_within_the_bound(void **state)
{
	_cleanup_json_ json_t *j = parse("{ \"a\" : [ 1 , \"Zo\xc3\xab\" ] }");
	struct buf b;

	(void)state;
	buf_init(&b, 16);
	json_write(j, &b);
	assert_false(b.failed);
	assert_string_equal(b.data, "{\"a\":[1,\"Zo\xc3\xab\"]}");
	buf_release(&b);
	buf_init(&b, 15);
	json_write(j, &b);
	assert_true(b.failed);
	buf_release(&b);
	buf_init(&b, 15);
	json_write(NULL, &b);
	assert_true(b.failed);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_documents_are_refused_with_a_reason),
		cmocka_unit_test(size_and_depth_are_bounded),
		cmocka_unit_test(paths_follow_objects_only),
		cmocka_unit_test(scalars_become_text),
		cmocka_unit_test(numbers_are_read_where_they_are_exact),
		cmocka_unit_test(booleans_may_be_words),
		cmocka_unit_test(documents_are_written_compactly_within_the_bound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
