/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET|POST /api/jobs/call-dispatch: seeds and dispatches the lead source now, as n8n or a cron job
 * asks. Needs the dispatch secret. The answer comes when Kafka has every job, so its counts are
 * facts; what falls due later is the next request's.
 */
#include <string.h>

#include "common/tables.h"
#include "producer/api/auth.h"
#include "producer/api/routes.h"

#define ANSWER_MAX_BYTES 16384
#define RETRY_AFTER "5"

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

static void on_dispatched(void *arg, const struct dispatch_answer *a)
{
	struct http_exchange *x = arg;
	struct buf b;

	if (a->problem) {
		http_respond_header(x, "Retry-After", RETRY_AFTER);
		http_respond_problem(x, 503, a->problem);
		return;
	}
	buf_init(&b, ANSWER_MAX_BYTES);
	buf_addf(&b, "{\"success\":true,\"seeded\":%zu,\"published\":%zu", a->seeded, a->published);
	add_counts(&b, "skipped", a->gates.skipped);
	add_counts(&b, "deferred", a->gates.held);
	if (a->unpublished > 0)
		buf_addf(&b, ",\"unpublished\":%zu", a->unpublished);
	if (a->stopped)
		buf_adds(&b, ",\"stopped\":true");
	buf_addc(&b, '}');
	http_respond(x, 200, "application/json", b.data, b.len);
	buf_release(&b);
}

void handle_call_dispatch(void *arg, struct http_exchange *x)
{
	struct api *api = arg;

	if (auth_check(api->cfg, AUTH_DISPATCH, x))
		scheduler_dispatch(api->scheduler, on_dispatched, x);
}
