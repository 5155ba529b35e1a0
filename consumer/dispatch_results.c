/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results into the database, on a connection of their own: one batch at a time, each one
 * transaction, beside the claim of the next jobs. A result is written at once if none was written
 * lately, else together with those of the next moment. One that the database refuses is found by
 * writing those of its batch one by one.
 */
#include "consumer/dispatcher_internal.h"

#include "common/log.h"
#include "common/metrics.h"
#include "consumer_sql.h"

#define RESULT_GAP_MS 50 /* between two writings of few results */
#define RETRY_BASE_MS 100
#define RETRY_MAX_MS 5000

/* ---- The answer ---- */

/* Those that moved their calls: the recorder need not do it again. */
static void note_written(struct dispatcher *d, const PGresult *moved)
{
	int n = PQntuples(moved), job_id = pg_col(moved, "job_id");

	for (int row = 0; row < n; row++) {
		const struct job *j = job_find(&d->pool, pg_text(moved, row, job_id));

		if (j && j->writing)
			written_add(d->o.written, j->job_id, j->verdict.result);
	}
}

static void results_written(struct dispatcher *d)
{
	struct job *j, *next;

	for (j = d->pool.lists[JOB_REPORTING]; j; j = next) {
		next = j->next;
		if (j->writing)
			dispatch_written(d, j);
	}
	if (d->singly > 0)
		d->singly--;
}

/* The one result that the database won't have: what it says can't be, so nothing is known. */
static void refuse_result(struct dispatcher *d, struct job *j, const struct pg_error *e)
{
	log_error("result.not_written", LOG_STR("job_id", j->job_id),
		  LOG_STR("sqlstate", e->sqlstate), LOG_STR("error", e->message));
	if (j->verdict.result != RESULT_UNKNOWN)
		verdict_unknown(&j->verdict, e->message);
	else
		dispatch_written(d, j);
}

/* What was to be written is to be written still. */
static void return_results(struct dispatcher *d)
{
	for (struct job *j = d->pool.lists[JOB_REPORTING]; j; j = j->next)
		j->writing = false;
	d->result_since_ms = clock_boot_ms(d->o.clock);
}

static void wait_a_while(struct dispatcher *d)
{
	d->write_not_before_ms =
		clock_boot_ms(d->o.clock) +
		clock_backoff_ms(d->o.clock, d->write_errors++, RETRY_BASE_MS, RETRY_MAX_MS);
}

static void take_refusal(struct dispatcher *d, const struct pg_error *e, size_t n)
{
	struct job *j, *next;

	for (j = d->pool.lists[JOB_REPORTING]; j && n == 1; j = next) {
		next = j->next;
		if (j->writing)
			refuse_result(d, j, e);
	}
	if (n > 1)
		d->singly = n;
}

static void take_failure(struct dispatcher *d, const struct pg_error *e, size_t n)
{
	if (e->status == PG_ERROR) {
		metric_add(METRIC_PG_RETRIES, NULL, 1);
		log_warn("results.failed", LOG_STR("sqlstate", e->sqlstate),
			 LOG_STR("error", e->message), LOG_INT("results", n));
		if (pg_error_is_transient(e))
			wait_a_while(d);
		else
			take_refusal(d, e, n);
	} /* else the connection says it when it is back */
	return_results(d);
}

static void on_results(void *arg, const struct pg_batch_result *b)
{
	struct dispatcher *d = arg;
	size_t n = d->results_out;

	d->results_out = 0;
	if (b->error.status == PG_OK) {
		note_written(d, b->res[0]);
	} else if (b->error.status == PG_NOT_DURABLE) {
		log_warn("results.not_durable", LOG_STR("error", b->error.message));
	} else {
		take_failure(d, &b->error, n);
		return;
	}
	d->write_errors = 0;
	results_written(d);
	dispatch_publish_results(d);
}

/* ---- The next batch ---- */

static size_t take_results(struct dispatcher *d, size_t max)
{
	struct job *j = d->pool.lists[JOB_REPORTING];
	bool left = false;

	result_batch_clear(&d->results);
	for (; j; j = j->next) {
		struct msg_dispatch_result r;
		if (j->written || j->writing)
			continue;
		if (d->results.n == max) {
			left = true;
			break;
		}
		job_result(j, d->o.worker, &r);
		result_batch_add(&d->results, &r);
		j->writing = true;
	}
	d->result_since_ms = left ? clock_boot_ms(d->o.clock) : 0;
	return d->results.n;
}

/* In how many milliseconds they are to be written; those of half the slots are not kept waiting. */
static int64_t results_wait_ms(const struct dispatcher *d, int64_t now_ms)
{
	int64_t left_ms = d->results_sent_ms + RESULT_GAP_MS - now_ms;

	if (d->stopping || d->singly > 0 || d->pool.counts[JOB_REPORTING] >= d->slots / 2)
		return 0;
	return left_ms > 0 ? left_ms : 0;
}

static bool send_results(struct dispatcher *d)
{
	const char *const *params = result_batch_params(&d->results);

	if (!params || !pg_begin(d->writer, on_results, d))
		return false;
	pg_add(d->writer, CONSUMER_APPLY_RESULTS, RESULT_BATCH_PARAMS, params);
	pg_commit(d->writer);
	return true;
}

int64_t dispatch_results_pump(struct dispatcher *d)
{
	int64_t now_ms = clock_boot_ms(d->o.clock);

	if (d->result_since_ms == 0)
		d->singly = 0;
	if (d->result_since_ms == 0 || d->results_out > 0 || !pg_is_up(d->writer) ||
	    now_ms < d->write_not_before_ms)
		return -1;
	int64_t wait_ms = results_wait_ms(d, now_ms);
	if (wait_ms > 0)
		return wait_ms;
	size_t n = take_results(d, d->singly > 0 ? 1 : d->batch_max);
	if (n == 0)
		return -1;
	d->results_sent_ms = now_ms;
	if (send_results(d)) {
		d->results_out = n;
		return -1;
	}
	log_error("results.not_sent", LOG_INT("results", n));
	return_results(d);
	wait_a_while(d);
	return -1;
}
