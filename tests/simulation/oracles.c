/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of every history. O1: at the provider's at most one call for a follow-up, and for a
 * person at a time; each has its row in the ledger before it. O2: what is not final has a time at
 * which it is looked at again, and in the end all is final. O3: states move along their arrows
 * alone. O4: a call that ended is decided once. O5 is the sanitizers'.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "tests/simulation/database.h"

#define STOP_MAX_MS 1000 /* the promise: no first byte later than that after a stop */
#define SKEW_MAX_MS (30 * SECOND)

/* ---- O3 ---- */

#define BIT(status) (1u << (status))

static const unsigned call_arrows[CALL_STATUS_COUNT] = {
	[CALL_DIALING] = BIT(CALL_CALLING) | BIT(CALL_REJECTED) | BIT(CALL_NOT_DIALED) |
			 BIT(CALL_UNKNOWN) | BIT(CALL_UNDETERMINED),
	[CALL_UNKNOWN] = BIT(CALL_CALLING) | BIT(CALL_REJECTED) | BIT(CALL_NOT_DIALED) |
			 BIT(CALL_UNDETERMINED),
	[CALL_UNDETERMINED] = BIT(CALL_CALLING) | BIT(CALL_REJECTED) | BIT(CALL_NOT_DIALED),
	[CALL_CALLING] =
		BIT(CALL_RINGING) | BIT(CALL_IN_PROGRESS) | BIT(CALL_COMPLETED) | BIT(CALL_FAILED),
	[CALL_RINGING] = BIT(CALL_IN_PROGRESS) | BIT(CALL_COMPLETED) | BIT(CALL_FAILED),
	[CALL_IN_PROGRESS] = BIT(CALL_COMPLETED) | BIT(CALL_FAILED),
	[CALL_FAILED] = BIT(CALL_COMPLETED), /* its report came after all */
};

static const unsigned follow_up_arrows[FOLLOW_UP_STATUS_COUNT] = {
	[FOLLOW_UP_PENDING] =
		BIT(FOLLOW_UP_QUEUED) | BIT(FOLLOW_UP_SKIPPED) | BIT(FOLLOW_UP_PENDING),
	[FOLLOW_UP_QUEUED] =
		BIT(FOLLOW_UP_DIALING) | BIT(FOLLOW_UP_PENDING) | BIT(FOLLOW_UP_SKIPPED),
	[FOLLOW_UP_DIALING] = BIT(FOLLOW_UP_COMPLETED) | BIT(FOLLOW_UP_FAILED) |
			      BIT(FOLLOW_UP_PENDING) | BIT(FOLLOW_UP_UNDETERMINED),
	[FOLLOW_UP_UNDETERMINED] =
		BIT(FOLLOW_UP_COMPLETED) | BIT(FOLLOW_UP_FAILED) | BIT(FOLLOW_UP_PENDING),
};

void call_move(struct call *c, enum call_status to)
{
	if (!(call_arrows[c->status] & BIT(to)))
		sim_fail("O3: job %s goes from %s to %s", c->job_id, call_status_text(c->status),
			 call_status_text(to));
	sim_trace("job %s: %s -> %s", c->job_id, call_status_text(c->status), call_status_text(to));
	counts.unknown += to == CALL_UNKNOWN;
	counts.proved_absent += to == CALL_NOT_DIALED && c->status != CALL_DIALING;
	counts.found += to == CALL_CALLING && c->status != CALL_DIALING;
	c->status = to;
}

void follow_up_move(struct follow_up *f, enum follow_up_status to)
{
	if (!(follow_up_arrows[f->status] & BIT(to)))
		sim_fail("O3: follow-up %lld goes from %s to %s", (long long)f->id,
			 follow_up_status_text(f->status), follow_up_status_text(to));
	sim_trace("follow-up %lld: %s -> %s", (long long)f->id, follow_up_status_text(f->status),
		  follow_up_status_text(to));
	f->status = to;
}

/* ---- O2 ---- */

static bool has_a_time(const struct follow_up *f)
{
	switch (f->status) {
	case FOLLOW_UP_PENDING:
		return f->next_look_at != NO_TIME;
	case FOLLOW_UP_QUEUED:
		return f->lease_until != NO_TIME;
	case FOLLOW_UP_DIALING:
		return live_find(f->job_id) != NULL;
	case FOLLOW_UP_COMPLETED:
	case FOLLOW_UP_SKIPPED:
	case FOLLOW_UP_CANCELLED:
	case FOLLOW_UP_FAILED:
	case FOLLOW_UP_UNDETERMINED:
	case FOLLOW_UP_STATUS_COUNT:
		break;
	}
	return true;
}

