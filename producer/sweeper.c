/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chores are rows of a table: a statement, its parameters, and what to do with its answer, which
 * says whether the chore goes on with the next batch. One chore is under way at a time; each
 * statement is a transaction of bounded size. What one request can make long, as the stop of a
 * huge campaign, has a few batches a sweep, so that the chores behind it have their turn.
 */
#include "producer/sweeper.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/metrics.h"
#include "producer/pass.h"
#include "producer_sql.h"

#define STATEMENT_TIMEOUT_MS 60000
#define BATCH_ROWS 5000
#define BATCHES_A_SWEEP 20
#define COUNTED_AT_ONCE 16 /* a lane's whole past, the first time */
#define REPUBLISH_ROWS 1000
#define ORPHAN_AGE_S 3600
#define UPLOAD_SILENT_S 120
#define NUMBER_BYTES 24
#define PARAMS_MAX 4
#define FINGERPRINT_BYTES 64

struct sweeper {
	struct sweeper_options o;
	struct pg *pg;
	ev_timer timer;
	bool stopped;
	bool busy;
	size_t chore;	      /* under way */
	unsigned batches;     /* that it has had in this sweep */
	int64_t last_id;      /* of look_again, between its batches */
	int64_t last_counted; /* change of a pending call */
	int64_t last_seen;    /* at the look before; -1: there was none */
	bool timeline_told;
	bool pacing_changed;		     /* held follow-ups are to be looked at */
	char fingerprint[FINGERPRINT_BYTES]; /* of the pacing they are looked at with */
};

/* Parameters as text; `numbers` is room for those that are made here. */
struct params {
	const char *values[PARAMS_MAX];
	char numbers[PARAMS_MAX][NUMBER_BYTES];
	size_t n;
};

static void add_text(struct params *p, const char *text)
{
	p->values[p->n++] = text;
}

static void add_number(struct params *p, int64_t v)
{
	snprintf(p->numbers[p->n], NUMBER_BYTES, "%lld", (long long)v);
	p->values[p->n] = p->numbers[p->n];
	p->n++;
}

/* ---- Republish ---- */

static bool may_republish(struct sweeper *s, struct params *p)
{
	if (!s->o.may_publish(s->o.arg) || publisher_room(s->o.publisher) < REPUBLISH_ROWS)
		return false;
	add_text(p, config_str(s->o.cfg, CONFIG_KEY_WORKER_NAME));
	add_number(p, REPUBLISH_ROWS);
	add_number(p, PUBLISH_GRACE_S);
	add_text(p, config_text(s->o.cfg, CONFIG_KEY_QUEUED_LEASE_S));
	return true;
}

static bool republish(struct sweeper *s, const PGresult *res)
{
	struct gate_counts gates = {0};
	size_t jobs = publisher_publish(s->o.publisher, res, NULL, NULL);

	gate_counts_add(&gates, res);
	gate_counts_measure(&gates);
	metric_add(METRIC_REPUBLISHED, NULL, (double)jobs);
	if (jobs > 0)
		log_warn("jobs.published_again", LOG_INT("jobs", jobs));
	/* Every row has left the claims that are looked at, so this comes to an end. */
	return PQntuples(res) > 0;
}

/* ---- Claims, suppressions and orphans ---- */

static bool upload_days(struct sweeper *s, struct params *p)
{
	add_number(p, BATCH_ROWS);
	add_text(p, config_text(s->o.cfg, CONFIG_KEY_UPLOAD_RETENTION_DAYS));
	add_number(p, UPLOAD_SILENT_S);
	return true;
}

static bool limit_only(struct sweeper *s, struct params *p)
{
	(void)s;
	add_number(p, BATCH_ROWS);
	return true;
}

static bool claims_forgotten(struct sweeper *s, const PGresult *res)
{
	(void)s;
	return pg_int(res, 0, pg_col(res, "forgotten")) >= BATCH_ROWS;
}

static bool suppressions_lifted(struct sweeper *s, const PGresult *res)
{
	(void)s;
	return pg_int(res, 0, pg_col(res, "lifted")) >= BATCH_ROWS;
}

static bool campaigns_switched(struct sweeper *s, const PGresult *res)
{
	return pg_int(res, 0, pg_col(res, "switched")) > 0 && s->batches < BATCHES_A_SWEEP;
}

static bool campaigns_rescheduled(struct sweeper *s, const PGresult *res)
{
	return pg_int(res, 0, pg_col(res, "rescheduled")) > 0 && s->batches < BATCHES_A_SWEEP;
}

static bool unstuck(struct sweeper *s, const PGresult *res)
{
	int64_t asked = pg_int(res, 0, pg_col(res, "asked"));
	int64_t moved = pg_int(res, 0, pg_col(res, "moved"));

	(void)s;
	if (asked + moved > 0)
		log_warn("workflow.stuck", LOG_INT("asked", asked), LOG_INT("moved", moved));
	return asked + moved >= BATCH_ROWS;
}

