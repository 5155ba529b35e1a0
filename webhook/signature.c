/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts are compared by their digests: these have one length, whatever was presented. A failing
 * library means no match, and errno ENOMEM.
 */
#include "webhook/signature.h"

#include <errno.h>
#include <string.h>

#include "common/seal.h"

#define TIMESTAMP_DIGITS_MAX 15
#define TIMESTAMP_MS_FROM INT64_C(100000000000)
#define PREFIX "sha256="

/* The next secret of the list, blanks around it dropped; false at the end. */
static bool next_secret(const char **list, struct sign_part *ret)
{
	while (*list) {
		const char *s = *list;
		size_t n = strcspn(s, ",");
		*list = s[n] ? s + n + 1 : NULL;
		while (n > 0 && (*s == ' ' || *s == '\t')) {
			s++;
			n--;
		}
		while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t'))
			n--;
		*ret = (struct sign_part){.bytes = s, .n = n};
		if (n > 0)
			return true;
	}
	return false;
}

bool secrets_given(const char *secrets)
{
	struct sign_part secret;

	return next_secret(&secrets, &secret);
}

/* The library fails for want of memory alone. */
static bool digest(const struct sign_part *text, unsigned char ret_digest[SHA256_BYTES])
{
	if (sha256(text, 1, ret_digest))
		return true;
	errno = ENOMEM;
	return false;
}

bool secrets_match(const char *presented, const char *secrets)
{
	unsigned char shown[SHA256_BYTES], right[SHA256_BYTES];
	struct sign_part secret = {presented, presented ? strlen(presented) : 0};
	bool match = false;

	if (secret.n == 0 || !digest(&secret, shown))
		return false;
	while (next_secret(&secrets, &secret))
		match |= digest(&secret, right) && sign_equal(shown, right, sizeof(shown));
	return match;
}

/* Milliseconds, or -1. */
static int64_t parse_timestamp(const char *text)
{
	size_t n = strspn(text, "0123456789");
	int64_t v = 0;

	if (n == 0 || n > TIMESTAMP_DIGITS_MAX || text[n])
		return -1;
	for (size_t i = 0; i < n; i++)
		v = v * 10 + (text[i] - '0');
	return v > TIMESTAMP_MS_FROM ? v : v * 1000;
}

static bool is_fresh(const char *timestamp, int64_t now_ms)
{
	int64_t at = parse_timestamp(timestamp);

	return at >= 0 && at >= now_ms - SIGNATURE_WINDOW_MS && at <= now_ms + SIGNATURE_WINDOW_MS;
}

/* Whether one of the secrets makes this signature of the parts. */
static bool is_signed(const char *hex, const char *secrets, const struct sign_part *parts, size_t n)
{
	unsigned char shown[SHA256_BYTES], right[SIGN_MAX_BYTES];
	struct sign_part secret;
	bool match = false;

	if (strlen(hex) != 2 * sizeof(shown) || hex_decode(hex, 2 * sizeof(shown), shown) != 0)
		return false;
	while (next_secret(&secrets, &secret)) {
		size_t made = sign_hmac(SIGN_SHA256, secret.bytes, secret.n, parts, n, right);

		if (made != sizeof(shown))
			errno = ENOMEM;
		match |= made == sizeof(shown) && sign_equal(shown, right, sizeof(shown));
	}
	return match;
}

bool body_signature_matches(const char *signature, const char *secrets, const void *body,
			    size_t body_bytes)
{
	const struct sign_part part = {body, body_bytes};

	return signature && is_signed(signature, secrets, &part, 1);
}

bool timed_signature_matches(const struct timed_signature *s, const char *secrets, const void *body,
			     size_t body_bytes, int64_t now_ms)
{
	const char *hex = s->signature;

	if (!hex || !s->timestamp || !is_fresh(s->timestamp, now_ms))
		return false;
	if (strncmp(hex, PREFIX, sizeof(PREFIX) - 1) == 0)
		hex += sizeof(PREFIX) - 1;
	const struct sign_part parts[] = {
		{s->timestamp, strlen(s->timestamp)}, {".", 1}, {body, body_bytes}};
	return is_signed(hex, secrets, parts, 3);
}
