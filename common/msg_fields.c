/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table of fields per message type drives encoding and decoding. A unit test compares it with
 * the .avsc files, so that struct, table and schema can't drift apart.
 */
#include <assert.h>

#include "common/msg_internal.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define TABLE_ROW(NAME, text, ...) text,
static const char *const result_texts[] = {
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
#undef TABLE_ROW

static const struct msg_words results = {result_texts, COUNT(result_texts)};
static const struct msg_words event_types = {event_type_texts, COUNT(event_type_texts)};
static const struct msg_words redial_actions = {redial_action_texts, COUNT(redial_action_texts)};
static const struct msg_words entities = {entity_texts, COUNT(entity_texts)};

/* Rows by kind; R and N: required, nullable. */
#define R true
#define N false
#define FIELD(KIND, need, member, name)                                                            \
	{                                                                                          \
		name, MSG_FIELD_##KIND, need, offsetof(struct msg, member), 0, NULL                \
	}
#define WORD(member, name, words)                                                                  \
	{                                                                                          \
		name, MSG_FIELD_ENUM, R, offsetof(struct msg, member), 0, &(words)                 \
	}

static const struct msg_field requested_fields[] = {
	FIELD(TEXT, R, requested.job_id, "job_id"),
	FIELD(TEXT, R, requested.follow_up_id, "follow_up_id"),
	FIELD(TEXT, R, requested.tenant, "tenant"),
	FIELD(TEXT, R, requested.kind, "kind"),
	FIELD(TEXT, N, requested.lead_id, "lead_id"),
	FIELD(TEXT, R, requested.phone, "phone"),
	FIELD(TEXT, R, requested.account, "account"),
	FIELD(LONG, R, requested.attempt, "attempt"),
	FIELD(TIME, R, requested.due_at, "due_at"),
	FIELD(TIME, N, requested.dial_by, "dial_by"),
};

static const struct msg_field result_fields[] = {
	FIELD(TEXT, R, result.job_id, "job_id"),
	FIELD(TEXT, N, result.follow_up_id, "follow_up_id"),
	FIELD(TEXT, R, result.tenant, "tenant"),
	FIELD(TEXT, N, result.kind, "kind"),
	FIELD(TEXT, N, result.lead_id, "lead_id"),
	FIELD(TEXT, N, result.phone, "phone"),
	FIELD(TEXT, R, result.account, "account"),
	WORD(result.result, "result", results),
	FIELD(TEXT, N, result.refusal, "refusal"),
	FIELD(TEXT, N, result.provider, "provider"),
	FIELD(TEXT, N, result.provider_call_id, "provider_call_id"),
	FIELD(LONG, N, result.http_status, "http_status"),
	FIELD(TEXT, N, result.error, "error"),
	FIELD(TIME, N, result.posted_at, "posted_at"),
	FIELD(TIME, N, result.answered_at, "answered_at"),
	FIELD(TIME, N, result.retry_at, "retry_at"),
	FIELD(TEXT, N, result.worker, "worker"),
};

static const struct msg_field event_fields[] = {
	FIELD(TEXT, R, event.event_id, "event_id"),
	FIELD(TEXT, R, event.tenant, "tenant"),
	FIELD(TEXT, R, event.provider, "provider"),
	FIELD(TEXT, R, event.account, "account"),
	WORD(event.type, "type", event_types),
	FIELD(TEXT, N, event.provider_call_id, "provider_call_id"),
	FIELD(TEXT, N, event.job_id, "job_id"),
	FIELD(TEXT, N, event.lead_id, "lead_id"),
	FIELD(TEXT, N, event.phone, "phone"),
	FIELD(TEXT, N, event.outcome, "outcome"),
	FIELD(TEXT, N, event.ended_reason, "ended_reason"),
	FIELD(FLAG, N, event.success, "success"),
	FIELD(TIME, N, event.callback_at, "callback_at"),
	FIELD(LONG, N, event.duration_ms, "duration"),
	FIELD(TIME, R, event.occurred_at, "occurred_at"),
	FIELD(TIME, R, event.received_at, "received_at"),
	FIELD(TEXT, N, event.summary, "summary"),
	FIELD(TEXT, N, event.transcript, "transcript"),
	FIELD(TEXT, N, event.recording_url, "recording_url"),
	FIELD(LONG, N, event.cost_micros, "cost_micros"),
	{"raw", MSG_FIELD_BYTES, N, offsetof(struct msg, event.raw),
	 offsetof(struct msg, event.raw_bytes), NULL},
	FIELD(TEXT, N, event.success_evaluation, "success_evaluation"),
};

static const struct msg_field redial_fields[] = {
	FIELD(TEXT, R, redial.event_id, "event_id"),
	FIELD(TEXT, R, redial.tenant, "tenant"),
	FIELD(TEXT, N, redial.account, "account"),
	FIELD(TEXT, N, redial.provider, "provider"),
	FIELD(TEXT, N, redial.provider_call_id, "provider_call_id"),
	FIELD(TEXT, N, redial.job_id, "job_id"),
	FIELD(TEXT, N, redial.lead_id, "lead_id"),
	FIELD(TEXT, N, redial.phone, "phone"),
	FIELD(TEXT, N, redial.list_id, "list_id"),
	FIELD(TEXT, N, redial.first_name, "first_name"),
	FIELD(TEXT, N, redial.last_name, "last_name"),
	FIELD(TEXT, N, redial.state, "state"),
	WORD(redial.action, "action", redial_actions),
	FIELD(TEXT, R, redial.outcome, "outcome"),
	FIELD(BOOL, R, redial.suppress, "suppress"),
	FIELD(TIME, R, redial.ended_at, "ended_at"),
	FIELD(TIME, N, redial.callback_at, "callback_at"),
};

static const struct msg_field stage_fields[] = {
	FIELD(TEXT, R, stage.event_id, "event_id"),
	FIELD(TEXT, R, stage.tenant, "tenant"),
	FIELD(TEXT, N, stage.account, "account"),
	FIELD(TEXT, N, stage.provider, "provider"),
	FIELD(TEXT, N, stage.provider_call_id, "provider_call_id"),
	FIELD(TEXT, N, stage.phone, "phone"),
	FIELD(TEXT, N, stage.job_id, "job_id"),
	WORD(stage.entity, "entity", entities),
	FIELD(TEXT, N, stage.id, "id"),
	FIELD(TEXT, R, stage.to, "to"),
	FIELD(TEXT, R, stage.reason, "reason"),
	FIELD(TIME, R, stage.at, "at"),
	FIELD(TEXT, N, stage.detail, "detail"),
};

static const struct {
	const struct msg_field *rows;
	size_t count;
} tables[MSG_TYPE_COUNT] = {
	[MSG_DISPATCH_REQUESTED] = {requested_fields, COUNT(requested_fields)},
	[MSG_DISPATCH_RESULT] = {result_fields, COUNT(result_fields)},
	[MSG_CALL_EVENT] = {event_fields, COUNT(event_fields)},
	[MSG_REDIAL_UPDATE] = {redial_fields, COUNT(redial_fields)},
	[MSG_STAGE_TRANSITION] = {stage_fields, COUNT(stage_fields)},
};

const struct msg_field *msg_fields(enum msg_type type, size_t *ret_count)
{
	assert((unsigned)type < MSG_TYPE_COUNT);
	assert(tables[type].count <= MSG_FIELDS_MAX);
	*ret_count = tables[type].count;
	return tables[type].rows;
}

bool msg_field_is_absent(const struct msg_field *row, const void *at)
{
	switch (row->kind) {
	case MSG_FIELD_TEXT:
	case MSG_FIELD_BYTES:
		return !*(const char *const *)at;
	case MSG_FIELD_LONG:
	case MSG_FIELD_TIME:
	case MSG_FIELD_FLAG:
		return *(const int64_t *)at == MSG_NO_INT;
	case MSG_FIELD_BOOL:
	case MSG_FIELD_ENUM:
		break;
	}
	return false;
}
