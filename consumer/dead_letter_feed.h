/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the dead-letter topics in the table that operators look at: those of all writers, also of
 * the webhook, which may not write there. One that the recorder has written itself is known
 * already.
 */
#ifndef CARILLON_CONSUMER_DEAD_LETTER_FEED_H
#define CARILLON_CONSUMER_DEAD_LETTER_FEED_H

#include <ev.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/config.h"

struct dead_letter_feed;

/* Everything is borrowed and outlives the feed, which has its own PostgreSQL connection. */
struct dead_letter_feed_options {
	const struct config *cfg;
	const char *worker; /* name/incarnation */
	const struct clock *clock;
};

/* NULL with the reason. */
struct dead_letter_feed *dead_letter_feed_new(struct ev_loop *loop,
					      const struct dead_letter_feed_options *o,
					      struct buf *error);
/* Leaves the group; what is not written yet is read again by the next one. Takes NULL. */
void dead_letter_feed_free(struct dead_letter_feed *f);

#endif
