/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recorder's statements: inbox_insert, inbox_resolve, events_apply, redial_apply and
 * results_facts. A message is kept once, finds its call by our id, the provider's, or the number if
 * just one call can be meant, and waits until that call is known to exist.
 */
#include <assert.h>
#include <string.h>

#include "consumer/result_batch.h"
#include "consumer_sql.h"
#include "tests/simulation/differential.h"

#define DAY_MS INT64_C(86400000)
#define REDIALS_MAX 2

static bool is_unproved(enum call_status s)
{
	return s == CALL_DIALING || s == CALL_UNKNOWN || s == CALL_UNDETERMINED;
}

static bool is_given_up(enum call_status s)
{
	return s == CALL_REJECTED || s == CALL_NOT_DIALED;
}

static bool is_over(enum call_status s)
{
	return s == CALL_COMPLETED || s == CALL_FAILED;
}

/* ---- Results ---- */

static void apply_one(const struct msg_dispatch_result *r)
{
	struct result_batch b;

	result_batch_init(&b, sim.cfg);
	result_batch_add(&b, r);
	PQclear(database_run(CONSUMER_APPLY_RESULTS, RESULT_BATCH_PARAMS, result_batch_params(&b)));
	result_batch_release(&b);
}

void record_result(const struct msg_dispatch_result *r)
{
	struct call *c = call_find(r->job_id);

	apply_one(r);
	if (!c || r->result != RESULT_ACCEPTED)
		return;
	/* results_facts.sql would take it up again and call off its successor. Here it never comes
	 * to that, or a proof was none. */
	if (is_given_up(c->status))
		sim_fail("job %s was given up as %s, and its result says it was dialed", c->job_id,
			 call_status_text(c->status));
	if (c->posted_at != NO_TIME || is_unproved(c->status))
		return;
	c->posted_at = r->posted_at;
	if (!c->provider_call_id[0] && r->provider_call_id)
		text_set(c->provider_call_id, sizeof(c->provider_call_id), r->provider_call_id);
	provider_call_name(c);
}

/* ---- The inbox ---- */

static struct inbox_row *inbox_add(const char *account, const char *event_id)
{
	size_t index = account_index(account);

	for (size_t i = 0; i < db.inbox_n; i++) {
		if (db.inbox[i].account == index && strcmp(db.inbox[i].event_id, event_id) == 0) {
			counts.repeated++;
			return NULL;
		}
	}
	assert(db.inbox_n < EVENTS_KEPT_MAX);
	struct inbox_row *m = &db.inbox[db.inbox_n++];
	*m = (struct inbox_row){.account = index, .parked = true, .recorded_at = database_now()};
	text_set(m->event_id, sizeof(m->event_id), event_id);
	return m;
}

static void set_ids(struct inbox_row *m, const char *job_id, const char *provider_call_id,
		    const char *phone)
{
	text_set(m->job_id, sizeof(m->job_id), job_id);
	text_set(m->provider_call_id, sizeof(m->provider_call_id), provider_call_id);
	text_set(m->phone, sizeof(m->phone), phone);
	const struct call *c = job_id ? call_find(job_id) : NULL;
	if (c && c->account == m->account)
		text_set(m->call_job_id, sizeof(m->call_job_id), job_id);
}

void record_event(const struct msg_call_event *e)
{
	struct inbox_row *m = inbox_add(e->account, e->event_id);

	if (!m)
		return;
	set_ids(m, e->job_id, e->provider_call_id, e->phone);
	m->type = e->type;
	m->occurred_at = e->occurred_at;
	text_set(m->outcome, sizeof(m->outcome), e->outcome);
}

void record_redial(const struct msg_redial_update *r)
{
	struct inbox_row *m = inbox_add(r->account, r->event_id);

	if (!m)
		return;
	set_ids(m, r->job_id, r->provider_call_id, r->phone);
	m->is_redial = true;
	m->action = r->action;
	m->suppress = r->suppress;
	m->occurred_at = r->ended_at;
	text_set(m->outcome, sizeof(m->outcome), r->outcome);
	if (r->suppress && r->phone)
		suppress(r->phone);
}

/* ---- Which call ---- */

static bool could_be(const struct call *c, const struct inbox_row *m)
{
	int64_t latest = m->occurred_at > m->recorded_at ? m->occurred_at : m->recorded_at;

	return c->account == m->account && strcmp(c->phone, m->phone) == 0 &&
	       c->claimed_at < latest && c->claimed_at > m->occurred_at - DAY_MS &&
	       !is_over(c->status) && c->status != CALL_REJECTED &&
	       (!c->provider_call_id[0] || !m->provider_call_id[0]);
}

