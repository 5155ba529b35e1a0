/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET|POST /api/jobs/call-dispatch: seeds and dispatches the lead source now, as n8n or a cron job
 * asks. Needs the dispatch secret. The answer comes when Kafka has every job, so its counts are
 * facts; what falls due later is the next request's. With ?wait=SECONDS it comes when the jobs have
 * their results too, or that time is over: dispatched, failed by reason, held, still waiting.
 */
#include <stdlib.h>
#include <string.h>

#include "common/tables.h"
#include "producer/api/auth.h"
#include "producer/api/routes.h"

#define ANSWER_MAX_BYTES 8192
#define RETRY_AFTER "5"
#define WAIT_MAX_S 60
#define LOOK_S 0.2 /* between two looks at the results */

/* One request. Lives as long as its exchange. */
struct dispatch_request {
	struct api *api;
	struct http_exchange *x;
	long wait_s;
	struct buf answer; /* in `text`, without its last brace */
	char text[ANSWER_MAX_BYTES];
	size_t published;
	char *claims;
	ev_tstamp until;
	ev_timer look;
};

static void add_counts(struct buf *b, const char *name, const size_t counts[GATE_COUNT])
{
	const char *separator = "";

	buf_addf(b, ",\"%s\":{", name);
	for (unsigned g = 0; g < GATE_COUNT; g++) {
		if (counts[g] == 0)
			continue;
		buf_addf(b, "%s\"%s\":%zu", separator, gate_text((enum gate)g), counts[g]);
		separator = ",";
	}
	buf_addc(b, '}');
}

static void finish(struct dispatch_request *r)
{
	buf_addc(&r->answer, '}');
	http_respond(r->x, 200, "application/json", r->answer.data, r->answer.len);
}

/* ---- ?wait= ---- */

static void look_later(struct dispatch_request *r)
{
	ev_timer_set(&r->look, LOOK_S, 0.);
	ev_timer_start(r->api->loop, &r->look);
}

static void finish_unknown(struct dispatch_request *r)
{
	buf_addf(&r->answer, ",\"waiting\":%zu", r->published);
	finish(r);
}

static void on_results(void *arg, const struct pg_batch_result *b)
{
	struct dispatch_request *r = arg;
	bool late = r->api->stopping || ev_now(r->api->loop) >= r->until;

	if (b->error.status != PG_OK) {
		if (late)
			finish_unknown(r);
		else
			look_later(r);
		return;
	}
	const PGresult *rows = b->res[0];
	int64_t waiting = pg_int(rows, 0, pg_col(rows, "waiting"));
	if (waiting > 0 && !late) {
		look_later(r);
		return;
	}
	buf_addf(&r->answer, ",\"dispatched\":%lld,\"failed\":%s,\"held\":%lld,\"waiting\":%lld",
		 (long long)pg_int(rows, 0, pg_col(rows, "dispatched")),
		 pg_text(rows, 0, pg_col(rows, "failed")),
		 (long long)r->published - (long long)pg_int(rows, 0, pg_col(rows, "jobs")),
		 (long long)waiting);
	finish(r);
}

static void on_look(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct dispatch_request *r = w->data;
	const char *const params[] = {r->claims};

	(void)loop;
	(void)revents;
	if (api_database_run(r->api->database, NULL, API_DISPATCH_RESULTS, 1, params, on_results,
			     r))
		return;
	if (r->api->stopping)
		finish_unknown(r);
	else
		look_later(r);
}

static bool wait_for_results(struct dispatch_request *r, const struct dispatch_answer *a)
{
	r->claims = a->claims ? http_alloc(r->x, strlen(a->claims) + 1) : NULL;
	if (!r->claims)
		return false;
	memcpy(r->claims, a->claims, strlen(a->claims) + 1);
	r->published = a->published + a->unpublished;
	r->until = ev_now(r->api->loop) + (ev_tstamp)r->wait_s;
	ev_timer_init(&r->look, on_look, LOOK_S, 0.);
	r->look.data = r;
	ev_timer_start(r->api->loop, &r->look);
	return true;
}

/* ---- The run ---- */

static void on_dispatched(void *arg, const struct dispatch_answer *a)
{
	struct dispatch_request *r = arg;
	struct buf *b = &r->answer;

	if (a->problem) {
		http_respond_header(r->x, "Retry-After", RETRY_AFTER);
		http_respond_problem(r->x, 503, a->problem);
		return;
	}
	buf_init_fixed(b, r->text, sizeof(r->text));
	buf_addf(b, "{\"success\":true,\"seeded\":%zu,\"published\":%zu", a->seeded, a->published);
	add_counts(b, "skipped", a->gates.skipped);
	add_counts(b, "deferred", a->gates.held);
	if (a->unpublished > 0)
		buf_addf(b, ",\"unpublished\":%zu", a->unpublished);
	if (a->stopped)
		buf_adds(b, ",\"stopped\":true");
	if (r->wait_s == 0 || !wait_for_results(r, a))
		finish(r);
}

/* Seconds; -1 if it is none. */
static long wait_of(const struct http_exchange *x)
{
	const char *text = http_query(x, "wait");
	char *end = NULL;
	long s = text ? strtol(text, &end, 10) : 0;

	return text && (end == text || *end || s < 0 || s > WAIT_MAX_S) ? -1 : s;
}

void handle_call_dispatch(void *arg, struct http_exchange *x)
{
	struct api *api = arg;

	if (!auth_check(api, AUTH_DISPATCH, x))
		return;
	long wait_s = wait_of(x);
	if (wait_s < 0) {
		http_respond_problem(x, 422, "wait: seconds from 0 to 60");
		return;
	}
	struct dispatch_request *r = http_alloc(x, sizeof(*r));
	if (!r) {
		http_respond_problem(x, 503, "no memory");
		return;
	}
	r->api = api;
	r->x = x;
	r->wait_s = wait_s;
	scheduler_dispatch(api->scheduler, on_dispatched, r);
}
