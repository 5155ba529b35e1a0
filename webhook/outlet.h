/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way out: Kafka producer and, where there is one, schema registry. Until our schemas are
 * registered nothing may be published, for readers could not decode it.
 */
#ifndef CARILLON_WEBHOOK_OUTLET_H
#define CARILLON_WEBHOOK_OUTLET_H

#include <ev.h>
#include <stdbool.h>

#include "common/config.h"
#include "common/kafka.h"
#include "common/msg.h"

#define OUTLET_MESSAGES_MAX 12288 /* not acknowledged at once */
#define OUTLET_TIMEOUT_MS 7000	  /* after which a message has failed */

struct outlet;

struct outlet_options {
	const struct config *cfg;
	struct msg_codec *codec;
	const char *const *topics; /* NULL-terminated */
	kafka_delivery_cb *on_delivery;
	void *arg;
};

/* NULL with the reason. */
struct outlet *outlet_new(struct ev_loop *loop, const struct outlet_options *o, struct buf *error);
/* Waits up to timeout_ms for acknowledgements (on_delivery is called for every message), then
 * frees. Takes NULL. */
void outlet_free(struct outlet *o, int timeout_ms);
bool outlet_produce(struct outlet *o, const struct kafka_message *m, void *opaque)
	__attribute__((warn_unused_result));

/* For struct readiness: both take the outlet. */
bool outlet_is_ready(void *outlet);    /* Kafka can be reached */
bool outlet_has_schemas(void *outlet); /* they are registered, or need not be */

#endif
