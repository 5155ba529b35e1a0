/* SPDX-License-Identifier: Apache-2.0 */
/* Twilio's callbacks: its published signatures and others, the states of a call, who answered. */
#include "webhook_world.h"

#include <stdio.h>

#include "common/form.h"
#include "common/rules/twilio.h"

#define CALL "CA00000000000000000000000000000001"
#define ACCOUNT "AC00000000000000000000000000000001"
#define QUERY "job=" JOB "&kind=classify&lead=42&amd=1"

static const char accounts_json[] = "[" ACCOUNT_JSON(
	"twilio", "twilio",
	"{\"auth_token\":\"12345\",\"webhook_url\":\"https://hooks.example.test/x\"}") "]";

/* ---- Signatures ---- */

struct vector {
	const char *url, *token; /* the URL without its query */
	const char *query, *type, *body, *signature;
	enum webhook_verify verdict;
};

static enum webhook_verify verify_vector(const struct vector *v)
{
	struct sent_header headers[] = {
		{"X-Twilio-Signature", v->signature}, {"Content-Type", v->type}, {NULL, NULL}};
	struct webhook_request r = request_of(v->body, headers);
	struct account a = {.name = "twilio", .tenant = "default", .provider = "twilio"};

	r.query = v->query;
	a.settings = json_pack("{s:s*, s:s*}", "webhook_url", v->url, "auth_token", v->token);
	enum webhook_verify verdict = webhook_twilio.verify(&a, &r);
	json_decref(a.settings);
	return verdict;
}

#define PUBLISHED "https://mycompany.com/myapp.php"
#define PUBLISHED_QUERY "foo=1&bar=2"
#define PUBLISHED_BODY                                                                             \
	"CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&"         \
	"To=%2B18005551212"
#define FORM "application/x-www-form-urlencoded"
#define PUBLISHED_JSON "{\"property\": \"value\", \"boolean\": true}"
#define PUBLISHED_DIGEST "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"

