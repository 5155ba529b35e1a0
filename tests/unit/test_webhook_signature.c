/* SPDX-License-Identifier: Apache-2.0 */
/* Who is let in: tokens, shared secrets and signatures, with vectors computed by other tools. */
#include "webhook_fixture.h"

#include <stdio.h>

#include "common/seal.h"
#include "webhook/signature.h"

#define SECRET "test-vapi-secret"
#define BODY                                                                                       \
	"{\"message\":{\"type\":\"status-update\",\"status\":\"ended\",\"call\":{\"id\":"          \
	"\"11111111-2222-3333-4444-555555555555\"}}}"
/* HMAC-SHA256 of "1700000000." BODY, of "1700000000000." BODY, and of BODY alone. */
#define V1 "463f0588f0bf008c790dfd457d610dec320cc8becda019f07af6eb1a7837548a"
#define V2 "8d1d20df297e490762af13f8f7043e8b88d832c12f1e5812a075c9dd2681ee9c"
#define V3 "421632e2ea5c65bd6deb4edc4e9776b29ba98c4d3622d9e5fa84ab548546ac95"

static bool matches(const char *signature, const char *timestamp, const char *secrets,
		    const char *body, int64_t now_ms)
{
	const struct timed_signature s = {signature, timestamp};

	return timed_signature_matches(&s, secrets, body, strlen(body), now_ms);
}

static void vectors_match(void **state)
{
	(void)state;
	assert_int_equal(strlen(BODY), 106);
	assert_true(matches(V1, "1700000000", SECRET, BODY, NOW_MS));
	assert_true(matches(V2, "1700000000000", SECRET, BODY, NOW_MS));
	assert_true(matches("sha256=" V1, "1700000000", SECRET, BODY, NOW_MS));
	assert_true(matches("463F0588F0BF008C790DFD457D610DEC320CC8BECDA019F07AF6EB1A7837548A",
			    "1700000000", SECRET, BODY, NOW_MS));
}

static void a_signature_without_a_fresh_time_is_refused(void **state)
{
	(void)state;
	/* Right for the body alone, and so good for ever to whoever copied it. */
	assert_false(matches("sha256=" V3, NULL, SECRET, BODY, NOW_MS));
	assert_false(matches("sha256=" V3, "", SECRET, BODY, NOW_MS));
	assert_false(matches("sha256=" V3, "1700000000", SECRET, BODY, NOW_MS));

	assert_true(matches(V1, "1700000000", SECRET, BODY, NOW_MS + SIGNATURE_WINDOW_MS));
	assert_false(matches(V1, "1700000000", SECRET, BODY, NOW_MS + SIGNATURE_WINDOW_MS + 1));
	assert_true(matches(V1, "1700000000", SECRET, BODY, NOW_MS - SIGNATURE_WINDOW_MS));
	assert_false(matches(V1, "1700000000", SECRET, BODY, NOW_MS - SIGNATURE_WINDOW_MS - 1));
	assert_true(matches(V2, "1700000000000", SECRET, BODY, NOW_MS + SIGNATURE_WINDOW_MS));
	assert_false(matches(V2, "1700000000000", SECRET, BODY, NOW_MS + SIGNATURE_WINDOW_MS + 1));
}

static void anything_else_is_refused(void **state)
{
	static const struct {
		const char *signature, *timestamp, *secrets, *body;
	} rows[] = {
		{NULL, "1700000000", SECRET, BODY},
		{"", "1700000000", SECRET, BODY},
		{"sha256=", "1700000000", SECRET, BODY},
		{"sha512=" V1, "1700000000", SECRET, BODY},
		{V1 "00", "1700000000", SECRET, BODY},
		{"463f0588", "1700000000", SECRET, BODY},
		{"463f0588f0bf008c790dfd457d610dec320cc8becda019f07af6eb1a7837548b", "1700000000",
		 SECRET, BODY},
		{"zz3f0588f0bf008c790dfd457d610dec320cc8becda019f07af6eb1a7837548a", "1700000000",
		 SECRET, BODY},
		{V1, "1700000001", SECRET, BODY},
		{V1, "01700000000", SECRET, BODY},
		{V1, "1700000000 ", SECRET, BODY},
		{V1, "+1700000000", SECRET, BODY},
		{V1, "-1700000000", SECRET, BODY},
		{V1, "1700000000.0", SECRET, BODY},
		{V1, "99999999999999999999999999", SECRET, BODY},
		{V1, "1700000000", "test-vapi-secres", BODY},
		{V1, "1700000000", "test-vapi-secret2", BODY},
		{V1, "1700000000", "", BODY},
		{V1, "1700000000", NULL, BODY},
		{V1, "1700000000", SECRET, BODY " "},
		{V1, "1700000000", SECRET, ""},
		{V2, "1700000000", SECRET, BODY},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (matches(rows[i].signature, rows[i].timestamp, rows[i].secrets, rows[i].body,
			    NOW_MS))
			fail_msg("row %zu", i);
	}
}

