/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How calls end. One table with the words of all providers; its weights make samples in which
 * every kind shows.
 */
#include "tests/simulator/simulator.h"

#include <string.h>
#include <strings.h>

static const struct outcome outcomes[] = {
	{"TRANSFERRED", 20, "completed", "assistant-forwarded-call", "completed", "human",
	 "TRANSFERRED", "completed", "human", "TRANSFERRED", true, true},
	{"SALE", 5, "completed", "customer-ended-call", "completed", "human", "COMPLETED_ACTION",
	 "completed", "human", "SALE", true, true},
	{"ACA", 3, "completed", "customer-ended-call", "completed", "human", "ACA", "completed",
	 "human", "ACA", true, true},
	{"CALLBACK", 7, "completed", "customer-ended-call", "completed", "human",
	 "CALL_BACK_SCHEDULED", "completed", "human", "CALLBACK", true, false},
	{"NOT_INTERESTED", 8, "completed", "customer-ended-call", "completed", "human",
	 "NOT_INTERESTED", "completed", "human", "NOT_INTERESTED", true, false},
	{"DO_NOT_CALL", 2, "completed", "customer-ended-call", "completed", "human",
	 "DO_NOT_CONTACT", "completed", "human", "DO_NOT_CALL", true, false},
	{"HUMAN", 10, "completed", "customer-ended-call", "completed", "human", NULL, "completed",
	 "human", NULL, true, false},
	{"VOICEMAIL", 15, "voicemail_detected", "voicemail", "completed", "voicemail",
	 "NO_CONTACT_MADE", "completed", "machine_start", NULL, false, false},
	{"NO_ANSWER", 20, "no_answer", "customer-did-not-answer", "no-answer", "no-answer", NULL,
	 "no-answer", NULL, NULL, false, false},
	{"BUSY", 5, "busy", "customer-busy", "busy", NULL, "BUSY", "busy", NULL, NULL, false,
	 false},
	{"FAILED", 5, "failed", "twilio-failed-to-connect-call", "failed", NULL, NULL, "failed",
	 NULL, NULL, false, false},
	/* Ended from outside; never drawn. */
	{"CANCELLED", 0, "cancelled", "manually-canceled", "canceled", NULL, "CANCELED", "canceled",
	 NULL, NULL, false, false},
};

#define OUTCOMES (sizeof(outcomes) / sizeof(outcomes[0]))
_Static_assert(OUTCOMES <= OUTCOMES_MAX, "struct outcome_mix is too small");

/* Case and the mark between words do not count. */
static bool same_word(const char *a, const char *b)
{
	for (; *a && *b; a++, b++) {
		bool mark = strchr("-_ ", *a) && strchr("-_ ", *b);
		if (!mark && strncasecmp(a, b, 1) != 0)
			return false;
	}
	return *a == *b;
}

const struct outcome *outcome_find(const char *word)
{
	for (size_t i = 0; i < OUTCOMES; i++)
		if (same_word(word, outcomes[i].name))
			return &outcomes[i];
	/* A provider's word stands for several of ours; the last one says least. */
	for (size_t i = OUTCOMES; i-- > 0;)
		if (same_word(word, outcomes[i].vapi_reason) ||
		    same_word(word, outcomes[i].omni_status) ||
		    (outcomes[i].bland_tag && same_word(word, outcomes[i].bland_tag)))
			return &outcomes[i];
	return NULL;
}

void outcome_mix_default(struct outcome_mix *m)
{
	*m = (struct outcome_mix){0};
	for (size_t i = 0; i < OUTCOMES; i++)
		m->weights[i] = outcomes[i].weight;
}

bool outcome_mix_parse(const json_t *j, struct outcome_mix *ret)
{
	const char *word;
	json_t *weight;
	json_int_t total = 0;
	struct outcome_mix m = {0};

	if (json_is_string(j)) {
		const struct outcome *o = outcome_find(json_string_value(j));
		if (!o)
			return false;
		m.weights[o - outcomes] = 1;
		*ret = m;
		return true;
	}
	json_object_foreach ((json_t *)j, word, weight) {
		const struct outcome *o = outcome_find(word);
		json_int_t n = json_integer_value(weight);
		if (!o || n < 0 || n > 1000000)
			return false;
		m.weights[o - outcomes] += (unsigned)n;
		total += n;
	}
	*ret = m;
	return total > 0;
}

const struct outcome *outcome_draw(const struct outcome_mix *m, const struct clock *random)
{
	uint64_t total = 0;

	for (size_t i = 0; i < OUTCOMES; i++)
		total += m->weights[i];
	uint64_t drawn = clock_random_below(random, total);
	size_t i = 0;
	while (drawn >= m->weights[i])
		drawn -= m->weights[i++];
	return &outcomes[i];
}
