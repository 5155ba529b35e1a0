/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passes, one at a time: take what is due, look it up (all unknown calls of an account by one list,
 * each overdue call by a get), decide, publish, and write the rest in one go.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/fail_point.h"
#include "common/log.h"
#include "common/metrics.h"
#include "consumer/reconciler_internal.h"
#include "consumer_sql.h"

#define PASS_CALLS_MAX LOOKUP_TARGETS_MAX
#define PASS_LEASE_S 120 /* a call taken by one that died is taken again after */
#define LOOKUPS_AT_ONCE 8
#define LOOKUP_MAX_MS 60000
#define HANG_UPS_AT_ONCE 8
#define HANG_UP_TRIES "5"
#define HANG_UP_AGAIN_MS 3000
#define HUNG_UP_LOOK_MS 10000 /* for the end, if no event tells of it */
#define FAILED_WAIT_MS 5000
#define ARRAY_MAX_BYTES (64u << 10)
#define TOPICS_BYTES 1024

struct reconciler {
	struct ev_loop *loop;
	struct reconciler_options o;
	struct reconcile_policy policy;
	struct http_client *http;
	int64_t lookup_timeout_ms;
	ev_timer sweep;
	bool stopping;
	bool took_over;
	bool in_touch;		   /* with PostgreSQL and Kafka, since policy.began_at */
	int64_t touched_ms;	   /* boot clock, of the last answer */
	char topics[TOPICS_BYTES]; /* an array: those that tell of calls */
	bool woken;		   /* during a pass: the next one follows at once */

	/* The pass under way. */
	bool busy;
	bool full; /* there may be more: the next pass follows at once */
	struct finding *findings;
	size_t n;
	size_t looking; /* look-ups under way */
	struct lookup *lookups[LOOKUPS_AT_ONCE];
	int64_t db_ahead_ms; /* the database's clock minus our boot clock, or less */
	int64_t db_late_ms;  /* by up to so much: its word was so long on its way */
	int64_t asked_boot_ms;
	struct result_batch results;
};

static int64_t db_now(const struct reconciler *r)
{
	return clock_boot_ms(r->o.clock) + r->db_ahead_ms;
}

static void advance(struct reconciler *r);

/* ---- The end of a pass: what is written ---- */

static void log_if_failed(const char *event, const struct pg_batch_result *b)
{
	if (b->error.status != PG_OK && b->error.status != PG_NOT_DURABLE)
		log_warn(event, LOG_STR("sqlstate", b->error.sqlstate),
			 LOG_STR("error", b->error.message));
}

static void on_result_written(void *arg, const struct pg_batch_result *b)
{
	(void)arg;
	log_if_failed("reconcile.result_not_written", b);
}

static void write_result(struct reconciler *r, const struct finding *f)
{
	result_batch_clear(&r->results);
	result_batch_add(&r->results, &f->result);
	const char *const *params = result_batch_params(&r->results);
	if (!params || !pg_run(r->o.pg, CONSUMER_APPLY_RESULTS, RESULT_BATCH_PARAMS, params,
			       on_result_written, r))
		log_warn("reconcile.result_not_written", LOG_STR("job_id", f->check.job_id));
}

static void log_undetermined(const PGresult *rows)
{
	int job_id = pg_col(rows, "job_id");

	for (int i = 0; i < PQntuples(rows); i++) {
		metric_add(METRIC_UNDETERMINED, NULL, 1);
		log_error("call.undetermined", LOG_STR("job_id", pg_text(rows, i, job_id)));
	}
}

static void end_pass(struct reconciler *r)
{
	bool again = (r->full || r->woken) && !r->stopping;

	r->woken = false;
	for (size_t i = 0; i < r->n; i++)
		json_decref(r->findings[i].target.row);
	free(r->findings);
	r->findings = NULL;
	r->n = 0;
	r->busy = false;
	ev_timer_stop(r->loop, &r->sweep);
	ev_timer_set(&r->sweep, again ? 0.0 : r->sweep.repeat, r->sweep.repeat);
	if (!r->stopping)
		ev_timer_start(r->loop, &r->sweep);
}

