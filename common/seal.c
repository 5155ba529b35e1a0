/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing and signatures by OpenSSL 3's EVP interface, and the two text forms of bytes. A new
 * random nonce for each sealing; at 96 bits and some thousand credentials a repetition is out of
 * the question.
 */
#include "common/seal.h"

#include <assert.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1
#define NONCE_BYTES 12
#define TAG_BYTES 16
#define HEAD_BYTES (1 + NONCE_BYTES)

static void cleanup_cipher(EVP_CIPHER_CTX **c)
{
	EVP_CIPHER_CTX_free(*c);
}

int seal(const unsigned char key[SEAL_KEY_BYTES], const char *context, const void *plain, size_t n,
	 struct buf *ret_sealed)
{
	__attribute__((cleanup(cleanup_cipher))) EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	unsigned char head[HEAD_BYTES] = {VERSION};
	unsigned char tag[TAG_BYTES];
	int done = 0, last = 0;

	if (!c || n > INT_MAX || RAND_bytes(head + 1, NONCE_BYTES) != 1 ||
	    EVP_EncryptInit_ex2(c, EVP_aes_256_gcm(), key, head + 1, NULL) != 1 ||
	    EVP_EncryptUpdate(c, NULL, &done, (const unsigned char *)context,
			      (int)strlen(context)) != 1)
		return -1;
	unsigned char *cipher = malloc(n + 1);
	if (!cipher)
		return -1;
	int status = -1;
	if (EVP_EncryptUpdate(c, cipher, &done, plain, (int)n) == 1 &&
	    EVP_EncryptFinal_ex(c, cipher + done, &last) == 1 &&
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, tag) == 1) {
		buf_add(ret_sealed, head, sizeof(head));
		buf_add(ret_sealed, cipher, (size_t)done + (size_t)last);
		buf_add(ret_sealed, tag, sizeof(tag));
		status = ret_sealed->failed ? -1 : 0;
	}
	free(cipher);
	return status;
}

int unseal(const unsigned char key[SEAL_KEY_BYTES], const char *context, const void *sealed,
	   size_t n, struct buf *ret_plain)
{
	__attribute__((cleanup(cleanup_cipher))) EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	const unsigned char *s = sealed;
	unsigned char tag[TAG_BYTES];
	int done = 0, last = 0;

	if (!c || n < HEAD_BYTES + TAG_BYTES || n > INT_MAX || s[0] != VERSION)
		return -1;
	size_t plain_bytes = n - HEAD_BYTES - TAG_BYTES;
	memcpy(tag, s + n - TAG_BYTES, TAG_BYTES);
	unsigned char *plain = malloc(plain_bytes + 1);
	if (!plain)
		return -1;
	int status = -1;
	if (EVP_DecryptInit_ex2(c, EVP_aes_256_gcm(), key, s + 1, NULL) == 1 &&
	    EVP_DecryptUpdate(c, NULL, &done, (const unsigned char *)context,
			      (int)strlen(context)) == 1 &&
	    EVP_DecryptUpdate(c, plain, &done, s + HEAD_BYTES, (int)plain_bytes) == 1 &&
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) == 1 &&
	    EVP_DecryptFinal_ex(c, plain + done, &last) == 1) {
		buf_add(ret_plain, plain, (size_t)done + (size_t)last);
		status = ret_plain->failed ? -1 : 0;
	}
	OPENSSL_cleanse(plain, plain_bytes);
	free(plain);
	return status;
}

/* ---- Several keys ---- */

int seal_keys_parse(const char *list, struct seal_keys *ret_keys)
{
	struct seal_keys keys = {0};
	const char *at = list;
	bool good = true;

	for (bool more = true; good && more; at++) {
		at += strspn(at, " ");
		size_t n = strcspn(at, ", ");
		good = n == 2 * SEAL_KEY_BYTES && keys.n < SEAL_KEYS_MAX &&
		       hex_decode(at, n, keys.key[keys.n]) == 0;
		at += n + strspn(at + n, " ");
		more = *at == ',';
		good = good && (more || *at == '\0');
		keys.n++;
	}
	if (!good)
		OPENSSL_cleanse(&keys, sizeof(keys));
	*ret_keys = keys;
	OPENSSL_cleanse(&keys, sizeof(keys));
	return good ? 0 : -1;
}

int unseal_any(const struct seal_keys *keys, const char *context, const void *sealed, size_t n,
	       struct buf *ret_plain, size_t *ret_which)
{
	for (size_t i = 0; i < keys->n; i++) {
		if (unseal(keys->key[i], context, sealed, n, ret_plain) == 0) {
			*ret_which = i;
			return 0;
		}
	}
	return -1;
}

