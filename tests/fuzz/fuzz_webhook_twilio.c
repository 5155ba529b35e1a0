/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Twilio's callbacks: the input is a query, a line feed and a body. Nobody who does not know the
 * token gets in, as a form or as anything else; what was let in stays within bounds.
 */
#include "webhook_body.h"

#include <jansson.h>

#define TOKEN "not to be guessed: 5f0c2f1f9a3d4d0b8c6e"

static const char *stranger(void *arg, const char *name)
{
	if (strcmp(name, "x-twilio-signature") == 0)
		return "AAAAAAAAAAAAAAAAAAAAAAAAAAA=";
	return strcmp(name, "content-type") == 0 ? arg : NULL;
}

static void check_stranger(const struct webhook_request *request, const char *type)
{
	struct webhook_request r = *request;
	json_t *settings = json_pack("{s:s, s:s}", "auth_token", TOKEN, "webhook_url",
				     "https://hooks.example.test/webhooks/twilio/twilio");
	const struct account a = {.name = "twilio", .provider = "twilio", .settings = settings};

	assert(settings);
	r.header = stranger;
	r.header_arg = (void *)(uintptr_t)type;
	assert(webhook_twilio.verify(&a, &r) == VERIFY_FORGED);
	json_decref(settings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *line = size > 0 ? memchr(data, '\n', size) : NULL;
	size_t query_bytes = line ? (size_t)(line - data) : 0;
	char *query = malloc(query_bytes + 1);
	const struct webhook_request r = {
		.query = line ? query : NULL,
		.body = (const char *)(line ? line + 1 : data),
		.body_bytes = line ? size - query_bytes - 1 : size,
		.header = no_header,
		.received_at = INT64_C(1700000000000),
	};

	assert(query);
	if (query_bytes > 0)
		memcpy(query, data, query_bytes);
	query[query_bytes] = '\0';
	check_stranger(&r, "application/x-www-form-urlencoded");
	check_stranger(&r, "application/json");
	fuzz_request(&webhook_twilio, &r);
	free(query);
	return 0;
}
