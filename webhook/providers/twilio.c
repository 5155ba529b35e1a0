/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Twilio signs the URL that it was told, with the form's fields in the order of their names behind
 * it; of another body the URL has the digest. Our address is taken from the configuration, for what
 * a proxy leaves of it proves nothing.
 *
 * It tells of each state of a call once, in any order; states rank, so their numbers add nothing.
 * Who answered is told in a callback of its own, perhaps with the end too: where it was asked for
 * and an answered call's end lacks it, the end names no outcome, and the call's record is asked.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/form.h"
#include "common/json.h"
#include "common/rules/twilio.h"
#include "common/seal.h"
#include "webhook/adapter.h"
#include "webhook/signature.h"

#define URL_BYTES 16384
#define DIGEST_FIELD "bodySHA256"
#define FORM_TYPE "application/x-www-form-urlencoded"

/* ---- Verify ---- */

/* Where the port stands in a URL, or would stand. */
static size_t port_at(const char *url)
{
	const char *host = strstr(url, "://");
	host = host ? host + 3 : url;
	const char *bracket = *host == '[' ? strchr(host, ']') : NULL;
	const char *from = bracket ? bracket : host;

	return (size_t)(from - url) + strcspn(from, ":/?");
}

/* The URL without its port, or with the one of its scheme if it has none. */
static void add_other_port(struct buf *b, const char *url)
{
	size_t at = port_at(url);

	buf_add(b, url, at);
	if (url[at] == ':')
		at += 1 + strspn(url + at + 1, "0123456789");
	else
		buf_adds(b, strncasecmp(url, "https://", 8) == 0 ? ":443" : ":80");
	buf_adds(b, url + at);
}

static int compare_bytes(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
	int order = memcmp(a, b, a_bytes < b_bytes ? a_bytes : b_bytes);

	return order != 0 ? order : (a_bytes > b_bytes) - (a_bytes < b_bytes);
}

static int compare_pairs(const void *a, const void *b)
{
	const struct form_pair *x = a, *y = b;
	int order = compare_bytes(x->name, x->name_bytes, y->name, y->name_bytes);

	return order != 0 ? order
			  : compare_bytes(x->value, x->value_bytes, y->value, y->value_bytes);
}

/* Names and values in order; of equal ones only the first. False: no form. */
static bool add_fields(struct buf *b, const struct webhook_request *r)
{
	struct form_pair *pairs = calloc(FORM_FIELDS_MAX, sizeof(*pairs));
	struct buf storage;
	size_t n = 0;

	buf_init(&storage, r->body_bytes + 1);
	bool good = pairs && form_pairs(r->body, r->body_bytes, &storage, pairs, &n);
	if (!pairs || storage.failed)
		errno = ENOMEM;
	if (good)
		qsort(pairs, n, sizeof(*pairs), compare_pairs);
	for (size_t i = 0; good && i < n; i++) {
		if (i > 0 && compare_pairs(&pairs[i - 1], &pairs[i]) == 0)
			continue;
		buf_add(b, pairs[i].name, pairs[i].name_bytes);
		buf_add(b, pairs[i].value, pairs[i].value_bytes);
	}
	buf_release(&storage);
	free(pairs);
	return good;
}

static bool is_form(const struct webhook_request *r)
{
	const char *type = r->header(r->header_arg, "content-type");

	return !type || strncasecmp(type, FORM_TYPE, sizeof(FORM_TYPE) - 1) == 0;
}

/* Whether the URL has the digest of the body. */
static bool digest_matches(const struct webhook_request *r)
{
	static const char name[] = DIGEST_FIELD "=";
	const struct sign_part part = {r->body, r->body_bytes};
	unsigned char shown[SHA256_BYTES], right[SHA256_BYTES];

	for (const char *at = r->query; at && *at; at += strspn(at, "&")) {
		size_t n = strcspn(at, "&"), name_bytes = sizeof(name) - 1;
		if (n == name_bytes + 2 * sizeof(shown) && memcmp(at, name, name_bytes) == 0 &&
		    hex_decode(at + name_bytes, 2 * sizeof(shown), shown) == 0) {
			bool made = sha256(&part, 1, right);
			if (!made)
				errno = ENOMEM;
			return made && sign_equal(shown, right, sizeof(right));
		}
		at += n;
	}
	return false;
}

/* One way to write the URL, before what is signed behind it. Whether its fragment is signed, nobody
 * says. */
static void add_url(struct buf *b, const char *base, bool other_port, const char *query,
		    bool with_fragment)
{
	if (other_port)
		add_other_port(b, base);
	else
		buf_adds(b, base);
	if (query) {
		buf_addc(b, '?');
		buf_adds(b, query);
	}
	if (with_fragment)
		buf_adds(b, TWILIO_CALLBACK_RETRIES);
}

/* The ways are tried all, whichever fits. */
static bool is_signed(const char *signature, const char *secrets, const char *base,
		      const char *query, const struct buf *fields)
{
	struct buf text;
	bool match = false;

	buf_init(&text, URL_BYTES + fields->len);
	for (unsigned way = 0; way < 4; way++) {
		buf_clear(&text);
		add_url(&text, base, way & 1, query, way & 2);
		buf_add(&text, fields->data, fields->len);
		if (text.failed)
			errno = ENOMEM;
		else
			match |= text_signature_matches(signature, secrets, text.data, text.len);
	}
	buf_release(&text);
	return match;
}