static bool records_removed(struct sweeper *s, const PGresult *res)
{
	(void)s;
	return pg_int(res, 0, pg_col(res, "removed")) + pg_int(res, 0, pg_col(res, "closed")) >=
	       BATCH_ROWS;
}

static bool workflow_days(struct sweeper *s, struct params *p)
{
	add_number(p, BATCH_ROWS);
	add_text(p, config_text(s->o.cfg, CONFIG_KEY_WORKFLOW_RETENTION_DAYS));
	return true;
}

static bool rows_removed(struct sweeper *s, const PGresult *res)
{
	(void)s;
	return pg_int(res, 0, pg_col(res, "removed")) >= BATCH_ROWS;
}

static bool count_limit(struct sweeper *s, struct params *p)
{
	(void)s;
	add_number(p, COUNTED_AT_ONCE);
	return true;
}

static bool ended_counted(struct sweeper *s, const PGresult *res)
{
	(void)s;
	return pg_int(res, 0, pg_col(res, "counted")) >= COUNTED_AT_ONCE;
}

static bool orphan_age(struct sweeper *s, struct params *p)
{
	(void)s;
	add_number(p, ORPHAN_AGE_S);
	add_number(p, BATCH_ROWS);
	return true;
}

static bool orphans_marked(struct sweeper *s, const PGresult *res)
{
	int64_t marked = pg_int(res, 0, pg_col(res, "marked"));

	(void)s;
	if (marked > 0)
		log_warn("events.orphaned", LOG_INT("events", marked));
	return marked >= BATCH_ROWS;
}

/* ---- Pacing: windows, zones and caps that changed ---- */

static bool always(struct sweeper *s, struct params *p)
{
	(void)s;
	(void)p;
	return true;
}

static bool compare_pacing(struct sweeper *s, const PGresult *res)
{
	const char *current = pg_text(res, 0, pg_col(res, "current"));
	const char *seen = pg_text(res, 0, pg_col(res, "seen"));

	s->pacing_changed = !seen || strcmp(seen, current) != 0;
	s->last_id = 0;
	snprintf(s->fingerprint, sizeof(s->fingerprint), "%s", current);
	return false;
}

static bool held_rows(struct sweeper *s, struct params *p)
{
	if (!s->pacing_changed)
		return false;
	add_number(p, s->last_id);
	add_number(p, BATCH_ROWS);
	return true;
}

static bool looked_again(struct sweeper *s, const PGresult *res)
{
	s->last_id = pg_int(res, 0, pg_col(res, "last_id"));
	return pg_int(res, 0, pg_col(res, "looked")) >= BATCH_ROWS;
}

static bool pacing_fingerprint(struct sweeper *s, struct params *p)
{
	if (!s->pacing_changed)
		return false;
	add_text(p, s->fingerprint);
	return true;
}

static bool pacing_kept(struct sweeper *s, const PGresult *res)
{
	(void)res;
	s->pacing_changed = false;
	return false;
}

/* ---- The backlog ---- */

static bool show_oldest(struct sweeper *s, const PGresult *res)
{
	metric_set(METRIC_OLDEST_DUE, NULL,
		   strtod(pg_text(res, 0, pg_col(res, "age_seconds")), NULL));
	bool changed = pg_bool(res, 0, pg_col(res, "timeline_changed"));
	if (changed && !s->timeline_told)
		log_error("postgres.timeline_changed");
	s->timeline_told = changed;
	metric_set(METRIC_TIMELINE_CHANGED, NULL, changed);
	return false;
}

/* ---- The workflow ---- */

static bool since_last(struct sweeper *s, struct params *p)
{
	add_number(p, s->last_counted);
	add_number(p, s->last_seen);
	return true;
}

static bool show_workflow(struct sweeper *s, const PGresult *res)
{
	int state = pg_col(res, "state"), calls = pg_col(res, "calls");
	int age = pg_col(res, "age_seconds"), changes = pg_col(res, "changes");

	for (int row = 0; row < PQntuples(res); row++) {
		const char *name = pg_text(res, row, state);
		metric_add(METRIC_WORKFLOW_TRANSITIONS, name, (double)pg_int(res, row, changes));
		if (!pg_text(res, row, calls))
			continue;
		metric_set(METRIC_WORKFLOW_CALLS, name, (double)pg_int(res, row, calls));
		metric_set(METRIC_WORKFLOW_OLDEST, name, strtod(pg_text(res, row, age), NULL));
	}
	int64_t last = pg_int(res, 0, pg_col(res, "last_id"));
	s->last_counted = s->last_seen < 0 ? last : s->last_seen;
	s->last_seen = last;
	metric_set(METRIC_WORKFLOW_STUCK, NULL, (double)pg_int(res, 0, pg_col(res, "stuck")));
	metric_set(METRIC_UNDETERMINED_OPEN, NULL,
		   (double)pg_int(res, 0, pg_col(res, "undetermined")));
	metric_set(METRIC_DEAD_LETTERS_OPEN, NULL,
		   (double)pg_int(res, 0, pg_col(res, "dead_letters")));
	return false;
}

