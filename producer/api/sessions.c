/* SPDX-License-Identifier: Apache-2.0 */
/* A cookie is hexadecimal digits of: sealed (id, hash of the key, end in milliseconds). */
#include "producer/api/sessions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTEXT "carillon session"
#define CSRF_CONTEXT "carillon csrf"
#define SEALED_MAX_BYTES 128

struct sessions {
	const struct clock *clock;
	unsigned char key[SEAL_KEY_BYTES];
};

/* Of a secret that is used for other things, too. */
static void derive(const char *secret, unsigned char ret_key[SEAL_KEY_BYTES])
{
	const struct sign_part part = {CONTEXT, strlen(CONTEXT)};
	unsigned char digest[SIGN_MAX_BYTES];

	if (sign_hmac(SIGN_SHA256, secret, strlen(secret), &part, 1, digest) != SEAL_KEY_BYTES)
		abort();
	memcpy(ret_key, digest, SEAL_KEY_BYTES);
}

struct sessions *sessions_new(const struct config *cfg, const struct clock *clock)
{
	struct sessions *s = calloc(1, sizeof(*s));
	const char *secret = config_str(cfg, CONFIG_KEY_SECRET_KEY);

	if (!s)
		abort();
	s->clock = clock;
	if (!secret)
		secret = config_str(cfg, CONFIG_KEY_ADMIN_API_KEY);
	if (secret)
		derive(secret, s->key);
	else
		clock->random(clock->arg, s->key, sizeof(s->key));
	return s;
}

void sessions_free(struct sessions *s)
{
	free(s);
}

bool sessions_begin(const struct sessions *s, const unsigned char key_hash[SHA256_BYTES],
		    struct session *ret, char ret_cookie[SESSION_COOKIE_BYTES])
{
	char storage[SEALED_MAX_BYTES];
	struct buf sealed;

	s->clock->random(s->clock->arg, ret->id, sizeof(ret->id));
	memcpy(ret->key_hash, key_hash, SHA256_BYTES);
	ret->expires_at_ms = clock_wall_ms(s->clock) + INT64_C(1000) * SESSION_S;
	buf_init_fixed(&sealed, storage, sizeof(storage));
	if (seal(s->key, CONTEXT, ret, sizeof(*ret), &sealed) != 0 ||
	    2 * sealed.len >= SESSION_COOKIE_BYTES)
		return false;
	hex_encode((const unsigned char *)sealed.data, sealed.len, ret_cookie);
	return true;
}

const char *sessions_cookie(const char *header, size_t *ret_n)
{
	const size_t name_bytes = strlen(SESSION_COOKIE);

	for (const char *s = header; s && *s; s += strcspn(s, ";")) {
		s += strspn(s, "; \t");
		if (strncmp(s, SESSION_COOKIE, name_bytes) == 0 && s[name_bytes] == '=') {
			s += name_bytes + 1;
			*ret_n = strcspn(s, "; \t");
			return s;
		}
	}
	return NULL;
}

bool sessions_read(const struct sessions *s, const char *cookie, size_t n, struct session *ret)
{
	unsigned char sealed[SEALED_MAX_BYTES];
	char storage[SEALED_MAX_BYTES];
	struct buf plain;

	buf_init_fixed(&plain, storage, sizeof(storage));
	if (n % 2 != 0 || n / 2 > sizeof(sealed) || hex_decode(cookie, n, sealed) != 0 ||
	    unseal(s->key, CONTEXT, sealed, n / 2, &plain) != 0 || plain.len != sizeof(*ret))
		return false;
	memcpy(ret, plain.data, sizeof(*ret));
	return ret->expires_at_ms > clock_wall_ms(s->clock);
}

void sessions_csrf(const struct sessions *s, const struct session *session,
		   char ret_token[SESSION_CSRF_BYTES])
{
	const struct sign_part parts[] = {
		{CSRF_CONTEXT, strlen(CSRF_CONTEXT)},
		{session->id, sizeof(session->id)},
	};
	unsigned char digest[SIGN_MAX_BYTES];

	if (sign_hmac(SIGN_SHA256, s->key, sizeof(s->key), parts, 2, digest) != SHA256_BYTES)
		abort();
	hex_encode(digest, SHA256_BYTES, ret_token);
}