static void on_pass_written(void *arg, const struct pg_batch_result *b)
{
	struct reconciler *r = arg;

	log_if_failed("reconcile.pass_not_written", b);
	if (b->error.status == PG_OK) {
		log_undetermined(b->res[0]);
		metric_set(METRIC_UNKNOWN_CALLS, NULL,
			   (double)pg_int(b->res[2], 0, pg_col(b->res[2], "n")));
	}
	end_pass(r);
}

static bool waits(const struct finding *f)
{
	enum reconcile_step s = f->decision.step;

	return s == STEP_WAIT || s == STEP_NOTE_ABSENT || s == STEP_ENDED ||
	       s == STEP_END_UNKNOWN || s == STEP_CALL_OFF;
}

#define PASS_ARRAYS 8

struct pass_arrays {
	struct buf bufs[PASS_ARRAYS];
	struct pg_array marks, jobs, waits, absences, ended, what, words, reasons;
};

static void fill_arrays(struct reconciler *r, struct pass_arrays *a)
{
	struct pg_array *const arrays[PASS_ARRAYS] = {&a->marks, &a->jobs, &a->waits, &a->absences,
						      &a->ended, &a->what, &a->words, &a->reasons};

	for (size_t i = 0; i < PASS_ARRAYS; i++) {
		buf_init(&a->bufs[i], ARRAY_MAX_BYTES);
		pg_array_init(arrays[i], &a->bufs[i]);
	}
	for (size_t i = 0; i < r->n; i++) {
		const struct finding *f = &r->findings[i];
		if (f->hang_up.tried) {
			pg_array_add(&a->ended, f->check.job_id);
			pg_array_add(&a->what, f->hang_up.calls_off ? "call_off" : "hang_up");
			pg_array_add(&a->words, hang_up_text(f->hang_up.result));
			pg_array_add(&a->reasons, f->hang_up.reason);
		}
		if (f->decision.step == STEP_UNDETERMINED)
			pg_array_add(&a->marks, f->check.job_id);
		if (!waits(f))
			continue;
		pg_array_add(&a->jobs, f->check.job_id);
		pg_array_add_int(&a->waits, (f->decision.wait_ms + 999) / 1000);
		if (f->decision.step == STEP_NOTE_ABSENT)
			pg_array_add_int(&a->absences, db_now(r));
		else
			pg_array_add(&a->absences, NULL);
	}
}

static void write_pass(struct reconciler *r)
{
	struct pass_arrays a;

	for (size_t i = 0; i < r->n; i++) {
		const struct finding *f = &r->findings[i];
		if (f->result.job_id && !f->failed)
			write_result(r, f);
	}
	fill_arrays(r, &a);
	const char *marks[] = {pg_array_finish(&a.marks)};
	const char *again[] = {pg_array_finish(&a.jobs), pg_array_finish(&a.waits),
			       pg_array_finish(&a.absences)};
	const char *hang_ups[] = {pg_array_finish(&a.ended), pg_array_finish(&a.what),
				  pg_array_finish(&a.words), pg_array_finish(&a.reasons),
				  HANG_UP_TRIES};
	if (pg_begin(r->o.pg, on_pass_written, r)) {
		pg_add(r->o.pg, CONSUMER_MARK_UNDETERMINED, 1, marks);
		pg_add(r->o.pg, CONSUMER_CHECK_AGAIN, 3, again);
		pg_add(r->o.pg, CONSUMER_COUNT_UNKNOWN, 0, NULL);
		if (hang_ups[0][1] != '}')
			pg_add(r->o.pg, CONSUMER_HANG_UPS, 5, hang_ups);
		pg_commit(r->o.pg);
	} else {
		end_pass(r);
	}
	for (size_t i = 0; i < PASS_ARRAYS; i++)
		buf_release(&a.bufs[i]);
}