/* Those of Twilio's own libraries. */
static void published_signatures_match(void **state)
{
	static const struct vector rows[] = {
		{PUBLISHED, "12345", PUBLISHED_QUERY, FORM, PUBLISHED_BODY,
		 "RSOYDt4T1cUTdK1PDd93/VVr8B8=", VERIFY_OK},
		/* With the port, of whichever the address has. */
		{"https://mycompany.com:443/myapp.php", "12345", PUBLISHED_QUERY, FORM,
		 PUBLISHED_BODY, "kvajT1Ptam85bY51eRf/AJRuM3w=", VERIFY_OK},
		{PUBLISHED, "12345", PUBLISHED_QUERY, FORM, PUBLISHED_BODY,
		 "kvajT1Ptam85bY51eRf/AJRuM3w=", VERIFY_OK},
		{"https://mycompany.com:443/myapp.php", "12345", PUBLISHED_QUERY, FORM,
		 PUBLISHED_BODY, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", VERIFY_OK},
		{"http://mycompany.com/myapp.php", "12345", PUBLISHED_QUERY, FORM, PUBLISHED_BODY,
		 "0ZXoZLH/DfblKGATFgpif+LLRf4=", VERIFY_OK},
		{"http://mycompany.com:80/myapp.php", "12345", PUBLISHED_QUERY, FORM,
		 PUBLISHED_BODY, "0ZXoZLH/DfblKGATFgpif+LLRf4=", VERIFY_OK},
		/* Not a form: the URL has the digest of the body. */
		{PUBLISHED, "12345", PUBLISHED_QUERY "&bodySHA256=" PUBLISHED_DIGEST,
		 "application/json", PUBLISHED_JSON, "a9nBmqA0ju/hNViExpshrM61xv4=", VERIFY_OK},
		/* A name that comes several times. */
		{PUBLISHED, "12345", PUBLISHED_QUERY, FORM,
		 "Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234",
		 "IK+Dwps556ElfBT0I3Rgjkr1wJU=", VERIFY_OK},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (verify_vector(&rows[i]) != rows[i].verdict)
			fail_msg("row %zu", i);
	}
}

#define TOKEN "test-twilio-auth-token"
#define HOOK "https://hooks.example.test/twilio/status/t1"
#define T1_BODY                                                                                    \
	"To=%2B12025550101&AccountSid=" ACCOUNT "&CallSid=" CALL "&From=%2B12025550100&"           \
	"CallStatus=completed&SequenceNumber=3&CallbackSource=call-progress-events&"               \
	"Timestamp=Tue%2C+14+Nov+2023+22%3A13%3A20+%2B0000&CallDuration=31&AnsweredBy=human"
#define T1 "Kd0C3uTxS7J1ksObQbFOU2M/oSc="
#define T2 "FnCJA8WFD5ydMh0MrH5hk3m9vps="
#define T3_BODY "{\"status\":\"completed\",\"n\":1}"
#define T3_DIGEST "31cc52a7f0a8b70d93ffd8f38457302911f891c9dd598aa3a812316467ee299a"
#define T3 "sBSE1rz8Pmtk8CNznsYb0jBrMjk="
#define T4_BODY "CallSid=" CALL "&Digits=2&Digits=1&Digits=2&Empty=&Name=Zo%C3%AB+%26+Co"
#define T4 "IWSZ4YNb0deCYdvgP0eOZJmcRno="

/* Vectors computed by other tools, and what is next to them. */
static void other_signatures_match_or_not(void **state)
{
	static const struct vector rows[] = {
		{HOOK, TOKEN, "job=42", FORM, T1_BODY, T1, VERIFY_OK},
		{HOOK, TOKEN, "job=42", FORM "; charset=utf-8", T1_BODY, T1, VERIFY_OK},
		{HOOK, TOKEN, "job=42", NULL, T1_BODY, T1, VERIFY_OK},
		{HOOK, TOKEN, "job=42", FORM, T1_BODY, T2, VERIFY_OK},
		{HOOK, "new," TOKEN, "job=42", FORM, T1_BODY, T1, VERIFY_OK},
		{"https://hooks.example.test:443/twilio/status/t1", TOKEN, "job=42", FORM, T1_BODY,
		 T1, VERIFY_OK},
		{"https://hooks.example.test/twilio/json", TOKEN, "bodySHA256=" T3_DIGEST,
		 "application/json", T3_BODY, T3, VERIFY_OK},
		{"https://hooks.example.test/twilio/x", TOKEN, NULL, FORM, T4_BODY, T4, VERIFY_OK},
		/* Next to them. */
		{HOOK, TOKEN, "job=43", FORM, T1_BODY, T1, VERIFY_FORGED},
		{HOOK, TOKEN, "job=42&", FORM, T1_BODY, T1, VERIFY_FORGED},
		{HOOK, TOKEN, NULL, FORM, T1_BODY, T1, VERIFY_FORGED},
		{HOOK "/", TOKEN, "job=42", FORM, T1_BODY, T1, VERIFY_FORGED},
		{"https://hooks.example.test:8443/twilio/status/t1", TOKEN, "job=42", FORM, T1_BODY,
		 T2, VERIFY_FORGED},
		{HOOK, "another", "job=42", FORM, T1_BODY, T1, VERIFY_FORGED},
		{HOOK, TOKEN, "job=42", FORM, T1_BODY "&More=1", T1, VERIFY_FORGED},
		{HOOK, TOKEN, "job=42", FORM, T1_BODY "%zz", T1, VERIFY_FORGED},
		{HOOK, TOKEN, "job=42", FORM, "", T1, VERIFY_FORGED},
		{HOOK, TOKEN, "job=42", "application/json", T1_BODY, T1, VERIFY_FORGED},
		{HOOK, TOKEN, "job=42", FORM, T1_BODY, "", VERIFY_FORGED},
		{HOOK, TOKEN, "job=42", FORM, T1_BODY, NULL, VERIFY_FORGED},
		{HOOK, TOKEN, "job=42", FORM, T1_BODY, "Kd0C3uTxS7J1ksObQbFOU2M/oS", VERIFY_FORGED},
		{HOOK, TOKEN, "job=42", FORM, T1_BODY, "Kd0C3uTxS7J1ksObQbFOU2M/oSc=A",
		 VERIFY_FORGED},
		{HOOK, TOKEN, "job=42", FORM, T1_BODY, TOKEN, VERIFY_FORGED},
		{"https://hooks.example.test/twilio/json", TOKEN, "bodySHA256=" T3_DIGEST,
		 "application/json", T3_BODY " ", T3, VERIFY_FORGED},
		{"https://hooks.example.test/twilio/json", TOKEN, "bodySHA256=", "application/json",
		 T3_BODY, T3, VERIFY_FORGED},
		{"https://hooks.example.test/twilio/json", TOKEN, NULL, "application/json", T3_BODY,
		 T3, VERIFY_FORGED},
		/* An empty field is signed. */
		{"https://hooks.example.test/twilio/x", TOKEN, NULL, FORM,
		 "CallSid=" CALL "&Digits=2&Digits=1&Name=Zo%C3%AB+%26+Co", T4, VERIFY_FORGED},
		/* Nothing to verify with. */
		{HOOK, NULL, "job=42", FORM, T1_BODY, T1, VERIFY_NO_SECRET},
		{HOOK, " , ", "job=42", FORM, T1_BODY, T1, VERIFY_NO_SECRET},
		{NULL, TOKEN, "job=42", FORM, T1_BODY, T1, VERIFY_NO_SECRET},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (verify_vector(&rows[i]) != rows[i].verdict)
			fail_msg("row %zu", i);
	}
}

/* ---- Content ---- */

static struct webhook_request callback(const char *query, const char *body)
{
	struct webhook_request r = request_of(body, NULL);

	r.query = query;
	return r;
}

static enum webhook_reading normalize_callback(const char *query, const char *body)
{
	const struct webhook_request r = callback(query, body);

	return normalize_request(its_account(), &r);
}

static const struct msg_call_event *read_callback(const char *query, const char *body)
{
	const struct webhook_request r = callback(query, body);

	return read_request(its_account(), &r);
}

static void an_end_is_read(void **state)
{
	static const char json[] =
		"{\"CallSid\":\"" CALL "\",\"CallStatus\":\"completed\",\"AnsweredBy\":\"human\","
		"\"CallDuration\":31,\"To\":\"+12025550101\"}";
	const struct msg_call_event *e = read_callback(QUERY, T1_BODY);

	(void)state;
	assert_string_equal(e->event_id, "twilio:" CALL ":completed");
	assert_int_equal(e->type, EVENT_REPORT);
	assert_string_equal(e->provider_call_id, CALL);
	assert_string_equal(e->job_id, JOB);
	assert_string_equal(e->lead_id, "42");
	assert_string_equal(e->phone, "+12025550101");
	assert_string_equal(e->outcome, "HUMAN");
	assert_string_equal(e->ended_reason, "human");
	assert_int_equal(e->duration_ms, 31000);
	/* 22:13:20 of that day is the receipt itself. */
	assert_int_equal(e->occurred_at, NOW_MS);

	e = read_callback(QUERY, json);
	assert_string_equal(e->outcome, "HUMAN");
	assert_int_equal(e->duration_ms, 31000);
	e = read_callback(NULL, "CallSid=" CALL "&CallStatus=ringing&Timestamp=Tue%2C+14+Nov+2023+"
				"17%3A13%3A19+-0500");
	assert_int_equal(e->occurred_at, NOW_MS - 1000);
	assert_null(e->job_id);
}

static void states_rank_and_ends_have_outcomes(void **state)
{
	static const struct {
		const char *query, *fields;
		enum event_type type;
		const char *state, *outcome, *reason;
	} rows[] = {
		{QUERY, "CallStatus=queued", EVENT_QUEUED, "queued", NULL, NULL},
		{QUERY, "CallStatus=initiated", EVENT_QUEUED, "initiated", NULL, NULL},
		{QUERY, "CallStatus=ringing", EVENT_RINGING, "ringing", NULL, NULL},
		{QUERY, "CallStatus=in-progress", EVENT_IN_PROGRESS, "in-progress", NULL, NULL},
		/* Alone: who answered, of a call that goes on. */
		{QUERY, "AnsweredBy=machine_start&MachineDetectionDuration=2400", EVENT_IN_PROGRESS,
		 "amd", NULL, NULL},
		{QUERY, "CallStatus=completed&AnsweredBy=human", EVENT_REPORT, "completed", "HUMAN",
		 "human"},
		{QUERY, "CallStatus=completed&AnsweredBy=machine_end_beep", EVENT_REPORT,
		 "completed", "VOICEMAIL", "machine_end_beep"},
		{QUERY, "CallStatus=completed&AnsweredBy=fax", EVENT_REPORT, "completed", "FAX",
		 "fax"},
		{QUERY, "CallStatus=completed&AnsweredBy=unknown", EVENT_REPORT, "completed",
		 "HUMAN", "unknown"},
		/* It was asked for and is not told: the record knows. */
		{QUERY, "CallStatus=completed", EVENT_ENDED, "completed", NULL, "completed"},
		{QUERY, "CallStatus=completed&AnsweredBy=", EVENT_ENDED, "completed", NULL,
		 "completed"},
		{"job=" JOB, "CallStatus=completed", EVENT_REPORT, "completed", "HUMAN",
		 "completed"},
		{NULL, "CallStatus=completed", EVENT_REPORT, "completed", "HUMAN", "completed"},
		{QUERY, "CallStatus=no-answer", EVENT_REPORT, "no-answer", "NO_ANSWER",
		 "no-answer"},
		{QUERY, "CallStatus=busy&AnsweredBy=human", EVENT_REPORT, "busy", "BUSY", "busy"},
		{QUERY, "CallStatus=failed&SipResponseCode=404", EVENT_REPORT, "failed", "FAILED",
		 "failed"},
		{QUERY, "CallStatus=canceled", EVENT_REPORT, "canceled", "CANCELLED", "canceled"},
	};
	char body[512], id[128];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(body, sizeof(body), "CallSid=" CALL "&%s", rows[i].fields);
		snprintf(id, sizeof(id), "twilio:" CALL ":%s", rows[i].state);
		const struct msg_call_event *e = read_callback(rows[i].query, body);
		assert_string_equal(e->event_id, id);
		assert_int_equal(e->type, rows[i].type);
		if (strcmp(e->outcome ? e->outcome : "-",
			   rows[i].outcome ? rows[i].outcome : "-") != 0 ||
		    strcmp(e->ended_reason ? e->ended_reason : "-",
			   rows[i].reason ? rows[i].reason : "-") != 0)
			fail_msg("%s: %s, %s", body, e->outcome, e->ended_reason);
	}
}

