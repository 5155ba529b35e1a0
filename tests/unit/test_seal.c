/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing against every kind of change, and HMAC, hex and base64 by the providers' vectors
 * (invented secrets). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/seal.h"

static const unsigned char key[SEAL_KEY_BYTES] = "0123456789abcdef0123456789abcde";

#define KEY_A "00112233445566778899aAbBcCdDeEfF00112233445566778899aabbccddeeff"
#define KEY_B "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void keys_are_64_hexadecimal_characters(void **state)
{
	static const struct {
		const char *list;
		size_t n; /* 0: no list of keys */
	} rows[] = {
		{KEY_A, 1},
		{KEY_A "," KEY_B, 2},
		{" " KEY_A " , " KEY_B " ", 2},
		{KEY_A "," KEY_B "," KEY_A "," KEY_B, SEAL_KEYS_MAX},
		{KEY_A "," KEY_B "," KEY_A "," KEY_B "," KEY_A, 0},
		{"", 0},
		{",", 0},
		{KEY_A ",", 0},
		{"," KEY_A, 0},
		{KEY_A ",," KEY_B, 0},
		{KEY_A " " KEY_B, 0},
		{KEY_A ";" KEY_B, 0},
		{KEY_A "0", 0},
		{"00112233445566778899aabbccddeeff00112233445566778899aabbccddeef", 0},
		{"0g112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", 0},
		{KEY_A ",0g112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", 0},
	};
	static const struct seal_keys none = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct seal_keys keys;
		int got = seal_keys_parse(rows[i].list, &keys);
		if (got != (rows[i].n ? 0 : -1) || keys.n != rows[i].n)
			fail_msg("row %zu: %d, %zu keys", i, got, keys.n);
		if (rows[i].n == 0) {
			assert_memory_equal(&keys, &none, sizeof(none));
			continue;
		}
		assert_int_equal(keys.key[0][0], 0);
		assert_int_equal(keys.key[0][10], 0xaa);
		assert_int_equal(keys.key[0][31], 0xff);
		assert_int_equal(keys.key[1][0], keys.n > 1 ? 0xff : 0);
	}
}

static void an_old_key_opens_and_tells_which_it_was(void **state)
{
	struct seal_keys keys, old, others = {0};
	struct buf sealed, opened;
	size_t which = 9;

	(void)state;
	assert_int_equal(seal_keys_parse(KEY_A "," KEY_B, &keys), 0);
	assert_int_equal(seal_keys_parse(KEY_B, &old), 0);
	buf_init(&sealed, 1000);
	buf_init(&opened, 1000);
	assert_int_equal(seal(old.key[0], "omni", "abc", 3, &sealed), 0);
	assert_int_equal(unseal_any(&keys, "omni", sealed.data, sealed.len, &opened, &which), 0);
	assert_int_equal(which, 1);
	assert_string_equal(opened.data, "abc");
	buf_clear(&sealed);
	buf_clear(&opened);
	assert_int_equal(seal(keys.key[0], "omni", "abc", 3, &sealed), 0);
	assert_int_equal(unseal_any(&keys, "omni", sealed.data, sealed.len, &opened, &which), 0);
	assert_int_equal(which, 0);
	assert_string_equal(opened.data, "abc");
	assert_int_equal(unseal_any(&keys, "vapi", sealed.data, sealed.len, &opened, &which), -1);
	assert_int_equal(unseal_any(&old, "omni", sealed.data, sealed.len, &opened, &which), -1);
	assert_int_equal(unseal_any(&others, "omni", sealed.data, sealed.len, &opened, &which), -1);
	assert_int_equal(opened.len, 3);
	buf_release(&sealed);
	buf_release(&opened);
}

