/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit: every AUDIT_INTERVAL_S the calls that providers list against the ledger, both ways. It
 * is the one proof from outside that nobody was rung twice and nothing is only on paper. Any number
 * of consumers share it: each takes an account and a slice of its time, one list at a time. What
 * differs is kept in audit_differences, counted, and logged when it is new.
 */
#ifndef CARILLON_CONSUMER_AUDIT_H
#define CARILLON_CONSUMER_AUDIT_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/pg.h"
#include "consumer/reference.h"

struct audit;

struct audit_state {
	int64_t open;	  /* differences that nobody resolved */
	int64_t behind_s; /* of the account that is audited least; 0 or less: all is done */
	int64_t failing;  /* accounts whose last list was not complete */
};

/* All borrowed; they outlive it. `pg` may be shared. */
struct audit_options {
	const struct config *cfg;
	struct pg *pg;
	struct reference *reference;
	const struct clock *clock;
	/* After each slice, and when nothing is due; or NULL. */
	void (*on_state)(void *arg, const struct audit_state *s);
	void *arg;
};

/* Its provider can be asked for all calls of a time; those that list by number alone (Twilio)
 * can't. */
bool audit_can_list(const struct account *a);

/* NULL without memory. */
struct audit *audit_new(struct ev_loop *loop, const struct audit_options *o);
/* Begins no further slice. */
void audit_stop(struct audit *a);
/* Takes NULL. */
void audit_free(struct audit *a);

#endif
