/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Webhooks: each event of a call is a delivery with a time of its own, tried again like the
 * provider would. Bodies are made when they are sent.
 */
#include "tests/simulator/simulator.h"

#include <stdlib.h>
#include <string.h>

#define EVENTS_OF_CALL 6
#define REPORT_AFTER_MS 50 /* the end, as if there were an analysis to wait for */
#define EVENT_SPACING_MS 5
#define SHUFFLED_SPACING_MS 30
#define DELIVERIES_MAX 1000000
#define DELIVERY_TIMEOUT_MS 20000
#define DELIVERY_ANSWER_MAX_BYTES 65536
#define DELIVERY_BODY_MAX_BYTES 65536
#define DELIVERY_HEADERS_MAX 10
#define BACKOFF_MAX_MS 60000

struct delivery {
	ev_timer timer;
	struct simulator *simulator;
	struct call *call;		  /* NULL: forgotten while it was on its way */
	struct delivery *previous, *next; /* of the call */
	struct delivery *next_queued;
	enum delivery_kind kind;
	unsigned tries;
	bool queued;
	bool sending;
};

static void try_send(struct delivery *d);

/* ---- Life ---- */

/* Its list: the call's, or that of those whose call was forgotten. */
static struct delivery **list_of(struct delivery *d)
{
	return d->call ? &d->call->deliveries : &d->simulator->forgotten;
}

static void list_add(struct delivery *d)
{
	struct delivery **list = list_of(d);

	d->previous = NULL;
	d->next = *list;
	if (d->next)
		d->next->previous = d;
	*list = d;
}

static void list_remove(struct delivery *d)
{
	if (d->previous)
		d->previous->next = d->next;
	else
		*list_of(d) = d->next;
	if (d->next)
		d->next->previous = d->previous;
}

static void delivery_free(struct delivery *d)
{
	struct simulator *s = d->simulator;
	struct call *c = d->call;

	ev_timer_stop(s->loop, &d->timer);
	list_remove(d);
	s->stats.webhooks_pending--;
	free(d);
	if (c && !c->deliveries)
		answers_webhooks_done(s, c);
}

bool deliveries_done(const struct call *c)
{
	return c->deliveries == NULL;
}

static void queue_remove(struct simulator *s, struct delivery *gone)
{
	struct delivery **at = &s->queue_first;

	s->queue_last = NULL;
	while (*at) {
		if (*at == gone)
			*at = gone->next_queued;
		else {
			s->queue_last = *at;
			at = &(*at)->next_queued;
		}
	}
}

void deliveries_cancel(struct simulator *s, struct call *c)
{
	for (struct delivery *d = c->deliveries, *next; d; d = next) {
		next = d->next;
		list_remove(d);
		d->call = NULL;
		list_add(d);
		if (d->queued)
			queue_remove(s, d);
		if (!d->sending)
			delivery_free(d);
	}
}

void deliveries_release(struct simulator *s)
{
	for (struct delivery *d = s->forgotten, *next; d; d = next) {
		next = d->next;
		delivery_free(d);
	}
}

/* ---- Sending ---- */

static void pump(struct simulator *s)
{
	while (s->queue_first && http_client_free_slots(s->client) > 0) {
		struct delivery *d = s->queue_first;
		s->queue_first = d->next_queued;
		if (!s->queue_first)
			s->queue_last = NULL;
		d->queued = false;
		try_send(d);
	}
}

static void wait_and_retry(struct delivery *d)
{
	const struct call *c = d->call;
	int64_t wait_ms = c->retry_base_ms;

	for (unsigned i = 1; i < d->tries && !c->retry_fixed && wait_ms < BACKOFF_MAX_MS; i++)
		wait_ms *= 2;
	ev_timer_set(&d->timer,
		     (double)(wait_ms < BACKOFF_MAX_MS ? wait_ms : BACKOFF_MAX_MS) / 1000., 0.);
	ev_timer_start(d->simulator->loop, &d->timer);
}

static void on_delivered(void *arg, const struct http_answer *a)
{
	struct delivery *d = arg;
	struct simulator *s = d->simulator;
	bool taken = a->outcome == HTTP_ANSWERED && a->status >= 200 && a->status < 300;

	d->sending = false;
	if (taken)
		s->stats.webhooks_ok++;
	if (taken || !d->call) {
		delivery_free(d);
	} else if (d->tries > d->call->retries_max) {
		s->stats.webhooks_failed++;
		delivery_free(d);
	} else {
		wait_and_retry(d);
	}
	pump(s);
}

static bool send_now(struct delivery *d, const struct buf *url, const struct buf *body,
		     const struct buf *headers)
{
	const char *lines[DELIVERY_HEADERS_MAX + 1];
	size_t n = 0;

	for (const char *h = headers->data;
	     h < headers->data + headers->len && n < DELIVERY_HEADERS_MAX; h += strlen(h) + 1)
		lines[n++] = h;
	lines[n] = NULL;
	const struct http_request r = {.method = "POST",
				       .url = url->data,
				       .headers = lines,
				       .body = body->data,
				       .body_bytes = body->len,
				       .timeout_ms = DELIVERY_TIMEOUT_MS,
				       .max_response_bytes = DELIVERY_ANSWER_MAX_BYTES,
				       .once = true};
	return http_send(d->simulator->client, &r, on_delivered, d);
}

