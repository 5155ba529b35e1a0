/* SPDX-License-Identifier: Apache-2.0 */
/* All routes: single ones, and those of resources, a row an endpoint. Those that need no key say so
 * in their handlers' files. */
#include "producer/api/routes.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/process.h"
#include "producer_sql.h"

#define CONNECTIONS_MAX 1024
#define HEADER_TIMEOUT_MS 5000
#define REQUEST_TIMEOUT_MS 30000
#define FINISH_S 1.0
#define REASON_BYTES 512
#define ROUTES_MAX 128
#define NO_BODY 0
#define KEY_BODY 8192
#define SMALL_BODY 65536 /* of what changes things, unless its row says more */

static const struct http_route single[] = {
	{"GET", "/healthz", handle_healthz, NO_BODY},
	{"GET", "/readyz", handle_readyz, NO_BODY},
	{"GET", "/metrics", handle_metrics, NO_BODY},
#define STANDING_ROUTES 3

	{"GET", "/", handle_page, NO_BODY},
	{"GET", "/page/{name}", handle_page, NO_BODY},
	{"GET", "/api/session", handle_session, NO_BODY},
	{"POST", "/api/session", handle_session_begin, KEY_BODY},
	{"DELETE", "/api/session", handle_session_end, NO_BODY},

	{"GET", "/api/live", handle_live, NO_BODY},

	{"GET", "/openapi.json", handle_openapi, NO_BODY},
	{"GET,POST", "/api/jobs/call-dispatch", handle_call_dispatch, SMALL_BODY},

	{"POST", "/api/campaigns/{id}/contacts", handle_contacts, UPLOAD_BYTES_MAX},

	{"POST", "/api/dead-letters/replay", handle_replay, SMALL_BODY},
	{"GET", "/api/dead-letters/{id}", handle_dead_letter, NO_BODY},

	{"POST", "/api/accounts", handle_account_create, SMALL_BODY},
	{"PATCH", "/api/accounts/{name}", handle_account_change, SMALL_BODY},

	{"GET", "/registry/schemas/ids/{id}", handle_registry_schema, NO_BODY},
	{"GET", "/registry/schemas/ids/{id}/schema", handle_registry_schema_text, NO_BODY},
	{"GET", "/registry/schemas/types", handle_registry_types, NO_BODY},
	{"GET", "/registry/subjects", handle_registry_subjects, NO_BODY},
	{"GET", "/registry/subjects/{subject}/versions", handle_registry_versions, NO_BODY},
	{"GET", "/registry/subjects/{subject}/versions/{version}", handle_registry_version,
	 NO_BODY},
	{"GET", "/registry/config", handle_registry_config, NO_BODY},
};

static const struct resource *const resources[] = {
	&campaigns_resource, &redial_resource,	      &redial_records_resource,
	&leads_resource,     &follow_ups_resource,    &suppressions_resource,
	&calls_resource,     &scheduler_resource,     &dead_letters_resource,
	&outcomes_resource,  &tenants_resource,	      &accounts_resource,
	&api_keys_resource,  &plan_resource,	      &pacing_resource,
	&settings_resource,  &pending_calls_resource, &workflow_resource,
	&live_resource,	     &audit_resource,
};

static struct http_route routes[ROUTES_MAX];

static void serve(void *arg, struct http_exchange *x)
{
	const struct api *api = arg;

	for (size_t i = 0; i < sizeof(resources) / sizeof(resources[0]); i++) {
		const struct endpoint *e = endpoint_find(resources[i], x);
		if (e) {
			endpoint_serve(resources[i], e, api, x);
			return;
		}
	}
	assert(false && "a route has its row");
}

/* Only who has the key may make us hold a large body. */
static bool admit(void *arg, const struct http_route *route, struct http_exchange *x)
{
	struct api *api = arg;
	struct caller caller;

	if (route->handler == handle_contacts)
		return receive_contacts(api, x);
	if (route->max_body_bytes <= SMALL_BODY)
		return true;
	for (size_t i = 0; i < sizeof(resources) / sizeof(resources[0]); i++) {
		if (endpoint_find(resources[i], x))
			return endpoint_admit(resources[i], api, x, &caller);
	}
	return auth_check(api, AUTH_ADMIN, x);
}

static size_t add_resource(size_t n, const struct resource *r)
{
	for (size_t i = 0; i < r->count; i++) {
		bool writes = strcmp(r->endpoints[i].method, "GET") != 0;
		assert(n < ROUTES_MAX);
		routes[n++] = (struct http_route){
			.methods = r->endpoints[i].method,
			.path = r->endpoints[i].path,
			.handler = serve,
			.max_body_bytes = !writes		       ? NO_BODY
					  : r->endpoints[i].body_bytes ? r->endpoints[i].body_bytes
								       : SMALL_BODY,
		};
	}
	return n;
}

