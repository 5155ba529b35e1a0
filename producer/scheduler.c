/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loop of go(): whoever finds something changed (time, notification, answer, room) sets the time
 * of the next look, and go() takes the next step when none is under way. Runs on request go before
 * the scheduler's own passes.
 */
#include "producer/scheduler.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/log.h"
#include "common/metrics.h"
#include "producer/setup.h"
#include "producer_sql.h"

#define STATEMENT_TIMEOUT_MS 20000
#define BATCHES_MAX 16
/* Passes that find little start no closer: what falls due meanwhile is claimed together. */
#define PASS_GAP_MS 12
/* To ask all sources costs half as much as to claim; one by one what they have need not be. */
#define SOURCES_GAP_MS 50
/* The first look at a queue that was full; twice as long from one to the next, up to the tick. */
#define CROWDED_GAP_MS 25
#define SETUP_RETRY_MS 5000
#define DRAIN_S 10.0
#define RUNS_MAX 256
#define RUN_CLAIMS_BYTES 65536
#define RUN_CLAIMS_SEEN 256 /* as many lanes as a pass serves */
#define DOUBLINGS_MAX 10    /* of a gap */
#define NEVER INT64_MAX

enum phase {
	PHASE_DOWN, /* no connection, or the setup is not done */
	PHASE_SETUP,
	PHASE_IDLE,
	PHASE_BUSY, /* a statement of ours is in flight */
};

struct run {
	struct scheduler *scheduler;
	dispatch_cb *cb;
	void *arg;
	struct dispatch_answer answer;
	size_t publications; /* whose jobs are on their way */
	struct buf claims;
	struct pg_array claim_ids;     /* in `claims`; one a lane, account and pass */
	int64_t seen[RUN_CLAIMS_SEEN]; /* the last ones */
	bool asked;		       /* whether everything is stopped */
	bool over;		       /* nothing more to claim */
	struct run *prev, *next;
};

struct scheduler {
	struct scheduler_options o;
	struct pg *pg;
	enum phase phase;
	bool ticking; /* this process schedules, not only on request */
	bool external;
	int64_t tick_ms;
	size_t limit;
	struct pass pass;
	struct run *serving; /* the run whose step is under way, or NULL */
	struct run *runs;    /* not over yet, in order */
	size_t runs_count;   /* and those whose jobs are on their way */
	ev_timer timer;
	int64_t wake_at_ms;    /* boot clock */
	int64_t started_at_ms; /* of the last pass */
	bool notified;	       /* the next pass is a notification's */
	bool pass_notified;    /* the one under way is */
	unsigned idle_notifies;
	unsigned crowded_looks; /* that found no room, one after the other */
	int64_t sources_at_ms;	/* when they were asked last; boot clock */
	bool sources_left;	/* the last pass did not ask them */
	bool seed_more;		/* a source reached its limit */
	bool starved;		/* waits for room towards Kafka */
	bool kafka_up;
	bool down_logged; /* the database's outage */
	bool draining;
	ev_timer drain_timer;
	void (*drained)(void *arg);
	void *drained_arg;
};

static void go(struct scheduler *s);

/* ---- When to look ---- */

static int64_t boot_ms(const struct scheduler *s)
{
	return clock_boot_ms(s->o.clock);
}

static void arm(struct scheduler *s)
{
	int64_t wait_ms = s->wake_at_ms - boot_ms(s);

	ev_timer_stop(s->o.loop, &s->timer);
	if (s->phase == PHASE_BUSY || s->phase == PHASE_SETUP || s->wake_at_ms == NEVER)
		return;
	ev_timer_set(&s->timer, wait_ms > 0 ? (double)wait_ms / 1000.0 : 0., 0.);
	ev_timer_start(s->o.loop, &s->timer);
}

/* A look at that time or sooner. */
static void look_at(struct scheduler *s, int64_t at_ms)
{
	if (at_ms >= s->wake_at_ms)
		return;
	s->wake_at_ms = at_ms;
	arm(s);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
	struct scheduler *s = w->data;

	(void)loop;
	(void)events;
	go(s);
}

