/* SPDX-License-Identifier: Apache-2.0 */
#include "consumer/list_range.h"

#include <assert.h>

#define STEP_MIN_MS 500
#define UNKNOWN_CLOCK_MS 300000 /* either side, before the clock is known */
#define MARGIN_MS 30000
#define GROWTH_MAX 8
#define FILL 0.7 /* of a full answer: rows come unevenly */

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

void list_range_init(struct list_range *r)
{
	*r = (struct list_range){
		.margin_ms = UNKNOWN_CLOCK_MS,
		.read_ms = INT64_MIN,
		.step_ms = INT64_MAX,
	};
}

void list_range_add(struct list_range *r, int64_t from_ms, int64_t to_ms)
{
	size_t i = r->spans_count++;

	assert(i < LIST_SPANS_MAX);
	for (; i > 0 && r->spans[i - 1].from_ms > from_ms; i--)
		r->spans[i] = r->spans[i - 1];
	r->spans[i] = (struct list_span){from_ms, to_ms};
}

static int64_t begin_of(const struct list_range *r, const struct list_span *s)
{
	return s->from_ms + r->ahead_min_ms - r->margin_ms;
}

static int64_t end_at(const struct list_range *r, int64_t to_ms)
{
	return to_ms + r->ahead_max_ms + r->margin_ms;
}

bool list_range_next(struct list_range *r, struct list_span *ret_window)
{
	struct list_span *w = &r->window;
	bool any = false;

	for (size_t i = 0; i < r->spans_count; i++) {
		const struct list_span *s = &r->spans[i];
		int64_t begin = later(begin_of(r, s), r->read_ms), end = end_at(r, s->to_ms);
		if (end <= r->read_ms)
			continue;
		if (!any)
			*w = (struct list_span){begin, end};
		else if (begin - w->from_ms > r->step_ms)
			break;
		any = true;
		w->to_ms = later(w->to_ms, end);
	}
	if (!any)
		return false;
	w->to_ms = w->from_ms + sooner(w->to_ms - w->from_ms, r->step_ms);
	*ret_window = *w;
	return true;
}

bool list_range_full(struct list_range *r, int64_t rows_ms)
{
	int64_t length = r->window.to_ms - r->window.from_ms;

	r->step_ms = length / 2;
	if (rows_ms > 0)
		r->step_ms =
			sooner(r->step_ms, later((int64_t)(FILL * (double)rows_ms), STEP_MIN_MS));
	return length > STEP_MIN_MS;
}

void list_range_read(struct list_range *r, double fill)
{
	int64_t length = r->window.to_ms - r->window.from_ms;
	bool was_cut = length < r->step_ms; /* by the end of what is wanted */

	r->read_ms = r->window.to_ms;
	if (r->step_ms == INT64_MAX)
		return;
	double growth = fill > FILL / GROWTH_MAX ? FILL / fill : GROWTH_MAX;
	int64_t step = later((int64_t)((double)length * growth), STEP_MIN_MS);
	r->step_ms = was_cut ? later(step, r->step_ms) : step;
}

void list_range_clock(struct list_range *r, int64_t ahead_min_ms, int64_t ahead_max_ms)
{
	r->ahead_min_ms = ahead_min_ms;
	r->ahead_max_ms = ahead_max_ms;
	r->margin_ms = MARGIN_MS;
}

bool list_range_covers(const struct list_range *r, int64_t to_ms)
{
	return end_at(r, to_ms) <= r->read_ms;
}
