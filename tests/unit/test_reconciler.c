/* SPDX-License-Identifier: Apache-2.0 */
/* What follows from a look-up, on a virtual clock: windows, proof of absence, deadlines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/msg.h"
#include "consumer/reconcile.h"

#define T0 INT64_C(1767630000000)
#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define JOB "01890a5d-ac96-774b-bcce-b302099a8057"
#define OTHER_JOB "01890a5d-ac96-774b-bcce-b302099a8058"

static const struct reconcile_policy policy = {
	.worker = "w1/second",
	.http_timeout_ms = 20 * SECOND,
	.margin_ms = 5 * SECOND,
	.undetermined_ms = 10 * MINUTE,
	.max_call_ms = 15 * MINUTE,
	.grace_ms = 5 * MINUTE,
	.list_lag_ms = -1,
};

/* Claimed at T0 with a lease of a minute; nobody can send it after 85 s. */
static struct check unknown_call(void)
{
	return (struct check){
		.state = CALL_UNKNOWN,
		.job_id = JOB,
		.phone = "+12025550101",
		.worker = "w2/x",
		.claimed_at = T0,
		.lease_until = T0 + MINUTE,
		.posted_at = MSG_NO_TIME,
		.dial_by = MSG_NO_TIME,
		.absent_at = MSG_NO_TIME,
		.recorded_to = INT64_MAX,
		.checks = 1,
	};
}

static struct reconcile_decision decide(const struct adapter *ad, const struct check *c,
					enum seen seen, int64_t now)
{
	struct found_call call;
	struct reconcile_decision d;

	found_call_init(&call);
	const struct sight s = {.seen = seen,
				.call = seen == SEEN_CALL ? &call : NULL,
				.asked_at = now,
				.same_account = true};
	reconcile_decide(&policy, ad, c, &s, now, &d);
	return d;
}

static void assert_step(struct reconcile_decision d, enum reconcile_step step)
{
	assert_string_equal(reconcile_step_text(d.step), reconcile_step_text(step));
	if (step == STEP_WAIT || step == STEP_NOTE_ABSENT)
		assert_true(d.wait_ms > 0 && d.wait_ms <= 15 * MINUTE);
}

/* ---- Proof of absence ---- */

static void test_absent_twice(void **state)
{
	struct check c = unknown_call();
	struct reconcile_decision d;

	(void)state;
	/* While somebody could still be sending, absence is no sight at all. */
	d = decide(&vapi_adapter, &c, SEEN_ABSENT, T0 + 84 * SECOND);
	assert_step(d, STEP_WAIT);
	assert_true(d.wait_ms <= SECOND + 1);
	d = decide(&vapi_adapter, &c, SEEN_ABSENT, T0 + 85 * SECOND);
	assert_step(d, STEP_NOTE_ABSENT);
	assert_int_equal(d.wait_ms, 60 * SECOND + 1);
	/* The second one counts only after the lag. */
	c.absent_at = T0 + 85 * SECOND;
	c.checks = 2;
	assert_step(decide(&vapi_adapter, &c, SEEN_ABSENT, T0 + 145 * SECOND), STEP_WAIT);
	assert_step(decide(&vapi_adapter, &c, SEEN_ABSENT, T0 + 145 * SECOND + 1), STEP_NOT_DIALED);
}

static void test_absence_that_proves_nothing(void **state)
{
	struct check c = unknown_call();
	struct sight s = {.seen = SEEN_ABSENT, .asked_at = T0 + 5 * MINUTE, .same_account = true};
	struct reconcile_decision d;

	(void)state;
	c.absent_at = T0 + 2 * MINUTE;
	reconcile_decide(&policy, &vapi_adapter, &c, &s, T0 + 5 * MINUTE, &d);
	assert_step(d, STEP_NOT_DIALED);
	/* Another account's list. */
	s.same_account = false;
	reconcile_decide(&policy, &vapi_adapter, &c, &s, T0 + 5 * MINUTE, &d);
	assert_step(d, STEP_WAIT);
	s.same_account = true;
	/* The provider has spoken of the call. */
	c.has_event = true;
	reconcile_decide(&policy, &vapi_adapter, &c, &s, T0 + 5 * MINUTE, &d);
	assert_step(d, STEP_WAIT);
	c.has_event = false;
	/* An incomplete list, several candidates, a provider whose list is no proof, none at all.
	 */
	assert_step(decide(&vapi_adapter, &c, SEEN_NOTHING, T0 + 5 * MINUTE), STEP_WAIT);
	assert_step(decide(&vapi_adapter, &c, SEEN_AMBIGUOUS, T0 + 5 * MINUTE), STEP_WAIT);
	assert_step(decide(&omni_adapter, &c, SEEN_ABSENT, T0 + 5 * MINUTE), STEP_WAIT);
	assert_step(decide(NULL, &c, SEEN_ABSENT, T0 + 5 * MINUTE), STEP_WAIT);
}

