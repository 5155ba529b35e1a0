/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer in parts. libmicrohttpd pulls: it asks for bytes when the socket takes some. While the
 * next part is being made the connection is suspended, and counts as busy, so that it is neither
 * timed out nor made room of; a client that went away meanwhile is noticed when it goes on.
 */
#include "common/http_server_internal.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#define PULL_BYTES 32768

struct parts {
	struct http_source source;
	struct buf out; /* the part that is on its way */
	size_t sent;	/* of it */
	bool asked;	/* for the next one */
	bool ended;
	bool broken;
};

static ssize_t give(struct parts *p, char *to, size_t most)
{
	size_t n = p->out.len - p->sent;

	if (n > most)
		n = most;
	memcpy(to, p->out.data + p->sent, n);
	p->sent += n;
	return (ssize_t)n;
}

static ssize_t on_pull(void *arg, uint64_t position, char *to, size_t most)
{
	struct http_exchange *x = arg;
	struct parts *p = x->parts;

	(void)position;
	if (p->sent == p->out.len && !p->ended && !p->broken && !p->asked) {
		p->asked = true;
		p->source.more(p->source.arg);
	}
	if (p->broken)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (p->sent < p->out.len)
		return give(p, to, most);
	if (p->ended)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (p->asked) {
		connection_enter(x->connection, CONNECTION_BUSY);
		x->suspended = true;
		MHD_suspend_connection(x->mhd);
	}
	return 0;
}

void http_respond_parts(struct http_exchange *x, unsigned status, const char *content_type,
			const struct http_source *source)
{
	struct parts *p = http_alloc(x, sizeof(*p));
	struct MHD_Response *r = NULL;

	if (p) {
		*p = (struct parts){.source = *source, .asked = true};
		buf_init(&p->out, SIZE_MAX - 1); /* as much as the source gives at a time */
		x->parts = p;
		r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PULL_BYTES, on_pull, x,
						      NULL);
	}
	/* libmicrohttpd ends even a HEAD's chunks, which a client takes for the next answer. */
	if (r && strcmp(x->method, "HEAD") == 0)
		MHD_set_response_options(r, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
	exchange_answer(x, status, content_type, r);
	if (!p)
		source->gone(source->arg);
}

static void go_on(struct http_exchange *x)
{
	x->parts->asked = false;
	if (!x->suspended)
		return; /* within on_pull() */
	connection_enter(x->connection, CONNECTION_WRITING);
	exchange_resume(x);
}

void http_respond_part(struct http_exchange *x, const void *bytes, size_t n, bool is_last)
{
	struct parts *p = x->parts;

	assert(p->asked && !p->ended && !p->broken);
	buf_clear(&p->out);
	p->sent = 0;
	buf_add(&p->out, bytes, n);
	p->ended = is_last;
	p->broken = p->out.failed;
	go_on(x);
}

void http_respond_break(struct http_exchange *x)
{
	assert(x->parts->asked);
	x->parts->broken = true;
	go_on(x);
}

void exchange_parts_break(struct http_exchange *x)
{
	x->parts->broken = true;
	go_on(x);
}

void exchange_parts_release(struct http_exchange *x)
{
	struct parts *p = x->parts;

	x->parts = NULL;
	buf_release(&p->out);
	p->source.gone(p->source.arg);
}
