/* SPDX-License-Identifier: Apache-2.0 */
/* The request may be repeated: a call that is ended twice has ended once. */
#include "consumer/hang_up.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"

const char *hang_up_text(enum hang_up_result h)
{
	switch (h) {
	case HANG_UP_TOLD:
		return "told";
	case HANG_UP_REFUSED:
		return "refused";
	case HANG_UP_FAILED:
		return "failed";
	}
	assert(false && "bad hang_up_result");
	return NULL;
}

static void set(struct hang_up *h, enum hang_up_result result, const char *reason)
{
	h->tried = true;
	h->result = result;
	snprintf(h->reason, sizeof(h->reason), "%s", reason);
}

static bool may_pass(long status)
{
	return status == 408 || status == 429 || status < 200 || status > 499;
}

static void take_answer(struct hang_up *h, const struct http_answer *a)
{
	struct verdict v = {.retry_after_ms = -1};
	char text[PROVIDER_ERROR_BYTES], reason[PROVIDER_ERROR_BYTES + 32], ignored[64];
	struct buf parse_error;

	if (a->outcome != HTTP_ANSWERED) {
		verdict_error(&v, a->error ? a->error : "no answer");
		set(h, HANG_UP_FAILED, v.error);
		return;
	}
	buf_init_fixed(&parse_error, ignored, sizeof(ignored));
	_cleanup_json_ json_t *body = json_parse(a->body ? a->body : "", a->body_bytes,
						 PROVIDER_ANSWER_MAX_BYTES, &parse_error);
	const char *status = json_path_text(body, "status");
	bool is_error = status && strcmp(status, "error") == 0;
	if (a->status >= 200 && a->status <= 299 && !is_error) {
		set(h, HANG_UP_TOLD, "");
		return;
	}
	adapter_error_texts(body, text, sizeof(text));
	snprintf(reason, sizeof(reason), "HTTP %ld: %s", a->status,
		 *text ? text : "no reason given");
	verdict_error(&v, reason);
	set(h, may_pass(a->status) ? HANG_UP_FAILED : HANG_UP_REFUSED, v.error);
}

static void on_answer(void *arg, const struct http_answer *a)
{
	struct hang_up *h = arg;

	take_answer(h, a);
	h->done(h, h->arg);
}

bool hang_up_send(struct hang_up *h, struct http_client *http, const struct adapter *ad,
		  const struct account *a, const char *provider_call_id, const json_t *row,
		  int64_t timeout_ms)
{
	struct provider_request request;
	bool sent = false;

	h->tried = false;
	if (!row || !a) {
		set(h, HANG_UP_FAILED,
		    a ? "the provider does not show the call" : "no credentials");
		return false;
	}
	provider_request_init(&request);
	bool (*build)(const struct account *, const char *, const json_t *,
		      struct provider_request *) =
		h->calls_off ? ad->build_call_off : ad->build_hang_up;
	if (build && build(a, provider_call_id, row, &request)) {
		const char *headers[] = {request.authorization.data, adapter_content_type(ad),
					 NULL};
		const struct http_request r = {
			.method = "POST",
			.url = request.url.data,
			.headers = headers,
			.body = request.body.data,
			.body_bytes = request.body.len,
			.timeout_ms = timeout_ms,
			.max_response_bytes = PROVIDER_ANSWER_MAX_BYTES,
		};
		sent = http_send(http, &r, on_answer, h);
	} else {
		set(h, HANG_UP_REFUSED, "the provider gives no way to end this call");
	}
	provider_request_release(&request);
	return sent;
}
