/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three kinds of provider as their adapters know them: one whose list shows our id and whose
 * absence is proof (vapi), one whose rows must be got to show it (bland), one that shows no id and
 * rows only when a call is over (omni). Its calls are the truth that oracles hold us to.
 */
#include "tests/simulation/provider.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "tests/simulation/database.h"

#define BODY_MAX_BYTES (4u << 20)
#define LAG_MAX_MS 9900 /* LIST_LAG_S is 10 */

struct outside_call {
	size_t account;
	char id[32], job_id[UUID_TEXT_BYTES], phone[PHONE_BYTES];
	int64_t created_at, ended_at, shows_at; /* of the simulation */
	const char *outcome;			/* vapi's endedReason */
};

static struct {
	struct outside_call calls[CALLS_MAX];
	size_t n;
} world;

void provider_reset(void)
{
	world.n = 0;
}

int64_t provider_now(void)
{
	return EPOCH_MS + sim_now() + sim.provider_ahead_ms;
}

static bool is_over(const struct outside_call *c)
{
	return c->ended_at <= sim_now();
}

/* ---- Its events ---- */

struct told {
	struct outside_call *call;
	enum event_type type;
};

static const char *outcome_of(const struct outside_call *c)
{
	if (strcmp(c->outcome, "customer-did-not-answer") == 0)
		return "NO_ANSWER";
	if (strcmp(c->outcome, "assistant-forwarded-call") == 0)
		return "TRANSFERRED";
	return strcmp(c->outcome, "do-not-call") == 0 ? "DO_NOT_CALL" : "HUMAN";
}

static void on_told(void *arg)
{
	const struct told *t = arg;
	const struct outside_call *c = t->call;
	bool over = t->type == EVENT_REPORT;
	char event_id[64];
	const struct msg_call_event e = {
		.event_id = event_id,
		.tenant = "default",
		.provider = account_names[c->account],
		.account = account_names[c->account],
		.type = t->type,
		.provider_call_id = c->id,
		.job_id = strcmp(account_names[c->account], "omni") == 0 ? NULL : c->job_id,
		.phone = c->phone,
		.outcome = over ? outcome_of(c) : NULL,
		.success = MSG_NO_INT,
		.callback_at = MSG_NO_TIME,
		.duration_ms = MSG_NO_INT,
		.occurred_at = provider_now() < EPOCH_MS + sim_now() ? provider_now()
								     : EPOCH_MS + sim_now(),
		.received_at = EPOCH_MS + sim_now(),
		.cost_micros = MSG_NO_INT,
	};

	snprintf(event_id, sizeof(event_id), "%s:%s", c->id, event_type_text(t->type));
	outside_event(&e);
}

static void tell(struct outside_call *c, enum event_type type, int64_t at)
{
	struct told *t = malloc(sizeof(*t));

	assert(t);
	*t = (struct told){c, type};
	sim_at(at, NULL, on_told, t, NULL);
}

/* ---- A call ---- */

static struct outside_call *dial(size_t account, const char *job_id, const char *phone)
{
	static const char *const outcomes[] = {"customer-did-not-answer", "customer-did-not-answer",
					       "customer-ended-call", "assistant-forwarded-call",
					       "do-not-call"};
	static const size_t outcomes_n = sizeof(outcomes) / sizeof(outcomes[0]);
	int64_t now = sim_now();

	assert(world.n < CALLS_MAX);
	struct outside_call *c = &world.calls[world.n++];
	*c = (struct outside_call){
		.account = account,
		.created_at = now,
		.ended_at = now + chance_between(3 * SECOND, 50 * SECOND),
		.outcome = outcomes[chance_between(0, (int64_t)outcomes_n - 1)],
	};
	bool from_end = strcmp(account_names[account], "omni") == 0;
	c->shows_at = (from_end ? c->ended_at : now) + chance_between(0, LAG_MAX_MS);
	snprintf(c->id, sizeof(c->id), "%zu", 1000 + world.n);
	text_set(c->job_id, sizeof(c->job_id), job_id);
	text_set(c->phone, sizeof(c->phone), phone);
	counts.dialed++;
	sim_trace("the provider dials job %s as %s", job_id, c->id);
	tell(c, EVENT_RINGING, now + SECOND);
	tell(c, EVENT_IN_PROGRESS, now + 2 * SECOND);
	tell(c, EVENT_REPORT, c->ended_at);
	oracle_dialed(job_id, phone);
	return c;
}

