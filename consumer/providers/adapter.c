/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of providers, and the part of classification that is the same for all of them: what
 * counts as proof that no call was created, and that everything else is unknown.
 */
#include "consumer/providers/adapter.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "common/msg.h"
#include "common/rules/words.h"

#define URL_MAX_BYTES 4096
#define AUTHORIZATION_MAX_BYTES 4096
#define BODY_MAX_BYTES (64u << 10)
#define MASKED_DIGITS_FROM 8
#define GAP_IN_NUMBER_MAX 2		     /* ") " */
#define RETRY_AFTER_MAX_MS INT64_C(86400000) /* a header may ask for any number */

static const struct adapter *const adapters[] = {&omni_adapter, &vapi_adapter, &bland_adapter,
						 &twilio_adapter};

const struct adapter *const *adapter_table(size_t *ret_n)
{
	*ret_n = sizeof(adapters) / sizeof(adapters[0]);
	return adapters;
}

const struct adapter *adapter_find(const char *provider)
{
	for (size_t i = 0; provider && i < sizeof(adapters) / sizeof(adapters[0]); i++) {
		if (strcmp(adapters[i]->provider, provider) == 0)
			return adapters[i];
	}
	return NULL;
}

/* ---- Requests ---- */

const char *adapter_content_type(const struct adapter *ad)
{
	return ad->content_type ? ad->content_type : "Content-Type: application/json";
}

void provider_request_init(struct provider_request *r)
{
	buf_init(&r->url, URL_MAX_BYTES);
	buf_init(&r->authorization, AUTHORIZATION_MAX_BYTES);
	buf_init(&r->body, BODY_MAX_BYTES);
}

void provider_request_release(struct provider_request *r)
{
	buf_release(&r->url);
	buf_release(&r->authorization);
	buf_release(&r->body);
}

void provider_request_clear(struct provider_request *r)
{
	buf_clear(&r->url);
	buf_clear(&r->authorization);
	buf_clear(&r->body);
}

void add_base_url(struct buf *b, const struct account *a, const char *path)
{
	const char *base = account_setting(a, "base_url");
	size_t n = base ? strlen(base) : 0;

	while (n > 0 && base[n - 1] == '/')
		n--;
	buf_add(b, base ? base : "", n);
	buf_adds(b, path);
}

void add_path_segment(struct buf *b, const char *text)
{
	buf_addc(b, '/');
	buf_add_url(b, text, strlen(text));
}

bool add_api_key(struct provider_request *r, const struct account *a, const char *start)
{
	const char *key = account_setting(a, "api_key");

	if (!key)
		return false;
	buf_adds(&r->authorization, start);
	buf_adds(&r->authorization, key);
	return true;
}

bool request_is_whole(const struct provider_request *r)
{
	return !r->url.failed && !r->authorization.failed && !r->body.failed;
}

bool request_is_built(const struct provider_request *r, const struct account *a, struct buf *error)
{
	if (request_is_whole(r))
		return true;
	buf_addf(error, "account %s: the request is too large", a->name);
	return false;
}

void add_member(struct buf *b, const char *name, const char *value, bool first)
{
	if (!first)
		buf_addc(b, ',');
	buf_add_json_string(b, name, strlen(name));
	buf_addc(b, ':');
	buf_add_json_string(b, value, strlen(value));
}

void customer_name(const struct dial *d, size_t max_bytes, char *ret_name, size_t n)
{
	const char *first = d->first_name ? d->first_name : "";
	const char *last = d->last_name ? d->last_name : "";
	char whole[512];
	struct buf b;

	assert(n > max_bytes && sizeof(whole) > max_bytes + 4);
	/* Cut, perhaps inside a character, but beyond the prefix that is taken. */
	buf_init_fixed(&b, whole, sizeof(whole));
	buf_add(&b, first, strnlen(first, b.max_bytes));
	if (*first && *last)
		buf_add(&b, " ", b.len < b.max_bytes);
	buf_add(&b, last, strnlen(last, b.max_bytes - b.len));
	size_t length = utf8_prefix(whole, b.len, max_bytes);
	memcpy(ret_name, whole, length);
	ret_name[length] = '\0';
}

void add_metadata(struct buf *b, const struct dial *d)
{
	add_member(b, "job_id", d->job_id, true);
	add_member(b, "kind", d->kind, false);
	add_member(b, "lead_id", d->lead_id, false);
}

bool first_secret(const char *secrets, char *ret_secret, size_t n)
{
	size_t length = 0;

	ret_secret[0] = '\0';
	if (!secrets)
		return false;
	secrets += strspn(secrets, ", \t");
	length = strcspn(secrets, ",");
	while (length > 0 && (secrets[length - 1] == ' ' || secrets[length - 1] == '\t'))
		length--;
	if (length == 0 || length >= n)
		return false;
	memcpy(ret_secret, secrets, length);
	ret_secret[length] = '\0';
	return true;
}

