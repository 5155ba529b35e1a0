/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of proof. What exists is easy; that nothing exists is claimed only when nobody can
 * still be sending, the provider's list was complete, came from the same account and lacked the
 * call twice, further apart than a row may lag. Without that a person decides, never a timer.
 */
#include "consumer/reconcile.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "common/msg.h"

#define SILENT_MS                                                                                  \
	120000 /* a worker that fell silent may be a sleeping machine: beyond its lease and        \
		  timeout */
#define WAIT_BASE_MS 2500 /* doubles with each look */
#define WAIT_MAX_MS 60000
#define WAIT_LIVE_MS 60000 /* a call that still runs, an end that is on its way */
#define LOOKS_MIN 3	   /* before failing look-ups end in an operator's hands */
#define UNTOLD_MAX_MS 600000
#define UNTOLD_WAIT_MS 10000
#define PHONE_EARLY_MS                                                                             \
	5000 /* a call found by its number alone began after its claim, clocks granted */
#define PHONE_LATE_MS 60000
#define CLOCK_DOUBT_MS 300000 /* the most that a look-up lets two clocks differ */

static const char *const step_texts[STEP_COUNT] = {
	[STEP_WAIT] = "waiting",
	[STEP_NOTE_ABSENT] = "absent",
	[STEP_ACCEPTED] = "found",
	[STEP_ENDED] = "ended",
	[STEP_REFUSED] = "refused",
	[STEP_NOT_DIALED] = "not_dialed",
	[STEP_UNDETERMINED] = "undetermined",
	[STEP_END_UNKNOWN] = "end_unknown",
	[STEP_CALL_OFF] = "too_late",
};