void oracle_rows(void)
{
	for (size_t i = 0; i < db.follow_ups_n; i++) {
		if (!has_a_time(&db.follow_ups[i]))
			sim_fail("O2: follow-up %lld is %s, and nobody looks at it again",
				 (long long)db.follow_ups[i].id,
				 follow_up_status_text(db.follow_ups[i].status));
	}
	for (size_t i = 0; i < db.live_n; i++) {
		if (live_on(db.live[i].phone) != &db.live[i])
			sim_fail("O1: two live calls to %s", db.live[i].phone);
	}
}

/* ---- O1 ---- */

static void phone_in(const char *body, char ret_phone[PHONE_BYTES])
{
	const char *at = strstr(body, "\"+");

	ret_phone[0] = '\0';
	if (at)
		snprintf(ret_phone, PHONE_BYTES, "%.*s", (int)strcspn(at + 1, "\""), at + 1);
}

void oracle_posting(const char *body)
{
	char phone[PHONE_BYTES];
	int64_t now = sim_now();

	phone_in(body, phone);
	if (now > sim.stopped_at + STOP_MAX_MS && now < sim.stopped_until)
		sim_fail("O1: a POST begins %lld ms after the stop",
			 (long long)(now - sim.stopped_at));
	if (now > sim.closed_at + SKEW_MAX_MS && now < sim.opens_at)
		sim_fail("O1: a POST begins %lld ms after the window closed",
			 (long long)(now - sim.closed_at));
	for (size_t i = 0; i < db.suppressions_n; i++) {
		const struct suppression *s = &db.suppressions[i];
		if (strcmp(s->phone, phone) == 0 && database_now() > s->created_at + STOP_MAX_MS)
			sim_fail("O1: a POST to %s, who is not to be called", phone);
	}
}

void oracle_dialed(const char *job_id, const char *phone)
{
	const struct call *c = call_find(job_id), *o;
	const char *other;
	bool over;
	int here = 0;

	if (!c) {
		sim_fail("O1: job %s was dialed, and the ledger has no row of it", job_id);
		return;
	}
	if (c->fragile)
		sim_fail("O1: job %s was dialed on a claim that was not durable", job_id);
	for (size_t i = 0; provider_each(i, &other, &over); i++) {
		o = call_find(other);
		if (!o || (strcmp(other, job_id) == 0 && here++ == 0))
			continue;
		if (o->follow_up_id == c->follow_up_id)
			sim_fail("O1: follow-up %lld was dialed twice, by %s and %s",
				 (long long)c->follow_up_id, other, job_id);
		if (!over && strcmp(o->phone, phone) == 0)
			sim_fail("O1: %s was rung by %s while %s went on", phone, job_id, other);
	}
}

/* ---- The end ---- */

static bool is_final(const struct follow_up *f)
{
	return f->status != FOLLOW_UP_PENDING && f->status != FOLLOW_UP_QUEUED &&
	       f->status != FOLLOW_UP_DIALING;
}

static bool is_ended(const struct call *c)
{
	return c->status == CALL_COMPLETED || c->status == CALL_FAILED;
}

/* What keeps a history from its end, or NULL. */
static const char *unsettled(void)
{
	const char *job_id;
	bool over;

	for (size_t i = 0; i < db.live_n; i++) {
		if (db.live[i].state != CALL_UNDETERMINED)
			return "a call is live";
	}
	for (size_t i = 0; i < db.follow_ups_n; i++) {
		/* What waits for a person that only an operator can free waits rightly. */
		const struct live *v = live_on(db.follow_ups[i].phone);
		if (!is_final(&db.follow_ups[i]) && !(v && v->state == CALL_UNDETERMINED &&
						      db.follow_ups[i].status == FOLLOW_UP_PENDING))
			return "a follow-up is not final";
	}
	for (size_t i = 0; i < db.calls_n; i++) {
		if (is_ended(&db.calls[i]) && !db.calls[i].decided)
			return "an end is not decided";
	}
	for (size_t i = 0; provider_each(i, &job_id, &over); i++) {
		if (!over)
			return "the provider's call goes on";
	}
	return NULL;
}

bool oracle_is_settled(void)
{
	return sim_now() > sim.faults.until && !unsettled();
}

static bool was_dialed(const struct call *c)
{
	const char *job_id;
	bool over;

	for (size_t i = 0; provider_each(i, &job_id, &over); i++) {
		if (strcmp(job_id, c->job_id) == 0)
			return true;
	}
	return false;
}

void oracle_end(void)
{
	const char *what = unsettled();

	if (what)
		sim_fail("O2: %s, and never will", what);
	for (size_t i = 0; i < db.calls_n; i++) {
		const struct call *c = &db.calls[i];
		if (is_ended(c) && c->decisions != 1)
			sim_fail("O4: job %s was decided %d times", c->job_id, c->decisions);
		if (is_ended(c) && !was_dialed(c))
			sim_fail("O1: job %s ended, and the provider never had it", c->job_id);
		if (!is_ended(c) && c->status != CALL_UNDETERMINED && was_dialed(c))
			sim_fail("O1: job %s is %s, and the provider dialed it", c->job_id,
				 call_status_text(c->status));
	}
}