bool is_number(const char *text)
{
	size_t n = text ? strspn(text, "0123456789") : 0;

	return n > 0 && n <= 18 && text[n] == '\0';
}

bool copy_text(const char *text, char *ret_text, size_t n)
{
	size_t length = text ? strlen(text) : 0;

	ret_text[0] = '\0';
	if (length == 0 || length >= n)
		return false;
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	}
	memcpy(ret_text, text, length + 1);
	return true;
}

/* ---- Answers ---- */

const char *refusal_text(enum refusal r)
{
	switch (r) {
	case REFUSAL_NONE:
		return NULL;
	case REFUSAL_BACKPRESSURE:
		return "backpressure";
	case REFUSAL_NUMBER:
		return "number";
	case REFUSAL_CONFIGURATION:
		return "configuration";
	case REFUSAL_ACCOUNT:
		return "account";
	case REFUSAL_RETRY:
		return "retry";
	}
	assert(false && "bad refusal");
	return NULL;
}

/* Foreign words: what is cut or is no text would be refused by Kafka's and the database's side. */
void verdict_error(struct verdict *v, const char *reason)
{
	size_t n = 0, left = strlen(reason);

	while (left > 0) {
		size_t length = utf8_sequence(reason, left);
		bool is_text = length > 1 || (length == 1 && (unsigned char)*reason >= 0x20);

		if (n + (is_text ? length : 1) >= sizeof(v->error))
			break;
		memcpy(v->error + n, is_text ? reason : "?", is_text ? length : 1);
		n += is_text ? length : 1;
		reason += is_text ? length : 1;
		left -= is_text ? length : 1;
	}
	v->error[n] = '\0';
}

void verdict_refuse(struct verdict *v, const struct refusal_rule *rule, const char *reason)
{
	v->result = RESULT_REFUSED;
	v->refusal = rule->refusal;
	if (v->retry_after_ms < 0 && rule->wait_s > 0)
		v->retry_after_ms = rule->wait_s * INT64_C(1000);
	v->provider_call_id[0] = '\0';
	verdict_error(v, reason);
}

void verdict_unknown(struct verdict *v, const char *reason)
{
	v->result = RESULT_UNKNOWN;
	v->refusal = REFUSAL_NONE;
	v->provider_call_id[0] = '\0';
	verdict_error(v, reason);
}

void verdict_accept(struct verdict *v, const char *provider_call_id, const char *reason)
{
	if (copy_text(provider_call_id, v->provider_call_id, sizeof(v->provider_call_id)))
		v->result = RESULT_ACCEPTED;
	else
		verdict_unknown(v, reason);
}

/* The reason in a provider's error body. An array of texts gives its first. */
static const char *error_text(const json_t *body)
{
	static const char *const fields[] = {"error_description", "message", "error", "detail",
					     NULL};

	for (size_t i = 0; fields[i]; i++) {
		const json_t *v = json_path(body, fields[i]);
		if (json_is_array(v))
			v = json_array_get(v, 0);
		const char *text = json_path_text(v, "");
		if (!text)
			text = json_path_text(v, "message");
		if (text)
			return text;
	}
	return NULL;
}

static void add_cut(struct buf *b, const char *text)
{
	buf_add(b, text, utf8_prefix(text, strlen(text), b->max_bytes - b->len));
}

/* The length of the number that begins here, "(212) 555-01" as well as "21255501"; 0: none does. */
static size_t number_span(const char *text, size_t *ret_digits)
{
	size_t n = 0, gap = 0;

	for (*ret_digits = 0; isdigit((unsigned char)text[n + gap]) && gap <= GAP_IN_NUMBER_MAX;
	     gap = strspn(text + n, " ()-.")) {
		size_t digits = strspn(text + n + gap, "0123456789");
		*ret_digits += digits;
		n += gap + digits;
	}
	return n;
}

/* Reasons are logged, and some repeat whom they are about. */
static void mask_numbers(char *text)
{
	size_t digits, n;

	for (; *text; text += n > 0 ? n : 1) {
		n = number_span(text, &digits);
		for (size_t i = 0; digits >= MASKED_DIGITS_FROM && i < n - 2; i++) {
			if (isdigit((unsigned char)text[i]))
				text[i] = '*';
		}
	}
}

void adapter_error_texts(const json_t *body, char *ret_text, size_t n)
{
	const char *text = error_text(body);
	struct buf b;
	size_t i;
	const json_t *error;
	int64_t code;

	buf_init_fixed(&b, ret_text, n);
	if (json_path_int(body, "code", &code))
		buf_addf(&b, "%lld: ", (long long)code);
	add_cut(&b, text ? text : "");
	json_array_foreach (json_path(body, "errors"), i, error) {
		text = json_path_text(error, json_is_object(error) ? "message" : "");
		if (!text || strstr(ret_text, text))
			continue;
		add_cut(&b, b.len > 0 ? "; " : "");
		add_cut(&b, text);
	}
	mask_numbers(ret_text);
}

