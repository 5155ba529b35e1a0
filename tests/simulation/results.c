/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apply_results.sql, and the reconciler's statements. A result moves only a call that is dialing,
 * unknown or undetermined, so the second telling of it changes nothing.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/simulation/database.h"

#define RESULT_ARRAYS 9

enum { JOB, RESULT, REFUSAL, CALL_ID, STATUS, ERROR, POSTED, ANSWERED, RETRY };

static bool same(const char *text, const char *word)
{
	return text && strcmp(text, word) == 0;
}

/* ---- apply_results.sql ---- */

struct given {
	const char *result, *refusal, *call_id;
	int64_t http_status, posted_at, answered_at, retry_at;
	bool for_good, counts;
};

static bool may_move(const struct call *c, const char *result)
{
	if (c->status == CALL_DIALING)
		return true;
	return (c->status == CALL_UNKNOWN || c->status == CALL_UNDETERMINED) &&
	       !same(result, "unknown");
}

/* How often before it was not dialed without that being an attempt. */
static int64_t in_vain(const struct follow_up *f, const char *job_id)
{
	int64_t n = 0;

	for (size_t i = 0; i < db.calls_n; i++) {
		const struct call *c = &db.calls[i];
		n += c->follow_up_id == f->id && strcmp(c->job_id, job_id) != 0 &&
		     (c->status == CALL_NOT_DIALED || c->backpressure);
	}
	return n;
}

static int64_t backoff(const struct given *g, const struct follow_up *f, const char *job_id,
		       const char *const *waits)
{
	int64_t now = database_now(), base = strtoll(waits[0], NULL, 10) * SECOND;
	int64_t longest = strtoll(waits[1], NULL, 10) * SECOND, wait = base;

	if (g->retry_at != NO_TIME)
		return g->retry_at < now + longest ? g->retry_at : now + longest;
	if (!g->counts && !same(g->refusal, "account")) {
		wait = base < 5 * SECOND ? base : 5 * SECOND;
		for (int64_t n = in_vain(f, job_id); n > 0 && wait < MINUTE; n--)
			wait *= 2;
		return now + (wait < MINUTE ? wait : MINUTE) * 3 / 2;
	}
	for (int64_t i = 0; i < f->attempts && wait < longest; i++)
		wait *= 2;
	return now + (wait < longest ? wait : longest) * 3 / 4;
}

static void decide(struct follow_up *f, const struct given *g, const char *job_id,
		   const char *const *waits)
{
	bool accepted = same(g->result, "accepted");

	f->next_look_at = accepted || g->for_good ? NO_TIME : backoff(g, f, job_id, waits);
	f->attempts += g->counts;
	f->lease_until = NO_TIME;
	text_set(f->reason, sizeof(f->reason), g->for_good ? g->refusal : "");
	follow_up_move(f, accepted	? FOLLOW_UP_COMPLETED
			  : g->for_good ? FOLLOW_UP_FAILED
					: FOLLOW_UP_PENDING);
}

static void apply(struct call *c, const struct given *g, const char *const *waits)
{
	struct live *v = live_find(c->job_id);
	struct follow_up *f = follow_up_find(c->follow_up_id);
	int64_t now = database_now();
	bool accepted = same(g->result, "accepted"), unknown = same(g->result, "unknown");

	call_move(c, accepted			  ? CALL_CALLING
		     : unknown			  ? CALL_UNKNOWN
		     : same(g->result, "refused") ? CALL_REJECTED
						  : CALL_NOT_DIALED);
	if (g->call_id)
		text_set(c->provider_call_id, sizeof(c->provider_call_id), g->call_id);
	c->http_status = g->http_status;
	c->answered_at = g->answered_at;
	c->backpressure = same(g->refusal, "backpressure");
	if (g->posted_at != NO_TIME)
		c->posted_at = g->posted_at;
	provider_call_name(c);
	if (v && (accepted || unknown)) {
		v->state = accepted ? CALL_CALLING : CALL_UNKNOWN;
		v->next_check_at = now + strtoll(waits[accepted ? 2 : 3], NULL, 10) * SECOND;
	} else {
		live_remove(c->job_id);
	}
	if (same(g->refusal, "account"))
		db.breaker_until[c->account] = now + MINUTE;
	if (!unknown && f && strcmp(f->job_id, c->job_id) == 0 &&
	    (f->status == FOLLOW_UP_DIALING || f->status == FOLLOW_UP_UNDETERMINED))
		decide(f, g, c->job_id, waits);
}

