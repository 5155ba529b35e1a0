/* SPDX-License-Identifier: Apache-2.0 */
/* What reconciler.c (passes), reconcile_rows.c (what is to be looked up) and reconcile_report.c
 * (what is said of a finding) share. */
#ifndef CARILLON_CONSUMER_RECONCILER_INTERNAL_H
#define CARILLON_CONSUMER_RECONCILER_INTERNAL_H

#include <libpq-fe.h>

#include "common/msg.h"
#include "consumer/hang_up.h"
#include "consumer/lookup.h"
#include "consumer/reconciler.h"
#include "consumer/result_batch.h"

#define FINDING_MESSAGES_MAX 4 /* result, event, redial, stage */

/* One call of a pass. */
struct finding {
	struct reconciler *r;
	struct check check;
	struct lookup_target target;
	bool looked; /* the look-up is over, or there can't be one */
	int64_t asked_at;

	struct hang_up hang_up;
	struct reconcile_decision decision;
	struct msg_dispatch_result
		result; /* of ACCEPTED, REFUSED, NOT_DIALED; borrows from the rest */
	char result_call_id[PROVIDER_CALL_ID_BYTES];
	char event_id[UUID_TEXT_BYTES + 16];
	struct publisher *publisher;
	struct msg end; /* goes last: with it recorded nobody looks at the call again */
	struct found_call end_of;
	bool end_waits;
	struct finding_delivery {
		struct delivery delivery;
		struct finding *f;
	} deliveries[FINDING_MESSAGES_MAX];
	size_t sent, waiting;
	bool failed; /* a message was not acknowledged: nothing is written, the call is taken again
		      */
	bool done;
};

void check_read(struct check *c, const PGresult *rows, int row);

/* Publishes what the decision says, an end when all else is acknowledged; finding_published()
 * follows, at once if there is nothing to say. */
void finding_publish(struct finding *f, const struct found_call *call, struct publisher *p,
		     const struct rule_set *rules, const char *worker, int64_t wall_ms);
/* In reconciler.c: every message of the finding is acknowledged or has failed. */
void finding_published(struct finding *f);

#endif