/* ---- The chores, in order ---- */

static const struct {
	enum producer_stmt stmt;
	bool (*wanted)(struct sweeper *s, struct params *p); /* and with which parameters */
	bool (*again)(struct sweeper *s,
		      const PGresult *res); /* uses the answer; one more batch? */
} chores[] = {
	{PRODUCER_FORGET_CLAIMS, limit_only, claims_forgotten},
	{PRODUCER_SWITCH_CAMPAIGNS, limit_only, campaigns_switched},
	{PRODUCER_RESCHEDULE_CAMPAIGNS, limit_only, campaigns_rescheduled},
	{PRODUCER_WORKFLOW_SWEEP, limit_only, unstuck},
	{PRODUCER_REPUBLISH, may_republish, republish},
	{PRODUCER_PACING, always, compare_pacing},
	{PRODUCER_LOOK_AGAIN, held_rows, looked_again},
	{PRODUCER_PACING_SEEN, pacing_fingerprint, pacing_kept},
	{PRODUCER_LIFT_SUPPRESSIONS, limit_only, suppressions_lifted},
	{PRODUCER_REDIAL_RETENTION, limit_only, records_removed},
	{PRODUCER_UPLOAD_RETENTION, upload_days, rows_removed},
	{PRODUCER_WORKFLOW_RETENTION, workflow_days, rows_removed},
	{PRODUCER_COUNT_ENDED, count_limit, ended_counted},
	{PRODUCER_MARK_ORPHANS, orphan_age, orphans_marked},
	{PRODUCER_OLDEST_DUE, always, show_oldest},
	{PRODUCER_WORKFLOW_COUNTS, since_last, show_workflow},
};
#define CHORES (sizeof(chores) / sizeof(chores[0]))

static void on_chore(void *arg, const struct pg_batch_result *r);

/* Starts the next chore that is wanted, from `chore` on; ends the sweep after the last. */
static void go_on(struct sweeper *s)
{
	s->busy = false;
	for (; !s->stopped && s->chore < CHORES; s->chore++) {
		struct params p = {.n = 0};
		if (!chores[s->chore].wanted(s, &p))
			continue;
		s->busy = pg_run(s->pg, chores[s->chore].stmt, p.n, p.values, on_chore, s);
		return;
	}
}

static void on_chore(void *arg, const struct pg_batch_result *r)
{
	struct sweeper *s = arg;
	bool answered = r->error.status == PG_OK || r->error.status == PG_NOT_DURABLE;

	if (r->error.status == PG_ERROR)
		log_error("sweep.failed",
			  LOG_STR("statement", producer_stmts[chores[s->chore].stmt].name),
			  LOG_STR("sqlstate", r->error.sqlstate),
			  LOG_STR("error", r->error.message));
	if (r->error.status == PG_LOST || r->error.status == PG_DOWN) {
		s->busy = false;
		return;
	}
	if (!answered)
		s->pacing_changed =
			false; /* not to be noted as seen: compared again by the next sweep */
	s->batches++;
	if (!answered || !chores[s->chore].again(s, r->res[0])) {
		s->chore++;
		s->batches = 0;
	}
	go_on(s);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
	struct sweeper *s = w->data;

	(void)loop;
	(void)events;
	if (s->busy || !pg_is_up(s->pg))
		return;
	s->chore = 0;
	s->batches = 0;
	go_on(s);
}

/* ---- Life ---- */

static void on_state(void *arg, bool up, const char *reason)
{
	/* The scheduler's connection tells of the server; this one only when it alone is in
	 * trouble. */
	(void)arg;
	if (!up)
		log_debug("sweeper.postgres_down", LOG_STR("error", reason));
}

struct sweeper *sweeper_new(const struct sweeper_options *o)
{
	struct sweeper *s = calloc(1, sizeof(*s));
	double interval_s = (double)config_int(o->cfg, CONFIG_KEY_SWEEP_INTERVAL_S);

	if (!s)
		abort();
	s->o = *o;
	s->last_seen = -1;
	const struct pg_options pg = {
		.url = config_str(o->cfg, CONFIG_KEY_DATABASE_URL),
		.application_name = "carillon-producer-sweeper",
		.stmts = producer_stmts,
		.stmts_count = PRODUCER_STMT_COUNT,
		.statement_timeout_ms = STATEMENT_TIMEOUT_MS,
		.max_batches = 2,
		.on_state = on_state,
		.arg = s,
		.clock = o->clock,
	};
	s->pg = pg_new(o->loop, &pg);
	ev_timer_init(&s->timer, on_timer, interval_s, interval_s);
	s->timer.data = s;
	ev_timer_start(o->loop, &s->timer);
	return s;
}

void sweeper_stop(struct sweeper *s)
{
	s->stopped = true;
	ev_timer_stop(s->o.loop, &s->timer);
}

void sweeper_free(struct sweeper *s)
{
	if (!s)
		return;
	sweeper_stop(s);
	pg_free(s->pg);
	free(s);
}
