/* SPDX-License-Identifier: Apache-2.0 */
/* Request targets taken apart, and the row of a route table they mean. Pure. */
#ifndef CARILLON_HTTP_ROUTE_H
#define CARILLON_HTTP_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/http_server.h"

#define HTTP_SEGMENTS_MAX 16

struct http_path {
	const char *text;     /* decoded */
	const char *segments; /* the same with NUL for each '/' between segments: segment i is at
				 offsets[i] */
	size_t offsets[HTTP_SEGMENTS_MAX];
	size_t count;
};

struct http_params {
	const char *name[HTTP_PARAMS_MAX]; /* in the route's path, not terminated */
	size_t name_bytes[HTTP_PARAMS_MAX];
	const char *value[HTTP_PARAMS_MAX];
	size_t count;
};

/* Decodes %XX (and '+' to a blank if `plus`) into `ret`, which has room for n + 1 bytes and may be
 * `s` itself. Returns the length; (size_t)-1 for a malformed escape, a NUL or what is not UTF-8. */
size_t http_decode(const char *s, size_t n, bool plus, char *ret);

/* `storage` has room for 2 * (n + 1) bytes and lives as long as `ret`. False: malformed, or too
 * many segments. */
bool http_path_parse(const char *raw, size_t n, char *storage, struct http_path *ret);

/* A row that names a segment wins over those that take any there, whatever the method and their
 * order. NULL if no row fits; `allow` then holds the methods of the rows whose path does ("GET,
 * HEAD"), empty if none does. */
const struct http_route *http_route_find(const struct http_route *routes, size_t count,
					 const char *method, const struct http_path *path,
					 struct http_params *ret, struct buf *allow);

#endif