static size_t account_of(const char *url)
{
	for (size_t i = 0; i < ACCOUNTS; i++) {
		if (strstr(url, account_names[i]))
			return i;
	}
	assert(false && "nobody's address");
	return 0;
}

static void accept(const struct outside_call *c, struct reply *ret)
{
	const char *provider = account_names[c->account];

	ret->status = 201;
	if (strcmp(provider, "vapi") == 0)
		buf_addf(&ret->body, "{\"id\":\"%s\",\"name\":\"%s\",\"status\":\"queued\"}", c->id,
			 c->job_id);
	else if (strcmp(provider, "bland") == 0)
		buf_addf(&ret->body, "{\"status\":\"success\",\"call_id\":\"%s\"}", c->id);
	else
		buf_addf(&ret->body,
			 "{\"success\":true,\"status\":\"dispatched\",\"requestId\":%s}", c->id);
}

static void refuse(bool later, struct reply *ret)
{
	ret->status = later ? 429 : 400;
	if (later && chance(500))
		ret->retry_after_ms = chance_between(0, 20 * SECOND);
	buf_adds(&ret->body, later ? "{\"message\":\"rate limit\"}" : "{\"message\":\"e.164\"}");
}

/* Answers from which nothing follows, with or without a call. */
static void mumble(struct reply *ret)
{
	static const char *const texts[] = {"", "<html>502</html>", "{\"id\":", "[]", "{}"};
	static const long statuses[] = {200, 201, 500, 502, 503, 408, 409, 302};

	ret->status = statuses[chance_between(0, 7)];
	buf_adds(&ret->body, texts[chance_between(0, 4)]);
}

void provider_post(const char *url, const char *body, enum fate fate, struct reply *ret)
{
	struct buf ignored;
	char text[64];
	const char *job = NULL, *phone = NULL;

	buf_init_fixed(&ignored, text, sizeof(text));
	_cleanup_json_ json_t *j = json_parse(body, strlen(body), BODY_MAX_BYTES, &ignored);
	if (!j)
		sim_fail("a POST is no JSON: %s", text);
	static const char *const jobs[] = {"name", "metadata.job_id"};
	static const char *const phones[] = {"customer.number", "phone_number", "to_number"};
	for (size_t i = 0; i < 2 && !job; i++)
		job = json_path_text(j, jobs[i]);
	for (size_t i = 0; i < 3 && !phone; i++)
		phone = json_path_text(j, phones[i]);
	if (!job || !phone) {
		sim_fail("a POST names no job or phone");
		return;
	}
	if (fate == FATE_ACCEPTED)
		accept(dial(account_of(url), job, phone), ret);
	else if (fate == FATE_BROKEN) {
		if (chance(500))
			dial(account_of(url), job, phone);
		if (chance(500))
			mumble(ret);
	} else {
		refuse(fate == FATE_REFUSED_LATER, ret);
	}
}

/* ---- Look-ups ---- */

static void iso(int64_t at, char ret_text[TIME_TEXT_BYTES])
{
	time_format(EPOCH_MS + sim.provider_ahead_ms + at, ret_text);
}

static void write_vapi(struct buf *b, const struct outside_call *c)
{
	char created[TIME_TEXT_BYTES], ended[TIME_TEXT_BYTES];

	iso(c->created_at, created);
	iso(c->ended_at, ended);
	buf_addf(b,
		 "{\"id\":\"%s\",\"name\":\"%s\",\"customer\":{\"number\":\"%s\"},"
		 "\"createdAt\":\"%s\"",
		 c->id, c->job_id, c->phone, created);
	if (is_over(c))
		buf_addf(b,
			 ",\"status\":\"ended\",\"endedReason\":\"%s\",\"startedAt\":\"%s\","
			 "\"endedAt\":\"%s\"}",
			 c->outcome, created, ended);
	else
		buf_adds(b, ",\"status\":\"in-progress\"}");
}

