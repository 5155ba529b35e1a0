/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which part of a provider's list is asked for next, where lists are by time: the times that are
 * wanted, oldest first, in windows whose answers are not full, since a full one may hide rows. One
 * request as long as nothing is full; after that windows are as long as the rows of the last one
 * suggest.
 *
 * Times that are wanted are the database's, windows the provider's. Until the provider's clock is
 * known a window is wider on both sides; then by what the clock was measured to differ, and a
 * margin for rows that were made on another of its machines.
 */
#ifndef CARILLON_CONSUMER_LIST_RANGE_H
#define CARILLON_CONSUMER_LIST_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIST_SPANS_MAX 64

struct list_span {
	int64_t from_ms, to_ms;
};

struct list_range {
	struct list_span spans[LIST_SPANS_MAX]; /* wanted, by their beginning */
	size_t spans_count;
	int64_t ahead_min_ms, ahead_max_ms; /* the provider's clock minus the database's */
	int64_t margin_ms;
	struct list_span window; /* the one under way */
	int64_t read_ms;	 /* what is wanted before this was read */
	int64_t step_ms;	 /* the longest window that is likely not to be full */
};

void list_range_init(struct list_range *r);
/* At most LIST_SPANS_MAX. */
void list_range_add(struct list_range *r, int64_t from_ms, int64_t to_ms);
/* The next window, provider's clock; false: all was read. */
bool list_range_next(struct list_range *r, struct list_span *ret_window);
/* The answer was full: the next window begins there too and is shorter; its rows were made within
 * `rows_ms` (0: not known). false: it can't be shorter. */
bool list_range_full(struct list_range *r, int64_t rows_ms);
/* The answer was whole; `fill` is how full it was, 0 to 1. */
void list_range_read(struct list_range *r, double fill);
/* What one answer tells of the provider's clock: it is ahead of the database's by that much. */
void list_range_clock(struct list_range *r, int64_t ahead_min_ms, int64_t ahead_max_ms);
/* Everything wanted up to this time, the database's clock, was read. */
bool list_range_covers(const struct list_range *r, int64_t to_ms);

#endif
