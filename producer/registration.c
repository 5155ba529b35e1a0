/* SPDX-License-Identifier: Apache-2.0 */
/* A producer only writes, so all it needs of a registry is ids for its own schemas. */
#include "producer/registration.h"

#include <stdlib.h>

#include "common/http_client.h"
#include "common/log.h"
#include "common/schema_registry.h"

#define REQUESTS_MAX 16
#define IDLE_S 15

struct registration {
	struct msg_codec *codec;
	struct http_client *http;
	struct schema_registry *registry; /* NULL without one */
};

static void on_resolved(void *arg, int32_t id, bool known)
{
	(void)arg;
	log_debug("schema_registry.id", LOG_INT("id", id), LOG_BOOL("known", known));
}

static void on_error(void *arg, const char *reason)
{
	(void)arg;
	log_warn("schema_registry.trouble", LOG_STR("error", reason));
}

static void connect(struct registration *r, struct ev_loop *loop, const struct config *cfg,
		    const char *url)
{
	const struct http_client_options http = {
		.max_requests = REQUESTS_MAX,
		.connection_max_idle_s = IDLE_S,
		.allow_insecure = true,
		.user_agent = "carillon-producer/" CARILLON_VERSION,
		.clock = clock_system(),
	};

	r->http = http_client_new(loop, &http);
	if (!r->http)
		abort();
	const struct schema_registry_options registry = {
		.url = url,
		.topic_prefix = config_str(cfg, CONFIG_KEY_TOPIC_PREFIX),
		.http = r->http,
		.codec = r->codec,
		.on_resolved = on_resolved,
		.on_error = on_error,
		.arg = r,
	};
	r->registry = schema_registry_new(loop, &registry);
	if (!r->registry)
		abort();
}

struct registration *registration_new(struct ev_loop *loop, const struct config *cfg)
{
	const char *url = config_str(cfg, CONFIG_KEY_SCHEMA_REGISTRY_URL);
	struct registration *r = calloc(1, sizeof(*r));

	if (!r)
		abort();
	r->codec = msg_codec_new();
	if (!r->codec)
		abort();
	if (url)
		connect(r, loop, cfg, url);
	return r;
}

struct msg_codec *registration_codec(const struct registration *r)
{
	return r->codec;
}

bool registration_ready(const struct registration *r)
{
	return !r->registry || schema_registry_ready(r->registry);
}

void registration_free(struct registration *r)
{
	if (!r)
		return;
	if (r->registry) {
		http_client_free(r->http);
		schema_registry_free(r->registry);
	}
	msg_codec_free(r->codec);
	free(r);
}
