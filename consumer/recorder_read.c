/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Up to when all that was published is applied, for the reconciler. A mark is where a log ended,
 * with a time before that; once it is passed, what was published by then is applied. The time is
 * PostgreSQL's, asked for by one look; the ends are taken at the next one, if nothing has broken
 * the reading in between: they are known from the broker's answers to fetches, and old after a
 * break.
 */
#include "consumer/recorder_internal.h"

#include "common/log.h"
#include "consumer_sql.h"

#define POSITIONS_MAX_BYTES (1u << 20)
/* More than it takes to find a partition's new leader, whom others may have published to. */
#define END_AGE_MS 6000

static bool is_reading(const struct recorder *r)
{
	return !r->reading_stopped && !r->assigning && !r->loading && !r->lost_place &&
	       kafka_consumer_ready(r->consumer);
}

/* A mark that is not passed yet stays: of one that is always renewed nothing would ever be told. */
static void set_mark(struct recorder *r, struct recorder_position *p)
{
	int64_t start = 0, end = 0;

	if (p->applied < p->mark)
		return;
	p->mark = -1;
	if (!kafka_consumer_range(r->consumer, r->topics[p->topic], p->partition, &start, &end))
		return;
	if (start == end)
		p->mark = 0; /* nothing is there to be read */
	else if (end >= p->applied)
		p->mark = end; /* else the log was made anew */
	p->marked_at = r->time - END_AGE_MS;
}

static void on_noted(void *arg, const struct pg_batch_result *b)
{
	struct recorder *r = arg;

	r->noting = false;
	r->time = 0;
	if (b->error.status == PG_OK)
		r->time = pg_int(b->res[0], 0, pg_col(b->res[0], "now"));
	else if (b->error.status == PG_ERROR)
		log_error("recorder.read_not_noted", LOG_STR("sqlstate", b->error.sqlstate),
			  LOG_STR("error", b->error.message));
}

enum { NOTE_TOPICS, NOTE_PARTITIONS, NOTE_APPLIED, NOTE_TIMES, NOTE_ARRAYS };

/* Of the positions that have passed their marks; and asks for a time. */
static bool send_note(struct recorder *r)
{
	struct buf bufs[NOTE_ARRAYS];
	struct pg_array arrays[NOTE_ARRAYS];
	const char *params[NOTE_ARRAYS];
	bool sent = true;

	for (size_t i = 0; i < NOTE_ARRAYS; i++) {
		buf_init(&bufs[i], POSITIONS_MAX_BYTES);
		pg_array_init(&arrays[i], &bufs[i]);
	}
	for (size_t i = 0; i < r->positions_count; i++) {
		const struct recorder_position *p = &r->positions[i];
		if (p->mark < 0 || p->applied < p->mark)
			continue;
		pg_array_add(&arrays[NOTE_TOPICS], r->topics[p->topic]);
		pg_array_add_int(&arrays[NOTE_PARTITIONS], p->partition);
		pg_array_add_int(&arrays[NOTE_APPLIED], p->applied);
		pg_array_add_int(&arrays[NOTE_TIMES], p->marked_at);
	}
	for (size_t i = 0; i < NOTE_ARRAYS; i++) {
		params[i] = pg_array_finish(&arrays[i]);
		sent = sent && params[i];
	}
	sent = sent && pg_run(r->pg, CONSUMER_OFFSETS_READ, NOTE_ARRAYS, params, on_noted, r);
	for (size_t i = 0; i < NOTE_ARRAYS; i++)
		buf_release(&bufs[i]);
	return sent;
}

void recorder_mark(struct recorder *r)
{
	bool broken = r->disturbed || !is_reading(r);

	if (r->noting || r->positions_count == 0 || !pg_is_up(r->pg))
		return;
	r->disturbed = !is_reading(r); /* until an interval after its end */
	r->noting = send_note(r);
	for (size_t i = 0; r->noting && !broken && r->time != 0 && i < r->positions_count; i++)
		set_mark(r, &r->positions[i]);
}