static struct given given_of(const struct array *a, size_t i)
{
	struct given g = {
		.result = a[RESULT].items[i],
		.refusal = a[REFUSAL].items[i],
		.call_id = a[CALL_ID].items[i],
		.http_status = array_int(&a[STATUS], i, MSG_NO_INT),
		.posted_at = array_int(&a[POSTED], i, NO_TIME),
		.answered_at = array_int(&a[ANSWERED], i, NO_TIME),
		.retry_at = array_int(&a[RETRY], i, NO_TIME),
	};

	g.for_good = same(g.result, "refused") &&
		     (same(g.refusal, "number") || same(g.refusal, "configuration"));
	g.counts = same(g.result, "accepted") || g.for_good ||
		   (same(g.result, "refused") && (!g.refusal || same(g.refusal, "retry")));
	return g;
}

PGresult *apply_results(const char *const *params)
{
	static const char *const names[] = {"job_id", "status", NULL};
	PGresult *r = rows_new(names);
	struct array a[RESULT_ARRAYS];

	for (size_t i = 0; i < RESULT_ARRAYS; i++)
		array_parse(&a[i], params[i]);
	for (size_t i = 0; i < a[JOB].n; i++) {
		struct call *c = call_find(a[JOB].items[i]);
		if (!c || !may_move(c, a[RESULT].items[i]))
			continue;
		const struct given g = given_of(a, i);
		apply(c, &g, params + RESULT_ARRAYS);
		int row = PQntuples(r);
		rows_text(r, row, 0, c->job_id);
		rows_text(r, row, 1, call_status_text(c->status));
	}
	for (size_t i = 0; i < RESULT_ARRAYS; i++)
		array_free(&a[i]);
	return r;
}

/* ---- The reconciler's ---- */

static bool has_event(const char *job_id)
{
	for (size_t i = 0; i < db.inbox_n; i++) {
		if (strcmp(db.inbox[i].call_job_id, job_id) == 0)
			return true;
	}
	return false;
}

/* The ids of other calls to the phone, the latest first. */
static void others_of(const struct call *c, char *ret_text, size_t n)
{
	struct buf b;
	int found = 0;

	buf_init_fixed(&b, ret_text, n);
	for (size_t i = db.calls_n; i-- > 0 && found < 15;) {
		const struct call *o = &db.calls[i];
		if (o == c || strcmp(o->phone, c->phone) != 0 || o->account != c->account ||
		    !o->provider_call_id[0])
			continue;
		buf_addf(&b, "%s%s", found++ > 0 ? "\n" : "", o->provider_call_id);
	}
}

static void add_check(PGresult *r, const struct live *v)
{
	const struct call *c = call_find(v->job_id);
	char others[2048];
	int row = PQntuples(r), col = 0;

	assert(c);
	others_of(c, others, sizeof(others));
	rows_text(r, row, col++, v->job_id);
	rows_text(r, row, col++, call_status_text(v->state));
	rows_time(r, row, col++, v->lease_until);
	rows_int(r, row, col++, v->checks);
	rows_time(r, row, col++, v->absent_at);
	rows_int(r, row, col++, database_now());
	rows_int(r, row, col++, outside_recorded_to());
	rows_int(r, row, col++, c->follow_up_id);
	rows_text(r, row, col++, "default");
	rows_text(r, row, col++, "redial");
	rows_int(r, row, col++, c->lead_id);
	rows_text(r, row, col++, c->phone);
	rows_text(r, row, col++, account_names[c->account]);
	rows_text(r, row, col++, account_names[c->account]);
	rows_text(r, row, col++, c->fingerprint[0] ? c->fingerprint : NULL);
	rows_text(r, row, col++, c->worker);
	rows_text(r, row, col++, c->provider_call_id[0] ? c->provider_call_id : NULL);
	rows_time(r, row, col++, c->claimed_at);
	rows_time(r, row, col++, c->posted_at);
	rows_time(r, row, col++, c->dial_by);
	rows_text(r, row, col++, has_event(v->job_id) ? "t" : "f");
	rows_text(r, row, col++, "f");
	rows_text(r, row, col++, !c->provider_call_id[0] && others[0] ? others : NULL);
}

