/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A callback waits for its acknowledgement, so messages linger only as long as it takes those of
 * the same moment to share a request.
 */
#include "webhook/outlet.h"

#include <stdlib.h>

#include "common/http_client.h"
#include "common/log.h"
#include "common/schema_registry.h"

#define LINGER_MS 2.0
#define MESSAGE_BYTES_MAX (2u << 20)
#define REGISTRY_REQUESTS 4

struct outlet {
	struct http_client *http; /* of the registry; NULL without */
	struct schema_registry *registry;
	struct kafka_producer *producer;
};

static void on_registry_error(void *arg, const char *reason)
{
	(void)arg;
	log_warn("registry.failed", LOG_STR("error", reason));
}

/* Nothing is decoded here, so no foreign id is ever asked for. */
static void on_resolved(void *arg, int32_t id, bool known)
{
	(void)arg, (void)id, (void)known;
}

static bool start_registry(struct outlet *o, struct ev_loop *loop, const struct outlet_options *oo)
{
	const char *url = config_str(oo->cfg, CONFIG_KEY_SCHEMA_REGISTRY_URL);

	if (!url)
		return true;
	const struct http_client_options ho = {
		.max_requests = REGISTRY_REQUESTS,
		.allow_insecure = true,
		.user_agent = "carillon-webhook",
		.clock = clock_system(),
	};
	o->http = http_client_new(loop, &ho);
	if (!o->http)
		return false;
	const struct schema_registry_options ro = {
		.url = url,
		.topic_prefix = config_str(oo->cfg, CONFIG_KEY_TOPIC_PREFIX),
		.http = o->http,
		.codec = oo->codec,
		.clock = clock_system(),
		.on_resolved = on_resolved,
		.on_error = on_registry_error,
	};
	o->registry = schema_registry_new(loop, &ro);
	return o->registry != NULL;
}

struct outlet *outlet_new(struct ev_loop *loop, const struct outlet_options *oo, struct buf *error)
{
	struct outlet *o = calloc(1, sizeof(*o));

	if (!o || !start_registry(o, loop, oo)) {
		buf_adds(error, "no memory");
		outlet_free(o, 0);
		return NULL;
	}
	const struct kafka_producer_options ko = {
		.settings = {.brokers = config_str(oo->cfg, CONFIG_KEY_KAFKA_BROKERS),
			     .properties_file = config_str(oo->cfg, CONFIG_KEY_KAFKA_PROPERTIES),
			     .client_id = config_str(oo->cfg, CONFIG_KEY_WORKER_NAME)},
		.linger_ms = LINGER_MS,
		.message_timeout_ms = OUTLET_TIMEOUT_MS,
		.max_messages = OUTLET_MESSAGES_MAX,
		.max_message_bytes = MESSAGE_BYTES_MAX,
		.topics = oo->topics,
		.on_delivery = oo->on_delivery,
		.arg = oo->arg,
	};
	o->producer = kafka_producer_new(loop, &ko, error);
	if (!o->producer) {
		outlet_free(o, 0);
		return NULL;
	}
	return o;
}

void outlet_free(struct outlet *o, int timeout_ms)
{
	if (!o)
		return;
	kafka_producer_free(o->producer, timeout_ms);
	http_client_free(o->http);
	schema_registry_free(o->registry);
	free(o);
}

bool outlet_produce(struct outlet *o, const struct kafka_message *m, void *opaque)
{
	return kafka_produce(o->producer, m, opaque);
}

bool outlet_is_ready(void *outlet)
{
	return kafka_producer_ready(((struct outlet *)outlet)->producer);
}

bool outlet_has_schemas(void *outlet)
{
	const struct outlet *o = outlet;

	return !o->registry || schema_registry_ready(o->registry);
}
