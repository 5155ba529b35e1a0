/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a create gets back, when, and the ways not to get it. The call is dialed (or not) when the
 * request has come; what happens to the answer afterwards can't undo it: just as with a real
 * provider.
 */
#include "tests/simulator/simulator.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/json.h"
#include "common/seal.h"

#define HUGE_MAX_BYTES (256u << 20)
#define WEBHOOKS_FIRST_MAX_MS 10000 /* an answer that waits for webhooks waits no longer */

enum wait { WAIT_TIME, WAIT_RELEASE, WAIT_NEVER, WAIT_WEBHOOKS, WAIT_FLOOD };

/* An answer under way. */
struct pending {
	ev_timer timer;
	ev_io writable;			 /* WAIT_FLOOD */
	struct pending *previous, *next; /* of simulator->pending */
	struct simulator *simulator;
	struct http_exchange *x;
	enum provider provider;
	const struct action *action;
	struct call *call; /* NULL: nothing was dialed */
	json_t *body;
	enum wait wait;
	int flood_fd;
	size_t flooded;
};

/* ---- Ends that are no answers ---- */

/* The exchange ends for the server, too; what it writes goes nowhere. */
static void end_silently(struct simulator *s, struct http_exchange *x)
{
	s->stats.in_flight--;
	http_respond(x, 500, NULL, "", 0);
}

static void reset(struct simulator *s, struct http_exchange *x)
{
	/* On Linux this drops a TCP connection with RST and leaves the descriptor to its owner. */
	const struct sockaddr nobody = {.sa_family = AF_UNSPEC};

	if (connect(http_socket(x), &nobody, sizeof(nobody)) != 0)
		shutdown(http_socket(x), SHUT_RDWR);
	end_silently(s, x);
}

