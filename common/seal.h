/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing of credentials at rest: AES-256-GCM with a random 96-bit nonce, bound to a context (the
 * account's name) as additional data, so that a sealed value can't be moved to another row.
 *
 * Sealed form: byte 1 (version), 12 bytes nonce, ciphertext, 16 bytes tag.
 */
#ifndef CARILLON_SEAL_H
#define CARILLON_SEAL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

#define SEAL_KEY_BYTES 32

/* Appends. 0 or -1 (no memory, no randomness). */
int seal(const unsigned char key[SEAL_KEY_BYTES], const char *context, const void *plain, size_t n,
	 struct buf *ret_sealed) __attribute__((warn_unused_result));
/* Appends. -1: another key or context, or changed bytes. */
int unseal(const unsigned char key[SEAL_KEY_BYTES], const char *context, const void *sealed,
	   size_t n, struct buf *ret_plain) __attribute__((warn_unused_result));

/* While a key is replaced: the one that seals, and those before it, which still open. */
#define SEAL_KEYS_MAX 4
struct seal_keys {
	size_t n; /* 0: there is none */
	unsigned char key[SEAL_KEYS_MAX][SEAL_KEY_BYTES];
};
/* Keys of 64 hexadecimal characters, separated by commas. 0, or -1 and none. */
int seal_keys_parse(const char *list, struct seal_keys *ret_keys);
/* unseal() by whichever fits; its place among the keys goes to `ret_which`. */
int unseal_any(const struct seal_keys *keys, const char *context, const void *sealed, size_t n,
	       struct buf *ret_plain, size_t *ret_which) __attribute__((warn_unused_result));

/* ---- Signatures over raw bytes ---- */
enum sign_algorithm { SIGN_SHA1, SIGN_SHA256, SIGN_SHA512 };
#define SIGN_MAX_BYTES 64
/* HMAC over the concatenation of `parts`. Returns the digest's length, 0 if the library fails. */
struct sign_part {
	const void *bytes;
	size_t n;
};
size_t sign_hmac(enum sign_algorithm a, const void *key, size_t key_bytes,
		 const struct sign_part *parts, size_t parts_count,
		 unsigned char ret_digest[SIGN_MAX_BYTES]);
#define SHA256_BYTES 32
/* Plain digest of the concatenation. False if the library fails. */
bool sha256(const struct sign_part *parts, size_t parts_count,
	    unsigned char ret_digest[SHA256_BYTES]) __attribute__((warn_unused_result));
/* Constant-time compare of equal-length bytes. */
bool sign_equal(const void *a, const void *b, size_t n);
void hex_encode(const unsigned char *bytes, size_t n, char *ret_text); /* 2n + 1 bytes */
int hex_decode(const char *text, size_t n, unsigned char *ret_bytes)
	__attribute__((warn_unused_result)); /* n/2 bytes */
void base64_encode(const unsigned char *bytes, size_t n, struct buf *ret_text);
/* Standard alphabet with padding; -1 if malformed. */
int base64_decode(const char *text, size_t n, struct buf *ret_bytes)
	__attribute__((warn_unused_result));

#endif
