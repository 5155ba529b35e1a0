/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A row of `processes` that says every two seconds that this one lives, with what it alone knows.
 * It is for people: nothing is decided by it.
 */
#ifndef CARILLON_HEARTBEAT_H
#define CARILLON_HEARTBEAT_H

#include <ev.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/pg.h"

struct heartbeat_facts {
	struct buf lag;	       /* a JSON object: messages behind, by group; empty: none are known */
	int64_t stopped_at_ms; /* the last stop of everything, by the database's clock; 0: none */
	int64_t stop_ms;       /* from it to the first byte of the last POST */
};

struct heartbeat_options {
	const char *name;	    /* of the process; its instance is WORKER_NAME */
	const struct pg_stmt *stmt; /* common/sql/heartbeat.sql */
	const struct clock *clock;
	void (*fill)(void *arg, struct heartbeat_facts *facts); /* or NULL */
	void (*on_error)(void *arg, const char *reason);
	void *arg;
};

struct heartbeat;

/* Copies the options. Never NULL. */
struct heartbeat *heartbeat_new(struct ev_loop *loop, const struct config *cfg,
				const struct heartbeat_options *o);
/* Takes NULL. */
void heartbeat_free(struct heartbeat *h);

#endif