static void try_send(struct delivery *d)
{
	struct simulator *s = d->simulator;
	const struct provider_ops *ops = provider_ops(d->call->provider);
	struct buf url, body, headers;

	if (http_client_free_slots(s->client) == 0) {
		d->queued = true;
		d->next_queued = NULL;
		*(s->queue_last ? &s->queue_last->next_queued : &s->queue_first) = d;
		s->queue_last = d;
		return;
	}
	buf_init(&url, 4096);
	buf_init(&body, DELIVERY_BODY_MAX_BYTES);
	buf_init(&headers, 8192);
	bool told = true;
	if (d->kind == DELIVERY_CLASSIFIED) {
		classifier_write_event(d->call, &body);
		classifier_address(s, d->call, &body, &url, &headers);
	} else {
		ops->write_event(s, d->call, d->kind, &body);
		told = ops->address(s, d->call, d->kind, &body, &url, &headers);
	}
	d->tries++;
	if (told && !body.failed && !url.failed && !headers.failed &&
	    send_now(d, &url, &body, &headers)) {
		d->sending = true;
		s->stats.webhooks_sent++;
	} else {
		s->stats.webhooks_failed++;
		delivery_free(d);
	}
	buf_release(&url);
	buf_release(&body);
	buf_release(&headers);
}

static void on_due(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	try_send(w->data);
}

/* ---- Planning ---- */

static void plan_one(struct simulator *s, struct call *c, enum delivery_kind kind, int64_t at)
{
	int64_t wait_ms = at - simulator_now(s);
	struct delivery *d =
		s->stats.webhooks_pending < DELIVERIES_MAX ? calloc(1, sizeof(*d)) : NULL;

	if (!d) {
		s->stats.webhooks_failed++;
		return;
	}
	d->simulator = s;
	d->call = c;
	d->kind = kind;
	list_add(d);
	s->stats.webhooks_pending++;
	ev_timer_init(&d->timer, on_due, wait_ms > 0 ? (double)wait_ms / 1000. : 0., 0.);
	d->timer.data = d;
	ev_timer_start(s->loop, &d->timer);
}

static void reorder(struct simulator *s, enum webhook_order order, enum delivery_kind *kinds,
		    size_t n)
{
	for (size_t i = 0; i + 1 < n; i++) {
		size_t j = order == ORDER_REVERSE ? n - 1 - i
						  : i + clock_random_below(&s->clock, n - i);
		if (order == ORDER_REVERSE && j <= i)
			break;
		enum delivery_kind kind = kinds[i];
		kinds[i] = kinds[j];
		kinds[j] = kind;
	}
}

static int64_t event_time(const struct call *c, enum delivery_kind kind)
{
	switch (kind) {
	case DELIVERY_INITIATED:
		return c->created_at + c->action->queue_ms;
	case DELIVERY_RINGING:
		return c->ringing_at;
	case DELIVERY_IN_PROGRESS:
	case DELIVERY_AMD:
		return c->answered_at;
	case DELIVERY_ENDED:
		return c->ended_at;
	case DELIVERY_REPORT:
	case DELIVERY_CLASSIFIED:
		break;
	}
	return c->ended_at + REPORT_AFTER_MS;
}

void deliveries_plan(struct simulator *s, struct call *c, enum delivery_kind first)
{
	const struct action *a = c->action;
	enum delivery_kind kinds[EVENTS_OF_CALL];
	size_t n = 0;
	int64_t at = 0;
	int64_t classified_at = first <= DELIVERY_IN_PROGRESS ? classifier_time(s, c) : -1;

	if (!s->o.webhooks)
		return;
	/* Of another sender: nothing of the rest holds for it. */
	for (unsigned copy = 0; classified_at >= 0 && copy <= a->webhook_duplicates; copy++)
		plan_one(s, c, DELIVERY_CLASSIFIED, classified_at);
	if (a->webhooks_lost)
		return;
	for (enum delivery_kind k = first; k <= DELIVERY_REPORT; k++)
		if (provider_ops(c->provider)->sends(c, k))
			kinds[n++] = k;
	reorder(s, a->webhook_order, kinds, a->webhook_order == ORDER_KEPT ? 0 : n);
	for (size_t i = 0; i < n; i++) {
		bool kept = a->webhook_order == ORDER_KEPT;
		int64_t spacing = kept ? EVENT_SPACING_MS : SHUFFLED_SPACING_MS;
		int64_t due = a->webhooks_before_answer ? simulator_now(s)
			      : kept			? event_time(c, kinds[i])
							: event_time(c, DELIVERY_REPORT);
		due += a->webhook_delay_ms;
		at = i > 0 && due < at + spacing ? at + spacing : due;
		for (unsigned copy = 0; copy <= a->webhook_duplicates; copy++)
			plan_one(s, c, kinds[i], at);
	}
}
