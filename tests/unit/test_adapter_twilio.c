/* SPDX-License-Identifier: Apache-2.0 */
/* Twilio for the consumer: the form of a create, look-ups, what a row says. */
#include "adapter_fixture.h"

#include <stdio.h>

#include "common/form.h"

#define PENDING "0b0e7f0c-6a0b-4b8a-9f0b-2a4a3c1d5e6f"
#define SID "CA00000000000000000000000000000001"
#define SETTINGS(more)                                                                             \
	"{\"account_sid\":\"AC1\",\"auth_token\":\"next, old\",\"base_url\":"                      \
	"\"https://twilio.example.test/\",\"from_number\":\"+12025550100\","                       \
	"\"twiml_url\":\"https://instructions.example.test/pre\"" more "}"
#define HOOK ",\"webhook_url\":\"https://hooks.example.test/webhooks/twilio/acct\""

static const struct dial dial = {
	.job_id = JOB,
	.lead_id = "42",
	.kind = "classify",
	.phone = "+12025550101",
	.first_name = "Ada",
	.last_name = "Lovelace",
	.variables = "{\"pending_call_id\":\"" PENDING "\",\"employee_name\":\"Ada Lovelace\"}",
	.max_call_s = 900,
};

/* The form as an object; what is repeated counts once. Free with json_decref(). */
static json_t *built_form(const char *settings, const struct dial *d, struct provider_request *r)
{
	struct account a = account_of("twilio", settings);
	char text[256];
	struct buf error;

	buf_init_fixed(&error, text, sizeof(text));
	build_request(&twilio_adapter, &a, d, r);
	json_t *form = form_parse(r->body.data, r->body.len, &error);
	assert_non_null(form);
	json_decref(a.settings);
	return form;
}

static void test_request(void **state)
{
	struct provider_request r;

	(void)state;
	provider_request_init(&r);
	json_t *form = built_form(SETTINGS(HOOK), &dial, &r);
	assert_string_equal(r.url.data,
			    "https://twilio.example.test/2010-04-01/Accounts/AC1/Calls.json");
	/* AC1:next */
	assert_string_equal(r.authorization.data, "Authorization: Basic QUMxOm5leHQ=");
	assert_member(form, "To", "+12025550101");
	assert_member(form, "From", "+12025550100");
#define IDS "job=" JOB "&kind=classify&lead=42&pending_call_id=" PENDING
	assert_member(form, "Url", "https://instructions.example.test/pre?" IDS);
	assert_member(form, "StatusCallback",
		      "https://hooks.example.test/webhooks/twilio/acct?" IDS
		      "&amd=1#rc=5&rp=5xx,ct,rt");
	assert_member(form, "AsyncAmdStatusCallback",
		      "https://hooks.example.test/webhooks/twilio/acct?" IDS
		      "&amd=1#rc=5&rp=5xx,ct,rt");
	assert_member(form, "MachineDetection", "Enable");
	assert_member(form, "AsyncAmd", "true");
	assert_member(form, "Timeout", "60");
	assert_member(form, "TimeLimit", "900");
	assert_non_null(strstr(r.body.data, "To=%2B12025550101&From=%2B12025550100&Url=https%3A"));
	assert_non_null(strstr(r.body.data,
			       "StatusCallbackEvent=initiated&StatusCallbackEvent=ringing&"
			       "StatusCallbackEvent=answered&StatusCallbackEvent=completed"));
	/* Who it is about stays here. */
	assert_null(strstr(r.body.data, "Lovelace"));
	json_decref(form);
	provider_request_release(&r);
}

