/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reconciler: every SWEEP_INTERVAL_S it takes the live calls whose time has come (unknown fate,
 * a silent worker, an overdue end), asks their providers, and says what is proved, by the same
 * messages that the dispatcher and the webhook would have sent.
 *
 * Any number of them run side by side. Each step can be repeated: messages go out first, the
 * database is changed when they are acknowledged, and a call taken by one that died is taken again.
 */
#ifndef CARILLON_CONSUMER_RECONCILER_H
#define CARILLON_CONSUMER_RECONCILER_H

#include <ev.h>
#include <stdbool.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/pg.h"
#include "consumer/publisher.h"
#include "consumer/reference.h"

struct reconciler;

/* All borrowed; they outlive it. `pg` may be shared. */
struct reconciler_options {
	const struct config *cfg;
	struct pg *pg;
	struct publisher *publisher;
	struct reference *reference;
	const char *worker; /* name/incarnation */
	const struct clock *clock;
};

/* NULL without memory. */
struct reconciler *reconciler_new(struct ev_loop *loop, const struct reconciler_options *o);
/* There is something to look at now. */
void reconciler_wake(struct reconciler *r);
/* Begins no further pass. What it was about is taken again later, by this one's successor or
 * another. */
void reconciler_stop(struct reconciler *r);
/* After the publisher is gone. Takes NULL. */
void reconciler_free(struct reconciler *r);

#endif
