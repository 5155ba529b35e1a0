/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One transaction: the partitions' offsets and all that their messages change, so that a message
 * counts once whatever breaks in between.
 *
 * A batch that fails for what is in it is tried again in halves, down to the message that can't be
 * applied. Before that one is given up it fails twice alone, and a batch of those left behind is
 * tried: if this fails as well, something else is wrong (a setting, a right, an earlier message),
 * and the recorder waits and says so rather than throw messages away.
 */
#include "consumer/recorder_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/fail_point.h"
#include "common/log.h"
#include "common/metrics.h"
#include "consumer_sql.h"

#define SCHEMA_REFUSED_MS 30000 /* then the registry is asked again */
#define SCHEMA_ASK_MS 2000
#define BODY_MAX_BYTES (8u << 20)
#define OFFSET_TAKEN "22012" /* offset_advance.sql */

static const enum msg_type topic_types[RECORDER_TOPICS] = {MSG_DISPATCH_RESULT, MSG_CALL_EVENT,
							   MSG_REDIAL_UPDATE, MSG_STAGE_TRANSITION};

int recorder_batch_init(struct recorder *r)
{
	struct recorder_batch *b = &r->batch;

	result_batch_init(&b->results, r->o.cfg);
	buf_init(&b->body, BODY_MAX_BYTES);
	if (recorder_rows_init(&b->offsets, OFFSET_COLUMNS) ||
	    recorder_rows_init(&b->letters, LETTER_COLUMNS) ||
	    recorder_rows_init(&b->inbox, INBOX_COLUMNS) ||
	    recorder_rows_init(&b->told, TOLD_COLUMNS))
		return -1;
	return 0;
}

void recorder_batch_release(struct recorder *r)
{
	struct recorder_batch *b = &r->batch;

	recorder_rows_release(&b->offsets);
	recorder_rows_release(&b->letters);
	recorder_rows_release(&b->inbox);
	recorder_rows_release(&b->told);
	result_batch_release(&b->results);
	buf_release(&b->body);
}

/* ---- From messages to rows ---- */

/*
 * The writer's schema is not known (yet). True: wait for it, with what comes before going first.
 * Only the registry's own word that there is none makes a message undecodable; a registry that is
 * away, for however long, must not turn good messages into dead letters.
 */
static bool wait_for_schema(struct recorder *r, struct recorder_item *item, int32_t id,
			    const char *reason)
{
	bool refused = r->schema_refused == id &&
		       clock_boot_ms(r->o.clock) - r->schema_refused_ms < SCHEMA_REFUSED_MS;

	if (!r->o.registry || refused) {
		recorder_item_bury(item, reason);
		return false;
	}
	r->schema_wanted = id;
	schema_registry_resolve(r->o.registry, topic_types[item->topic], id);
	return true;
}

/* Of each the word and a space. */
static const char outside_dialers[] =
#define OUTSIDE_DIALER(provider) provider " "
#include "common/tbl/outside_dialer.h"
#undef OUTSIDE_DIALER
	;

static bool is_from_outside(const struct msg *m)
{
	const char *provider = m->type == MSG_REDIAL_UPDATE ? m->redial.provider : NULL;
	size_t n = provider ? strlen(provider) : 0;

	for (const char *p = outside_dialers; n > 0 && *p; p += strcspn(p, " ") + 1) {
		if (strcspn(p, " ") == n && memcmp(p, provider, n) == 0)
			return true;
	}
	return false;
}

static void add_message(struct recorder_batch *b, const struct msg *m)
{
	b->from_outside |= is_from_outside(m);
	b->classified |= m->type == MSG_STAGE_TRANSITION && m->stage.entity == ENTITY_PENDING_CALL;
	recorder_rows_add_message(&b->inbox, m, &b->body);
}

