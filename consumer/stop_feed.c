/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small set of keys, replaced by each read. It is nearly always empty, so asking it costs a few
 * look-ups in an empty table; if it is ever too large to keep, everything counts as stopped.
 *
 * How long a stop was dialed past is known as soon as it is read: from then on its scope has no
 * POST. Its time is the database's, so what is compared is its age when the read was asked for,
 * with when this process last began a POST of that scope.
 */
#include "consumer/stop_feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/tables.h"
#include "consumer_sql.h"

#define POLL_S 0.5
#define STOPS_MAX 100000
#define KEY_BYTES 128
#define POSTS_MAX 16384	  /* scopes; those posted to longest ago are forgotten */
#define MEASURED_MS 60000 /* an older stop is no news */
#define WAITING_MAX_BYTES (4u << 20)
#define LEASE_SLACK_S 300 /* clocks, and transactions that commit late */

/* What a row of stop_feed.sql stops, and the gate it stands for. */
static const struct kind {
	const char *what;
	enum gate gate;
} kinds[] = {
	{"all", GATE_STOPPED},	       {"tenant", GATE_STOPPED},   {"lane", GATE_LANE},
	{"account", GATE_CREDENTIALS}, {"phone", GATE_SUPPRESSED}, {"paused", GATE_PAUSED},
	{"stage", GATE_STAGE},
};

struct stop {
	char key[KEY_BYTES];
	const struct kind *kind;
	int64_t at_ms; /* the database's clock; -1: not told */
	UT_hash_handle hh;
};

/* When the last POST of a scope began. */
struct post {
	char key[KEY_BYTES];
	int64_t at_ms; /* boot clock */
	UT_hash_handle hh;
};

struct stop_feed {
	struct ev_loop *loop;
	struct pg *pg;
	const struct clock *clock;
	ev_timer timer;
	char lease_text[24];
	stop_feed_waiting *waiting;
	void *waiting_arg;
	struct buf ids;
	bool reading, again;
	bool known;
	bool overflow;
	int64_t asked_at_ms; /* boot clock, when the read under way was sent */
	int64_t read_at_ms;  /* the same of the last successful one */
	int64_t last_stop_at_ms, last_stop_past_ms; /* of everything; stop_feed_last_stop() */
	struct stop *stops;
	struct post *posts; /* in the order of their times */
};

/* WHAT/TENANT/KEY, cut to fit. */
static void make_key(char ret_key[KEY_BYTES], const char *what, const char *tenant, const char *key)
{
	const char *const parts[] = {what, "/", tenant, "/", key};
	size_t length = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		size_t n = strnlen(parts[i], KEY_BYTES - 1 - length);
		memcpy(ret_key + length, parts[i], n);
		length += n;
	}
	ret_key[length] = '\0';
}

static void forget(struct stop **stops)
{
	struct stop *s, *next;

	/* The analyzer can't follow uthash's list. NOLINTBEGIN(clang-analyzer-unix.Malloc) */
	HASH_ITER (hh, *stops, s, next) {
		HASH_DEL(*stops, s);
		free(s);
	}
	/* NOLINTEND(clang-analyzer-unix.Malloc) */
}

/* ---- From a stop to the last POST ---- */

static void note_post(struct stop_feed *f, const char *what, const char *tenant, const char *key)
{
	int64_t now_ms = clock_boot_ms(f->clock);
	char text[KEY_BYTES];
	struct post *p = NULL;

	make_key(text, what, tenant, key);
	HASH_FIND_STR(f->posts, text, p);
	if (p && p->at_ms == now_ms)
		return; /* those behind it in the order are of this time too */
	if (!p && HASH_COUNT(f->posts) >= POSTS_MAX)
		p = f->posts;
	if (p)
		HASH_DEL(f->posts, p);
	else
		p = calloc(1, sizeof(*p));
	if (!p)
		return;
	memcpy(p->key, text, strlen(text) + 1);
	p->at_ms = now_ms;
	HASH_ADD_STR(f->posts, key, p);
}

void stop_feed_posted(struct stop_feed *f, const char *tenant, const char *lane_id)
{
	note_post(f, "all", "", "");
	note_post(f, "tenant", tenant, "");
	note_post(f, "lane", "", lane_id);
}

/* `age_ms` at the time of the question or later: what comes out is never too small. */
static void measure(struct stop_feed *f, const struct stop *s, int64_t asked_at_ms, int64_t age_ms)
{
	struct post *p = NULL;

	HASH_FIND_STR(f->posts, s->key, p);
	int64_t past_ms = p ? p->at_ms - (asked_at_ms - age_ms) : 0;
	if (past_ms < 0)
		past_ms = 0;
	if (s->kind == &kinds[0]) {
		f->last_stop_at_ms = s->at_ms;
		f->last_stop_past_ms = past_ms;
	}
	metric_observe(METRIC_STOP_TO_LAST_POST, s->kind->what, (double)past_ms / 1000.0);
}

int64_t stop_feed_last_stop(const struct stop_feed *f, int64_t *ret_past_ms)
{
	*ret_past_ms = f->last_stop_past_ms;
	return f->last_stop_at_ms;
}

