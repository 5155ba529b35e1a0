/* SPDX-License-Identifier: Apache-2.0 */
/* The page's files and what is answered with them (producer/api/page.h), sessions and the limit of
 * wrong keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/embedded.h"
#include "producer/api/page.h"
#include "producer/api/sessions.h"
#include "producer/api/sign_ins.h"

/* ---- Files ---- */

static void test_each_file_has_a_type_and_two_forms(void **state)
{
	bool has_index = false;

	(void)state;
	assert_true(page_assets_count > 5);
	for (size_t i = 0; i < page_assets_count; i++) {
		const struct embedded_asset *a = &page_assets[i];
		if (!page_content_type(a->name))
			fail_msg("%s has no content type", a->name);
		assert_int_equal(strlen(a->sha256), 64);
		assert_true(a->size > 0 && a->gzip_size > 0);
		/* Without a time in it, two builds are the same. */
		assert_memory_equal(a->gzip, "\x1f\x8b\x08\x00\x00\x00\x00\x00", 8);
		has_index |= strcmp(a->name, "index.html") == 0;
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(a->name, page_assets[k].name);
	}
	assert_true(has_index);
	assert_null(page_content_type("README"));
	assert_null(page_content_type("x.exe"));
}

static void test_who_takes_gzip(void **state)
{
	static const struct {
		const char *accept;
		bool takes;
	} cases[] = {
		{NULL, false},
		{"", false},
		{"gzip", true},
		{"br, GZIP", true},
		{"deflate,gzip;q=0.5", true},
		{"gzip ; q=1.0", true},
		{"gzip;q=0", false},
		{"gzip;q=0.000", false},
		{"gzip;q=0.001", true},
		{"gzip;q=0, br", false},
		{"x-gzip", false},
		{"gzipped", false},
		{"identity", false},
		{",,, gzip", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (page_takes_gzip(cases[i].accept) != cases[i].takes)
			fail_msg("Accept-Encoding: %s", cases[i].accept);
	}
}

static void test_which_tags_fit(void **state)
{
	static const struct {
		const char *given;
		bool fits;
	} cases[] = {
		{NULL, false},
		{"", false},
		{"\"abc\"", true},
		{"W/\"abc\"", true},
		{"*", true},
		{"\"x\", *", true},
		{"\"x\" ,\"abc\"", true},
		{"\"abcd\"", false},
		{"\"ab\"", false},
		{"abc", false},
		{"W/\"ab\", \"x\"", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (page_has_tag(cases[i].given, "\"abc\"") != cases[i].fits)
			fail_msg("If-None-Match: %s", cases[i].given);
	}
}

/* ---- Sessions ---- */

static int64_t now_ms = INT64_C(1790000000000);

static int64_t fixed_ms(void *arg)
{
	(void)arg;
	return now_ms;
}

static void system_random(void *arg, void *ret_bytes, size_t n)
{
	const struct clock *c = clock_system();

	(void)arg;
	c->random(c->arg, ret_bytes, n);
}

static const struct clock stopped = {fixed_ms, fixed_ms, system_random, NULL};

static struct sessions *with(const char *a, const char *b)
{
	const char *environment[] = {"DATABASE_URL=postgresql://x@127.0.0.1:1/x",
				     "KAFKA_BROKERS=localhost:9092", a, b, NULL};
	char text[1000];
	struct buf error;

	buf_init_fixed(&error, text, sizeof(text));
	struct config *cfg = config_load(CONFIG_PRODUCER, environment, &error);
	if (!cfg)
		fail_msg("%s", text);
	struct sessions *s = sessions_new(cfg, &stopped);
	config_free(cfg);
	return s;
}

#define SECRET "SECRET_KEY=5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f"

static void test_a_cookie_is_its_session(void **state)
{
	struct sessions *s = with(SECRET, NULL), *same = with(SECRET, "ADMIN_API_KEY=x");
	struct sessions *other = with("ADMIN_API_KEY=x", NULL), *own = with(NULL, NULL);
	unsigned char hash[SHA256_BYTES] = {7};
	char cookie[SESSION_COOKIE_BYTES], token[SESSION_CSRF_BYTES], again[SESSION_CSRF_BYTES];
	struct session made, read;

	(void)state;
	assert_true(sessions_begin(s, hash, &made, cookie));
	size_t n = strlen(cookie);
	assert_true(sessions_read(same, cookie, n, &read));
	assert_memory_equal(&made, &read, sizeof(made));
	assert_memory_equal(read.key_hash, hash, sizeof(hash));
	sessions_csrf(s, &made, token);
	sessions_csrf(same, &read, again);
	assert_string_equal(token, again);
	sessions_csrf(other, &read, again);
	assert_string_not_equal(token, again);
	assert_false(sessions_read(other, cookie, n, &read));
	assert_false(sessions_read(own, cookie, n, &read));
	/* No digit can be another, be missing or be more. */
	for (size_t i = 0; i < n; i++) {
		char was = cookie[i];
		cookie[i] = was == '0' ? '1' : '0';
		assert_false(sessions_read(s, cookie, n, &read));
		cookie[i] = was;
		assert_false(sessions_read(s, cookie, i, &read));
	}
	static const char longer[1024] = {[0 ... 1022] = '0'};
	assert_false(sessions_read(s, longer, sizeof(longer) - 1, &read));
	now_ms += INT64_C(1000) * SESSION_S - 1;
	assert_true(sessions_read(s, cookie, n, &read));
	now_ms++;
	assert_false(sessions_read(s, cookie, n, &read));
	sessions_free(s);
	sessions_free(same);
	sessions_free(other);
	sessions_free(own);
}

static void test_the_cookie_among_others(void **state)
{
	static const struct {
		const char *header, *value;
	} cases[] = {
		{NULL, NULL},
		{"", NULL},
		{"a=b", NULL},
		{"carillon_session=ab", "ab"},
		{"a=b; carillon_session=ab; c=d", "ab"},
		{"a=b;carillon_session=ab", "ab"},
		{"xcarillon_session=ab", NULL},
		{"carillon_sessions=ab", NULL},
		{"a=carillon_session=ab", NULL},
		{"carillon_session=", ""},
		{"carillon_session", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t n = 0;
		const char *value = sessions_cookie(cases[i].header, &n);
		if (!value != !cases[i].value || (value && (n != strlen(cases[i].value) ||
							    memcmp(value, cases[i].value, n) != 0)))
			fail_msg("Cookie: %s", cases[i].header);
	}
}

/* ---- Wrong keys ---- */

static void test_wrong_keys_are_counted_by_address(void **state)
{
	static struct sign_ins s;
	int64_t at = 1000000;

	(void)state;
	for (int i = 0; i < SIGN_IN_TRIES; i++) {
		assert_int_equal(sign_ins_wait_ms(&s, "a", at), 0);
		sign_ins_failed(&s, "a", at);
	}
	assert_int_equal(sign_ins_wait_ms(&s, "a", at), SIGN_IN_EVERY_MS);
	assert_int_equal(sign_ins_wait_ms(&s, "b", at), 0);
	at += SIGN_IN_EVERY_MS;
	assert_int_equal(sign_ins_wait_ms(&s, "a", at), 0);
	sign_ins_failed(&s, "a", at);
	assert_int_equal(sign_ins_wait_ms(&s, "a", at), SIGN_IN_EVERY_MS);
	sign_ins_succeeded(&s, "a");
	assert_int_equal(sign_ins_wait_ms(&s, "a", at), 0);
	/* With time, all are there again, and no more. */
	for (int i = 0; i < SIGN_IN_TRIES; i++)
		sign_ins_failed(&s, "a", at);
	at += INT64_C(100) * SIGN_IN_EVERY_MS;
	for (int i = 0; i < SIGN_IN_TRIES; i++)
		sign_ins_failed(&s, "a", at);
	assert_int_equal(sign_ins_wait_ms(&s, "a", at), SIGN_IN_EVERY_MS);
}

static void test_others_do_not_make_an_address_forgotten(void **state)
{
	static struct sign_ins s;
	char name[32];

	(void)state;
	for (int i = 0; i < SIGN_IN_TRIES; i++)
		sign_ins_failed(&s, "guesser", 1000);
	for (int i = 0; i < 2 * SIGN_IN_ADDRESSES; i++) {
		snprintf(name, sizeof(name), "address %d", i);
		sign_ins_failed(&s, name, 1000);
	}
	assert_true(sign_ins_wait_ms(&s, "guesser", 1000) > 0);
	assert_int_equal(sign_ins_wait_ms(&s, name, 1000), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_file_has_a_type_and_two_forms),
		cmocka_unit_test(test_who_takes_gzip),
		cmocka_unit_test(test_which_tags_fit),
		cmocka_unit_test(test_a_cookie_is_its_session),
		cmocka_unit_test(test_the_cookie_among_others),
		cmocka_unit_test(test_wrong_keys_are_counted_by_address),
		cmocka_unit_test(test_others_do_not_make_an_address_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
