/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common/pg.h over the tables of database.c. A batch travels, is done as a whole, and its answer
 * travels back; a connection may break on either way, and takes with it what came after. What a
 * dead worker had sent is done all the same.
 */
#include "common/pg.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/simulation/database.h"
#include "tests/simulation/sim.h"

#define STATEMENTS_MAX 24
#define PARAMS_MAX 24

struct statement {
	size_t index, n;
	char *params[PARAMS_MAX];
};

struct batch {
	struct pg *pg;
	unsigned connection;
	struct statement statements[STATEMENTS_MAX];
	PGresult *res[STATEMENTS_MAX];
	size_t n;
	pg_batch_cb *cb;
	void *arg;
	enum pg_status status;
	bool sent, broken, answered;
	int users; /* the connection's list, and events */
	struct batch *next;
};

struct pg {
	struct pg_options o;
	struct worker *owner;
	bool up, freed;
	unsigned connection; /* counts them */
	unsigned cut;	     /* connections below this number are broken at the server */
	struct batch *open;
	struct batch *first; /* in flight, in order */
	size_t in_flight;
	int64_t arrives_at, answers_at; /* of the last one */
	int users;
};

static void pg_unuse(struct pg *pg)
{
	if (--pg->users == 0)
		free(pg);
}

static void batch_unuse(void *arg)
{
	struct batch *b = arg;

	if (--b->users > 0)
		return;
	for (size_t i = 0; i < b->n; i++) {
		for (size_t p = 0; p < b->statements[i].n; p++)
			free(b->statements[i].params[p]);
		PQclear(b->res[i]);
	}
	pg_unuse(b->pg);
	free(b);
}

/* ---- The connection ---- */

static void on_connect(void *arg)
{
	struct pg *pg = *(struct pg **)arg;

	if (sim_now() < sim.database_down_until) {
		struct pg **again = malloc(sizeof(struct pg *));
		assert(again);
		*again = pg;
		sim_at(sim_now() + SECOND, pg->owner, on_connect, again, NULL);
		if (pg->o.on_state)
			pg->o.on_state(pg->o.arg, false, "away");
		return;
	}
	pg->up = true;
	if (pg->o.on_state)
		pg->o.on_state(pg->o.arg, true, NULL);
}

static void reconnect(struct pg *pg)
{
	struct pg **arg = malloc(sizeof(struct pg *));

	assert(arg);
	*arg = pg;
	sim_at(sim_now() + chance_between(5, 300), pg->owner, on_connect, arg, NULL);
}

struct pg *pg_new(struct ev_loop *loop, const struct pg_options *options)
{
	struct pg *pg = calloc(1, sizeof(*pg));

	assert(pg);
	pg->o = *options;
	pg->owner = worker_of(loop);
	pg->users = 1;
	reconnect(pg);
	return pg;
}

void pg_free(struct pg *pg)
{
	if (!pg)
		return;
	pg->freed = true;
	for (struct batch *b = pg->first, *next; b; b = next) {
		next = b->next;
		batch_unuse(b);
	}
	if (pg->open)
		batch_unuse(pg->open);
	pg_unuse(pg);
}

bool pg_is_up(const struct pg *pg)
{
	return pg->up;
}

/* ---- Answers ---- */

static void answer(struct batch *b)
{
	struct pg_batch_result r = {
		.error = {.status = b->status, .failed_index = -1, .message = "simulated"},
		.res = b->res,
		.n = b->n,
	};

	b->answered = true;
	if (b->status == PG_LOST || b->status == PG_DOWN)
		memcpy(r.error.sqlstate, "08006", 6);
	if (b->status == PG_ERROR)
		memcpy(r.error.sqlstate, "40P01", 6);
	b->cb(b->arg, &r);
}

/* The first one in flight, so that answers come in order. */
static struct batch *take_first(struct pg *pg)
{
	struct batch *b = pg->first;

	pg->first = b->next;
	pg->in_flight--;
	return b;
}

