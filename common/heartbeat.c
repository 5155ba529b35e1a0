/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection of its own, so that it tells of the process and not of a queue of statements. One
 * beat at a time: what can't be written now is not made up for.
 */
#include "common/heartbeat.h"

#include <stdio.h>
#include <stdlib.h>

#define BEAT_S 2.0
#define STATEMENT_TIMEOUT_MS 5000
#define LAG_BYTES 1024
#define PARAMS 5

struct heartbeat {
	struct ev_loop *loop;
	struct heartbeat_options o;
	const char *instance;
	struct pg *pg;
	ev_timer timer;
	bool beating;
};

static void on_beat(void *arg, const struct pg_batch_result *b)
{
	struct heartbeat *h = arg;

	h->beating = false;
	if (b->error.status == PG_ERROR)
		h->o.on_error(h->o.arg, b->error.message);
}

static void beat(struct heartbeat *h)
{
	char lag[LAG_BYTES], stopped_at[24], stop[24];
	struct heartbeat_facts facts = {.stopped_at_ms = 0};

	if (h->beating || !pg_is_up(h->pg))
		return;
	buf_init_fixed(&facts.lag, lag, sizeof(lag));
	if (h->o.fill)
		h->o.fill(h->o.arg, &facts);
	snprintf(stopped_at, sizeof(stopped_at), "%lld", (long long)facts.stopped_at_ms);
	snprintf(stop, sizeof(stop), "%lld", (long long)facts.stop_ms);
	const char *params[PARAMS] = {h->o.name, h->instance, facts.lag.len > 0 ? lag : "{}",
				      facts.stopped_at_ms ? stopped_at : NULL,
				      facts.stopped_at_ms ? stop : NULL};
	h->beating = pg_run(h->pg, 0, PARAMS, params, on_beat, h);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop, (void)revents;
	beat(w->data);
}

static void on_state(void *arg, bool up, const char *reason)
{
	(void)reason;
	if (up)
		beat(arg);
}

struct heartbeat *heartbeat_new(struct ev_loop *loop, const struct config *cfg,
				const struct heartbeat_options *o)
{
	struct heartbeat *h = calloc(1, sizeof(*h));

	if (!h)
		abort();
	h->loop = loop;
	h->o = *o;
	h->instance = config_str(cfg, CONFIG_KEY_WORKER_NAME);
	h->pg = pg_new(loop, &(struct pg_options){
				     .url = config_str(cfg, CONFIG_KEY_DATABASE_URL),
				     .application_name = "carillon-heartbeat",
				     .stmts = o->stmt,
				     .stmts_count = 1,
				     .statement_timeout_ms = STATEMENT_TIMEOUT_MS,
				     .max_batches = 1,
				     .on_state = on_state,
				     .arg = h,
				     .clock = o->clock,
			     });
	ev_timer_init(&h->timer, on_timer, BEAT_S, BEAT_S);
	h->timer.data = h;
	ev_timer_start(loop, &h->timer);
	return h;
}

void heartbeat_free(struct heartbeat *h)
{
	if (!h)
		return;
	ev_timer_stop(h->loop, &h->timer);
	pg_free(h->pg);
	free(h);
}