const struct resource *const *api_resources(size_t *ret_n)
{
	*ret_n = sizeof(resources) / sizeof(resources[0]);
	return resources;
}

const struct http_route *api_routes(size_t *ret_n)
{
	size_t n = sizeof(single) / sizeof(single[0]);

	memcpy(routes, single, sizeof(single));
	for (size_t i = 0; i < sizeof(resources) / sizeof(resources[0]); i++)
		n = add_resource(n, resources[i]);
	*ret_n = n;
	return routes;
}

static void count_request(void *arg, const struct http_route *route, unsigned status,
			  int64_t took_ms)
{
	char text[16];

	(void)arg;
	(void)route;
	(void)took_ms;
	snprintf(text, sizeof(text), "%u", status);
	metric_add(METRIC_HTTP_REQUESTS, text, 1);
}

static void on_heartbeat_error(void *arg, const char *reason)
{
	(void)arg;
	log_error("heartbeat.failed", LOG_STR("error", reason));
}

void api_init(struct api *api, struct ev_loop *loop, const struct config *cfg,
	      struct scheduler *scheduler, struct publisher *publisher)
{
	bool serves = config_list_has(cfg, CONFIG_KEY_PRODUCER_ROLES, "api");

	*api = (struct api){
		.loop = loop,
		.cfg = cfg,
		.scheduler = scheduler,
		.publisher = publisher,
		.database = serves ? api_database_new(loop, cfg, clock_system()) : NULL,
		.keys = serves ? api_keys_new(loop, cfg, clock_system()) : NULL,
		.sessions = serves ? sessions_new(cfg, clock_system()) : NULL,
		.sign_ins = serves ? calloc(1, sizeof(*api->sign_ins)) : NULL,
	};
	if (serves && !api->sign_ins)
		abort();
	api->uploads = uploads_new(loop, cfg, api->database);
	api->live = live_new(api);
	api->heartbeat = heartbeat_new(
		loop, cfg,
		&(struct heartbeat_options){.name = "producer",
					    .stmt = &producer_stmts[PRODUCER_HEARTBEAT],
					    .clock = clock_system(),
					    .on_error = on_heartbeat_error});
}

bool api_ready(const struct api *api)
{
	return !api->database || (api_database_ready(api->database) && api_keys_ready(api->keys));
}

void api_stop(struct api *api)
{
	api->stopping = true;
	live_stop(api->live);
}

void api_release(struct api *api)
{
	live_stop(api->live);
	heartbeat_free(api->heartbeat);
	uploads_close(api->uploads);
	api_database_free(api->database);
	api_keys_free(api->keys);
	sessions_free(api->sessions);
	free(api->sign_ins);
}

void api_free(struct api *api)
{
	uploads_free(api->uploads);
	live_free(api->live);
}

struct http_server *api_serve(struct ev_loop *loop, struct api *api)
{
	char reason[REASON_BYTES];
	struct buf error;
	bool all = config_list_has(api->cfg, CONFIG_KEY_PRODUCER_ROLES, "api");
	size_t count;
	const struct http_route *all_routes = api_routes(&count);
	const struct http_server_options o = {
		.listen = config_str(api->cfg, CONFIG_KEY_LISTEN),
		.routes = all_routes,
		.routes_count = all ? count : STANDING_ROUTES,
		.max_connections = CONNECTIONS_MAX,
		.header_timeout_ms = HEADER_TIMEOUT_MS,
		.request_timeout_ms = REQUEST_TIMEOUT_MS,
		.clock = clock_system(),
		.admit = admit,
		.on_done = count_request,
		.arg = api,
	};

	buf_init_fixed(&error, reason, sizeof(reason));
	struct http_server *server = http_server_new(loop, &o, &error);
	if (!server)
		log_error("http.not_started", LOG_STR("error", error.data));
	return server;
}

static void on_late(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	*(bool *)w->data = true;
}

void api_finish(struct ev_loop *loop, struct http_server *server)
{
	bool late = false;
	ev_timer timer;

	if (!server)
		return;
	ev_timer_init(&timer, on_late, FINISH_S, 0.);
	timer.data = &late;
	ev_timer_start(loop, &timer);
	while (!late && http_server_open_exchanges(server) > 0)
		ev_run(loop, EVRUN_ONCE);
	ev_timer_stop(loop, &timer);
}
