/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dispatcher: takes jobs from Kafka, makes them its own by one durable claim a batch, POSTs
 * them to their providers, and reports what each answer proves.
 *
 * Nothing leaves this process for a job before its claim is committed, nor after the claim's lease,
 * nor against a stop. While PostgreSQL is away nothing is read from Kafka and nothing is POSTed.
 */
#ifndef CARILLON_CONSUMER_DISPATCHER_H
#define CARILLON_CONSUMER_DISPATCHER_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/msg.h"
#include "common/schema_registry.h"
#include "consumer/publisher.h"
#include "consumer/reference.h"
#include "consumer/stop_feed.h"
#include "consumer/written.h"

struct dispatcher;

/* All borrowed; they outlive the dispatcher, which has its own PostgreSQL and HTTP connections. */
struct dispatcher_options {
	const struct config *cfg;
	struct msg_codec *codec;
	struct publisher *publisher;
	struct reference *reference;
	struct stop_feed *stop_feed;
	struct written *written;	  /* what the recorder need not apply */
	struct schema_registry *registry; /* NULL: built-in schema ids only */
	const char *worker;		  /* name/incarnation */
	const struct clock *clock;
};

/* NULL with the reason. */
struct dispatcher *dispatcher_new(struct ev_loop *loop, const struct dispatcher_options *o,
				  struct buf *error);
/* Joined its group, connected to PostgreSQL, and not stopping. */
bool dispatcher_is_ready(const struct dispatcher *d);
bool dispatcher_has_database(const struct dispatcher *d);
/* Messages that wait for its group in its partitions. */
int64_t dispatcher_lag(const struct dispatcher *d);
/* A schema id that was asked of the registry is known now, or never will be. */
void dispatcher_schema_resolved(struct dispatcher *d, int32_t id, bool known);
/*
 * Reads and claims no more; calls back from the loop when every POST is over and its result written
 * and published, at the latest after PROVIDER_TIMEOUT_S and a margin.
 */
void dispatcher_stop(struct dispatcher *d, void (*done)(void *arg), void *arg);
/* Leaves the group. Takes NULL. */
void dispatcher_free(struct dispatcher *d);

#endif