static void the_signature_is_over_all_raw_bytes(void **state)
{
	/* A NUL in the body must not end what is signed. */
	static const char body[] = "{\"a\":1}\0hidden";
	const struct sign_part parts[] = {{"1700000000.", 11}, {body, sizeof(body) - 1}};
	unsigned char digest[SIGN_MAX_BYTES];
	char hex[2 * SHA256_BYTES + 1];

	(void)state;
	assert_int_equal(sign_hmac(SIGN_SHA256, SECRET, strlen(SECRET), parts, 2, digest),
			 SHA256_BYTES);
	hex_encode(digest, SHA256_BYTES, hex);
	const struct timed_signature s = {hex, "1700000000"};
	assert_true(timed_signature_matches(&s, SECRET, body, sizeof(body) - 1, NOW_MS));
	assert_false(timed_signature_matches(&s, SECRET, body, strlen(body), NOW_MS));
}

static void any_of_several_secrets_is_good(void **state)
{
	static const char *const lists[] = {
		SECRET ",next",
		"old," SECRET,
		"old, " SECRET " ,next",
		",," SECRET ",",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		assert_true(secrets_given(lists[i]));
		assert_true(secrets_match(SECRET, lists[i]));
		assert_true(matches(V1, "1700000000", lists[i], BODY, NOW_MS));
		assert_false(secrets_match(lists[i], lists[i]));
		assert_false(secrets_match("", lists[i]));
		assert_false(secrets_match(NULL, lists[i]));
	}
	assert_false(secrets_match(SECRET, "old,next"));
	assert_false(secrets_given(NULL));
	assert_false(secrets_given(""));
	assert_false(secrets_given(" , ,"));
	assert_false(secrets_match("", ""));
	assert_false(secrets_match("", " , "));
}

/* ---- Over the body alone ---- */

#define BLAND_SECRET "test-bland-secret"
#define B1_BODY                                                                                    \
	"{\"call_id\":\"c-0001\",\"status\":\"completed\",\"metadata\":{\"job_id\":\"job-42\"}}"
#define B1 "1d473326f7f3a4ed0a3ee894a7ed09772d1f3eb4ae58db25f40c19ec13f39d1c"
#define B2_BODY                                                                                    \
	"{\"call_id\":\"c-0002\",\"summary\":\"caf\xc3\xa9 \xe2\x80\x94 ok\",\"completed\":true}"
#define B2 "08690482d12d1fff2aa3e4533517c79e24a307a5bde1c81cac047799fd8eeb6f"

static bool signs(const char *signature, const char *secrets, const char *body)
{
	return body_signature_matches(signature, secrets, body, strlen(body));
}