/* What the dispatcher has written is done; what waited for it may go on. */
static void add_result(struct recorder *r, const struct msg_dispatch_result *result)
{
	struct recorder_batch *b = &r->batch;

	recorder_rows_add_told(&b->told, result->job_id, result->provider_call_id);
	if (!written_take(r->o.written, result->job_id, result->result))
		result_batch_add(&b->results, result);
}

/* False: the batch ends before this message. */
static bool add_item(struct recorder *r, struct recorder_item *item)
{
	struct recorder_batch *b = &r->batch;
	char storage[RECORDER_TEXT_BYTES];
	struct buf error;
	struct msg m;
	int32_t schema_id = 0;

	if (item->state != ITEM_GOOD)
		return true;
	buf_init_fixed(&error, storage, sizeof(storage));
	switch (msg_decode(r->o.codec, topic_types[item->topic], item->value, item->value_bytes, &m,
			   &schema_id, &error)) {
	case MSG_UNKNOWN_SCHEMA:
		return !wait_for_schema(r, item, schema_id, error.data);
	case MSG_MALFORMED:
		recorder_item_bury(item, error.data);
		return true;
	case MSG_DECODED:
		break;
	}
	if (m.type != MSG_DISPATCH_RESULT)
		add_message(b, &m);
	else if (uuid_valid(m.result.job_id))
		add_result(r, &m.result);
	else
		recorder_item_bury(item, "the job id is no UUID");
	return true;
}

/* Takes messages from the queue's head into rows. */
static void take_items(struct recorder *r)
{
	struct recorder_batch *b = &r->batch;
	size_t bytes = 0;

	for (struct recorder_item *i = r->queue; i && b->n < r->limit; i = i->next) {
		bytes += i->value_bytes;
		if (b->n > 0 && bytes > RECORDER_BATCH_BYTES)
			break;
		if (!add_item(r, i))
			break;
		struct recorder_position *p = recorder_position_find(r, i->topic, i->partition);
		assert(p); /* others are dropped with their partition */
		p->batch_end = i->offset + 1;
		if (i->state != ITEM_GOOD) {
			const struct dead_letter letter = recorder_item_letter(r, i);
			recorder_rows_add_letter(&b->letters, &letter);
		}
		b->n++;
	}
	for (size_t i = 0; i < r->positions_count; i++) {
		if (r->positions[i].batch_end >= 0)
			recorder_rows_add_position(&b->offsets, r->topics[r->positions[i].topic],
						   &r->positions[i]);
	}
}

static void take_proofs(struct recorder *r)
{
	struct recorder_batch *b = &r->batch;

	for (size_t i = 0; i < r->proofs_count; i++) {
		const char *call_id = r->proofs[i].provider_call_id;

		const struct msg_dispatch_result result = {
			.job_id = r->proofs[i].job_id,
			.result = RESULT_ACCEPTED,
			.provider_call_id = call_id[0] ? call_id : NULL,
			.http_status = MSG_NO_INT,
			.posted_at = MSG_NO_TIME,
			.answered_at = MSG_NO_TIME,
			.retry_at = MSG_NO_TIME,
		};
		recorder_rows_add_told(&b->told, result.job_id, result.provider_call_id);
		result_batch_add(&b->results, &result);
	}
	b->proofs_count = r->proofs_count;
}

static void forget_rows(struct recorder *r)
{
	struct recorder_batch *b = &r->batch;

	b->n = b->stmts_count = b->proofs_count = 0;
	recorder_rows_clear(&b->offsets);
	recorder_rows_clear(&b->letters);
	recorder_rows_clear(&b->inbox);
	recorder_rows_clear(&b->told);
	b->from_outside = b->classified = false;
	result_batch_clear(&b->results);
	for (size_t i = 0; i < r->positions_count; i++)
		r->positions[i].batch_end = -1;
}

/* ---- The transaction ---- */

