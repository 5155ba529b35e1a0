/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of the vocabularies: one array from each table, and the two functions over it. */
#include "common/tables.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

/* The index of `text`, or -1. The tables are short: a walk is as quick as anything. */
static int find(const char *const *texts, int count, const char *text)
{
	for (int i = 0; text && i < count; i++) {
		if (strcmp(texts[i], text) == 0)
			return i;
	}
	return -1;
}

/* A type's name can't stand in parentheses. */
/* NOLINTBEGIN(bugprone-macro-parentheses) */
#define VOCABULARY(type, COUNT)                                                                    \
	const char *type##_text(enum type v)                                                       \
	{                                                                                          \
		assert((unsigned)v < (COUNT));                                                     \
		return type##_texts[v];                                                            \
	}                                                                                          \
	bool type##_parse(const char *text, enum type *ret)                                        \
	{                                                                                          \
		int i = find(type##_texts, (COUNT), text);                                         \
		if (i >= 0)                                                                        \
			*ret = (enum type)i;                                                       \
		return i >= 0;                                                                     \
	}

/* NOLINTEND(bugprone-macro-parentheses) */

#define TABLE_ROW(NAME, text, ...) text,
static const char *const dispatch_result_texts[] = {
#include "common/tbl/result.h"
};
static const char *const event_type_texts[] = {
#include "common/tbl/event_type.h"
};
static const char *const redial_action_texts[] = {
#include "common/tbl/redial_action.h"
};
static const char *const entity_texts[] = {
#include "common/tbl/entity.h"
};
static const char *const call_status_texts[] = {
#include "common/tbl/call_status.h"
};
static const char *const follow_up_status_texts[] = {
#include "common/tbl/follow_up_status.h"
};
static const char *const gate_texts[] = {
#include "common/tbl/gate.h"
};
static const char *const rule_action_texts[] = {
#include "common/tbl/rule_action.h"
};
static const char *const classification_texts[] = {
#include "common/tbl/classification.h"
};
#undef TABLE_ROW

VOCABULARY(dispatch_result, DISPATCH_RESULT_COUNT)
VOCABULARY(event_type, EVENT_TYPE_COUNT)
VOCABULARY(redial_action, REDIAL_ACTION_COUNT)
VOCABULARY(entity, ENTITY_COUNT)
VOCABULARY(call_status, CALL_STATUS_COUNT)
VOCABULARY(follow_up_status, FOLLOW_UP_STATUS_COUNT)
VOCABULARY(gate, GATE_COUNT)
VOCABULARY(rule_action, RULE_ACTION_COUNT)
VOCABULARY(classification, CLASSIFICATION_COUNT)
