/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What puts things right, every SWEEP_INTERVAL_S: jobs whose publication was never confirmed or
 * whose lease is over are published again; claims with nothing left to tell are removed; events
 * that never found their call become orphans; held follow-ups are looked at again when a window, a
 * zone or a cap changed; campaigns' calls follow their switches and hours; and the backlog is
 * measured.
 *
 * It has a connection of its own, so that long statements never hold up the scheduler.
 */
#ifndef CARILLON_PRODUCER_SWEEPER_H
#define CARILLON_PRODUCER_SWEEPER_H

#include <ev.h>
#include <stdbool.h>

#include "common/clock.h"
#include "common/config.h"
#include "producer/publisher.h"

struct sweeper;

struct sweeper_options {
	struct ev_loop *loop;
	const struct config *cfg;
	const struct clock *clock;
	struct publisher *publisher;
	bool (*may_publish)(void *arg); /* asked before jobs are published again */
	void *arg;
};

/* Never NULL: without memory the process ends. */
struct sweeper *sweeper_new(const struct sweeper_options *o);
/* No more statements; the one in flight may still publish. */
void sweeper_stop(struct sweeper *s);
/* Takes NULL. */
void sweeper_free(struct sweeper *s);

#endif
