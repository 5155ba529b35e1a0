/* SPDX-License-Identifier: Apache-2.0 */
/* What the producer, the consumer and the start-up helpers of kafka.h share. */
#ifndef CARILLON_KAFKA_INTERNAL_H
#define CARILLON_KAFKA_INTERNAL_H

#include "common/kafka.h"

/* One librdkafka property; a NULL value leaves it out, a NULL name ends a table. */
struct kafka_property {
	const char *name;
	const char *value;
};

/* The text of a number, for a property. */
struct kafka_number {
	char text[32];
};
struct kafka_number kafka_int(long long v);

/*
 * A configuration from what all clients have in common, `properties`, and the settings' file, which
 * wins. NULL with all that is wrong in `error`, a line each. librdkafka's log goes nowhere: what
 * matters comes to the error callback.
 */
rd_kafka_conf_t *kafka_conf_new(const struct kafka_settings *s,
				const struct kafka_property *properties, struct buf *error);
/* A client made from a copy of `conf`; NULL with the reason in `error`, which may be NULL. */
rd_kafka_t *kafka_client_new(rd_kafka_type_t type, const rd_kafka_conf_t *conf, struct buf *error);
/*
 * Destroys a client in a thread of its own, because that can block for ever (librdkafka #4187,
 * #4724); waits at most timeout_ms for it. 0: does not wait.
 */
void kafka_client_destroy(rd_kafka_t *rk, int timeout_ms);
/* Whether a broker is connected. Blocks for a millisecond or two: ask only while in doubt. */
bool kafka_client_connected(rd_kafka_t *rk);

/* ---- A queue's wake-ups on the loop ---- */

/*
 * librdkafka writes to an eventfd when a queue turns non-empty, so whoever is woken must poll until
 * there is nothing more, or poke().
 */
struct kafka_wake {
	struct ev_loop *loop;
	ev_io io;
	rd_kafka_queue_t *queue;
};

/* False if there is no descriptor. `cb` must call kafka_wake_clear() first. */
bool kafka_wake_init(struct kafka_wake *w, struct ev_loop *loop,
		     void (*cb)(struct ev_loop *, ev_io *, int), void *data);
void kafka_wake_release(struct kafka_wake *w);
/* Follows `queue`, whose reference it takes over, and lets go of the one before; NULL: none. */
void kafka_wake_follow(struct kafka_wake *w, rd_kafka_queue_t *queue);
void kafka_wake_poke(struct kafka_wake *w);
void kafka_wake_clear(struct kafka_wake *w);

/* For tests: the client of the moment. */
struct kafka_consumer;
rd_kafka_t *kafka_consumer_client(struct kafka_consumer *c);

#endif
