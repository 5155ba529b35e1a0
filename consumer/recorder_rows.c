/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statements take whole batches as arrays, one array a column. Here messages become rows of them.
 * What providers sent is cut to what a column can hold; nothing in it may fail a transaction.
 */
#include "consumer/recorder_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN_MAX_BYTES (64u << 20)

static const int event_ranks[] = {
#define TABLE_ROW(NAME, text, rank, description) [EVENT_##NAME] = (rank),
#include "common/tbl/event_type.h"
#undef TABLE_ROW
};

int recorder_rows_init(struct recorder_rows *rows, size_t columns)
{
	*rows = (struct recorder_rows){
		.columns = columns,
		.bufs = calloc(columns, sizeof(*rows->bufs)),
		.arrays = calloc(columns, sizeof(*rows->arrays)),
		.params = calloc(columns, sizeof(*rows->params)),
	};
	if (!rows->bufs || !rows->arrays || !rows->params) {
		rows->columns = 0;
		recorder_rows_release(rows);
		return -1;
	}
	for (size_t c = 0; c < columns; c++)
		buf_init(&rows->bufs[c], COLUMN_MAX_BYTES);
	buf_init(&rows->scratch, COLUMN_MAX_BYTES);
	recorder_rows_clear(rows);
	return 0;
}

void recorder_rows_release(struct recorder_rows *rows)
{
	for (size_t c = 0; c < rows->columns; c++)
		buf_release(&rows->bufs[c]);
	buf_release(&rows->scratch);
	free(rows->bufs);
	free(rows->arrays);
	free(rows->params);
	*rows = (struct recorder_rows){0};
}

void recorder_rows_clear(struct recorder_rows *rows)
{
	rows->n = 0;
	for (size_t c = 0; c < rows->columns; c++)
		pg_array_init(&rows->arrays[c], &rows->bufs[c]);
}

const char *const *recorder_rows_params(struct recorder_rows *rows)
{
	for (size_t c = 0; c < rows->columns; c++) {
		rows->params[c] = pg_array_finish(&rows->arrays[c]);
		if (!rows->params[c])
			return NULL;
	}
	return rows->params;
}

/* ---- Values ---- */

static void add_text(struct recorder_rows *rows, size_t column, const char *text)
{
	pg_array_add(&rows->arrays[column], text);
}

static void add_int(struct recorder_rows *rows, size_t column, int64_t v)
{
	pg_array_add_int(&rows->arrays[column], v);
}

/* NOLINTNEXTLINE(misc-redundant-expression): the names are two */
static_assert(MSG_NO_INT == MSG_NO_TIME, "one word for an absent number");

static void add_number(struct recorder_rows *rows, size_t column, int64_t v)
{
	if (v == MSG_NO_INT)
		add_text(rows, column, NULL);
	else
		add_int(rows, column, v);
}

/* A time that PostgreSQL can hold; others say nothing. */
static void add_time(struct recorder_rows *rows, size_t column, int64_t ms)
{
	const int64_t latest = INT64_C(253402300800000); /* 10000-01-01 */

	add_number(rows, column, ms >= 0 && ms < latest ? ms : MSG_NO_TIME);
}

static void add_bytes(struct recorder_rows *rows, size_t column, const void *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	struct pg_array *a = &rows->arrays[column];
	const unsigned char *from = bytes;
	char chunk[512];

	if (!bytes) {
		pg_array_add(a, NULL);
		return;
	}
	buf_clear(&rows->scratch);
	buf_adds(&rows->scratch, "\\x");
	while (n > 0) {
		size_t k = n < sizeof(chunk) / 2 ? n : sizeof(chunk) / 2;

		for (size_t i = 0; i < k; i++) {
			chunk[2 * i] = digits[from[i] >> 4];
			chunk[2 * i + 1] = digits[from[i] & 15];
		}
		buf_add(&rows->scratch, chunk, 2 * k);
		from += k;
		n -= k;
	}
	if (rows->scratch.failed)
		a->b->failed = true;
	pg_array_addn(a, rows->scratch.data, rows->scratch.len);
}