static void break_connection(struct pg *pg)
{
	pg->up = false;
	pg->connection++;
	while (pg->first) {
		struct batch *b = take_first(pg);
		for (size_t i = 0; i < b->n; i++) {
			PQclear(b->res[i]);
			b->res[i] = NULL;
		}
		b->status = b->sent ? PG_LOST : PG_DOWN;
		answer(b);
		batch_unuse(b);
	}
	if (pg->o.on_state)
		pg->o.on_state(pg->o.arg, false, "lost");
	reconnect(pg);
}

static void on_answer(void *arg)
{
	struct batch *b = arg;
	struct pg *pg = b->pg;

	if (b->answered)
		return;
	if (b->broken) {
		break_connection(pg);
		return;
	}
	assert(pg->first == b);
	take_first(pg);
	answer(b);
	batch_unuse(b);
}

/* At the server: the connection may be gone before, or after. */
static void on_arrival(void *arg)
{
	struct batch *b = arg;
	struct pg *pg = b->pg;
	bool lost = faulty(sim.faults.pg_lost) || sim_now() < sim.database_down_until;
	bool done = !lost || (sim_now() >= sim.database_down_until && chance(500));

	if (b->connection < pg->cut)
		lost = true, done = false;
	b->broken = lost;
	if (lost) {
		counts.lost_batches++;
		sim_trace("a batch of w%zu is lost %s", worker_index(pg->owner),
			  done ? "after it was done" : "and not done");
	}
	if (done && b->sent && faulty(sim.faults.pg_refused)) {
		b->status = PG_ERROR;
		done = false;
	}
	sim.fragile = done && faulty(sim.faults.pg_not_durable);
	for (size_t i = 0; done && i < b->n; i++)
		b->res[i] = database_run(b->statements[i].index, b->statements[i].n,
					 (const char *const *)b->statements[i].params);
	if (sim.fragile)
		b->status = PG_NOT_DURABLE;
	if (lost)
		pg->cut = b->connection + 1;
	int64_t at = sim_now() + chance_between(0, 3);
	pg->answers_at = at > pg->answers_at ? at : pg->answers_at;
	b->users++;
	sim_at(pg->answers_at, pg->owner, on_answer, b, batch_unuse);
}

/* ---- Batches ---- */

bool pg_begin(struct pg *pg, pg_batch_cb *cb, void *arg)
{
	if (pg->open || pg->in_flight >= pg->o.max_batches)
		return false;
	struct batch *b = calloc(1, sizeof(*b));
	assert(b);
	*b = (struct batch){.pg = pg, .cb = cb, .arg = arg, .status = PG_OK, .users = 1};
	pg->users++;
	pg->open = b;
	return true;
}

void pg_add(struct pg *pg, size_t index, size_t nparams, const char *const *params)
{
	struct batch *b = pg->open;

	assert(b && b->n < STATEMENTS_MAX && nparams <= PARAMS_MAX);
	struct statement *s = &b->statements[b->n++];
	s->index = index;
	s->n = nparams;
	for (size_t i = 0; i < nparams; i++)
		s->params[i] = params[i] ? strdup(params[i]) : NULL;
}

void pg_commit(struct pg *pg)
{
	struct batch *b = pg->open, **last = &pg->first;

	assert(b);
	pg->open = NULL;
	while (*last)
		last = &(*last)->next;
	*last = b;
	pg->in_flight++;
	b->connection = pg->connection;
	b->users++;
	if (!pg->up) {
		b->status = PG_DOWN;
		sim_at(sim_now(), pg->owner, on_answer, b, batch_unuse);
		return;
	}
	b->sent = true;
	if (!worker_acts(pg->owner, "a batch")) {
		batch_unuse(b);
		return;
	}
	int64_t at = sim_now() + chance_between(0, 5);
	pg->arrives_at = at > pg->arrives_at ? at : pg->arrives_at;
	sim_at(pg->arrives_at, NULL, on_arrival, b, batch_unuse);
}

bool pg_run(struct pg *pg, size_t index, size_t nparams, const char *const *params, pg_batch_cb *cb,
	    void *arg)
{
	if (!pg_begin(pg, cb, arg))
		return false;
	pg_add(pg, index, nparams, params);
	pg_commit(pg);
	return true;
}
