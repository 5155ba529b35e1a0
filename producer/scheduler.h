/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the producer looks at the queue, and for whom.
 *
 * It sleeps until the next follow-up falls due, PostgreSQL notifies, a request asks, Kafka has room
 * again, or TICK_MS is over; then it makes a pass. One pass is in flight at a time, and the next
 * one may be while the jobs of the former are on their way to Kafka. Nothing is claimed while
 * PostgreSQL or Kafka is away or too many jobs are unacknowledged.
 */
#ifndef CARILLON_PRODUCER_SCHEDULER_H
#define CARILLON_PRODUCER_SCHEDULER_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/clock.h"
#include "common/config.h"
#include "producer/pass.h"
#include "producer/publisher.h"

struct scheduler;

struct scheduler_options {
	struct ev_loop *loop;
	const struct config *cfg;
	const struct clock *clock;
	struct publisher *publisher;
	bool (*may_publish)(void *arg); /* topics and schemas are there */
	void *arg;
};

/*
 * Connects to PostgreSQL and does the setup as soon as it can. Never NULL: without memory the
 * process ends.
 */
struct scheduler *scheduler_new(const struct scheduler_options *o);
/* PostgreSQL is connected and the setup is done. */
bool scheduler_ready(const struct scheduler *s);
/* There may be something to do that could not be done before. */
void scheduler_wake(struct scheduler *s);
/* The publisher has room again, or has nothing more under way. */
void scheduler_on_room(struct scheduler *s);

/* ---- A run on request: seeds and dispatches the lead source ---- */

struct dispatch_answer {
	const char *problem; /* NULL, or why it could not be done */
	bool stopped;	     /* the kill switch is on: nothing was done */
	size_t seeded;
	size_t published;   /* acknowledged by Kafka */
	size_t unpublished; /* not acknowledged: published again later */
	struct gate_counts gates;
	const char
		*claims; /* of its jobs: an array literal of bigint; NULL if there are too many */
};
typedef void dispatch_cb(void *arg, const struct dispatch_answer *a);

/*
 * Runs queue up and are done one after the other; `cb` is called once, when all jobs of the run are
 * acknowledged, or at once if too many runs wait.
 */
void scheduler_dispatch(struct scheduler *s, dispatch_cb *cb, void *arg);

/* ---- The end ---- */

/*
 * No more passes; calls `done` from the loop when everything claimed is acknowledged and confirmed,
 * or after 10 s.
 */
void scheduler_drain(struct scheduler *s, void (*done)(void *arg), void *arg);
/* Takes NULL. Runs that wait are answered. The publisher must be closed before, and freed after. */
void scheduler_free(struct scheduler *s);

#endif
