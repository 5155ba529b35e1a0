/* SPDX-License-Identifier: Apache-2.0 */
/* Every line on stderr is one valid JSON object within its bound, whatever the values are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

static char written[20000];
static size_t written_bytes;

/* Runs with stderr in a pipe, whose content ends in `written`. */
static void capture(void (*log_something)(void))
{
	int ends[2];
	int saved = dup(STDERR_FILENO);

	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	log_something();
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[1]);
	ssize_t n = read(ends[0], written, sizeof(written) - 1);
	close(ends[0]);
	assert_true(n >= 0);
	written_bytes = (size_t)n;
	written[n] = '\0';
}

/* The one line that was written. To be released. */
static json_t *line(void)
{
	json_error_t error;

	assert_true(written_bytes > 0 && written_bytes <= 8192);
	assert_ptr_equal(strchr(written, '\n'), written + written_bytes - 1);
	json_t *j = json_loads(written, JSON_REJECT_DUPLICATES, &error);
	assert_non_null(j);
	return j;
}

static const char *text(const json_t *j, const char *name)
{
	return json_string_value(json_object_get(j, name));
}

static void log_every_kind(void)
{
	errno = ENOENT;
	log_warn("call.unknown", LOG_STR("job_id", "j-1"), LOG_INT("status", -42),
		 LOG_DOUBLE("took", 0.25), LOG_BOOL("held", true), LOG_BOOL("late", false),
		 LOG_PHONE("phone", "+12025550167"), LOG_STR("left_out", NULL),
		 LOG_PHONE("no_phone", NULL), LOG_DOUBLE("odd", NAN), LOG_INT("large", INT64_MIN));
	assert_int_equal(errno, ENOENT);
}

static void a_line_has_its_head_and_its_fields(void **state)
{
	int64_t at;

	(void)state;
	log_init("consumer", LOG_LEVEL_INFO);
	capture(log_every_kind);
	json_t *j = line();
	assert_int_equal(time_parse(text(j, "at"), strlen(text(j, "at")), &at), 0);
	assert_string_equal(text(j, "level"), "warn");
	assert_string_equal(text(j, "process"), "consumer");
	assert_string_equal(text(j, "event"), "call.unknown");
	assert_string_equal(text(j, "job_id"), "j-1");
	assert_int_equal(json_integer_value(json_object_get(j, "status")), -42);
	assert_true(json_real_value(json_object_get(j, "took")) == 0.25);
	assert_true(json_is_true(json_object_get(j, "held")));
	assert_true(json_is_false(json_object_get(j, "late")));
	assert_string_equal(text(j, "phone"), "+1********67");
	assert_null(json_object_get(j, "left_out"));
	assert_null(json_object_get(j, "no_phone"));
	assert_true(json_is_null(json_object_get(j, "odd")));
	assert_int_equal(json_integer_value(json_object_get(j, "large")), INT64_MIN);
	json_decref(j);
}

static void log_without_fields(void)
{
	log_error("process.stopped");
}

static void log_below_the_level(void)
{
	log_debug("a");
	log_info("b", LOG_INT("n", 1));
	log_warn("c");
}

static void fields_are_optional_and_levels_count(void **state)
{
	(void)state;
	log_init("webhook", LOG_LEVEL_ERROR);
	capture(log_without_fields);
	json_t *j = line();
	assert_int_equal(json_object_size(j), 4);
	json_decref(j);
	capture(log_below_the_level);
	assert_int_equal(written_bytes, 0);
	assert_false(log_enabled(LOG_LEVEL_WARN));
	assert_true(log_enabled(LOG_LEVEL_ERROR));
}

static void log_hostile(void)
{
	log_error("http.refused", LOG_STR("error", "a\"b\\c\n\x1b[2J\xff\xc2\x9b"));
}

static void control_characters_never_reach_the_terminal(void **state)
{
	(void)state;
	capture(log_hostile);
	json_t *j = line();
	assert_string_equal(text(j, "error"), "a\"b\\c\n\x1b[2J\xef\xbf\xbd\xc2\x9b");
	for (size_t i = 0; i + 1 < written_bytes; i++)
		assert_true((unsigned char)written[i] >= 0x20);
	assert_null(strstr(written, "\xc2\x9b"));
	json_decref(j);
}

static char long_text[100000];

static void log_long(void)
{
	log_error("job.failed", LOG_STR("error", long_text), LOG_STR("job_id", "j-1"));
}

static void long_values_are_cut_and_marked(void **state)
{
	(void)state;
	memset(long_text, 'x', sizeof(long_text) - 1);
	capture(log_long);
	json_t *j = line();
	const char *error = text(j, "error");
	assert_string_equal(error + strlen(error) - 8, "...[cut]");
	assert_int_equal(strlen(error), 2048 + 8);
	assert_string_equal(text(j, "job_id"), "j-1");
	json_decref(j);
	/* Six bytes of line for each byte of value: cut shorter, still with the mark. */
	memset(long_text, '\x01', sizeof(long_text) - 1);
	capture(log_long);
	j = line();
	error = text(j, "error");
	assert_string_equal(error + strlen(error) - 8, "...[cut]");
	assert_string_equal(text(j, "job_id"), "j-1");
	json_decref(j);
	/* No UTF-8 sequence is split by the cut. */
	for (size_t i = 3; i < sizeof(long_text) - 1; i++)
		long_text[i] = "\xf0\x9f\x93\x9e"[(i - 3) % 4];
	long_text[0] = long_text[1] = long_text[2] = 'x';
	capture(log_long);
	j = line();
	assert_null(strstr(text(j, "error"), "\xef\xbf\xbd"));
	json_decref(j);
}

static void log_too_many(void)
{
	struct log_field fields[40];

	memset(long_text, 'y', sizeof(long_text) - 1);
	for (unsigned i = 0; i < 40; i++) {
		static char names[40][8];
		snprintf(names[i], sizeof(names[i]), "f%u", i);
		fields[i] = LOG_STR(names[i], long_text);
	}
	log_write(LOG_LEVEL_ERROR, "many", fields, 40);
}

static void what_does_not_fit_is_left_out_and_counted(void **state)
{
	(void)state;
	capture(log_too_many);
	json_t *j = line();
	json_int_t left_out = json_integer_value(json_object_get(j, "fields_left_out"));
	assert_in_range(left_out, 10, 36);
	assert_int_equal((json_int_t)json_object_size(j), 4 + 40 - left_out + 1);
	json_decref(j);
}

static void levels_are_parsed_exactly(void **state)
{
	enum log_level level = LOG_LEVEL_DEBUG;

	(void)state;
	assert_true(log_level_parse("warn", &level));
	assert_int_equal(level, LOG_LEVEL_WARN);
	assert_false(log_level_parse("warning", &level));
	assert_false(log_level_parse("", &level));
	assert_int_equal(level, LOG_LEVEL_WARN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_its_head_and_its_fields),
		cmocka_unit_test(fields_are_optional_and_levels_count),
		cmocka_unit_test(control_characters_never_reach_the_terminal),
		cmocka_unit_test(long_values_are_cut_and_marked),
		cmocka_unit_test(what_does_not_fit_is_left_out_and_counted),
		cmocka_unit_test(levels_are_parsed_exactly),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
