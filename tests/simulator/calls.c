/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger: every call that was placed, by id, by job, by number. A call's course (ringing,
 * answered, ended) is fixed when it is placed, so that its state is a matter of the clock and needs
 * no timer.
 */
#include "tests/simulator/simulator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNKNOWN_JOB "unknown"

static const char *const names[] = {[PROVIDER_OMNI] = "omni",
				    [PROVIDER_VAPI] = "vapi",
				    [PROVIDER_BLAND] = "bland",
				    [PROVIDER_TWILIO] = "twilio"};

const char *provider_name(enum provider p)
{
	return names[p];
}

bool provider_parse(const char *text, enum provider *ret)
{
	for (int i = 0; i < PROVIDER_COUNT; i++) {
		if (strcmp(text, names[i]) == 0) {
			*ret = (enum provider)i;
			return true;
		}
	}
	return false;
}

const struct provider_ops *provider_ops(enum provider p)
{
	static const struct provider_ops *const ops[] = {[PROVIDER_OMNI] = &omni_ops,
							 [PROVIDER_VAPI] = &vapi_ops,
							 [PROVIDER_BLAND] = &bland_ops,
							 [PROVIDER_TWILIO] = &twilio_ops};

	return ops[p];
}

bool phone_usable(const char *text)
{
	size_t n = strlen(text);

	return text[0] == '+' && n >= 8 && n <= 16 && strspn(text + 1, "0123456789") == n - 1;
}

static void call_free(struct call *c)
{
	free(c->echo);
	free(c->agent);
	free(c->from);
	free(c->server_url);
	free(c->amd_url);
	for (char **h = c->server_headers; h && *h; h++)
		free(*h);
	free(c->server_headers);
	free(c);
}

static void plan_course(const struct simulator *s, struct call *c)
{
	int64_t call_ms = c->action->call_ms >= 0 ? c->action->call_ms : s->o.call_ms;

	int64_t begins_at = c->created_at + c->action->queue_ms;

	c->ringing_at = begins_at + call_ms / 10;
	c->answered_at = c->outcome->talked ? begins_at + call_ms * 3 / 10 : 0;
	c->ended_at = begins_at + call_ms;
}

static bool add_to_job(struct ledger *l, struct call *c, const char *job_id)
{
	struct job *j;

	if (*job_id == '\0')
		job_id = UNKNOWN_JOB;
	HASH_FIND_STR(l->jobs, job_id, j);
	if (!j) {
		j = calloc(1, sizeof(*j));
		if (j)
			j->id = strdup(job_id);
		if (!j || !j->id) {
			free(j);
			return false;
		}
		HASH_ADD_KEYPTR(hh, l->jobs, j->id, strlen(j->id), j);
	}
	c->job = j;
	*(j->last ? &j->last->next_of_job : &j->first) = c;
	j->last = c;
	return true;
}

static bool count_phone(struct ledger *l, const char *number)
{
	struct phone *p;

	HASH_FIND_STR(l->phones, number, p);
	if (!p) {
		p = calloc(1, sizeof(*p));
		if (!p)
			return false;
		snprintf(p->number, sizeof(p->number), "%s", number);
		HASH_ADD_STR(l->phones, number, p);
	}
	p->calls++;
	return true;
}

static bool append(struct ledger *l, struct call *c)
{
	if (l->count == l->room) {
		size_t room = l->room ? l->room * 2 : 1024;
		struct call **calls = realloc(l->calls, room * sizeof(struct call *));
		if (!calls)
			return false;
		l->calls = calls;
		l->room = room;
	}
	l->calls[l->count++] = c;
	return true;
}

/* The calls of the agent that are not over; the others are forgotten. */
static size_t live_calls(const struct simulator *s, struct agent *a)
{
	size_t n = 0;

	for (size_t i = 0; i < a->count; i++) {
		if (!call_ended(s, a->live[i]))
			a->live[n++] = a->live[i];
	}
	a->count = n;
	return n;
}

static struct agent *agent_of(struct ledger *l, const char *name)
{
	struct agent *a;

	HASH_FIND_STR(l->agents, name, a);
	if (a)
		return a;
	a = calloc(1, sizeof(*a));
	if (a)
		a->name = strdup(name);
	if (!a || !a->name) {
		free(a);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, l->agents, a->name, strlen(a->name), a);
	return a;
}

static bool count_agent(struct simulator *s, struct call *c)
{
	struct agent *a = agent_of(&s->ledger, c->agent ? c->agent : "");

	if (!a)
		return false;
	size_t n = live_calls(s, a);
	if (n == a->room) {
		size_t room = a->room ? a->room * 2 : 16;
		struct call **live = realloc(a->live, room * sizeof(struct call *));
		if (!live)
			return false;
		a->live = live;
		a->room = room;
	}
	a->live[a->count++] = c;
	if (a->count > a->most)
		a->most = a->count;
	return true;
}

