/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common/http_client.h over the provider in memory. Between the call of http_send() and the answer
 * everything can happen that a network does, each at a time of its own: no connection; a request
 * that arrives late or never, an answer that is lost, garbled or too late. What has left a worker
 * may arrive though the worker is dead.
 */
#include "common/http_client.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/simulation/provider.h"
#include "tests/simulation/sim.h"

#define LATE_PERMILLE 30
#define ASLEEP_MAX_MS (100 * SECOND) /* a silent worker is waited for two minutes longer */

struct exchange {
	struct http_client *client; /* NULL: it is gone */
	struct worker *owner;
	struct exchange *next;
	char *url, *body;
	bool is_post, started, done;
	bool (*may_send)(void *arg);
	http_done_cb *cb;
	void *arg;
	int64_t timeout_ms, started_at;
	struct reply reply;
	int users; /* the client and events */
};

struct http_client {
	struct http_client_options o;
	struct worker *owner;
	struct exchange *exchanges;
	size_t n;
};

static void unuse(void *arg)
{
	struct exchange *x = arg;

	if (--x->users > 0)
		return;
	buf_release(&x->reply.body);
	free(x->url);
	free(x->body);
	free(x);
}

static void plan(struct exchange *x, struct worker *owner, int64_t at, event_fn *fn)
{
	x->users++;
	sim_at(at, owner, fn, x, unuse);
}

struct http_client *http_client_new(struct ev_loop *loop, const struct http_client_options *o)
{
	struct http_client *c = calloc(1, sizeof(*c));

	assert(c);
	c->o = *o;
	c->owner = worker_of(loop);
	return c;
}

void http_client_free(struct http_client *c)
{
	if (!c)
		return;
	for (struct exchange *x = c->exchanges, *next; x; x = next) {
		next = x->next;
		x->client = NULL;
		unuse(x);
	}
	free(c);
}

/* ---- The answer ---- */

static void finish(struct exchange *x, const struct http_answer *a)
{
	struct exchange **at = &x->client->exchanges;

	x->done = true;
	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	x->client->n--;
	x->cb(x->arg, a);
	unuse(x);
}

static struct http_answer failure(const struct exchange *x, const char *error)
{
	int64_t now = clock_wall_ms(worker_clock(x->owner));

	return (struct http_answer){
		.outcome = HTTP_FAILED,
		.body_started = x->started,
		.retry_after_ms = -1,
		.date_at = -1,
		.error = error,
		.started_at = x->started ? x->started_at : now,
		.answered_at = now,
	};
}

static void on_answer(void *arg)
{
	struct exchange *x = arg;
	struct http_answer a = failure(x, NULL);

	if (x->done)
		return;
	a.outcome = HTTP_ANSWERED;
	a.status = x->reply.status;
	a.body = x->reply.body.data ? x->reply.body.data : "";
	a.body_bytes = x->reply.body.len;
	a.retry_after_ms = x->reply.retry_after_ms;
	a.date_at = chance(20) ? -1 : provider_now() / SECOND * SECOND;
	finish(x, &a);
}

static void on_failure(void *arg)
{
	struct exchange *x = arg;
	const struct http_answer a = failure(x, "the connection failed");

	if (!x->done)
		finish(x, &a);
}

/* ---- The request ---- */

static enum fate fate_of(void)
{
	if (faulty(sim.faults.http_broken))
		return FATE_BROKEN;
	if (faulty(sim.faults.refused))
		return chance(700) ? FATE_REFUSED_LATER : FATE_REFUSED;
	return FATE_ACCEPTED;
}

/* At the provider. Its answer may be lost on the way. */
static void on_arrival(void *arg)
{
	struct exchange *x = arg;
	int64_t at = sim_now() + (faulty(LATE_PERMILLE) ? chance_between(0, 2 * x->timeout_ms)
							: chance_between(1, 200));

	x->reply.retry_after_ms = -1;
	if (x->is_post)
		provider_post(x->url, x->body, fate_of(), &x->reply);
	else
		provider_get(x->url, faulty(sim.faults.list_broken), &x->reply);
	bool lost = x->reply.status == 0;
	if (!worker_is_alive(x->owner) || !x->client)
		return;
	if (!lost)
		plan(x, x->owner, at, on_answer);
	else if (chance(500))
		plan(x, x->owner, at, on_failure); /* else it times out */
}

/* Connected: now the first byte leaves, or never. */
static void on_connected(void *arg)
{
	struct exchange *x = arg;
	struct http_answer a = failure(x, "it was held");

	if (x->done)
		return;
	if (!worker_acts(x->owner, "the first byte")) {
		return;
	}
	if (x->may_send && !x->may_send(x->arg)) {
		a.outcome = HTTP_HELD;
		finish(x, &a);
		return;
	}
	x->started = true;
	x->started_at = clock_wall_ms(worker_clock(x->owner));
	if (x->is_post)
		oracle_posting(x->body);
	/* Sent, but it may be long on the way, and it may never come. */
	int64_t at = sim_now() + (faulty(LATE_PERMILLE) ? chance_between(0, x->timeout_ms - 1)
							: chance_between(1, 100));
	if (x->is_post && faulty(sim.faults.freeze)) {
		/* Asleep in the system call that sends: no guard can be between. */
		int64_t for_ms = chance_between(SECOND, ASLEEP_MAX_MS);
		worker_sleeps(x->owner, for_ms);
		at += for_ms;
	}
	if (x->is_post && faulty(sim.faults.http_unsent))
		plan(x, x->owner, at, on_failure);
	else
		plan(x, NULL, at, on_arrival);
}

bool http_send(struct http_client *c, const struct http_request *r, http_done_cb *cb, void *arg)
{
	int64_t at = sim_now() + chance_between(0, faulty(LATE_PERMILLE) ? 2 * SECOND : 20);

	if (c->n >= c->o.max_requests)
		return false;
	struct exchange *x = calloc(1, sizeof(*x));
	assert(x);
	*x = (struct exchange){
		.client = c,
		.owner = c->owner,
		.next = c->exchanges,
		.url = strdup(r->url),
		.body = r->body ? strndup(r->body, r->body_bytes) : NULL,
		.is_post = strcmp(r->method, "POST") == 0,
		.may_send = r->may_send,
		.cb = cb,
		.arg = arg,
		.timeout_ms = r->timeout_ms,
		.users = 1,
	};
	buf_init(&x->reply.body, 4u << 20);
	c->exchanges = x;
	c->n++;
	counts.posts += x->is_post;
	if (faulty(sim.faults.http_unsent))
		plan(x, c->owner, at, on_failure);
	else
		plan(x, c->owner, at, on_connected);
	plan(x, c->owner, sim_now() + r->timeout_ms, on_failure);
	return true;
}

size_t http_client_free_slots(const struct http_client *c)
{
	return c->o.max_requests - c->n;
}
