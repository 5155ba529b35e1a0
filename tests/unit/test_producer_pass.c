/* SPDX-License-Identifier: Apache-2.0 */
/* producer/pass.h: what a claim did not give out, counted by gate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/metrics.h"
#include "producer/pass.h"

struct row {
	const char *row, *gate, *n;
};

/* Rows as claim.sql gives them; the caller clears the result. */
static PGresult *rows_of(const struct row *rows, int n)
{
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	char names[3][5] = {"row", "gate", "n"};
	PGresAttDesc columns[3] = {{.name = names[0]}, {.name = names[1]}, {.name = names[2]}};

	assert_non_null(res);
	assert_int_equal(PQsetResultAttrs(res, 3, columns), 1);
	for (int i = 0; i < n; i++) {
		const char *values[3] = {rows[i].row, rows[i].gate, rows[i].n};
		for (int col = 0; col < 3; col++) {
			char value[32];
			snprintf(value, sizeof(value), "%s", values[col] ? values[col] : "");
			assert_int_equal(PQsetvalue(res, i, col, values[col] ? value : NULL,
						    values[col] ? (int)strlen(value) : -1),
					 1);
		}
	}
	return res;
}

static struct gate_counts counts_of(const struct row *rows, int n)
{
	struct gate_counts c = {0};
	PGresult *res = rows_of(rows, n);

	gate_counts_add(&c, res);
	gate_counts_add(&c, res); /* adds up */
	PQclear(res);
	return c;
}

static void test_counts(void **state)
{
	const struct row rows[] = {
		{"job", NULL, "1"},	   {"held", "lead_window", "7"}, {"skipped", "stage", "2"},
		{"held", "stopped", "10"}, {"job", NULL, "1"},
	};
	const struct gate_counts c = counts_of(rows, 5);

	(void)state;
	assert_int_equal(c.held[GATE_LEAD_WINDOW], 14);
	assert_int_equal(c.held[GATE_STOPPED], 20);
	assert_int_equal(c.skipped[GATE_STAGE], 4);
	assert_int_equal(c.held[GATE_STAGE], 0);
	/* The stopped ones stay where they are. */
	assert_int_equal(gate_counts_moved(&c), 18);
	metrics_reset();
	gate_counts_measure(&c);
	assert_true(metric_value(METRIC_HELD, "lead_window") == 14);
	assert_true(metric_value(METRIC_HELD, "stage") == 4);
	assert_true(metric_value(METRIC_HELD, "stopped") == 0);
}

/* A lane that is closed is looked at again and again: that must not look like progress. */
static void test_closed_lanes_do_not_move(void **state)
{
	const struct row rows[] = {
		{"held", "stopped", "10"}, {"held", "lane", "1"},   {"held", "day", "5"},
		{"held", "holiday", "5"},  {"held", "window", "5"},
	};
	const struct gate_counts c = counts_of(rows, 5);

	(void)state;
	assert_int_equal(gate_counts_moved(&c), 0);
}

/* A newer database may hold for a reason this program does not know. */
static void test_unknown_gate(void **state)
{
	const struct row rows[] = {{"held", "full_moon", "3"}};
	const struct gate_counts c = counts_of(rows, 1);

	(void)state;
	assert_int_equal(gate_counts_moved(&c), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_closed_lanes_do_not_move),
		cmocka_unit_test(test_unknown_gate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