/* Our ids are UUIDs; whatever else came back in their place is none. */
static const char *own_id(const char *job_id)
{
	return job_id && uuid_valid(job_id) ? job_id : NULL;
}

static int64_t fit_int(int64_t v)
{
	if (v == MSG_NO_INT || (v >= 0 && v <= INT32_MAX))
		return v;
	return v < 0 ? 0 : INT32_MAX;
}

static void body_key(struct buf *body, const char *name)
{
	buf_addc(body, body->len ? ',' : '{');
	buf_add_json_string(body, name, strlen(name));
	buf_addc(body, ':');
}

static void body_text(struct buf *body, const char *name, const char *text)
{
	if (!text)
		return;
	body_key(body, name);
	buf_add_json_string(body, text, strlen(text));
}

static void body_end(struct recorder_rows *inbox, struct buf *body)
{
	if (body->len == 0)
		buf_addc(body, '{');
	buf_addc(body, '}');
	if (body->failed)
		inbox->bufs[INBOX_BODY].failed = true;
	add_text(inbox, INBOX_BODY, body->data);
}

/* ---- Messages ---- */

static void add_ids(struct recorder_rows *inbox, const char *message, const char *account,
		    const char *event_id, const char *tenant, const char *provider_call_id,
		    const char *job_id, const char *lead_id, const char *phone)
{
	inbox->n++;
	add_text(inbox, INBOX_MESSAGE, message);
	add_text(inbox, INBOX_ACCOUNT, account ? account : "");
	add_text(inbox, INBOX_EVENT_ID, event_id);
	add_text(inbox, INBOX_TENANT, tenant);
	add_text(inbox, INBOX_PROVIDER_CALL_ID, provider_call_id);
	add_text(inbox, INBOX_JOB_ID, own_id(job_id));
	add_text(inbox, INBOX_LEAD_ID, lead_id);
	add_text(inbox, INBOX_PHONE, phone);
}

static void add_event(struct recorder_rows *inbox, const struct msg_call_event *e, struct buf *body)
{
	add_ids(inbox, "event", e->account, e->event_id, e->tenant, e->provider_call_id, e->job_id,
		e->lead_id, e->phone);
	add_text(inbox, INBOX_TYPE, event_type_text(e->type));
	add_int(inbox, INBOX_RANK, event_ranks[e->type]);
	add_text(inbox, INBOX_OUTCOME, e->outcome);
	add_text(inbox, INBOX_ENDED_REASON, e->ended_reason);
	add_text(inbox, INBOX_SUCCESS, e->success == MSG_NO_INT ? NULL : e->success ? "t" : "f");
	add_time(inbox, INBOX_CALLBACK_AT, e->callback_at);
	add_number(inbox, INBOX_DURATION_MS, fit_int(e->duration_ms));
	add_time(inbox, INBOX_OCCURRED_AT, e->occurred_at);
	add_time(inbox, INBOX_RECEIVED_AT, e->received_at);
	body_text(body, "summary", e->summary);
	body_text(body, "transcript", e->transcript);
	body_text(body, "recording_url", e->recording_url);
	body_text(body, "success_evaluation", e->success_evaluation);
	if (e->cost_micros != MSG_NO_INT) {
		body_key(body, "cost_micros");
		buf_addf(body, "%lld", (long long)e->cost_micros);
	}
	body_end(inbox, body);
	add_bytes(inbox, INBOX_RAW, e->raw, e->raw_bytes);
}

