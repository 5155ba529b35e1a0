/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Only a call that was answered can have been answered by somebody: a late AnsweredBy of a call
 * that failed would be nonsense, so it is asked of completed calls alone.
 */
#include "common/rules/twilio.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/rules/words.h"

#define PROVIDER "twilio"
#define ANSWERED "completed"

static const struct {
	const char *status;
	enum event_type type;
} statuses[] = {
	{"queued", EVENT_QUEUED},	    {"initiated", EVENT_QUEUED}, {"ringing", EVENT_RINGING},
	{"in-progress", EVENT_IN_PROGRESS}, {ANSWERED, EVENT_REPORT},	 {"busy", EVENT_REPORT},
	{"no-answer", EVENT_REPORT},	    {"failed", EVENT_REPORT},	 {"canceled", EVENT_REPORT},
};

bool twilio_status(const char *status, enum event_type *ret_type)
{
	for (size_t i = 0; status && i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		if (strcmp(status, statuses[i].status) == 0) {
			*ret_type = statuses[i].type;
			return true;
		}
	}
	return false;
}

void twilio_outcome(const struct rule_set *rules, const char *tenant, const char *status,
		    const char *answered_by, char ret_outcome[RULES_OUTCOME_BYTES])
{
	struct word_meaning meaning;

	if (!status || strcmp(status, ANSWERED) != 0)
		answered_by = NULL;
	if (word_find(rules, tenant, PROVIDER, WORD_STATUS, answered_by, &meaning) ||
	    word_find(rules, tenant, PROVIDER, WORD_STATUS, status, &meaning))
		outcome_normalize(meaning.outcome, ret_outcome);
	else
		outcome_normalize("unknown", ret_outcome);
}

/* Month as two digits; "00" for none. */
static const char *month_number(const char *name)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	static const char *const numbers[] = {"01", "02", "03", "04", "05", "06",
					      "07", "08", "09", "10", "11", "12"};

	for (size_t i = 0; i < 12; i++) {
		if (strncasecmp(names + 3 * i, name, 3) == 0)
			return numbers[i];
	}
	return "00";
}

int64_t twilio_time(const char *text)
{
	char iso[32];
	int64_t at;

	/* "Tue, " may be missing. */
	if (text && strlen(text) > 5 && text[3] == ',' && text[4] == ' ')
		text += 5;
	if (!text || strlen(text) != 26 || text[2] != ' ' || text[6] != ' ' || text[11] != ' ' ||
	    text[20] != ' ')
		return MSG_NO_TIME;
	snprintf(iso, sizeof(iso), "%.4s-%s-%.2sT%.8s%.5s", text + 7, month_number(text + 3), text,
		 text + 12, text + 21);
	return time_parse(iso, strlen(iso), &at) == 0 ? at : MSG_NO_TIME;
}
