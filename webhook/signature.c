/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts are compared by their digests: these have one length, whatever was presented. A failing
 * library means no match, and errno ENOMEM.
 */
#include "webhook/signature.h"

#include <errno.h>
#include <string.h>

#include "common/buf.h"
#include "common/seal.h"

#define TIMESTAMP_DIGITS_MAX 15
#define TIMESTAMP_MS_FROM INT64_C(100000000000)
#define PREFIX "sha256="
#define SHA1_BYTES 20
#define KEY_PREFIX "whsec_"
#define KEY_BYTES_MAX 512

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
static bool is_signed(enum sign_algorithm algorithm, const unsigned char *shown, size_t shown_bytes,
		      const char *secrets, const struct sign_part *parts, size_t n)
{
	unsigned char right[SIGN_MAX_BYTES];
	struct sign_part secret;
	bool match = false;

	while (next_secret(&secrets, &secret)) {
		size_t made = sign_hmac(algorithm, secret.bytes, secret.n, parts, n, right);

		if (made != shown_bytes)
			errno = ENOMEM;
		match |= made == shown_bytes && sign_equal(shown, right, shown_bytes);
	}
	return match;
}

static bool is_signed_hex(const char *hex, const char *secrets, const struct sign_part *parts,
			  size_t n)
{
	unsigned char shown[SHA256_BYTES];

	if (strlen(hex) != 2 * sizeof(shown) || hex_decode(hex, 2 * sizeof(shown), shown) != 0)
		return false;
	return is_signed(SIGN_SHA256, shown, sizeof(shown), secrets, parts, n);
}

bool body_signature_matches(const char *signature, const char *secrets, const void *body,
			    size_t body_bytes)
{
	const struct sign_part part = {body, body_bytes};

	return signature && is_signed_hex(signature, secrets, &part, 1);
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
	return is_signed_hex(hex, secrets, parts, 3);
}

/* Exactly n bytes. */
static bool decode_exactly(const char *text, size_t text_bytes, unsigned char *ret_bytes, size_t n)
{
	char storage[SIGN_MAX_BYTES + 4];
	struct buf b;

	buf_init_fixed(&b, storage, sizeof(storage));
	if (base64_decode(text, text_bytes, &b) != 0 || b.failed || b.len != n)
		return false;
	memcpy(ret_bytes, b.data, n);
	return true;
}

bool text_signature_matches(const char *signature, const char *secrets, const void *text,
			    size_t text_bytes)
{
	const struct sign_part part = {text, text_bytes};
	unsigned char shown[SHA1_BYTES];

	return signature && decode_exactly(signature, strlen(signature), shown, sizeof(shown)) &&
	       is_signed(SIGN_SHA1, shown, sizeof(shown), secrets, &part, 1);
}

/* ---- Standard Webhooks ---- */

/* The bytes of a secret into a buffer; false: it is none. */
static bool read_key(const struct sign_part *secret, struct buf *ret_key)
{
	const char *text = secret->bytes;
	size_t n = secret->n;

	if (n > sizeof(KEY_PREFIX) - 1 && memcmp(text, KEY_PREFIX, sizeof(KEY_PREFIX) - 1) == 0) {
		text += sizeof(KEY_PREFIX) - 1;
		n -= sizeof(KEY_PREFIX) - 1;
	}
	buf_clear(ret_key);
	return base64_decode(text, n, ret_key) == 0 && !ret_key->failed && ret_key->len > 0;
}

bool standard_secrets_given(const char *secrets)
{
	char storage[KEY_BYTES_MAX];
	struct sign_part secret;
	struct buf key;
	bool given = false;

	buf_init_fixed(&key, storage, sizeof(storage));
	while (!given && next_secret(&secrets, &secret))
		given = read_key(&secret, &key);
	explicit_bzero(storage, sizeof(storage));
	return given;
}

/* Whether one of the signatures is this one. All are compared. */
static bool is_among(const char *signatures, const unsigned char right[SHA256_BYTES])
{
	unsigned char shown[SHA256_BYTES];
	bool match = false;

	for (const char *at = signatures; *at;) {
		size_t n = strcspn(at, " ");
		if (n > 3 && memcmp(at, "v1,", 3) == 0 &&
		    decode_exactly(at + 3, n - 3, shown, sizeof(shown)))
			match |= sign_equal(shown, right, sizeof(shown));
		at += n + strspn(at + n, " ");
	}
	return match;
}

/* An id is part of the signed text: a dot in it could be another one's border. */
static bool is_id(const char *id)
{
	size_t n = strlen(id);

	for (size_t i = 0; i < n; i++) {
		if (id[i] <= 0x20 || id[i] == 0x7f || id[i] == '.')
			return false;
	}
	return n > 0 && n < STANDARD_ID_BYTES;
}

bool standard_signature_matches(const struct standard_signature *s, const char *secrets,
				const void *body, size_t body_bytes, int64_t now_ms)
{
	unsigned char right[SIGN_MAX_BYTES];
	char storage[KEY_BYTES_MAX];
	struct sign_part secret;
	struct buf key;
	bool match = false;

	if (!s->id || !s->timestamp || !s->signatures || !is_id(s->id) ||
	    !is_fresh(s->timestamp, now_ms))
		return false;
	const struct sign_part parts[] = {{s->id, strlen(s->id)},
					  {".", 1},
					  {s->timestamp, strlen(s->timestamp)},
					  {".", 1},
					  {body, body_bytes}};
	buf_init_fixed(&key, storage, sizeof(storage));
	while (next_secret(&secrets, &secret)) {
		if (!read_key(&secret, &key))
			continue;
		if (sign_hmac(SIGN_SHA256, key.data, key.len, parts, 5, right) == SHA256_BYTES)
			match |= is_among(s->signatures, right);
		else
			errno = ENOMEM;
	}
	explicit_bzero(storage, sizeof(storage));
	return match;
}
