/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Up to when all that was published is applied, for the reconciler. A mark is where a log ended,
 * with a time before that; once it is passed, what was published by then is applied. The time is
 * PostgreSQL's, asked for before the ends are looked at. An end is known from the broker's answers
 * to fetches, and may be old after any break of the reading: marks are set when an interval has
 * passed without one. A leader that others reach and we don't is not noticed.
 */
#include "consumer/recorder_internal.h"

#include <stdio.h>

#include "common/log.h"
#include "consumer_sql.h"

#define POSITIONS_MAX_BYTES (1u << 20)
#define END_AGE_MS                                                                                 \
	1000 /* more than between two fetches, and between our broker's clock and its word */

static bool is_undisturbed(const struct recorder *r)
{
	return !r->disturbed && !r->reading_stopped && !r->assigning && !r->loading &&
	       !r->lost_place && kafka_consumer_ready(r->consumer);
}

static void set_mark(struct recorder *r, struct recorder_position *p)
{
	int64_t start = 0, end = 0;

	p->mark = -1;
	if (!kafka_consumer_range(r->consumer, r->topics[p->topic], p->partition, &start, &end))
		return;
	if (start == end)
		p->mark = 0; /* nothing is there to be read */
	else if (end >= p->applied)
		p->mark = end; /* else the log was made anew */
}

static void on_noted(void *arg, const struct pg_batch_result *b)
{
	struct recorder *r = arg;

	r->noting = false;
	r->marked_at = 0;
	if (b->error.status == PG_ERROR)
		log_error("recorder.read_not_noted", LOG_STR("sqlstate", b->error.sqlstate),
			  LOG_STR("error", b->error.message));
	if (b->error.status != PG_OK || !is_undisturbed(r))
		return;
	r->marked_at = pg_int(b->res[0], 0, pg_col(b->res[0], "now"));
	for (size_t i = 0; i < r->positions_count; i++)
		set_mark(r, &r->positions[i]);
}

enum { NOTE_TOPICS, NOTE_PARTITIONS, NOTE_APPLIED, NOTE_ARRAYS };

/* Of the positions that have passed their marks; and asks for the time of the next ones. */
static bool send_note(struct recorder *r)
{
	struct buf bufs[NOTE_ARRAYS];
	struct pg_array arrays[NOTE_ARRAYS];
	const char *params[NOTE_ARRAYS + 1];
	char at[24];
	bool sent = true;

	for (size_t i = 0; i < NOTE_ARRAYS; i++) {
		buf_init(&bufs[i], POSITIONS_MAX_BYTES);
		pg_array_init(&arrays[i], &bufs[i]);
	}
	for (size_t i = 0; i < r->positions_count; i++) {
		const struct recorder_position *p = &r->positions[i];
		if (r->marked_at == 0 || p->mark < 0 || p->applied < p->mark)
			continue;
		pg_array_add(&arrays[NOTE_TOPICS], r->topics[p->topic]);
		pg_array_add_int(&arrays[NOTE_PARTITIONS], p->partition);
		pg_array_add_int(&arrays[NOTE_APPLIED], p->applied);
	}
	snprintf(at, sizeof(at), "%lld", (long long)r->marked_at - END_AGE_MS);
	for (size_t i = 0; i < NOTE_ARRAYS; i++) {
		params[i] = pg_array_finish(&arrays[i]);
		sent = sent && params[i];
	}
	params[NOTE_ARRAYS] = at;
	sent = sent && pg_run(r->pg, CONSUMER_OFFSETS_READ, NOTE_ARRAYS + 1, params, on_noted, r);
	for (size_t i = 0; i < NOTE_ARRAYS; i++)
		buf_release(&bufs[i]);
	return sent;
}

void recorder_mark(struct recorder *r)
{
	bool undisturbed = is_undisturbed(r);

	r->disturbed = false;
	if (!undisturbed)
		r->marked_at = 0;
	else if (!r->noting && r->positions_count > 0 && pg_is_up(r->pg))
		r->noting = send_note(r);
}
