/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convoso dials by itself and tells of each call's disposition, in JSON or as a form, with a static
 * secret for a signature. What its keys are called is each account's own choice, and so are its
 * statuses; values are texts, times have no zone. A call that gets another disposition is told
 * again under the same id.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/json.h"
#include "webhook/adapter.h"
#include "webhook/signature.h"
#include "webhook/snapshot.h"

#define KEY_BYTES 128
#define ID_BYTES 65
#define STATUS_BYTES 64
#define NAME_BYTES_MAX 200
#define COMMENT_BYTES_MAX (64u << 10)
#define SECONDS_MAX (7 * 24 * 3600)

enum field {
#define CONVOSO_FIELD(NAME, name, key, description) FIELD_##NAME,
#include "common/tbl/convoso_field.h"
#undef CONVOSO_FIELD
};

static const struct {
	const char *name, *key;
} fields[] = {
#define CONVOSO_FIELD(NAME, name, key, description) [FIELD_##NAME] = {name, key},
#include "common/tbl/convoso_field.h"
#undef CONVOSO_FIELD
};

static enum webhook_verify verify(const struct account *a, const struct webhook_request *r)
{
	const char *secrets = account_setting(a, "webhook_secret");
	bool by_header, by_token;

	if (!secrets_given(secrets))
		return VERIFY_NO_SECRET;
	by_header = secrets_match(r->header(r->header_arg, "x-webhook-secret"), secrets);
	by_token = secrets_match(r->token, secrets);
	return by_header || by_token ? VERIFY_OK : VERIFY_FORGED;
}

/* ---- Fields ---- */

/* The account's own key for it, of settings {"fields": {"phone_number": "Phone"}} or of
 * "phone_number=Phone,..."; else the usual one. */
static const char *key_of(const struct account *a, enum field f, char ret_key[KEY_BYTES])
{
	size_t name_bytes = strlen(fields[f].name);
	const char *pairs = account_setting(a, "fields");

	snprintf(ret_key, KEY_BYTES, "fields.%s", fields[f].name);
	const char *own = account_setting(a, ret_key);
	if (own)
		return own;
	for (const char *p = pairs; p && *p; p += strspn(p, ", ")) {
		size_t n = strcspn(p, ", ");
		if (n > name_bytes + 1 && n - name_bytes - 1 < KEY_BYTES && p[name_bytes] == '=' &&
		    memcmp(p, fields[f].name, name_bytes) == 0) {
			snprintf(ret_key, KEY_BYTES, "%.*s", (int)(n - name_bytes - 1),
				 p + name_bytes + 1);
			return ret_key;
		}
		p += n;
	}
	return fields[f].key;
}

/* A body as it is read: the document, and what the account calls its parts. */
struct body {
	const struct account *a;
	struct webhook_event *e;
	const json_t *json;
};

static bool read_id(const struct body *b, enum field f, char *ret_text, size_t n)
{
	char key[KEY_BYTES];

	return webhook_id(b->json, key_of(b->a, f, key), ret_text, n) && *ret_text;
}

static const char *read_text(const struct body *b, enum field f, size_t max_bytes)
{
	char key[KEY_BYTES];

	return webhook_text(b->json, key_of(b->a, f, key), max_bytes);
}

/* A time with its offset, or a local one of the account's zone. */
static int64_t read_time(const struct body *b, enum field f)
{
	const char *zone = account_setting(b->a, "time_zone");
	const char *text = read_text(b, f, 64);
	char key[KEY_BYTES];
	int64_t at;

	if (text && zone && b->e->snapshot &&
	    zones_local_time(&b->e->snapshot->zones, zone, text, &at))
		return at;
	return webhook_time(b->json, key_of(b->a, f, key));
}

/* ---- Body ---- */

/* National digits with the code beside them, or a whole number. */
static void set_phone(const struct body *b)
{
	char number[ID_BYTES], code[8], whole[ID_BYTES + 9];

	if (!read_id(b, FIELD_PHONE_NUMBER, number, sizeof(number)))
		return;
	if (*number != '+' && read_id(b, FIELD_PHONE_CODE, code, sizeof(code)) &&
	    strspn(code, "0123456789") == strlen(code) && strcmp(code, "1") != 0) {
		snprintf(whole, sizeof(whole), "+%s%s", code, number);
		webhook_event_phone(b->e, whole);
	}
	webhook_event_phone(b->e, number);
}