/* What was published before the worker fell silent may still be on its way to the ledger. */
static void test_untold(void **state)
{
	struct check c = unknown_call();
	int64_t silent_at = c.lease_until + policy.http_timeout_ms + policy.margin_ms;

	(void)state;
	c.checks = 4;
	c.absent_at = T0 + 2 * MINUTE;
	c.recorded_to = MSG_NO_TIME;
	assert_step(decide(&vapi_adapter, &c, SEEN_ABSENT, T0 + 5 * MINUTE), STEP_WAIT);
	c.recorded_to = silent_at - 1;
	struct reconcile_decision d = decide(&vapi_adapter, &c, SEEN_ABSENT, T0 + 5 * MINUTE);
	assert_step(d, STEP_WAIT);
	assert_int_equal(d.wait_ms, 10 * SECOND);
	c.recorded_to = silent_at;
	assert_step(decide(&vapi_adapter, &c, SEEN_ABSENT, T0 + 5 * MINUTE), STEP_NOT_DIALED);
	/* Of a predecessor of ours all was published before we began. */
	c.state = CALL_DIALING;
	c.recorded_to = c.absent_at = T0 + 20 * SECOND;
	snprintf(c.worker, sizeof(c.worker), "w1/first");
	assert_step(decide(&vapi_adapter, &c, SEEN_ABSENT, T0 + 90 * SECOND), STEP_NOT_DIALED);
	c.recorded_to--;
	assert_step(decide(&vapi_adapter, &c, SEEN_ABSENT, T0 + 90 * SECOND), STEP_WAIT);
}

/* Nor does an operator decide before: an event may say it. A recorder that is stuck is not waited
 * for, but one that begins with us after an outage. */
static void test_untold_at_the_deadline(void **state)
{
	struct check c = unknown_call();
	struct reconcile_policy p = policy;
	struct reconcile_decision d;
	int64_t deadline = reconcile_deadline(&policy, &vapi_adapter, &c);
	struct sight s = {.seen = SEEN_AMBIGUOUS, .asked_at = deadline, .same_account = true};

	(void)state;
	c.checks = 4;
	c.recorded_to = deadline;
	assert_step(decide(&vapi_adapter, &c, SEEN_AMBIGUOUS, deadline), STEP_UNDETERMINED);
	c.recorded_to--;
	d = decide(&vapi_adapter, &c, SEEN_AMBIGUOUS, deadline);
	assert_step(d, STEP_WAIT);
	assert_int_equal(d.wait_ms, 10 * SECOND);
	assert_step(decide(&vapi_adapter, &c, SEEN_AMBIGUOUS, deadline + 10 * MINUTE),
		    STEP_UNDETERMINED);
	p.began_at = deadline + 60 * MINUTE;
	reconcile_decide(&p, &vapi_adapter, &c, &s, p.began_at + 10 * MINUTE - 1, &d);
	assert_step(d, STEP_WAIT);
	reconcile_decide(&p, &vapi_adapter, &c, &s, p.began_at + 10 * MINUTE, &d);
	assert_step(d, STEP_UNDETERMINED);
}

/* The list was asked before the lease ended, and answered after: it counts for the time it was
 * asked. */
static void test_slow_list(void **state)
{
	struct check c = unknown_call();
	const struct sight s = {
		.seen = SEEN_ABSENT, .asked_at = T0 + 80 * SECOND, .same_account = true};
	struct reconcile_decision d;

	(void)state;
	reconcile_decide(&policy, &vapi_adapter, &c, &s, T0 + 90 * SECOND, &d);
	assert_step(d, STEP_WAIT);
}