static void what_is_sealed_opens_with_key_and_context_only(void **state)
{
	static const char plain[] = "{\"api_key\":\"k\"}";
	unsigned char other_key[SEAL_KEY_BYTES];
	struct buf sealed, again, opened;

	(void)state;
	memcpy(other_key, key, sizeof(key));
	other_key[31] ^= 1;
	buf_init(&sealed, 1000);
	buf_init(&again, 1000);
	buf_init(&opened, 1000);
	assert_int_equal(seal(key, "omni", plain, sizeof(plain), &sealed), 0);
	assert_int_equal(seal(key, "omni", plain, sizeof(plain), &again), 0);
	assert_int_equal(sealed.len, 1 + 12 + sizeof(plain) + 16);
	assert_int_equal(sealed.data[0], 1);
	assert_memory_not_equal(sealed.data, again.data, sealed.len);
	assert_int_equal(unseal(key, "omni", sealed.data, sealed.len, &opened), 0);
	assert_int_equal(opened.len, sizeof(plain));
	assert_memory_equal(opened.data, plain, sizeof(plain));
	buf_clear(&opened);
	assert_int_equal(unseal(other_key, "omni", sealed.data, sealed.len, &opened), -1);
	assert_int_equal(unseal(key, "vapi", sealed.data, sealed.len, &opened), -1);
	assert_int_equal(unseal(key, "", sealed.data, sealed.len, &opened), -1);
	for (size_t i = 0; i < sealed.len; i++) {
		sealed.data[i] ^= 1;
		assert_int_equal(unseal(key, "omni", sealed.data, sealed.len, &opened), -1);
		sealed.data[i] ^= 1;
	}
	for (size_t n = 0; n < sealed.len; n++)
		assert_int_equal(unseal(key, "omni", sealed.data, n, &opened), -1);
	assert_int_equal(opened.len, 0);
	buf_release(&sealed);
	buf_release(&again);
	buf_release(&opened);
}

static void nothing_can_be_sealed_and_bounds_hold(void **state)
{
	struct buf sealed, opened;

	(void)state;
	buf_init(&sealed, 29);
	buf_init(&opened, 3);
	assert_int_equal(seal(key, "c", "", 0, &sealed), 0);
	assert_int_equal(unseal(key, "c", sealed.data, sealed.len, &opened), 0);
	assert_int_equal(opened.len, 0);
	buf_clear(&sealed);
	assert_int_equal(seal(key, "c", "x", 1, &sealed), -1);
	buf_release(&sealed);
	buf_init(&sealed, 100);
	assert_int_equal(seal(key, "c", "1234", 4, &sealed), 0);
	assert_int_equal(unseal(key, "c", sealed.data, sealed.len, &opened), -1);
	buf_release(&sealed);
	buf_release(&opened);
}

/* ---- Signatures ---- */

enum form { HEX, BASE64 };

#define BODY_VAPI                                                                                  \
	"{\"message\":{\"type\":\"status-update\",\"status\":\"ended\",\"call\":{\"id\":"          \
	"\"11111111-2222-3333-4444-555555555555\"}}}"
#define T_PARAMS                                                                                      \
	"AccountSidAC00000000000000000000000000000001AnsweredByhumanCallDuration31CallSid"            \
	"CA00000000000000000000000000000001CallStatuscompletedCallbackSourcecall-progress-eventsFrom" \
	"+12025550100SequenceNumber3TimestampTue, 14 Nov 2023 22:13:20 +0000To+12025550101"
#define TWILIO_PARAMS                                                                              \
	"CallSidCA1234567890ABCDECaller+14158675309Digits1234From+14158675309To+18005551212"
#define TWILIO_JSON_SHA "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
#define T3_SHA "31cc52a7f0a8b70d93ffd8f38457302911f891c9dd598aa3a812316467ee299a"