/* Ambiguous is none, and so is one that was claimed after it. */
static const struct call *by_phone(const struct inbox_row *m)
{
	const struct call *found = NULL;

	for (size_t i = 0; i < db.calls_n && m->phone[0]; i++) {
		if (!could_be(&db.calls[i], m))
			continue;
		if (found)
			return NULL;
		found = &db.calls[i];
	}
	return found && found->claimed_at < m->occurred_at ? found : NULL;
}

/* Another message of an id of its own that would take the same call by its number. */
static bool is_contested(const struct inbox_row *m, const struct call *c)
{
	for (size_t i = 0; i < db.inbox_n; i++) {
		const struct inbox_row *o = &db.inbox[i];
		if (o != m && o->parked && !o->call_job_id[0] && !o->job_id[0] &&
		    strcmp(o->provider_call_id, m->provider_call_id) != 0 &&
		    !provider_call_find(o->account, o->provider_call_id) && by_phone(o) == c)
			return true;
	}
	return false;
}

static const struct call *resolve(const struct inbox_row *m)
{
	const struct provider_call *named =
		m->provider_call_id[0] ? provider_call_find(m->account, m->provider_call_id) : NULL;

	if (named)
		return call_find(named->job_id);
	if (m->job_id[0])
		return call_find(m->job_id);
	const struct call *c = by_phone(m);
	return c && !is_contested(m, c) ? c : NULL;
}

/* A message proves its call. */
static void prove(struct call *c, const struct inbox_row *m)
{
	const struct provider_call *named =
		m->provider_call_id[0] ? provider_call_find(m->account, m->provider_call_id) : NULL;
	bool free_id = m->provider_call_id[0] && (!named || strcmp(named->job_id, c->job_id) == 0);
	const struct msg_dispatch_result r = {
		.job_id = c->job_id,
		.result = RESULT_ACCEPTED,
		.provider_call_id = free_id ? m->provider_call_id : NULL,
		.http_status = MSG_NO_INT,
		.posted_at = MSG_NO_TIME,
		.answered_at = MSG_NO_TIME,
		.retry_at = MSG_NO_TIME,
	};

	apply_one(&r);
}

/* ---- Events ---- */

static int rank_of(enum event_type t)
{
	static const int ranks[EVENT_TYPE_COUNT] = {
#define TABLE_ROW(NAME, text, rank, ...) [EVENT_##NAME] = (rank),
#include "common/tbl/event_type.h"
#undef TABLE_ROW
	};

	return ranks[t];
}

static bool is_failure(const char *outcome)
{
	static const char *const words[] = {"NO_ANSWER", "BUSY",       "FAILED",
					    "CANCELLED", "BAD_NUMBER", "UNKNOWN"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i], outcome) == 0)
			return true;
	}
	return false;
}

struct fold {
	int rank;
	bool over;
	int64_t ended_at;
	const struct inbox_row *outcome, *call_id; /* whose word counts */
};

/* The higher rank, then the earlier one. */
static bool counts_more(const struct inbox_row *a, const struct inbox_row *b)
{
	if (!b || rank_of(a->type) != rank_of(b->type))
		return !b || rank_of(a->type) > rank_of(b->type);
	if (a->occurred_at != b->occurred_at)
		return a->occurred_at < b->occurred_at;
	return strcmp(a->event_id, b->event_id) < 0;
}

static void fold_events(struct call *c, struct fold *f)
{
	*f = (struct fold){.ended_at = INT64_MAX};
	for (size_t i = 0; i < db.inbox_n; i++) {
		struct inbox_row *m = &db.inbox[i];
		if (m->is_redial || strcmp(m->call_job_id, c->job_id) != 0)
			continue;
		int rank = rank_of(m->type);
		bool ends = m->type == EVENT_ENDED || m->type == EVENT_REPORT;
		m->parked = false;
		f->rank = rank > f->rank ? rank : f->rank;
		f->over |= ends;
		if (ends && m->occurred_at < f->ended_at)
			f->ended_at = m->occurred_at;
		if (m->outcome[0] && counts_more(m, f->outcome))
			f->outcome = m;
		if (m->provider_call_id[0] && counts_more(m, f->call_id))
			f->call_id = m;
	}
}

