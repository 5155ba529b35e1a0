/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP server by libmicrohttpd, its epoll descriptor nested in the event loop. Handlers get
 * complete requests and may answer at once or later (the connection is suspended meanwhile).
 *
 * Before a handler sees anything, a guard (http_guard.h) refuses what invites request smuggling
 * with 400 and closes; bodies above the route's cap get 413 before they are read. A request that is
 * not complete within its deadline, however it drips, gets 408 and is cut off (a body that is taken
 * in pieces has a pace to keep instead); an idle connection ends after 30 s. When `max_connections`
 * are open, the longest incomplete or idle one makes room for the next; one that a handler is at
 * work for never does. They are fewer where the process has too few descriptors for them. Memory a
 * connection is constant.
 *
 * One thread: everything here belongs to the loop's.
 */
#ifndef CARILLON_HTTP_SERVER_H
#define CARILLON_HTTP_SERVER_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/clock.h"

struct http_server;
struct http_exchange; /* one request and its answer */

typedef void http_handler(void *arg, struct http_exchange *x);

#define HTTP_PARAMS_MAX 4

struct http_route {
	const char *methods; /* "GET", "GET,POST"; HEAD is answered where GET is */
	const char *
		path; /* "/healthz", "/webhooks/{provider}/{account}", a final "*" takes the rest */
	http_handler *handler;
	size_t max_body_bytes;
};

struct http_server_options {
	const char *listen; /* "127.0.0.1:8080", "[::]:8080"; port 0: any free one */
	const struct http_route *routes;
	size_t routes_count;
	unsigned max_connections;
	unsigned max_per_ip;	    /* 0: no limit */
	int64_t header_timeout_ms;  /* to complete the header */
	int64_t request_timeout_ms; /* to complete header and body */
	const struct clock *clock;
	/* Asked before a body is taken; false: it has answered, and nothing more is read. May be
	 * NULL. */
	bool (*admit)(void *arg, const struct http_route *route, struct http_exchange *x);
	/* Called for each answer, for metrics; `route` is NULL when none was reached. May be NULL.
	 */
	void (*on_done)(void *arg, const struct http_route *route, unsigned status,
			int64_t took_ms);
	void *arg; /* of these and of the handlers */
};

/* NULL with the reason (address in use, bad address). */
struct http_server *http_server_new(struct ev_loop *loop, const struct http_server_options *o,
				    struct buf *error);
unsigned http_server_port(const struct http_server *s);
/* Stops accepting and closes idle connections; exchanges under way may still be answered. */
void http_server_quiesce(struct http_server *s);
/* Requests begun and not yet answered to the last byte. */
size_t http_server_open_exchanges(const struct http_server *s);
/* Answers what is still open with 503, then frees. Takes NULL. */
void http_server_free(struct http_server *s);

/* ---- In a handler (texts live as long as the exchange) ---- */
const char *http_method(const struct http_exchange *x); /* "GET" for HEAD, too */
/* The decoded path without query. */
const char *http_path(const struct http_exchange *x);
/* The query as it came, without its '?'; NULL if there is none. */
const char *http_raw_query(const struct http_exchange *x);
/* The route's own path, as its table has it. */
const char *http_route_path(const struct http_exchange *x);
/* {name} of the route, decoded, never empty; "*" is the rest. NULL if the route has no such. */
const char *http_param(const struct http_exchange *x, const char *name);
/* Decoded, the first one, or NULL. */
const char *http_query(const struct http_exchange *x, const char *name);
/* The name of the i-th parameter, decoded; NULL behind the last. */
const char *http_query_name(const struct http_exchange *x, size_t i);
/* The first one, any case, or NULL. */
const char *http_header(const struct http_exchange *x, const char *name);
/* Raw bytes, NUL-terminated; never NULL. */
const char *http_body(const struct http_exchange *x, size_t *ret_bytes);
/*
 * Bodies in pieces, for what should never be in memory whole. Called by `admit`, in place of its
 * collecting the body: the route's handler is not called then, the sink is. Pieces wait until
 * http_receive_more() asks for the first; meanwhile the client is held back.
 */
struct http_sink {
	/* True: the next one may come at once; false: after http_receive_more(). It may answer:
	 * what is left of the body is then thrown away. */
	bool (*piece)(void *arg, const char *bytes, size_t n);
	/* The body was whole. Answer now or any time later. */
	void (*end)(void *arg);
	/* The exchange is over, answered or its client gone: it must not be used any more. Once. */
	void (*gone)(void *arg);
	void *arg;
};

/* Larger bodies get 413, at the latest when they pass `max_bytes`, which the route's own bound does
 * not exceed. A client that falls behind a pace of 32 KiB a second, or is silent for the time that
 * other requests have, is cut off; time that the receiver takes is not counted. False without
 * memory: `x` is answered, and the sink not used. */
bool http_receive(struct http_exchange *x, size_t max_bytes, const struct http_sink *sink)
	__attribute__((warn_unused_result));
/* May be called in `admit` too. */
void http_receive_more(struct http_exchange *x);

/* It was, or is about to be: no further answer may be given. */
bool http_is_answered(const struct http_exchange *x);

/* The address as text, no port. */
const char *http_peer(const struct http_exchange *x);
/* The connection's descriptor, to write what no answer can say; still the server's. For the
 * simulator. */
int http_socket(const struct http_exchange *x);
/* Bytes that live as long as the exchange; NULL without memory. */
void *http_alloc(struct http_exchange *x, size_t n);

/* Answers; exactly once an exchange, at once or any time later. The body is copied. */
void http_respond(struct http_exchange *x, unsigned status, const char *content_type,
		  const void *body, size_t n);
/* Before http_respond(). The value is copied; one with CR or LF turns the answer into a 500. */
void http_respond_header(struct http_exchange *x, const char *name, const char *value);
/* RFC 9457 problem+json: {"type":"about:blank","title":...,"status":...,"detail":...} */
void http_respond_problem(struct http_exchange *x, unsigned status, const char *detail);

/*
 * Answers in parts, for what should never be in memory whole: each is asked for when the one before
 * it has gone to the client.
 */
struct http_source {
	/* Give the next part, at once or any time later, by one http_respond_part() or
	 * http_respond_break(). */
	void (*more)(void *arg);
	/* The exchange is over, all sent or the client gone: it must not be used any more. Called
	 * once. */
	void (*gone)(void *arg);
	void *arg;
};

/* In place of http_respond(); asks for the first part. A client that takes nothing for 30 s is cut
 * off. For HEAD no further part is asked for. */
void http_respond_parts(struct http_exchange *x, unsigned status, const char *content_type,
			const struct http_source *source);
/* The bytes are copied. */
void http_respond_part(struct http_exchange *x, const void *bytes, size_t n, bool is_last);
/* What was sent is all there is; the client sees that the end is missing. */
void http_respond_break(struct http_exchange *x);

/* Compares a presented secret with the right one in time that depends on neither. NULL never
 * matches. */
bool http_secret_equal(const char *presented, const char *secret);
/* The secret in "Authorization: Bearer x", else in any of the NULL-terminated header names; NULL if
 * none. */
const char *http_presented_secret(const struct http_exchange *x, const char *const *header_names);

#endif
