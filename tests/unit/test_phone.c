/* SPDX-License-Identifier: Apache-2.0 */
/* Phone numbers by the vectors that SQL's normalize_phone() is tested with too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/phone.h"

/* One line of the vectors: input (as in a JSON string), status, E.164. */
static void check_vector(char *line, unsigned number)
{
	char *rest = line;
	const char *input = strsep(&rest, "\t");
	const char *status = strsep(&rest, "\t");
	const char *e164 = rest;
	char quoted[300];
	char got[PHONE_BYTES] = "";

	if (!status || !e164) {
		fail_msg("line %u has no three fields", number);
		return;
	}
	snprintf(quoted, sizeof(quoted), "\"%s\"", input);
	json_t *j = json_loads(quoted, JSON_DECODE_ANY, NULL);
	assert_non_null(j);
	enum phone_status s = phone_normalize(json_string_value(j), json_string_length(j), got);
	if (strcmp(phone_status_text(s), status) != 0 || strcmp(got, e164) != 0)
		fail_msg("line %u: \"%s\" gave %s \"%s\"", number, input, phone_status_text(s),
			 got);
	assert_int_equal(s == PHONE_OK, phone_is_e164(got));
	json_decref(j);
}

static void vectors_hold(void **state)
{
	FILE *f = fopen(CARILLON_SOURCE_DIR "/tests/vectors/phone.tsv", "re");
	char line[512];
	unsigned n = 0;

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		n++;
		line[strcspn(line, "\n")] = '\0';
		if (line[0] != '#')
			check_vector(line, n);
	}
	fclose(f);
	assert_true(n > 80);
}

static void normal_forms_stay_and_bytes_never_crash(void **state)
{
	char text[40], once[PHONE_BYTES], twice[PHONE_BYTES];
	static const char alphabet[] = "0123456789+ x-\xc2\xa0\xe2\x80\x90\xff";

	(void)state;
	for (int i = 0; i < 50000; i++) {
		size_t n = clock_random_below(clock_system(), sizeof(text));
		for (size_t k = 0; k < n; k++)
			text[k] =
				alphabet[clock_random_below(clock_system(), sizeof(alphabet) - 1)];
		if (phone_normalize(text, n, once) != PHONE_OK)
			continue;
		assert_true(phone_is_e164(once));
		assert_int_equal(phone_normalize(once, strlen(once), twice), PHONE_OK);
		assert_string_equal(once, twice);
	}
}

static void e164_is_checked_by_shape(void **state)
{
	static const char *const good[] = {"+12025550101", "+442079460000", "+2345678",
					   "+999999999999999"};
	static const char *const bad[] = {"",
					  "+",
					  "12025550101",
					  "+1202555010",
					  "+120255501011",
					  "+0442079460",
					  "+234567",
					  "+9999999999999999",
					  "+1202555010x",
					  " +12025550101"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(phone_is_e164(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(phone_is_e164(bad[i]));
	assert_false(phone_is_e164(NULL));
}

static void masks_show_two_digits(void **state)
{
	static const char *const rows[][2] = {
		{"+12025550167", "+1********67"},
		{"+442079460000", "+4*********00"},
		{"2025550167", "********67"},
		{"", ""},
		{"911", "***"},
		{"+1234", "*****"},
		{"sip:somebody@long.example", "**************le"},
	};
	char masked[PHONE_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		phone_mask(rows[i][0], masked);
		assert_string_equal(masked, rows[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_hold),
		cmocka_unit_test(normal_forms_stay_and_bytes_never_crash),
		cmocka_unit_test(e164_is_checked_by_shape),
		cmocka_unit_test(masks_show_two_digits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