static void apply_events(struct call *c)
{
	static const enum call_status going[] = {CALL_CALLING, CALL_CALLING, CALL_RINGING,
						 CALL_IN_PROGRESS};
	struct live *v = live_find(c->job_id);
	struct fold f;

	fold_events(c, &f);
	if (f.rank < c->event_rank)
		return;
	c->event_rank = f.rank;
	if (!c->provider_call_id[0] && f.call_id &&
	    !provider_call_find(c->account, f.call_id->provider_call_id)) {
		text_set(c->provider_call_id, sizeof(c->provider_call_id),
			 f.call_id->provider_call_id);
		provider_call_name(c);
	}
	if (f.outcome)
		text_set(c->outcome, sizeof(c->outcome), f.outcome->outcome);
	if (!f.over) {
		if (going[f.rank] > c->status && !is_over(c->status)) {
			call_move(c, going[f.rank]);
			if (v)
				v->state = going[f.rank];
		}
		return;
	}
	enum call_status end =
		f.outcome && is_failure(f.outcome->outcome) ? CALL_FAILED : CALL_COMPLETED;
	c->ended_at = f.ended_at;
	if (c->status != end)
		call_move(c, end);
	if (f.outcome)
		live_remove(c->job_id);
	else if (v && v->next_check_at > database_now() + MINUTE)
		v->next_check_at = database_now() + MINUTE;
}

/* ---- Decisions ---- */

static void redial_later(const struct call *c, const struct inbox_row *m)
{
	const struct follow_up *was = follow_up_find(c->follow_up_id);

	if (was->redials >= REDIALS_MAX || db.follow_ups_n == FOLLOW_UPS_MAX ||
	    (m->action != REDIAL_SCHEDULE && m->action != REDIAL_CALLBACK))
		return;
	struct follow_up *f = &db.follow_ups[db.follow_ups_n++];
	*f = (struct follow_up){
		.id = (int64_t)db.follow_ups_n,
		.lead_id = was->lead_id,
		.account = was->account,
		.status = FOLLOW_UP_PENDING,
		.due_at = database_now() + chance_between(SECOND, 40 * SECOND),
		.lease_until = NO_TIME,
		.redials = was->redials + 1,
	};
	f->next_look_at = f->due_at;
	text_set(f->phone, sizeof(f->phone), was->phone);
}

/* Of those that came together the first one by its time. */
static bool decides(const struct call *c, const struct inbox_row *m)
{
	for (size_t i = 0; i < db.inbox_n; i++) {
		const struct inbox_row *o = &db.inbox[i];
		if (o == m || !o->is_redial || !o->parked || strcmp(o->call_job_id, c->job_id) != 0)
			continue;
		if (o->occurred_at < m->occurred_at ||
		    (o->occurred_at == m->occurred_at && strcmp(o->event_id, m->event_id) < 0))
			return false;
	}
	return !c->decided;
}

static void apply_redial(struct call *c, struct inbox_row *m)
{
	bool first = decides(c, m);

	m->parked = false;
	if (!first)
		return;
	c->decided = true;
	c->decisions++;
	counts.decided++;
	if (m->suppress)
		suppress(c->phone);
	redial_later(c, m);
}

/* ---- A batch ---- */

static void find_calls(void)
{
	for (size_t i = 0; i < db.inbox_n; i++) {
		struct inbox_row *m = &db.inbox[i];
		if (!m->parked || m->call_job_id[0])
			continue;
		const struct call *c = resolve(m);
		if (c)
			text_set(m->call_job_id, sizeof(m->call_job_id), c->job_id);
		else
			counts.parked++;
	}
}

/* A call that a message speaks of exists. */
static void prove_calls(void)
{
	const struct inbox_row *proofs[FOLLOW_UPS_MAX] = {NULL};
	size_t n = 0;

	for (size_t i = 0; i < db.inbox_n; i++) {
		const struct inbox_row *m = &db.inbox[i];
		const struct call *c =
			m->parked && m->call_job_id[0] ? call_find(m->call_job_id) : NULL;
		bool known = !c || !is_unproved(c->status);
		for (size_t p = 0; p < n && !known; p++)
			known = strcmp(proofs[p]->call_job_id, m->call_job_id) == 0;
		if (!known)
			proofs[n++] = m;
	}
	differential_resolved(proofs, n);
	for (size_t i = 0; i < n; i++)
		prove(call_find(proofs[i]->call_job_id), proofs[i]);
}

static void apply_parked(bool redials)
{
	for (size_t i = 0; i < db.inbox_n; i++) {
		struct inbox_row *m = &db.inbox[i];
		struct call *c = m->parked && m->call_job_id[0] ? call_find(m->call_job_id) : NULL;
		if (!c || m->is_redial != redials)
			continue;
		if (is_given_up(c->status))
			sim_fail("job %s was given up as %s, and shows life", c->job_id,
				 call_status_text(c->status));
		else if (redials)
			apply_redial(c, m);
		else
			apply_events(c);
	}
}

void record_apply(void)
{
	find_calls();
	prove_calls();
	apply_parked(false);
	apply_parked(true);
	differential_apply();
	oracle_rows();
}
