/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A completed call may bear an error, one that failed may say "completed", and who answered is told
 * later than that: so the fields are asked in an order, by one table, and the first that says
 * something decides.
 */
#include "common/rules/bland.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/rules/words.h"

#define PROVIDER "bland"
#define DURATION_MAX_S (7 * 86400.0) /* a longer call is nonsense */
#define COST_MAX 1e6

const char *const bland_job_paths[] = {"metadata.job_id", "variables.job_id", "request_data.job_id",
				       NULL};

const char *bland_job_id(const json_t *record)
{
	for (size_t i = 0; bland_job_paths[i]; i++) {
		const char *id = json_path_text(record, bland_job_paths[i]);
		if (id && uuid_valid(id))
			return id;
	}
	return NULL;
}

bool bland_is_over(const json_t *record)
{
	static const char *const states[] = {"completed", "failed", "busy", "no-answer",
					     "canceled"};
	const char *status = json_path_text(record, "status");
	const char *queue = json_path_text(record, "queue_status");

	for (size_t i = 0; status && i < sizeof(states) / sizeof(states[0]); i++) {
		if (strcmp(status, states[i]) == 0)
			return true;
	}
	return json_path_is_true(record, "completed") ||
	       (queue && (strcmp(queue, "complete") == 0 || strstr(queue, "_error")));
}

/* ---- The outcome ---- */

/* False: no field says anything. */
static bool read_fields(const json_t *record, const struct rule_set *rules, const char *tenant,
			char ret_outcome[RULES_OUTCOME_BYTES])
{
	static const char *const fields[] = {"error_message", "answered_by", "status",
					     "queue_status"};
	struct word_meaning meaning;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (!word_find(rules, tenant, PROVIDER, WORD_STATUS,
			       json_path_text(record, fields[i]), &meaning))
			continue;
		outcome_normalize(meaning.outcome, ret_outcome);
		return true;
	}
	return false;
}

/* The agent's own judgement goes before the fields; one that says nothing is "". */
static void read_outcome(const json_t *record, const struct rule_set *rules, const char *tenant,
			 char ret_outcome[RULES_OUTCOME_BYTES])
{
	word_outcome(rules, tenant, PROVIDER, WORD_SAID, json_path_text(record, "disposition_tag"),
		     ret_outcome);
	if (!*ret_outcome && !read_fields(record, rules, tenant, ret_outcome))
		outcome_normalize("unknown", ret_outcome);
}

/* ---- The rest ---- */

static int64_t read_time(const json_t *record, const char *path)
{
	const char *text = json_path_text(record, path);
	int64_t at = MSG_NO_TIME;

	return text && time_parse(text, strlen(text), &at) == 0 ? at : MSG_NO_TIME;
}

/* What the agent or the analysis extracted; a time without an offset could be anybody's. */
static int64_t read_callback(const json_t *record)
{
	static const char *const paths[] = {"variables.callback_at", "variables.callback_time",
					    "analysis.callback_at", "analysis.callback_time"};
	int64_t at = MSG_NO_TIME;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]) && at == MSG_NO_TIME; i++)
		at = read_time(record, paths[i]);
	return at;
}

/* corrected_duration are seconds as a text, call_length are minutes. */
static int64_t read_duration(const json_t *record)
{
	char number[32];
	char *end = NULL;
	const char *text = json_path_scalar(record, "corrected_duration", number, sizeof(number));
	double seconds = text ? strtod(text, &end) : -1;

	if (!text || end == text || *end || !(seconds >= 0 && seconds < DURATION_MAX_S)) {
		if (!json_path_double(record, "call_length", &seconds))
			return MSG_NO_INT;
		seconds *= 60;
	}
	return seconds >= 0 && seconds < DURATION_MAX_S ? (int64_t)(seconds * 1000 + 0.5)
							: MSG_NO_INT;
}

void bland_end_read(const json_t *record, const struct rule_set *rules, const char *tenant,
		    struct bland_end *ret)
{
	double price;

	*ret = (struct bland_end){
		.reason = json_path_text(record, "error_message"),
		.callback_at = read_callback(record),
		.duration_ms = read_duration(record),
		.ended_at = read_time(record, "end_at"),
		.cost_micros = MSG_NO_INT,
	};
	if (!ret->reason)
		ret->reason = json_path_text(record, "status");
	if (json_path_double(record, "price", &price) && price >= 0 && price < COST_MAX)
		ret->cost_micros = (int64_t)(price * 1e6 + 0.5);
	read_outcome(record, rules, tenant, ret->outcome);
}
