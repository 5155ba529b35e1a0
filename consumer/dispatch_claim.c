/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: one batch at a time, each one transaction. While a batch is under way the next one
 * gathers, so batches are of hundreds of jobs under load; fewer than 32 wait 2 ms for others.
 *
 * A claim whose answer is lost may have been done. Its jobs are claimed again, and after that (the
 * second claim waits for the first one's locks) those that turn out to be ours are read.
 */
#include "consumer/dispatcher_internal.h"

#include <stdio.h>
#include <string.h>

#include "common/fail_point.h"
#include "common/log.h"
#include "common/metrics.h"
#include "consumer_sql.h"

#define ARRAY_MAX_BYTES (1u << 20)
/* To start a claim costs the database as much as ten of its rows, and what was published together
 * comes a partition at a time. */
#define CLAIM_GATHER_MS 2
#define CLAIMS_AT_ONCE 32 /* wait for no others */
#define RETRY_BASE_MS 100
#define RETRY_MAX_MS 5000
#define UNIQUE_VIOLATION "23505"
#define ASKING_CLAIMS 20 /* where one number was met, others are */

void dispatch_claim_init(struct dispatcher *d)
{
	struct claim_params *c = &d->claim;
	struct buf *bufs[] = {&c->job_ids, &c->follow_up_ids, &c->lost_ids, &c->accounts,
			      &c->fingerprints};

	for (size_t i = 0; i < sizeof(bufs) / sizeof(bufs[0]); i++)
		buf_init(bufs[i], ARRAY_MAX_BYTES);
	snprintf(c->lease_s, sizeof(c->lease_s), "%lld", (long long)d->lease_ms / 1000);
	snprintf(c->check_s, sizeof(c->check_s), "%lld",
		 (long long)(d->lease_ms + d->post_timeout_ms + d->margin_ms) / 1000);
}

void dispatch_claim_release(struct dispatcher *d)
{
	struct claim_params *c = &d->claim;
	struct buf *bufs[] = {&c->job_ids, &c->follow_up_ids, &c->lost_ids, &c->accounts,
			      &c->fingerprints};

	for (size_t i = 0; i < sizeof(bufs) / sizeof(bufs[0]); i++)
		buf_release(bufs[i]);
}

/* ---- The answer ---- */

static void read_columns(const PGresult *rows, struct claim_columns *c)
{
	*c = (struct claim_columns){
		.job_id = pg_col(rows, "job_id"),
		.verdict = pg_col(rows, "verdict"),
		.gate = pg_col(rows, "gate"),
		.tenant = pg_col(rows, "tenant"),
		.kind = pg_col(rows, "kind"),
		.lead_id = pg_col(rows, "lead_id"),
		.phone = pg_col(rows, "phone"),
		.account = pg_col(rows, "account"),
		.provider = pg_col(rows, "provider"),
		.lane_id = pg_col(rows, "lane_id"),
		.first_name = pg_col(rows, "first_name"),
		.last_name = pg_col(rows, "last_name"),
		.variables = pg_col(rows, "variables"),
		.due_at = pg_col(rows, "due_at"),
		.dial_by = pg_col(rows, "dial_by"),
		.assistant_id = pg_col(rows, "assistant_id"),
		.phone_number_id = pg_col(rows, "phone_number_id"),
	};
}

/* Ours, by a committed claim. `not_durable`: a failover could undo that, so it must not be dialed.
 */
static void take_ours(struct dispatcher *d, struct job *j, const PGresult *rows,
		      const struct claim_columns *c, int row, bool not_durable)
{
	if (not_durable)
		dispatch_not_sent(d, j, rows, c, row, "the claim is not durable");
	else if (d->stopping)
		dispatch_not_sent(d, j, rows, c, row, "the dispatcher stops");
	else
		dispatch_post(d, j, rows, c, row);
}

static void drop(struct dispatcher *d, struct job *j)
{
	dispatch_decided(d, j);
	job_free(&d->pool, j);
}

static void mark_ours(struct dispatcher *d, struct job *j, const PGresult *rows)
{
	metric_add(METRIC_JOBS, "dial", 1);
	j->lost = false;
	j->row_of = rows;
	dispatch_decided(d, j);
	job_move(&d->pool, j, JOB_POSTING);
}

static void take_verdicts(struct dispatcher *d, const PGresult *rows)
{
	struct claim_columns c;
	int n = PQntuples(rows);

	read_columns(rows, &c);
	for (int row = 0; row < n; row++) {
		struct job *j = job_find(&d->pool, pg_text(rows, row, c.job_id));
		const char *verdict = pg_text(rows, row, c.verdict);
		if (!j || j->state != JOB_CLAIMING)
			continue;
		if (strcmp(verdict, "dial") == 0) {
			j->claim_sent_ms = d->batch_sent_ms;
			mark_ours(d, j, rows);
		} else if (!j->lost) {
			const char *gate = pg_text(rows, row, c.gate);
			metric_add(METRIC_JOBS, verdict, 1);
			if (gate)
				metric_add(METRIC_HELD, gate, 1);
			drop(d, j);
		}
	}
}

/* Of the jobs whose first claim was lost: those are ours by that claim; its lease runs since then.
 */
static void take_mine(struct dispatcher *d, const PGresult *rows)
{
	int n = PQntuples(rows), job_id = pg_col(rows, "job_id");

	for (int row = 0; row < n; row++) {
		struct job *j = job_find(&d->pool, pg_text(rows, row, job_id));
		if (j && j->state == JOB_CLAIMING && j->lost)
			mark_ours(d, j, rows);
	}
}

static void post_ours(struct dispatcher *d, const PGresult *rows, bool not_durable)
{
	struct claim_columns c;
	int n = PQntuples(rows);

	read_columns(rows, &c);
	for (int row = 0; row < n; row++) {
		struct job *j = job_find(&d->pool, pg_text(rows, row, c.job_id));
		if (!j || j->row_of != rows)
			continue;
		j->row_of = NULL;
		take_ours(d, j, rows, &c, row, not_durable);
	}
}

/* Whom neither answered are nobody's of ours. */
static void drop_rest(struct dispatcher *d)
{
	struct job *j, *next;

	for (j = d->pool.lists[JOB_CLAIMING]; j; j = next) {
		next = j->next;
		metric_add(METRIC_JOBS, "not_ours", 1);
		drop(d, j);
	}
}

static void return_claims(struct dispatcher *d, bool lost)
{
	struct job *j;

	/* From the last one, so that the first one is the head again. */
	while ((j = d->pool.lists[JOB_CLAIMING])) {
		j = j->prev;
		if (lost && !j->lost) {
			j->lost = true;
			j->claim_sent_ms = d->batch_sent_ms;
		}
		job_return(&d->pool, j);
	}
}

static void wait_a_while(struct dispatcher *d)
{
	d->not_before_ms = clock_boot_ms(d->o.clock) +
			   clock_backoff_ms(d->o.clock, d->errors++, RETRY_BASE_MS, RETRY_MAX_MS);
}

static void take_failure(struct dispatcher *d, const struct pg_error *e)
{
	return_claims(d, e->status == PG_LOST);
	if (e->status != PG_ERROR)
		return; /* the connection says it when it is back */
	metric_add(METRIC_PG_RETRIES, NULL, 1);
	/* A number is live that the gates let pass, most likely another worker's: again, asking. */
	if (strcmp(e->sqlstate, UNIQUE_VIOLATION) == 0) {
		d->asking = ASKING_CLAIMS;
		if (d->errors++ == 0) {
			dispatch_claim_pump(d);
			return;
		}
	}
	log_warn("claim.failed", LOG_STR("sqlstate", e->sqlstate), LOG_STR("error", e->message),
		 LOG_INT("claims", d->batch_claims));
	wait_a_while(d);
}

static void on_batch(void *arg, const struct pg_batch_result *b)
{
	struct dispatcher *d = arg;
	bool not_durable = b->error.status == PG_NOT_DURABLE;

	d->batch_out = false;
	if (b->error.status != PG_OK && !not_durable) {
		take_failure(d, &b->error);
		return;
	}
	d->errors = 0;
	if (d->asking > 0)
		d->asking--;
	if (not_durable)
		log_error("claim.not_durable", LOG_STR("error", b->error.message));
	const PGresult *claimed = b->res[0], *mine = d->claim.lost > 0 ? b->res[1] : NULL;
	take_verdicts(d, claimed);
	if (mine)
		take_mine(d, mine);
	drop_rest(d);
	fail_point(FAIL_JOBS_TAKEN);
	/* The database goes on with the next batch while this one's POSTs are made. */
	dispatch_claim_pump(d);
	post_ours(d, claimed, not_durable);
	if (mine)
		post_ours(d, mine, not_durable);
}

/* ---- The next batch ---- */

/* An account may hold three quarters of the slots when it is not alone. */
static bool may_claim(const struct dispatcher *d, const struct job *j, bool shared)
{
	size_t quota = shared ? d->slots - d->slots / 4 : d->slots;

	return j->lost || (!d->stopping && (!j->use || j->use->active < quota));
}

static void add_fingerprint(struct dispatcher *d, const struct job *j)
{
	if (!j->use || j->use->stamped_by == d->batch_number)
		return;
	j->use->stamped_by = d->batch_number;
	const struct account *a = reference_account(d->o.reference, j->use->name);
	if (!a)
		return;
	pg_array_add(&d->claim.account_array, a->name);
	pg_array_add(&d->claim.fingerprint_array, a->fingerprint);
}

static size_t take_claims(struct dispatcher *d, size_t max)
{
	struct claim_params *c = &d->claim;
	bool shared = job_pool_is_shared(&d->pool, clock_boot_ms(d->o.clock));
	struct job *j, *next;

	pg_array_init(&c->job_array, &c->job_ids);
	pg_array_init(&c->follow_up_array, &c->follow_up_ids);
	pg_array_init(&c->lost_array, &c->lost_ids);
	pg_array_init(&c->account_array, &c->accounts);
	pg_array_init(&c->fingerprint_array, &c->fingerprints);
	c->n = c->lost = 0;
	d->batch_number++;
	for (j = d->pool.lists[JOB_WAITING]; j && c->n < max; j = next) {
		next = j->next;
		if (!may_claim(d, j, shared))
			continue;
		pg_array_add(&c->job_array, j->job_id);
		pg_array_add(&c->follow_up_array, j->follow_up_id);
		add_fingerprint(d, j);
		if (j->lost) {
			pg_array_add(&c->lost_array, j->job_id);
			c->lost++;
		}
		job_move(&d->pool, j, JOB_CLAIMING);
		c->n++;
	}
	return c->n;
}

static size_t free_slots(const struct dispatcher *d)
{
	size_t used = d->pool.counts[JOB_POSTING] + d->pool.counts[JOB_CLAIMING];

	return used < d->slots ? d->slots - used : 0;
}

/*
 * At most half of the slots at once: one half is posted while the database claims the other. With
 * all of them in one batch either would wait for the other, for ever.
 */
static size_t claimable(const struct dispatcher *d)
{
	size_t n = free_slots(d), half = (d->slots + 1) / 2;

	if (n > half)
		n = half;
	if (d->pool.counts[JOB_WAITING] == 0 || !stop_feed_is_fresh(d->o.stop_feed) ||
	    !reference_is_ready(d->o.reference) || d->write_errors > 0 || d->singly > 0)
		return 0; /* nor while what was dialed can't be written */
	return n < d->batch_max ? n : d->batch_max;
}

static void note_waiting(struct dispatcher *d, int64_t now_ms)
{
	if (d->pool.counts[JOB_WAITING] == 0)
		d->waiting_since_ms = 0;
	else if (d->waiting_since_ms == 0)
		d->waiting_since_ms = now_ms;
}

/* In how many milliseconds those that wait are to be claimed; -1: none wait. */
static int64_t claims_wait_ms(const struct dispatcher *d, int64_t now_ms)
{
	if (d->waiting_since_ms == 0)
		return -1;
	int64_t left_ms = d->waiting_since_ms + CLAIM_GATHER_MS - now_ms;
	return d->pool.counts[JOB_WAITING] >= CLAIMS_AT_ONCE || left_ms < 0 ? 0 : left_ms;
}

/* False: nothing is sent, because a parameter passed its bound or there is no memory. */
static bool send_batch(struct dispatcher *d)
{
	struct claim_params *c = &d->claim;
	const char *jobs = pg_array_finish(&c->job_array);
	const char *claim[] = {jobs,
			       pg_array_finish(&c->follow_up_array),
			       d->o.worker,
			       c->lease_s,
			       c->check_s,
			       pg_array_finish(&c->account_array),
			       pg_array_finish(&c->fingerprint_array),
			       d->asking > 0 ? "true" : "false"};
	const char *mine[] = {pg_array_finish(&c->lost_array), d->o.worker};

	if (!jobs || !claim[1] || !claim[5] || !claim[6] || !mine[0] ||
	    !pg_begin(d->pg, on_batch, d))
		return false;
	pg_add(d->pg, CONSUMER_CLAIM_JOBS, sizeof(claim) / sizeof(claim[0]), claim);
	if (c->lost > 0)
		pg_add(d->pg, CONSUMER_MY_DIALING, sizeof(mine) / sizeof(mine[0]), mine);
	pg_commit(d->pg);
	return true;
}

int64_t dispatch_claim_pump(struct dispatcher *d)
{
	int64_t now_ms = clock_boot_ms(d->o.clock);

	note_waiting(d, now_ms);
	if (d->batch_out || !dispatcher_has_database(d) || now_ms < d->not_before_ms)
		return -1;
	int64_t wait_ms = claims_wait_ms(d, now_ms);
	if (wait_ms != 0)
		return wait_ms;
	d->batch_claims = take_claims(d, claimable(d));
	if (d->batch_claims == 0)
		return -1;
	note_waiting(d, now_ms);
	d->batch_sent_ms = now_ms;
	d->batch_out = send_batch(d);
	if (!d->batch_out) {
		log_error("claim.not_sent", LOG_INT("claims", d->batch_claims));
		return_claims(d, false);
		wait_a_while(d);
	}
	return -1;
}
