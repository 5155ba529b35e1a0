/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outcome rules as a pure function: a call's end + the rules -> what follows for the redial queue
 * and the lead's stage. Used by the webhook for events, by the reconciler for ends it finds itself;
 * the recorder applies the first decision of a call.
 *
 * Rules are rows of carillon.outcome_rules; an outcome without a row is a retry. The function knows
 * nothing of the call's kind: whether the decision feeds the redial queue is the recorder's to see.
 */
#ifndef CARILLON_RULES_H
#define CARILLON_RULES_H

#include <stddef.h>

#include "common/msg.h"

#define RULES_OUTCOME_BYTES 64
#define RULES_STAGE_BYTES 64
#define RULES_MAX 512

struct outcome_rule {
	char tenant[64]; /* "" applies to all that have no rule of their own */
	char outcome[RULES_OUTCOME_BYTES];
	enum rule_action action;
	char next_stage[RULES_STAGE_BYTES]; /* "" leaves the stage */
};

struct outcome_word; /* common/rules/words.h */

struct rule_set {
	struct outcome_rule *rules; /* sorted by (tenant, outcome) by rule_set_sort() */
	size_t n;
	struct outcome_word *words; /* sorted by rule_set_sort() too */
	size_t words_count;
};

/* Room for RULES_MAX rules and WORDS_MAX words. False without memory. */
bool rule_set_init(struct rule_set *rules);
/* Takes what an init that failed left. */
void rule_set_release(struct rule_set *rules);
/* Once, after filling. Of two rules of the same tenant and outcome either may be found. */
void rule_set_sort(struct rule_set *rules);
/* The tenant's own rule, else the one for all, else NULL. `outcome` as outcome_normalize() makes
 * it. */
const struct outcome_rule *rule_set_find(const struct rule_set *rules, const char *tenant,
					 const char *outcome);

/* Bytes of a derived message's event_id: the event's, with "#redial" or "#stage" (msg_id_fit()). */
#define RULES_EVENT_ID_BYTES 200

/*
 * What an end leads to; has_* say which messages to publish. Strings are borrowed from the event,
 * the rules and the decision itself: a decision is used where it was made, not copied.
 */
struct rule_decision {
	bool has_redial;
	struct msg_redial_update redial;
	bool has_stage;
	struct msg_stage_transition stage;
	char redial_event_id[RULES_EVENT_ID_BYTES];
	char stage_event_id[RULES_EVENT_ID_BYTES];
};

/*
 * Decides on an event of type ended or report with an outcome; on others nothing (both has_* are
 * false). The default rules are rows of schemas/sql/0002_defaults.sql. A CALLBACK without a time is
 * a success.
 */
void rules_decide(const struct rule_set *rules, const struct msg_call_event *e,
		  struct rule_decision *ret);

/* word_normalize() to the length of an outcome. */
void outcome_normalize(const char *text, char ret_outcome[RULES_OUTCOME_BYTES]);

#endif
