/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One heap of events for everybody, by time and then by order of coming. libev's timers are events
 * too; a timer is known by a number, so that one that was stopped or started anew is told from the
 * one the event was made for, without touching it.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/simulation/sim.h"

#define EVENTS_MAX 65536
#define TIMERS_MAX 16

struct event {
	int64_t at;
	uint64_t order;
	struct worker *owner;
	unsigned incarnation;
	event_fn *fn, *release;
	void *arg;
};

static struct {
	struct event heap[EVENTS_MAX];
	size_t n;
	uint64_t order;
	int64_t now;
} queue;

int64_t sim_now(void)
{
	return queue.now;
}

static bool before(const struct event *a, const struct event *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void push(struct event e)
{
	size_t i = queue.n++;

	assert(queue.n <= EVENTS_MAX);
	for (; i > 0 && before(&e, &queue.heap[(i - 1) / 2]); i = (i - 1) / 2)
		queue.heap[i] = queue.heap[(i - 1) / 2];
	queue.heap[i] = e;
}

static struct event pop(void)
{
	struct event top = queue.heap[0], last = queue.heap[--queue.n];
	size_t i = 0;

	for (size_t child; (child = 2 * i + 1) < queue.n; i = child) {
		if (child + 1 < queue.n && before(&queue.heap[child + 1], &queue.heap[child]))
			child++;
		if (!before(&queue.heap[child], &last))
			break;
		queue.heap[i] = queue.heap[child];
	}
	queue.heap[i] = last;
	return top;
}

void sim_at(int64_t at, struct worker *owner, event_fn *fn, void *arg, event_fn *release)
{
	push((struct event){
		.at = at > queue.now ? at : queue.now,
		.order = queue.order++,
		.owner = owner,
		.incarnation = owner ? worker_incarnation(owner) : 0,
		.fn = fn,
		.release = release ? release : free,
		.arg = arg,
	});
}

static bool is_for_a_dead(const struct event *e)
{
	return e->owner &&
	       (!worker_is_alive(e->owner) || worker_incarnation(e->owner) != e->incarnation);
}

bool sim_step(int64_t until)
{
	if (queue.n == 0 || queue.heap[0].at > until)
		return false;
	struct event e = pop();
	queue.now = e.at;
	counts.events++;
	if (is_for_a_dead(&e)) {
		e.release(e.arg);
		return true;
	}
	if (e.owner && worker_is_frozen(e.owner)) {
		e.at = worker_frozen_until(e.owner); /* in the order they came */
		push(e);
		return true;
	}
	e.fn(e.arg);
	e.release(e.arg);
	if (e.owner)
		worker_turns(e.owner);
	return true;
}

void sim_clear(void)
{
	while (queue.n > 0) {
		struct event e = pop();
		e.release(e.arg);
	}
	queue.now = 0;
	queue.order = 0;
}

/* ---- libev ---- */

struct ev_loop {
	struct worker *owner;
	struct {
		ev_timer *timer;
		int number;
	} timers[TIMERS_MAX];
	size_t n;
	ev_prepare *prepare;
	int last_number;
};

struct due {
	struct ev_loop *loop;
	int number;
};

struct ev_loop *loop_new(struct worker *owner)
{
	struct ev_loop *loop = calloc(1, sizeof(*loop));

	assert(loop);
	loop->owner = owner;
	return loop;
}

void loop_free(struct ev_loop *loop)
{
	free(loop);
}

struct worker *worker_of(const struct ev_loop *loop)
{
	return loop->owner;
}

static size_t place_of(const struct ev_loop *loop, int number)
{
	size_t i = 0;

	while (i < loop->n && loop->timers[i].number != number)
		i++;
	return i;
}

static void on_due(void *arg);

static void plan(struct ev_loop *loop, int number, double after_s)
{
	struct due *d = malloc(sizeof(*d));

	assert(d);
	*d = (struct due){loop, number};
	sim_at(queue.now + (int64_t)(after_s * 1000. + .5), loop->owner, on_due, d, NULL);
}

static void on_due(void *arg)
{
	const struct due *d = arg;
	size_t i = place_of(d->loop, d->number);

	if (i == d->loop->n)
		return;
	ev_timer *t = d->loop->timers[i].timer;
	if (t->repeat > 0)
		plan(d->loop, d->number, t->repeat);
	else
		ev_timer_stop(d->loop, t);
	t->cb(d->loop, t, EV_TIMER);
}

void ev_timer_start(struct ev_loop *loop, ev_timer *t)
{
	if (t->active)
		return;
	assert(loop->n < TIMERS_MAX);
	t->active = ++loop->last_number;
	loop->timers[loop->n].timer = t;
	loop->timers[loop->n++].number = t->active;
	plan(loop, t->active, t->at);
}

void ev_timer_stop(struct ev_loop *loop, ev_timer *t)
{
	size_t i = t->active ? place_of(loop, t->active) : loop->n;

	t->active = 0;
	if (i < loop->n)
		loop->timers[i] = loop->timers[--loop->n];
}

void ev_prepare_start(struct ev_loop *loop, ev_prepare *p)
{
	loop->prepare = p;
}

void ev_prepare_stop(struct ev_loop *loop, ev_prepare *p)
{
	if (loop->prepare == p)
		loop->prepare = NULL;
}

void loop_prepare(struct ev_loop *loop)
{
	if (loop->prepare)
		loop->prepare->cb(loop, loop->prepare, EV_PREPARE);
}
