/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection keeps thousands of statements a second going because nothing waits for an answer:
 * batches are queued in libpq, each ended by a sync, and answered in order. libpq's contract for
 * that is narrow (a result and a NULL for each statement, a sync result for each batch, none after
 * a FATAL), so it is kept in this one place.
 *
 * A plan is as good as what its tables held when it was made, and a table that was empty then may
 * be read whole for each row. The server notices by itself at the next ANALYZE; here plans are
 * forgotten when a table has grown, and when one ran out of its time.
 *
 * No callback is called from inside pg_begin(), pg_add() or pg_commit(): what fails there is
 * answered by a timer of zero seconds. So callers may submit from callbacks without recursion.
 */
#include "common/pg.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/fail_point.h"
#include "common/pg_internal.h"

#define REPLAN_MS 10000
#define REPLAN_NOW 0

/* Tables that have more than twice the rows of when the plans were made, or less than half, may
 * want others. Counted by the statistics, so that no table's lock is waited for. */
static const char replan_if_grown[] =
	"DO $$ DECLARE was jsonb := nullif(current_setting('carillon.sizes', true), '')::jsonb;"
	" sizes jsonb := (SELECT jsonb_object_agg(oid::text, pg_stat_get_live_tuples(oid) + 64)"
	" FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r');"
	" BEGIN IF was IS NULL OR EXISTS (SELECT FROM jsonb_each_text(sizes) n WHERE NOT was ? n.key"
	" OR n.value::bigint NOT BETWEEN (was ->> n.key)::bigint / 2 AND (was ->> n.key)::bigint * 2) THEN"
	" PERFORM set_config('carillon.sizes', sizes::text, false); DISCARD PLANS; END IF; END $$";

void pg_first_line(char ret[PG_REASON_BYTES], const char *text)
{
	size_t n = text ? strcspn(text, "\n") : 0;

	if (n > 0) {
		n = utf8_prefix(text, n, PG_REASON_BYTES - 1);
		memcpy(ret, text, n);
	}
	ret[n] = '\0';
}

struct pg_batch *pg_batch_at(struct pg *pg, size_t i)
{
	return &pg->batches[(pg->head + i) % pg->slots];
}

static struct pg_batch *open_batch(struct pg *pg)
{
	assert(pg->open);
	return pg_batch_at(pg, pg->count - 1);
}

/* ---- Ends of batches ---- */

static void set_error(struct pg_batch *b, enum pg_status status, const char *sqlstate,
		      const char *message)
{
	struct buf state;

	b->status = status;
	buf_init_fixed(&state, b->sqlstate, sizeof(b->sqlstate));
	buf_adds(&state, sqlstate);
	pg_first_line(b->message, message);
}

/* Takes the first batch off the ring and calls back; its slot is not reused before that is over. */
static void answer_head(struct pg *pg)
{
	struct pg_batch *b = pg_batch_at(pg, 0);
	bool whole = b->status == PG_OK || b->status == PG_NOT_DURABLE;

	pg->head = (pg->head + 1) % pg->slots;
	pg->count--;
	for (size_t i = whole ? b->got : 0; i < b->n; i++) {
		if (i < b->got)
			PQclear(b->res[i]);
		b->res[i] = NULL;
	}
	struct pg_batch_result r = {
		.error = {.status = b->status,
			  .message = b->message,
			  .failed_index = b->failed_index},
		.res = b->res,
		.n = b->n,
	};
	memcpy(r.error.sqlstate, b->sqlstate, sizeof(r.error.sqlstate));
	b->cb(b->arg, &r);
	for (size_t i = 0; i < b->n; i++)
		PQclear(b->res[i]);
}

/* Answers the batches that have failed by now; those that fail meanwhile wait for the next turn. */
static void answer_failed(struct pg *pg)
{
	size_t n = 0;

	while (n < pg->count && pg_batch_at(pg, n)->state == PG_BATCH_FAILED)
		n++;
	for (; n > 0; n--)
		answer_head(pg);
	if (pg->count > 0 && pg_batch_at(pg, 0)->state == PG_BATCH_FAILED)
		ev_timer_start(pg->loop, &pg->later);
}

static void on_later(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct pg *pg = w->data;

	(void)loop;
	(void)revents;
	if (pg->broken)
		pg_link_lose(pg, pg->reason);
	answer_failed(pg);
}

void pg_batches_lost(struct pg *pg)
{
	for (size_t i = 0; i < pg->count; i++) {
		struct pg_batch *b = pg_batch_at(pg, i);
		if (b->state == PG_BATCH_OPEN) {
			/* Without its sync the server undoes it. */
			set_error(b, PG_DOWN, "08006", pg->reason);
		} else if (b->state == PG_BATCH_SENT) {
			b->state = PG_BATCH_FAILED;
			/* One that was refused already has its answer. */
			if (b->status == PG_OK || b->status == PG_NOT_DURABLE)
				set_error(b, PG_LOST, "08006", pg->reason);
		}
	}
	ev_timer_start(pg->loop, &pg->later);
}