static void words_of_the_database_go_first(void **state)
{
	(void)state;
	word_means("MACHINE_START", "CALLBACK");
	word_means("UNKNOWN", "NO_ANSWER");
	assert_string_equal(
		read_callback(QUERY, "CallSid=c&CallStatus=completed&AnsweredBy=machine_start")
			->outcome,
		"CALLBACK");
	assert_string_equal(
		read_callback(QUERY, "CallSid=c&CallStatus=completed&AnsweredBy=machine_end_beep")
			->outcome,
		"VOICEMAIL");
	assert_string_equal(
		read_callback(QUERY, "CallSid=c&CallStatus=completed&AnsweredBy=unknown")->outcome,
		"NO_ANSWER");
	words_are_built_in();
}

static void callbacks_are_told_apart(void **state)
{
	static const struct {
		const char *body;
		enum webhook_reading reading;
	} rows[] = {
		{"CallSid=c&CallStatus=ringing&Direction=outbound-api", READING_EVENT},
		{"CallSid=c&CallStatus=ringing&Direction=inbound", READING_UNUSED},
		{"CallSid=c&CallStatus=completed&Direction=outbound-dial", READING_UNUSED},
		{"CallSid=c&CallStatus=of-tomorrow", READING_UNUSED},
		{"CallSid=c&RecordingSid=RE1", READING_UNUSED},
		{"CallSid=c&ConferenceSid=CF1", READING_UNUSED},
		{"", READING_BAD},
		{"&", READING_BAD},
		{"x=1", READING_BAD},
		{"CallSid=c", READING_BAD},
		{"CallStatus=completed", READING_BAD},
		{"CallSid=&CallStatus=completed", READING_BAD},
		{"CallSid=a%0D%0Ab&CallStatus=completed", READING_BAD},
		{"CallSid=%zz&CallStatus=completed", READING_BAD},
		{"{\"CallSid\":\"c\"", READING_BAD},
		{"[]", READING_BAD},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		check_reading(rows[i].body, rows[i].reading,
			      normalize_callback(QUERY, rows[i].body));
	}
	/* All at once. */
	assert_int_equal(normalize_callback(QUERY, "x=1"), READING_BAD);
	assert_string_equal(reason.data, "no CallStatus and no AnsweredBy; no CallSid");
	assert_int_equal(normalize_callback(QUERY, "CallSid=c"), READING_BAD);
	assert_string_equal(reason.data, "no CallStatus and no AnsweredBy");
}

