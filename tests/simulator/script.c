/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scripted behaviour: a JSON array of rules, the first that fits a create decides.
 *
 *   {"match": {"provider", "phone" (with '+': exact, else the last digits), "job_id", "nth" (of the
 * creates that fit the rest)}, "times": most often, "action": {...}}
 *
 * Actions: latency_ms, call_ms, queue_ms (Twilio: a call waits so long before it is dialed),
 * outcome (a word, or {word: weight}), callback_in_ms; instead of the outcome's own words
 * call_status (Omni), ended_reason (Vapi), disposition and error_message (Bland), answered_by
 * (Twilio); classify {classification, confidence, menu_path, by: "pending_call_id", "job_id" or
 * "phone", after_ms}: what the classifier says of a Twilio call that was answered; status, body,
 * retry_after: that answer and no call, unless "dialed": true; dialed_but_5xx; reset_after_body,
 * timeout, garbage (true or "html"), huge, truncate: true or
 * {"dialed": bool}, a call unless said otherwise; reset_before_body; hold (until POST /release);
 * webhook {lost, duplicates, delay_ms, order: "reverse" or "shuffle", before_answer}; list_lag_ms;
 * list_fails (how many look-ups fail, true: all).
 *
 * A word that is not known is an error: a test whose rule does nothing would pass for the wrong
 * reason.
 */
#include "tests/simulator/simulator.h"

#include <stdlib.h>
#include <string.h>

#define CALLBACK_IN_MS (2 * 3600 * INT64_C(1000))

struct rule {
	bool any_provider;
	enum provider provider;
	const char *phone; /* NULL: any */
	const char *job_id;
	json_int_t nth;	  /* 0: every one */
	json_int_t times; /* left; negative: no bound */
	json_int_t fitted;
	json_int_t list_fails; /* left; negative: no bound */
	bool for_creates;      /* false: only list_fails */
	char *body;
	char *retry_after;
	struct action action;
};

struct script {
	json_t *source; /* texts of rules point into it */
	struct rule *rules;
	size_t count;
	struct action plain; /* where no rule fits */
	struct script *next;
};

static const struct {
	const char *name;
	enum misbehaviour misbehaviour;
	bool dialed;
} misbehaviours[] = {
	{"reset_before_body", MISBEHAVE_RESET, false},
	{"reset_after_body", MISBEHAVE_RESET, true},
	{"timeout", MISBEHAVE_TIMEOUT, true},
	{"garbage", MISBEHAVE_GARBAGE, true},
	{"huge", MISBEHAVE_HUGE, true},
	{"truncate", MISBEHAVE_TRUNCATE, true},
};

static void plain_action(struct action *a)
{
	*a = (struct action){
		.latency_ms = -1, .call_ms = -1, .dialed = true, .callback_in_ms = CALLBACK_IN_MS};
	outcome_mix_default(&a->mix);
}

/* Not negative, and small enough to be added to times. */
static bool take_ms(const json_t *j, int64_t *ret)
{
	if (!json_is_integer(j) || json_integer_value(j) < 0 ||
	    json_integer_value(j) > INT64_C(1000) * 86400 * 366)
		return false;
	*ret = json_integer_value(j);
	return true;
}

static bool take_bool(const json_t *j, bool *ret)
{
	*ret = json_is_true(j);
	return json_is_boolean(j);
}

/* ---- Actions ---- */

static bool take_webhook(struct action *a, json_t *webhook, struct buf *error)
{
	const char *key;
	json_t *value;

	json_object_foreach (webhook, key, value) {
		const char *text = json_string_value(value);
		bool good = false;
		if (strcmp(key, "lost") == 0) {
			good = take_bool(value, &a->webhooks_lost);
		} else if (strcmp(key, "before_answer") == 0) {
			good = take_bool(value, &a->webhooks_before_answer);
		} else if (strcmp(key, "delay_ms") == 0) {
			good = take_ms(value, &a->webhook_delay_ms);
		} else if (strcmp(key, "duplicates") == 0) {
			json_int_t n = json_integer_value(value);
			good = json_is_integer(value) && n >= 0 && n <= 100;
			a->webhook_duplicates = good ? (unsigned)n : 0;
		} else if (strcmp(key, "order") == 0 && text) {
			a->webhook_order =
				strcmp(text, "reverse") == 0 ? ORDER_REVERSE : ORDER_SHUFFLE;
			good = strcmp(text, "reverse") == 0 || strcmp(text, "shuffle") == 0;
		}
		if (!good) {
			buf_addf(error, "webhook.%s is not understood", key);
			return false;
		}
	}
	return json_is_object(webhook);
}