/* ---- Decisions ---- */

static void end_if_all_done(struct reconciler *r)
{
	for (size_t i = 0; i < r->n; i++) {
		if (!r->findings[i].done)
			return;
	}
	if (r->busy && r->n > 0)
		write_pass(r);
}

void finding_published(struct finding *f)
{
	if (f->failed) {
		log_warn("reconcile.not_published", LOG_STR("job_id", f->check.job_id));
		f->decision = (struct reconcile_decision){STEP_WAIT, FAILED_WAIT_MS};
	}
	f->done = true;
	end_if_all_done(f->r);
}

static void log_finding(const struct finding *f)
{
	const char *step = reconcile_step_text(f->decision.step);

	metric_add(METRIC_RECONCILED, step, 1);
	if (f->decision.step == STEP_WAIT || f->decision.step == STEP_NOTE_ABSENT)
		log_debug("call.looked_up", LOG_STR("job_id", f->check.job_id),
			  LOG_STR("finding", step), LOG_INT("wait_ms", f->decision.wait_ms));
	else
		log_info("call.reconciled", LOG_STR("job_id", f->check.job_id),
			 LOG_STR("state", call_status_text(f->check.state)),
			 LOG_STR("finding", step), LOG_PHONE("phone", f->check.phone));
	if (f->decision.step == STEP_END_UNKNOWN)
		log_error("call.end_unknown", LOG_STR("job_id", f->check.job_id));
	if (f->target.seen == SEEN_AMBIGUOUS)
		log_error("call.ambiguous", LOG_STR("job_id", f->check.job_id),
			  LOG_STR("account", f->check.account));
}

/* ---- Hanging up: a call that was seen to go on or to wait, and only while it is ---- */

static void note_hang_up(struct finding *f)
{
	const struct hang_up *h = &f->hang_up;
	const char *word = hang_up_text(h->result);

	if (h->result == HANG_UP_TOLD)
		f->decision.wait_ms = HUNG_UP_LOOK_MS;
	else if (!h->calls_off)
		f->decision.wait_ms = HANG_UP_AGAIN_MS;
	metric_add(METRIC_HANG_UPS, word, 1);
	log_info(h->calls_off ? "call.called_off" : "call.hang_up",
		 LOG_STR("job_id", f->check.job_id), LOG_STR("account", f->check.account),
		 LOG_STR("result", word), LOG_STR("error", h->reason));
}

static void on_hung_up(struct hang_up *h, void *arg)
{
	struct finding *f = arg;
	struct reconciler *r = f->r;
	const struct account *account = reference_account(r->o.reference, f->check.account);

	if (account)
		account_mask(account, h->reason);
	note_hang_up(f);
	finding_publish(f, NULL, r->o.publisher, reference_rules(r->o.reference), r->o.worker,
			clock_wall_ms(r->o.clock));
}

/* True: the finding waits for the provider's answer. */
static bool hang_up(struct reconciler *r, struct finding *f, const struct adapter *ad)
{
	const struct account *a = reference_account(r->o.reference, f->check.account);

	f->hang_up.calls_off = !f->check.hang_up;
	f->hang_up.done = on_hung_up;
	f->hang_up.arg = f;
	if (ad && hang_up_send(&f->hang_up, r->http, ad, a, f->check.provider_call_id,
			       f->target.row, r->lookup_timeout_ms))
		return true;
	if (f->hang_up.tried)
		note_hang_up(f);
	else
		f->decision.wait_ms = HANG_UP_AGAIN_MS;
	return false;
}

