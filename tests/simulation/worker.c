/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A consumer put together as consumer.c does it, but with a clock of its own, and mortal: it may
 * die between any two of its acts that others can see. What it had given away by then goes on
 * without it. It comes back under its name, as another incarnation.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/pg.h"
#include "consumer/dispatcher.h"
#include "consumer/publisher.h"
#include "consumer/reconciler.h"
#include "consumer/reference.h"
#include "consumer/stop_feed.h"
#include "consumer_sql.h"
#include "tests/simulation/sim.h"

#define NAME_BYTES 64
#define WATCH_BATCHES_MAX 128

struct worker {
	size_t index;
	unsigned incarnation;
	bool alive, dying;
	int64_t frozen_until;
	int64_t wall_ahead_ms, boot_ahead_ms;
	char name[NAME_BYTES];
	struct clock clock;

	struct ev_loop *loop;
	struct publisher *publisher;
	struct pg *watch;
	struct reference *reference;
	struct stop_feed *stop_feed;
	struct dispatcher *dispatcher;
	struct reconciler *reconciler;
};

bool worker_is_alive(const struct worker *w)
{
	return w->alive;
}

bool worker_is_frozen(const struct worker *w)
{
	return sim_now() < w->frozen_until;
}

int64_t worker_frozen_until(const struct worker *w)
{
	return w->frozen_until;
}

unsigned worker_incarnation(const struct worker *w)
{
	return w->incarnation;
}

size_t worker_index(const struct worker *w)
{
	return w->index;
}

const struct clock *worker_clock(const struct worker *w)
{
	return &w->clock;
}

/* ---- Its clock ---- */

static int64_t wall_ms(void *arg)
{
	return EPOCH_MS + sim_now() + ((const struct worker *)arg)->wall_ahead_ms;
}

static int64_t boot_ms(void *arg)
{
	return sim_now() + ((const struct worker *)arg)->boot_ahead_ms;
}

static void random_bytes(void *arg, void *ret_bytes, size_t n)
{
	unsigned char *p = ret_bytes;

	(void)arg;
	while (n-- > 0)
		*p++ = (unsigned char)chance_bits();
}

/* ---- Its life ---- */

static void on_watch_state(void *arg, bool up, const char *reason)
{
	struct worker *w = arg;

	(void)reason;
	if (!up)
		return;
	reference_refresh(w->reference);
	stop_feed_refresh(w->stop_feed);
}

static void make_parts(struct worker *w)
{
	const struct publisher_options po = {
		.cfg = sim.cfg, .codec = sim.codec, .worker = w->name, .clock = &w->clock};
	const struct pg_options wo = {
		.stmts = consumer_stmts,
		.stmts_count = CONSUMER_STMT_COUNT,
		.max_batches = WATCH_BATCHES_MAX,
		.on_state = on_watch_state,
		.arg = w,
		.clock = &w->clock,
	};
	char text[256];
	struct buf error;

	buf_init_fixed(&error, text, sizeof(text));
	w->publisher = publisher_new(w->loop, &po, &error);
	w->watch = pg_new(w->loop, &wo);
	w->reference = reference_new(w->loop, w->watch, sim.cfg);
	w->stop_feed = stop_feed_new(w->loop, w->watch, config_int(sim.cfg, CONFIG_KEY_JOB_LEASE_S),
				     &w->clock);
	const struct dispatcher_options d = {
		.cfg = sim.cfg,
		.codec = sim.codec,
		.publisher = w->publisher,
		.reference = w->reference,
		.stop_feed = w->stop_feed,
		.worker = w->name,
		.clock = &w->clock,
	};
	const struct reconciler_options r = {
		.cfg = sim.cfg,
		.pg = w->watch,
		.publisher = w->publisher,
		.reference = w->reference,
		.worker = w->name,
		.clock = &w->clock,
	};
	w->dispatcher = dispatcher_new(w->loop, &d, &error);
	w->reconciler = reconciler_new(w->loop, &r);
	assert(w->publisher && w->reference && w->stop_feed && w->dispatcher && w->reconciler);
}

void worker_start(struct worker *w)
{
	w->incarnation++;
	w->alive = true;
	w->dying = false;
	w->frozen_until = 0;
	if (w->incarnation == 1 || chance(100))
		w->wall_ahead_ms = chance(300) ? chance_between(-30 * SECOND, 30 * SECOND) : 0;
	snprintf(w->name, sizeof(w->name), "w%zu/%u", w->index, w->incarnation);
	w->loop = loop_new(w);
	sim_trace("%s starts", w->name);
	make_parts(w);
}

static void restart(void *arg)
{
	struct worker *w = *(struct worker **)arg;

	if (!w->alive)
		worker_start(w);
}

static void release_parts(struct worker *w)
{
	publisher_free(w->publisher, 0);
	dispatcher_free(w->dispatcher);
	pg_free(w->watch);
	reconciler_free(w->reconciler);
	stop_feed_free(w->stop_feed);
	reference_free(w->reference);
	loop_free(w->loop);
	w->loop = NULL;
}

static void bury(struct worker *w)
{
	struct worker **arg = malloc(sizeof(struct worker *));

	assert(arg);
	*arg = w;
	w->alive = false;
	kafka_member_gone(w);
	release_parts(w);
	sim_at(sim_now() + chance_between(100, 20 * SECOND), NULL, restart, arg, NULL);
}

struct worker *worker_new(size_t index)
{
	struct worker *w = calloc(1, sizeof(*w));

	assert(w);
	w->index = index;
	w->boot_ahead_ms = chance_between(MINUTE, 1000 * MINUTE);
	w->clock = (struct clock){
		.wall_ms = wall_ms, .boot_ms = boot_ms, .random = random_bytes, .arg = w};
	worker_start(w);
	return w;
}

void worker_free(struct worker *w)
{
	w->dying = true; /* nothing it does on its way out is seen */
	if (w->alive)
		release_parts(w);
	free(w);
}

/* ---- Its death ---- */

void worker_sleeps(struct worker *w, int64_t for_ms)
{
	counts.freezes++;
	w->frozen_until = sim_now() + for_ms;
	sim_trace("w%zu sleeps for %lld ms", w->index, (long long)for_ms);
}

bool worker_acts(struct worker *w, const char *what)
{
	if (w->dying)
		return false;
	if (faulty(sim.faults.freeze))
		worker_sleeps(w, chance_between(SECOND, chance(300) ? 200 * SECOND : 20 * SECOND));
	if (!faulty(sim.faults.crash))
		return true;
	counts.crashes++;
	w->dying = true;
	bool done = chance(500);
	sim_trace("w%zu dies %s %s", w->index, done ? "after" : "before", what);
	return done;
}

void worker_turns(struct worker *w)
{
	if (!w->dying)
		loop_prepare(w->loop);
	if (w->dying)
		bury(w);
}
