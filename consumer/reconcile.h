/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What follows from looking a call up at its provider: a pure function of the call's facts, of what
 * was seen, and of the time. All times are of the database's clock, in ms.
 */
#ifndef CARILLON_CONSUMER_RECONCILE_H
#define CARILLON_CONSUMER_RECONCILE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/phone.h"
#include "common/tables.h"
#include "consumer/providers/adapter.h"

#define CHECK_WORD_BYTES 64
#define CHECK_ID_BYTES 24
#define CHECK_WORKER_BYTES 256
#define CHECK_OTHERS_BYTES 2048

/* A live call that is to be looked up. */
struct check {
	enum call_status
		state; /* dialing or unknown; calling, ringing or in_progress: its end is overdue */
	char job_id[UUID_TEXT_BYTES];
	char follow_up_id[CHECK_ID_BYTES];
	char tenant[CHECK_WORD_BYTES];
	char kind[CHECK_WORD_BYTES];
	char lead_id[CHECK_ID_BYTES];
	char phone[PHONE_BYTES];
	char account[CHECK_WORD_BYTES];
	char provider[CHECK_WORD_BYTES];
	char worker[CHECK_WORKER_BYTES];
	char fingerprint[ACCOUNT_FINGERPRINT_BYTES]; /* of the credentials it was posted with; "":
							not known */
	char provider_call_id[PROVIDER_CALL_ID_BYTES];
	char others[CHECK_OTHERS_BYTES]; /* the provider's ids of other calls to the phone, a line
					    each */
	int64_t claimed_at, lease_until;
	int64_t posted_at;   /* MSG_NO_TIME: not known */
	int64_t dial_by;     /* not to be rung after; MSG_NO_TIME: whenever */
	int64_t absent_at;   /* of the first complete list without it, or MSG_NO_TIME */
	int64_t recorded_to; /* what was published by then is applied; MSG_NO_TIME: not known */
	int64_t checks;	     /* this one included */
	bool has_event;	     /* the provider has spoken of it */
	bool hang_up;	     /* an operator wants it ended */
};

enum seen {
	SEEN_NOTHING,	/* no answer, or one that proves nothing */
	SEEN_ABSENT,	/* a complete answer without it */
	SEEN_AMBIGUOUS, /* several calls could be it */
	SEEN_CALL,
};

struct sight {
	enum seen seen;
	const struct found_call *call; /* SEEN_CALL */
	int64_t asked_at;	       /* when the look-up began */
	bool same_account;	       /* asked with the credentials the call was posted with */
};

struct reconcile_policy {
	const char *worker; /* this process: name/incarnation */
	int64_t began_at;   /* it has looked since then without a break */
	int64_t http_timeout_ms, margin_ms;
	int64_t undetermined_ms; /* UNDETERMINED_AFTER_S */
	int64_t max_call_ms, grace_ms;
	int64_t list_lag_ms; /* LIST_LAG_S; -1: the adapter's */
};

enum reconcile_step {
	STEP_WAIT,	   /* look again in wait_ms */
	STEP_NOTE_ABSENT,  /* the same, and remember that it was absent */
	STEP_ACCEPTED,	   /* it exists */
	STEP_ENDED,	   /* it exists and is over */
	STEP_REFUSED,	   /* it exists and was refused before dialing */
	STEP_NOT_DIALED,   /* proved absent */
	STEP_UNDETERMINED, /* no proof by the deadline */
	STEP_END_UNKNOWN,  /* accepted, but its end never came and can't be looked up */
	STEP_CALL_OFF, /* accepted, but not dialed when its window closed; look again in wait_ms */
	STEP_COUNT
};
/* The word of the metric. */
const char *reconcile_step_text(enum reconcile_step s);

struct reconcile_decision {
	enum reconcile_step step;
	int64_t wait_ms; /* STEP_WAIT, STEP_NOTE_ABSENT; STEP_ENDED: until the end should be
			    recorded */
};

/* `ad` may be NULL (the provider is gone from the table). */
void reconcile_decide(const struct reconcile_policy *p, const struct adapter *ad,
		      const struct check *c, const struct sight *s, int64_t now,
		      struct reconcile_decision *ret);

/* From when on absence counts: nobody can send this call any more. */
int64_t reconcile_quiet_at(const struct reconcile_policy *p, const struct check *c);
/* Until when the provider may have made the call, ms; at most `now`, when its list is asked for. */
int64_t reconcile_made_by(const struct reconcile_policy *p, const struct adapter *ad,
			  const struct check *c, int64_t now);
/* When a call without proof goes to an operator. */
int64_t reconcile_deadline(const struct reconcile_policy *p, const struct adapter *ad,
			   const struct check *c);
int64_t reconcile_lag_ms(const struct reconcile_policy *p, const struct adapter *ad);

/* Could this row of the provider be that call? */
bool reconcile_matches(const struct adapter *ad, const struct check *c, const struct found_call *f,
		       int64_t now);
/* A row that does not match because it bears no job id at all, nor is known as another call of
 * ours: with it in the list, the call is not absent. */
bool reconcile_is_doubtful(const struct adapter *ad, const struct check *c,
			   const struct found_call *f, int64_t now);

#endif
