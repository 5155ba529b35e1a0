/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small set of keys, replaced by each read. It is nearly always empty, so asking it costs a few
 * look-ups in an empty table; if it is ever too large to keep, everything counts as stopped.
 */
#include "consumer/stop_feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/log.h"
#include "common/tables.h"
#include "consumer_sql.h"

#define POLL_S 0.5
#define STOPS_MAX 100000
#define KEY_BYTES 128
#define LEASE_SLACK_S 300 /* clocks, and transactions that commit late */

/* What a row of stop_feed.sql stops, and the gate it stands for. */
static const struct kind {
	const char *what;
	enum gate gate;
} kinds[] = {
	{"all", GATE_STOPPED},	       {"tenant", GATE_STOPPED},   {"lane", GATE_LANE},
	{"account", GATE_CREDENTIALS}, {"phone", GATE_SUPPRESSED},
};

struct stop {
	char key[KEY_BYTES];
	const struct kind *kind;
	UT_hash_handle hh;
};

struct stop_feed {
	struct ev_loop *loop;
	struct pg *pg;
	const struct clock *clock;
	ev_timer timer;
	char lease_text[24];
	bool reading, again;
	bool known;
	bool overflow;
	int64_t asked_at_ms; /* boot clock, when the read under way was sent */
	int64_t read_at_ms;  /* the same of the last successful one */
	struct stop *stops;
};

static void make_key(char ret_key[KEY_BYTES], const char *what, const char *tenant, const char *key)
{
	snprintf(ret_key, KEY_BYTES, "%s/%s/%s", what, tenant, key);
}

static void forget(struct stop_feed *f)
{
	struct stop *s, *next;

	/* The analyzer can't follow uthash's list. NOLINTBEGIN(clang-analyzer-unix.Malloc) */
	HASH_ITER (hh, f->stops, s, next) {
		HASH_DEL(f->stops, s);
		free(s);
	}
	/* NOLINTEND(clang-analyzer-unix.Malloc) */
	f->overflow = false;
}

static const struct kind *kind_of(const char *what)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].what, what) == 0)
			return &kinds[i];
	}
	return NULL;
}

static void add_stop(struct stop_feed *f, const char *what, const char *tenant, const char *key)
{
	struct stop *s = HASH_COUNT(f->stops) < STOPS_MAX ? calloc(1, sizeof(*s)) : NULL;
	struct stop *other = NULL;

	if (!s) {
		f->overflow = true;
		return;
	}
	make_key(s->key, what, tenant, key);
	s->kind = kind_of(what);
	HASH_FIND_STR(f->stops, s->key, other);
	if (other || !s->kind) {
		free(s);
		return;
	}
	HASH_ADD_STR(f->stops, key, s);
}

void stop_feed_take(struct stop_feed *f, int64_t asked_at_ms, const PGresult *rows)
{
	int what = pg_col(rows, "what"), tenant = pg_col(rows, "tenant"), key = pg_col(rows, "key");
	bool was_full = f->overflow;

	forget(f);
	for (int i = 0; i < PQntuples(rows); i++)
		add_stop(f, pg_text(rows, i, what), pg_text(rows, i, tenant),
			 pg_text(rows, i, key));
	if (f->overflow && !was_full)
		log_error("stop_feed.too_many", LOG_INT("rows", PQntuples(rows)));
	f->read_at_ms = asked_at_ms;
	f->known = true;
}

static void on_read(void *arg, const struct pg_batch_result *b)
{
	struct stop_feed *f = arg;

	f->reading = false;
	if (b->error.status == PG_OK)
		stop_feed_take(f, f->asked_at_ms, b->res[0]);
	else if (b->error.status == PG_ERROR)
		log_error("stop_feed.not_read", LOG_STR("error", b->error.message));
	if (f->again && pg_is_up(f->pg))
		stop_feed_refresh(f);
}

void stop_feed_refresh(struct stop_feed *f)
{
	const char *params[] = {f->lease_text};

	/* The read under way may have its snapshot from before the change. */
	f->again = f->reading;
	if (f->reading || !pg_is_up(f->pg))
		return;
	f->asked_at_ms = clock_boot_ms(f->clock);
	f->reading = pg_run(f->pg, CONSUMER_STOP_FEED, 1, params, on_read, f);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct stop_feed *f = w->data;

	(void)loop, (void)revents;
	if (!f->reading)
		stop_feed_refresh(f);
}

struct stop_feed *stop_feed_new(struct ev_loop *loop, struct pg *pg, int64_t lease_s,
				const struct clock *clock)
{
	struct stop_feed *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->loop = loop;
	f->pg = pg;
	f->clock = clock;
	snprintf(f->lease_text, sizeof(f->lease_text), "%lld", (long long)lease_s + LEASE_SLACK_S);
	ev_timer_init(&f->timer, on_timer, POLL_S, POLL_S);
	f->timer.data = f;
	ev_timer_start(loop, &f->timer);
	return f;
}

void stop_feed_free(struct stop_feed *f)
{
	if (!f)
		return;
	ev_timer_stop(f->loop, &f->timer);
	forget(f);
	free(f);
}

bool stop_feed_is_fresh(const struct stop_feed *f)
{
	return f->known && clock_boot_ms(f->clock) - f->read_at_ms <= STOP_FEED_MAX_AGE_MS;
}

const char *stop_feed_holds(const struct stop_feed *f, const char *tenant, const char *lane_id,
			    const char *account, const char *phone)
{
	const char *const asked[][3] = {
		{"all", "", ""},	  {"tenant", tenant, ""},   {"lane", "", lane_id},
		{"account", "", account}, {"phone", tenant, phone},
	};
	char key[KEY_BYTES];

	if (!stop_feed_is_fresh(f))
		return "stop_feed";
	if (f->overflow)
		return gate_text(GATE_STOPPED);
	if (!f->stops)
		return NULL;
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		struct stop *s = NULL;
		make_key(key, asked[i][0], asked[i][1], asked[i][2]);
		HASH_FIND_STR(f->stops, key, s);
		if (s)
			return gate_text(s->kind->gate);
	}
	return NULL;
}