static void add_stmt(struct recorder *r, enum consumer_stmt stmt, size_t nparams,
		     const char *const *params)
{
	struct recorder_batch *b = &r->batch;

	assert(b->stmts_count < RECORDER_STMTS_MAX);
	b->stmts[b->stmts_count++] = stmt;
	pg_add(r->pg, stmt, nparams, params);
}

static void on_batch(void *arg, const struct pg_batch_result *result);

/* False: a column passed its bound; nothing is sent. */
static bool send_batch(struct recorder *r)
{
	struct recorder_batch *b = &r->batch;
	const char *const *offsets = recorder_rows_params(&b->offsets);
	const char *const *letters = recorder_rows_params(&b->letters);
	const char *const *inbox = recorder_rows_params(&b->inbox);
	const char *const *told = recorder_rows_params(&b->told);
	const char *const *results = result_batch_params(&b->results);
	char longest_s[24];

	if (!offsets || !letters || !inbox || !told || !results)
		return false;
	if (!pg_begin(r->pg, on_batch, r))
		return false;
	snprintf(longest_s, sizeof(longest_s), "%" PRId64,
		 config_int(r->o.cfg, CONFIG_KEY_MAX_CALL_S) +
			 config_int(r->o.cfg, CONFIG_KEY_MAX_CALL_GRACE_S));
	if (b->offsets.n > 0)
		add_stmt(r, CONSUMER_OFFSET_ADVANCE, OFFSET_COLUMNS, offsets);
	if (b->letters.n > 0)
		add_stmt(r, CONSUMER_DEAD_LETTERS_INSERT, LETTER_COLUMNS, letters);
	if (b->results.n > 0) {
		add_stmt(r, CONSUMER_APPLY_RESULTS, RESULT_BATCH_PARAMS, results);
		add_stmt(r, CONSUMER_RESULTS_FACTS, 7,
			 (const char *const[]){results[0], results[1], results[3], results[4],
					       results[6], results[7], longest_s});
	}
	if (b->inbox.n > 0)
		add_stmt(r, CONSUMER_INBOX_INSERT, INBOX_COLUMNS, inbox);
	if (b->from_outside || b->revisits)
		add_stmt(r, CONSUMER_OUTSIDE_CALLS, 4,
			 (const char *const[]){inbox[INBOX_ACCOUNT], inbox[INBOX_EVENT_ID],
					       b->revisits ? "t" : "f", outside_dialers});
	if (b->told.n > 0 || b->inbox.n > 0 || b->revisits || b->probe) {
		add_stmt(r, CONSUMER_INBOX_RESOLVE, 5,
			 (const char *const[]){inbox[INBOX_ACCOUNT], inbox[INBOX_EVENT_ID],
					       told[TOLD_JOB_ID], told[TOLD_CALL_ID],
					       b->revisits || b->probe ? "t" : "f"});
		add_stmt(r, CONSUMER_EVENTS_APPLY, 1, (const char *const[]){longest_s});
		add_stmt(r, CONSUMER_REDIAL_APPLY, 0, NULL);
		add_stmt(r, CONSUMER_WORKFLOW_APPLY, 3,
			 (const char *const[]){inbox[INBOX_ACCOUNT], inbox[INBOX_EVENT_ID],
					       b->revisits || b->probe ? "t" : "f"});
		add_stmt(r, CONSUMER_STAGE_APPLY, 2,
			 (const char *const[]){inbox[INBOX_ACCOUNT], inbox[INBOX_EVENT_ID]});
	}
	if (b->revisits)
		add_stmt(r, CONSUMER_INBOX_PARKED, 0, NULL);
	b->begun_ms = clock_boot_ms(r->o.clock);
	b->open = true;
	if (b->classified)
		fail_point(FAIL_MOVING);
	pg_commit(r->pg);
	return true;
}