static void test_settings(void **state)
{
	struct provider_request r;
	struct dial d = dial;

	(void)state;
	provider_request_init(&r);
	d.variables = NULL;
	json_t *form = built_form(SETTINGS(",\"machine_detection\":\"off\"" HOOK), &d, &r);
	assert_null(json_path(form, "MachineDetection"));
	assert_null(json_path(form, "AsyncAmd"));
	assert_null(json_path(form, "AsyncAmdStatusCallback"));
	/* Nobody will tell who answered: the end alone decides. */
	assert_member(form, "StatusCallback",
		      "https://hooks.example.test/webhooks/twilio/acct?job=" JOB
		      "&kind=classify&lead=42#rc=5&rp=5xx,ct,rt");
	json_decref(form);

	form = built_form(SETTINGS(",\"machine_detection\":\"DetectMessageEnd\""), &d, &r);
	assert_member(form, "MachineDetection", "DetectMessageEnd");
	assert_null(json_path(form, "StatusCallback"));
	assert_null(json_path(form, "AsyncAmdStatusCallback"));
	json_decref(form);

	/* A campaign's own. */
	d.assistant_id = "https://campaign.example.test/twiml?a=1";
	d.phone_number_id = "+12025550109";
	form = built_form(SETTINGS(HOOK), &d, &r);
	assert_member(form, "Url",
		      "https://campaign.example.test/twiml?a=1&job=" JOB "&kind=classify&lead=42");
	assert_member(form, "From", "+12025550109");
	json_decref(form);
	provider_request_release(&r);
}

static void test_incomplete_settings(void **state)
{
	static const struct {
		const char *settings, *assistant_id, *error;
	} rows[] = {
		{"{}", NULL, "account_sid"},
		{"{\"account_sid\":\"AC1\",\"base_url\":\"https://x.test\",\"from_number\":"
		 "\"+12025550100\",\"twiml_url\":\"https://x.test\",\"auth_token\":\" , \"}",
		 NULL, "auth_token"},
		{"{\"account_sid\":\"AC1\",\"auth_token\":\"t\",\"base_url\":\"https://x.test\","
		 "\"twiml_url\":\"https://x.test\"}",
		 NULL, "from_number"},
		{SETTINGS(HOOK), "asst-1", "no URL"},
	};
	struct provider_request r;

	(void)state;
	provider_request_init(&r);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct account a = account_of("twilio", rows[i].settings);
		struct dial d = dial;
		char text[256];
		struct buf error;
		buf_init_fixed(&error, text, sizeof(text));
		d.assistant_id = rows[i].assistant_id;
		provider_request_clear(&r);
		assert_false(twilio_adapter.build(&a, &d, &r, &error));
		if (!strstr(text, rows[i].error))
			fail_msg("%s", text);
		json_decref(a.settings);
	}
	provider_request_release(&r);
}

#define CREATED "\"date_created\":\"Mon, 05 Jan 2026 16:20:11 +0000\""

static void test_rows(void **state)
{
	json_t *row;
	struct found_call f;

	(void)state;
	f = read_row(
		&twilio_adapter,
		"{\"sid\":\"" SID "\",\"to\":\"+12025550101\",\"status\":\"queued\"," CREATED
		",\"direction\":\"outbound-api\",\"start_time\":null,\"from\":\"+12025550100\"}",
		&row);
	assert_string_equal(f.from, "+12025550100");
	assert_string_equal(f.provider_call_id, SID);
	assert_string_equal(f.job_id, "");
	assert_string_equal(f.phone, "+12025550101");
	assert_int_equal(f.created_at, INT64_C(1767630011000));
	assert_false(f.ended);
	assert_int_equal(f.type, EVENT_QUEUED);
	json_decref(row);

	f = read_row(&twilio_adapter,
		     "{\"sid\":\"" SID
		     "\",\"to\":\"+12025550101\",\"status\":\"completed\"," CREATED
		     ",\"direction\":\"outbound-api\",\"answered_by\":\"machine_end_beep\","
		     "\"end_time\":\"Mon, 05 Jan 2026 16:20:53 +0000\",\"duration\":\"42\","
		     "\"price\":\"-0.01300\"}",
		     &row);
	assert_true(f.ended && f.type == EVENT_REPORT && f.refusal == REFUSAL_NONE);
	assert_string_equal(f.from, "");
	assert_string_equal(f.outcome, "VOICEMAIL");
	assert_string_equal(f.ended_reason, "machine_end_beep");
	assert_int_equal(f.ended_at, INT64_C(1767630053000));
	assert_int_equal(f.duration_ms, 42000);
	assert_int_equal(f.cost_micros, 13000);
	json_decref(row);

	/* Calls to us, and calls of instructions, have the number of nobody. */
	f = read_row(&twilio_adapter,
		     "{\"sid\":\"" SID "\",\"to\":\"+12025550101\",\"status\":\"ringing\","
		     "\"direction\":\"outbound-dial\",\"from\":\"client:ada\"}",
		     &row);
	assert_string_equal(f.from, "?");
	assert_string_equal(f.phone, "");
	assert_int_equal(f.created_at, MSG_NO_TIME);
	assert_int_equal(f.type, EVENT_RINGING);
	json_decref(row);

	assert_neither_row_nor_list(&twilio_adapter, "{\"to\":\"+12025550101\"}");
}

