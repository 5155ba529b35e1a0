/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP requests by libcurl's multi interface on the event loop, made so that "was a byte sent?" has
 * an answer.
 *
 * A request with `once` set is sent at most one time: libcurl silently repeats a request when a
 * reused connection dies before the answer; here its second attempt is refused. HTTP/1.1 only, no
 * redirects, no Expect, no proxies from the environment. Addresses that are private, loopback or
 * link-local are refused after name resolution, and http:// too, unless `allow_insecure`.
 *
 * Sockets have linger 0: what a killed process had not sent dies with it.
 */
#ifndef CARILLON_HTTP_CLIENT_H
#define CARILLON_HTTP_CLIENT_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/clock.h"

struct http_client;

struct http_client_options {
	size_t max_requests;	    /* bound of requests under way; http_send() refuses beyond */
	long connection_max_idle_s; /* an idle connection older than this is not used again; 0: none
				       is */
	bool allow_insecure;
	const char *user_agent;
	const struct clock *clock;
};

struct http_request {
	const char *method; /* GET or POST; only POST has a body */
	const char *url;
	const char *const *headers; /* NULL-terminated "Name: value"; copied. May be NULL */
	const char *body;	    /* or NULL; copied; 8 MiB at most */
	size_t body_bytes;
	int64_t timeout_ms;	   /* whole request */
	size_t max_response_bytes; /* a longer answer ends the request with HTTP_TOO_LARGE */
	bool once;
	bool fresh_connection; /* never on a kept-alive connection */
	bool wants_date;       /* the answer's date_at is to be told */
	/*
	 * Asked in the moment the first byte would leave, on a connection that is ready; false:
	 * nothing is sent (HTTP_HELD). Without `once` it is asked again at each attempt of
	 * libcurl's. Runs inside libcurl: it must not call http_send(). May be NULL.
	 */
	bool (*may_send)(void *arg);
};

enum http_outcome {
	HTTP_ANSWERED,	/* a complete answer */
	HTTP_HELD,	/* may_send said no */
	HTTP_FAILED,	/* no complete answer; `error` says why */
	HTTP_TOO_LARGE, /* the body, or 64 kB of header */
};

struct http_answer {
	enum http_outcome outcome;
	/* A byte of the request may have left, so it may have been executed. false proves that it
	 * was not. */
	bool body_started;
	long status;	  /* 0 unless answered (or known before the failure) */
	const char *body; /* NUL-terminated; after a failure what had come */
	size_t body_bytes;
	int64_t retry_after_ms; /* from Retry-After (seconds or date), -1 if none; not capped */
	int64_t date_at;   /* the server's clock by its Date header, wall ms; -1 if it gave none, or
			      the request did not want it */
	const char *error; /* curl's words, NULL when answered */
	/* Wall clock, ms: when the request began to leave; http_send() if it never did. */
	int64_t started_at;
	/* When it ended. */
	int64_t answered_at;
};

typedef void http_done_cb(void *arg, const struct http_answer *a);

struct http_client *http_client_new(struct ev_loop *loop, const struct http_client_options *o);
/* Aborts what is under way without calling back. Takes NULL. Not from a callback. */
void http_client_free(struct http_client *c);
/* false: `max_requests` are under way, no memory, or a URL or header that can't be used; nothing
 * was sent and there is no callback. `arg` goes to the callback and to may_send. The callback
 * always comes later, from the loop; the request's slot is free by then. */
bool http_send(struct http_client *c, const struct http_request *r, http_done_cb *cb, void *arg)
	__attribute__((warn_unused_result));
size_t http_client_free_slots(const struct http_client *c);

#endif
