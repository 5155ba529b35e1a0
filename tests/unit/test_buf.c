/* SPDX-License-Identifier: Apache-2.0 */
/* The buffer's bound and sticky failure, JSON and URL quoting, UTF-8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

static void grows_and_stays_a_string(void **state)
{
	struct buf b;
	char expected[1001];

	(void)state;
	buf_init(&b, 1000);
	assert_string_equal(b.data, "");
	for (int i = 0; i < 1000; i++) {
		buf_addc(&b, (char)('a' + i % 26));
		expected[i] = (char)('a' + i % 26);
		assert_int_equal(b.data[b.len], '\0');
	}
	expected[1000] = '\0';
	assert_false(b.failed);
	assert_string_equal(b.data, expected);
	assert_int_equal(b.len, 1000);
	buf_release(&b);
	buf_release(&b);
	buf_release(NULL);
}

static void an_append_beyond_the_bound_is_dropped_and_fails_all_later_ones(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 8);
	buf_adds(&b, "12345");
	buf_adds(&b, "6789");
	assert_true(b.failed);
	assert_string_equal(b.data, "12345");
	buf_adds(&b, "6");
	buf_addf(&b, "%d", 6);
	assert_string_equal(b.data, "12345");
	assert_null(buf_detach(&b));
	assert_false(b.failed);
	buf_adds(&b, "12345678");
	assert_false(b.failed);
	buf_clear(&b);
	assert_string_equal(b.data, "");
	buf_addf(&b, "%s", "123456789");
	assert_true(b.failed);
	assert_string_equal(b.data, "");
	buf_release(&b);
}

static void formats_of_any_length_fit(void **state)
{
	char text[500];
	struct buf b;

	(void)state;
	buf_init(&b, 10000);
	memset(text, 'x', sizeof(text));
	for (size_t n = 0; n < sizeof(text); n += 7) {
		size_t before = b.len;
		text[n] = '\0';
		buf_addf(&b, "%s", text);
		text[n] = 'x';
		assert_int_equal(b.len, before + n);
		assert_int_equal(strlen(b.data), b.len);
		if (b.len > 9000)
			buf_clear(&b);
	}
	assert_false(b.failed);
	buf_release(&b);
}

static void detached_text_belongs_to_the_caller(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	char *empty = buf_detach(&b);
	assert_string_equal(empty, "");
	free(empty);
	buf_adds(&b, "text");
	char *text = buf_detach(&b);
	assert_string_equal(text, "text");
	assert_int_equal(b.len, 0);
	free(text);
	buf_release(&b);
}

static void fixed_storage_is_never_left(void **state)
{
	char storage[8];
	struct buf b;

	(void)state;
	buf_init_fixed(&b, storage, sizeof(storage));
	buf_addf(&b, "%s", "1234567");
	assert_ptr_equal(b.data, storage);
	assert_string_equal(b.data, "1234567");
	buf_addc(&b, '8');
	assert_true(b.failed);
	assert_string_equal(storage, "1234567");
	buf_clear(&b);
	buf_addf(&b, "%s", "12345678");
	assert_true(b.failed);
	assert_string_equal(storage, "");
	buf_release(&b);
}

static void json_strings_are_always_valid(void **state)
{
	static const struct {
		const char *in;
		size_t n;
		const char *out;
	} rows[] = {
		{"plain", 5, "\"plain\""},
		{"", 0, "\"\""},
		{"of more than eight bytes", 24, "\"of more than eight bytes\""},
		{"a\"b\\c", 5, "\"a\\\"b\\\\c\""},
		{"\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\""},
		{"\x01\x1f\x7f", 3, "\"\\u0001\\u001f\\u007f\""},
		{"\0x", 2, "\"\\u0000x\""},
		{"\xc2\x9b[31m", 6, "\"\\u009b[31m\""},
		{"Zo\xc3\xab \xe2\x80\x94 \xf0\x9f\x93\x9e", 13,
		 "\"Zo\xc3\xab \xe2\x80\x94 \xf0\x9f\x93\x9e\""},
		/* Not UTF-8: a lone continuation, an overlong form, a surrogate, beyond U+10FFFF,
		   cut off. */
		{"a\x80z", 3, "\"a\xef\xbf\xbdz\""},
		{"\xc0\xaf", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
		{"\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
		{"\xf4\x90\x80\x80", 4, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
		{"\xe2\x82", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
	};
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buf_clear(&b);
		buf_add_json_string(&b, rows[i].in, rows[i].n);
		assert_string_equal(b.data, rows[i].out);
	}
	buf_release(&b);
}

/* Any byte, at any place in and around eight of them. */
static void plain_bytes_end_at_the_first_other(void **state)
{
	char text[24];

	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
		for (size_t at = 0; at < sizeof(text); at++) {
			memset(text, 'x', sizeof(text));
			text[at] = (char)c;
			assert_int_equal(json_plain_bytes(text, sizeof(text)),
					 plain ? sizeof(text) : at);
			assert_int_equal(json_plain_bytes(text, at), at);
		}
	}
}

static void urls_are_encoded_but_for_unreserved_characters(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	buf_add_url(&b, "aZ09-._~", 8);
	buf_add_url(&b, "+1 &=/?#%\xc3\xab\0", 12);
	assert_string_equal(b.data, "aZ09-._~%2B1%20%26%3D%2F%3F%23%25%C3%AB%00");
	buf_release(&b);
}

static void prefixes_split_no_sequence(void **state)
{
	const char *text = "a\xc3\xab\xf0\x9f\x93\x9e";

	(void)state;
	assert_int_equal(utf8_prefix(text, 7, 7), 7);
	assert_int_equal(utf8_prefix(text, 7, 6), 3);
	assert_int_equal(utf8_prefix(text, 7, 4), 3);
	assert_int_equal(utf8_prefix(text, 7, 3), 3);
	assert_int_equal(utf8_prefix(text, 7, 2), 1);
	assert_int_equal(utf8_prefix(text, 7, 0), 0);
	/* Bytes that are no text are cut anywhere. */
	assert_int_equal(utf8_prefix("\x80\x80\x80\x80\x80\x80\x80\x80", 8, 6), 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_and_stays_a_string),
		cmocka_unit_test(an_append_beyond_the_bound_is_dropped_and_fails_all_later_ones),
		cmocka_unit_test(formats_of_any_length_fit),
		cmocka_unit_test(detached_text_belongs_to_the_caller),
		cmocka_unit_test(fixed_storage_is_never_left),
		cmocka_unit_test(json_strings_are_always_valid),
		cmocka_unit_test(plain_bytes_end_at_the_first_other),
		cmocka_unit_test(urls_are_encoded_but_for_unreserved_characters),
		cmocka_unit_test(prefixes_split_no_sequence),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