const char *reconcile_step_text(enum reconcile_step s)
{
	assert(s < STEP_COUNT);
	return step_texts[s];
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t reconcile_lag_ms(const struct reconcile_policy *p, const struct adapter *ad)
{
	if (p->list_lag_ms >= 0)
		return p->list_lag_ms;
	return ad ? ad->list_lag_s * INT64_C(1000) : 0;
}

/* An earlier incarnation under our own name: that process is gone, and its unsent bytes with it. */
static bool is_predecessor(const char *worker, const char *mine)
{
	const char *slash = strrchr(mine, '/');
	size_t n = slash ? (size_t)(slash - mine) + 1 : 0;

	return n > 0 && strncmp(worker, mine, n) == 0 && strcmp(worker, mine) != 0;
}

/* Nobody who has it can send it any more. */
static int64_t over_at(const struct reconcile_policy *p, const struct check *c)
{
	return c->lease_until + p->http_timeout_ms + p->margin_ms +
	       (c->state == CALL_DIALING ? SILENT_MS : 0);
}

int64_t reconcile_quiet_at(const struct reconcile_policy *p, const struct check *c)
{
	return c->state == CALL_DIALING && is_predecessor(c->worker, p->worker) ? c->claimed_at
										: over_at(p, c);
}

int64_t reconcile_made_by(const struct reconcile_policy *p, const struct adapter *ad,
			  const struct check *c, int64_t now)
{
	/* Over there it may have waited, if the first look came late: the second reads to its own
	 * time. */
	return sooner(now, later(over_at(p, c), c->absent_at) + reconcile_lag_ms(p, ad));
}

int64_t reconcile_deadline(const struct reconcile_policy *p, const struct adapter *ad,
			   const struct check *c)
{
	int64_t wait = p->undetermined_ms;

	if (ad && ad->rows_from_end)
		wait = later(wait, p->max_call_ms + 2 * reconcile_lag_ms(p, ad));
	return c->claimed_at + wait;
}

/* To its number, and not made before it. */
static bool fits(const struct check *c, const struct found_call *f, int64_t now)
{
	return f->phone[0] && strcmp(c->phone, f->phone) == 0 &&
	       (f->created_at == MSG_NO_TIME || (f->created_at >= c->claimed_at - PHONE_EARLY_MS &&
						 f->created_at <= now + PHONE_LATE_MS));
}

/* The provider's id is that of another call, which had its answer. */
static bool is_other(const struct check *c, const struct found_call *f)
{
	size_t n = strlen(f->provider_call_id);

	for (const char *at = c->others; n > 0 && (at = strstr(at, f->provider_call_id)); at += n) {
		if ((at == c->others || at[-1] == '\n') && (at[n] == '\n' || at[n] == '\0'))
			return true;
	}
	return false;
}

bool reconcile_matches(const struct adapter *ad, const struct check *c, const struct found_call *f,
		       int64_t now)
{
	if (c->provider_call_id[0])
		return strcmp(c->provider_call_id, f->provider_call_id) == 0;
	if (f->job_id[0])
		return strcmp(c->job_id, f->job_id) == 0;
	/* Where the id comes back, a row without it is not ours. */
	if (!ad->rows_lack_id || is_other(c, f))
		return false;
	return f->created_at != MSG_NO_TIME && fits(c, f, now);
}

bool reconcile_is_doubtful(const struct adapter *ad, const struct check *c,
			   const struct found_call *f, int64_t now)
{
	if (c->provider_call_id[0] || f->job_id[0] || is_other(c, f))
		return false;
	/* No row of such a list has an id. Nothing but the number tells it from the call: clocks of
	 * two machines do not. */
	if (ad->rows_need_get)
		return !f->phone[0] || strcmp(c->phone, f->phone) == 0;
	/* Too early to be it, but not for a clock that is late. */
	if (ad->rows_lack_id)
		return strcmp(c->phone, f->phone) == 0 &&
		       (f->created_at == MSG_NO_TIME ||
			f->created_at >= c->claimed_at - CLOCK_DOUBT_MS);
	return fits(c, f, now);
}

static int64_t backoff(const struct check *c)
{
	int64_t wait = WAIT_BASE_MS;

	for (int64_t i = 1; i < c->checks && wait < WAIT_MAX_MS; i++)
		wait *= 2;
	return sooner(wait, WAIT_MAX_MS);
}

/* It waits at its provider for its turn, which would come when nobody may be rung any more. */
static bool is_too_late(const struct adapter *ad, const struct check *c, const struct found_call *f,
			int64_t now)
{
	return ad && ad->build_call_off && f->type == EVENT_QUEUED && c->dial_by != MSG_NO_TIME &&
	       now >= c->dial_by;
}

/* An accepted call whose end, or the last moment to begin, has come. */
static void decide_overdue(const struct reconcile_policy *p, const struct adapter *ad,
			   const struct check *c, const struct sight *s, int64_t now,
			   struct reconcile_decision *ret)
{
	int64_t began = c->posted_at != MSG_NO_TIME ? c->posted_at : c->claimed_at;
	int64_t deadline = began + p->max_call_ms + p->grace_ms + p->undetermined_ms;

	*ret = (struct reconcile_decision){.step = STEP_WAIT, .wait_ms = WAIT_LIVE_MS};
	/* One that is said to be in no state that we know would hold its phone for ever. */
	if (s->seen == SEEN_CALL && !s->call->vague) {
		if (s->call->ended)
			ret->step = STEP_ENDED;
		else if (is_too_late(ad, c, s->call, now))
			ret->step = STEP_CALL_OFF;
		return;
	}
	if (now >= deadline)
		ret->step = STEP_END_UNKNOWN;
	else
		ret->wait_ms = sooner(backoff(c), deadline - now);
}

static bool absence_counts(const struct reconcile_policy *p, const struct adapter *ad,
			   const struct check *c, const struct sight *s)
{
	return ad && ad->absence_is_proof && s->seen == SEEN_ABSENT && s->same_account &&
	       !c->has_event && s->asked_at >= reconcile_quiet_at(p, c);
}

/*
 * What was published by then is applied, so nothing that is on its way here knows better. A
 * recorder that is stuck holds no phone for ever; but after an outage it begins when we do.
 */
static bool was_told(const struct reconcile_policy *p, const struct check *c, int64_t by,
		     int64_t now)
{
	return c->recorded_to >= by || now >= later(by, p->began_at) + UNTOLD_MAX_MS;
}

/* Its worker can say nothing more: an answer may come as long after the lease as a request takes.
 */
static int64_t silent_at(const struct reconcile_policy *p, const struct check *c)
{
	bool gone = is_predecessor(c->worker, p->worker) && c->absent_at != MSG_NO_TIME;

	return gone ? c->absent_at : c->lease_until + p->http_timeout_ms + p->margin_ms;
}

static void decide_unknown(const struct reconcile_policy *p, const struct adapter *ad,
			   const struct check *c, const struct sight *s, int64_t now,
			   struct reconcile_decision *ret)
{
	int64_t deadline = reconcile_deadline(p, ad, c);
	int64_t lag = reconcile_lag_ms(p, ad);

	if (s->seen == SEEN_CALL) {
		ret->step = s->call->refusal != REFUSAL_NONE ? STEP_REFUSED : STEP_ACCEPTED;
		return;
	}
	bool counts = absence_counts(p, ad, c, s);
	bool again = c->absent_at != MSG_NO_TIME;
	bool told = was_told(p, c, silent_at(p, c), now);
	if (counts && again && told && s->asked_at - c->absent_at > lag) {
		ret->step = STEP_NOT_DIALED;
		return;
	}
	/* An absence earns the second look that proves it, and a failed look another one. */
	int64_t proof_at = again ? c->absent_at + lag : now + lag;
	bool looked = s->seen != SEEN_NOTHING || c->checks >= LOOKS_MIN;
	bool due = now >= deadline && !counts && looked;
	if (due && was_told(p, c, deadline, now)) {
		ret->step = STEP_UNDETERMINED;
		return;
	}
	ret->step = counts && !again ? STEP_NOTE_ABSENT : STEP_WAIT;
	ret->wait_ms = counts ? proof_at - now + 1 : backoff(c);
	int64_t quiet_at = reconcile_quiet_at(p, c);
	if (!counts && quiet_at > now)
		ret->wait_ms = sooner(ret->wait_ms, quiet_at - now + 1);
	if (!counts && deadline > now)
		ret->wait_ms = sooner(ret->wait_ms, deadline - now + 1);
	int64_t untold_ms = sooner(backoff(c), UNTOLD_WAIT_MS);
	ret->wait_ms = due ? untold_ms : later(ret->wait_ms, told ? 1 : untold_ms);
}

void reconcile_decide(const struct reconcile_policy *p, const struct adapter *ad,
		      const struct check *c, const struct sight *s, int64_t now,
		      struct reconcile_decision *ret)
{
	*ret = (struct reconcile_decision){.step = STEP_WAIT};
	if (c->state == CALL_DIALING || c->state == CALL_UNKNOWN)
		decide_unknown(p, ad, c, s, now, ret);
	else
		decide_overdue(p, ad, c, s, now, ret);
}
