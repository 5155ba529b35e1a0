/* SPDX-License-Identifier: Apache-2.0 */
/* Windows over times that are wanted, against lists that are made up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "consumer/list_range.h"

#define ROWS_MAX 100
#define MINUTE INT64_C(60000)
#define T0 INT64_C(1700000000000)

/* A list: a row at each of these times. */
struct list {
	int64_t *at;
	size_t n;
};

static size_t rows_in(const struct list *l, const struct list_span *w)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		n += l->at[i] >= w->from_ms && l->at[i] <= w->to_ms;
	return n;
}

/* Reads on until nothing is left; the number of requests, or -1 if it can't be. */
static int read_all(struct list_range *r, const struct list *l)
{
	struct list_span w;
	int requests = 0;

	while (list_range_next(r, &w)) {
		size_t n = rows_in(l, &w);
		assert_true(w.to_ms > w.from_ms);
		assert_true(requests < 10000);
		if (requests++ == 0)
			list_range_clock(r, -500, 500);
		if (n < ROWS_MAX)
			list_range_read(r, (double)n / ROWS_MAX);
		else if (!list_range_full(r, 0))
			return -1;
	}
	return requests;
}

static struct list steady(int64_t from, int64_t to, int64_t gap_ms)
{
	struct list l = {.n = (size_t)((to - from) / gap_ms)};

	l.at = calloc(l.n, sizeof(*l.at));
	assert_non_null(l.at);
	for (size_t i = 0; i < l.n; i++)
		l.at[i] = from + (int64_t)i * gap_ms;
	return l;
}

static void test_one_request_while_nothing_is_full(void **state)
{
	struct list l = {0};
	struct list_range r;

	(void)state;
	list_range_init(&r);
	for (int i = 0; i < LIST_SPANS_MAX; i++)
		list_range_add(&r, T0 + (LIST_SPANS_MAX - i) * 60 * MINUTE,
			       T0 + (LIST_SPANS_MAX - i) * 60 * MINUTE + 3 * MINUTE);
	assert_false(list_range_covers(&r, T0));
	assert_int_equal(read_all(&r, &l), 1);
	assert_true(list_range_covers(&r, T0 + LIST_SPANS_MAX * 60 * MINUTE + 3 * MINUTE));
}

/* 20 rows a second: some five seconds a window, hardly more windows than rows ask for. */
static void test_windows_follow_the_rows(void **state)
{
	struct list l = steady(T0 - 10 * MINUTE, T0 + 20 * MINUTE, 50);
	struct list_range r;

	(void)state;
	list_range_init(&r);
	list_range_add(&r, T0, T0 + 3 * MINUTE);
	list_range_add(&r, T0 + MINUTE, T0 + 4 * MINUTE);
	int requests = read_all(&r, &l);
	/* 4 minutes, half a minute on either side, the two bounds of the clock. */
	int least = (5 * 60 + 1) * 20 / ROWS_MAX;
	assert_in_range(requests, least, 2 * least);
	assert_true(list_range_covers(&r, T0 + 4 * MINUTE));
	free(l.at);
}

/* What nobody wants is not read, however busy it was. */
static void test_gaps(void **state)
{
	struct list l = steady(T0 - 10 * MINUTE, T0 + 600 * MINUTE, 50);
	struct list_range r;
	struct list_span w;
	int64_t in_gap_ms = 0;

	(void)state;
	list_range_init(&r);
	list_range_add(&r, T0 + 590 * MINUTE, T0 + 591 * MINUTE);
	list_range_add(&r, T0, T0 + MINUTE);
	for (int i = 0; list_range_next(&r, &w); i++) {
		size_t n = rows_in(&l, &w);
		if (i == 0)
			list_range_clock(&r, 0, 1000);
		if (n >= ROWS_MAX) {
			assert_true(list_range_full(&r, 0));
			continue;
		}
		if (w.from_ms > T0 + 2 * MINUTE && w.to_ms < T0 + 589 * MINUTE)
			in_gap_ms += w.to_ms - w.from_ms;
		list_range_read(&r, (double)n / ROWS_MAX);
		assert_true(list_range_covers(&r, T0 + MINUTE) == (w.to_ms >= T0 + MINUTE + 31000));
	}
	assert_int_equal(in_gap_ms, 0);
	assert_true(list_range_covers(&r, T0 + 591 * MINUTE));
	free(l.at);
}

/* Each row at a time that is wanted is in a window that was read, whatever the list looks like. */
static void test_nothing_is_left_out(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 300; seed++) {
		struct list l = {.n = 3000, .at = calloc(3000, sizeof(*l.at))};
		bool seen[3000] = {false};
		struct list_range r;
		struct list_span w, spans[8];
		int64_t ahead = 0;

		srand(seed);
		assert_non_null(l.at);
		ahead = rand() % 240000 - 120000;
		for (size_t i = 0; i < l.n; i++) {
			int64_t minute = rand() % (rand() % 2 ? 120 : 5);
			l.at[i] = T0 + ahead + minute * MINUTE + rand() % 60000;
		}
		list_range_init(&r);
		for (size_t i = 0; i < 8; i++) {
			spans[i].from_ms = T0 + rand() % 120 * MINUTE;
			spans[i].to_ms = spans[i].from_ms + rand() % 10 * MINUTE;
			list_range_add(&r, spans[i].from_ms, spans[i].to_ms);
		}
		for (bool first = true; list_range_next(&r, &w); first = false) {
			size_t n = rows_in(&l, &w);
			if (first)
				list_range_clock(&r, ahead - 700, ahead + 1200);
			if (n >= ROWS_MAX) {
				assert_true(list_range_full(&r, 0));
				continue;
			}
			for (size_t i = 0; i < l.n; i++)
				seen[i] |= l.at[i] >= w.from_ms && l.at[i] <= w.to_ms;
			list_range_read(&r, (double)n / ROWS_MAX);
			for (size_t s = 0; s < 8; s++) {
				if (!list_range_covers(&r, spans[s].to_ms))
					continue;
				for (size_t i = 0; i < l.n; i++) {
					int64_t at = l.at[i] - ahead;
					if (at >= spans[s].from_ms && at <= spans[s].to_ms &&
					    !seen[i])
						fail_msg("seed %u: a row was left out", seed);
				}
			}
		}
		for (size_t s = 0; s < 8; s++)
			assert_true(list_range_covers(&r, spans[s].to_ms));
		free(l.at);
	}
}

static void test_too_many_in_a_moment(void **state)
{
	struct list l = steady(T0 + MINUTE, T0 + MINUTE + 200, 1);
	struct list_range r;

	(void)state;
	list_range_init(&r);
	list_range_add(&r, T0 - 30 * MINUTE, T0 - 20 * MINUTE);
	list_range_add(&r, T0, T0 + 3 * MINUTE);
	assert_int_equal(read_all(&r, &l), -1);
	/* What was read before that is read. */
	assert_true(list_range_covers(&r, T0 - 20 * MINUTE));
	assert_false(list_range_covers(&r, T0 + 3 * MINUTE));
	free(l.at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_request_while_nothing_is_full),
		cmocka_unit_test(test_windows_follow_the_rows),
		cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_nothing_is_left_out),
		cmocka_unit_test(test_too_many_in_a_moment),
	};
	return cmocka_run_group_tests_name("list_range", tests, NULL, NULL);
}