static const struct kind *kind_of(const char *what)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].what, what) == 0)
			return &kinds[i];
	}
	return NULL;
}

/* NULL if it is not kept. */
static struct stop *add_stop(struct stop_feed *f, const char *what, const char *tenant,
			     const char *key)
{
	struct stop *s = HASH_COUNT(f->stops) < STOPS_MAX ? calloc(1, sizeof(*s)) : NULL;
	struct stop *other = NULL;

	if (!s) {
		f->overflow = true;
		return NULL;
	}
	make_key(s->key, what, tenant, key);
	s->kind = kind_of(what);
	HASH_FIND_STR(f->stops, s->key, other);
	if (other || !s->kind) {
		free(s);
		return NULL;
	}
	HASH_ADD_STR(f->stops, key, s);
	return s;
}

static bool is_news(const struct stop_feed *f, const struct stop *before, const struct stop *s,
		    int64_t age_ms)
{
	struct stop *same = NULL;

	if (!f->known || s->at_ms < 0 || age_ms > MEASURED_MS)
		return false;
	HASH_FIND_STR(before, s->key, same);
	return !same || same->at_ms != s->at_ms;
}

void stop_feed_take(struct stop_feed *f, int64_t asked_at_ms, const PGresult *rows)
{
	int what = pg_col(rows, "what"), tenant = pg_col(rows, "tenant"), key = pg_col(rows, "key");
	int at = pg_col(rows, "at_ms"), age = pg_col(rows, "age_ms");
	bool was_full = f->overflow;
	struct stop *before = f->stops;

	f->stops = NULL;
	f->overflow = false;
	for (int i = 0; i < PQntuples(rows); i++) {
		struct stop *s = add_stop(f, pg_text(rows, i, what), pg_text(rows, i, tenant),
					  pg_text(rows, i, key));
		if (!s)
			continue;
		s->at_ms = pg_text(rows, i, at) ? pg_int(rows, i, at) : -1;
		if (is_news(f, before, s, s->at_ms >= 0 ? pg_int(rows, i, age) : 0))
			measure(f, s, asked_at_ms, pg_int(rows, i, age));
	}
	forget(&before);
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
	/* The read under way may have its snapshot from before the change. */
	f->again = f->reading;
	if (f->reading || !pg_is_up(f->pg))
		return;
	buf_clear(&f->ids);
	buf_addc(&f->ids, '{');
	if (f->waiting)
		f->waiting(f->waiting_arg, &f->ids);
	buf_addc(&f->ids, '}');
	if (f->ids.failed)
		return; /* without memory nothing is known, and so nothing dialed */
	const char *params[] = {f->lease_text, f->ids.data};
	f->asked_at_ms = clock_boot_ms(f->clock);
	f->reading = pg_run(f->pg, CONSUMER_STOP_FEED, 2, params, on_read, f);
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
	buf_init(&f->ids, WAITING_MAX_BYTES);
	snprintf(f->lease_text, sizeof(f->lease_text), "%lld", (long long)lease_s + LEASE_SLACK_S);
	ev_timer_init(&f->timer, on_timer, POLL_S, POLL_S);
	f->timer.data = f;
	ev_timer_start(loop, &f->timer);
	return f;
}

void stop_feed_ask(struct stop_feed *f, stop_feed_waiting *waiting, void *arg)
{
	f->waiting = waiting;
	f->waiting_arg = arg;
}

void stop_feed_free(struct stop_feed *f)
{
	if (!f)
		return;
	struct post *p, *next;

	ev_timer_stop(f->loop, &f->timer);
	buf_release(&f->ids);
	forget(&f->stops);
	/* The analyzer can't follow uthash's list. NOLINTBEGIN(clang-analyzer-unix.Malloc) */
	HASH_ITER (hh, f->posts, p, next) {
		HASH_DEL(f->posts, p);
		free(p);
	}
	/* NOLINTEND(clang-analyzer-unix.Malloc) */
	free(f);
}

bool stop_feed_is_fresh(const struct stop_feed *f)
{
	return f->known && clock_boot_ms(f->clock) - f->read_at_ms <= STOP_FEED_MAX_AGE_MS;
}

const char *stop_feed_holds(const struct stop_feed *f, const struct stop_scope *s)
{
	const char *const asked[][3] = {
		{"all", "", ""},
		{"tenant", s->tenant, ""},
		{"lane", "", s->lane_id},
		{"account", "", s->account},
		{"phone", s->tenant, s->phone},
		{"paused", "", s->lead_id},
		{"stage", "", s->lead_id},
	};
	char key[KEY_BYTES];

	if (!stop_feed_is_fresh(f))
		return "stop_feed";
	if (f->overflow)
		return gate_text(GATE_STOPPED);
	if (!f->stops)
		return NULL;
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		struct stop *found = NULL;
		make_key(key, asked[i][0], asked[i][1], asked[i][2]);
		HASH_FIND_STR(f->stops, key, found);
		if (found)
			return gate_text(found->kind->gate);
	}
	return NULL;
}
