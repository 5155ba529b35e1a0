/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From claimed rows to acknowledged jobs: encodes DispatchRequested messages, publishes them, and
 * tells which claims are wholly acknowledged.
 *
 * A claim is confirmed in PostgreSQL once Kafka has all its jobs, many claims a statement. One that
 * stays unconfirmed is published again by the sweeper, with the same job ids.
 */
#ifndef CARILLON_PRODUCER_PUBLISHER_H
#define CARILLON_PRODUCER_PUBLISHER_H

#include <ev.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/kafka.h"
#include "common/msg.h"
#include "common/pg.h"

/* A job that Kafka has not acknowledged by then has failed; its claim counts as lost a little
 * later. */
#define PUBLISH_TIMEOUT_MS 10000
#define PUBLISH_GRACE_S 15

struct publisher;

struct publisher_options {
	struct ev_loop *loop;
	const struct config *cfg;
	const struct clock *clock;
	struct msg_codec *codec;
	void (*on_room)(void *arg); /* acknowledgements came in: there may be room again */
	void *arg;
};

/* What became of one publisher_publish(). */
struct publication_result {
	size_t published;
	size_t failed;
};
typedef void publication_cb(void *arg, const struct publication_result *r);

/* Never NULL: without memory the process ends. */
struct publisher *publisher_new(const struct publisher_options *o);
/* Where claims are confirmed; must be called before the first publication. */
void publisher_set_database(struct publisher *p, struct pg *pg);
/* Opens the Kafka client, once the topics exist. False, and logged, if a property is wrong. */
bool publisher_start(struct publisher *p) __attribute__((warn_unused_result));
bool publisher_ready(const struct publisher *p);
/* How many jobs may be published now. */
size_t publisher_room(const struct publisher *p);

/*
 * Publishes the rows with row = 'job' of claim.sql or republish.sql; returns their number. `cb`
 * (may be NULL) is called once, when the last one is acknowledged or failed; from here, if none
 * could be sent.
 */
size_t publisher_publish(struct publisher *p, const PGresult *rows, publication_cb *cb, void *arg);

/* The sender of a message; told exactly once, and must stay until then. */
struct publisher_delivery {
	/* error NULL: acknowledged by all in-sync replicas. */
	void (*done)(struct publisher_delivery *d, const char *error);
};
/* Sends a message as it is. False: no room, or no client; `d` is not told then. */
bool publisher_send(struct publisher *p, const struct kafka_message *m,
		    struct publisher_delivery *d) __attribute__((warn_unused_result));
/* For reading what was published. */
struct msg_codec *publisher_codec(const struct publisher *p);

/* Sends confirmations that wait for PostgreSQL, when it is back. */
void publisher_confirm(struct publisher *p);
/* Nothing is unacknowledged and nothing unconfirmed. */
bool publisher_idle(const struct publisher *p);
/* Fails what is unacknowledged: the sweeper, here or of another producer, publishes it again. Takes
 * NULL. */
void publisher_close(struct publisher *p);
/* Takes NULL. */
void publisher_free(struct publisher *p);

#endif
