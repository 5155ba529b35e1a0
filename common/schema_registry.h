/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client of a Confluent-compatible schema registry (SCHEMA_REGISTRY_URL, any path prefix).
 *
 * At start the built-in schemas are registered (subject <topic>-value) and their ids given to the
 * codec; an id met in a message and not known is fetched once. Without a registry nothing of this
 * is used.
 */
#ifndef CARILLON_SCHEMA_REGISTRY_H
#define CARILLON_SCHEMA_REGISTRY_H

#include <ev.h>
#include <stdbool.h>

#include "common/clock.h"
#include "common/http_client.h"
#include "common/msg.h"

struct schema_registry;

struct schema_registry_options {
	const char *url;	  /* copied */
	const char *topic_prefix; /* "carillon."; copied */
	/* Of its own, with allow_insecure: a registry is inside the network, and providers' clients
	 * refuse such addresses. */
	struct http_client *http;
	struct msg_codec *codec;
	const struct clock *clock; /* for the backoff's jitter; NULL: clock_system() */
	/*
	 * One more schema id could be resolved, or definitely not (the registry has none such, or
	 * its schema doesn't fit the message): waiting messages can be tried again.
	 */
	void (*on_resolved)(void *arg, int32_t id, bool known);
	/* A request failed and is sent again after a while, or a schema can't be used. May be NULL.
	 */
	void (*on_error)(void *arg, const char *reason);
	void *arg;
};

/* NULL without memory. The requests begin when the loop runs. */
struct schema_registry *schema_registry_new(struct ev_loop *loop,
					    const struct schema_registry_options *o);
/*
 * Takes NULL. Requests under way still point here: the HTTP client is freed before this, or right
 * after it without the loop running in between. Not from a callback.
 */
void schema_registry_free(struct schema_registry *r);
/* All our schemas are registered. Registration is retried with backoff until then. */
bool schema_registry_ready(const struct schema_registry *r);
/*
 * Asks for an id met in a message of `type`; answers by on_resolved, from the loop. Repeated asks
 * are merged. While SCHEMA_REGISTRY_ASKS_MAX are open, further ones are dropped: ask again
 * after the next on_resolved.
 */
#define SCHEMA_REGISTRY_ASKS_MAX 256
void schema_registry_resolve(struct schema_registry *r, enum msg_type type, int32_t id);

#endif