static void times_are_strict(void **state)
{
	static const struct {
		const char *text;
		int64_t at;
	} rows[] = {
		{"Tue, 14 Nov 2023 22:13:20 +0000", NOW_MS},
		{"14 Nov 2023 22:13:20 +0000", NOW_MS},
		{"Wed, 15 NOV 2023 00:13:20 +0200", NOW_MS},
		{NULL, MSG_NO_TIME},
		{"", MSG_NO_TIME},
		{"Tue, ", MSG_NO_TIME},
		{"Tue, 14 Nov 2023 22:13:20 GMT", MSG_NO_TIME},
		{"Tue, 14 Nov 2023 22:13:20 +00:0", MSG_NO_TIME},
		{"Tue, 14 Xyz 2023 22:13:20 +0000", MSG_NO_TIME},
		{"Tue, 31 Feb 2023 22:13:20 +0000", MSG_NO_TIME},
		{"Tue, 14 Nov 2023 22:13:20 +0000 ", MSG_NO_TIME},
		{"2023-11-14T22:13:20.000000Z", MSG_NO_TIME},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (twilio_time(rows[i].text) != rows[i].at)
			fail_msg("%s", rows[i].text);
	}
}

static void fields_of_a_form_are_taken_as_they_are(void **state)
{
	static const char form[] = "b=2&a=%31+%2B&&c&=x&b=";
	static const char *const expected[][2] = {
		{"b", "2"}, {"a", "1 +"}, {"c", ""}, {"", "x"}, {"b", ""}};
	struct form_pair pairs[FORM_FIELDS_MAX];
	struct buf storage;
	char many[2 * FORM_FIELDS_MAX + 3];
	size_t n = 0;

	(void)state;
	buf_init(&storage, 4096);
	assert_true(form_pairs(form, sizeof(form) - 1, &storage, pairs, &n));
	assert_int_equal(n, 5);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(pairs[i].name_bytes, strlen(expected[i][0]));
		assert_memory_equal(pairs[i].name, expected[i][0], pairs[i].name_bytes);
		assert_int_equal(pairs[i].value_bytes, strlen(expected[i][1]));
		assert_memory_equal(pairs[i].value, expected[i][1], pairs[i].value_bytes);
	}
	buf_clear(&storage);
	assert_true(form_pairs("", 0, &storage, pairs, &n));
	assert_int_equal(n, 0);
	assert_false(form_pairs("a=%", 3, &storage, pairs, &n));
	assert_false(form_pairs("a=%00", 5, &storage, pairs, &n));
	for (size_t i = 0; i < sizeof(many) - 1; i++)
		many[i] = i % 2 ? '&' : 'x';
	buf_clear(&storage);
	assert_true(form_pairs(many, 2 * FORM_FIELDS_MAX, &storage, pairs, &n));
	assert_int_equal(n, FORM_FIELDS_MAX);
	buf_clear(&storage);
	assert_false(form_pairs(many, 2 * FORM_FIELDS_MAX + 2, &storage, pairs, &n));
	buf_release(&storage);
}