/* ---- Signatures ---- */

static const char *const digest_names[] = {
	[SIGN_SHA1] = "SHA1",
	[SIGN_SHA256] = "SHA256",
	[SIGN_SHA512] = "SHA512",
};

/* Looking an algorithm up costs more than using it, so each is looked up once and kept. */
static EVP_MAC *hmac_method(void)
{
	static EVP_MAC *method;

	if (!method)
		method = EVP_MAC_fetch(NULL, "HMAC", NULL);
	return method;
}

size_t sign_hmac(enum sign_algorithm a, const void *key, size_t key_bytes,
		 const struct sign_part *parts, size_t parts_count,
		 unsigned char ret_digest[SIGN_MAX_BYTES])
{
	char digest[16];
	size_t n = 0;

	memcpy(digest, digest_names[a], strlen(digest_names[a]) + 1);
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *method = hmac_method();
	EVP_MAC_CTX *c = method ? EVP_MAC_CTX_new(method) : NULL;
	/* A NULL key would mean "the former one". */
	bool good = c && EVP_MAC_init(c, key_bytes ? key : "", key_bytes, params) == 1;
	for (size_t i = 0; good && i < parts_count; i++)
		good = EVP_MAC_update(c, parts[i].bytes, parts[i].n) == 1;
	good = good && EVP_MAC_final(c, ret_digest, &n, SIGN_MAX_BYTES) == 1;
	EVP_MAC_CTX_free(c);
	return good ? n : 0;
}

bool sha256(const struct sign_part *parts, size_t parts_count,
	    unsigned char ret_digest[SHA256_BYTES])
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	bool good = c && EVP_DigestInit_ex2(c, EVP_sha256(), NULL) == 1;

	for (size_t i = 0; good && i < parts_count; i++)
		good = EVP_DigestUpdate(c, parts[i].bytes, parts[i].n) == 1;
	good = good && EVP_DigestFinal_ex(c, ret_digest, NULL) == 1;
	EVP_MD_CTX_free(c);
	return good;
}

bool sign_equal(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}

/* ---- Text forms ---- */

void hex_encode(const unsigned char *bytes, size_t n, char *ret_text)
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		ret_text[2 * i] = hex[bytes[i] >> 4];
		ret_text[2 * i + 1] = hex[bytes[i] & 15];
	}
	ret_text[2 * n] = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int hex_decode(const char *text, size_t n, unsigned char *ret_bytes)
{
	if (n % 2 != 0)
		return -1;
	for (size_t i = 0; i < n; i += 2) {
		int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
		if (high < 0 || low < 0)
			return -1;
		ret_bytes[i / 2] = (unsigned char)(high << 4 | low);
	}
	return 0;
}

static const char base64_alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const unsigned char *bytes, size_t n, struct buf *ret_text)
{
	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		unsigned v = (unsigned)bytes[i] << 16;
		if (left > 1)
			v |= (unsigned)bytes[i + 1] << 8;
		if (left > 2)
			v |= bytes[i + 2];
		char group[4] = {base64_alphabet[v >> 18], base64_alphabet[v >> 12 & 63],
				 left > 1 ? base64_alphabet[v >> 6 & 63] : '=',
				 left > 2 ? base64_alphabet[v & 63] : '='};
		buf_add(ret_text, group, sizeof(group));
	}
}

static int base64_digit(char c)
{
	const char *p = c ? strchr(base64_alphabet, c) : NULL;

	return p ? (int)(p - base64_alphabet) : -1;
}

int base64_decode(const char *text, size_t n, struct buf *ret_bytes)
{
	size_t start = ret_bytes->len;

	if (n % 4 != 0)
		return -1;
	for (size_t i = 0; i < n && !ret_bytes->failed; i += 4) {
		unsigned v = 0;
		size_t pad = 0;
		if (i + 4 == n)
			pad = text[n - 1] != '=' ? 0 : text[n - 2] != '=' ? 1 : 2;
		for (size_t k = 0; k < 4; k++) {
			int digit = k < 4 - pad ? base64_digit(text[i + k]) : 0;
			if (digit < 0)
				goto malformed;
			v = v << 6 | (unsigned)digit;
		}
		/* Bits that no byte holds must be zero, so that each value has one text. */
		if (v & ((1u << 8 * pad) - 1))
			goto malformed;
		const char bytes[3] = {(char)(v >> 16 & 255), (char)(v >> 8 & 255),
				       (char)(v & 255)};
		buf_add(ret_bytes, bytes, 3 - pad);
	}
	return ret_bytes->failed ? -1 : 0;

malformed:
	ret_bytes->len = start;
	ret_bytes->data[start] = '\0';
	return -1;
}
