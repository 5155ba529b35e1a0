/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server and raw clients for it: what no client library would send. Both share the thread: every
 * wait of a client turns the server's loop.
 */
#ifndef CARILLON_HTTP_SERVER_FIXTURE_H
#define CARILLON_HTTP_SERVER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/http_server.h"

#define BODY_CAP 1000
#define DEFERRED_MAX 200

/* ---- A server ---- */

struct fixture {
	struct ev_loop *loop;
	struct http_server *server;
	int handled;
	struct http_exchange *deferred[DEFERRED_MAX];
	int deferred_count;
	unsigned last_status;
	const struct http_route *last_route;
	int done;
};

static inline void on_done(void *arg, const struct http_route *route, unsigned status,
			   int64_t took_ms)
{
	struct fixture *f = arg;

	assert_true(took_ms >= 0);
	f->last_status = status;
	f->last_route = route;
	f->done++;
}

/* Answers with what it saw. */
static inline void handle_echo(void *arg, struct http_exchange *x)
{
	struct fixture *f = arg;
	char text[4096];
	size_t n;
	const char *body = http_body(x, &n);
	const char *id = http_param(x, "id");
	const char *rest = http_param(x, "*");
	const char *q = http_query(x, "q");
	const char *header = http_header(x, "x-test");

	f->handled++;
	snprintf(text, sizeof(text), "%s %s id=%s rest=%s q=%s x=%s peer=%s body=%zu:%.20s",
		 http_method(x), http_path(x), id ? id : "-", rest ? rest : "-", q ? q : "-",
		 header ? header : "-", http_peer(x), n, body);
	http_respond_header(x, "X-Seen", "yes");
	http_respond(x, 200, "text/plain", text, strlen(text));
}

static inline void handle_later(void *arg, struct http_exchange *x)
{
	struct fixture *f = arg;

	f->handled++;
	assert_true(f->deferred_count < DEFERRED_MAX);
	f->deferred[f->deferred_count++] = x;
}

static inline void handle_large(void *arg, struct http_exchange *x)
{
	static char block[300000];

	(void)arg;
	memset(block, 'L', sizeof(block));
	http_respond(x, 200, "text/plain", block, sizeof(block));
}

static inline void handle_split(void *arg, struct http_exchange *x)
{
	(void)arg;
	http_respond_header(x, "Location", "/a\r\nX-Injected: 1");
	http_respond(x, 200, "text/plain", "", 0);
}

static const struct http_route routes[] = {
	{"GET", "/", handle_echo, 0},
	{"GET,POST", "/echo", handle_echo, BODY_CAP},
	{"GET", "/items/{id}", handle_echo, 0},
	{"DELETE,PATCH", "/items/{id}", handle_echo, BODY_CAP},
	{"POST", "/items/{id}/close", handle_echo, BODY_CAP},
	{"GET", "/files/*", handle_echo, 0},
	{"GET,POST", "/later", handle_later, BODY_CAP},
	{"GET", "/large", handle_large, 0},
	{"GET", "/split", handle_split, 0},
};

static inline void start(struct fixture *f, unsigned max_connections)
{
	struct buf error;

	memset(f, 0, sizeof(*f));
	f->loop = ev_loop_new(0);
	const struct http_server_options o = {.listen = "127.0.0.1:0",
					      .routes = routes,
					      .routes_count = sizeof(routes) / sizeof(routes[0]),
					      .max_connections = max_connections,
					      .header_timeout_ms = 200,
					      .request_timeout_ms = 400,
					      .clock = clock_system(),
					      .on_done = on_done,
					      .arg = f};
	buf_init(&error, 1000);
	f->server = http_server_new(f->loop, &o, &error);
	if (!f->server)
		fail_msg("%s", error.data);
	buf_release(&error);
}

static inline void stop(struct fixture *f)
{
	http_server_free(f->server);
	ev_loop_destroy(f->loop);
}

/* ---- A client ---- */

struct client {
	int fd;
	char got[400000];
	size_t n;
	bool closed;
	bool was_reset;
};

static inline int64_t now_ms(void)
{
	return clock_boot_ms(clock_system());
}

static inline void turn(struct fixture *f)
{
	const struct timespec pause = {.tv_nsec = 500000};

	ev_run(f->loop, EVRUN_NOWAIT);
	nanosleep(&pause, NULL);
}

static inline void turn_for(struct fixture *f, int64_t ms)
{
	int64_t end = now_ms() + ms;

	while (now_ms() < end)
		turn(f);
}

static inline void client_open(struct fixture *f, struct client *c)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				 .sin_port = htons((uint16_t)http_server_port(f->server))};

	c->n = 0;
	c->closed = c->was_reset = false;
	c->got[0] = '\0';
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&at, sizeof(at)), 0);
}

static inline void client_close(struct client *c)
{
	close(c->fd);
}

static inline bool client_send_bytes(struct client *c, const char *bytes, size_t n)
{
	return send(c->fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static inline void client_send(struct client *c, const char *text)
{
	assert_true(client_send_bytes(c, text, strlen(text)));
}

static inline void client_take(struct client *c)
{
	while (!c->closed && c->n < sizeof(c->got) - 1) {
		ssize_t n = recv(c->fd, c->got + c->n, sizeof(c->got) - 1 - c->n, MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			c->closed = true;
			c->was_reset = n < 0;
			return;
		}
		c->n += (size_t)n;
		c->got[c->n] = '\0';
	}
}

static inline int count(const char *text, const char *what)
{
	int n = 0;

	for (const char *s = strstr(text, what); s; s = strstr(s + strlen(what), what))
		n++;
	return n;
}

/* Until `answers` complete status lines with their bodies' beginnings have come, or the end. */
static inline void wait_answers(struct fixture *f, struct client *c, int answers)
{
	int64_t end = now_ms() + 3000;

	while (!c->closed && count(c->got, "HTTP/1.1 ") < answers && now_ms() < end) {
		turn(f);
		client_take(c);
	}
	turn(f);
	client_take(c);
}

static inline void wait_closed(struct fixture *f, struct client *c)
{
	int64_t end = now_ms() + 3000;

	while (!c->closed && now_ms() < end) {
		turn(f);
		client_take(c);
	}
	assert_true(c->closed);
}

static inline int status_of(const struct client *c)
{
	return strncmp(c->got, "HTTP/1.1 ", 9) == 0 ? (int)strtol(c->got + 9, NULL, 10) : 0;
}

static inline void expect_text(const struct client *c, const char *text)
{
	if (!strstr(c->got, text))
		fail_msg("no \"%s\" in: %.600s", text, c->got);
}

static inline void answer_all(struct fixture *f)
{
	for (int i = 0; i < f->deferred_count; i++) {
		char text[20];
		snprintf(text, sizeof(text), "late %d.", i);
		http_respond(f->deferred[i], 202, "text/plain", text, strlen(text));
	}
	f->deferred_count = 0;
}

#endif
