/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The closed vocabularies, each from one table in tbl/: an enum, and the text that PostgreSQL,
 * Avro, JSON and metrics use for it. x_text() never returns NULL for a valid value; x_parse() is
 * exact.
 */
#ifndef CARILLON_TABLES_H
#define CARILLON_TABLES_H

#include <stdbool.h>

#define TABLE_ROW(NAME, text, ...) RESULT_##NAME,
enum dispatch_result {
#include "common/tbl/result.h"
	DISPATCH_RESULT_COUNT
};
#undef TABLE_ROW
#define TABLE_ROW(NAME, text, ...) EVENT_##NAME,
enum event_type {
#include "common/tbl/event_type.h"
	EVENT_TYPE_COUNT
};
#undef TABLE_ROW
#define TABLE_ROW(NAME, text, ...) REDIAL_##NAME,
enum redial_action {
#include "common/tbl/redial_action.h"
	REDIAL_ACTION_COUNT
};
#undef TABLE_ROW
#define TABLE_ROW(NAME, text, ...) ENTITY_##NAME,
enum entity {
#include "common/tbl/entity.h"
	ENTITY_COUNT
};
#undef TABLE_ROW
#define TABLE_ROW(NAME, text, ...) CALL_##NAME,
enum call_status {
#include "common/tbl/call_status.h"
	CALL_STATUS_COUNT
};
#undef TABLE_ROW
#define TABLE_ROW(NAME, text, ...) FOLLOW_UP_##NAME,
enum follow_up_status {
#include "common/tbl/follow_up_status.h"
	FOLLOW_UP_STATUS_COUNT
};
#undef TABLE_ROW
#define TABLE_ROW(NAME, text, ...) GATE_##NAME,
enum gate {
#include "common/tbl/gate.h"
	GATE_COUNT
};
#undef TABLE_ROW
#define TABLE_ROW(NAME, text, ...) RULE_##NAME,
enum rule_action {
#include "common/tbl/rule_action.h"
	RULE_ACTION_COUNT
};
#undef TABLE_ROW
#define TABLE_ROW(NAME, text, ...) CLASSIFICATION_##NAME,
enum classification {
#include "common/tbl/classification.h"
	CLASSIFICATION_COUNT
};
#undef TABLE_ROW

const char *dispatch_result_text(enum dispatch_result v);
bool dispatch_result_parse(const char *text, enum dispatch_result *ret);
const char *event_type_text(enum event_type v);
bool event_type_parse(const char *text, enum event_type *ret);
const char *redial_action_text(enum redial_action v);
bool redial_action_parse(const char *text, enum redial_action *ret);
const char *entity_text(enum entity v);
bool entity_parse(const char *text, enum entity *ret);
const char *call_status_text(enum call_status v);
bool call_status_parse(const char *text, enum call_status *ret);
const char *follow_up_status_text(enum follow_up_status v);
bool follow_up_status_parse(const char *text, enum follow_up_status *ret);
const char *gate_text(enum gate v);
bool gate_parse(const char *text, enum gate *ret);
const char *rule_action_text(enum rule_action v);
bool rule_action_parse(const char *text, enum rule_action *ret);
const char *classification_text(enum classification v);
bool classification_parse(const char *text, enum classification *ret);

#endif