static void test_silent_worker(void **state)
{
	struct check c = unknown_call();

	(void)state;
	c.state = CALL_DIALING;
	/* A sleeping machine: two minutes more. */
	assert_int_equal(reconcile_quiet_at(&policy, &c), T0 + 205 * SECOND);
	assert_step(decide(&vapi_adapter, &c, SEEN_ABSENT, T0 + 204 * SECOND), STEP_WAIT);
	assert_step(decide(&vapi_adapter, &c, SEEN_ABSENT, T0 + 205 * SECOND), STEP_NOTE_ABSENT);
	/* Our own predecessor is gone. */
	snprintf(c.worker, sizeof(c.worker), "w1/first");
	assert_int_equal(reconcile_quiet_at(&policy, &c), T0);
	assert_step(decide(&vapi_adapter, &c, SEEN_ABSENT, T0 + 5 * SECOND), STEP_NOTE_ABSENT);
	/* We are not, nor is one whose name only begins like ours. */
	snprintf(c.worker, sizeof(c.worker), "w1/second");
	assert_int_equal(reconcile_quiet_at(&policy, &c), T0 + 205 * SECOND);
	snprintf(c.worker, sizeof(c.worker), "w11/first");
	assert_int_equal(reconcile_quiet_at(&policy, &c), T0 + 205 * SECOND);
}

/* Until when a list has to be read for a call that may be in it. */
static void test_made_by(void **state)
{
	struct check c = unknown_call();

	(void)state;
	/* Nobody sends any more at 85 s, and what was sent shows a lag later. */
	assert_int_equal(reconcile_made_by(&policy, &vapi_adapter, &c, T0 + 900 * SECOND),
			 T0 + 145 * SECOND);
	assert_int_equal(reconcile_made_by(&policy, &vapi_adapter, &c, T0 + 20 * SECOND),
			 T0 + 20 * SECOND);
	/* It may have waited at the provider until after a first look that came late. */
	c.absent_at = T0 + 190 * SECOND;
	assert_int_equal(reconcile_made_by(&policy, &vapi_adapter, &c, T0 + 251 * SECOND),
			 T0 + 250 * SECOND);
	/* Our predecessor may have posted it after its claim. */
	c.absent_at = MSG_NO_TIME;
	c.state = CALL_DIALING;
	snprintf(c.worker, sizeof(c.worker), "w1/first");
	assert_int_equal(reconcile_made_by(&policy, &vapi_adapter, &c, T0 + 900 * SECOND),
			 T0 + 265 * SECOND);
}

static void test_lag_setting(void **state)
{
	struct reconcile_policy p = policy;

	(void)state;
	assert_int_equal(reconcile_lag_ms(&p, &vapi_adapter), 60 * SECOND);
	p.list_lag_ms = 0;
	assert_int_equal(reconcile_lag_ms(&p, &vapi_adapter), 0);
	p.list_lag_ms = 2 * SECOND;
	assert_int_equal(reconcile_lag_ms(&p, &omni_adapter), 2 * SECOND);
}

/* ---- Deadlines ---- */

static void test_deadlines(void **state)
{
	struct check c = unknown_call();

	(void)state;
	assert_int_equal(reconcile_deadline(&policy, &vapi_adapter, &c), T0 + 10 * MINUTE);
	/* Rows from the end: the longest call, and twice the lag. */
	assert_int_equal(reconcile_deadline(&policy, &omni_adapter, &c), T0 + 19 * MINUTE);
	c.checks = 9;
	assert_step(decide(&omni_adapter, &c, SEEN_ABSENT, T0 + 19 * MINUTE - 1), STEP_WAIT);
	assert_step(decide(&omni_adapter, &c, SEEN_ABSENT, T0 + 19 * MINUTE), STEP_UNDETERMINED);
	assert_step(decide(&omni_adapter, &c, SEEN_AMBIGUOUS, T0 + 19 * MINUTE), STEP_UNDETERMINED);
	assert_step(decide(&vapi_adapter, &c, SEEN_NOTHING, T0 + 10 * MINUTE), STEP_UNDETERMINED);
	assert_step(decide(NULL, &c, SEEN_NOTHING, T0 + 10 * MINUTE), STEP_UNDETERMINED);
	/* Found at last. */
	assert_step(decide(&omni_adapter, &c, SEEN_CALL, T0 + 60 * MINUTE), STEP_ACCEPTED);
}

/* After an hour without a consumer: absence still earns its second look, and a failing list a few.
 */
static void test_late_first_look(void **state)
{
	struct check c = unknown_call();
	int64_t now = T0 + 60 * MINUTE;

	(void)state;
	assert_step(decide(&vapi_adapter, &c, SEEN_ABSENT, now), STEP_NOTE_ABSENT);
	assert_step(decide(&vapi_adapter, &c, SEEN_NOTHING, now), STEP_WAIT);
	c.absent_at = now;
	c.checks = 2;
	assert_step(decide(&vapi_adapter, &c, SEEN_ABSENT, now + 61 * SECOND), STEP_NOT_DIALED);
	c.checks = 3;
	assert_step(decide(&vapi_adapter, &c, SEEN_NOTHING, now + 61 * SECOND), STEP_UNDETERMINED);
}

