/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recorder: applies results, events, redial updates and stage transitions to PostgreSQL, each
 * batch one transaction that also stores the partitions' offsets.
 */
#ifndef CARILLON_CONSUMER_RECORDER_H
#define CARILLON_CONSUMER_RECORDER_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/msg.h"
#include "common/schema_registry.h"
#include "consumer/publisher.h"
#include "consumer/written.h"

struct recorder;

/* Everything is borrowed and outlives the recorder, which has its own PostgreSQL connection. */
struct recorder_options {
	const struct config *cfg;
	struct msg_codec *codec;
	struct publisher *publisher;	  /* for dead letters */
	struct written *written;	  /* the dispatcher's notes */
	struct schema_registry *registry; /* NULL: built-in schema ids only */
	const char *worker;		  /* name/incarnation */
	const struct clock *clock;
};

/* NULL with the reason. */
struct recorder *recorder_new(struct ev_loop *loop, const struct recorder_options *o,
			      struct buf *error);
/* Joined its group and connected to PostgreSQL. */
bool recorder_is_ready(const struct recorder *r);
bool recorder_has_database(const struct recorder *r);
/* Messages that wait for its group in its partitions. */
int64_t recorder_lag(const struct recorder *r);
/* A schema id that was asked of the registry is known now, or never will be. */
void recorder_schema_resolved(struct recorder *r, int32_t id, bool known);
/* Reads no more; calls back from the loop when the last batch is over. */
void recorder_stop(struct recorder *r, void (*done)(void *arg), void *arg);
/* Leaves the group. Takes NULL. */
void recorder_free(struct recorder *r);

#endif