PGresult *due_checks(const char *const *params)
{
	static const char *const names[] = {
		"job_id",	    "state",	  "lease_until", "checks",
		"absent_at",	    "now",	  "recorded_to", "follow_up_id",
		"tenant",	    "kind",	  "lead_id",	 "phone",
		"account",	    "provider",	  "fingerprint", "worker",
		"provider_call_id", "claimed_at", "posted_at",	 "dial_by",
		"has_event",	    "hang_up",	  "others",	 NULL};
	PGresult *r = rows_new(names);
	int64_t now = database_now();

	assert(db.live_n <= (size_t)strtoll(params[0], NULL, 10));
	for (size_t i = 0; i < db.live_n; i++) {
		struct live *v = &db.live[i];
		if (v->state == CALL_UNDETERMINED || v->next_check_at > now)
			continue;
		v->next_check_at = now + strtoll(params[1], NULL, 10) * SECOND;
		v->checks++;
		text_set(v->checker, sizeof(v->checker), params[2]);
		add_check(r, v);
	}
	return r;
}

PGresult *check_again(const char *const *params)
{
	struct array jobs, waits, absences;

	array_parse(&jobs, params[0]);
	array_parse(&waits, params[1]);
	array_parse(&absences, params[2]);
	for (size_t i = 0; i < jobs.n; i++) {
		struct live *v = live_find(jobs.items[i]);
		if (!v || v->state == CALL_UNDETERMINED)
			continue;
		v->next_check_at = database_now() + array_int(&waits, i, 0) * SECOND;
		v->checker[0] = '\0';
		if (v->absent_at == NO_TIME)
			v->absent_at = array_int(&absences, i, NO_TIME);
	}
	array_free(&jobs);
	array_free(&waits);
	array_free(&absences);
	return PQmakeEmptyPGresult(NULL, PGRES_COMMAND_OK);
}

PGresult *mark_undetermined(const char *const *params)
{
	static const char *const names[] = {"job_id", NULL};
	PGresult *r = rows_new(names);
	struct array jobs;

	array_parse(&jobs, params[0]);
	for (size_t i = 0; i < jobs.n; i++) {
		struct call *c = call_find(jobs.items[i]);
		if (!c || (c->status != CALL_DIALING && c->status != CALL_UNKNOWN))
			continue;
		struct live *v = live_find(c->job_id);
		struct follow_up *f = follow_up_find(c->follow_up_id);
		counts.undetermined++;
		call_move(c, CALL_UNDETERMINED);
		if (v) {
			v->state = CALL_UNDETERMINED;
			v->next_check_at = INT64_MAX;
		}
		if (f->status == FOLLOW_UP_DIALING && strcmp(f->job_id, c->job_id) == 0) {
			text_set(f->reason, sizeof(f->reason), "undetermined");
			f->lease_until = NO_TIME;
			follow_up_move(f, FOLLOW_UP_UNDETERMINED);
		}
		rows_text(r, PQntuples(r), 0, c->job_id);
	}
	array_free(&jobs);
	return r;
}

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

PGresult *take_over(const char *const *params)
{
	int64_t now = database_now();

	for (size_t i = 0; i < db.live_n; i++) {
		struct live *v = &db.live[i];
		const struct call *c = call_find(v->job_id);
		bool was_claimed = v->state == CALL_DIALING && starts_with(c->worker, params[0]) &&
				   strcmp(c->worker, params[1]) != 0;
		bool was_checked = v->checker[0] && starts_with(v->checker, params[0]) &&
				   strcmp(v->checker, params[1]) != 0;
		if (v->state != CALL_UNDETERMINED && v->next_check_at > now &&
		    (was_claimed || was_checked))
			v->next_check_at = now;
	}
	return PQmakeEmptyPGresult(NULL, PGRES_COMMAND_OK);
}
