/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets of callbacks. An account's secret may be several, separated by commas: during a rotation
 * the old and the new one are both good. All are tried, whichever fits, and no comparison ends
 * early, so that time tells nothing.
 */
#ifndef CARILLON_WEBHOOK_SIGNATURE_H
#define CARILLON_WEBHOOK_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIGNATURE_WINDOW_MS (300 * 1000)

/* Whether there is one to verify with. `secrets` may be NULL. */
bool secrets_given(const char *secrets);
/* Whether `presented` is one of them. NULL and "" never are. */
bool secrets_match(const char *presented, const char *secrets);

/* HMAC-SHA256 in hexadecimal over the body alone. `signature` may be NULL: then it does not match.
 * No time is signed: what it lets in may be an old request, sent again. */
bool body_signature_matches(const char *signature, const char *secrets, const void *body,
			    size_t body_bytes);

/* HMAC-SHA256 in hexadecimal over "<timestamp>.<body>"; "sha256=" may stand before it. */
struct timed_signature {
	const char *signature; /* either may be NULL: then it does not match */
	const char *timestamp; /* digits: seconds since 1970, or milliseconds (beyond 1e11) */
};
/* Without a timestamp within SIGNATURE_WINDOW_MS of now a copied request would stay good for ever,
 * so there is no match. */
bool timed_signature_matches(const struct timed_signature *s, const char *secrets, const void *body,
			     size_t body_bytes, int64_t now_ms);

/* HMAC-SHA1 in base64 over a text. `signature` may be NULL: then it does not match. */
bool text_signature_matches(const char *signature, const char *secrets, const void *text,
			    size_t text_bytes);

/* Standard Webhooks: HMAC-SHA256 in base64 over "<id>.<timestamp>.<body>", with the bytes that
 * "whsec_" and base64 stand for as key. */
#define STANDARD_ID_BYTES 129
struct standard_signature {
	const char *id;	       /* any may be NULL: then it does not match */
	const char *timestamp; /* seconds since 1970, within SIGNATURE_WINDOW_MS of now */
	const char
		*signatures; /* separated by spaces, each "v1,<base64>"; others are passed over */
};
/* Whether one of the secrets is a key at all. `secrets` may be NULL. */
bool standard_secrets_given(const char *secrets);
bool standard_signature_matches(const struct standard_signature *s, const char *secrets,
				const void *body, size_t body_bytes, int64_t now_ms);

#endif
