/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No clock, no state, no input or output: the same event under the same rules gives the same
 * messages in every process, and after every redelivery.
 */
#include "common/rules/rules.h"

#include <stdlib.h>
#include <string.h>

#include "common/rules/words.h"

/* ---- Rules ---- */

static int compare(const char *tenant_a, const char *outcome_a, const char *tenant_b,
		   const char *outcome_b)
{
	int order = strcmp(tenant_a, tenant_b);

	return order != 0 ? order : strcmp(outcome_a, outcome_b);
}

static int compare_rules(const void *a, const void *b)
{
	const struct outcome_rule *x = a;
	const struct outcome_rule *y = b;

	return compare(x->tenant, x->outcome, y->tenant, y->outcome);
}

bool rule_set_init(struct rule_set *rules)
{
	*rules = (struct rule_set){
		.rules = calloc(RULES_MAX, sizeof(*rules->rules)),
		.words = calloc(WORDS_MAX, sizeof(*rules->words)),
	};
	return rules->rules && rules->words;
}

void rule_set_release(struct rule_set *rules)
{
	free(rules->rules);
	free(rules->words);
	*rules = (struct rule_set){0};
}

void rule_set_sort(struct rule_set *rules)
{
	if (rules->n > 1)
		qsort(rules->rules, rules->n, sizeof(*rules->rules), compare_rules);
	if (rules->words_count > 1)
		qsort(rules->words, rules->words_count, sizeof(*rules->words), word_compare);
}

static const struct outcome_rule *find_exact(const struct rule_set *rules, const char *tenant,
					     const char *outcome)
{
	size_t low = 0;
	size_t high = rules->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct outcome_rule *r = &rules->rules[middle];
		int order = compare(tenant, outcome, r->tenant, r->outcome);
		if (order == 0)
			return r;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const struct outcome_rule *rule_set_find(const struct rule_set *rules, const char *tenant,
					 const char *outcome)
{
	const struct outcome_rule *own = find_exact(rules, tenant, outcome);

	return own ? own : find_exact(rules, "", outcome);
}

/* ---- Decision ---- */

/* What a rule's action asks of the redial queue. CALLBACK is for one with an agreed time. */
static const struct {
	enum redial_action action;
	bool suppress;
} actions[RULE_ACTION_COUNT] = {
	[RULE_SUCCESS] = {REDIAL_COMPLETE, false},  [RULE_RETRY] = {REDIAL_SCHEDULE, false},
	[RULE_CALLBACK] = {REDIAL_CALLBACK, false}, [RULE_STOP] = {REDIAL_STOP, false},
	[RULE_SUPPRESS] = {REDIAL_STOP, true},
};

void rules_decide(const struct rule_set *rules, const struct msg_call_event *e,
		  struct rule_decision *ret)
{
	*ret = (struct rule_decision){0};
	if ((e->type != EVENT_ENDED && e->type != EVENT_REPORT) || !e->outcome || !*e->outcome)
		return;

	const struct outcome_rule *rule = rule_set_find(rules, e->tenant, e->outcome);
	enum rule_action action = rule ? rule->action : RULE_RETRY;
	bool timed = action == RULE_CALLBACK && e->callback_at != MSG_NO_TIME;
	int64_t ended_at = e->occurred_at != MSG_NO_TIME ? e->occurred_at : e->received_at;
	if (action == RULE_CALLBACK && !timed)
		action = RULE_SUCCESS;

	ret->has_redial = true;
	msg_id_fit(e->event_id, "#redial", ret->redial_event_id, sizeof(ret->redial_event_id));
	ret->redial = (struct msg_redial_update){
		.event_id = ret->redial_event_id,
		.tenant = e->tenant,
		.account = e->account,
		.provider = e->provider,
		.provider_call_id = e->provider_call_id,
		.job_id = e->job_id,
		.lead_id = e->lead_id,
		.phone = e->phone,
		.action = actions[action].action,
		.outcome = e->outcome,
		.suppress = actions[action].suppress,
		.ended_at = ended_at,
		.callback_at = timed ? e->callback_at : MSG_NO_TIME,
	};
	if (!rule || !rule->next_stage[0])
		return;

	ret->has_stage = true;
	msg_id_fit(e->event_id, "#stage", ret->stage_event_id, sizeof(ret->stage_event_id));
	ret->stage = (struct msg_stage_transition){
		.event_id = ret->stage_event_id,
		.tenant = e->tenant,
		.account = e->account,
		.provider = e->provider,
		.provider_call_id = e->provider_call_id,
		.phone = e->phone,
		.job_id = e->job_id,
		.entity = ENTITY_LEAD,
		.id = e->lead_id,
		.to = rule->next_stage,
		.reason = e->outcome,
		.at = ended_at,
		.detail = e->ended_reason,
	};
}

void outcome_normalize(const char *text, char ret_outcome[RULES_OUTCOME_BYTES])
{
	word_normalize(text, ret_outcome, RULES_OUTCOME_BYTES);
}
