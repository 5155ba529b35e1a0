/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard against request smuggling: what two HTTP parsers could read in two ways is refused.
 *
 * libmicrohttpd (0.9.75) takes Content-Length next to Transfer-Encoding, the first of two
 * Content-Lengths, a blank before the colon, folded lines, bare line feeds and NUL. The guard sees
 * a request's header after libmicrohttpd has parsed it and before anything is done with it. Pure:
 * no I/O, no allocation.
 */
#ifndef CARILLON_HTTP_GUARD_H
#define CARILLON_HTTP_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_guard {
	const char *reason; /* the first thing wrong, or NULL; static text */
	bool http_1_1;
	unsigned content_lengths;
	unsigned transfer_encodings;
	unsigned hosts;
	size_t fields;
	uint64_t content_length;
};

/* Checks method (a token), target (origin form, printable ASCII) and version (HTTP/1.0 or
 * HTTP/1.1). */
void http_guard_init(struct http_guard *g, const char *method, const char *target,
		     const char *version);
void http_guard_field(struct http_guard *g, const char *name, size_t name_bytes, const char *value,
		      size_t value_bytes);
/*
 * The header block as libmicrohttpd leaves it in memory: behind the version, each first colon, CR
 * and LF of a line overwritten with NUL. Checks each field, and that there are exactly `fields` of
 * them with nothing in between: what a bare line feed, a fold or a NUL of the client's would upset.
 */
void http_guard_block(struct http_guard *g, const char *block, size_t bytes, size_t fields);
/* The reason to answer 400, or NULL: then has_body and content_length (UINT64_MAX: chunked) are
 * known. */
const char *http_guard_verdict(struct http_guard *g, bool *ret_has_body,
			       uint64_t *ret_content_length);

#endif