/* Secret, up to three parts, and the signature as the provider sends it. */
static const struct vector {
	enum sign_algorithm algorithm;
	enum form form;
	const char *secret;
	const char *parts[3];
	const char *signature;
} vectors[] = {
	{SIGN_SHA1,
	 BASE64,
	 "12345",
	 {"https://mycompany.com/myapp.php?foo=1&bar=2", TWILIO_PARAMS},
	 "RSOYDt4T1cUTdK1PDd93/VVr8B8="},
	{SIGN_SHA1,
	 BASE64,
	 "12345",
	 {"https://mycompany.com:443/myapp.php?foo=1&bar=2", TWILIO_PARAMS},
	 "kvajT1Ptam85bY51eRf/AJRuM3w="},
	{SIGN_SHA1,
	 BASE64,
	 "12345",
	 {"http://mycompany.com:80/myapp.php?foo=1&bar=2", TWILIO_PARAMS},
	 "0ZXoZLH/DfblKGATFgpif+LLRf4="},
	{SIGN_SHA1,
	 BASE64,
	 "12345",
	 {"https://mycompany.com/myapp.php?foo=1&bar=2&bodySHA256=", TWILIO_JSON_SHA},
	 "a9nBmqA0ju/hNViExpshrM61xv4="},
	{SIGN_SHA1,
	 BASE64,
	 "12345",
	 {"https://mycompany.com/myapp.php?foo=1&bar=2",
	  "Digits1234Digits5678SidCA123SidAccountAC123"},
	 "IK+Dwps556ElfBT0I3Rgjkr1wJU="},
	{SIGN_SHA1,
	 BASE64,
	 "test-twilio-auth-token",
	 {"https://hooks.example.test/twilio/status/t1?job=42", T_PARAMS},
	 "Kd0C3uTxS7J1ksObQbFOU2M/oSc="},
	{SIGN_SHA1,
	 BASE64,
	 "test-twilio-auth-token",
	 {"https://hooks.example.test:443/twilio/status/t1?job=42", T_PARAMS},
	 "FnCJA8WFD5ydMh0MrH5hk3m9vps="},
	{SIGN_SHA1,
	 BASE64,
	 "test-twilio-auth-token",
	 {"https://hooks.example.test/twilio/json?bodySHA256=", T3_SHA},
	 "sBSE1rz8Pmtk8CNznsYb0jBrMjk="},
	{SIGN_SHA1,
	 BASE64,
	 "test-twilio-auth-token",
	 {"https://hooks.example.test/twilio/x",
	  "CallSidCA00000000000000000000000000000001Digits1Digits2Empty", "NameZo\xc3\xab & Co"},
	 "IWSZ4YNb0deCYdvgP0eOZJmcRno="},
	{SIGN_SHA256,
	 HEX,
	 "test-vapi-secret",
	 {"1700000000", ".", BODY_VAPI},
	 "463f0588f0bf008c790dfd457d610dec320cc8becda019f07af6eb1a7837548a"},
	{SIGN_SHA256,
	 HEX,
	 "test-vapi-secret",
	 {"1700000000000", ".", BODY_VAPI},
	 "8d1d20df297e490762af13f8f7043e8b88d832c12f1e5812a075c9dd2681ee9c"},
	{SIGN_SHA256,
	 HEX,
	 "test-vapi-secret",
	 {BODY_VAPI},
	 "421632e2ea5c65bd6deb4edc4e9776b29ba98c4d3622d9e5fa84ab548546ac95"},
	{SIGN_SHA256,
	 HEX,
	 "test-bland-secret",
	 {"{\"call_id\":\"c-0001\",\"status\":\"completed\",\"metadata\":{\"job_id\":\"job-42\"}}"},
	 "1d473326f7f3a4ed0a3ee894a7ed09772d1f3eb4ae58db25f40c19ec13f39d1c"},
	{SIGN_SHA256,
	 HEX,
	 "test-bland-secret",
	 {"{\"call_id\":\"c-0002\",\"summary\":\"caf\xc3\xa9 \xe2\x80\x94 ok\",\"completed\":true}"},
	 "08690482d12d1fff2aa3e4533517c79e24a307a5bde1c81cac047799fd8eeb6f"},
	{SIGN_SHA256,
	 HEX,
	 "test-retell-key",
	 {"{\"event\":\"call_ended\",\"call\":{\"call_id\":\"call_0001\",\"metadata\":{\"job_id\":\"job-42\"}}}",
	  "1700000000000"},
	 "177585146e1c96332c9e0f24d2b14488cc6cdf802f7ba037bd7814a3fcce9232"},
	/* RFC 4231, test case 2. */
	{SIGN_SHA512,
	 HEX,
	 "Jefe",
	 {"what do ya want for nothing?"},
	 "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
	 "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"},
};

static void check_signature(const void *secret, size_t secret_bytes, const struct vector *v)
{
	struct sign_part parts[3];
	size_t count = 0;
	unsigned char digest[SIGN_MAX_BYTES];
	char hex[2 * SIGN_MAX_BYTES + 1];
	struct buf text;

	for (; count < 3 && v->parts[count]; count++)
		parts[count] = (struct sign_part){v->parts[count], strlen(v->parts[count])};
	size_t n = sign_hmac(v->algorithm, secret, secret_bytes, parts, count, digest);
	assert_int_equal(n, v->algorithm == SIGN_SHA1 ? 20 : v->algorithm == SIGN_SHA256 ? 32 : 64);
	buf_init(&text, 200);
	hex_encode(digest, n, hex);
	base64_encode(digest, n, &text);
	assert_string_equal(v->form == HEX ? hex : text.data, v->signature);
	buf_release(&text);
}

static void the_providers_vectors_hold(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		check_signature(vectors[i].secret, strlen(vectors[i].secret), &vectors[i]);
}