/*
 * A wake-up is followed at once, but ever more slowly when wake-ups lead to nothing, so that a
 * stream of follow-ups for next week costs no more than ticks.
 */
static void on_notify(void *arg, const char *channel, const char *payload)
{
	struct scheduler *s = arg;
	int64_t gap_ms = (int64_t)PASS_GAP_MS << s->idle_notifies;

	(void)channel;
	(void)payload;
	if (!s->ticking)
		return;
	if (gap_ms > s->tick_ms)
		gap_ms = s->tick_ms;
	s->notified = true;
	look_at(s, s->started_at_ms + gap_ms);
}

void scheduler_wake(struct scheduler *s)
{
	look_at(s, boot_ms(s));
}

void scheduler_on_room(struct scheduler *s)
{
	if (!s->starved && !s->draining)
		return;
	s->starved = false;
	scheduler_wake(s);
}

/* ---- Runs on request ---- */

static const char *why_not(const struct scheduler *s)
{
	if (s->draining)
		return "the producer is stopping";
	if (!scheduler_ready(s))
		return "the database is not available";
	if (!s->o.may_publish(s->o.arg) || !publisher_ready(s->o.publisher))
		return "Kafka is not available";
	return NULL;
}

static void answer_run(struct run *run)
{
	struct scheduler *s = run->scheduler;

	assert(run->over && run->publications == 0);
	s->runs_count--;
	if (!run->answer.problem && run->answer.published == 0 && run->answer.unpublished > 0)
		run->answer.problem = "Kafka took no job";
	run->answer.claims = pg_array_finish(&run->claim_ids);
	run->cb(run->arg, &run->answer);
	buf_release(&run->claims);
	free(run);
}

/* Nothing more is claimed for it; it is answered when its jobs are through. */
static void end_run(struct run *run, const char *problem)
{
	struct scheduler *s = run->scheduler;

	if (problem)
		run->answer.problem = problem;
	run->over = true;
	DL_DELETE(s->runs, run);
	if (run->publications == 0)
		answer_run(run);
}

static void end_runs(struct scheduler *s)
{
	struct run *run, *next;

	DL_FOREACH_SAFE (s->runs, run, next)
		end_run(run, why_not(s));
}

static void on_run_published(void *arg, const struct publication_result *r)
{
	struct run *run = arg;

	run->answer.published += r->published;
	run->answer.unpublished += r->failed;
	if (--run->publications == 0 && run->over)
		answer_run(run);
}

static void refuse(dispatch_cb *cb, void *arg, const char *problem)
{
	cb(arg, &(struct dispatch_answer){.problem = problem});
}

void scheduler_dispatch(struct scheduler *s, dispatch_cb *cb, void *arg)
{
	const char *problem = why_not(s);

	if (!problem && s->runs_count == RUNS_MAX)
		problem = "too many requests wait";
	struct run *run = problem ? NULL : calloc(1, sizeof(*run));
	if (!run) {
		refuse(cb, arg, problem ? problem : "no memory");
		return;
	}
	*run = (struct run){.scheduler = s, .cb = cb, .arg = arg};
	buf_init(&run->claims, RUN_CLAIMS_BYTES);
	pg_array_init(&run->claim_ids, &run->claims);
	DL_APPEND(s->runs, run);
	s->runs_count++;
	scheduler_wake(s);
}

static bool is_new(struct run *run, int64_t id)
{
	for (size_t i = 0; i < RUN_CLAIMS_SEEN; i++) {
		if (run->seen[i] == id)
			return false;
	}
	run->seen[run->claim_ids.n % RUN_CLAIMS_SEEN] = id;
	return true;
}

/* The rows of many lanes are mixed. An id that is in the list twice is harmless. */
static void add_claims(struct run *run, const PGresult *rows)
{
	int col = pg_col(rows, "claim_id");

	for (int row = 0; row < PQntuples(rows); row++) {
		int64_t id = pg_int(rows, row, col);
		if (id != 0 && is_new(run, id))
			pg_array_add_int(&run->claim_ids, id);
	}
}

