/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Twilio's words for a call, which its look-up and its callbacks share: the states, who answered,
 * and its times. Pure; all texts are foreign and may be NULL.
 */
#ifndef CARILLON_RULES_TWILIO_H
#define CARILLON_RULES_TWILIO_H

#include <stdbool.h>
#include <stdint.h>

#include "common/rules/rules.h"

/* Behind the URLs that it is to call: a callback that is not taken comes again, also after an
 * answer of 5xx. */
#define TWILIO_CALLBACK_RETRIES "#rc=5&rp=5xx,ct,rt"

/* False for a word that is none of its states. Ends are EVENT_REPORT. */
bool twilio_status(const char *status, enum event_type *ret_type);
/* How a call ended: who answered decides, and the state where nobody knows. Never empty. Words are
 * understood by these rules, of this tenant; without rules (NULL) as built in. */
void twilio_outcome(const struct rule_set *rules, const char *tenant, const char *status,
		    const char *answered_by, char ret_outcome[RULES_OUTCOME_BYTES]);
/* "Tue, 14 Nov 2023 22:13:20 +0000"; MSG_NO_TIME for what is no such time. */
int64_t twilio_time(const char *text);

#endif