static void bodies_are_signed_as_they_are_sent(void **state)
{
	static const char with_nul[] = B1_BODY "\0x";

	(void)state;
	assert_int_equal(strlen(B1_BODY), 72);
	assert_int_equal(strlen(B2_BODY), 62);
	assert_true(signs(B1, BLAND_SECRET, B1_BODY));
	assert_true(signs(B2, BLAND_SECRET, B2_BODY));
	assert_true(signs(B1, "old, " BLAND_SECRET " ,next", B1_BODY));
	/* The same document, written again. */
	assert_false(signs(B1, BLAND_SECRET,
			   "{\"call_id\": \"c-0001\", \"status\": \"completed\", \"metadata\": "
			   "{\"job_id\": \"job-42\"}}"));
	assert_false(signs(B2, BLAND_SECRET,
			   "{\"call_id\":\"c-0002\",\"summary\":\"caf\\u00e9 \\u2014 ok\","
			   "\"completed\":true}"));
	assert_false(body_signature_matches(B1, BLAND_SECRET, with_nul, sizeof(with_nul) - 1));
	assert_false(signs(B1, BLAND_SECRET, B2_BODY));
	assert_false(signs(B1, BLAND_SECRET, ""));
	assert_false(signs(B1, "test-bland-secre", B1_BODY));
	assert_false(signs(B1, "", B1_BODY));
	assert_false(signs(B1, NULL, B1_BODY));
	assert_false(signs(NULL, BLAND_SECRET, B1_BODY));
	assert_false(signs("", BLAND_SECRET, B1_BODY));
	assert_false(signs("sha256=" B1, BLAND_SECRET, B1_BODY));
	assert_false(signs(B1 "00", BLAND_SECRET, B1_BODY));
	assert_false(signs("zz473326f7f3a4ed0a3ee894a7ed09772d1f3eb4ae58db25f40c19ec13f39d1c",
			   BLAND_SECRET, B1_BODY));
}

static void bland_takes_its_signature_alone(void **state)
{
	static struct sent_header right[] = {{"X-Webhook-Signature", B1}, {NULL, NULL}};
	static struct sent_header lower[] = {{"x-webhook-signature", B1}, {NULL, NULL}};
	static struct sent_header other[] = {{"X-Webhook-Signature", B2}, {NULL, NULL}};
	static struct sent_header secret[] = {{"X-Webhook-Signature", BLAND_SECRET}, {NULL, NULL}};
	static struct sent_header bearer[] = {{"Authorization", "Bearer " BLAND_SECRET},
					      {NULL, NULL}};
	static const struct {
		struct sent_header *headers;
		enum webhook_verify verdict;
	} rows[] = {
		{right, VERIFY_OK},	 {lower, VERIFY_OK},	  {other, VERIFY_FORGED},
		{secret, VERIFY_FORGED}, {bearer, VERIFY_FORGED}, {NULL, VERIFY_FORGED},
	};
	struct account_set *set =
		accounts_of("[" ACCOUNT_JSON("bland", "bland",
					     "{\"webhook_secret\":\"" BLAND_SECRET
					     "\"}") "," ACCOUNT_JSON("none", "bland", "{}") "]");

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct webhook_request r = request_of(B1_BODY, rows[i].headers);
		assert_int_equal(webhook_bland.verify(account_by_name(set, "bland"), &r),
				 rows[i].verdict);
		assert_int_equal(webhook_bland.verify(account_by_name(set, "none"), &r),
				 VERIFY_NO_SECRET);
	}
	account_set_free(set);
}

/* ---- The adapters' use of them ---- */

static const char accounts_json[] =
	"[" ACCOUNT_JSON("any", "vapi", "{\"webhook_secret\":\"" SECRET "\"}") "," ACCOUNT_JSON("bearer", "vapi", "{\"webhook_secret\":\"" SECRET "\",\"webhook_auth\":\"bearer\"}") "," ACCOUNT_JSON(
		"secret", "vapi",
		"{\"webhook_secret\":\"" SECRET "\",\"webhook_auth\":"
		"\"secret\"}") "," ACCOUNT_JSON("hmac", "vapi",
						"{\"webhook_secret\":\"" SECRET
						"\",\"webhook_auth\":\"hmac\"}") "," ACCOUNT_JSON("odd",
												  "vapi",
												  "{\"webhook_secret\":\"" SECRET
												  "\",\"webhook_auth\":\"hmac,bearer\"}") "," ACCOUNT_JSON("none",
																			   "vapi",
																			   "{}") "," ACCOUNT_JSON("omni",
																						  "omni",
																						  "{\"webhook_token\":\"omni-token-1,omni-token-2\"}") "," ACCOUNT_JSON("omni-none",
																															"omni",
																															"{}") "]";