/* ---- Results ---- */

/* A plan that no longer fits its tables, or a statement that somebody deallocated. */
static bool must_prepare_again(const PGresult *res, const char *sqlstate)
{
	const char *function = PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION);

	if (strcmp(sqlstate, "26000") == 0)
		return true;
	return strcmp(sqlstate, "0A000") == 0 && function &&
	       strcmp(function, "RevalidateCachedQuery") == 0;
}

static void take_error(struct pg *pg, struct pg_batch *b, const PGresult *res)
{
	const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

	if (b->status == PG_ERROR)
		return;
	if (!message)
		message = PQresultErrorMessage(res);
	/* An error of the commit itself comes after the last statement's result. */
	b->failed_index = b->got < b->n ? (int)b->got : -1;
	if (!severity || !sqlstate || strcmp(severity, "ERROR") != 0) {
		/* libpq's own, or FATAL, which may also come right after the commit. */
		set_error(b, PG_LOST, sqlstate ? sqlstate : "08006", message);
		pg_link_break(pg, message);
	} else if (must_prepare_again(res, sqlstate)) {
		set_error(b, PG_DOWN, sqlstate, message);
		pg_link_break(pg, message);
	} else {
		set_error(b, PG_ERROR, sqlstate, message);
		if (strcmp(sqlstate, "57014") == 0)
			pg->replan_at_ms = REPLAN_NOW;
	}
}

static void take_result(struct pg *pg, PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	/* What failed unsent is answered first: batches are answered in order. */
	answer_failed(pg);
	if (pg->count == 0) {
		PQclear(res);
		return;
	}
	struct pg_batch *b = pg_batch_at(pg, 0);
	if (status == PGRES_PIPELINE_SYNC) {
		PGTransactionStatusType t = PQtransactionStatus(pg->conn);
		PQclear(res);
		if (fail_point_in(FAIL_PG_DONE, b->fail_bits)) {
			set_error(b, PG_LOST, "08006", "its answer is lost");
			pg_link_break(pg, "its answer is lost");
		}
		answer_head(pg);
		/* Only a statement that begins a transaction itself leaves one open. */
		if (t == PQTRANS_INTRANS || t == PQTRANS_INERROR)
			pg_link_break(pg, "a statement left a transaction open");
		return;
	}
	if (status == PGRES_FATAL_ERROR)
		take_error(pg, b, res);
	if (!b->replans && b->got < b->n)
		b->res[b->got++] = res;
	else
		PQclear(res);
	b->replans = false;
}

static void take_notifications(struct pg *pg)
{
	PGnotify *n;

	while (pg->conn && (n = PQnotifies(pg->conn))) {
		if (pg->o.on_notify)
			pg->o.on_notify(pg->o.arg, n->relname, n->extra);
		PQfreemem(n);
	}
}

/*
 * A NULL ends the results of a statement; a second one in a row means that nothing is in flight.
 * The connection may be lost at each step. On a dead one this gives what had come before its end
 * and never the rest: a FATAL is followed by no sync, and PQisBusy() stays true.
 */
void pg_drain(struct pg *pg)
{
	bool was_null = false;

	while (pg->conn && !PQisBusy(pg->conn)) {
		PGresult *res = PQgetResult(pg->conn);
		if (!res && was_null)
			break;
		was_null = !res;
		if (!res)
			continue;
		if (pg->phase == PG_PHASE_SETUP)
			pg_link_setup_result(pg, res);
		else
			take_result(pg, res);
	}
	take_notifications(pg);
}

/*
 * The commit is done, but the standby that would have made it safe was not waited for. The name of
 * the server's function is the same in every language of its messages.
 */
static bool is_cancelled_standby_wait(const PGresult *res)
{
	static const char start[] = "canceling wait for synchronous replication";
	const char *function = PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION);
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

	return (function && strcmp(function, "SyncRepWaitForLSN") == 0) ||
	       (message && strncmp(message, start, sizeof(start) - 1) == 0);
}

void pg_on_notice(void *arg, const PGresult *res)
{
	struct pg *pg = arg;
	const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);

	/* That is what the last words to an idle connection come as. */
	if (severity && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0))
		pg_link_break(pg, PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));
	if (!is_cancelled_standby_wait(res))
		return;
	/* It comes before the sync of its batch, so that is the first one out. */
	for (size_t i = 0; i < pg->count; i++) {
		struct pg_batch *b = pg_batch_at(pg, i);
		if (b->state != PG_BATCH_SENT)
			continue;
		if (b->status == PG_OK)
			set_error(b, PG_NOT_DURABLE, "01000",
				  PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));
		return;
	}
}

/* ---- Public ---- */

