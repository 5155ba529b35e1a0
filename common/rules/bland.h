/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record of one of Bland's calls, which its look-up and its report give alike: is the call over,
 * and how did it end? Pure; the record is foreign, whatever it holds.
 */
#ifndef CARILLON_RULES_BLAND_H
#define CARILLON_RULES_BLAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/rules/rules.h"

/* Text pointers borrow from the record. */
struct bland_end {
	char outcome[RULES_OUTCOME_BYTES]; /* never empty; as outcome_normalize() makes it */
	const char *reason;		   /* Bland's own word for it, or NULL */
	int64_t callback_at;		   /* MSG_NO_TIME: none was agreed on */
	int64_t duration_ms;		   /* MSG_NO_INT: not told */
	int64_t ended_at;		   /* MSG_NO_TIME: not told */
	int64_t cost_micros;		   /* MSG_NO_INT: not told */
};

/* The first field of these that is a job id of ours, or NULL. NULL-terminated. */
extern const char *const bland_job_paths[];
const char *bland_job_id(const json_t *record);
/* False for one that goes on, and for what is no record of a call. */
bool bland_is_over(const json_t *record);
/* Words are understood by these rules, of this tenant; without rules (NULL) as built in. */
void bland_end_read(const json_t *record, const struct rule_set *rules, const char *tenant,
		    struct bland_end *ret);

#endif
