/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer with a raw socket on a thread, which counts what arrives, so that "exactly one request on
 * the wire" is seen there and not believed from libcurl; and a client with its loop.
 */
#ifndef CARILLON_HTTP_CLIENT_FIXTURE_H
#define CARILLON_HTTP_CLIENT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/http_client.h"

/* ---- A peer ---- */

struct peer {
	int listen_fd;
	unsigned port;
	pthread_t thread;
	void (*serve)(struct peer *p, int fd);
	const char *answer; /* of serve_answer() */
	atomic_int connections;
	atomic_int requests;
	atomic_long body_bytes;
	atomic_bool stop;
	char last_request[262144];
};

static inline void *peer_main(void *arg)
{
	struct peer *p = arg;

	while (!p->stop) {
		struct pollfd ready = {.fd = p->listen_fd, .events = POLLIN};
		if (poll(&ready, 1, 20) <= 0)
			continue;
		int fd = accept(p->listen_fd, NULL, NULL);
		if (fd < 0)
			continue;
		p->connections++;
		p->serve(p, fd);
		close(fd);
	}
	return NULL;
}

static inline void peer_start(struct peer *p, void (*serve)(struct peer *p, int fd))
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(at);

	memset(p, 0, sizeof(*p));
	p->serve = serve;
	p->listen_fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(p->listen_fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(p->listen_fd, 16), 0);
	assert_int_equal(getsockname(p->listen_fd, (struct sockaddr *)&at, &n), 0);
	p->port = ntohs(at.sin_port);
	assert_int_equal(pthread_create(&p->thread, NULL, peer_main, p), 0);
}

static inline void peer_stop(struct peer *p)
{
	p->stop = true;
	pthread_join(p->thread, NULL);
	close(p->listen_fd);
}

static inline void nap(int ms)
{
	const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000L};

	nanosleep(&t, NULL);
}

/* One connection at a time: the next one waiting ends this one. */
static inline bool wait_readable(struct peer *p, int fd)
{
	struct pollfd ready[] = {{.fd = fd, .events = POLLIN},
				 {.fd = p->listen_fd, .events = POLLIN}};

	while (!p->stop)
		if (poll(ready, 2, 20) > 0)
			return ready[0].revents != 0;
	return false;
}

/* One request with its body; false at the end of the connection. */
static inline bool read_request(struct peer *p, int fd)
{
	static char text[sizeof(p->last_request)];
	size_t n = 0;
	size_t head = 0;
	size_t body = 0;

	while (n < sizeof(text) - 1 && wait_readable(p, fd)) {
		ssize_t got = read(fd, text + n, sizeof(text) - 1 - n);
		if (got <= 0)
			break;
		n += (size_t)got;
		text[n] = '\0';
		const char *end = strstr(text, "\r\n\r\n");
		if (!end)
			continue;
		if (head == 0)
			p->requests++;
		head = (size_t)(end + 4 - text);
		const char *length = strstr(text, "Content-Length: ");
		body = length && length < end ? strtoul(length + 16, NULL, 10) : 0;
		if (n >= head + body)
			break;
	}
	if (head == 0)
		return false;
	p->body_bytes += (long)(n - head);
	memcpy(p->last_request, text, n + 1);
	return n >= head + body;
}

static inline void say(int fd, const char *text)
{
	size_t n = strlen(text);

	if (send(fd, text, n, MSG_NOSIGNAL) != (ssize_t)n)
		return; /* the client went away: what these tests are about */
}

static inline void reset(int fd)
{
	const struct linger linger = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

static inline void serve_ok(struct peer *p, int fd)
{
	while (read_request(p, fd))
		say(fd, ok);
}

static inline void serve_silence(struct peer *p, int fd)
{
	while (read_request(p, fd))
		;
}

/* ---- A client with its loop ---- */

struct result {
	struct ev_loop *loop;
	bool permit; /* what may_send says */
	int asked;
	int done;
	int expected;
	enum http_outcome outcome;
	bool body_started;
	long status;
	char body[256];
	size_t body_bytes;
	int64_t retry_after_ms, date_at;
	char error[256];
	int64_t started_at, answered_at;
};

static inline void on_done(void *arg, const struct http_answer *a)
{
	struct result *r = arg;

	r->outcome = a->outcome;
	r->body_started = a->body_started;
	r->status = a->status;
	r->body_bytes = a->body_bytes;
	snprintf(r->body, sizeof(r->body), "%s", a->body);
	r->retry_after_ms = a->retry_after_ms;
	r->date_at = a->date_at;
	snprintf(r->error, sizeof(r->error), "%s", a->error ? a->error : "");
	r->started_at = a->started_at;
	r->answered_at = a->answered_at;
	assert_int_equal(strlen(a->body) <= a->body_bytes, 1);
	if (++r->done == r->expected)
		ev_break(r->loop, EVBREAK_ALL);
}

static inline bool may_send(void *arg)
{
	struct result *r = arg;

	r->asked++;
	return r->permit;
}

static inline int64_t fixed_wall_ms(void *arg)
{
	(void)arg;
	return 1767630011000; /* 2026-01-05T16:20:11Z */
}

struct fixture {
	struct ev_loop *loop;
	struct http_client *client;
	struct clock fixed;
	struct result r;
	char url[128];
	struct http_request request;
};

static const char *const headers[] = {"Content-Type: application/json", "X-Job: job-42", NULL};

static inline void setup_options(struct fixture *f, const struct peer *p, size_t max_requests,
				 bool insecure)
{
	memset(f, 0, sizeof(*f));
	f->loop = ev_loop_new(0);
	f->fixed = *clock_system();
	f->fixed.wall_ms = fixed_wall_ms;
	const struct http_client_options o = {.max_requests = max_requests,
					      .connection_max_idle_s = 15,
					      .allow_insecure = insecure,
					      .user_agent = "carillon-test",
					      .clock = &f->fixed};
	f->client = http_client_new(f->loop, &o);
	assert_non_null(f->client);
	f->r = (struct result){.loop = f->loop, .permit = true, .expected = 1};
	snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%u/api/v1/calls/dispatch",
		 p ? p->port : 0);
	f->request = (struct http_request){.method = "POST",
					   .url = f->url,
					   .headers = headers,
					   .body = "{\"to\":\"+12025550101\"}",
					   .body_bytes = 21,
					   .timeout_ms = 5000,
					   .max_response_bytes = 65536,
					   .once = true,
					   .may_send = may_send};
}

static inline void setup(struct fixture *f, const struct peer *p)
{
	setup_options(f, p, 8, true);
}

static inline void teardown(struct fixture *f)
{
	http_client_free(f->client);
	ev_loop_destroy(f->loop);
}

static inline void run_one(struct fixture *f)
{
	f->r.done = 0;
	assert_true(http_send(f->client, &f->request, on_done, &f->r));
	assert_int_equal(f->r.done, 0); /* never from within http_send() */
	ev_run(f->loop, 0);
	assert_int_equal(f->r.done, 1);
}

static inline void expect(const struct fixture *f, enum http_outcome outcome, bool body_started)
{
	if (f->r.outcome != outcome || f->r.body_started != body_started)
		fail_msg("outcome %d, body_started %d, error: %s", f->r.outcome, f->r.body_started,
			 f->r.error);
}

#endif
