/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What http_server.c (the daemon), http_connection.c (deadlines), http_exchange.c (a request and
 * its answer), http_receive.c (a body in pieces) and http_parts.c (an answer in parts) share.
 */
#ifndef CARILLON_HTTP_SERVER_INTERNAL_H
#define CARILLON_HTTP_SERVER_INTERNAL_H

#include <arpa/inet.h>
#include <microhttpd.h>

#include "common/buf.h"
#include "common/http_route.h"
#include "common/http_server.h"

#define HTTP_QUERY_MAX 64
#define HTTP_RESPONSE_HEADERS_MAX 16

/* ---- Connections ---- */

enum connection_phase {
	CONNECTION_FRESH,   /* accepted; the first request has not begun */
	CONNECTION_IDLE,    /* between two requests */
	CONNECTION_HEADER,  /* the request line has come */
	CONNECTION_BODY,    /* the header was good, the body is coming */
	CONNECTION_STREAM,  /* the body is coming, to be taken in pieces */
	CONNECTION_BUSY,    /* a handler has the request */
	CONNECTION_WRITING, /* the answer is on its way */
	CONNECTION_CUT,	    /* shut down by us; libmicrohttpd will notice */
};

struct connection {
	struct connection *previous, *next; /* of server->waiting, by `since_ms` */
	struct http_server *server;
	int fd;
	enum connection_phase phase;
	int64_t since_ms;    /* what its deadline counts from */
	size_t owed_bytes;   /* of a streamed body, not yet in since_ms */
	unsigned cut_status; /* said when it was cut, or 0 */
	char peer[INET6_ADDRSTRLEN];
};

/* What can be said without libmicrohttpd, whose only answer to a request's middle is to close. */
enum cut { CUT_SILENTLY, CUT_TIMEOUT, CUT_TOO_LARGE, CUT_OVERLOAD };

struct connection *connection_new(struct http_server *s, struct MHD_Connection *mhd);
void connection_free(struct connection *c);
void connection_enter(struct connection *c, enum connection_phase phase);
/* So many bytes of a streamed body have come: they put its deadline off. */
void connection_progress(struct connection *c, size_t bytes);
void connection_cut(struct connection *c, enum cut how);
/* Frees a place if there are too many. */
void connection_make_room(struct http_server *s, struct connection *newest);
void connections_cut_phases(struct http_server *s, enum connection_phase first,
			    enum connection_phase last, enum cut how);
/* Cuts what is past its deadline. */
void connections_reap(struct http_server *s);

/* ---- Exchanges ---- */

struct text_pair {
	const char *name;
	const char *value;
};

struct arena_block {
	struct arena_block *next;
	char bytes[];
};

struct http_exchange {
	struct http_exchange *previous,
		*next; /* of server->exchanges; next also of server->idle_exchanges */
	struct http_server *server;
	struct connection *connection;
	struct MHD_Connection *mhd;
	int64_t started_ms;

	const char *target_at; /* where libmicrohttpd keeps the raw target, and */
	size_t target_bytes;   /* its length: to check that nothing hides behind it */
	char *target;	       /* path and query as they came; NULL without memory */
	const char *method;
	struct http_path path;
	struct text_pair *query;
	size_t query_count;
	const struct http_route *route;
	struct http_params params;
	struct buf body;

	bool begun; /* the header was seen */
	bool in_handler;
	bool admitting;
	bool suspended;
	bool answered;
	unsigned early_status; /* decided before the handler: 404 or 405 */
	const char *allow;     /* the header of a 405 */
	unsigned status;
	struct MHD_Response *response;
	struct parts *parts;	   /* of an answer in parts; http_parts.c */
	struct receiver *receiver; /* of a body in pieces; http_receive.c */
	struct text_pair headers[HTTP_RESPONSE_HEADERS_MAX];
	size_t headers_count;
	bool headers_failed;

	struct arena_block *blocks;
	size_t arena_used;
	_Alignas(16) char arena[2048];
};

struct http_exchange *exchange_new(struct http_server *s, struct connection *c,
				   struct MHD_Connection *mhd);
void exchange_free(struct http_exchange *x);
/* Takes the raw target apart into path and query; false if it is malformed. */
bool exchange_parse_target(struct http_exchange *x) __attribute__((warn_unused_result));
/* A problem answer that closes the connection; nothing further is read from it. */
void exchange_refuse(struct http_exchange *x, unsigned status, const char *detail);
/* Gives the prepared answer to libmicrohttpd. */
enum MHD_Result exchange_queue(struct http_exchange *x) __attribute__((warn_unused_result));
/* The one answer: with the headers, or a 500 where `r` is NULL or they can't be had. */
void exchange_answer(struct http_exchange *x, unsigned status, const char *content_type,
		     struct MHD_Response *r);
/* Of a suspended one. */
void exchange_resume(struct http_exchange *x);
/* Breaks off an answer in parts that waits for the next one. */
void exchange_parts_break(struct http_exchange *x);
void exchange_parts_release(struct http_exchange *x);
/* A piece of the body: what is left of `data_bytes` stays with libmicrohttpd. */
void exchange_receive(struct http_exchange *x, const char *data, size_t *data_bytes);
/* The body has come whole. */
void exchange_received(struct http_exchange *x);
/* Is it taken in pieces, and more of it may come? */
bool exchange_body_is_open(const struct http_exchange *x);
void exchange_receiver_release(struct http_exchange *x);
void exchange_report(struct http_exchange *x, unsigned status);

/* ---- The server ---- */

struct http_server {
	struct ev_loop *loop;
	struct http_server_options o;
	struct MHD_Daemon *daemon;
	int listen_fd;
	unsigned port;
	ev_io readable;	  /* libmicrohttpd's epoll descriptor */
	ev_timer pending; /* it has work left that no descriptor announces */
	ev_timer reaper;
	bool stopping;
	bool freeing;

	struct connection *waiting_first,
		*waiting_last; /* all but the busy ones, the longest waiting first */
	unsigned connections;
	unsigned connections_cut;	 /* of them, those that only wait for their close */
	struct http_exchange *exchanges; /* open ones */
	size_t exchanges_count;
	struct http_exchange *idle_exchanges;
	size_t idle_exchanges_count;
};

/* Lets libmicrohttpd run soon. */
void http_server_kick(struct http_server *s);

#endif