/* Whatever is seen, a call without proof ends: no sequence of waits is endless. */
static void test_waits_end(void **state)
{
	const struct adapter *const adapters[] = {&omni_adapter, &vapi_adapter, &bland_adapter,
						  NULL};
	const enum seen sights[] = {SEEN_NOTHING, SEEN_ABSENT, SEEN_AMBIGUOUS};

	(void)state;
	for (size_t i = 0; i < 12; i++) {
		const struct adapter *ad = adapters[i / 3];
		struct check c = unknown_call();
		struct reconcile_decision d = {.step = STEP_WAIT};
		int64_t now = T0 + 5 * SECOND;
		for (int look = 0; look < 100; look++, now += d.wait_ms) {
			c.checks = look + 1;
			d = decide(ad, &c, sights[i % 3], now);
			if (d.step == STEP_NOTE_ABSENT)
				c.absent_at = now;
			else if (d.step != STEP_WAIT)
				break;
			assert_true(d.wait_ms > 0);
		}
		bool proved = ad && ad->absence_is_proof && sights[i % 3] == SEEN_ABSENT;
		assert_step(d, proved ? STEP_NOT_DIALED : STEP_UNDETERMINED);
		assert_true(now <= T0 + 21 * MINUTE);
	}
}

/* ---- Found ---- */

static void test_found(void **state)
{
	struct check c = unknown_call();
	struct found_call call;
	struct reconcile_decision d;
	struct sight s = {.seen = SEEN_CALL, .call = &call, .asked_at = T0};

	(void)state;
	found_call_init(&call);
	/* Even at once, and by whomever's credentials. */
	reconcile_decide(&policy, &vapi_adapter, &c, &s, T0 + SECOND, &d);
	assert_step(d, STEP_ACCEPTED);
	call.ended = true;
	reconcile_decide(&policy, &vapi_adapter, &c, &s, T0 + SECOND, &d);
	assert_step(d, STEP_ACCEPTED);
	call.refusal = REFUSAL_ACCOUNT;
	reconcile_decide(&policy, &vapi_adapter, &c, &s, T0 + SECOND, &d);
	assert_step(d, STEP_REFUSED);
}

static void test_overdue_end(void **state)
{
	struct check c = unknown_call();
	struct found_call call;
	struct sight s = {.seen = SEEN_CALL, .call = &call, .asked_at = T0 + 20 * MINUTE};
	struct reconcile_decision d;

	(void)state;
	c.state = CALL_CALLING;
	c.posted_at = T0 + SECOND;
	snprintf(c.provider_call_id, sizeof(c.provider_call_id), "c-1");
	found_call_init(&call);
	reconcile_decide(&policy, &vapi_adapter, &c, &s, T0 + 20 * MINUTE, &d);
	assert_step(d, STEP_WAIT);
	/* However long it is seen to go on; but not in a state that nobody knows. */
	reconcile_decide(&policy, &vapi_adapter, &c, &s, T0 + 300 * MINUTE, &d);
	assert_step(d, STEP_WAIT);
	call.vague = true;
	reconcile_decide(&policy, &vapi_adapter, &c, &s, T0 + 20 * MINUTE, &d);
	assert_step(d, STEP_WAIT);
	reconcile_decide(&policy, &vapi_adapter, &c, &s, T0 + 300 * MINUTE, &d);
	assert_step(d, STEP_END_UNKNOWN);
	call.vague = false;
	call.ended = true;
	reconcile_decide(&policy, &vapi_adapter, &c, &s, T0 + 20 * MINUTE, &d);
	assert_step(d, STEP_ENDED);
	assert_true(d.wait_ms > 0);
	/* Never undialed, whatever the list lacks; its end is given up at last. */
	s.seen = SEEN_ABSENT;
	s.same_account = true;
	c.absent_at = T0 + 10 * MINUTE;
	reconcile_decide(&policy, &vapi_adapter, &c, &s, T0 + 30 * MINUTE, &d);
	assert_step(d, STEP_WAIT);
	assert_true(d.wait_ms <= MINUTE);
	reconcile_decide(&policy, &vapi_adapter, &c, &s, T0 + 30 * MINUTE + SECOND, &d);
	assert_step(d, STEP_END_UNKNOWN);
}

