/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arbitrary bytes as a provider's answer: to a call's creation with some status, and to a list. The
 * first byte chooses provider and status. Whatever comes, only a 2xx with an id is taken as
 * accepted, and a refusal has its reason.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "consumer/providers/adapter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define JOB "018f4d3e-7a10-7c3b-9d5e-2f6a1b4c8d71"
#define ANSWER_BYTES_MAX (1 << 20)

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void read_created(const struct adapter *ad, long status, const char *body, size_t n)
{
	struct http_answer a = {
		.outcome = HTTP_ANSWERED,
		.body_started = true,
		.status = status,
		.body = body,
		.body_bytes = n,
		.retry_after_ms = -1,
		.date_at = -1,
	};
	struct verdict v;

	adapter_classify(ad, JOB, &a, &v);
	check(memchr(v.error, '\0', sizeof(v.error)) != NULL);
	if (v.result == RESULT_ACCEPTED)
		check(status >= 200 && status < 300 && v.provider_call_id[0] && !v.error[0]);
	if (v.result == RESULT_REFUSED)
		check(v.refusal != REFUSAL_NONE && v.error[0]);
	check(v.result != RESULT_NOT_SENT);
}

static void read_list(const struct adapter *ad, const char *body, size_t n)
{
	char reason[256];
	struct buf error;
	const json_t *row;
	size_t i;

	buf_init_fixed(&error, reason, sizeof(reason));
	json_t *j = json_parse(body, n, ANSWER_BYTES_MAX, &error);
	const json_t *rows = j ? ad->list_rows(j) : NULL;
	json_array_foreach (rows, i, row) {
		struct found_call f;
		found_call_init(&f);
		if (!ad->read_row(row, &f))
			continue;
		check(memchr(f.provider_call_id, '\0', sizeof(f.provider_call_id)) != NULL);
		check(!f.phone[0] || phone_is_e164(f.phone));
	}
	json_decref(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const long statuses[] = {200, 201, 204, 302, 400, 401, 402, 404, 422, 429, 500, 503};
	size_t adapters;
	const struct adapter *const *table = adapter_table(&adapters);

	if (n == 0)
		return 0;
	const struct adapter *ad = table[data[0] % adapters];
	long status = statuses[data[0] / adapters % (sizeof(statuses) / sizeof(statuses[0]))];
	char *body = malloc(n);
	check(body != NULL);
	memcpy(body, data + 1, n - 1);
	body[n - 1] = '\0';
	read_created(ad, status, body, n - 1);
	read_list(ad, body, n - 1);
	free(body);
	return 0;
}