static void finish_run_step(struct scheduler *s, const struct pass_result *r)
{
	struct run *run = s->serving;
	bool more = r->claimed && (r->full || r->more_to_seed || r->moved);

	s->serving = NULL;
	run->answer.seeded += r->seeded;
	gate_counts_sum(&run->answer.gates, &r->gates);
	if (r->jobs > 0) {
		run->publications++;
		add_claims(run, r->rows);
		publisher_publish(s->o.publisher, r->rows, on_run_published, run);
	}
	if (!more)
		end_run(run, r->claimed ? NULL : "the database could not do it");
}

static void on_stopped(void *arg, const struct pg_batch_result *r)
{
	struct scheduler *s = arg;
	struct run *run = s->serving;
	bool answered = r->error.status == PG_OK;

	s->serving = NULL;
	s->phase = PHASE_IDLE;
	run->asked = true;
	run->answer.stopped = answered && pg_bool(r->res[0], 0, pg_col(r->res[0], "stopped"));
	if (!answered || run->answer.stopped)
		end_run(run, answered ? NULL : "the database could not do it");
	go(s);
}

/* ---- Passes ---- */

/* 0: no room, or nothing may be published now. */
static size_t claimable(struct scheduler *s)
{
	size_t room = publisher_room(s->o.publisher);

	s->starved = !why_not(s) && room < s->limit;
	return why_not(s) || s->starved ? 0 : s->limit;
}

static void start_pass(struct scheduler *s, const struct pass_scope *scope)
{
	s->phase = PHASE_BUSY;
	s->started_at_ms = boot_ms(s);
	s->wake_at_ms = NEVER;
	s->pass_notified = s->notified;
	s->notified = false;
	pass_start(&s->pass, scope);
}

static void on_next_due(void *arg, const struct pg_batch_result *r)
{
	struct scheduler *s = arg;

	s->phase = PHASE_IDLE;
	if (r->error.status == PG_OK) {
		const PGresult *res = r->res[0];
		int col = pg_col(res, "wait_ms");
		int64_t wait_ms = pg_int(res, 0, col);
		int64_t at_ms = boot_ms(s) + wait_ms;
		int64_t soonest_ms = s->started_at_ms + PASS_GAP_MS;
		if (pg_text(res, 0, col) && wait_ms < s->tick_ms)
			look_at(s, at_ms > soonest_ms ? at_ms : soonest_ms);
	} else if (r->error.status == PG_ERROR) {
		log_error("next_due.failed", LOG_STR("error", r->error.message));
	}
	go(s);
}

static void sleep_until_due(struct scheduler *s)
{
	char since_pass[24];
	const char *const params[] = {since_pass};

	snprintf(since_pass, sizeof(since_pass), "%lld",
		 (long long)(boot_ms(s) - s->started_at_ms));
	if (!pg_run(s->pg, PRODUCER_NEXT_DUE, 1, params, on_next_due, s))
		return;
	s->phase = PHASE_BUSY;
}

static void count_idle_wakes(struct scheduler *s, const struct pass_result *r)
{
	if (r->jobs > 0 || r->seeded > 0)
		s->idle_notifies = 0;
	else if (s->pass_notified && s->idle_notifies < DOUBLINGS_MAX)
		s->idle_notifies++;
	else if (!s->pass_notified && s->idle_notifies > 0)
		s->idle_notifies--;
}