static void add_redial(struct recorder_rows *inbox, const struct msg_redial_update *u,
		       struct buf *body)
{
	add_ids(inbox, "redial", u->account, u->event_id, u->tenant, u->provider_call_id, u->job_id,
		u->lead_id, u->phone);
	add_text(inbox, INBOX_TYPE, NULL);
	add_int(inbox, INBOX_RANK, 0);
	add_text(inbox, INBOX_OUTCOME, u->outcome);
	add_text(inbox, INBOX_ENDED_REASON, NULL);
	add_text(inbox, INBOX_SUCCESS, NULL);
	add_time(inbox, INBOX_CALLBACK_AT, u->callback_at);
	add_text(inbox, INBOX_DURATION_MS, NULL);
	add_time(inbox, INBOX_OCCURRED_AT, u->ended_at);
	add_text(inbox, INBOX_RECEIVED_AT, NULL);
	body_text(body, "action", redial_action_text(u->action));
	body_text(body, "list_id", u->list_id);
	body_text(body, "first_name", u->first_name);
	body_text(body, "last_name", u->last_name);
	body_text(body, "state", u->state);
	body_key(body, "suppress");
	buf_adds(body, u->suppress ? "true" : "false");
	body_end(inbox, body);
	add_text(inbox, INBOX_RAW, NULL);
}

static void add_stage(struct recorder_rows *inbox, const struct msg_stage_transition *s,
		      struct buf *body)
{
	add_ids(inbox, "stage", s->account, s->event_id, s->tenant, s->provider_call_id, s->job_id,
		NULL, s->phone);
	add_text(inbox, INBOX_TYPE, NULL);
	add_int(inbox, INBOX_RANK, 0);
	add_text(inbox, INBOX_OUTCOME, NULL);
	add_text(inbox, INBOX_ENDED_REASON, NULL);
	add_text(inbox, INBOX_SUCCESS, NULL);
	add_text(inbox, INBOX_CALLBACK_AT, NULL);
	add_text(inbox, INBOX_DURATION_MS, NULL);
	add_time(inbox, INBOX_OCCURRED_AT, s->at);
	add_text(inbox, INBOX_RECEIVED_AT, NULL);
	body_text(body, "entity", entity_text(s->entity));
	body_text(body, "id", s->id);
	body_text(body, "to", s->to);
	body_text(body, "reason", s->reason);
	body_text(body, "detail", s->detail);
	body_end(inbox, body);
	add_text(inbox, INBOX_RAW, NULL);
}

void recorder_rows_add_message(struct recorder_rows *inbox, const struct msg *m, struct buf *body)
{
	buf_clear(body);
	switch (m->type) {
	case MSG_CALL_EVENT:
		add_event(inbox, &m->event, body);
		return;
	case MSG_REDIAL_UPDATE:
		add_redial(inbox, &m->redial, body);
		return;
	case MSG_STAGE_TRANSITION:
		add_stage(inbox, &m->stage, body);
		return;
	case MSG_DISPATCH_REQUESTED:
	case MSG_DISPATCH_RESULT:
	case MSG_TYPE_COUNT:
		break;
	}
	assert(false && "a message about a call");
}

void recorder_rows_add_letter(struct recorder_rows *letters, const struct dead_letter *l)
{
	struct kafka_header headers[KAFKA_HEADERS_MAX];
	size_t n = kafka_headers_unpack(l->headers, l->headers_bytes, headers);

	letters->n++;
	add_text(letters, LETTER_TOPIC, l->topic);
	add_int(letters, LETTER_PARTITION, l->partition);
	add_int(letters, LETTER_OFFSET, l->offset);
	add_bytes(letters, LETTER_KEY, l->key, l->key_bytes);
	add_text(letters, LETTER_REASON, l->reason);
	add_bytes(letters, LETTER_VALUE, l->value, l->value_bytes);
	buf_clear(&letters->scratch);
	kafka_headers_json(headers, n, &letters->scratch);
	pg_array_addn(&letters->arrays[LETTER_HEADERS], letters->scratch.data,
		      letters->scratch.len);
}

void recorder_rows_add_told(struct recorder_rows *told, const char *job_id, const char *call_id)
{
	add_text(told, TOLD_JOB_ID, job_id);
	add_text(told, TOLD_CALL_ID, call_id);
	told->n++;
}

void recorder_rows_add_position(struct recorder_rows *offsets, const char *topic,
				const struct recorder_position *p)
{
	offsets->n++;
	add_text(offsets, OFFSET_TOPIC, topic);
	add_int(offsets, OFFSET_PARTITION, p->partition);
	add_int(offsets, OFFSET_FROM, p->applied);
	add_int(offsets, OFFSET_TO, p->batch_end);
}
