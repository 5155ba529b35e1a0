/* SPDX-License-Identifier: Apache-2.0 */
/* Backoff, UUIDs and ISO times on a clock that the test moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

struct virtual_clock {
	int64_t wall_ms, boot_ms;
	unsigned char next_byte;
	unsigned char step;
};

static int64_t virtual_wall(void *arg)
{
	return ((struct virtual_clock *)arg)->wall_ms;
}

static int64_t virtual_boot(void *arg)
{
	return ((struct virtual_clock *)arg)->boot_ms;
}

static void virtual_random(void *arg, void *ret_bytes, size_t n)
{
	struct virtual_clock *v = arg;
	unsigned char *p = ret_bytes;

	while (n-- > 0) {
		*p++ = v->next_byte;
		v->next_byte = (unsigned char)(v->next_byte + v->step);
	}
}

static struct clock clock_of(struct virtual_clock *v)
{
	return (struct clock){virtual_wall, virtual_boot, virtual_random, v};
}

static void reads_what_is_injected(void **state)
{
	struct virtual_clock v = {.wall_ms = 17, .boot_ms = 4};
	struct clock c = clock_of(&v);

	(void)state;
	assert_int_equal(clock_wall_ms(&c), 17);
	assert_int_equal(clock_boot_ms(&c), 4);
	const struct clock *s = clock_system();
	int64_t before = clock_boot_ms(s);
	assert_in_range(clock_wall_ms(s) / 1000, (uintmax_t)time(NULL) - 2,
			(uintmax_t)time(NULL) + 2);
	assert_true(clock_boot_ms(s) >= before && before > 0);
}

static void random_numbers_stay_below_their_bound_and_reach_all(void **state)
{
	unsigned seen[7] = {0};

	(void)state;
	for (int i = 0; i < 2000; i++) {
		uint64_t r = clock_random_below(clock_system(), 7);
		assert_true(r < 7);
		seen[r]++;
	}
	for (unsigned i = 0; i < 7; i++)
		assert_true(seen[i] > 100);
	assert_int_equal(clock_random_below(clock_system(), 1), 0);
}

static void unfair_draws_are_repeated(void **state)
{
	/* 2^64 mod (2^63 + 1) is 2^63 - 1: a draw below that must not count. Little-endian bytes
	 * 0..7 are a small number only by their last byte, 7; the draw that ends with 0x87 is the
	 * first fair one. */
	struct virtual_clock v = {.next_byte = 0, .step = 1};
	struct clock c = clock_of(&v);

	(void)state;
	uint64_t r = clock_random_below(&c, (UINT64_C(1) << 63) + 1);
	assert_int_equal(v.next_byte, 0x88);
	assert_int_equal(r, UINT64_C(0x8786858483828180) - ((UINT64_C(1) << 63) + 1));
}

static void backoff_doubles_to_its_cap_with_jitter_in_the_upper_half(void **state)
{
	(void)state;
	for (unsigned attempt = 0; attempt < 80; attempt++) {
		int64_t full = attempt < 6 ? INT64_C(60000) << attempt : 3600000;
		full = full > 3600000 ? 3600000 : full;
		for (int i = 0; i < 20; i++) {
			int64_t d = clock_backoff_ms(clock_system(), attempt, 60000, 3600000);
			assert_true(d >= full / 2 && d <= full);
		}
	}
	assert_in_range(clock_backoff_ms(clock_system(), 4000000000u, 1, INT64_MAX), INT64_MAX / 2,
			INT64_MAX);
	assert_in_range(clock_backoff_ms(clock_system(), 0, 100, 10), 5, 10);
}

static void uuid_v7_carries_the_time_and_sorts_by_it(void **state)
{
	struct virtual_clock v = {.wall_ms = 0x0123456789ab, .next_byte = 0xff, .step = 0};
	struct clock c = clock_of(&v);
	char one[UUID_TEXT_BYTES], two[UUID_TEXT_BYTES];

	(void)state;
	uuid_v7(&c, one);
	assert_string_equal(one, "01234567-89ab-7fff-bfff-ffffffffffff");
	v.wall_ms++;
	v.next_byte = 0;
	uuid_v7(&c, two);
	assert_string_equal(two, "01234567-89ac-7000-8000-000000000000");
	assert_true(strcmp(one, two) < 0);
	assert_true(uuid_valid(one) && uuid_valid(two));
}

static void uuid_v4_is_random_and_marked(void **state)
{
	char one[UUID_TEXT_BYTES], two[UUID_TEXT_BYTES];

	(void)state;
	uuid_v4(clock_system(), one);
	uuid_v4(clock_system(), two);
	assert_true(uuid_valid(one) && uuid_valid(two));
	assert_int_equal(one[14], '4');
	assert_non_null(strchr("89ab", one[19]));
	assert_string_not_equal(one, two);
}

static void uuids_are_checked_by_form(void **state)
{
	static const char *const bad[] = {"",
					  "01234567-89ab-7fff-bfff-fffffffffff",
					  "01234567-89ab-7fff-bfff-ffffffffffff0",
					  "0123456789ab-7fff-bfff-ffffffffffff00",
					  "01234567-89ab-7fff-bfff-fffffffffffg",
					  "{1234567-89ab-7fff-bfff-ffffffffffff"};

	(void)state;
	assert_true(uuid_valid("01234567-89AB-7fff-BFFF-ffffffffffff"));
	assert_false(uuid_valid(NULL));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(uuid_valid(bad[i]));
}

