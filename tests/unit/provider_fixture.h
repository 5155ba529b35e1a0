/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A provider made of raw sockets on the loop of the test, so that it can count what arrives, look
 * at the database in that moment, and answer, break off or keep silent as it is told.
 */
#ifndef CARILLON_TESTS_PROVIDER_FIXTURE_H
#define CARILLON_TESTS_PROVIDER_FIXTURE_H

#include <arpa/inet.h>
#include <ev.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define PROVIDER_LINES_MAX 32
#define PROVIDER_REQUEST_BYTES 16384

enum provider_mode {
	PROVIDER_ANSWERS,
	PROVIDER_RESETS, /* when it has the whole request */
	PROVIDER_HOLDS,	 /* until provider_release_all() */
};

struct provider;

struct provider_line {
	struct provider *p;
	ev_io io;
	int fd; /* -1: free */
	size_t n;
	bool held;
	int number; /* of the POST it has read last, from 1 */
	char text[PROVIDER_REQUEST_BYTES];
};

struct provider {
	struct ev_loop *loop;
	ev_io io;
	int fd;
	unsigned port;
	struct provider_line lines[PROVIDER_LINES_MAX];

	enum provider_mode mode;
	unsigned status;    /* of answers to POST */
	const char *body;   /* NULL: accepted, with a new id */
	const char *header; /* further lines, each with its end; "" */
	const char *list;   /* answers GET */

	int connections;
	int posts, gets;
	int held; /* requests that wait for their answer */
	void (*on_post)(void *arg, const char *request);
	void *arg;
};

static inline void line_close(struct provider_line *l, bool reset)
{
	const struct linger linger = {.l_onoff = 1};

	if (reset)
		setsockopt(l->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	ev_io_stop(l->p->loop, &l->io);
	close(l->fd);
	l->fd = -1;
	l->p->held -= l->held;
	l->held = false;
}

static inline void line_answer(struct provider_line *l, unsigned status, const char *body)
{
	const struct provider *p = l->p;
	size_t length = strlen(body), size = length + 512, sent = 0;
	char *text = malloc(size);

	char date[64];
	time_t now = time(NULL);
	struct tm tm;

	assert_non_null(text);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
	size_t n = (size_t)snprintf(text, size,
				    "HTTP/1.1 %u X\r\nContent-Type: application/json\r\n"
				    "Date: %s\r\nContent-Length: %zu\r\n%s\r\n%s",
				    status, date, length, p->header, body);
	/* A client that has had enough hangs up in the middle. */
	while (sent < n) {
		ssize_t more = send(l->fd, text + sent, n - sent, MSG_NOSIGNAL);
		if (more <= 0)
			break;
		sent += (size_t)more;
	}
	free(text);
}

static inline void line_answer_post(struct provider_line *l)
{
	char body[256];

	/* One shape for Vapi and Omni: each reads its own part. */
	snprintf(body, sizeof(body), "{\"id\":\"call-%d\",\"success\":true,\"requestId\":%d}",
		 l->number, l->number);
	line_answer(l, l->p->status, l->p->body ? l->p->body : body);
}

static inline void line_take_request(struct provider_line *l)
{
	struct provider *p = l->p;
	bool post = strncmp(l->text, "POST ", 5) == 0;

	l->n = 0;
	if (!post) {
		p->gets++;
		line_answer(l, 200, p->list);
		return;
	}
	l->number = ++p->posts;
	if (p->on_post)
		p->on_post(p->arg, l->text);
	switch (p->mode) {
	case PROVIDER_ANSWERS:
		line_answer_post(l);
		break;
	case PROVIDER_RESETS:
		line_close(l, true);
		break;
	case PROVIDER_HOLDS:
		l->held = true;
		p->held++;
		break;
	}
}

static inline void on_line(struct ev_loop *loop, ev_io *w, int revents)
{
	struct provider_line *l = w->data;
	ssize_t got = read(l->fd, l->text + l->n, sizeof(l->text) - 1 - l->n);

	(void)loop;
	(void)revents;
	if (got <= 0) {
		line_close(l, false);
		return;
	}
	l->n += (size_t)got;
	l->text[l->n] = '\0';
	const char *end = strstr(l->text, "\r\n\r\n");
	if (!end)
		return;
	const char *length = strstr(l->text, "Content-Length: ");
	size_t body = length && length < end ? strtoul(length + 16, NULL, 10) : 0;
	if (l->n >= (size_t)(end + 4 - l->text) + body)
		line_take_request(l);
}

static inline void on_provider(struct ev_loop *loop, ev_io *w, int revents)
{
	struct provider *p = w->data;
	int fd = accept(p->fd, NULL, NULL);

	(void)revents;
	assert_true(fd >= 0);
	p->connections++;
	for (size_t i = 0; i < PROVIDER_LINES_MAX; i++) {
		struct provider_line *l = &p->lines[i];

		if (l->fd >= 0)
			continue;
		l->fd = fd;
		l->n = 0;
		ev_io_init(&l->io, on_line, fd, EV_READ);
		l->io.data = l;
		ev_io_start(loop, &l->io);
		return;
	}
	fail_msg("more than %d connections", PROVIDER_LINES_MAX);
}

static inline void provider_init(struct provider *p, struct ev_loop *loop)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(at);

	memset(p, 0, sizeof(*p));
	p->loop = loop;
	p->status = 201;
	p->list = "[]";
	p->header = "";
	for (size_t i = 0; i < PROVIDER_LINES_MAX; i++)
		p->lines[i] = (struct provider_line){.p = p, .fd = -1};
	p->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(p->fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(p->fd, PROVIDER_LINES_MAX), 0);
	assert_int_equal(getsockname(p->fd, (struct sockaddr *)&at, &n), 0);
	p->port = ntohs(at.sin_port);
	ev_io_init(&p->io, on_provider, p->fd, EV_READ);
	p->io.data = p;
	ev_io_start(loop, &p->io);
}

static inline void provider_release_all(struct provider *p)
{
	p->mode = PROVIDER_ANSWERS;
	for (size_t i = 0; i < PROVIDER_LINES_MAX; i++) {
		struct provider_line *l = &p->lines[i];

		if (!l->held)
			continue;
		l->held = false;
		p->held--;
		line_answer_post(l);
	}
}

static inline void provider_release(struct provider *p)
{
	for (size_t i = 0; i < PROVIDER_LINES_MAX; i++) {
		if (p->lines[i].fd >= 0)
			line_close(&p->lines[i], false);
	}
	ev_io_stop(p->loop, &p->io);
	close(p->fd);
}

#endif
