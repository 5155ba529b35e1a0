/* SPDX-License-Identifier: Apache-2.0 */
/* A lead's variables as they are sent: by either way the same text, and none of our names twice. */
#include "adapter_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#define TEXT_MAX_BYTES (64u << 10)

static const struct dial ada = {
	.job_id = JOB,
	.lead_id = "42",
	.kind = "follow_up",
	.phone = "+12025550101",
	.first_name = "Ada",
	.last_name = "Lovelace",
};

static bool is_ours(const char *name)
{
	return strcmp(name, "customer_name") == 0 || strcmp(name, "job_id") == 0 ||
	       strcmp(name, "lead_id") == 0;
}

/* What is to be sent, by jansson alone. */
static void add_expected(const char *variables, struct buf *b)
{
	static const char *const own[][2] = {
		{"name", "Ada Lovelace"}, {"first_name", "Ada"}, {"last_name", "Lovelace"}};
	char text[256];
	struct buf error;
	const char *key;
	json_t *value;

	buf_init_fixed(&error, text, sizeof(text));
	json_t *parsed = json_parse(variables, strlen(variables), 32u << 10, &error);
	buf_adds(b, "\"job_id\":\"" JOB "\",\"lead_id\":\"42\",\"customer_name\":\"Ada Lovelace\"");
	for (size_t i = 0; i < 3; i++) {
		if (!json_object_get(parsed, own[i][0]))
			add_member(b, own[i][0], own[i][1], false);
	}
	json_object_foreach (parsed, key, value) {
		if (is_ours(key))
			continue;
		buf_addc(b, ',');
		buf_add_json_string(b, key, strlen(key));
		buf_addc(b, ':');
		json_write(value, b);
	}
	json_decref(parsed);
}

static void assert_as_expected(const char *variables)
{
	struct dial d = ada;
	struct buf got, expected;

	buf_init(&got, TEXT_MAX_BYTES);
	buf_init(&expected, TEXT_MAX_BYTES);
	d.variables = variables;
	add_variables(&got, &d);
	add_expected(variables, &expected);
	assert_false(got.failed || expected.failed);
	if (strcmp(got.data, expected.data) != 0)
		fail_msg("of %s\n%s\nnot\n%s", variables, got.data, expected.data);
	buf_release(&got);
	buf_release(&expected);
}

/* As jsonb writes it, and not. */
static const char *const texts[] = {
	"{}",
	"{ }",
	"",
	"null",
	"[1, 2]",
	"\"text\"",
	"{\"n\": 7}",
	"{\"n\": 7, \"product\": \"solar\"}",
	"{\"n\":7,\"product\":\"solar\"}",
	" {\"n\": 7}",
	"{\"n\": 7} ",
	"{\"n\": 7}x",
	"{\"n\" : 7}",
	"{\"n\": 7,}",
	"{,\"n\": 7}",
	"{\"n\": 7 , \"product\": 1}",
	"{\"n\":\t7}",
	"{\"n\"}",
	"{\"n\":}",
	"{\"n\": 7",
	"{\"n\": \"7",
	"{\"n\": \"7\\",
	"{\"n",
	"{",
	/* Ours, and those that take the place of ours. */
	"{\"a\": 1, \"name\": \"Dr. A\", \"job_id\": \"forged\", \"lead_id\": {\"a\": [1]}}",
	"{\"job_id\": 1}",
	"{\"job_id\": 1, \"lead_id\": 2, \"customer_name\": 3}",
	"{\"job_id\": 1, \"zzzzzz\": 2, \"lead_id\": 3, \"zzzzzzz\": 4}",
	"{\"job\\u005fid\": \"forged\", \"nam\\u0065\": \"A\"}",
	"{\"last_name\": null, \"first_name\": \"\"}",
	"{\"nested\": {\"name\": \"x\", \"job_id\": \"y\"}}",
	/* Names out of jsonb's order, and twice. */
	"{\"product\": 1, \"n\": 2}",
	"{\"b\": 1, \"a\": 2}",
	"{\"n\": 1, \"n\": 2}",
	"{\"n\": 1, \"m\": 2, \"n\": 3}",
	"{\"o\": {\"n\": 1, \"n\": 2}}",
	"{\"o\": [{\"n\": 1, \"m\": 2}]}",
	"{\"\": 1, \"a\": 2}",
	"{\"\": 1, \"\": 2}",
	/* Numbers. */
	"{\"n\": 0}",
	"{\"n\": -0}",
	"{\"n\": -12}",
	"{\"n\": 012}",
	"{\"n\": -}",
	"{\"n\": +1}",
	"{\"n\": 12.50}",
	"{\"n\": 1e3}",
	"{\"n\": 1.1}",
	"{\"n\": 999999999999999999}",
	"{\"n\": 9223372036854775807}",
	"{\"n\": 9223372036854775808}",
	"{\"n\": 1000000000000000000000000000000}",
	"{\"n\": 1e999}",
	"{\"n\": 7a}",
	/* Words. */
	"{\"a\": true, \"b\": false, \"c\": null}",
	"{\"a\": tru}",
	"{\"a\": truex}",
	"{\"a\": nul",
	/* Texts. */
	"{\"t\": \"\"}",
	"{\"t\": \"1234567\\\"\"}",
	"{\"t\": \"a \\\"b\\\" \\\\ \\b\\f\\n\\r\\t, {[ : \"}",
	"{\"t\": \"a\\/b\"}",
	"{\"t\": \"a\\u00e9\\u0001\"}",
	"{\"t\": \"a\\u0000\"}",
	"{\"t\": \"a\\x\"}",
	"{\"t\": \"a\nb\"}",
	"{\"t\": \"\x7f\"}",
	"{\"\x7f\": 1}",
	"{\"t\": \"Zo\xc3\xab \xe2\x80\x94 \xf0\x9f\x93\x9e \xc2\x9b\"}",
	"{\"Zo\xc3\xab\": \"x\"}",
	"{\"t\": \"\xc3\"}",
	"{\"t\": \"\xc0\xaf\"}",
	"{\"t\": \"\xed\xa0\x80\"}",
	"{\"t\": \"\xf4\x90\x80\x80\"}",
	"{\"t\": \"12345678\xff\"}",
	/* Nesting. */
	"{\"a\": [], \"b\": {}, \"c\": [{}, []]}",
	"{\"a\": [1, \"two\", [3, {\"four\": 5}]], \"b\": {\"c\": {\"d\": [true]}}}",
	"{\"a\": [1 2]}",
	"{\"a\": [1,]}",
	"{\"a\": [,1]}",
	"{\"a\": [1}}",
	"{\"a\": {\"b\": 1]}",
	"{\"a\": [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}",
	"{\"a\": [[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]}",
	"{\"a\": [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}",
	"{\"a\": [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}",
};
#define TEXTS (sizeof(texts) / sizeof(texts[0]))