static void finish_own_pass(struct scheduler *s, const struct pass_result *r)
{
	count_idle_wakes(s, r);
	if (!r->claimed)
		return; /* again by the tick */
	s->crowded_looks = r->crowded && r->jobs == 0 ? s->crowded_looks : 0;
	if (r->full || r->more_to_seed)
		look_at(s, boot_ms(s));
	else if (r->jobs > 0 || r->moved)
		look_at(s, s->started_at_ms + PASS_GAP_MS);
	else if (!s->draining) {
		int64_t gap_ms = (int64_t)CROWDED_GAP_MS << s->crowded_looks;
		look_at(s, r->crowded ? s->started_at_ms + gap_ms : NEVER);
		s->crowded_looks += r->crowded && s->crowded_looks < DOUBLINGS_MAX;
		sleep_until_due(s);
	}
	/* The next claim runs in PostgreSQL while this one's jobs are encoded. */
	if (r->full && !s->draining && publisher_room(s->o.publisher) >= r->jobs + s->limit)
		go(s);
	if (r->jobs > 0)
		publisher_publish(s->o.publisher, r->rows, NULL, NULL);
}

static void on_pass(void *arg, const struct pass_result *result)
{
	struct scheduler *s = arg;
	const struct pass_result r = *result; /* the next pass overwrites it */

	s->phase = PHASE_IDLE;
	s->seed_more = r.more_to_seed;
	look_at(s, s->started_at_ms + s->tick_ms);
	if (s->sources_left) /* they may be what the pass was for */
		look_at(s, s->sources_at_ms + SOURCES_GAP_MS);
	if (s->serving)
		finish_run_step(s, &r);
	else
		finish_own_pass(s, &r);
	go(s);
}

static void start_own_pass(struct scheduler *s, size_t limit)
{
	int64_t now = boot_ms(s);
	bool ask = s->seed_more || now - s->sources_at_ms >= SOURCES_GAP_MS;

	s->sources_left = !ask;
	if (ask)
		s->sources_at_ms = now;
	start_pass(s, &(struct pass_scope){
			      .seed = {[SEED_LEADS] = ask && !s->external,
				       [SEED_REDIAL] = ask,
				       [SEED_CAMPAIGNS] = ask,
				       [SEED_WORKFLOW] = ask},
			      .follow_ups = !s->external,
			      .limit = limit,
		      });
}

static void serve_run(struct scheduler *s, struct run *run, size_t limit)
{
	s->serving = run;
	if (run->asked) {
		start_pass(s, &(struct pass_scope){
				      .seed = {[SEED_LEADS] = true},
				      .follow_ups = true,
				      .only_follow_ups = true,
				      .limit = limit,
			      });
		return;
	}
	s->phase = PHASE_BUSY;
	bool sent = pg_run(s->pg, PRODUCER_STOPPED, 0, NULL, on_stopped, s);
	assert(sent);
}

/* ---- Setup ---- */

static void on_setup(void *arg, bool ok)
{
	struct scheduler *s = arg;

	s->phase = ok ? PHASE_IDLE : PHASE_DOWN;
	s->wake_at_ms = NEVER;
	look_at(s, boot_ms(s) + (ok ? 0 : SETUP_RETRY_MS));
}

static void start_setup(struct scheduler *s)
{
	s->phase = PHASE_SETUP;
	setup_run(s->pg, s->o.cfg, on_setup, s);
}

static void on_state(void *arg, bool up, const char *reason)
{
	struct scheduler *s = arg;

	metric_set(METRIC_PG_UP, NULL, up ? 1 : 0);
	if (up) {
		log_info("postgres.up");
		publisher_confirm(s->o.publisher);
		scheduler_wake(s);
	} else if (!s->down_logged) {
		/* Once an outage, not once a try. */
		log_warn("postgres.down", LOG_STR("error", reason));
	}
	s->down_logged = !up;
}

/* ---- The step ---- */

static void finish_drain(struct scheduler *s)
{
	void (*drained)(void *) = s->drained;

	ev_timer_stop(s->o.loop, &s->drain_timer);
	s->drained = NULL;
	if (drained)
		drained(s->drained_arg);
}

static void note_kafka(struct scheduler *s)
{
	bool up = publisher_ready(s->o.publisher);

	metric_set(METRIC_KAFKA_READY, NULL, up ? 1 : 0);
	if (up == s->kafka_up)
		return;
	s->kafka_up = up;
	if (up)
		log_info("kafka.up");
	else
		log_warn("kafka.down");
}