static void decide(struct reconciler *r, struct finding *f)
{
	const struct adapter *ad = adapter_find(f->check.provider);
	struct found_call call;
	struct sight s = {
		.seen = f->target.seen,
		.asked_at = f->asked_at,
		.same_account = f->target.same_account,
	};

	found_call_init(&call);
	found_call_words(&call, reference_rules(r->o.reference), f->check.tenant);
	if (s.seen == SEEN_CALL && ad && ad->read_row(f->target.row, &call))
		s.call = &call;
	else if (s.seen == SEEN_CALL)
		s.seen = SEEN_NOTHING;
	reconcile_decide(&r->policy, ad, &f->check, &s, db_now(r), &f->decision);
	bool is_wanted = f->check.hang_up && f->decision.step == STEP_WAIT;
	if ((is_wanted || f->decision.step == STEP_CALL_OFF) && hang_up(r, f, ad))
		return;
	log_finding(f);
	finding_publish(f, s.call, r->o.publisher, reference_rules(r->o.reference), r->o.worker,
			clock_wall_ms(r->o.clock));
}

/* ---- Look-ups ---- */

static void drop_lookup(struct reconciler *r, const struct lookup *l)
{
	for (size_t i = 0; i < r->looking; i++) {
		if (r->lookups[i] == l) {
			r->lookups[i] = r->lookups[--r->looking];
			return;
		}
	}
	assert(false && "a look-up that was not under way");
}

static void on_looked_up(struct lookup *l, void *arg)
{
	struct reconciler *r = arg;
	struct lookup_target *t = lookup_targets(l), *next;

	fail_point(FAIL_LOOKED_UP);
	drop_lookup(r, l);
	if (lookup_trouble(l))
		log_warn("lookup.incomplete", LOG_STR("account", t->check->account),
			 LOG_STR("reason", lookup_trouble(l)));
	for (; t; t = next) {
		next = t->next;
		decide(r, (struct finding *)(void *)((char *)t - offsetof(struct finding, target)));
	}
	lookup_free(l);
	advance(r);
}

static const struct account *account_of(void *arg, const char *name)
{
	const struct reconciler *r = arg;

	return reference_account(r->o.reference, name);
}

/* The calls that one request can look for: itself, or all unlooked ones of its account (where lists
 * are by number: to its number). */
static struct lookup_target *gather(struct reconciler *r, struct finding *first,
				    const struct adapter *ad)
{
	bool alone = ad->build_get && first->check.provider_call_id[0];
	struct lookup_target *head = NULL;

	for (struct finding *f = first; f < r->findings + r->n; f++) {
		bool own_get = ad->build_get && f->check.provider_call_id[0];
		if (f->looked || (f != first && (alone || own_get)) ||
		    strcmp(f->check.account, first->check.account) != 0 ||
		    (ad->list_kind == LIST_BY_NUMBER &&
		     strcmp(f->check.phone, first->check.phone) != 0))
			continue;
		f->looked = true;
		f->asked_at = db_now(r);
		f->target.made_by = reconcile_made_by(&r->policy, ad, &f->check, f->asked_at);
		f->target.next = head;
		head = &f->target;
	}
	return head;
}

static void look_up(struct reconciler *r, struct finding *first)
{
	const struct adapter *ad = adapter_find(first->check.provider);
	const struct lookup_options o = {
		.http = r->http,
		.account = account_of,
		.adapter = ad,
		.timeout_ms = r->lookup_timeout_ms,
		.now = db_now(r),
		.now_late_ms = r->db_late_ms,
		.clock = r->o.clock,
		.reading_max_ms = LOOKUP_MAX_MS,
		.done = on_looked_up,
		.arg = r,
	};
	struct lookup_target *targets, *next;

	if (!ad) {
		first->looked = true;
		first->asked_at = db_now(r);
		decide(r, first);
		return;
	}
	targets = gather(r, first, ad);
	struct lookup *l = lookup_start(&o, targets);
	if (l) {
		r->lookups[r->looking++] = l;
		return;
	}
	for (; targets; targets = next) {
		next = targets->next;
		decide(r, (struct finding *)(void *)((char *)targets -
						     offsetof(struct finding, target)));
	}
}

