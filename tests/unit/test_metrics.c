/* SPDX-License-Identifier: Apache-2.0 */
/* Counting, the bound on labels, and the text that Prometheus reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/metrics.h"

static int reset(void **state)
{
	(void)state;
	metrics_reset();
	return 0;
}

static char *print(void)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	metrics_print("consumer", &b);
	char *text = buf_detach(&b);
	assert_non_null(text);
	return text;
}

static void counts_by_label(void **state)
{
	char same[] = "accepted";

	(void)state;
	metric_add(METRIC_DISPATCHED, "accepted", 1);
	metric_add(METRIC_DISPATCHED, same, 2);
	metric_add(METRIC_DISPATCHED, "unknown", 1);
	metric_set(METRIC_PG_UP, NULL, 1);
	metric_set(METRIC_PG_UP, NULL, 0);
	metric_add(METRIC_POSTS_IN_FLIGHT, NULL, 3);
	metric_add(METRIC_POSTS_IN_FLIGHT, NULL, -1);
	assert_true(metric_value(METRIC_DISPATCHED, "accepted") == 3);
	assert_true(metric_value(METRIC_DISPATCHED, "unknown") == 1);
	assert_true(metric_value(METRIC_DISPATCHED, "refused") == 0);
	assert_true(metric_value(METRIC_PG_UP, NULL) == 0);
	assert_true(metric_value(METRIC_POSTS_IN_FLIGHT, NULL) == 2);
	/* The caller's text may change afterwards. */
	memcpy(same, "refused", 8);
	assert_true(metric_value(METRIC_DISPATCHED, "accepted") == 3);
}

static void prints_those_that_have_a_value(void **state)
{
	(void)state;
	metric_add(METRIC_DISPATCHED, "accepted", 3);
	metric_set(METRIC_OLDEST_DUE, NULL, 1.5);
	char *text = print();
	assert_string_equal(
		text,
		"# HELP carillon_oldest_due_age_seconds age of the oldest follow-up that is due and not held\n"
		"# TYPE carillon_oldest_due_age_seconds gauge\n"
		"carillon_oldest_due_age_seconds{process=\"consumer\"} 1.5\n"
		"# HELP carillon_dispatched_total claimed jobs by result: not_sent and some of refused without a POST\n"
		"# TYPE carillon_dispatched_total counter\n"
		"carillon_dispatched_total{process=\"consumer\",result=\"accepted\"} 3\n");
	free(text);
}

static void histograms_cumulate(void **state)
{
	(void)state;
	metric_observe(METRIC_POST, "omni", 0.0005);
	metric_observe(METRIC_POST, "omni", 0.001);
	metric_observe(METRIC_POST, "omni", 0.3);
	metric_observe(METRIC_POST, "omni", 61);
	assert_true(metric_value(METRIC_POST, "omni") == 4);
	char *text = print();
	static const char *const lines[] = {
		"# TYPE carillon_provider_post_seconds histogram\n",
		"carillon_provider_post_seconds_bucket{process=\"consumer\",account=\"omni\",le=\"0.001\"} 2\n",
		"carillon_provider_post_seconds_bucket{process=\"consumer\",account=\"omni\",le=\"0.25\"} 2\n",
		"carillon_provider_post_seconds_bucket{process=\"consumer\",account=\"omni\",le=\"0.5\"} 3\n",
		"carillon_provider_post_seconds_bucket{process=\"consumer\",account=\"omni\",le=\"60\"} 3\n",
		"carillon_provider_post_seconds_bucket{process=\"consumer\",account=\"omni\",le=\"+Inf\"} 4\n",
		"carillon_provider_post_seconds_sum{process=\"consumer\",account=\"omni\"} 61.3015\n",
		"carillon_provider_post_seconds_count{process=\"consumer\",account=\"omni\"} 4\n",
	};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (!strstr(text, lines[i]))
			fail_msg("%s is not in\n%s", lines[i], text);
	}
	free(text);
}

static void labels_beyond_the_bound_count_as_other(void **state)
{
	char label[24];

	(void)state;
	for (int i = 0; i < METRICS_LABELS_MAX + 10; i++) {
		snprintf(label, sizeof(label), "gate-%d", i);
		metric_add(METRIC_HELD, label, 1);
	}
	metric_add(METRIC_HELD, "gate-0", 1);
	assert_true(metric_value(METRIC_HELD, "gate-0") == 2);
	assert_true(metric_value(METRIC_HELD, "gate-31") == 1);
	assert_true(metric_value(METRIC_HELD, "gate-32") == 0);
	assert_true(metric_value(METRIC_HELD, "other") == 10);
}

static void long_labels_are_one_series(void **state)
{
	char label[200];

	(void)state;
	memset(label, 'x', sizeof(label) - 1);
	label[sizeof(label) - 1] = '\0';
	metric_add(METRIC_HELD, label, 1);
	metric_add(METRIC_HELD, label, 1);
	assert_true(metric_value(METRIC_HELD, label) == 2);
}

static void hostile_labels_are_escaped(void **state)
{
	(void)state;
	metric_add(METRIC_HELD, "a\"b\\c\nd\xff", 1);
	char *text = print();
	assert_non_null(strstr(text, "gate=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\"} 1\n"));
	free(text);
}

static const char *some_value(const char *label)
{
	return label ? "a \"b\"" : NULL;
}

/* Every row of the table with a value; promtool, where it is installed, reads it all. */
static void the_whole_table_is_good_prometheus(void **state)
{
	(void)state;
#define COUNTER(m, label) metric_add(m, label, 1)
#define GAUGE(m, label) metric_set(m, label, 2.5)
#define HISTOGRAM(m, label) metric_observe(m, label, 0.02)
#define METRIC_ROW(NAME, name, kind, label, help) kind(METRIC_##NAME, some_value(label));
#include "common/tbl/metrics.h"
#undef METRIC_ROW
	char *text = print();
#define METRIC_ROW(NAME, name, kind, label, help)                                                  \
	assert_non_null(strstr(text, "# HELP carillon_" name));
#include "common/tbl/metrics.h"
#undef METRIC_ROW
	if (access("/usr/bin/promtool", X_OK) == 0) {
		int ends[2];
		assert_int_equal(pipe(ends), 0);
		pid_t child = fork();
		if (child == 0) {
			dup2(ends[0], STDIN_FILENO);
			close(ends[0]);
			close(ends[1]);
			execl("/usr/bin/promtool", "promtool", "check", "metrics", (char *)NULL);
			_exit(127);
		}
		close(ends[0]);
		assert_int_equal(write(ends[1], text, strlen(text)), (ssize_t)strlen(text));
		close(ends[1]);
		int status;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(counts_by_label, reset),
		cmocka_unit_test_setup(prints_those_that_have_a_value, reset),
		cmocka_unit_test_setup(histograms_cumulate, reset),
		cmocka_unit_test_setup(labels_beyond_the_bound_count_as_other, reset),
		cmocka_unit_test_setup(long_labels_are_one_series, reset),
		cmocka_unit_test_setup(hostile_labels_are_escaped, reset),
		cmocka_unit_test_setup(the_whole_table_is_good_prometheus, reset),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
