/* SPDX-License-Identifier: Apache-2.0 */
/* All routes at a glance; those that need no key say so in their handlers' files. */
#include "producer/api/routes.h"

#include <stdio.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/process.h"
#include "producer/api/auth.h"

#define CONNECTIONS_MAX 1024
#define HEADER_TIMEOUT_MS 5000
#define REQUEST_TIMEOUT_MS 30000
#define FINISH_S 1.0
#define REASON_BYTES 512
#define NO_BODY 0
#define SMALL_BODY 65536 /* of requests whose body says nothing yet */
#define FILE_BODY (32 << 20)

static const struct http_route routes[] = {
	{"GET", "/healthz", handle_healthz, NO_BODY},
	{"GET", "/readyz", handle_readyz, NO_BODY},
	{"GET", "/metrics", handle_metrics, NO_BODY},
#define STANDING_ROUTES 3

	{"GET,POST", "/api/jobs/call-dispatch", handle_call_dispatch, SMALL_BODY},

	{"GET", REDIAL_BASE "/status", handle_redial, NO_BODY},
	{"GET", REDIAL_BASE "/records", handle_redial, NO_BODY},
	{"POST", REDIAL_BASE "/enable", handle_redial, SMALL_BODY},
	{"POST", REDIAL_BASE "/disable", handle_redial, SMALL_BODY},
	{"POST", REDIAL_BASE "/start", handle_redial, SMALL_BODY},
	{"POST", REDIAL_BASE "/stop", handle_redial, SMALL_BODY},
	{"POST", REDIAL_BASE "/process", handle_redial, SMALL_BODY},
	{"POST", REDIAL_BASE "/cleanup", handle_redial, SMALL_BODY},
	{"GET,PUT", REDIAL_BASE "/config", handle_redial, SMALL_BODY},
	{"POST", REDIAL_BASE "/import", handle_redial, FILE_BODY},
	{"POST", REDIAL_BASE "/lead/{lead_id}/pause", handle_redial, SMALL_BODY},
	{"POST", REDIAL_BASE "/lead/{lead_id}/resume", handle_redial, SMALL_BODY},
	{"DELETE", REDIAL_BASE "/lead/{lead_id}", handle_redial, SMALL_BODY},

	{"GET", "/registry/schemas/ids/{id}", handle_registry_schema, NO_BODY},
	{"GET", "/registry/schemas/ids/{id}/schema", handle_registry_schema_text, NO_BODY},
	{"GET", "/registry/schemas/types", handle_registry_types, NO_BODY},
	{"GET", "/registry/subjects", handle_registry_subjects, NO_BODY},
	{"GET", "/registry/subjects/{subject}/versions", handle_registry_versions, NO_BODY},
	{"GET", "/registry/subjects/{subject}/versions/{version}", handle_registry_version,
	 NO_BODY},
	{"GET", "/registry/config", handle_registry_config, NO_BODY},
};

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

/* Only who has the key may make us hold a large body. */
static bool admit(void *arg, const struct http_route *route, struct http_exchange *x)
{
	const struct api *api = arg;

	if (route->max_body_bytes <= SMALL_BODY)
		return true;
	if (route->handler == handle_redial)
		return admit_redial(api, x);
	return auth_check(api->cfg, AUTH_ADMIN, x);
}

struct http_server *api_serve(struct ev_loop *loop, struct api *api)
{
	char reason[REASON_BYTES];
	struct buf error;
	bool all = config_list_has(api->cfg, CONFIG_KEY_PRODUCER_ROLES, "api");
	const struct http_server_options o = {
		.listen = config_str(api->cfg, CONFIG_KEY_LISTEN),
		.routes = routes,
		.routes_count = all ? sizeof(routes) / sizeof(routes[0]) : STANDING_ROUTES,
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