static void vapi_takes_what_the_account_says(void **state)
{
	static struct sent_header bearer[] = {{"Authorization", "Bearer " SECRET}, {NULL, NULL}};
	static struct sent_header lower[] = {{"authorization", "bearer " SECRET}, {NULL, NULL}};
	static struct sent_header secret[] = {{"X-Vapi-Secret", SECRET}, {NULL, NULL}};
	static struct sent_header hmac[] = {
		{"x-signature", V1}, {"x-timestamp", "1700000000"}, {NULL, NULL}};
	static struct sent_header body_only[] = {{"x-signature", "sha256=" V3}, {NULL, NULL}};
	static struct sent_header old_example[] = {{"x-vapi-signature", V3}, {NULL, NULL}};
	static struct sent_header basic[] = {{"Authorization", "Basic " SECRET}, {NULL, NULL}};
	static struct sent_header bare[] = {{"Authorization", SECRET}, {NULL, NULL}};
	static struct sent_header wrong[] = {{"Authorization", "Bearer x"},
					     {"X-Vapi-Secret", ""},
					     {"x-signature", V2},
					     {"x-timestamp", "1700000000"},
					     {NULL, NULL}};
	static struct sent_header one_right[] = {
		{"Authorization", "Bearer x"}, {"X-Vapi-Secret", SECRET}, {NULL, NULL}};
	static const struct {
		const char *name;
		struct sent_header *headers;
		const char *accounts; /* that let it in */
	} rows[] = {
		{"bearer", bearer, "any bearer"},
		{"lower", lower, "any bearer"},
		{"secret", secret, "any secret"},
		{"hmac", hmac, "any hmac"},
		{"one right", one_right, "any secret"},
		{"body only", body_only, ""},
		{"older example", old_example, ""},
		{"basic", basic, ""},
		{"bare", bare, ""},
		{"wrong", wrong, ""},
		{"nothing", NULL, ""},
	};
	static const char *const names[] = {"any", "bearer", "secret", "hmac"};
	struct account_set *set = accounts_of(accounts_json);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct webhook_request r = request_of(BODY, rows[i].headers);
		for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
			enum webhook_verify v =
				webhook_vapi.verify(account_by_name(set, names[n]), &r);
			bool let_in = strstr(rows[i].accounts, names[n]) != NULL;
			if (v != (let_in ? VERIFY_OK : VERIFY_FORGED))
				fail_msg("%s at account %s: %d", rows[i].name, names[n], (int)v);
		}
		assert_int_equal(webhook_vapi.verify(account_by_name(set, "odd"), &r),
				 VERIFY_NO_SECRET);
		assert_int_equal(webhook_vapi.verify(account_by_name(set, "none"), &r),
				 VERIFY_NO_SECRET);
	}
	account_set_free(set);
}

static void omni_takes_its_token_alone(void **state)
{
	static struct sent_header headers[] = {{"Authorization", "Bearer omni-token-1"},
					       {NULL, NULL}};
	static const struct {
		const char *token;
		enum webhook_verify verdict;
	} rows[] = {
		{"omni-token-1", VERIFY_OK},
		{"omni-token-2", VERIFY_OK},
		{"omni-token-3", VERIFY_FORGED},
		{"omni-token-1,omni-token-2", VERIFY_FORGED},
		{"omni-token-", VERIFY_FORGED},
		{"omni-token-11", VERIFY_FORGED},
		{"", VERIFY_FORGED},
		{NULL, VERIFY_FORGED},
	};
	struct account_set *set = accounts_of(accounts_json);
	struct webhook_request r = request_of("{}", headers);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		r.token = rows[i].token;
		if (webhook_omni.verify(account_by_name(set, "omni"), &r) != rows[i].verdict)
			fail_msg("%s", rows[i].token ? rows[i].token : "no token");
		assert_int_equal(webhook_omni.verify(account_by_name(set, "omni-none"), &r),
				 VERIFY_NO_SECRET);
	}
	account_set_free(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_match),
		cmocka_unit_test(a_signature_without_a_fresh_time_is_refused),
		cmocka_unit_test(anything_else_is_refused),
		cmocka_unit_test(the_signature_is_over_all_raw_bytes),
		cmocka_unit_test(any_of_several_secrets_is_good),
		cmocka_unit_test(bodies_are_signed_as_they_are_sent),
		cmocka_unit_test(bland_takes_its_signature_alone),
		cmocka_unit_test(vapi_takes_what_the_account_says),
		cmocka_unit_test(omni_takes_its_token_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
