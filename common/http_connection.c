/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deadlines. libmicrohttpd's timeout is for idle connections only: a byte a second keeps one open
 * for ever. So every connection is in a list by the time its wait began, and is cut off by
 * shutdown(2) when its phase has taken too long, or when it is the longest waiting one and the
 * place is needed.
 */
#include "common/http_server_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define IDLE_TIMEOUT_MS 30000
#define STREAM_BYTES_PER_MS 32 /* the pace of a streamed body */

static const struct {
	unsigned status;
	const char *title;
	const char *header;
} cut_answers[] = {
	[CUT_SILENTLY] = {0, NULL, NULL},
	[CUT_TIMEOUT] = {408, "Request Timeout", ""},
	[CUT_TOO_LARGE] = {413, "Content Too Large", ""},
	[CUT_OVERLOAD] = {503, "Service Unavailable", "Retry-After: 1\r\n"},
};

static bool waits(enum connection_phase phase)
{
	return phase != CONNECTION_BUSY && phase != CONNECTION_CUT;
}

static void waiting_remove(struct connection *c)
{
	struct http_server *s = c->server;

	*(c->previous ? &c->previous->next : &s->waiting_first) = c->next;
	*(c->next ? &c->next->previous : &s->waiting_last) = c->previous;
	c->previous = c->next = NULL;
}

static void waiting_append(struct connection *c)
{
	struct http_server *s = c->server;

	c->since_ms = clock_boot_ms(s->o.clock);
	c->previous = s->waiting_last;
	c->next = NULL;
	*(s->waiting_last ? &s->waiting_last->next : &s->waiting_first) = c;
	s->waiting_last = c;
}

static void format_peer(struct MHD_Connection *mhd, char *ret_text, size_t n)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

	if (info && info->client_addr && info->client_addr->sa_family == AF_INET) {
		struct sockaddr_in in;
		memcpy(&in, info->client_addr, sizeof(in));
		inet_ntop(AF_INET, &in.sin_addr, ret_text, (socklen_t)n);
	} else if (info && info->client_addr && info->client_addr->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;
		memcpy(&in6, info->client_addr, sizeof(in6));
		if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
			inet_ntop(AF_INET, &in6.sin6_addr.s6_addr[12], ret_text, (socklen_t)n);
		else
			inet_ntop(AF_INET6, &in6.sin6_addr, ret_text, (socklen_t)n);
	}
}

struct connection *connection_new(struct http_server *s, struct MHD_Connection *mhd)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->server = s;
	c->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	c->phase = CONNECTION_FRESH;
	format_peer(mhd, c->peer, sizeof(c->peer));
	waiting_append(c);
	if (s->connections++ == 0)
		ev_timer_again(s->loop, &s->reaper);
	return c;
}

void connection_free(struct connection *c)
{
	struct http_server *s = c->server;

	if (waits(c->phase))
		waiting_remove(c);
	if (c->phase == CONNECTION_CUT)
		s->connections_cut--;
	if (--s->connections == 0)
		ev_timer_stop(s->loop, &s->reaper);
	free(c);
}

void connection_enter(struct connection *c, enum connection_phase phase)
{
	/* The deadline of header and body counts from the same moment; that of a first request from
	 * accept(). */
	bool goes_on =
		(waits(c->phase) && (phase == CONNECTION_BODY || phase == CONNECTION_STREAM)) ||
		(phase == CONNECTION_HEADER && c->phase == CONNECTION_FRESH);

	if (c->phase == CONNECTION_CUT)
		return;
	if (!goes_on) {
		if (waits(c->phase))
			waiting_remove(c);
		if (waits(phase))
			waiting_append(c);
	}
	c->phase = phase;
}

void connection_progress(struct connection *c, size_t bytes)
{
	const int64_t now_ms = clock_boot_ms(c->server->o.clock);

	c->owed_bytes += bytes;
	c->since_ms += (int64_t)(c->owed_bytes / STREAM_BYTES_PER_MS);
	c->owed_bytes %= STREAM_BYTES_PER_MS;
	if (c->since_ms > now_ms)
		c->since_ms = now_ms;
}

/* Written past libmicrohttpd, which has nothing to send at this point. If the socket takes it not,
 * the client learns from the close. */
static void say_why(struct connection *c, enum cut how)
{
	char body[128];
	char text[384];

	int body_bytes = snprintf(body, sizeof(body),
				  "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%u}",
				  cut_answers[how].title, cut_answers[how].status);
	int n = snprintf(text, sizeof(text),
			 "HTTP/1.1 %u %s\r\nContent-Type: application/problem+json\r\n"
			 "Content-Length: %d\r\n%sConnection: close\r\n\r\n%s",
			 cut_answers[how].status, cut_answers[how].title, body_bytes,
			 cut_answers[how].header, body);
	(void)!send(c->fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void connection_cut(struct connection *c, enum cut how)
{
	if (c->phase == CONNECTION_CUT)
		return;
	if (how != CUT_SILENTLY)
		say_why(c, how);
	c->cut_status = cut_answers[how].status;
	shutdown(c->fd, SHUT_RDWR);
	connection_enter(c, CONNECTION_CUT);
	c->server->connections_cut++;
}

void connection_make_room(struct http_server *s, struct connection *newest)
{
	struct connection *victim = NULL;

	if (s->connections - s->connections_cut <= s->o.max_connections)
		return;
	for (struct connection *c = s->waiting_first; c && c != newest; c = c->next) {
		if (c->phase != CONNECTION_WRITING && c->phase != CONNECTION_STREAM) {
			victim = c;
			break;
		}
		if (!victim)
			victim = c;
	}
	if (!victim)
		connection_cut(newest, CUT_OVERLOAD);
	else if (victim->phase >= CONNECTION_HEADER && victim->phase <= CONNECTION_STREAM)
		connection_cut(victim, CUT_OVERLOAD);
	else
		connection_cut(victim, CUT_SILENTLY);
}

void connections_cut_phases(struct http_server *s, enum connection_phase first,
			    enum connection_phase last, enum cut how)
{
	for (struct connection *c = s->waiting_first, *next; c; c = next) {
		next = c->next;
		if (c->phase >= first && c->phase <= last)
			connection_cut(c, how);
	}
}

void connections_reap(struct http_server *s)
{
	const int64_t now_ms = clock_boot_ms(s->o.clock);
	const struct {
		int64_t limit_ms; /* 0: none of ours; a stalled answer is libmicrohttpd's to end */
		enum cut how;
	} rules[] = {
		[CONNECTION_FRESH] = {s->o.header_timeout_ms, CUT_TIMEOUT},
		[CONNECTION_IDLE] = {IDLE_TIMEOUT_MS, CUT_SILENTLY},
		[CONNECTION_HEADER] = {s->o.header_timeout_ms, CUT_TIMEOUT},
		[CONNECTION_BODY] = {s->o.request_timeout_ms, CUT_TIMEOUT},
		[CONNECTION_STREAM] = {s->o.request_timeout_ms, CUT_TIMEOUT},
		[CONNECTION_WRITING] = {0, CUT_SILENTLY},
	};

	for (struct connection *c = s->waiting_first, *next; c; c = next) {
		int64_t limit_ms = rules[c->phase].limit_ms;
		next = c->next;
		if (limit_ms > 0 && now_ms - c->since_ms >= limit_ms)
			connection_cut(c, rules[c->phase].how);
	}
}