static bool take_misbehaviour(struct action *a, const char *key, json_t *value)
{
	for (size_t i = 0; i < sizeof(misbehaviours) / sizeof(misbehaviours[0]); i++) {
		json_t *dialed = json_object_get(value, "dialed");
		if (strcmp(key, misbehaviours[i].name) != 0)
			continue;
		if (json_is_false(value))
			return true;
		a->misbehaviour = misbehaviours[i].misbehaviour;
		a->dialed = dialed ? json_is_true(dialed) : misbehaviours[i].dialed;
		if (a->misbehaviour == MISBEHAVE_GARBAGE && json_is_string(value)) {
			a->misbehaviour = MISBEHAVE_HTML;
			return strcmp(json_string_value(value), "html") == 0;
		}
		return json_is_true(value) || (dialed && json_object_size(value) == 1);
	}
	return false;
}

static bool take_answer(struct rule *r, const char *key, json_t *value)
{
	struct action *a = &r->action;

	if (strcmp(key, "status") == 0) {
		json_int_t n = json_integer_value(value);
		a->status = n >= 200 && n <= 599 ? (long)n : 0;
		a->dialed = false;
		return a->status != 0;
	}
	if (strcmp(key, "body") == 0) {
		free(r->body);
		r->body = json_is_string(value) ? strdup(json_string_value(value))
						: json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
		a->body = r->body;
		a->dialed = false;
		return r->body != NULL;
	}
	if (strcmp(key, "retry_after") == 0) {
		free(r->retry_after);
		r->retry_after = json_is_string(value) ? strdup(json_string_value(value))
						       : json_dumps(value, JSON_ENCODE_ANY);
		a->retry_after = r->retry_after;
		return r->retry_after && (json_is_string(value) || json_is_integer(value));
	}
	if (strcmp(key, "dialed_but_5xx") == 0) {
		a->status = json_is_integer(value) ? (long)json_integer_value(value) : 502;
		a->dialed = true;
		return json_is_true(value) || (a->status >= 500 && a->status <= 599);
	}
	return false;
}

static bool take_list_fails(struct rule *r, const json_t *value)
{
	r->list_fails = json_is_true(value) ? -1 : json_integer_value(value);
	return json_is_true(value) || (json_is_integer(value) && r->list_fails >= 0);
}

static bool take_one(struct rule *r, const char *key, json_t *value, struct buf *error)
{
	struct action *a = &r->action;
	const struct {
		const char *key;
		int64_t *ms;
		const char **text;
	} simple[] = {
		{"latency_ms", &a->latency_ms, NULL},
		{"call_ms", &a->call_ms, NULL},
		{"queue_ms", &a->queue_ms, NULL},
		{"callback_in_ms", &a->callback_in_ms, NULL},
		{"list_lag_ms", &a->list_lag_ms, NULL},
		{"call_status", NULL, &a->call_status},
		{"ended_reason", NULL, &a->ended_reason},
		{"disposition", NULL, &a->disposition},
		{"error_message", NULL, &a->error_message},
		{"answered_by", NULL, &a->answered_by},
	};

	for (size_t i = 0; i < sizeof(simple) / sizeof(simple[0]); i++) {
		if (strcmp(key, simple[i].key) != 0)
			continue;
		if (simple[i].ms)
			return take_ms(value, simple[i].ms);
		*simple[i].text = json_string_value(value);
		return *simple[i].text != NULL;
	}
	if (strcmp(key, "outcome") == 0)
		return outcome_mix_parse(value, &a->mix);
	if (strcmp(key, "webhook") == 0)
		return take_webhook(a, value, error);
	if (strcmp(key, "hold") == 0)
		return take_bool(value, &a->hold);
	if (strcmp(key, "classify") == 0) {
		a->classify = value;
		return json_is_object(value);
	}
	return take_answer(r, key, value) || take_misbehaviour(a, key, value);
}

static bool take_action(struct rule *r, json_t *action, struct buf *error)
{
	const char *key;
	json_t *value;
	json_t *dialed = json_object_get(action, "dialed");

	json_object_foreach (action, key, value) {
		bool good = true;
		if (strcmp(key, "list_fails") == 0) {
			good = take_list_fails(r, value);
		} else if (strcmp(key, "dialed") != 0) {
			r->for_creates = true;
			good = take_one(r, key, value, error);
		}
		if (!good) {
			buf_addf(error, "action.%s is not understood", key);
			return false;
		}
	}
	/* Last, because others set what is usual with them. */
	if (dialed)
		r->action.dialed = json_is_true(dialed);
	if (!json_is_object(action))
		buf_adds(error, "no action");
	return json_is_object(action);
}