static void times_are_written_in_utc(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} rows[] = {
		{0, "1970-01-01T00:00:00.000Z"},
		{-1, "1969-12-31T23:59:59.999Z"},
		{1767630011000, "2026-01-05T16:20:11.000Z"},
		{951782399999, "2000-02-28T23:59:59.999Z"},
		{951782400000, "2000-02-29T00:00:00.000Z"},
		{4107542400000, "2100-03-01T00:00:00.000Z"},
		{253402300799999, "9999-12-31T23:59:59.999Z"},
		{INT64_MAX, "9999-12-31T23:59:59.999Z"},
		{-62135596800000, "0001-01-01T00:00:00.000Z"},
		{INT64_MIN, "0001-01-01T00:00:00.000Z"},
	};
	char text[TIME_TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		time_format(rows[i].ms, text);
		assert_string_equal(text, rows[i].text);
	}
}

static void every_day_agrees_with_the_c_library_and_reads_back(void **state)
{
	char text[TIME_TEXT_BYTES], expected[TIME_TEXT_BYTES];
	struct tm tm;
	int64_t back;

	(void)state;
	for (int64_t day = -800000; day < 2900000; day += 97) {
		time_t t = (time_t)(day * 86400 + 45296);
		if (t < -62135596800 || t > 253402300799)
			continue;
		gmtime_r(&t, &tm);
		strftime(expected, sizeof(expected), "%FT%T.789Z", &tm);
		if (tm.tm_year + 1900 < 1000)
			continue; /* strftime writes these years without their zeros */
		time_format((int64_t)t * 1000 + 789, text);
		assert_string_equal(text, expected);
		assert_int_equal(time_parse(text, strlen(text), &back), 0);
		assert_int_equal(back, (int64_t)t * 1000 + 789);
	}
}

static void times_are_read_with_any_offset(void **state)
{
	static const char *const same[] = {
		"2026-01-05T16:20:11Z",
		"2026-01-05t16:20:11.0z",
		"2026-01-05T16:20:11.000999+00:00",
		"2026-01-05 16:20:11+00",
		"2026-01-05T11:20:11-05:00",
		"2026-01-06T01:50:11+0930",
	};
	int64_t ms = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		assert_int_equal(time_parse(same[i], strlen(same[i]), &ms), 0);
		assert_int_equal(ms, 1767630011000);
	}
	assert_int_equal(time_parse("2016-12-31T23:59:60Z", 20, &ms), 0);
	assert_int_equal(ms, 1483228800000);
	assert_int_equal(time_parse("2026-01-05T16:20:11.1239Zxx", 25, &ms), 0);
	assert_int_equal(ms, 1767630011123);
}

static void times_that_are_none_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"2026-01-05",
		"2026-01-05T16:20:11",
		"2026-01-05T16:20Z",
		"2026-01-05T16:20:11.Z",
		"2026-01-05T16:20:11ZZ",
		"2026-13-05T16:20:11Z",
		"2026-00-05T16:20:11Z",
		"2026-02-29T16:20:11Z",
		"2026-01-00T16:20:11Z",
		"2026-01-05T24:20:11Z",
		"2026-01-05T16:60:11Z",
		"2026-01-05T16:20:61Z",
		"2026-01-05T16:20:11+24:00",
		"2026-01-05T16:20:11+00:60",
		"2026-01-05T16:20:11+0",
		"2026-01-05T16:20:11+00:",
		"2026-01-05T16:20:11 +00:00",
		"0000-01-05T16:20:11Z",
		"-026-01-05T16:20:11Z",
		"+2026-01-05T16:20:11Z",
	};
	int64_t ms = 42;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(time_parse(bad[i], strlen(bad[i]), &ms), -1);
	assert_int_equal(ms, 42);
}

#ifdef CARILLON_FAILPOINTS
static void a_file_moves_the_wall_clock_alone(void **state)
{
	char path[] = "/tmp/carillon-clock-XXXXXX";
	int fd = mkstemp(path);
	int64_t before = clock_wall_ms(clock_system()), boot = clock_boot_ms(clock_system());

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(setenv("CARILLON_CLOCK_OFFSET", path, 1), 0);
	assert_true(clock_wall_ms(clock_system()) - before < 3600000);
	assert_int_equal(write(fd, "+86400\n", 7), 7);
	assert_true(clock_wall_ms(clock_system()) - before >= 86400000);
	assert_int_equal(pwrite(fd, "-", 1, 0), 1);
	assert_true(clock_wall_ms(clock_system()) - before < -86400000 + 3600000);
	assert_true(clock_boot_ms(clock_system()) - boot < 3600000);
	close(fd);
	unlink(path);
	/* Gone: real time again. */
	assert_true(clock_wall_ms(clock_system()) - before < 3600000);
	unsetenv("CARILLON_CLOCK_OFFSET");
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifdef CARILLON_FAILPOINTS
		cmocka_unit_test(a_file_moves_the_wall_clock_alone),
#endif
		cmocka_unit_test(reads_what_is_injected),
		cmocka_unit_test(random_numbers_stay_below_their_bound_and_reach_all),
		cmocka_unit_test(unfair_draws_are_repeated),
		cmocka_unit_test(backoff_doubles_to_its_cap_with_jitter_in_the_upper_half),
		cmocka_unit_test(uuid_v7_carries_the_time_and_sorts_by_it),
		cmocka_unit_test(uuid_v4_is_random_and_marked),
		cmocka_unit_test(uuids_are_checked_by_form),
		cmocka_unit_test(times_are_written_in_utc),
		cmocka_unit_test(every_day_agrees_with_the_c_library_and_reads_back),
		cmocka_unit_test(times_are_read_with_any_offset),
		cmocka_unit_test(times_that_are_none_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
