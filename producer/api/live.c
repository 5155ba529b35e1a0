/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream waits for its next part most of the time; the tick gives it one: the figures, if they
 * changed or are a while old, else a comment, by which a client that has gone is noticed. A stream
 * is as good as the key it was asked for with: it ends with that.
 */
#include "producer/api/live.h"

#include <assert.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/log.h"
#include "producer/api/routes.h"

#define TICK_S 1.0
#define PAUSE_TIMES 10	   /* the pause after an answer, in times that it took, */
#define PAUSE_MOST_MS 5000 /* but no longer: what is rarely slow is not to stand still for it */
#define TOLD_AGAIN_MS 5000 /* figures that did not change */
#define EVENT_MAX_BYTES 65536
#define COMMENT ":\n\n"
#define EVENTS_MAX 1000000

/* Whose figures: one answer for all its streams. */
struct scope {
	struct scope *next;
	struct live *live;
	char tenant[TENANT_BYTES]; /* "": all */
	size_t streams;
	bool asking;
	bool known;	     /* `figures` are an answer, if an old one */
	bool good;	     /* the last question was answered */
	int64_t asked_at_ms; /* boot clock, as those that follow */
	int64_t ask_again_ms;
	int64_t took_ms;
	int64_t figures_at_ms; /* wall clock, of the last answer; 0: none yet */
	uint64_t changes;      /* counts what the streams have not been told */
	char *figures;	       /* texts of JSON, from the database */
	char *processes;
	char *lag;
	bool kafka_good;
};

struct stream {
	struct stream *next;
	struct live *live;
	struct scope *scope;
	struct http_exchange *x;
	struct shown shown; /* without its key: those of the database come and go */
	unsigned char key_hash[SHA256_BYTES];
	bool has_key;
	bool wants; /* a part */
	uint64_t told;
	int64_t told_at_ms;
	long events_left; /* -1: no end */
};

struct live {
	const struct api *api;
	const struct clock *clock;
	struct scope *scopes;
	struct stream *streams;
	size_t streams_count;
	ev_timer tick;
	bool stopped;
};

/* ---- What is told ---- */

/* The text of an event; false if it can't be written. */
static bool write_event(const struct scope *s, struct buf *out)
{
	char text[256];
	struct buf error;

	buf_init_fixed(&error, text, sizeof(text));
	_cleanup_json_ json_t *j =
		s->figures ? json_parse(s->figures, strlen(s->figures), EVENT_MAX_BYTES, &error)
			   : json_object();
	json_t *processes = s->processes ? json_parse(s->processes, strlen(s->processes),
						      EVENT_MAX_BYTES, &error)
					 : json_array();
	json_t *lag = s->lag ? json_parse(s->lag, strlen(s->lag), EVENT_MAX_BYTES, &error)
			     : json_object();
	char at[TIME_TEXT_BYTES];

	time_format(s->figures_at_ms > 0 ? s->figures_at_ms : clock_wall_ms(s->live->clock), at);
	json_object_set_new(j, "at", json_string(at));
	json_object_set_new(j, "kafka", json_pack("{s:b, s:o*}", "ok", s->kafka_good, "lag", lag));
	json_object_set_new(
		j, "postgres",
		json_pack("{s:b, s:I}", "ok", s->good, "latencyMs", (json_int_t)s->took_ms));
	json_object_set_new(j, "processes", processes);
	buf_adds(out, "event: figures\ndata: ");
	json_write(j, out);
	buf_adds(out, "\n\n");
	return j && !out->failed;
}

static void tell(struct stream *st, const char *text, size_t n, bool is_last)
{
	st->wants = false;
	http_respond_part(st->x, text, n, is_last);
}

/* Gives those that want it what they have not been told. */
static void tell_scope(struct scope *s, int64_t now_ms)
{
	struct buf out;
	bool good = false;

	buf_init(&out, 2 * EVENT_MAX_BYTES);
	for (struct stream *st = s->live->streams, *next; st; st = next) {
		next = st->next;
		if (st->scope != s || !st->wants ||
		    (st->told == s->changes && now_ms - st->told_at_ms < TOLD_AGAIN_MS))
			continue;
		if (out.len == 0)
			good = write_event(s, &out);
		if (!good)
			break;
		st->told = s->changes;
		st->told_at_ms = now_ms;
		st->events_left -= st->events_left > 0;
		tell(st, out.data, out.len, st->events_left == 0);
	}
	buf_release(&out);
}

