/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock of signatures is the machine's wall clock, read when the request is complete.
 */
#include "webhook/routes.h"

#include <stdio.h>
#include <string.h>

#include "common/metrics.h"
#include "common/process.h"

#define HEADER_TIMEOUT_MS 3000
#define REQUEST_TIMEOUT_MS 10000

static const char *header(void *arg, const char *name)
{
	return http_header(arg, name);
}

static void take(struct ingest *g, struct http_exchange *x, const char *provider,
		 const char *account, const char *token)
{
	struct webhook_request r = {
		.token = token,
		.job = http_query(x, "job"),
		.query = http_raw_query(x),
		.header = header,
		.header_arg = x,
		.received_at = clock_wall_ms(clock_system()),
	};

	r.body = http_body(x, &r.body_bytes);
	ingest_take(g, provider, account, &r, x);
}

static void handle_webhook(void *arg, struct http_exchange *x)
{
	take(arg, x, http_param(x, "provider"), http_param(x, "account"), http_param(x, "token"));
}

/* Where Vapi posts in installations older than the accounts. */
static void handle_old_vapi(void *arg, struct http_exchange *x)
{
	take(arg, x, "vapi", "vapi", NULL);
}

/* Asks for plain text, and not for JSON beside it. */
static bool wants_plain(const struct http_exchange *x)
{
	const char *accept = http_header(x, "accept");

	return accept && strcasestr(accept, "text/plain") && !strcasestr(accept, "json");
}

static void respond_accepted(struct http_exchange *x, const struct ingest_answer *a)
{
	static const char plain[] = "success\n";
	struct buf body;

	if (a->says_success && wants_plain(x)) {
		http_respond(x, 202, "text/plain", plain, sizeof(plain) - 1);
		return;
	}
	buf_init(&body, 4096);
	buf_addf(&body, "{\"status\":\"%s\"", a->event_id ? "accepted" : "ignored");
	if (a->event_id) {
		buf_adds(&body, ",\"event_id\":");
		buf_add_json_string(&body, a->event_id, strlen(a->event_id));
	}
	if (a->says_success)
		buf_adds(&body, ",\"success\":true");
	buf_addc(&body, '}');
	http_respond(x, 202, "application/json", body.data, body.len);
	buf_release(&body);
}

void webhook_respond(void *arg, void *exchange, const struct ingest_answer *a)
{
	struct http_exchange *x = exchange;
	char seconds[16];

	(void)arg;
	if (a->status == 202) {
		respond_accepted(x, a);
		return;
	}
	if (a->status == 503) {
		snprintf(seconds, sizeof(seconds), "%d", INGEST_RETRY_AFTER_S);
		http_respond_header(x, "Retry-After", seconds);
	}
	http_respond_problem(x, a->status, a->detail);
}

/* max_body_bytes of those that take a body is set from the configuration. */
static struct http_route routes[] = {
	{"POST", "/webhooks/{provider}/{account}", handle_webhook, 0},
	{"POST", "/webhooks/{provider}/{account}/{token}", handle_webhook, 0},
	{"POST", "/api/vapi/webhook", handle_old_vapi, 0},
	{"GET", "/healthz", handle_healthz, 0},
	{"GET", "/readyz", handle_readyz, 0},
	{"GET", "/metrics", handle_metrics, 0},
};
#define ROUTES (sizeof(routes) / sizeof(routes[0]))

static bool is_webhook(const struct http_route *route)
{
	return route->handler == handle_webhook || route->handler == handle_old_vapi;
}

/* Counts answers and times. */
static void count(void *arg, const struct http_route *route, unsigned status, int64_t took_ms)
{
	char text[16];

	(void)arg;
	snprintf(text, sizeof(text), "%u", status);
	metric_add(METRIC_HTTP_REQUESTS, text, 1);
	if (!route || !is_webhook(route))
		return;
	metric_add(METRIC_WEBHOOKS, text, 1);
	if (status == 202)
		metric_observe(METRIC_WEBHOOK_ACK, NULL, (double)took_ms / 1000);
}

struct http_server *webhook_listen(struct ev_loop *loop, const struct config *cfg,
				   struct ingest *ingest, struct buf *error)
{
	const struct http_server_options o = {
		.listen = config_str(cfg, CONFIG_KEY_LISTEN),
		.routes = routes,
		.routes_count = ROUTES,
		.max_connections = (unsigned)config_int(cfg, CONFIG_KEY_WEBHOOK_MAX_CONNECTIONS),
		.max_per_ip = (unsigned)config_int(cfg, CONFIG_KEY_WEBHOOK_MAX_PER_IP),
		.header_timeout_ms = HEADER_TIMEOUT_MS,
		.request_timeout_ms = REQUEST_TIMEOUT_MS,
		.clock = clock_system(),
		.on_done = count,
		.arg = ingest,
	};

	for (size_t i = 0; i < ROUTES; i++) {
		if (is_webhook(&routes[i]))
			routes[i].max_body_bytes =
				(size_t)config_int(cfg, CONFIG_KEY_WEBHOOK_BODY_MAX);
	}
	return http_server_new(loop, &o, error);
}
