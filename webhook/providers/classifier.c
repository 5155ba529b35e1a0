/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The classifier listens to a classification call and says who or what answered. It knows the
 * pending call, the job or the number, and is no dialer: its event moves a pending call, by
 * Standard Webhooks, whose id makes two deliveries one.
 *
 * What is wrong with an event is told all at once, to its sender too: whoever writes a classifier
 * of their own must not find faults one by one.
 */
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "webhook/adapter.h"

#define TYPE "call.classified"
#define REASON "classified"
#define MENU_PATH_BYTES_MAX 1024

static bool is_given(const json_t *data, const char *name)
{
	const json_t *value = json_path(data, name);

	return value && !json_is_null(value);
}

/* ---- Content ---- */

/* A UUID in lower case, or NULL; one that is none is a problem. */
static const char *read_uuid(const json_t *data, const char *name, char ret_id[UUID_TEXT_BYTES],
			     struct buf *error)
{
	const char *text = json_path_text(data, name);

	if (!is_given(data, name))
		return NULL;
	if (!text || !uuid_valid(text)) {
		buf_addf(error, "%s%s is no UUID", error->len > 0 ? "; " : "", name);
		return NULL;
	}
	for (size_t i = 0; i < UUID_TEXT_BYTES; i++)
		ret_id[i] =
			text[i] >= 'A' && text[i] <= 'F' ? (char)(text[i] - 'A' + 'a') : text[i];
	return ret_id;
}

static void read_ids(struct webhook_event *e, const json_t *data, struct buf *error)
{
	const char *phone = json_path_text(data, "phone");

	e->move.id = read_uuid(data, "pending_call_id", e->entity_id, error);
	e->move.job_id = read_uuid(data, "job_id", e->job_id, error);
	webhook_event_phone(e, phone);
	e->move.phone = e->event.phone;
	if (is_given(data, "phone") && !e->event.phone)
		webhook_problem(error, "phone is no number in E.164");
	if (!is_given(data, "pending_call_id") && !is_given(data, "job_id") &&
	    !is_given(data, "phone"))
		webhook_problem(error, "one of pending_call_id, job_id and phone is needed");
}

static void read_classification(struct webhook_event *e, const json_t *data, struct buf *error)
{
	const char *text = json_path_text(data, "classification");
	enum classification c;

	if (text && classification_parse(text, &c))
		e->move.to = classification_text(c);
	else
		webhook_problem(
			error,
			"classification is none of human, ivr_only, ivr_then_human, unknown");
}

/* The judgement as JSON, for whoever applies it. */
static void read_detail(struct webhook_event *e, const json_t *data, struct buf *error)
{
	const json_t *menu_path = json_path(data, "menu_path");
	double confidence = 0;
	struct buf path, b;

	buf_init(&path, MENU_PATH_BYTES_MAX);
	buf_init_fixed(&b, e->detail, sizeof(e->detail));
	buf_addf(&b, "{\"classification\":\"%s\",\"confidence\":", e->move.to ? e->move.to : "");
	if (!is_given(data, "confidence"))
		buf_adds(&b, "null");
	else if (json_path_double(data, "confidence", &confidence) && confidence >= 0 &&
		 confidence <= 1)
		buf_addf(&b, "%.6g", confidence);
	else
		webhook_problem(error, "confidence is no number from 0 to 1");
	buf_adds(&b, ",\"menu_path\":");
	if (!is_given(data, "menu_path"))
		buf_adds(&path, "null");
	else if (json_is_string(menu_path) || json_is_array(menu_path))
		json_write(menu_path, &path);
	else
		webhook_problem(error, "menu_path is neither text nor array");
	if (path.failed)
		webhook_problem(error, "menu_path is too long");
	buf_add(&b, path.data, path.len);
	buf_addc(&b, '}');
	buf_release(&path);
	e->move.detail = e->detail;
}

static enum webhook_reading normalize(const struct account *a, const struct webhook_request *r,
				      struct webhook_event *ret, struct buf *error)
{
	const json_t *body = webhook_event_parse(ret, r, error);
	const char *type = json_path_text(body, "type");
	const char *id = r->header(r->header_arg, "webhook-id");
	const json_t *data =
		json_is_object(json_path(body, "data")) ? json_path(body, "data") : body;

	if (!body)
		return READING_BAD;
	if (type && strcmp(type, TYPE) != 0)
		return READING_UNUSED;
	if (!type)
		webhook_problem(error, "no type");
	if (!id)
		webhook_problem(error, "no webhook-id");
	snprintf(ret->event_id, sizeof(ret->event_id), "%s", id ? id : "");
	ret->event.event_id = ret->event_id;
	webhook_event_occurred(ret, webhook_time(body, "timestamp"));
	ret->move = (struct msg_stage_transition){
		.event_id = ret->event.event_id,
		.tenant = a->tenant,
		.account = a->name,
		.provider = a->provider,
		.entity = ENTITY_PENDING_CALL,
		.reason = REASON,
		.at = ret->event.occurred_at,
	};
	read_ids(ret, data, error);
	read_classification(ret, data, error);
	read_detail(ret, data, error);
	return error->len > 0 || error->failed ? READING_BAD : READING_MOVE;
}

const struct webhook_adapter webhook_classifier = {
	.provider = "classifier",
	.verify = webhook_verify_standard,
	.normalize = normalize,
	.tells_reasons = true,
};
