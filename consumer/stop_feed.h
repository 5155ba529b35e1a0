/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stops that come between a claim and the first byte of its POST: everything, a tenant, a lane
 * or an account stopped, a number suppressed, a lead paused, closed or lost. Read on each
 * notification and twice a second; a POST whose last successful read is older than a second does
 * not start. So no body starts later than a second after such a commit.
 *
 * Each process measures how much later its last one began (carillon_stop_to_last_post_seconds):
 * once for each stop of everything, a tenant or a lane that it learns of within a minute; 0 if it
 * POSTed nothing of that scope since the stop.
 */
#ifndef CARILLON_CONSUMER_STOP_FEED_H
#define CARILLON_CONSUMER_STOP_FEED_H

#include <ev.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/pg.h"

#define STOP_FEED_MAX_AGE_MS 1000

struct stop_feed;

/* `lease_s`: a claim older than that is not sent. NULL without memory. */
struct stop_feed *stop_feed_new(struct ev_loop *loop, struct pg *pg, int64_t lease_s,
				const struct clock *clock);
/* Who can say which calls wait for their first byte: adds their job ids, separated by commas. The
 * leads of these alone are looked at. */
typedef void stop_feed_waiting(void *arg, struct buf *ret_job_ids);
void stop_feed_ask(struct stop_feed *f, stop_feed_waiting *waiting, void *arg);
/* Takes NULL. */
void stop_feed_free(struct stop_feed *f);
/* A notification, or the connection is back: read at once. */
void stop_feed_refresh(struct stop_feed *f);
/* What is known is young enough to dial by. */
bool stop_feed_is_fresh(const struct stop_feed *f);

/* What a call belongs to. */
struct stop_scope {
	const char *tenant, *lane_id, *account, *phone, *lead_id;
};
/* The word of the gate (common/tbl/gate.h, or "stop_feed" for stale) that forbids the POST; NULL:
 * none does. */
const char *stop_feed_holds(const struct stop_feed *f, const struct stop_scope *s);

/* The first byte of a POST leaves now. */
void stop_feed_posted(struct stop_feed *f, const char *tenant, const char *lane_id);

/* The last stop of everything that was measured: its time by the database's clock (0: none), and
 * how much later the last POST began. */
int64_t stop_feed_last_stop(const struct stop_feed *f, int64_t *ret_past_ms);

/* The callback of a read, for tests. */
void stop_feed_take(struct stop_feed *f, int64_t asked_at_ms, const PGresult *rows);

#endif
