/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the snapshot current: read when PostgreSQL connects, when it tells of a change (channel
 * carillon_settings), and now and then in case that was missed. While PostgreSQL is away the last
 * known one stays, for as long as it takes; before it was ever seen, the one of the file
 * WEBHOOK_SNAPSHOT serves.
 */
#ifndef CARILLON_WEBHOOK_SNAPSHOT_FEED_H
#define CARILLON_WEBHOOK_SNAPSHOT_FEED_H

#include <ev.h>
#include <stdbool.h>

#include "common/clock.h"
#include "common/config.h"
#include "webhook/snapshot.h"

struct snapshot_feed;

/* `cfg` and `clock` outlive it. NULL without memory. */
struct snapshot_feed *snapshot_feed_new(struct ev_loop *loop, const struct config *cfg,
					const struct clock *clock);
/* Takes NULL. */
void snapshot_feed_free(struct snapshot_feed *f);
/* NULL while there is none. Until the loop turns again. */
const struct snapshot *snapshot_feed_current(const struct snapshot_feed *f);
/* For struct readiness: takes the feed. */
bool snapshot_feed_is_ready(void *feed);

#endif