static void test_ends(void **state)
{
	static const struct {
		const char *members, *outcome;
	} rows[] = {
		{"\"status\":\"completed\"", "HUMAN"},
		{"\"status\":\"completed\",\"answered_by\":\"human\"", "HUMAN"},
		{"\"status\":\"completed\",\"answered_by\":\"machine_start\"", "VOICEMAIL"},
		{"\"status\":\"completed\",\"answered_by\":\"machine_end_silence\"", "VOICEMAIL"},
		{"\"status\":\"completed\",\"answered_by\":\"machine_end_other\"", "VOICEMAIL"},
		{"\"status\":\"completed\",\"answered_by\":\"fax\"", "FAX"},
		{"\"status\":\"completed\",\"answered_by\":\"unknown\"", "HUMAN"},
		{"\"status\":\"busy\",\"answered_by\":\"human\"", "BUSY"},
		{"\"status\":\"no-answer\"", "NO_ANSWER"},
		{"\"status\":\"failed\",\"price\":\"x\",\"duration\":\"-1\"", "FAILED"},
		{"\"status\":\"canceled\",\"end_time\":\"yesterday\"", "CANCELLED"},
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *row;
		snprintf(text, sizeof(text), "{\"sid\":\"c\",%s}", rows[i].members);
		struct found_call f = read_row(&twilio_adapter, text, &row);
		assert_true(f.ended);
		if (strcmp(f.outcome, rows[i].outcome) != 0)
			fail_msg("%s: %s", rows[i].members, f.outcome);
		assert_int_equal(f.duration_ms, MSG_NO_INT);
		assert_int_equal(f.cost_micros, MSG_NO_INT);
		assert_int_equal(f.ended_at, MSG_NO_TIME);
		json_decref(row);
	}
}

static void test_lookups(void **state)
{
	struct account a = account_of("twilio", SETTINGS(""));
	struct provider_request r;
	const struct list_query q = {.phone = "+12025550101"};

	(void)state;
	provider_request_init(&r);
	assert_true(twilio_adapter.build_list(&twilio_adapter, &a, &q, &r));
	assert_string_equal(r.url.data,
			    "https://twilio.example.test/2010-04-01/Accounts/AC1/Calls.json?"
			    "To=%2B12025550101&PageSize=1000");
	assert_string_equal(r.authorization.data, "Authorization: Basic QUMxOm5leHQ=");
	provider_request_clear(&r);
	assert_true(twilio_adapter.build_get(&a, "a/b?c", &r));
	assert_string_equal(
		r.url.data,
		"https://twilio.example.test/2010-04-01/Accounts/AC1/Calls/a%2Fb%3Fc.json");
	provider_request_clear(&r);
	assert_true(twilio_adapter.build_hang_up(&a, SID, NULL, &r));
	assert_string_equal(r.url.data,
			    "https://twilio.example.test/2010-04-01/Accounts/AC1/Calls/" SID
			    ".json");
	assert_string_equal(r.authorization.data, "Authorization: Basic QUMxOm5leHQ=");
	assert_string_equal(r.body.data, "Status=completed");
	provider_request_clear(&r);
	assert_true(twilio_adapter.build_call_off(&a, SID, NULL, &r));
	assert_true(strstr(r.url.data, "/Calls/" SID ".json"));
	assert_string_equal(r.body.data, "Status=canceled");
	assert_string_equal(adapter_content_type(&twilio_adapter),
			    "Content-Type: application/x-www-form-urlencoded");
	assert_string_equal(adapter_content_type(&vapi_adapter), "Content-Type: application/json");
	provider_request_release(&r);
	json_decref(a.settings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_incomplete_settings),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_lookups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
