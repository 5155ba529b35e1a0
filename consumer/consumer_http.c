/* SPDX-License-Identifier: Apache-2.0 */
/* Few connections and short deadlines: only probes and scrapers come here. */
#include "consumer/consumer_http.h"

#include <stdio.h>

#include "common/metrics.h"
#include "common/process.h"

#define CONNECTIONS_MAX 64
#define HEADER_TIMEOUT_MS 3000
#define REQUEST_TIMEOUT_MS 10000

static const struct http_route routes[] = {
	{"GET", "/healthz", handle_healthz, 0},
	{"GET", "/readyz", handle_readyz, 0},
	{"GET", "/metrics", handle_metrics, 0},
};

static void count(void *arg, const struct http_route *route, unsigned status, int64_t took_ms)
{
	char text[16];

	(void)arg, (void)route, (void)took_ms;
	snprintf(text, sizeof(text), "%u", status);
	metric_add(METRIC_HTTP_REQUESTS, text, 1);
}

struct http_server *consumer_listen(struct ev_loop *loop, const struct config *cfg,
				    struct buf *error)
{
	const struct http_server_options o = {
		.listen = config_str(cfg, CONFIG_KEY_LISTEN),
		.routes = routes,
		.routes_count = sizeof(routes) / sizeof(routes[0]),
		.max_connections = CONNECTIONS_MAX,
		.header_timeout_ms = HEADER_TIMEOUT_MS,
		.request_timeout_ms = REQUEST_TIMEOUT_MS,
		.clock = clock_system(),
		.on_done = count,
	};

	return http_server_new(loop, &o, error);
}