/* A number told as text, or 0 to 7 days of seconds as they are; negative: none. */
static double read_seconds(const struct body *b)
{
	char text[32], *end;

	if (!read_id(b, FIELD_LENGTH, text, sizeof(text)) || !strchr("0123456789", *text))
		return -1;
	double seconds = strtod(text, &end);
	return *end == '\0' && isfinite(seconds) && seconds < SECONDS_MAX ? seconds : -1;
}

static void set_times(const struct body *b)
{
	int64_t began = read_time(b, FIELD_CALL_DATE);
	double seconds = read_seconds(b);

	if (seconds >= 0)
		webhook_event_duration(b->e, (int64_t)(seconds * 1000));
	if (began != MSG_NO_TIME)
		webhook_event_occurred(b->e, began + (seconds > 0 ? (int64_t)(seconds * 1000) : 0));
	b->e->event.callback_at = read_time(b, FIELD_CALLBACK_AT);
}

static void set_person(const struct body *b)
{
	struct webhook_event *e = b->e;

	if (read_id(b, FIELD_LEAD_ID, e->lead_id, sizeof(e->lead_id)))
		e->event.lead_id = e->lead_id;
	e->list_id = read_text(b, FIELD_LIST_ID, NAME_BYTES_MAX);
	e->first_name = read_text(b, FIELD_FIRST_NAME, NAME_BYTES_MAX);
	e->last_name = read_text(b, FIELD_LAST_NAME, NAME_BYTES_MAX);
	e->state = read_text(b, FIELD_STATE, NAME_BYTES_MAX);
}

/* By call and status: a call that is disposed of again is another event. */
static void set_event_id(struct webhook_event *e, const char *status)
{
	char id[WEBHOOK_CALL_ID_BYTES + 16], suffix[STATUS_BYTES + 8];

	snprintf(id, sizeof(id), "convoso:%s", e->provider_call_id);
	snprintf(suffix, sizeof(suffix), ":%s", status);
	msg_id_fit(id, suffix, e->event_id, sizeof(e->event_id));
	e->event.event_id = e->event_id;
}

/* What is missing by the name that the account gave it, so that a wrong mapping shows. */
static enum webhook_reading lacks(const struct body *b, enum field f, struct buf *error)
{
	char key[KEY_BYTES];

	buf_addf(error, "no %s, or no good one (the account's key for %s)", key_of(b->a, f, key),
		 fields[f].name);
	return READING_BAD;
}

static enum webhook_reading normalize(const struct account *a, const struct webhook_request *r,
				      struct webhook_event *ret, struct buf *error)
{
	const struct body b = {a, ret, webhook_event_parse_form(ret, r, error)};
	char status[STATUS_BYTES], word[RULES_OUTCOME_BYTES], type[STATUS_BYTES];

	if (!b.json)
		return READING_BAD;
	if (!read_id(&b, FIELD_STATUS, status, sizeof(status)))
		return lacks(&b, FIELD_STATUS, error);
	outcome_normalize(status, word);
	if (!*word)
		return lacks(&b, FIELD_STATUS, error);
	/* A person who was put on a list, or who called: nobody was dialed. */
	if (strcmp(word, "NEW") == 0 ||
	    (read_id(&b, FIELD_CALL_TYPE, type, sizeof(type)) && strcasecmp(type, "INBOUND") == 0))
		return READING_UNUSED;
	if (!read_id(&b, FIELD_CALL_LOG_ID, ret->provider_call_id, ID_BYTES))
		return lacks(&b, FIELD_CALL_LOG_ID, error);
	ret->event.provider_call_id = ret->provider_call_id;
	set_phone(&b);
	if (!ret->event.phone)
		return lacks(&b, FIELD_PHONE_NUMBER, error);
	ret->event.type = EVENT_REPORT;
	set_event_id(ret, word);
	webhook_event_status(ret, status, false);
	webhook_event_outcome(ret, status);
	const char *reason = read_text(&b, FIELD_TERM_REASON, WEBHOOK_REASON_BYTES - 1);
	webhook_event_ended_reason(ret, reason ? reason : status);
	set_times(&b);
	set_person(&b);
	ret->event.summary = read_text(&b, FIELD_COMMENT, COMMENT_BYTES_MAX);
	char key[KEY_BYTES];
	ret->event.recording_url = webhook_url(b.json, key_of(a, FIELD_RECORDING, key));
	return READING_EVENT;
}

const struct webhook_adapter webhook_convoso = {
	.provider = "convoso",
	.verify = verify,
	.normalize = normalize,
	.answers_success = true,
};