static void both_ways_write_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < TEXTS; i++)
		assert_as_expected(texts[i]);
}

/* The same texts with bytes changed, lost, doubled and swapped, by a fixed sequence. */
static void spoiled_texts_too(void **state)
{
	static const char bytes[] = "\"\\{}[]:, 019-.eEtfnu_a\x01\x7f\xc3\xab\xff";
	uint64_t random = 1;
	char text[512];

	(void)state;
	for (int round = 0; round < 400; round++) {
		for (size_t i = 0; i < TEXTS; i++) {
			size_t n = strlen(texts[i]);
			memcpy(text, texts[i], n + 1);
			for (int k = 0; k <= round % 3 && n > 0; k++) {
				random = random * UINT64_C(6364136223846793005) +
					 1442695040888963407;
				size_t at = (size_t)(random >> 33) % n;
				size_t byte = (size_t)(random >> 20) % (sizeof(bytes) - 1);
				if (random >> 63)
					text[at] = bytes[byte];
				else
					memmove(text + at, text + at + 1, n-- - at);
			}
			assert_as_expected(text);
		}
	}
}

static void none_is_as_good_as_an_empty_object(void **state)
{
	struct dial d = ada;
	struct buf b;

	(void)state;
	buf_init(&b, TEXT_MAX_BYTES);
	add_variables(&b, &d);
	assert_string_equal(b.data, "\"job_id\":\"" JOB "\",\"lead_id\":\"42\",\"customer_name\":"
				    "\"Ada Lovelace\",\"name\":\"Ada Lovelace\",\"first_name\":"
				    "\"Ada\",\"last_name\":\"Lovelace\"");
	buf_clear(&b);
	d.first_name = d.last_name = NULL;
	d.variables = "{\"n\": 1}";
	add_variables(&b, &d);
	assert_string_equal(b.data, "\"job_id\":\"" JOB "\",\"lead_id\":\"42\",\"n\":1");
	buf_release(&b);
}

/* Around as many as are gone through at once. */
static void many_are_all_sent(void **state)
{
	struct buf text;

	(void)state;
	buf_init(&text, TEXT_MAX_BYTES);
	for (int n = 1; n < 300; n++) {
		buf_clear(&text);
		for (int i = 0; i < n; i++)
			buf_addf(&text, "%s\"m%03d\": [%d, \"x\"]", i ? ", " : "{", i, i);
		buf_addc(&text, '}');
		assert_as_expected(text.data);
	}
	buf_release(&text);
}

/* {"a": "xx..."} of so many bytes. */
static char *text_of(size_t n)
{
	char *text = malloc(n + 1);

	assert_non_null(text);
	memset(text, 'x', n);
	memcpy(text, "{\"a\": \"", 7);
	memcpy(text + n - 2, "\"}", 3);
	return text;
}

static void long_ones_are_left_out(void **state)
{
	struct dial d = ada;
	struct buf b;

	(void)state;
	for (size_t extra = 0; extra < 2; extra++) {
		char *text = text_of((32u << 10) + extra);
		buf_init(&b, TEXT_MAX_BYTES);
		d.variables = text;
		add_variables(&b, &d);
		assert_int_equal(strstr(b.data, ",\"a\":\"xxx") != NULL, extra == 0);
		assert_as_expected(text);
		buf_release(&b);
		free(text);
	}
}

/* A request without room for them is not sent: it fails, however far they came. */
static void too_little_room_is_told(void **state)
{
	struct dial d = ada;
	struct buf whole, b;

	(void)state;
	d.variables = "{\"a\": [1, 2, {\"b\": \"c\"}], \"job_id\": \"forged\"}";
	buf_init(&whole, TEXT_MAX_BYTES);
	add_variables(&whole, &d);
	for (size_t max_bytes = 0; max_bytes < whole.len; max_bytes++) {
		buf_init(&b, max_bytes);
		add_variables(&b, &d);
		assert_true(b.failed);
		buf_release(&b);
	}
	buf_init(&b, whole.len);
	add_variables(&b, &d);
	assert_string_equal(b.data, whole.data);
	buf_release(&b);
	buf_release(&whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ways_write_the_same),
		cmocka_unit_test(spoiled_texts_too),
		cmocka_unit_test(none_is_as_good_as_an_empty_object),
		cmocka_unit_test(many_are_all_sent),
		cmocka_unit_test(long_ones_are_left_out),
		cmocka_unit_test(too_little_room_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
