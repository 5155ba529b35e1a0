/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PostgreSQL, not Kafka, knows which messages are applied, because it learns it in the transaction
 * that applies them. So an assignment begins where PostgreSQL says, and so does everything after a
 * doubt: a commit whose answer was lost, or a partition that somebody else has moved.
 */
#include "consumer/recorder_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "consumer_sql.h"

struct recorder_position *recorder_position_find(struct recorder *r, size_t topic,
						 int32_t partition)
{
	for (size_t i = 0; i < r->positions_count; i++) {
		if (r->positions[i].topic == topic && r->positions[i].partition == partition)
			return &r->positions[i];
	}
	return NULL;
}

static size_t topic_index(const struct recorder *r, const char *name)
{
	size_t t = 0;

	while (t < RECORDER_TOPICS && strcmp(r->topics[t], name) != 0)
		t++;
	return t;
}

bool recorder_on_assign(void *arg, struct kafka_partition *parts, size_t n)
{
	struct recorder *r = arg;
	struct recorder_position *positions = calloc(n ? n : 1, sizeof(*positions));

	recorder_clear(r);
	free(r->positions);
	r->positions = positions;
	r->positions_count = 0;
	r->disturbed = true;
	r->assigning = true;
	r->load_stale = true;
	for (size_t i = 0; positions && i < n; i++) {
		size_t topic = topic_index(r, parts[i].topic);

		if (topic < RECORDER_TOPICS)
			positions[r->positions_count++] =
				(struct recorder_position){.topic = topic,
							   .partition = parts[i].partition,
							   .batch_end = -1,
							   .jump_to = -1,
							   .mark = -1};
	}
	recorder_advance(r);
	return false;
}

/* What is under way goes on: if the partition's next owner was quicker, its offset undoes it. */
void recorder_on_revoke(void *arg, const struct kafka_partition *parts, size_t n, bool lost)
{
	struct recorder *r = arg;

	(void)parts;
	(void)n;
	(void)lost;
	recorder_clear(r);
	r->positions_count = 0;
	r->disturbed = true;
	r->assigning = false;
	r->lost_place = false;
	r->load_stale = true;
}

/* Kafka may not have heard of what is applied, and nothing new may come to tell it: it would show a
 * lag for ever. */
static void store_applied(struct recorder *r)
{
	for (size_t i = 0; i < r->positions_count; i++) {
		const struct recorder_position *p = &r->positions[i];

		if (p->applied > 0)
			kafka_consumer_store(r->consumer, r->topics[p->topic], p->partition,
					     p->applied);
	}
}

static void begin_reading(struct recorder *r)
{
	struct kafka_partition *parts = calloc(r->positions_count + 1, sizeof(*parts));

	if (!parts) {
		recorder_back_off(r);
		return;
	}
	for (size_t i = 0; i < r->positions_count; i++)
		parts[i] = (struct kafka_partition){
			.topic = r->topics[r->positions[i].topic],
			.partition = r->positions[i].partition,
			.offset = r->positions[i].applied,
		};
	r->assigning = false;
	r->disturbed = true;
	kafka_consumer_assigned(r->consumer, parts, r->positions_count);
	free(parts);
	store_applied(r);
}

static void seek_all(struct recorder *r)
{
	r->disturbed = true;
	for (size_t i = 0; i < r->positions_count; i++) {
		const struct recorder_position *p = &r->positions[i];

		kafka_consumer_seek(r->consumer, r->topics[p->topic], p->partition, p->applied);
	}
}

static void take_offsets(struct recorder *r, const PGresult *res)
{
	int topic = pg_col(res, "topic"), partition = pg_col(res, "partition");
	int next = pg_col(res, "next");

	for (int i = 0; i < PQntuples(res); i++) {
		struct recorder_position *p =
			recorder_position_find(r, topic_index(r, pg_text(res, i, topic)),
					       (int32_t)pg_int(res, i, partition));

		if (p)
			p->applied = p->expected = pg_int(res, i, next);
	}
}

static void on_offsets(void *arg, const struct pg_batch_result *result)
{
	struct recorder *r = arg;

	r->loading = false;
	if (r->load_stale) {
		recorder_advance(r);
		return;
	}
	if (result->error.status != PG_OK && result->error.status != PG_NOT_DURABLE) {
		if (result->error.status == PG_ERROR)
			log_error("recorder.offsets_unread",
				  LOG_STR("sqlstate", result->error.sqlstate),
				  LOG_STR("error", result->error.message));
		recorder_back_off(r);
		recorder_advance(r);
		return;
	}
	/* What came meanwhile was read from the old place. */
	recorder_clear(r);
	take_offsets(r, result->res[0]);
	if (r->assigning)
		begin_reading(r);
	else if (r->lost_place)
		seek_all(r);
	r->lost_place = false;
	r->failures = 0;
	r->revisit_due = true;
	recorder_make_room(r);
	recorder_advance(r);
}

void recorder_load_offsets(struct recorder *r)
{
	struct recorder_rows *rows = &r->batch.offsets;
	const char *const *params;

	r->load_stale = false;
	recorder_rows_clear(rows);
	for (size_t i = 0; i < r->positions_count; i++)
		recorder_rows_add_position(rows, r->topics[r->positions[i].topic],
					   &r->positions[i]);
	params = recorder_rows_params(rows);
	r->loading = params && pg_run(r->pg, CONSUMER_OFFSETS_LOAD, 2, params, on_offsets, r);
	if (!r->loading)
		recorder_back_off(r);
}
