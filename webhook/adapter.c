/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of adapters, and the ways in which they take foreign values. Every text that becomes a
 * key, an id or a column is bounded here, so that nothing a provider sends can make a message that
 * Kafka or PostgreSQL refuses later.
 */
#include "webhook/adapter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/form.h"
#include "common/json.h"
#include "common/rules/words.h"
#include "webhook/signature.h"
#include "webhook/snapshot.h"

#define TIME_MS_FROM 100000000000 /* in seconds the year 5138, in milliseconds 1973 */
#define YEAR_2000_MS INT64_C(946684800000)
#define DURATION_MAX_MS (INT64_C(7) * 24 * 3600 * 1000)
#define URL_BYTES_MAX 2048

static const struct webhook_adapter *const adapters[] = {
	&webhook_convoso, &webhook_omni,       &webhook_vapi,	 &webhook_bland,
	&webhook_twilio,  &webhook_classifier, &webhook_generic,
};

const struct webhook_adapter *webhook_adapter_find(const char *provider)
{
	for (size_t i = 0; i < sizeof(adapters) / sizeof(adapters[0]); i++) {
		if (strcmp(adapters[i]->provider, provider) == 0)
			return adapters[i];
	}
	return NULL;
}

/* ---- Events ---- */

void webhook_event_init(struct webhook_event *e, const struct account *a,
			const struct webhook_request *r)
{
	*e = (struct webhook_event){
		.event =
			{
				.tenant = a->tenant,
				.provider = a->provider,
				.account = a->name,
				.success = MSG_NO_INT,
				.callback_at = MSG_NO_TIME,
				.duration_ms = MSG_NO_INT,
				.occurred_at = r->received_at,
				.received_at = r->received_at,
				.cost_micros = MSG_NO_INT,
				.raw = r->body,
				.raw_bytes = r->body_bytes,
			},
	};
}

void webhook_event_release(struct webhook_event *e)
{
	json_decref(e->json);
	e->json = NULL;
}

const json_t *webhook_event_parse(struct webhook_event *e, const struct webhook_request *r,
				  struct buf *error)
{
	e->json = json_parse(r->body, r->body_bytes, WEBHOOK_BODY_BYTES_MAX, error);
	e->no_memory = !e->json && errno == ENOMEM;
	if (e->json && !json_is_object(e->json)) {
		buf_adds(error, "the body is no JSON object");
		return NULL;
	}
	return e->json;
}

static bool is_json(const struct webhook_request *r)
{
	size_t i = 0;

	while (i < r->body_bytes && strchr(" \t\r\n", r->body[i]) && r->body[i])
		i++;
	return i < r->body_bytes && (r->body[i] == '{' || r->body[i] == '[');
}

const json_t *webhook_event_parse_form(struct webhook_event *e, const struct webhook_request *r,
				       struct buf *error)
{
	if (is_json(r))
		return webhook_event_parse(e, r, error);
	e->json = form_parse(r->body, r->body_bytes, error);
	return e->json;
}

void webhook_problem(struct buf *error, const char *problem)
{
	buf_adds(error, error->len > 0 ? "; " : "");
	buf_adds(error, problem);
}

/* ---- Standard Webhooks ---- */

const json_t *webhook_standard_data(const json_t *body)
{
	const json_t *data = json_path(body, "data");

	return json_is_object(data) ? data : body;
}

enum webhook_verify webhook_verify_standard(const struct account *a,
					    const struct webhook_request *r)
{
	const char *secrets = account_setting(a, "webhook_secret");
	const struct standard_signature s = {
		.id = r->header(r->header_arg, "webhook-id"),
		.timestamp = r->header(r->header_arg, "webhook-timestamp"),
		.signatures = r->header(r->header_arg, "webhook-signature"),
	};

	if (!standard_secrets_given(secrets))
		return VERIFY_NO_SECRET;
	return standard_signature_matches(&s, secrets, r->body, r->body_bytes, r->received_at)
		       ? VERIFY_OK
		       : VERIFY_FORGED;
}

/* ---- Foreign values ---- */

static bool has_control(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	}
	return false;
}

const char *webhook_said(const json_t *j, const char *path)
{
	const char *text = json_path_text(j, path);

	return text && strcasecmp(text, "Not provided") != 0 ? text : NULL;
}

