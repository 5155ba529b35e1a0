/* SPDX-License-Identifier: Apache-2.0 */
/* The classifier's events: signatures of Standard Webhooks, the move that is made of one, and what
 * is wrong with it. */
#include "webhook_world.h"

#include <stdio.h>

#include "webhook/signature.h"

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define S1_BODY "{\"type\":\"call.completed\",\"data\":{\"id\":\"call-1\"}}"
#define S1 "v1,nlZCNtLGpxQI7veNvxhxRxl7xDiTtly5MsuHLary368="
#define S2_BODY "{\"test\": 2432232314}"
#define S2 "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define S2_MS INT64_C(1614265330000)
#define PENDING "0b0e7f0c-6a0b-4b8a-9f0b-2a4a3c1d5e6f"

static const char accounts_json[] =
	"[" ACCOUNT_JSON("classifier", "classifier", "{\"webhook_secret\":\"" SECRET "\"}") "]";

/* ---- Signatures ---- */

static bool matches(const char *id, const char *timestamp, const char *signatures,
		    const char *secrets, const char *body, int64_t now_ms)
{
	const struct standard_signature s = {id, timestamp, signatures};

	return standard_signature_matches(&s, secrets, body, strlen(body), now_ms);
}

static void vectors_match(void **state)
{
	(void)state;
	assert_int_equal(strlen(S1_BODY), 48);
	assert_true(matches("msg_0001", "1700000000", S1, SECRET, S1_BODY, NOW_MS));
	/* Of the libraries of the standard. */
	assert_true(
		matches("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", S2, SECRET, S2_BODY, S2_MS));
	/* While secrets and versions change. */
	assert_true(
		matches("msg_0001", "1700000000", "v1a,AAAA " S2 " " S1, SECRET, S1_BODY, NOW_MS));
	assert_true(matches("msg_0001", "1700000000", S1,
			    "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA, broken, " SECRET, S1_BODY,
			    NOW_MS));
	assert_true(matches("msg_0001", "1700000000", S1, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
			    S1_BODY, NOW_MS));
	assert_true(matches("msg_0001", "1700000000", S1, SECRET, S1_BODY,
			    NOW_MS + SIGNATURE_WINDOW_MS));
}

static void anything_else_is_refused(void **state)
{
	static const struct {
		const char *id, *timestamp, *signatures, *secrets, *body;
		int64_t now_ms;
	} rows[] = {
		{NULL, "1700000000", S1, SECRET, S1_BODY, NOW_MS},
		{"", "1700000000", S1, SECRET, S1_BODY, NOW_MS},
		{"msg_0002", "1700000000", S1, SECRET, S1_BODY, NOW_MS},
		{"msg_0001", NULL, S1, SECRET, S1_BODY, NOW_MS},
		{"msg_0001", "", S1, SECRET, S1_BODY, NOW_MS},
		{"msg_0001", "1700000001", S1, SECRET, S1_BODY, NOW_MS},
		{"msg_0001", "1700000000", NULL, SECRET, S1_BODY, NOW_MS},
		{"msg_0001", "1700000000", "", SECRET, S1_BODY, NOW_MS},
		{"msg_0001", "1700000000", "v1,", SECRET, S1_BODY, NOW_MS},
		{"msg_0001", "1700000000",
		 "v2,nlZCNtLGpxQI7veNvxhxRxl7xDiTtly5MsuHLary368=", SECRET, S1_BODY, NOW_MS},
		{"msg_0001", "1700000000", "nlZCNtLGpxQI7veNvxhxRxl7xDiTtly5MsuHLary368=", SECRET,
		 S1_BODY, NOW_MS},
		{"msg_0001", "1700000000", S2, SECRET, S1_BODY, NOW_MS},
		{"msg_0001", "1700000000", S1, SECRET, S1_BODY " ", NOW_MS},
		{"msg_0001", "1700000000", S1, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", S1_BODY,
		 NOW_MS},
		{"msg_0001", "1700000000", S1, "whsec_", S1_BODY, NOW_MS},
		{"msg_0001", "1700000000", S1, NULL, S1_BODY, NOW_MS},
		{"msg_0001", "1700000000", S1, SECRET, S1_BODY, NOW_MS + SIGNATURE_WINDOW_MS + 1},
		{"msg_0001", "1700000000", S1, SECRET, S1_BODY, NOW_MS - SIGNATURE_WINDOW_MS - 1},
		/* The dots of the signed text are borders. */
		{"msg_0001.1700000000", "1700000000", S1, SECRET, S1_BODY, NOW_MS},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (matches(rows[i].id, rows[i].timestamp, rows[i].signatures, rows[i].secrets,
			    rows[i].body, rows[i].now_ms))
			fail_msg("row %zu", i);
	}
	assert_false(standard_secrets_given(NULL));
	assert_false(standard_secrets_given("no base64!"));
	assert_true(standard_secrets_given("no base64!, " SECRET));
}

static void the_adapter_looks_at_the_headers(void **state)
{
	struct sent_header headers[] = {{"Webhook-Id", "msg_0001"},
					{"Webhook-Timestamp", "1700000000"},
					{"Webhook-Signature", S1},
					{NULL, NULL}};
	const struct account none = {.name = "classifier", .provider = "classifier"};
	const struct account *a = its_account();
	const struct webhook_request r = request_of(S1_BODY, headers);
	const struct webhook_request bare = request_of(S1_BODY, NULL);

	(void)state;
	assert_int_equal(webhook_classifier.verify(a, &r), VERIFY_OK);
	assert_int_equal(webhook_classifier.verify(a, &bare), VERIFY_FORGED);
	assert_int_equal(webhook_classifier.verify(&none, &r), VERIFY_NO_SECRET);
}