/* ---- The question ---- */

static bool replace(char **to, const char *text)
{
	bool is_new = !*to || strcmp(*to, text) != 0;
	char *copy = is_new ? strdup(text) : *to;

	if (!copy)
		abort();
	if (is_new)
		free(*to);
	*to = copy;
	return is_new;
}

static void release_scope(struct scope *s)
{
	struct scope **at = &s->live->scopes;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	free(s->figures);
	free(s->processes);
	free(s->lag);
	free(s);
}

static void on_figures(void *arg, const struct pg_batch_result *b)
{
	struct scope *s = arg;
	const bool good = b->error.status == PG_OK || b->error.status == PG_NOT_DURABLE;
	const int64_t now_ms = clock_boot_ms(s->live->clock);
	bool changed = good != s->good || !s->known;

	s->asking = false;
	s->known = true;
	s->good = good;
	s->took_ms = now_ms - s->asked_at_ms;
	s->ask_again_ms = now_ms;
	if (good) {
		const int64_t pause_ms = PAUSE_TIMES * s->took_ms;
		s->ask_again_ms += pause_ms < PAUSE_MOST_MS ? pause_ms : PAUSE_MOST_MS;
		s->figures_at_ms = clock_wall_ms(s->live->clock);
		const PGresult *r = b->res[0];
		changed |= replace(&s->figures, pg_text(r, 0, pg_col(r, "body")));
		(void)replace(&s->processes, pg_text(r, 0, pg_col(r, "processes")));
		changed |= replace(&s->lag, pg_text(r, 0, pg_col(r, "lag")));
	} else if (!pg_error_is_transient(&b->error)) {
		log_error("live.failed", LOG_STR("sqlstate", b->error.sqlstate),
			  LOG_STR("error", b->error.message));
	}
	s->changes += changed;
	if (s->streams == 0)
		release_scope(s);
	else
		tell_scope(s, now_ms);
}

static void ask(struct scope *s, int64_t now_ms)
{
	const struct api *api = s->live->api;
	const bool kafka_good = publisher_ready(api->publisher);

	s->changes += kafka_good != s->kafka_good;
	s->kafka_good = kafka_good;
	if (s->asking || now_ms < s->ask_again_ms)
		return;
	s->asked_at_ms = now_ms;
	s->asking = api_database_run(api->database, s->tenant, API_LIVE_FIGURES, 0, NULL,
				     on_figures, s);
}

/* ---- The tick ---- */

static bool may_go_on(const struct stream *st)
{
	const struct live *l = st->live;
	const struct api *api = l->api;

	if (st->has_key && !api_keys_find_hash(api->keys, st->key_hash))
		return false;
	return !st->shown.in_session ||
	       (st->shown.session.expires_at_ms > clock_wall_ms(l->clock) &&
		!api_keys_session_ended(api->keys, st->shown.session.id));
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct live *l = w->data;
	const int64_t now_ms = clock_boot_ms(l->clock);

	(void)loop, (void)revents;
	for (struct stream *st = l->streams, *next; st; st = next) {
		next = st->next;
		if (st->wants && !may_go_on(st))
			tell(st, "", 0, true);
	}
	for (struct scope *s = l->scopes; s; s = s->next) {
		ask(s, now_ms);
		if (s->known)
			tell_scope(s, now_ms);
	}
	for (struct stream *st = l->streams, *next; st; st = next) {
		next = st->next;
		if (st->wants && st->scope->known)
			tell(st, COMMENT, strlen(COMMENT), false);
	}
}

/* ---- Streams ---- */

static void on_more(void *arg)
{
	struct stream *st = arg;

	st->wants = true;
	if (st->live->stopped)
		tell(st, "", 0, true);
}

static void on_gone(void *arg)
{
	struct stream *st = arg;
	struct live *l = st->live;
	struct stream **at = &l->streams;

	while (*at != st)
		at = &(*at)->next;
	*at = st->next;
	l->streams_count--;
	if (--st->scope->streams == 0 && !st->scope->asking)
		release_scope(st->scope);
	free(st);
	if (l->streams_count == 0)
		ev_timer_stop(l->api->loop, &l->tick);
}

static struct scope *scope_of(struct live *l, const char *tenant)
{
	struct scope *s = l->scopes;