static void say_and_close(struct simulator *s, struct http_exchange *x, const char *text)
{
	(void)!send(http_socket(x), text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
	shutdown(http_socket(x), SHUT_RDWR);
	end_silently(s, x);
}

static void say_html(struct simulator *s, struct http_exchange *x)
{
	static const char page[] =
		"<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>";

	s->stats.in_flight--;
	http_respond(x, 200, "text/html; charset=UTF-8", page, sizeof(page) - 1);
}

/* ---- Pending answers ---- */

static void pending_free(struct pending *p)
{
	struct simulator *s = p->simulator;

	ev_timer_stop(s->loop, &p->timer);
	if (p->wait == WAIT_FLOOD) {
		ev_io_stop(s->loop, &p->writable);
		close(p->flood_fd);
	}
	if (p->previous)
		p->previous->next = p->next;
	else
		s->pending = p->next;
	if (p->next)
		p->next->previous = p->previous;
	json_decref(p->body);
	free(p);
}

static void pending_reset(struct pending *p)
{
	reset(p->simulator, p->x);
	pending_free(p);
}

/* Endless: until the client goes away, or has had enough to be sure that it does not look. */
static void on_flood(struct ev_loop *loop, ev_io *w, int revents)
{
	static const char filler[16384];
	struct pending *p = w->data;

	(void)loop;
	(void)revents;
	ssize_t n = send(p->flood_fd, filler, sizeof(filler), MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		p->flooded += (size_t)n;
	if (n == 0 || (n < 0 && errno != EAGAIN) || p->flooded >= HUGE_MAX_BYTES)
		pending_reset(p);
}

static void start_flood(struct pending *p)
{
	static const char head[] =
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"success\":true,";

	p->flood_fd = dup(http_socket(p->x));
	p->wait = WAIT_FLOOD;
	ev_io_init(&p->writable, on_flood, p->flood_fd, EV_WRITE);
	p->writable.data = p;
	if (p->flood_fd < 0 || send(p->flood_fd, head, sizeof(head) - 1, MSG_NOSIGNAL) < 0)
		pending_reset(p);
	else
		ev_io_start(p->simulator->loop, &p->writable);
}

/* ---- Answers ---- */

static void answer(struct simulator *s, struct http_exchange *x, enum provider provider,
		   const struct action *a, const struct call *c, const json_t *body)
{
	const struct provider_ops *ops = provider_ops(provider);

	s->stats.in_flight--;
	if (a->retry_after)
		http_respond_header(x, "Retry-After", a->retry_after);
	if (a->body) {
		unsigned status = a->status ? (unsigned)a->status : ops->created_status;
		http_respond(x, status, "application/json", a->body, strlen(a->body));
	} else if (a->status >= 300) {
		ops->refuse(x, (unsigned)a->status, "scripted");
	} else if (c) {
		buf_clear(&s->scratch);
		ops->write_created(s, c, body, &s->scratch);
		respond_json(x, a->status ? (unsigned)a->status : ops->created_status, &s->scratch);
	} else {
		http_respond(x, a->status ? (unsigned)a->status : ops->created_status,
			     "application/json", "{}", 2);
	}
}

/* Frees the pending answer, unless it is a flood. */
static void pending_finish(struct pending *p)
{
	struct simulator *s = p->simulator;

	switch (p->action->misbehaviour) {
	case MISBEHAVE_NOT:
		answer(s, p->x, p->provider, p->action, p->call, p->body);
		break;
	case MISBEHAVE_RESET:
	case MISBEHAVE_TIMEOUT:
	case MISBEHAVE_COUNT:
		reset(s, p->x);
		break;
	case MISBEHAVE_GARBAGE:
		say_and_close(s, p->x, "220 mail.example.test ESMTP \x01\x02\xff ready\r\n");
		break;
	case MISBEHAVE_HTML:
		say_html(s, p->x);
		break;
	case MISBEHAVE_TRUNCATE:
		say_and_close(
			s, p->x,
			"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n"
			"{\"success\":true,\"status\":\"disp");
		break;
	case MISBEHAVE_HUGE:
		start_flood(p);
		return;
	}
	pending_free(p);
}

static void on_time(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	pending_finish(w->data);
}

static void pend(struct simulator *s, struct http_exchange *x, enum provider provider,
		 const struct action *a, struct call *c, json_t *body, int64_t latency_ms)
{
	struct pending *p = calloc(1, sizeof(*p));

	if (!p) {
		reset(s, x);
		json_decref(body);
		return;
	}
	p->simulator = s;
	p->x = x;
	p->provider = provider;
	p->action = a;
	p->call = c;
	p->body = body;
	p->wait = a->misbehaviour == MISBEHAVE_TIMEOUT			  ? WAIT_NEVER
		  : a->hold						  ? WAIT_RELEASE
		  : a->webhooks_before_answer && c && !deliveries_done(c) ? WAIT_WEBHOOKS
									  : WAIT_TIME;
	p->next = s->pending;
	if (p->next)
		p->next->previous = p;
	s->pending = p;
	if (p->wait == WAIT_WEBHOOKS)
		latency_ms = WEBHOOKS_FIRST_MAX_MS;
	ev_timer_init(&p->timer, on_time, (double)latency_ms / 1000., 0.);
	p->timer.data = p;
	if (p->wait == WAIT_TIME || p->wait == WAIT_WEBHOOKS)
		ev_timer_start(s->loop, &p->timer);
}

void answers_release(struct simulator *s)
{
	for (struct pending *p = s->pending, *next; p; p = next) {
		next = p->next;
		if (p->wait == WAIT_RELEASE || p->wait == WAIT_NEVER)
			pending_finish(p);
	}
}

void answers_abort(struct simulator *s)
{
	for (struct pending *p = s->pending, *next; p; p = next) {
		next = p->next;
		pending_reset(p);
	}
}

void answers_webhooks_done(struct simulator *s, const struct call *c)
{
	for (struct pending *p = s->pending, *next; p; p = next) {
		next = p->next;
		if (p->wait == WAIT_WEBHOOKS && p->call == c)
			pending_finish(p);
	}
}

/* ---- Creates ---- */

/* "Basic " and "account:key" in base64. */
static bool basic_good(const struct http_exchange *x, const char *wanted)
{
	const char *given = http_header(x, "Authorization");
	const char *account = http_param(x, "account");
	struct buf plain, right;

	buf_init(&plain, 1024);
	buf_init(&right, 2048);
	buf_addf(&plain, "%s:%s", account ? account : "", wanted ? wanted : "");
	buf_adds(&right, "Basic ");
	base64_encode((const unsigned char *)plain.data, plain.len, &right);
	bool good = given && strncmp(given, "Basic ", 6) == 0 &&
		    (!wanted || http_secret_equal(given, right.data));
	buf_release(&plain);
	buf_release(&right);
	return good;
}

static bool key_good(const struct simulator *s, enum provider p, const struct http_exchange *x)
{
	static const char *const bare[] = {"Authorization", NULL};
	const char *wanted = s->o.keys[p];

	if (provider_ops(p)->basic)
		return basic_good(x, wanted);
	const char *given = http_presented_secret(x, provider_ops(p)->bare_key ? bare : NULL);

	return wanted ? http_secret_equal(given, wanted) : given != NULL;
}

bool lookup_permitted(struct simulator *s, enum provider p, struct http_exchange *x)
{
	s->stats.lookups++;
	request_record(s, x);
	if (!key_good(s, p, x)) {
		provider_ops(p)->refuse(x, 401, "Invalid or missing API key.");
		return false;
	}
	if (script_list_fails(s->script, p)) {
		provider_ops(p)->refuse(x, 500, "scripted");
		return false;
	}
	return true;
}

/* Fills *c; false: answered already. The body is the caller's to release. */
static bool read_request(struct simulator *s, enum provider p, struct http_exchange *x,
			 struct create *c)
{
	struct buf error;
	size_t n;
	const char *bytes = http_body(x, &n);

	if (!key_good(s, p, x)) {
		provider_ops(p)->refuse(x, 401, "Invalid or missing API key.");
		return false;
	}
	buf_init(&error, 500);
	c->provider = p;
	c->body = provider_ops(p)->parse ? provider_ops(p)->parse(bytes, n, &error)
					 : json_parse(bytes, n, SIM_BODY_MAX_BYTES, &error);
	if (!json_is_object(c->body))
		provider_ops(p)->refuse(x, 400, c->body ? "the body is not an object" : error.data);
	buf_release(&error);
	return json_is_object(c->body) && provider_ops(p)->read_create(s, x, c);
}

void create_handle(struct simulator *s, enum provider p, struct http_exchange *x)
{
	struct create c = {0};
	struct call *call = NULL;

	s->stats.posts++;
	request_record(s, x);
	if (!read_request(s, p, x, &c)) {
		json_decref(c.body);
		return;
	}
	s->stats.in_flight++;
	if (s->stats.in_flight > s->stats.max_in_flight)
		s->stats.max_in_flight = s->stats.in_flight;
	const struct action *a = script_match(s->script, p, c.phone, c.job_id);
	if (a->dialed) {
		call = call_create(s, &c, a);
		assert(call);
		deliveries_plan(s, call, DELIVERY_INITIATED);
	}
	int64_t latency_ms = a->latency_ms >= 0 ? a->latency_ms : s->o.latency_ms;
	if (latency_ms > 0 || a->hold || a->misbehaviour != MISBEHAVE_NOT ||
	    a->webhooks_before_answer) {
		pend(s, x, p, a, call, c.body, latency_ms);
		return;
	}
	answer(s, x, p, a, call, c.body);
	json_decref(c.body);
}