struct call *call_create(struct simulator *s, const struct create *create, const struct action *a)
{
	struct ledger *l = &s->ledger;
	const struct provider_ops *ops = provider_ops(create->provider);
	struct call *c = calloc(1, sizeof(*c));

	if (!c || !append(l, c)) {
		free(c);
		return NULL;
	}
	c->provider = create->provider;
	c->action = a;
	c->outcome = outcome_draw(&a->mix, &s->clock);
	c->created_at = simulator_now(s);
	c->number = l->next_number++;
	snprintf(c->phone, sizeof(c->phone), "%s", create->phone);
	plan_course(s, c);
	ops->complete(s, c, create->body);
	HASH_ADD_STR(l->by_id, id, c);
	s->stats.dials++;
	/* A dial that is not in the books would be worse than none. */
	if (!add_to_job(l, c, create->job_id) || !count_phone(l, c->phone) || !count_agent(s, c))
		abort();
	return c;
}

struct call *call_find(struct simulator *s, const char *id)
{
	struct call *c;

	HASH_FIND_STR(s->ledger.by_id, id, c);
	return c;
}

bool call_ended(const struct simulator *s, const struct call *c)
{
	return simulator_now(s) >= c->ended_at;
}

void call_end(struct simulator *s, struct call *c, const struct outcome *o)
{
	int64_t now = simulator_now(s);

	if (o)
		c->outcome = o;
	c->ended_at = now;
	if (c->ringing_at > now)
		c->ringing_at = now;
	c->answered_at = !c->outcome->talked			  ? 0
			 : c->answered_at && c->answered_at < now ? c->answered_at
								  : now;
}

bool call_listed(const struct simulator *s, const struct call *c)
{
	int64_t from = provider_ops(c->provider)->row_at_end ? c->ended_at : c->created_at;

	return simulator_now(s) >= from + c->action->list_lag_ms;
}

/* ---- The books ---- */

static void write_call(const struct call *c, struct buf *out)
{
	char at[TIME_TEXT_BYTES], until[TIME_TEXT_BYTES];

	time_format(c->created_at, at);
	time_format(c->ended_at, until);
	buf_addf(out, "{\"id\":\"%s\",\"phone\":", c->id);
	buf_add_json_string(out, c->phone, strlen(c->phone));
	buf_addf(out, ",\"provider\":\"%s\",\"outcome\":\"%s\",\"at\":\"%s\",\"until\":\"%s\"}",
		 provider_name(c->provider), c->outcome->name, at, until);
}

void ledger_write(const struct simulator *s, struct buf *out)
{
	const struct ledger *l = &s->ledger;

	buf_adds(out, "{\"jobs\":{");
	for (const struct job *j = l->jobs; j; j = j->hh.next) {
		buf_adds(out, j == l->jobs ? "" : ",");
		buf_add_json_string(out, j->id, strlen(j->id));
		buf_adds(out, ":{\"calls\":[");
		for (const struct call *c = j->first; c; c = c->next_of_job) {
			buf_adds(out, c == j->first ? "" : ",");
			write_call(c, out);
		}
		buf_adds(out, "]}");
	}
	buf_adds(out, "},\"phones\":{");
	for (const struct phone *p = l->phones; p; p = p->hh.next) {
		buf_adds(out, p == l->phones ? "" : ",");
		buf_add_json_string(out, p->number, strlen(p->number));
		buf_addf(out, ":%lu", p->calls);
	}
	buf_addf(out, "},\"total\":%zu}", l->count);
}

void agents_write(const struct simulator *s, struct buf *out)
{
	buf_addc(out, '{');
	for (struct agent *a = s->ledger.agents; a; a = a->hh.next) {
		buf_adds(out, a == s->ledger.agents ? "" : ",");
		buf_add_json_string(out, a->name, strlen(a->name));
		buf_addf(out, ":{\"live\":%zu,\"max_live\":%zu}", live_calls(s, a), a->most);
	}
	buf_addc(out, '}');
}

void ledger_clear(struct simulator *s)
{
	struct ledger *l = &s->ledger;
	struct job *j = l->jobs;
	struct phone *p = l->phones;
	struct agent *a = l->agents;

	/* Clearing a table leaves the order of its items linked. */
	HASH_CLEAR(hh, l->by_id);
	HASH_CLEAR(hh, l->jobs);
	HASH_CLEAR(hh, l->phones);
	HASH_CLEAR(hh, l->agents);
	while (j) {
		struct job *next = j->hh.next;
		free(j->id);
		free(j);
		j = next;
	}
	while (p) {
		struct phone *next = p->hh.next;
		free(p);
		p = next;
	}
	while (a) {
		struct agent *next = a->hh.next;
		free(a->name);
		free(a->live);
		free(a);
		a = next;
	}
	for (size_t i = 0; i < l->count; i++) {
		deliveries_cancel(s, l->calls[i]);
		call_free(l->calls[i]);
	}
	free(l->calls);
	l->calls = NULL;
	l->count = l->room = 0;
}