static void hostile_values_do_no_harm(void **state)
{
	const struct account *a = its_account();

	(void)state;
	survives_hostility(
		&webhook_twilio, a,
		"{\"CallSid\":\"" CALL "\",\"CallStatus\":\"completed\",\"AnsweredBy\":\"human\","
		"\"CallDuration\":\"31\",\"To\":\"+12025550101\",\"Called\":\"+12025550101\","
		"\"Timestamp\":\"Tue, 14 Nov 2023 22:13:20 +0000\",\"RecordingUrl\":"
		"\"https://r.example.test/1\",\"Direction\":\"outbound-api\"}");
	survives_hostility(&webhook_twilio, a,
			   "{\"CallSid\":\"" CALL "\",\"AnsweredBy\":\"human\",\"To\":"
			   "\"+12025550101\",\"RecordingSid\":\"RE1\",\"AccountSid\":\"AC1\","
			   "\"SequenceNumber\":\"1\",\"a\":\"b\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_signatures_match),
		cmocka_unit_test(other_signatures_match_or_not),
		cmocka_unit_test(an_end_is_read),
		cmocka_unit_test(states_rank_and_ends_have_outcomes),
		cmocka_unit_test(words_of_the_database_go_first),
		cmocka_unit_test(callbacks_are_told_apart),
		cmocka_unit_test(times_are_strict),
		cmocka_unit_test(fields_of_a_form_are_taken_as_they_are),
		cmocka_unit_test(hostile_values_do_no_harm),
	};

	world_of(&webhook_twilio, accounts_json);
	return cmocka_run_group_tests(tests, setup, teardown);
}