static enum webhook_verify verify(const struct account *a, const struct webhook_request *r)
{
	const char *secrets = account_setting(a, "auth_token");
	const char *base = account_setting(a, "webhook_url");
	const char *signature = r->header(r->header_arg, "x-twilio-signature");
	struct buf fields;

	if (!secrets_given(secrets) || !base)
		return VERIFY_NO_SECRET;
	/* A longer URL than we take; none of ours has a token. */
	if (strlen(base) + (r->query ? strlen(r->query) : 0) > URL_BYTES / 2 || r->token)
		return VERIFY_FORGED;
	buf_init(&fields, r->body_bytes + 1);
	bool good = is_form(r) ? add_fields(&fields, r) : digest_matches(r);
	good = good && is_signed(signature, secrets, base, r->query, &fields);
	buf_release(&fields);
	return good ? VERIFY_OK : VERIFY_FORGED;
}

/* ---- Content ---- */

/* False: it lacks what every callback has; `error` says what. */
static bool set_ids(struct webhook_event *e, const json_t *body, const json_t *query,
		    const char *state, struct buf *error)
{
	char id[WEBHOOK_CALL_ID_BYTES + 16], suffix[64];

	if (!webhook_id(body, "CallSid", e->provider_call_id, sizeof(e->provider_call_id)) ||
	    !*e->provider_call_id) {
		webhook_problem(error, "no CallSid");
		return false;
	}
	e->event.provider_call_id = e->provider_call_id;
	snprintf(id, sizeof(id), "twilio:%s", e->provider_call_id);
	snprintf(suffix, sizeof(suffix), ":%s", state);
	msg_id_fit(id, suffix, e->event_id, sizeof(e->event_id));
	e->event.event_id = e->event_id;
	webhook_event_job(e, json_path_text(query, "job"));
	webhook_event_lead(e, query, "lead");
	webhook_event_phone(e, json_path_text(body, "To"));
	webhook_event_phone(e, json_path_text(body, "Called"));
	return true;
}

static void set_end(struct webhook_event *e, const json_t *body, const json_t *query,
		    const char *status)
{
	const char *answered_by = json_path_text(body, "AnsweredBy");
	const char *detected = json_path_text(query, "amd");
	bool answered = strcmp(status, "completed") == 0;
	char number[32];
	const char *seconds = json_path_scalar(body, "CallDuration", number, sizeof(number));

	if (seconds && strlen(seconds) <= 7 && strspn(seconds, "0123456789") == strlen(seconds))
		webhook_event_duration(e, strtol(seconds, NULL, 10) * INT64_C(1000));
	e->event.recording_url = webhook_url(body, "RecordingUrl");
	webhook_event_ended_reason(e, answered && answered_by ? answered_by : status);
	if (answered && !answered_by && detected) {
		e->event.type = EVENT_ENDED;
		return;
	}
	twilio_outcome(webhook_event_rules(e), e->event.tenant, status, answered_by, e->outcome);
	e->event.outcome = e->outcome;
}

/* The state that a callback tells of, and what it means; READING_EVENT if we follow it. */
static enum webhook_reading state_of(const json_t *body, const char **ret_state,
				     enum event_type *ret_type, struct buf *error)
{
	const char *status = json_path_text(body, "CallStatus");
	const char *direction = json_path_text(body, "Direction");

	/* Calls to our numbers, and those that instructions made: none of ours. */
	if (direction && strcmp(direction, "outbound-api") != 0)
		return READING_UNUSED;
	*ret_state = status;
	if (status)
		return twilio_status(status, ret_type) ? READING_EVENT : READING_UNUSED;
	if (json_path_text(body, "AnsweredBy")) {
		*ret_state = "amd";
		*ret_type = EVENT_IN_PROGRESS;
		return READING_EVENT;
	}
	/* Of a recording, or a conference. */
	if (json_path_text(body, "RecordingSid") || json_path_text(body, "ConferenceSid"))
		return READING_UNUSED;
	webhook_problem(error, "no CallStatus and no AnsweredBy");
	return READING_BAD;
}

static enum webhook_reading read_callback(const struct webhook_request *r, const json_t *query,
					  struct webhook_event *ret, struct buf *error)
{
	const json_t *body = webhook_event_parse_form(ret, r, error);
	const char *state = NULL;

	if (!body)
		return READING_BAD;
	enum webhook_reading reading = state_of(body, &state, &ret->event.type, error);
	if (reading == READING_UNUSED)
		return reading;
	if (!set_ids(ret, body, query, state ? state : "", error) || reading == READING_BAD)
		return READING_BAD;
	webhook_event_occurred(ret, twilio_time(json_path_text(body, "Timestamp")));
	if (ret->event.type == EVENT_REPORT)
		set_end(ret, body, query, state);
	return READING_EVENT;
}

static enum webhook_reading normalize(const struct account *a, const struct webhook_request *r,
				      struct webhook_event *ret, struct buf *error)
{
	char ignored[64];
	struct buf why;

	(void)a;
	buf_init_fixed(&why, ignored, sizeof(ignored));
	_cleanup_json_ json_t *query =
		r->query ? form_parse(r->query, strlen(r->query), &why) : NULL;
	return read_callback(r, query, ret, error);
}

const struct webhook_adapter webhook_twilio = {
	.provider = "twilio",
	.verify = verify,
	.normalize = normalize,
};