/* ---- Content ---- */

static enum webhook_reading normalize_signed(const char *body)
{
	struct sent_header headers[] = {{"webhook-id", "msg_1"}, {NULL, NULL}};
	const struct webhook_request r = request_of(body, headers);

	return normalize_request(its_account(), &r);
}

static void an_event_becomes_a_move(void **state)
{
	const struct msg_stage_transition *s = &event.move;

	(void)state;
	assert_int_equal(
		normalize_signed(
			"{\"type\":\"call.classified\",\"pending_call_id\":"
			"\"0B0E7F0C-6A0B-4B8A-9F0B-2A4A3C1D5E6F\",\"job_id\":\"" JOB
			"\",\"phone\":\"+12025550101\",\"classification\":\"ivr_then_human\","
			"\"confidence\":0.93,\"menu_path\":[\"2\",\"1\"],\"timestamp\":"
			"\"2023-11-14T22:13:00Z\"}"),
		READING_MOVE);
	assert_string_equal(s->event_id, "msg_1");
	assert_string_equal(s->tenant, "default");
	assert_string_equal(s->account, "classifier");
	assert_string_equal(s->provider, "classifier");
	assert_null(s->provider_call_id);
	assert_int_equal(s->entity, ENTITY_PENDING_CALL);
	assert_string_equal(s->id, PENDING);
	assert_string_equal(s->job_id, JOB);
	assert_string_equal(s->phone, "+12025550101");
	assert_string_equal(s->to, "ivr_then_human");
	assert_string_equal(s->reason, "classified");
	assert_int_equal(s->at, NOW_MS - 20000);
	assert_string_equal(
		s->detail,
		"{\"classification\":\"ivr_then_human\",\"confidence\":0.93,\"menu_path\":[\"2\","
		"\"1\"]}");

	/* What is not told is null; parts may stand in `data`, as the standard likes it. */
	assert_int_equal(
		normalize_signed("{\"type\":\"call.classified\",\"data\":{\"phone\":"
				 "\"+12025550101\",\"classification\":\"unknown\",\"job_id\":null,"
				 "\"confidence\":null,\"menu_path\":\"press 1\"}}"),
		READING_MOVE);
	assert_null(s->id);
	assert_null(s->job_id);
	assert_int_equal(s->at, NOW_MS);
	assert_string_equal(s->detail, "{\"classification\":\"unknown\",\"confidence\":null,"
				       "\"menu_path\":\"press 1\"}");
}

#define EVENT(members) "{\"type\":\"call.classified\"" members "}"
#define RIGHT ",\"classification\":\"human\",\"job_id\":\"" JOB "\""

static void all_that_is_wrong_is_told(void **state)
{
	static const struct {
		const char *body, *reason;
	} rows[] = {
		{EVENT(",\"classification\":\"robot\",\"confidence\":\"high\",\"menu_path\":7,"
		       "\"job_id\":\"x\",\"pending_call_id\":7,\"phone\":\"me\""),
		 "pending_call_id is no UUID; job_id is no UUID; phone is no number in E.164; "
		 "classification is none of human, ivr_only, ivr_then_human, unknown; confidence is "
		 "no number from 0 to 1; menu_path is neither text nor array"},
		{"{\"classification\":\"human\"}",
		 "no type; one of pending_call_id, job_id and phone is needed"},
		{EVENT(RIGHT ",\"confidence\":1.01"), "confidence is no number from 0 to 1"},
		{EVENT(RIGHT ",\"confidence\":-0.01"), "confidence is no number from 0 to 1"},
		{EVENT(RIGHT ",\"menu_path\":{}"), "menu_path is neither text nor array"},
		{EVENT(",\"classification\":\"Human\",\"job_id\":\"" JOB "\""),
		 "classification is none of human, ivr_only, ivr_then_human, unknown"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(normalize_signed(rows[i].body), READING_BAD);
		assert_string_equal(reason.data, rows[i].reason);
	}
	assert_int_equal(normalize_signed(EVENT(RIGHT ",\"confidence\":0")), READING_MOVE);
	assert_int_equal(normalize_signed(EVENT(RIGHT ",\"confidence\":1")), READING_MOVE);
	assert_int_equal(normalize_signed("{\"type\":\"call.started\"}"), READING_UNUSED);
	assert_int_equal(normalize_signed(""), READING_BAD);
	assert_int_equal(normalize_signed("[]"), READING_BAD);
	assert_true(webhook_classifier.tells_reasons);
}

static void hostile_values_do_no_harm(void **state)
{
	(void)state;
	survives_hostility(&webhook_classifier, its_account(),
			   EVENT(RIGHT ",\"pending_call_id\":\"" PENDING
				       "\",\"phone\":\"+12025550101\",\"confidence\":0.5,"
				       "\"menu_path\":[\"1\"],\"timestamp\":"
				       "\"2023-11-14T22:13:00Z\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_match),
		cmocka_unit_test(anything_else_is_refused),
		cmocka_unit_test(the_adapter_looks_at_the_headers),
		cmocka_unit_test(an_event_becomes_a_move),
		cmocka_unit_test(all_that_is_wrong_is_told),
		cmocka_unit_test(hostile_values_do_no_harm),
	};

	world_of(&webhook_classifier, accounts_json);
	return cmocka_run_group_tests(tests, setup, teardown);
}