/* Called off only if its window is closed, nothing rings yet, and its provider takes calls back. */
static void test_too_late_to_begin(void **state)
{
	struct check c = unknown_call();
	struct found_call call;
	struct sight s = {.seen = SEEN_CALL, .call = &call, .asked_at = T0 + 2 * MINUTE};
	struct reconcile_decision d;

	(void)state;
	c.state = CALL_CALLING;
	c.posted_at = T0 + SECOND;
	c.dial_by = T0 + 2 * MINUTE;
	snprintf(c.provider_call_id, sizeof(c.provider_call_id), "c-1");
	found_call_init(&call);
	call.type = EVENT_QUEUED;
	reconcile_decide(&policy, &twilio_adapter, &c, &s, T0 + 2 * MINUTE - 1, &d);
	assert_step(d, STEP_WAIT);
	reconcile_decide(&policy, &twilio_adapter, &c, &s, T0 + 2 * MINUTE, &d);
	assert_step(d, STEP_CALL_OFF);
	assert_true(d.wait_ms > 0 && d.wait_ms <= MINUTE);
	reconcile_decide(&policy, &vapi_adapter, &c, &s, T0 + 2 * MINUTE, &d);
	assert_step(d, STEP_WAIT);
	call.type = EVENT_RINGING;
	reconcile_decide(&policy, &twilio_adapter, &c, &s, T0 + 2 * MINUTE, &d);
	assert_step(d, STEP_WAIT);
	call.type = EVENT_QUEUED;
	call.ended = true;
	reconcile_decide(&policy, &twilio_adapter, &c, &s, T0 + 2 * MINUTE, &d);
	assert_step(d, STEP_ENDED);
	call.ended = false;
	c.dial_by = MSG_NO_TIME;
	reconcile_decide(&policy, &twilio_adapter, &c, &s, T0 + 9 * MINUTE, &d);
	assert_step(d, STEP_WAIT);
}

/* ---- Which row is it? ---- */

static bool matches(const struct adapter *ad, const struct check *c, const char *job,
		    const char *phone, int64_t created_at)
{
	struct found_call f;

	found_call_init(&f);
	snprintf(f.provider_call_id, sizeof(f.provider_call_id), "p-1");
	snprintf(f.job_id, sizeof(f.job_id), "%s", job);
	snprintf(f.phone, sizeof(f.phone), "%s", phone);
	f.created_at = created_at;
	return reconcile_matches(ad, c, &f, T0 + 10 * MINUTE);
}

static void test_matches(void **state)
{
	struct check c = unknown_call();

	(void)state;
	assert_true(matches(&vapi_adapter, &c, JOB, "", MSG_NO_TIME));
	assert_false(matches(&vapi_adapter, &c, OTHER_JOB, "+12025550101", T0));
	/* Where ids come back, a number alone says nothing. */
	assert_false(matches(&vapi_adapter, &c, "", "+12025550101", T0 + SECOND));
	/* Where they don't: the number, begun after the claim. */
	assert_true(matches(&omni_adapter, &c, "", "+12025550101", T0 + SECOND));
	assert_true(matches(&omni_adapter, &c, "", "+12025550101", T0 - 5 * SECOND));
	assert_false(matches(&omni_adapter, &c, "", "+12025550101", T0 - 6 * SECOND));
	assert_false(matches(&omni_adapter, &c, "", "+12025550101", T0 + 12 * MINUTE));
	assert_false(matches(&omni_adapter, &c, "", "+12025550101", MSG_NO_TIME));
	assert_false(matches(&omni_adapter, &c, "", "+12025550102", T0 + SECOND));
	assert_false(matches(&omni_adapter, &c, "", "", T0 + SECOND));
	/* The provider's id, once known, decides alone. */
	snprintf(c.provider_call_id, sizeof(c.provider_call_id), "p-1");
	assert_true(matches(&omni_adapter, &c, "", "+12025550199", MSG_NO_TIME));
	snprintf(c.provider_call_id, sizeof(c.provider_call_id), "p-2");
	assert_false(matches(&omni_adapter, &c, "", "+12025550101", T0 + SECOND));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_absent_twice),
		cmocka_unit_test(test_untold),
		cmocka_unit_test(test_untold_at_the_deadline),
		cmocka_unit_test(test_absence_that_proves_nothing),
		cmocka_unit_test(test_slow_list),
		cmocka_unit_test(test_silent_worker),
		cmocka_unit_test(test_made_by),
		cmocka_unit_test(test_lag_setting),
		cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_late_first_look),
		cmocka_unit_test(test_waits_end),
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_overdue_end),
		cmocka_unit_test(test_too_late_to_begin),
		cmocka_unit_test(test_matches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