	while (s && strcmp(s->tenant, tenant) != 0)
		s = s->next;
	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		abort();
	*s = (struct scope){.live = l, .next = l->scopes, .good = true};
	memcpy(s->tenant, tenant, strlen(tenant) + 1);
	l->scopes = s;
	return s;
}

static void open_stream(struct live *l, const struct caller *caller, long events,
			struct http_exchange *x)
{
	struct scope *s = scope_of(l, caller->tenant);
	struct stream *st = calloc(1, sizeof(*st));
	const int64_t now_ms = clock_boot_ms(l->clock);

	if (!st)
		abort();
	*st = (struct stream){.next = l->streams,
			      .live = l,
			      .scope = s,
			      .x = x,
			      .shown = caller->shown,
			      .has_key = caller->shown.key != NULL,
			      .wants = true,
			      .events_left = events};
	st->shown.key = NULL;
	if (caller->shown.key)
		memcpy(st->key_hash, caller->shown.key->hash, sizeof(st->key_hash));
	s->streams++;
	if (l->streams_count++ == 0) {
		ev_timer_set(&l->tick, TICK_S, TICK_S);
		ev_timer_start(l->api->loop, &l->tick);
	}
	l->streams = st;
	ask(s, now_ms);
	const struct http_source source = {on_more, on_gone, st};
	http_respond_header(x, "Cache-Control", "no-cache");
	http_respond_header(x, "X-Accel-Buffering", "no"); /* a proxy is to pass each event on */
	http_respond_parts(x, 200, "text/event-stream", &source);
	if (l->streams == st && s->known) /* and not gone for want of memory */
		tell_scope(s, now_ms);
}

static void refuse_full(struct http_exchange *x)
{
	http_respond_header(x, "Retry-After", "5");
	http_respond_problem(x, 503, "too many streams are open");
}

/* -1: no end; 0, and `x` is answered, if it is no number. */
static long events_of(struct http_exchange *x)
{
	const char *text = http_query(x, "events");
	char *end;

	if (!text)
		return -1;
	long n = strtol(text, &end, 10);
	if (*text >= '0' && *text <= '9' && !*end && n >= 1 && n <= EVENTS_MAX)
		return n;
	http_respond_problem(x, 422, "events: a number from 1 to 1000000");
	return 0;
}

void handle_live(void *arg, struct http_exchange *x)
{
	const struct api *api = arg;
	struct live *l = api->live;
	struct caller caller;

	if (!auth_admit(api, AUTH_ADMIN, AUDIENCE_TENANT, x, http_respond_problem, &caller))
		return;
	long events = events_of(x);
	if (events == 0)
		return;
	size_t same = 0;
	for (const struct stream *st = l->streams; st; st = st->next)
		same += strcmp(st->scope->tenant, caller.tenant) == 0;
	if (l->stopped || l->streams_count >= LIVE_STREAMS_MAX || same >= LIVE_STREAMS_SCOPE_MAX)
		refuse_full(x);
	else
		open_stream(l, &caller, events, x);
}

static const struct endpoint endpoints[] = {
	{"GET", "/api/live/series", API_LIVE_SERIES, 0, {{PARAM_QUERY, "range"}}},
};

const struct resource live_resource = {
	RESOURCE_ENDPOINTS(endpoints),
	.auth = AUTH_ADMIN,
	.audience = AUDIENCE_TENANT,
	.words = &problem_words,
};

/* ---- Start and stop ---- */

struct live *live_new(const struct api *api)
{
	struct live *l = calloc(1, sizeof(*l));

	if (!l)
		abort();
	l->api = api;
	l->clock = clock_system();
	ev_init(&l->tick, on_tick);
	l->tick.data = l;
	return l;
}

void live_stop(struct live *l)
{
	if (!l)
		return;
	l->stopped = true;
	ev_timer_stop(l->api->loop, &l->tick);
	for (struct stream *st = l->streams, *next; st; st = next) {
		next = st->next;
		if (st->wants)
			tell(st, "", 0, true);
	}
}

void live_free(struct live *l)
{
	if (!l)
		return;
	assert(!l->streams);
	/* The analyzer can't follow a list from which the first goes.
	 * NOLINTBEGIN(clang-analyzer-unix.Malloc) */
	while (l->scopes)
		release_scope(l->scopes);
	/* NOLINTEND(clang-analyzer-unix.Malloc) */
	free(l);
}
