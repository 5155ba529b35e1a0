/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Headers and bodies of strangers before Vapi's verify() and Bland's. The input is a signature, a
 * timestamp, an Authorization, an X-Vapi-Secret and a body, with a line feed after each but the
 * last. Nobody who does not know the secret may get in; what is rightly signed does, and no longer
 * once a bit of it is changed.
 */
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/seal.h"
#include "webhook/adapter.h"
#include "webhook/signature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SECRET "not to be guessed: 5f0c2f1f9a3d4d0b8c6e"
#define NOW_MS INT64_C(1700000000000)

enum field { SIGNATURE, TIMESTAMP, AUTHORIZATION, SHARED_SECRET, FIELDS };

static const char *const names[FIELDS] = {"x-signature", "x-timestamp", "authorization",
					  "x-vapi-secret"};

static const char *header(void *arg, const char *name)
{
	char *const *fields = arg;

	if (strcmp(name, "x-webhook-signature") == 0)
		return fields[SIGNATURE];
	for (size_t i = 0; i < FIELDS; i++) {
		if (strcmp(names[i], name) == 0)
			return fields[i];
	}
	return NULL;
}

static void sign(const char *timestamp, const char *body, size_t n, char *ret_hex)
{
	const struct sign_part parts[] = {{timestamp, strlen(timestamp)}, {".", 1}, {body, n}};
	unsigned char digest[SIGN_MAX_BYTES];

	if (sign_hmac(SIGN_SHA256, SECRET, strlen(SECRET), parts, 3, digest) != SHA256_BYTES)
		abort();
	hex_encode(digest, SHA256_BYTES, ret_hex);
}

/* The stranger's body and timestamp, signed by one who may. */
static void check_right_signature(const char *timestamp, char *body, size_t n)
{
	char hex[2 * SHA256_BYTES + 1];
	const struct timed_signature s = {hex, timestamp};

	sign(timestamp, body, n, hex);
	bool fresh = timed_signature_matches(&s, SECRET, body, n, NOW_MS);
	sign("1700000000", body, n, hex);
	const struct timed_signature now = {hex, "1700000000"};
	assert(timed_signature_matches(&now, "old, " SECRET, body, n, NOW_MS));
	assert(!timed_signature_matches(&now, "old, other", body, n, NOW_MS));
	if (n > 0) {
		body[n / 2] ^= 1;
		assert(!timed_signature_matches(&now, SECRET, body, n, NOW_MS));
		body[n / 2] ^= 1;
	}
	/* Whatever text is taken for a fresh time begins like one. */
	assert(!fresh || strspn(timestamp, "0123456789") == strlen(timestamp));
}

/* Bland's, over the body alone. */
static void check_body_signature(char *body, size_t n)
{
	const struct sign_part part = {body, n};
	unsigned char digest[SIGN_MAX_BYTES];
	char hex[2 * SHA256_BYTES + 1];

	if (sign_hmac(SIGN_SHA256, SECRET, strlen(SECRET), &part, 1, digest) != SHA256_BYTES)
		abort();
	hex_encode(digest, SHA256_BYTES, hex);
	assert(body_signature_matches(hex, "old, " SECRET, body, n));
	assert(!body_signature_matches(hex, "old, other", body, n));
	if (n > 0) {
		body[n / 2] ^= 1;
		assert(!body_signature_matches(hex, SECRET, body, n));
		body[n / 2] ^= 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const auths[] = {"any", "bearer", "secret", "hmac"};
	char *text = malloc(size + 1);
	char *fields[FIELDS] = {NULL};
	char *at = text, *end;

	assert(text);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	for (size_t i = 0; i < FIELDS; i++) {
		end = memchr(at, '\n', (size_t)(text + size - at));
		if (!end)
			break;
		*end = '\0';
		fields[i] = at;
		at = end + 1;
	}
	const struct webhook_request r = {
		.body = at,
		.body_bytes = (size_t)(text + size - at),
		.header = header,
		.header_arg = fields,
		.received_at = NOW_MS,
	};
	for (size_t i = 0; i < sizeof(auths) / sizeof(auths[0]); i++) {
		json_t *settings = json_pack("{s:s, s:s}", "webhook_secret",
					     SECRET ", older " SECRET, "webhook_auth", auths[i]);
		const struct account a = {.name = "vapi", .provider = "vapi", .settings = settings};
		/* The fuzzer can't know the secret, unless a corpus tells it. */
		assert(webhook_vapi.verify(&a, &r) == VERIFY_FORGED);
		assert(webhook_bland.verify(&a, &r) == VERIFY_FORGED);
		json_decref(settings);
	}
	check_body_signature(at, r.body_bytes);
	if (fields[TIMESTAMP])
		check_right_signature(fields[TIMESTAMP], at, r.body_bytes);
	free(text);
	return 0;
}
