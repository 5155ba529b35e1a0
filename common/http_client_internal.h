/* SPDX-License-Identifier: Apache-2.0 */
/* What http_client.c (requests) and http_client_loop.c (libcurl's sockets and timer on libev)
 * share. */
#ifndef CARILLON_HTTP_CLIENT_INTERNAL_H
#define CARILLON_HTTP_CLIENT_INTERNAL_H

#include <curl/curl.h>

#include "common/buf.h"
#include "common/http_client.h"

#define TRANSFER_HEADERS_MAX 33

/* Why one of our callbacks ended a transfer. */
enum transfer_stop { STOPPED_NOT, STOPPED_HELD, STOPPED_RESEND, STOPPED_TOO_LARGE };

/* One request under way, or waiting in the pool with its easy handle and buffers for the next one.
 */
struct transfer {
	struct transfer *next;	   /* of client->idle */
	struct transfer *next_all; /* of client->all */
	struct http_client *client;
	CURL *easy;
	CURLU *parts;	/* of `url`: taken apart once for all requests to it */
	struct buf url; /* that `easy` is set to; "": another one */
	bool under_way;

	struct buf header_text;
	struct curl_slist header_list[TRANSFER_HEADERS_MAX];
	struct buf body;
	bool once;
	bool wants_date;
	int timeout_ms;
	bool (*may_send)(void *arg);
	http_done_cb *done;
	void *arg;

	struct buf answer;
	size_t answer_header_bytes;
	int64_t retry_after_ms, date_at;
	unsigned attempts; /* that were let through */
	enum transfer_stop stopped;
	bool address_refused;
	int64_t started_at;
	char error[CURL_ERROR_SIZE];
};

struct socket_watch;

struct http_client {
	struct ev_loop *loop;
	struct http_client_options o;
	char *user_agent; /* as a header */
	CURLM *multi;
	ev_timer timer;
	struct socket_watch *idle_watches;
	struct socket_watch *all_watches;
	struct transfer *idle;
	struct transfer *all;
	size_t under_way;
};

/* 0 or -1. */
int http_client_loop_init(struct http_client *c) __attribute__((warn_unused_result));
/* Before curl_multi_cleanup(), which would call back otherwise. */
void http_client_loop_detach(struct http_client *c);
void http_client_loop_release(struct http_client *c);

/* Takes the finished transfers from libcurl and calls back. */
void http_client_reap(struct http_client *c);

#endif