/* The last message alone is to blame, or all of them together. */
static void split(struct recorder *r, const char *reason)
{
	size_t n = r->batch.n;

	r->proofs_count = 0; /* found again by the next revisit */
	if (n == 0)
		return;
	if (n > 1) {
		r->limit = n / 2;
		return;
	}
	r->limit = 1;
	if (r->queue->suspect)
		recorder_item_bury(r->queue, reason);
	else
		r->probe_due = r->queue->suspect = true;
}

void recorder_batch_start(struct recorder *r)
{
	struct recorder_batch *b = &r->batch;

	forget_rows(r);
	b->probe = r->probe_due;
	b->revisits = r->revisit_due && !(r->queue && r->queue->suspect);
	if (!b->probe) {
		take_proofs(r);
		take_items(r);
	}
	if (b->n == 0 && b->proofs_count == 0 && !b->revisits && !b->probe) {
		recorder_pause(r, SCHEMA_ASK_MS);
		return;
	}
	if (b->letters.n > 0 && !recorder_letters_stored(r, b->n)) {
		b->n = 0;
		return;
	}
	if (send_batch(r))
		return;
	split(r, "too large to be recorded");
	recorder_back_off(r);
}

/* ---- How it ended ---- */

/* The answer of a statement of the batch, or NULL. */
static const PGresult *answer(const struct recorder_batch *b, const struct pg_batch_result *result,
			      enum consumer_stmt stmt)
{
	for (size_t i = 0; i < b->stmts_count; i++) {
		if (b->stmts[i] == stmt)
			return result->res[i];
	}
	return NULL;
}

static void take_answered_proofs(struct recorder *r, const PGresult *res)
{
	int job = pg_col(res, "job_id"), call = pg_col(res, "provider_call_id");
	size_t n = (size_t)PQntuples(res);
	struct recorder_proof *proofs = n ? calloc(n, sizeof(*proofs)) : NULL;

	free(r->proofs);
	r->proofs = proofs;
	r->proofs_count = proofs ? n : 0;
	for (size_t i = 0; i < r->proofs_count; i++) {
		const char *id = pg_text(res, (int)i, call);

		snprintf(proofs[i].job_id, sizeof(proofs[i].job_id), "%s",
			 pg_text(res, (int)i, job));
		if (id && strlen(id) < sizeof(proofs[i].provider_call_id))
			snprintf(proofs[i].provider_call_id, sizeof(proofs[i].provider_call_id),
				 "%s", id);
	}
}

static void report_alive(const PGresult *res)
{
	int job = pg_col(res, "job_id"), was = pg_col(res, "was");
	int status = pg_col(res, "status"), follow_up = pg_col(res, "follow_up_id");
	int off = pg_col(res, "called_off");

	for (int i = 0; i < PQntuples(res); i++)
		log_error("call.came_alive", LOG_STR("job_id", pg_text(res, i, job)),
			  LOG_STR("was", pg_text(res, i, was)),
			  LOG_STR("status", pg_text(res, i, status)),
			  LOG_STR("follow_up_id", pg_text(res, i, follow_up)),
			  LOG_BOOL("successor_called_off", pg_bool(res, i, off)));
}

static void take_answers(struct recorder *r, const struct pg_batch_result *result)
{
	const struct recorder_batch *b = &r->batch;
	const PGresult *proved = answer(b, result, CONSUMER_INBOX_RESOLVE);
	const PGresult *by_result = answer(b, result, CONSUMER_RESULTS_FACTS);
	const PGresult *by_event = answer(b, result, CONSUMER_EVENTS_APPLY);
	const PGresult *parked = answer(b, result, CONSUMER_INBOX_PARKED);

	r->proofs_count = 0;
	/* A batch of proofs alone must not lead to the next one for ever. */
	if (proved && (b->n > 0 || b->revisits))
		take_answered_proofs(r, proved);
	if (by_result)
		report_alive(by_result);
	if (by_event)
		report_alive(by_event);
	if (parked)
		metric_set(METRIC_PARKED, NULL,
			   (double)pg_int(parked, 0, pg_col(parked, "parked")));
	if (b->revisits)
		r->revisit_due = false;
}