/* ---- Rules ---- */

static bool take_match(struct rule *r, json_t *match, struct buf *error)
{
	const char *key;
	json_t *value;

	r->any_provider = true;
	json_object_foreach (match, key, value) {
		const char *text = json_string_value(value);
		bool good = false;
		if (strcmp(key, "provider") == 0 && text) {
			r->any_provider = false;
			good = provider_parse(text, &r->provider);
		} else if (strcmp(key, "phone") == 0 && text) {
			r->phone = text;
			good = true;
		} else if (strcmp(key, "job_id") == 0 && text) {
			r->job_id = text;
			good = true;
		} else if (strcmp(key, "nth") == 0) {
			r->nth = json_integer_value(value);
			good = r->nth > 0;
		}
		if (!good) {
			buf_addf(error, "match.%s is not understood", key);
			return false;
		}
	}
	return true;
}

static bool take_rule(struct rule *r, json_t *rule, struct buf *error)
{
	const char *key;
	json_t *value;

	plain_action(&r->action);
	r->times = -1;
	json_object_foreach (rule, key, value) {
		if (strcmp(key, "times") == 0) {
			r->times = json_integer_value(value);
			if (json_is_integer(value) && r->times >= 0)
				continue;
		} else if (strcmp(key, "match") == 0 || strcmp(key, "action") == 0) {
			continue;
		}
		buf_addf(error, "%s is not understood", key);
		return false;
	}
	return take_match(r, json_object_get(rule, "match"), error) &&
	       take_action(r, json_object_get(rule, "action"), error);
}

struct script *script_new(void)
{
	struct script *s = calloc(1, sizeof(*s));

	if (s)
		plain_action(&s->plain);
	return s;
}

struct script *script_parse(const json_t *rules, struct buf *error)
{
	struct script *s = script_new();
	size_t n = json_array_size(rules);

	if (!json_is_array(rules)) {
		buf_adds(error, "the script is not an array of rules");
		script_free(s);
		return NULL;
	}
	if (s)
		s->rules = calloc(n ? n : 1, sizeof(*s->rules));
	if (!s || !s->rules) {
		buf_adds(error, "no memory");
		script_free(s);
		return NULL;
	}
	s->source = json_incref((json_t *)rules);
	for (s->count = 0; s->count < n;) {
		struct rule *r = &s->rules[s->count++];
		if (!take_rule(r, json_array_get(rules, s->count - 1), error)) {
			buf_addf(error, " (rule %zu)", s->count - 1);
			script_free(s);
			return NULL;
		}
	}
	return s;
}

void script_free(struct script *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->count; i++) {
		free(s->rules[i].body);
		free(s->rules[i].retry_after);
	}
	free(s->rules);
	json_decref(s->source);
	free(s);
}

/* ---- Matching ---- */

static bool phone_fits(const char *wanted, const char *phone)
{
	size_t n = strlen(wanted);
	size_t have = strlen(phone);

	if (wanted[0] == '+')
		return strcmp(wanted, phone) == 0;
	return n <= have && strcmp(phone + have - n, wanted) == 0;
}

const struct action *script_match(struct script *s, enum provider p, const char *phone,
				  const char *job_id)
{
	for (size_t i = 0; i < s->count; i++) {
		struct rule *r = &s->rules[i];
		if (!r->for_creates || (!r->any_provider && r->provider != p) ||
		    (r->phone && !phone_fits(r->phone, phone)) ||
		    (r->job_id && strcmp(r->job_id, job_id) != 0))
			continue;
		r->fitted++;
		if ((r->nth > 0 && r->fitted != r->nth) || r->times == 0)
			continue;
		if (r->times > 0)
			r->times--;
		return &r->action;
	}
	return &s->plain;
}

bool script_list_fails(struct script *s, enum provider p)
{
	for (size_t i = 0; i < s->count; i++) {
		struct rule *r = &s->rules[i];
		if ((!r->any_provider && r->provider != p) || r->list_fails == 0)
			continue;
		if (r->list_fails > 0)
			r->list_fails--;
		return true;
	}
	return false;
}

void simulator_set_script(struct simulator *s, struct script *script)
{
	/* Calls and answers under way refer to the actions of the old one. */
	if (s->script) {
		s->script->next = s->old_scripts;
		s->old_scripts = s->script;
	}
	s->script = script;
}

void scripts_free(struct simulator *s)
{
	script_free(s->script);
	while (s->old_scripts) {
		struct script *old = s->old_scripts;
		s->old_scripts = old->next;
		script_free(old);
	}
}