bool webhook_id(const json_t *j, const char *path, char *ret_text, size_t n)
{
	char number[32];
	int64_t whole;
	const char *text = json_path_text(j, path);

	*ret_text = '\0';
	if (json_path_int(j, path, &whole)) {
		snprintf(number, sizeof(number), "%lld", (long long)whole);
		text = number;
	}
	if (!text || strlen(text) >= n || has_control(text))
		return false;
	memcpy(ret_text, text, strlen(text) + 1);
	return true;
}

const char *webhook_text(const json_t *j, const char *path, size_t max_bytes)
{
	json_t *value = json_path(j, path);
	size_t n = json_string_length(value);

	if (n > max_bytes) {
		const char *text = json_string_value(value);
		/* In place: the document is the event's own, and a copy would cost as much again.
		 */
		if (json_string_setn_nocheck(value, text, utf8_prefix(text, n, max_bytes)) != 0)
			return NULL;
	}
	return json_path_text(value, "");
}

const char *webhook_url(const json_t *j, const char *path)
{
	const char *text = json_path_text(j, path);
	bool known = text && (strncasecmp(text, "https://", 8) == 0 ||
			      strncasecmp(text, "http://", 7) == 0);

	return known && strlen(text) <= URL_BYTES_MAX && !has_control(text) ? text : NULL;
}

int64_t webhook_time(const json_t *j, const char *path)
{
	const char *text = json_path_text(j, path);
	double number;
	int64_t at;

	if (text)
		return time_parse(text, strlen(text), &at) == 0 ? at : MSG_NO_TIME;
	if (!json_path_double(j, path, &number) || !(number >= 0 && number < 1e15))
		return MSG_NO_TIME;
	return (int64_t)(number > TIME_MS_FROM ? number : number * 1000);
}

void webhook_event_job(struct webhook_event *e, const char *text)
{
	if (e->event.job_id || !text || !uuid_valid(text))
		return;
	for (size_t i = 0; i < sizeof(e->job_id); i++)
		e->job_id[i] =
			text[i] >= 'A' && text[i] <= 'F' ? (char)(text[i] - 'A' + 'a') : text[i];
	e->event.job_id = e->job_id;
}

void webhook_event_lead(struct webhook_event *e, const json_t *j, const char *path)
{
	if (!webhook_id(j, path, e->lead_id, sizeof(e->lead_id)))
		return;
	size_t digits = strspn(e->lead_id, "0123456789");
	if (digits == strlen(e->lead_id) && digits <= WEBHOOK_OWN_LEAD_ID_DIGITS)
		e->event.lead_id = e->lead_id;
}

void webhook_event_phone(struct webhook_event *e, const char *text)
{
	if (!e->event.phone && text && phone_normalize(text, strlen(text), e->phone) == PHONE_OK)
		e->event.phone = e->phone;
}

const struct rule_set *webhook_event_rules(const struct webhook_event *e)
{
	return e->snapshot ? &e->snapshot->rules : NULL;
}

void webhook_event_outcome(struct webhook_event *e, const char *text)
{
	if (e->event.outcome || !text)
		return;
	word_outcome(webhook_event_rules(e), e->event.tenant, e->event.provider, WORD_SAID, text,
		     e->outcome);
	if (*e->outcome)
		e->event.outcome = e->outcome;
}

void webhook_event_status(struct webhook_event *e, const char *text, bool decided_only)
{
	struct word_meaning meaning;

	if (e->event.outcome || !word_find(webhook_event_rules(e), e->event.tenant,
					   e->event.provider, WORD_STATUS, text, &meaning))
		return;
	if (decided_only && !meaning.decided)
		return;
	outcome_normalize(meaning.outcome, e->outcome);
	e->event.outcome = e->outcome;
}

void webhook_event_ended_reason(struct webhook_event *e, const char *text)
{
	if (!text)
		return;
	size_t n = utf8_prefix(text, strlen(text), sizeof(e->ended_reason) - 1);
	memcpy(e->ended_reason, text, n);
	e->ended_reason[n] = '\0';
	e->event.ended_reason = e->ended_reason;
}

void webhook_event_occurred(struct webhook_event *e, int64_t at)
{
	if (at > YEAR_2000_MS && at < e->event.received_at)
		e->event.occurred_at = at;
}

void webhook_event_duration(struct webhook_event *e, int64_t duration_ms)
{
	if (duration_ms >= 0 && duration_ms <= DURATION_MAX_MS)
		e->event.duration_ms = duration_ms;
}
