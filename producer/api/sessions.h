/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signed-in browsers. All that a session is, is sealed in its cookie: which key was shown (its
 * SHA-256) and until when it holds. So every producer with the same SECRET_KEY knows it, and a
 * restart ends none; what ended before its time is kept in the database (keys.h). It opens what its
 * key opens, for as long as the key does.
 */
#ifndef CARILLON_PRODUCER_API_SESSIONS_H
#define CARILLON_PRODUCER_API_SESSIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/http_server.h"
#include "common/seal.h"
#include "producer/api/keys.h"

#define SESSION_COOKIE "carillon_session"
#define SESSION_S (12 * 60 * 60)
#define SESSION_COOKIE_BYTES 256		  /* its value and a NUL */
#define SESSION_CSRF_BYTES (2 * SHA256_BYTES + 1) /* the same */

struct session {
	unsigned char id[SESSION_ID_BYTES];
	unsigned char key_hash[SHA256_BYTES];
	int64_t expires_at_ms;
};

struct sessions;

/* Sealed with SECRET_KEY, else with ADMIN_API_KEY; without either with a key of this process's own.
 * Never NULL. */
struct sessions *sessions_new(const struct config *cfg, const struct clock *clock);
/* Takes NULL. */
void sessions_free(struct sessions *s);

/* False without memory or randomness. */
bool sessions_begin(const struct sessions *s, const unsigned char key_hash[SHA256_BYTES],
		    struct session *ret, char ret_cookie[SESSION_COOKIE_BYTES])
	__attribute__((warn_unused_result));
/* The cookie's value among those of the header Cookie, not terminated; NULL: none. */
const char *sessions_cookie(const char *header, size_t *ret_n);
/* False if it is none of ours, or its time is over. */
bool sessions_read(const struct sessions *s, const char *cookie, size_t n, struct session *ret)
	__attribute__((warn_unused_result));
/* What a request that changes something has to show beside the cookie. */
void sessions_csrf(const struct sessions *s, const struct session *session,
		   char ret_token[SESSION_CSRF_BYTES]);

#endif
