/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes as a request's path: no segment leaves its storage, and what a route takes of it
 * is not empty. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/http_route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct http_route routes[] = {
	{"POST", "/webhooks/{provider}/{account}", NULL, 0},
	{"POST", "/webhooks/{provider}/{account}/{token}", NULL, 0},
	{"GET,POST", "/api/leads", NULL, 0},
	{"GET", "/api/leads/{id}", NULL, 0},
	{"POST", "/api/leads/bulk", NULL, 0},
	{"GET", "/registry/*", NULL, 0},
	{"GET", "/", NULL, 0},
};

static void check(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct http_path path;
	struct http_params params;
	char words[128];
	struct buf allow;
	char *raw = malloc(n + 1), *storage = malloc(2 * (n + 1)), *decoded = malloc(n + 1);

	check(raw && storage && decoded);
	memcpy(raw, data, n);
	raw[n] = '\0';
	size_t length = http_decode(raw, n, n % 2 == 0, decoded);
	check(length == (size_t)-1 || (length <= n && !memchr(decoded, '\0', length)));
	if (http_path_parse(raw, n, storage, &path)) {
		check(path.count <= HTTP_SEGMENTS_MAX && strlen(path.text) <= n);
		for (size_t i = 0; i < path.count; i++)
			check(path.offsets[i] + strlen(path.segments + path.offsets[i]) <= n);
		buf_init_fixed(&allow, words, sizeof(words));
		const struct http_route *r =
			http_route_find(routes, sizeof(routes) / sizeof(routes[0]),
					n % 3 ? "POST" : "GET", &path, &params, &allow);
		for (size_t i = 0; r && i < params.count; i++)
			check(params.value[i] && (params.value[i][0] || params.name[i][0] == '*'));
	}
	free(raw);
	free(storage);
	free(decoded);
	return 0;
}