static void standard_webhooks_vectors_hold(void **state)
{
	static const struct vector rows[] = {
		{SIGN_SHA256,
		 BASE64,
		 NULL,
		 {"msg_0001.", "1700000000.",
		  "{\"type\":\"call.completed\",\"data\":{\"id\":\"call-1\"}}"},
		 "nlZCNtLGpxQI7veNvxhxRxl7xDiTtly5MsuHLary368="},
		{SIGN_SHA256,
		 BASE64,
		 NULL,
		 {"msg_p5jXN8AQM9LWM0D4loKWxJek.", "1614265330.", "{\"test\": 2432232314}"},
		 "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
	};
	static const char secret[] = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"; /* after its whsec_ */
	struct buf decoded;

	(void)state;
	buf_init(&decoded, 64);
	assert_int_equal(base64_decode(secret, strlen(secret), &decoded), 0);
	assert_int_equal(decoded.len, 24);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_signature(decoded.data, decoded.len, &rows[i]);
	buf_release(&decoded);
}

static void an_empty_key_is_a_key(void **state)
{
	static const struct vector v = {
		SIGN_SHA256,
		HEX,
		NULL,
		{""},
		"b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"};
	static const struct vector other = {
		SIGN_SHA256,
		HEX,
		NULL,
		{BODY_VAPI},
		"421632e2ea5c65bd6deb4edc4e9776b29ba98c4d3622d9e5fa84ab548546ac95"};

	(void)state;
	check_signature("test-vapi-secret", 16, &other);
	check_signature(NULL, 0, &v);
}

static void bodies_digest_as_twilio_says(void **state)
{
	static const struct sign_part parts[] = {{"{\"property\": \"value\",", 21},
						 {" \"boolean\": true}", 17}};
	unsigned char digest[SHA256_BYTES];
	char hex[2 * SHA256_BYTES + 1];

	(void)state;
	assert_true(sha256(parts, 2, digest));
	hex_encode(digest, sizeof(digest), hex);
	assert_string_equal(hex, TWILIO_JSON_SHA);
	assert_true(sha256(NULL, 0, digest));
	hex_encode(digest, sizeof(digest), hex);
	assert_string_equal(hex,
			    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void equality_is_of_all_bytes(void **state)
{
	(void)state;
	assert_true(sign_equal("abc", "abc", 3));
	assert_true(sign_equal("abc", "abd", 2));
	assert_false(sign_equal("abc", "abd", 3));
	assert_false(sign_equal("xbc", "abc", 3));
	assert_true(sign_equal("a", "b", 0));
}

static void hex_is_strict(void **state)
{
	unsigned char bytes[4] = {9, 9, 9, 9};

	(void)state;
	assert_int_equal(hex_decode("00aBFf", 6, bytes), 0);
	assert_memory_equal(bytes, "\x00\xab\xff\x09", 4);
	assert_int_equal(hex_decode("", 0, bytes), 0);
	assert_int_equal(hex_decode("abc", 3, bytes), -1);
	assert_int_equal(hex_decode("0x", 2, bytes), -1);
	assert_int_equal(hex_decode("g0", 2, bytes), -1);
}

static void base64_is_strict(void **state)
{
	/* RFC 4648, section 10. */
	static const char *const rows[][2] = {{"", ""},
					      {"f", "Zg=="},
					      {"fo", "Zm8="},
					      {"foo", "Zm9v"},
					      {"foob", "Zm9vYg=="},
					      {"fooba", "Zm9vYmE="},
					      {"foobar", "Zm9vYmFy"}};
	static const char *const bad[] = {"Z",	  "Zg",	      "Zg=",	  "Zg===", "Zm9v=",
					  "====", "=Zg=",     "Zh==",	  "Zm9=",  "Zm 9",
					  "Zm-_", "Zg==Zg==", "Zm9vZg=\n"};
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buf_clear(&b);
		base64_encode((const unsigned char *)rows[i][0], strlen(rows[i][0]), &b);
		assert_string_equal(b.data, rows[i][1]);
		buf_clear(&b);
		assert_int_equal(base64_decode(rows[i][1], strlen(rows[i][1]), &b), 0);
		assert_string_equal(b.data, rows[i][0]);
	}
	buf_clear(&b);
	buf_adds(&b, "kept");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (base64_decode(bad[i], strlen(bad[i]), &b) != -1)
			fail_msg("%s was taken", bad[i]);
		assert_string_equal(b.data, "kept");
	}
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_64_hexadecimal_characters),
		cmocka_unit_test(an_old_key_opens_and_tells_which_it_was),
		cmocka_unit_test(what_is_sealed_opens_with_key_and_context_only),
		cmocka_unit_test(nothing_can_be_sealed_and_bounds_hold),
		cmocka_unit_test(the_providers_vectors_hold),
		cmocka_unit_test(standard_webhooks_vectors_hold),
		cmocka_unit_test(an_empty_key_is_a_key),
		cmocka_unit_test(bodies_digest_as_twilio_says),
		cmocka_unit_test(equality_is_of_all_bytes),
		cmocka_unit_test(hex_is_strict),
		cmocka_unit_test(base64_is_strict),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