struct pg *pg_new(struct ev_loop *loop, const struct pg_options *options)
{
	assert(options->url && options->clock && options->max_batches > 0);
	struct pg *pg = calloc(1, sizeof(*pg));
	struct pg_batch *batches = calloc(options->max_batches + 1, sizeof(*batches));
	if (!pg || !batches)
		abort();
	pg->loop = loop;
	pg->o = *options;
	pg->batches = batches;
	pg->slots = options->max_batches + 1;
	ev_timer_init(&pg->later, on_later, 0.0, 0.0);
	pg->later.data = pg;
	pg_first_line(pg->reason, "not connected yet");
	pg_link_init(pg);
	return pg;
}

void pg_free(struct pg *pg)
{
	if (!pg)
		return;
	pg_link_drop(pg);
	pg_first_line(pg->reason, "connection closed");
	pg->phase = PG_PHASE_CLOSED; /* nothing can be begun in the callbacks */
	pg_batches_lost(pg);
	ev_timer_stop(pg->loop, &pg->later);
	while (pg->count > 0)
		answer_head(pg);
	for (size_t i = 0; i < pg->slots; i++)
		free(pg->batches[i].res);
	free(pg->batches);
	free(pg);
}

bool pg_is_up(const struct pg *pg)
{
	return pg->phase == PG_PHASE_UP && !pg->broken;
}

size_t pg_batches_in_flight(const struct pg *pg)
{
	return pg->count;
}

/* Before the statements of the batch, in their transaction. To make all plans anew takes as long as
 * hundreds of statements. */
static void replan(struct pg *pg, struct pg_batch *b)
{
	int64_t now_ms = clock_boot_ms(pg->o.clock);

	if (now_ms < pg->replan_at_ms)
		return;
	const char *how = pg->replan_at_ms == REPLAN_NOW ? "DISCARD PLANS" : replan_if_grown;
	pg->replan_at_ms = now_ms + REPLAN_MS;
	b->replans = PQsendQueryParams(pg->conn, how, 0, NULL, NULL, NULL, NULL, 0);
	if (!b->replans) {
		pg_link_break(pg, PQerrorMessage(pg->conn));
		set_error(b, PG_DOWN, "08006", pg->reason);
	}
}

bool pg_begin(struct pg *pg, pg_batch_cb *cb, void *arg)
{
	if (pg->open || pg->count >= pg->slots - 1 || pg->phase == PG_PHASE_CLOSED)
		return false;
	struct pg_batch *b = pg_batch_at(pg, pg->count++);
	PGresult **res = b->res;
	size_t res_cap = b->res_cap;
	*b = (struct pg_batch){
		.cb = cb, .arg = arg, .res = res, .res_cap = res_cap, .failed_index = -1};
	if (pg_is_up(pg))
		replan(pg, b);
	else
		set_error(b, PG_DOWN, "08006", pg->reason);
	pg->open = true;
	return true;
}

static bool batch_reserve(struct pg_batch *b)
{
	if (b->n < b->res_cap)
		return true;
	size_t cap = b->res_cap ? b->res_cap * 2 : 8;
	PGresult **res = reallocarray(b->res, cap, sizeof(PGresult *));
	if (!res)
		return false;
	b->res = res;
	b->res_cap = cap;
	return true;
}

void pg_add(struct pg *pg, size_t index, size_t nparams, const char *const *params)
{
	struct pg_batch *b = open_batch(pg);

	assert(index < pg->o.stmts_count && pg->o.stmts[index].sql && nparams <= 65535);
	if (b->status == PG_DOWN)
		return;
	if (!batch_reserve(b) || !PQsendQueryPrepared(pg->conn, pg->o.stmts[index].name,
						      (int)nparams, params, NULL, NULL, 0)) {
		/* Nothing of the batch can happen, as it gets no sync. */
		pg_link_break(pg, PQerrorMessage(pg->conn));
		set_error(b, PG_DOWN, "08006", pg->reason);
		return;
	}
	b->n++;
	b->fail_bits |= fail_point_bits(pg->o.stmts[index].name);
}

void pg_commit(struct pg *pg)
{
	struct pg_batch *b = open_batch(pg);

	pg->open = false;
	if (b->status == PG_DOWN) {
		b->state = PG_BATCH_FAILED;
		ev_timer_start(pg->loop, &pg->later);
		return;
	}
	b->state = PG_BATCH_SENT;
	if (fail_point_in(FAIL_PG_SENDING, b->fail_bits)) {
		pg_link_break(pg, "its commit was not sent");
		return;
	}
	if (!PQpipelineSync(pg->conn)) {
		pg_link_break(pg, PQerrorMessage(pg->conn));
		return;
	}
	pg_link_flush(pg);
	fail_point_in(FAIL_PG_SENT, b->fail_bits);
	if (!ev_is_active(&pg->deadline))
		pg_link_await_answer(pg);
}

bool pg_run(struct pg *pg, size_t index, size_t nparams, const char *const *params, pg_batch_cb *cb,
	    void *arg)
{
	if (!pg_begin(pg, cb, arg))
		return false;
	pg_add(pg, index, nparams, params);
	pg_commit(pg);
	return true;
}
