/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the three processes share around libev: signals to a clean stop, and a watchdog that ends a
 * process whose loop hangs (librdkafka would otherwise keep its group membership alive for ever).
 *
 * One loop a process, one thread; watchers are plain structs embedded in their owners.
 */
#ifndef CARILLON_LOOP_H
#define CARILLON_LOOP_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct loop_signals {
	ev_signal term;
	ev_signal intr;
	void (*on_stop)(void *arg); /* called once, on the first SIGTERM or SIGINT */
	void *arg;
	bool stopping;
};

/* Also ignores SIGPIPE. */
void loop_signals_init(struct loop_signals *s, struct ev_loop *loop, void (*on_stop)(void *),
		       void *arg);
void loop_signals_release(struct loop_signals *s, struct ev_loop *loop);

struct loop_watchdog;
/* A thread that calls abort() when the loop has not turned for `limit_ms` (up to twice that, at
 * worst); the loop feeds it by timer. NULL without memory or thread. */
struct loop_watchdog *loop_watchdog_new(struct ev_loop *loop, int64_t limit_ms);
/* Stops and joins the thread. Takes NULL. */
void loop_watchdog_free(struct loop_watchdog *w);

#endif