/* Starts look-ups while there is room. */
static void advance(struct reconciler *r)
{
	for (size_t i = 0; i < r->n && r->looking < LOOKUPS_AT_ONCE; i++) {
		if (!r->findings[i].looked)
			look_up(r, &r->findings[i]);
	}
}

/* ---- The start of a pass ---- */

static void on_due(void *arg, const struct pg_batch_result *b)
{
	struct reconciler *r = arg;
	const PGresult *rows = b->error.status == PG_OK ? b->res[b->n - 2] : NULL;
	int n = rows ? PQntuples(rows) : 0;

	assert(!r->findings);
	r->n = 0;
	log_if_failed("reconcile.not_read", b);
	r->in_touch &= b->error.status != PG_LOST && b->error.status != PG_DOWN;
	r->touched_ms = clock_boot_ms(r->o.clock);
	r->took_over |= b->error.status == PG_OK;
	r->full = n == PASS_CALLS_MAX;
	r->findings = n > 0 ? calloc((size_t)n, sizeof(*r->findings)) : NULL;
	if (!r->findings) {
		if (b->error.status == PG_OK)
			metric_set(
				METRIC_UNKNOWN_CALLS, NULL,
				(double)pg_int(b->res[b->n - 1], 0, pg_col(b->res[b->n - 1], "n")));
		end_pass(r);
		return;
	}
	r->n = (size_t)n;
	r->db_ahead_ms = pg_int(rows, 0, pg_col(rows, "now")) - clock_boot_ms(r->o.clock);
	r->db_late_ms = clock_boot_ms(r->o.clock) - r->asked_boot_ms;
	if (!r->in_touch)
		r->policy.began_at = db_now(r);
	r->in_touch = true;
	for (size_t i = 0; i < r->n; i++) {
		struct finding *f = &r->findings[i];
		check_read(&f->check, rows, (int)i);
		f->r = r;
		f->target.check = &f->check;
	}
	advance(r);
}

/* "name/" of "name/incarnation": whose former incarnations we succeed. */
static void own_prefix(const struct reconciler *r, char *ret_text, size_t n)
{
	const char *slash = strrchr(r->o.worker, '/');

	snprintf(ret_text, n, "%.*s", slash ? (int)(slash - r->o.worker) + 1 : 0, r->o.worker);
}

static void on_sweep(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct reconciler *r = w->data;
	char limit[16], lease[16], prefix[CHECK_WORKER_BYTES];
	const char *due[] = {limit, lease, r->o.worker, r->topics};
	const char *former[] = {prefix, r->o.worker};

	(void)loop, (void)revents;
	int64_t silent_ms = clock_boot_ms(r->o.clock) - r->touched_ms;
	r->in_touch &= pg_is_up(r->o.pg) && publisher_is_ready(r->o.publisher) &&
		       silent_ms < (int64_t)(r->sweep.repeat * 1000) + PASS_LEASE_S * 1000;
	if (r->busy || r->stopping || !pg_is_up(r->o.pg) || !publisher_is_ready(r->o.publisher) ||
	    !reference_is_ready(r->o.reference) || !pg_begin(r->o.pg, on_due, r))
		return;
	r->busy = true;
	snprintf(limit, sizeof(limit), "%d", PASS_CALLS_MAX);
	snprintf(lease, sizeof(lease), "%d", PASS_LEASE_S);
	own_prefix(r, prefix, sizeof(prefix));
	if (!r->took_over)
		pg_add(r->o.pg, CONSUMER_TAKE_OVER, 2, former);
	pg_add(r->o.pg, CONSUMER_DUE_CHECKS, 4, due);
	pg_add(r->o.pg, CONSUMER_COUNT_UNKNOWN, 0, NULL);
	pg_commit(r->o.pg);
	r->asked_boot_ms = clock_boot_ms(r->o.clock);
}

