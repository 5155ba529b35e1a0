/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the consumer writes to Kafka, by one idempotent producer: our messages, and dead letters.
 *
 * Every message carries a struct delivery, embedded in its sender, which is told exactly once how
 * it went. Until then it must stay where it is.
 */
#ifndef CARILLON_CONSUMER_PUBLISHER_H
#define CARILLON_CONSUMER_PUBLISHER_H

#include <ev.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/msg.h"
#include "consumer/dead_letter.h"

struct delivery {
	/* error NULL: acknowledged by all in-sync replicas. */
	void (*done)(struct delivery *d, const char *error);
};

struct publisher;

struct publisher_options {
	const struct config *cfg;
	struct msg_codec *codec;
	const char *worker; /* client id */
	const struct clock *clock;
};

/* NULL with the reason. */
struct publisher *publisher_new(struct ev_loop *loop, const struct publisher_options *o,
				struct buf *error);
bool publisher_is_ready(const struct publisher *p);
/* Waits up to timeout_ms for acknowledgements (deliveries are told), then frees. Takes NULL. */
void publisher_free(struct publisher *p, int timeout_ms);

/* Name of the topic of a message type; lives as long as the publisher. */
const char *publisher_topic(const struct publisher *p, enum msg_type type);

/*
 * Sends a message to its topic under its envelope; `traceparent` NULL starts a new trace. False:
 * the queue is full or the message can't be encoded; `d` is not told then.
 */
bool publish(struct publisher *p, const struct msg *m, const char *traceparent, struct delivery *d)
	__attribute__((warn_unused_result));

/* All but the headers, cut to fit; `m` must outlive `ret`. */
void dead_letter_of(const rd_kafka_message_t *m, const char *reason, struct dead_letter *ret);
/*
 * The original bytes and headers with x-dlt-reason, x-dlt-topic, x-dlt-partition, x-dlt-offset and
 * Spring's kafka_dlt-* names. The offset may be stored only after `d` was told of success.
 */
bool publish_dead_letter(struct publisher *p, const struct dead_letter *l, struct delivery *d)
	__attribute__((warn_unused_result));

/* A header that tells of the dead letter, not one that its message came with. */
bool is_dead_letter_header(const char *name);

#endif
