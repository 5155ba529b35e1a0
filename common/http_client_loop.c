/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl's multi socket interface on libev.
 *
 * One timer serves all requests (one each would halve the rate) and socket watchers are used again,
 * because a socket comes and goes with each request even when its connection stays.
 */
#include "common/http_client_internal.h"

#include <stdlib.h>

struct socket_watch {
	ev_io io;
	struct http_client *client;
	struct socket_watch *next;     /* of client->idle_watches */
	struct socket_watch *next_all; /* of client->all_watches */
};

static void act(struct http_client *c, curl_socket_t socket, int events)
{
	int running;

	curl_multi_socket_action(c->multi, socket, events, &running);
	http_client_reap(c);
}

static void on_socket_ready(struct ev_loop *loop, ev_io *io, int revents)
{
	struct socket_watch *w = io->data;

	(void)loop;
	act(w->client, io->fd,
	    (revents & EV_READ ? CURL_CSELECT_IN : 0) |
		    (revents & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)loop;
	(void)revents;
	act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static struct socket_watch *take_watch(struct http_client *c)
{
	struct socket_watch *w = c->idle_watches;

	if (w) {
		c->idle_watches = w->next;
		return w;
	}
	w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	ev_init(&w->io, on_socket_ready);
	w->io.data = w;
	w->client = c;
	w->next_all = c->all_watches;
	c->all_watches = w;
	return w;
}

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *arg, void *socket_arg)
{
	struct http_client *c = arg;
	struct socket_watch *w = socket_arg;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w) {
			ev_io_stop(c->loop, &w->io);
			w->next = c->idle_watches;
			c->idle_watches = w;
			curl_multi_assign(c->multi, socket, NULL);
		}
		return 0;
	}
	if (!w) {
		w = take_watch(c);
		if (!w)
			return -1;
		curl_multi_assign(c->multi, socket, w);
	}
	ev_io_stop(c->loop, &w->io);
	ev_io_set(&w->io, socket,
		  (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0));
	ev_io_start(c->loop, &w->io);
	return 0;
}

static int on_timeout(CURLM *multi, long timeout_ms, void *arg)
{
	struct http_client *c = arg;

	(void)multi;
	ev_timer_stop(c->loop, &c->timer);
	if (timeout_ms >= 0) {
		ev_timer_set(&c->timer, (double)timeout_ms / 1000., 0.);
		ev_timer_start(c->loop, &c->timer);
	}
	return 0;
}

int http_client_loop_init(struct http_client *c)
{
	ev_init(&c->timer, on_timer);
	c->timer.data = c;
	if (curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket) != CURLM_OK ||
	    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c) != CURLM_OK ||
	    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timeout) != CURLM_OK ||
	    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c) != CURLM_OK)
		return -1;
	return 0;
}

void http_client_loop_detach(struct http_client *c)
{
	curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, NULL);
	curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, NULL);
	ev_timer_stop(c->loop, &c->timer);
}

void http_client_loop_release(struct http_client *c)
{
	while (c->all_watches) {
		struct socket_watch *w = c->all_watches;
		c->all_watches = w->next_all;
		ev_io_stop(c->loop, &w->io);
		free(w);
	}
}
