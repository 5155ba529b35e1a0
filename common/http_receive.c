/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A body that is taken piece by piece. libmicrohttpd offers what it has read; what is not taken
 * stays there, and with the connection suspended nothing more is read: TCP tells the client to
 * wait. While the receiver is at work the connection counts as busy; while the client is, it must
 * keep a pace.
 *
 * In the middle of a body libmicrohttpd takes no answer. One that is given early is kept, and the
 * rest of the body thrown away, so that clients which read only after they have sent everything
 * get it too.
 */
#include "common/http_server_internal.h"

#include <assert.h>

struct receiver {
	struct http_sink sink;
	size_t max_bytes;
	size_t got;
	bool wanted; /* the sink takes a piece */
	bool ended;
};

bool http_receive(struct http_exchange *x, size_t max_bytes, const struct http_sink *sink)
{
	struct receiver *r = http_alloc(x, sizeof(*r));

	assert(x->admitting && !x->receiver);
	if (!r) {
		http_respond_problem(x, 503, "no memory");
		return false;
	}
	*r = (struct receiver){.sink = *sink, .max_bytes = max_bytes};
	x->receiver = r;
	return true;
}

void http_receive_more(struct http_exchange *x)
{
	x->receiver->wanted = true;
	if (!x->suspended || x->receiver->ended)
		return;
	connection_enter(x->connection, CONNECTION_STREAM);
	exchange_resume(x);
}

void exchange_receive(struct http_exchange *x, const char *data, size_t *data_bytes)
{
	struct receiver *r = x->receiver;
	size_t n = *data_bytes;

	if (!x->answered && !r->wanted) {
		connection_enter(x->connection, CONNECTION_BUSY);
		x->suspended = true;
		MHD_suspend_connection(x->mhd);
		return;
	}
	*data_bytes = 0;
	connection_progress(x->connection, n);
	if (x->answered)
		return;
	r->got += n;
	if (r->got > r->max_bytes) {
		http_respond_problem(x, 413, NULL);
		return;
	}
	r->wanted = false;
	if (r->sink.piece(r->sink.arg, data, n))
		r->wanted = true;
}

void exchange_received(struct http_exchange *x)
{
	connection_enter(x->connection, CONNECTION_BUSY);
	x->receiver->ended = true;
	x->receiver->sink.end(x->receiver->sink.arg);
}

bool exchange_body_is_open(const struct http_exchange *x)
{
	return x->receiver && !x->receiver->ended && !x->admitting;
}

void exchange_receiver_release(struct http_exchange *x)
{
	struct receiver *r = x->receiver;

	x->receiver = NULL;
	r->sink.gone(r->sink.arg);
}