/* Takes the next step if none is under way, and sets the timer for the one after it. */
static void go(struct scheduler *s)
{
	bool due = boot_ms(s) >= s->wake_at_ms;
	size_t limit = 0;

	if (s->phase == PHASE_BUSY || s->phase == PHASE_SETUP)
		return;
	if (s->draining) {
		s->wake_at_ms = NEVER; /* acknowledgements wake it */
		end_runs(s);
		if (s->runs_count == 0 && publisher_idle(s->o.publisher))
			finish_drain(s);
		return;
	}
	if (due)
		s->wake_at_ms = boot_ms(s) + s->tick_ms;
	note_kafka(s);
	if (s->phase == PHASE_DOWN && pg_is_up(s->pg) && due)
		start_setup(s);
	else
		limit = claimable(s);
	if (limit == 0 && !s->starved)
		end_runs(s);
	if (limit > 0 && s->runs)
		serve_run(s, s->runs, limit);
	else if (limit > 0 && s->ticking && due)
		start_own_pass(s, limit);
	arm(s);
}

/* ---- Life ---- */

static void on_drain_timer(struct ev_loop *loop, ev_timer *w, int events)
{
	struct scheduler *s = w->data;

	(void)loop;
	(void)events;
	log_warn("scheduler.not_drained");
	finish_drain(s);
}

void scheduler_drain(struct scheduler *s, void (*done)(void *arg), void *arg)
{
	s->draining = true;
	s->drained = done;
	s->drained_arg = arg;
	ev_timer_start(s->o.loop, &s->drain_timer);
	scheduler_wake(s);
}

struct scheduler *scheduler_new(const struct scheduler_options *o)
{
	static const char *const channels[] = {"carillon_due", "carillon_settings", NULL};
	struct scheduler *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	s->o = *o;
	s->ticking = config_list_has(o->cfg, CONFIG_KEY_PRODUCER_ROLES, "schedule");
	s->external = strcmp(config_str(o->cfg, CONFIG_KEY_SCHEDULE), "external") == 0;
	s->tick_ms = config_int(o->cfg, CONFIG_KEY_TICK_MS);
	s->limit = (size_t)config_int(o->cfg, CONFIG_KEY_CLAIM_BATCH_MAX);
	s->wake_at_ms = NEVER;
	ev_timer_init(&s->timer, on_timer, 0., 0.);
	s->timer.data = s;
	ev_timer_init(&s->drain_timer, on_drain_timer, DRAIN_S, 0.);
	s->drain_timer.data = s;
	const struct pg_options pg = {
		.url = config_str(o->cfg, CONFIG_KEY_DATABASE_URL),
		.application_name = "carillon-producer",
		.stmts = producer_stmts,
		.stmts_count = PRODUCER_STMT_COUNT,
		.listen = channels,
		.statement_timeout_ms = STATEMENT_TIMEOUT_MS,
		.max_batches = BATCHES_MAX,
		.on_state = on_state,
		.on_notify = on_notify,
		.arg = s,
		.clock = o->clock,
	};
	s->pg = pg_new(o->loop, &pg);
	publisher_set_database(o->publisher, s->pg);
	pass_init(&s->pass, &(struct pass_options){
				    .pg = s->pg,
				    .cfg = o->cfg,
				    .clock = o->clock,
				    .cb = on_pass,
				    .arg = s,
			    });
	return s;
}

bool scheduler_ready(const struct scheduler *s)
{
	return pg_is_up(s->pg) && s->phase != PHASE_DOWN && s->phase != PHASE_SETUP;
}

void scheduler_free(struct scheduler *s)
{
	if (!s)
		return;
	s->draining = true;
	s->drained = NULL;
	pg_free(s->pg);
	end_runs(s);
	ev_timer_stop(s->o.loop, &s->timer);
	ev_timer_stop(s->o.loop, &s->drain_timer);
	free(s);
}