/* ---- Life ---- */

static void set_policy(struct reconciler *r)
{
	const struct config *cfg = r->o.cfg;

	r->lookup_timeout_ms = config_int(cfg, CONFIG_KEY_PROVIDER_TIMEOUT_S) * 1000;
	r->policy = (struct reconcile_policy){
		.worker = r->o.worker,
		.http_timeout_ms = r->lookup_timeout_ms,
		.margin_ms = config_int(cfg, CONFIG_KEY_LEASE_MARGIN_S) * 1000,
		.undetermined_ms = config_int(cfg, CONFIG_KEY_UNDETERMINED_AFTER_S) * 1000,
		.max_call_ms = config_int(cfg, CONFIG_KEY_MAX_CALL_S) * 1000,
		.grace_ms = config_int(cfg, CONFIG_KEY_MAX_CALL_GRACE_S) * 1000,
		.list_lag_ms = config_is_set(cfg, CONFIG_KEY_LIST_LAG_S)
				       ? config_int(cfg, CONFIG_KEY_LIST_LAG_S) * 1000
				       : -1,
	};
}

/* Where a worker and a provider's events tell of a call. */
static void name_topics(struct reconciler *r)
{
	struct pg_array names;
	struct buf text;

	buf_init_fixed(&text, r->topics, sizeof(r->topics));
	pg_array_init(&names, &text);
	pg_array_add(&names, publisher_topic(r->o.publisher, MSG_DISPATCH_RESULT));
	pg_array_add(&names, publisher_topic(r->o.publisher, MSG_CALL_EVENT));
	const char *finished = pg_array_finish(&names);
	assert(finished); /* two names of at most 249 bytes */
	(void)finished;
}

struct reconciler *reconciler_new(struct ev_loop *loop, const struct reconciler_options *o)
{
	struct reconciler *r = calloc(1, sizeof(*r));
	const struct http_client_options ho = {
		.max_requests = LOOKUPS_AT_ONCE + HANG_UPS_AT_ONCE,
		.connection_max_idle_s = (long)config_int(o->cfg, CONFIG_KEY_CONNECTION_MAX_IDLE_S),
		.allow_insecure = config_bool(o->cfg, CONFIG_KEY_ALLOW_INSECURE_PROVIDERS),
		.user_agent = "carillon/" CARILLON_VERSION,
		.clock = o->clock,
	};
	double interval_s = (double)config_int(o->cfg, CONFIG_KEY_SWEEP_INTERVAL_S);

	if (!r)
		return NULL;
	r->loop = loop;
	r->o = *o;
	set_policy(r);
	name_topics(r);
	result_batch_init(&r->results, o->cfg);
	ev_timer_init(&r->sweep, on_sweep, 0.5, interval_s);
	r->sweep.data = r;
	r->http = http_client_new(loop, &ho);
	if (!r->http) {
		reconciler_free(r);
		return NULL;
	}
	ev_timer_start(loop, &r->sweep);
	return r;
}

void reconciler_wake(struct reconciler *r)
{
	if (r->busy || r->stopping) {
		r->woken = true;
		return;
	}
	ev_timer_stop(r->loop, &r->sweep);
	ev_timer_set(&r->sweep, 0.0, r->sweep.repeat);
	ev_timer_start(r->loop, &r->sweep);
}

void reconciler_stop(struct reconciler *r)
{
	r->stopping = true;
	ev_timer_stop(r->loop, &r->sweep);
}

void reconciler_free(struct reconciler *r)
{
	if (!r)
		return;
	reconciler_stop(r);
	http_client_free(r->http);
	for (size_t i = 0; i < r->looking; i++)
		lookup_free(r->lookups[i]);
	for (size_t i = 0; i < r->n; i++)
		json_decref(r->findings[i].target.row);
	free(r->findings);
	result_batch_release(&r->results);
	free(r);
}