const struct refusal_rule *refusal_find(const struct adapter *ad, int status, const char *text)
{
	for (size_t i = 0; i < ad->refusals_count; i++) {
		const struct refusal_rule *r = &ad->refusals[i];
		if (r->status != status && r->status != REFUSAL_ANY)
			continue;
		if (!r->text || (text && strcasestr(text, r->text)))
			return r;
	}
	return NULL;
}

static bool status_is_listed(const struct adapter *ad, int status)
{
	for (size_t i = 0; i < ad->refusals_count; i++) {
		if (ad->refusals[i].status == status)
			return true;
	}
	return false;
}

/* A 4xx that the adapter lists. Anything else proves nothing. */
static void classify_error(const struct adapter *ad, const struct http_answer *a,
			   const json_t *body, struct verdict *v)
{
	/* Not the provider's own words but a gateway's: nothing final is concluded from them. */
	static const struct refusal_rule by_gateway = {.refusal = REFUSAL_RETRY};
	char reason[PROVIDER_ERROR_BYTES], text[PROVIDER_ERROR_TEXTS_BYTES];

	adapter_error_texts(body, text, sizeof(text));
	snprintf(reason, sizeof(reason), "HTTP %ld%s%.*s", a->status, *text ? ": " : "",
		 (int)utf8_prefix(text, strlen(text), 200), text);
	if (a->status < 400 || a->status > 499 || !status_is_listed(ad, (int)a->status)) {
		verdict_unknown(v, reason);
		return;
	}
	const struct refusal_rule *rule = refusal_find(ad, (int)a->status, text);
	bool for_good =
		rule && (rule->refusal == REFUSAL_CONFIGURATION || rule->refusal == REFUSAL_NUMBER);
	if (!rule || (for_good && !json_is_object(body)))
		rule = &by_gateway;
	verdict_refuse(v, rule, reason);
}

static void unreadable(const struct http_answer *a, const char *error, struct verdict *v)
{
	char reason[PROVIDER_ERROR_BYTES];

	snprintf(reason, sizeof(reason), "HTTP %ld: %.200s", a->status, error);
	verdict_unknown(v, reason);
}

void adapter_classify(const struct adapter *ad, const char *job_id, const struct http_answer *a,
		      struct verdict *v)
{
	_cleanup_json_ json_t *body = NULL;
	char text[PROVIDER_ERROR_BYTES];
	struct buf error;

	*v = (struct verdict){
		.result = RESULT_UNKNOWN,
		.retry_after_ms = a->retry_after_ms < RETRY_AFTER_MAX_MS ? a->retry_after_ms
									 : RETRY_AFTER_MAX_MS,
	};
	if (!a->body_started) {
		v->result = RESULT_NOT_SENT;
		verdict_error(v, a->error ? a->error : "answered before the request was sent");
		return;
	}
	if (a->outcome != HTTP_ANSWERED) {
		verdict_unknown(v, a->error ? a->error : "no answer");
		return;
	}
	buf_init_fixed(&error, text, sizeof(text));
	body = json_parse(a->body ? a->body : "", a->body_bytes, PROVIDER_ANSWER_MAX_BYTES, &error);
	if (a->status < 200 || a->status > 299)
		classify_error(ad, a, body, v);
	else if (json_is_object(body))
		ad->read_created(ad, job_id, body, v);
	else if (body)
		verdict_unknown(v, "the answer is no JSON object");
	else
		unreadable(a, text, v);
}

void found_call_init(struct found_call *f)
{
	*f = (struct found_call){
		.created_at = MSG_NO_TIME,
		.type = EVENT_QUEUED,
		.success = MSG_NO_INT,
		.callback_at = MSG_NO_TIME,
		.ended_at = MSG_NO_TIME,
		.duration_ms = MSG_NO_INT,
		.cost_micros = MSG_NO_INT,
	};
}

void found_call_words(struct found_call *f, const struct rule_set *rules, const char *tenant)
{
	f->rules = rules;
	f->tenant = tenant;
}

const json_t *rows_at(const json_t *body, const char *path)
{
	const json_t *rows = json_path(body, path);

	return json_is_array(rows) ? rows : NULL;
}

void found_call_phone(struct found_call *f, const char *text)
{
	if (!text || phone_normalize(text, strlen(text), f->phone) != PHONE_OK)
		f->phone[0] = '\0';
}

/* "Not provided" is what an agent writes that heard nothing. */
bool found_call_said(struct found_call *f, const struct adapter *ad, const char *text)
{
	if (!f->outcome[0] && text && strcasecmp(text, "Not provided") != 0)
		word_outcome(f->rules, f->tenant, ad->provider, WORD_SAID, text, f->outcome);
	return f->outcome[0] != '\0';
}

bool found_call_status(struct found_call *f, const struct adapter *ad, const char *text)
{
	struct word_meaning meaning;

	if (!f->outcome[0] &&
	    word_find(f->rules, f->tenant, ad->provider, WORD_STATUS, text, &meaning))
		outcome_normalize(meaning.outcome, f->outcome);
	return f->outcome[0] != '\0';
}