static void write_bland(struct buf *b, const struct outside_call *c, bool whole)
{
	char created[TIME_TEXT_BYTES];
	bool answered = strcmp(c->outcome, "customer-did-not-answer") != 0;

	iso(c->created_at, created);
	buf_addf(b, "{\"call_id\":\"%s\",\"to\":\"%s\",\"created_at\":\"%s\"", c->id, c->phone,
		 created);
	if (whole)
		buf_addf(b, ",\"metadata\":{\"job_id\":\"%s\"}", c->job_id);
	if (is_over(c))
		buf_addf(b,
			 ",\"status\":\"%s\",\"completed\":true,\"queue_status\":\"complete\","
			 "\"answered_by\":\"%s\"}",
			 answered ? "completed" : "no-answer", answered ? "human" : "no-answer");
	else
		buf_adds(b, ",\"completed\":false,\"queue_status\":\"started\"}");
}

static void write_omni(struct buf *b, const struct outside_call *c)
{
	char t[TIME_TEXT_BYTES];

	iso(c->created_at, t); /* 2026-01-05T16:20:11.000Z to MM/DD/YYYY HH:MM:SS */
	buf_addf(b,
		 "{\"id\":%s,\"call_request_id\":{\"id\":%s},\"to_number\":\"%s\","
		 "\"time_of_call\":\"%.2s/%.2s/%.4s %.8s\",\"call_status\":\"%s\","
		 "\"call_duration_in_seconds\":%lld}",
		 c->id, c->id, c->phone, t + 5, t + 8, t, t + 11,
		 strcmp(c->outcome, "customer-did-not-answer") == 0 ? "no_answer" : "completed",
		 (long long)((c->ended_at - c->created_at) / SECOND));
}

static void write_call(struct buf *b, const struct outside_call *c, bool whole)
{
	const char *provider = account_names[c->account];

	if (strcmp(provider, "vapi") == 0)
		write_vapi(b, c);
	else if (strcmp(provider, "bland") == 0)
		write_bland(b, c, whole);
	else
		write_omni(b, c);
}

/* ISO times compare as text. */
static bool is_within(const struct outside_call *c, const char *url, const char *from_name,
		      const char *to_name)
{
	const char *from = strstr(url, from_name), *to = strstr(url, to_name);
	char created[TIME_TEXT_BYTES];

	iso(c->created_at, created);
	return (!from || strncmp(created, from + strlen(from_name), 24) >= 0) &&
	       (!to || strncmp(created, to + strlen(to_name), 24) <= 0);
}

/* Newest first; the number of those that are within the times asked for. */
static size_t write_list(size_t account, const char *url, size_t most, struct buf *b)
{
	size_t n = 0;

	for (size_t i = world.n; i-- > 0;) {
		const struct outside_call *c = &world.calls[i];
		if (c->account != account || c->shows_at > sim_now() ||
		    !is_within(c, url, "createdAtGe=", "createdAtLe=") ||
		    !is_within(c, url, "start_date=", "end_date="))
			continue;
		if (n++ >= most)
			continue;
		buf_adds(b, n > 1 ? "," : "");
		write_call(b, c, false);
	}
	return n;
}

static bool write_one(size_t account, const char *url, struct reply *ret)
{
	const char *id = strrchr(url, '/');

	for (size_t i = 0; i < world.n; i++) {
		const struct outside_call *c = &world.calls[i];
		if (c->account != account || strcmp(c->id, id + 1) != 0)
			continue;
		ret->status = 200;
		write_call(&ret->body, c, true);
		return true;
	}
	return false;
}

void provider_get(const char *url, bool broken, struct reply *ret)
{
	size_t account = account_of(url);

	counts.looked_up++;
	if (broken) {
		if (chance(700))
			mumble(ret);
		return;
	}
	if (write_one(account, url, ret))
		return;
	ret->status = 200;
	buf_adds(&ret->body, account == 0   ? "["
			     : account == 1 ? "{\"calls\":["
					    : "{\"call_log_data\":[");
	size_t n = write_list(account, url, account == 1 ? sim.list_rows : SIZE_MAX, &ret->body);
	if (account == 1)
		buf_addf(&ret->body, "],\"total_count\":%zu}", n);
	else
		buf_adds(&ret->body, account == 0 ? "]" : "]}");
}

/* ---- For the oracles ---- */

bool provider_each(size_t i, const char **ret_job_id, bool *ret_over)
{
	if (i >= world.n)
		return false;
	*ret_job_id = world.calls[i].job_id;
	*ret_over = is_over(&world.calls[i]);
	return true;
}

bool provider_rings(const char *phone)
{
	for (size_t i = 0; i < world.n; i++) {
		if (strcmp(world.calls[i].phone, phone) == 0 && !is_over(&world.calls[i]))
			return true;
	}
	return false;
}