static void on_applied(struct recorder *r)
{
	struct recorder_batch *b = &r->batch;
	size_t counts[RECORDER_TOPICS] = {0};

	if (b->classified)
		fail_point(FAIL_MOVED);
	for (; b->n > 0; b->n--) {
		counts[r->queue->topic]++;
		recorder_pop(r);
	}
	for (size_t t = 0; t < RECORDER_TOPICS; t++) {
		if (counts[t] > 0)
			metric_add(METRIC_RECORDED, r->topics[t], (double)counts[t]);
	}
	for (size_t i = 0; i < r->positions_count; i++) {
		struct recorder_position *p = &r->positions[i];

		if (p->batch_end < 0)
			continue;
		p->applied = p->batch_end;
		kafka_consumer_store(r->consumer, r->topics[p->topic], p->partition, p->applied);
	}
	metric_observe(METRIC_RECORD_BATCH, NULL,
		       (double)(clock_boot_ms(r->o.clock) - b->begun_ms) / 1000);
	r->failures = 0;
	if (b->probe)
		r->probe_due = false;
	else if (r->limit < r->limit_max)
		r->limit = r->limit * 2 < r->limit_max ? r->limit * 2 : r->limit_max;
}

/* What a message's values can cause: also a text that is too long for an index (54000). */
static bool may_be_buried(const char *sqlstate)
{
	return strncmp(sqlstate, "22", 2) == 0 || strncmp(sqlstate, "23", 2) == 0 ||
	       strcmp(sqlstate, "54000") == 0 || strcmp(sqlstate, "P0001") == 0;
}

static void on_refused(struct recorder *r, const struct pg_error *e)
{
	struct recorder_batch *b = &r->batch;
	char reason[RECORDER_TEXT_BYTES];
	const char *stmt = e->failed_index >= 0 && (size_t)e->failed_index < b->stmts_count
				   ? consumer_stmts[b->stmts[e->failed_index]].name
				   : NULL;

	if (e->failed_index >= 0 && b->stmts[e->failed_index] == CONSUMER_OFFSET_ADVANCE &&
	    strcmp(e->sqlstate, OFFSET_TAKEN) == 0) {
		log_warn("recorder.overtaken", LOG_INT("messages", b->n));
		r->lost_place = true;
		return;
	}
	log_warn("recorder.batch_failed", LOG_STR("sqlstate", e->sqlstate),
		 LOG_STR("statement", stmt), LOG_INT("messages", b->n),
		 LOG_STR("error", e->message));
	recorder_back_off(r);
	if (pg_error_is_transient(e)) {
		metric_add(METRIC_PG_RETRIES, NULL, 1);
		r->limit = b->n > 1 ? b->n / 2 : r->limit;
		return;
	}
	if (!may_be_buried(e->sqlstate))
		return;
	snprintf(reason, sizeof(reason), "SQLSTATE %s: %s", e->sqlstate, e->message);
	split(r, reason);
}

static void on_batch(void *arg, const struct pg_batch_result *result)
{
	struct recorder *r = arg;

	r->batch.open = false;
	switch (result->error.status) {
	case PG_NOT_DURABLE:
		/* Applied, with its offsets: if a failover takes both, the messages come again. */
		log_warn("recorder.not_durable");
		__attribute__((fallthrough));
	case PG_OK:
		take_answers(r, result);
		on_applied(r);
		break;
	case PG_ERROR:
		on_refused(r, &result->error);
		break;
	case PG_LOST: /* done or not: PostgreSQL will say */
		r->lost_place = true;
		__attribute__((fallthrough));
	case PG_DOWN:
		metric_add(METRIC_PG_RETRIES, NULL, 1);
		break;
	}
	r->batch.n = 0;
	recorder_make_room(r);
	recorder_advance(r);
}
