/* SPDX-License-Identifier: Apache-2.0 */
/* Provider adapters of the consumer: what is sent, and what a row of a list says. */
#include "adapter_fixture.h"

#include <stdio.h>

#define OMNI_SETTINGS                                                                              \
	"{\"api_key\":\"k\",\"base_url\":\"https://omni.example.test/\",\"agent_id\":\"101\","     \
	"\"from_number_id\":\"1720\"}"
#define VAPI_SETTINGS                                                                                    \
	"{\"api_key\":\"k\",\"base_url\":\"https://vapi.example.test/v\",\"assistant_id\":\"asst\","     \
	"\"phone_number_id\":\"num\",\"webhook_url\":\"https://hooks.example.test/webhooks/vapi/acct\"," \
	"\"webhook_secret\":\"%s\"%s}"

static const struct dial dial = {
	.job_id = JOB,
	.lead_id = "42",
	.kind = "follow_up",
	.phone = "+12025550101",
	.first_name = "Ada \"A\"",
	.last_name = "Lovelace",
	.max_call_s = 900,
};

/* ---- Omni ---- */

static void test_omni_request(void **state)
{
	struct account a = account_of("omni", OMNI_SETTINGS);
	struct provider_request r;
	struct dial d = dial;
	int64_t n = 0;

	(void)state;
	provider_request_init(&r);
	d.variables =
		"{\"product\":\"solar\",\"job_id\":\"forged\",\"first_name\":\"Dr.\",\"n\":7}";
	json_t *body = built(&omni_adapter, &a, &d, &r);
	assert_string_equal(r.url.data, "https://omni.example.test/api/v1/calls/dispatch");
	assert_string_equal(r.authorization.data, "Authorization: Bearer k");
	assert_true(json_path_int(body, "agent_id", &n) && n == 101);
	assert_true(json_path_int(body, "from_number_id", &n) && n == 1720);
	assert_member(body, "to_number", "+12025550101");
	assert_member(body, "call_context.job_id", JOB);
	assert_member(body, "call_context.lead_id", "42");
	assert_member(body, "call_context.customer_name", "Ada \"A\" Lovelace");
	assert_member(body, "call_context.name", "Ada \"A\" Lovelace");
	assert_member(body, "call_context.first_name", "Dr.");
	assert_member(body, "call_context.product", "solar");
	assert_true(json_path_int(body, "call_context.n", &n) && n == 7);
	assert_member(body, "metadata.job_id", JOB);
	assert_member(body, "metadata.kind", "follow_up");
	assert_member(body, "metadata.lead_id", "42");
	json_decref(body);
	provider_request_release(&r);
	json_decref(a.settings);
}

static void test_omni_whole_url(void **state)
{
	struct account a = account_of(
		"omni",
		"{\"api_key\":\"k\",\"base_url\":\"https://other.example.test\",\"agent_id\":\"1\","
		"\"url\":\"https://omni.example.test/p/api/v1/calls/dispatch\"}");
	struct provider_request r;
	const struct list_query q = {.page = 3};

	(void)state;
	provider_request_init(&r);
	json_decref(built(&omni_adapter, &a, &dial, &r));
	assert_string_equal(r.url.data, "https://omni.example.test/p/api/v1/calls/dispatch");
	provider_request_clear(&r);
	assert_true(omni_adapter.build_list(&omni_adapter, &a, &q, &r));
	assert_string_equal(
		r.url.data,
		"https://omni.example.test/p/api/v1/calls/logs?pageno=3&pagesize=150&agentid=1");
	provider_request_release(&r);
	json_decref(a.settings);
}

static void assert_refused_settings(const struct adapter *ad, const char *settings)
{
	struct account a = account_of(ad->provider, settings);
	struct provider_request r;
	char text[256];
	struct buf error;

	provider_request_init(&r);
	buf_init_fixed(&error, text, sizeof(text));
	assert_false(ad->build(&a, &dial, &r, &error));
	assert_true(error.len > 0);
	provider_request_release(&r);
	json_decref(a.settings);
}

static void test_incomplete_settings(void **state)
{
	(void)state;
	assert_refused_settings(&omni_adapter, "{}");
	assert_refused_settings(&omni_adapter, "{\"api_key\":\"k\",\"agent_id\":\"1,2\"}");
	assert_refused_settings(&omni_adapter,
				"{\"api_key\":\"k\",\"agent_id\":\"1\",\"from_number_id\":\"x\"}");
	assert_refused_settings(&vapi_adapter, "{\"api_key\":\"k\",\"assistant_id\":\"a\"}");
	assert_refused_settings(&bland_adapter, "{\"pathway_id\":\"p\"}");
	assert_refused_settings(&bland_adapter, "{\"api_key\":\"k\"}");
	assert_refused_settings(&bland_adapter,
				"{\"api_key\":\"k\",\"pathway_id\":\"p\",\"agent_id\":\"a\"}");
}

static void test_omni_rows(void **state)
{
	json_t *row;
	struct found_call f;

	(void)state;
	f = read_row(
		&omni_adapter,
		"{\"id\":9,\"to_number\":\"+12025550101\",\"time_of_call\":\"01/05/2026 16:20:11\","
		"\"call_status\":\"no-answer\",\"call_request_id\":{\"id\":3166940},"
		"\"call_duration_in_seconds\":42,\"recording_url\":false,\"extracted_variables\":false}",
		&row);
	assert_string_equal(f.provider_call_id, "3166940");
	assert_string_equal(f.phone, "+12025550101");
	assert_int_equal(f.created_at, INT64_C(1767630011000));
	assert_int_equal(f.ended_at, INT64_C(1767630053000));
	assert_true(f.ended && f.duration_ms == 42000 && !f.recording_url);
	assert_string_equal(f.outcome, "NO_ANSWER");
	json_decref(row);

	f = read_row(
		&omni_adapter,
		"{\"id\":9,\"call_request_id\":false,\"to_number\":false,\"time_of_call\":\"soon\","
		"\"call_status\":\"completed\",\"extracted_variables\":{\"outcome\":\"Sale\"}}",
		&row);
	assert_string_equal(f.provider_call_id, "log:9");
	assert_string_equal(f.phone, "");
	assert_int_equal(f.created_at, MSG_NO_TIME);
	assert_string_equal(f.outcome, "SALE");
	json_decref(row);

	f = read_row(&omni_adapter,
		     "{\"id\":9,\"call_status\":\"completed\",\"is_voicemail\":true,"
		     "\"extracted_variables\":{\"outcome\":\"Not provided\"}}",
		     &row);
	assert_string_equal(f.outcome, "VOICEMAIL");
	json_decref(row);

	assert_neither_row_nor_list(&omni_adapter, "[1]");
}

/* ---- Vapi ---- */

static struct account vapi_account_of(const char *secrets, const char *more)
{
	char settings[1024];

	snprintf(settings, sizeof(settings), VAPI_SETTINGS, secrets, more);
	return account_of("vapi", settings);
}

static struct account vapi_account(const char *more)
{
	return vapi_account_of("s3", more);
}

static void test_vapi_request(void **state)
{
	struct account a = vapi_account("");
	struct provider_request r;
	int64_t n = 0;

	(void)state;
	provider_request_init(&r);
	json_t *body = built(&vapi_adapter, &a, &dial, &r);
	assert_string_equal(r.url.data, "https://vapi.example.test/v/call");
	assert_member(body, "assistantId", "asst");
	assert_member(body, "phoneNumberId", "num");
	assert_member(body, "name", JOB);
	assert_member(body, "customer.number", "+12025550101");
	assert_member(body, "customer.externalId", JOB);
	assert_member(body, "customer.name", "Ada \"A\" Lovelace");
	assert_member(body, "assistantOverrides.metadata.job_id", JOB);
	assert_member(body, "assistantOverrides.metadata.kind", "follow_up");
	assert_member(body, "assistantOverrides.metadata.lead_id", "42");
	assert_member(body, "assistantOverrides.variableValues.job_id", JOB);
	assert_true(json_path_int(body, "assistantOverrides.maxDurationSeconds", &n) && n == 900);
	assert_member(body, "assistantOverrides.server.url",
		      "https://hooks.example.test/webhooks/vapi/acct?job=" JOB);
	assert_member(body, "assistantOverrides.server.backoffPlan.type", "exponential");
	assert_member(body, "assistantOverrides.server.headers.X-Vapi-Secret", "s3");
	/* The API refuses what its create does not know. */
	assert_null(json_path(body, "metadata"));
	json_decref(body);
	provider_request_release(&r);
	json_decref(a.settings);
}

static void test_vapi_request_of_a_campaign(void **state)
{
	struct account a = vapi_account("");
	struct dial own = dial;
	struct provider_request r;

	(void)state;
	own.assistant_id = "its assistant";
	own.phone_number_id = "its number";
	provider_request_init(&r);
	json_t *body = built(&vapi_adapter, &a, &own, &r);
	assert_member(body, "assistantId", "its assistant");
	assert_member(body, "phoneNumberId", "its number");
	json_decref(body);
	provider_request_release(&r);
	json_decref(a.settings);
}

/* A name of multibyte characters is cut between them, at Vapi's 40. */
static void test_vapi_long_name(void **state)
{
	struct account a = vapi_account("");
	struct provider_request r;
	struct dial d = dial;

	(void)state;
	d.first_name =
		"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
		"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9";
	d.last_name = "\xc3\xa9\xc3\xa9";
	provider_request_init(&r);
	json_t *body = built(&vapi_adapter, &a, &d, &r);
	assert_int_equal(strlen(json_path_text(body, "customer.name")), 39);
	json_decref(body);
	provider_request_release(&r);
	json_decref(a.settings);
}

static void check_server(const char *secrets, const char *more, const char *path, const char *value)
{
	struct account a = vapi_account_of(secrets, more);
	struct provider_request r;

	provider_request_init(&r);
	json_t *body = built(&vapi_adapter, &a, &dial, &r);
	if (path)
		assert_member(body, path, value);
	else
		assert_null(json_path(body, "assistantOverrides.server"));
	json_decref(body);
	provider_request_release(&r);
	json_decref(a.settings);
}

static void test_vapi_webhook_auth(void **state)
{
	(void)state;
	check_server("s3", ",\"webhook_auth\":\"bearer\"",
		     "assistantOverrides.server.headers.Authorization", "Bearer s3");
	/* An HMAC credential lives at Vapi: without its id the assistant's own server is left
	 * alone. */
	check_server("s3", ",\"webhook_auth\":\"hmac\"", NULL, NULL);
	check_server("s3", ",\"webhook_auth\":\"hmac\",\"webhook_credential_id\":\"cred\"",
		     "assistantOverrides.server.credentialId", "cred");
}

/* The webhook takes each secret of the list while one is replaced; a call shows the first. */
static void test_vapi_webhook_secrets(void **state)
{
	static const char secret[] = "assistantOverrides.server.headers.X-Vapi-Secret";

	(void)state;
	check_server("new,old", "", secret, "new");
	check_server(" new\\t , old", "", secret, "new");
	check_server(",new", "", secret, "new");
	check_server("new,old", ",\"webhook_auth\":\"bearer\"",
		     "assistantOverrides.server.headers.Authorization", "Bearer new");
	check_server(" , ,", "", NULL, NULL);
}

static void test_vapi_rows(void **state)
{
	json_t *row;
	struct found_call f;

	(void)state;
	f = read_row(
		&vapi_adapter,
		"{\"id\":\"c-1\",\"status\":\"in-progress\",\"createdAt\":\"2026-01-05T16:20:11.000Z\","
		"\"name\":\"somebody\",\"customer\":{\"number\":\"+12025550101\",\"externalId\":\"" JOB
		"\"}}",
		&row);
	assert_string_equal(f.provider_call_id, "c-1");
	assert_string_equal(f.job_id, JOB);
	assert_false(f.ended);
	assert_false(f.vague);
	assert_int_equal(f.type, EVENT_IN_PROGRESS);
	assert_int_equal(f.created_at, INT64_C(1767630011000));
	json_decref(row);

	/* Words of Vapi's own that say nothing of how far the call is. */
	f = read_row(&vapi_adapter, "{\"id\":\"c-1\",\"status\":\"deletion-failed\"}", &row);
	assert_true(f.vague && !f.ended);
	json_decref(row);
	f = read_row(&vapi_adapter, "{\"id\":\"c-1\"}", &row);
	assert_true(f.vague && !f.ended);
	json_decref(row);

	f = read_row(
		&vapi_adapter,
		"{\"id\":\"c-1\",\"status\":\"ended\",\"endedReason\":\"customer-ended-call\","
		"\"assistantOverrides\":{\"metadata\":{\"job_id\":\"" JOB "\"}},"
		"\"startedAt\":\"2026-01-05T16:20:11.000Z\",\"endedAt\":\"2026-01-05T16:20:53.000Z\",\"cost\":0.07,"
		"\"analysis\":{\"summary\":\"s\",\"successEvaluation\":\"true\",\"structuredData\":{\"outcome\":\"sale\"}}}",
		&row);
	assert_string_equal(f.job_id, JOB);
	assert_true(f.ended && f.type == EVENT_REPORT && f.refusal == REFUSAL_NONE);
	assert_string_equal(f.outcome, "SALE");
	assert_int_equal(f.duration_ms, 42000);
	assert_int_equal(f.success, 1);
	assert_int_equal(f.cost_micros, 70000);
	json_decref(row);

	f = read_row(&vapi_adapter,
		     "{\"id\":\"c-1\",\"status\":\"ended\",\"endedReason\":\"customer-busy\"}",
		     &row);
	assert_string_equal(f.outcome, "BUSY");
	assert_string_equal(f.job_id, "");
	json_decref(row);

	f = read_row(&vapi_adapter,
		     "{\"id\":\"c-1\",\"status\":\"ended\","
		     "\"endedReason\":\"call.start.error-subscription-frozen\"}",
		     &row);
	assert_int_equal(f.refusal, REFUSAL_ACCOUNT);
	json_decref(row);
}

static void test_vapi_lookups(void **state)
{
	struct account a = vapi_account("");
	struct provider_request r;
	const struct list_query q = {INT64_C(1767630011000), INT64_C(1767630071000), 1, NULL};

	(void)state;
	provider_request_init(&r);
	assert_true(vapi_adapter.build_list(&vapi_adapter, &a, &q, &r));
	assert_string_equal(
		r.url.data,
		"https://vapi.example.test/v/call?limit=1000"
		"&createdAtGe=2026-01-05T16:20:11.000Z&createdAtLe=2026-01-05T16:21:11.000Z");
	provider_request_clear(&r);
	assert_true(vapi_adapter.build_get(&a, "a/b?c", &r));
	assert_string_equal(r.url.data, "https://vapi.example.test/v/call/a%2Fb%3Fc");
	provider_request_release(&r);
	json_decref(a.settings);
}

/* ---- Bland ---- */

#define BLAND_SETTINGS(more)                                                                       \
	"{\"api_key\":\"k\",\"base_url\":\"https://bland.example.test/\"" more "}"

static json_t *bland_body(const char *settings, const struct dial *d, struct provider_request *r)
{
	struct account a = account_of("bland", settings);

	json_t *body = built(&bland_adapter, &a, d, r);
	json_decref(a.settings);
	return body;
}

static void test_bland_request(void **state)
{
	struct provider_request r;
	struct dial d = dial;
	int64_t n = 0;

	(void)state;
	provider_request_init(&r);
	d.variables = "{\"product\":\"solar\",\"job_id\":\"forged\"}";
	json_t *body = bland_body(
		BLAND_SETTINGS(
			",\"pathway_id\":\"p-1\",\"pathway_version\":\"3\","
			"\"from_number\":\"+12025550100\","
			"\"webhook_url\":\"https://hooks.example.test/webhooks/bland/acct\""),
		&d, &r);
	assert_string_equal(r.url.data, "https://bland.example.test/v1/calls");
	assert_string_equal(r.authorization.data, "authorization: k");
	assert_member(body, "phone_number", "+12025550101");
	assert_member(body, "pathway_id", "p-1");
	assert_true(json_path_int(body, "pathway_version", &n) && n == 3);
	assert_member(body, "from", "+12025550100");
	assert_true(json_path_int(body, "max_duration", &n) && n == 15);
	assert_member(body, "voicemail.action", "hangup");
	assert_member(body, "request_data.customer_name", "Ada \"A\" Lovelace");
	assert_member(body, "request_data.product", "solar");
	assert_member(body, "request_data.job_id", JOB);
	assert_member(body, "metadata.job_id", JOB);
	assert_member(body, "metadata.kind", "follow_up");
	assert_member(body, "metadata.lead_id", "42");
	assert_member(body, "webhook", "https://hooks.example.test/webhooks/bland/acct");
	/* It would dial again by itself. */
	assert_null(json_path(body, "retry"));
	json_decref(body);
	provider_request_release(&r);
}

static void test_bland_settings(void **state)
{
	static const char *const speakers[] = {"pathway_id", "agent_id", "persona_id", "task"};
	struct provider_request r;
	struct dial d = dial;
	char settings[256];
	int64_t n = 0;

	(void)state;
	provider_request_init(&r);
	d.max_call_s = 61; /* whole minutes, never fewer than asked for */
	for (size_t i = 0; i < sizeof(speakers) / sizeof(speakers[0]); i++) {
		snprintf(settings, sizeof(settings),
			 BLAND_SETTINGS(",\"%s\":\"x\",\"pathway_version\":\"staging\","
					"\"webhook_url\":\"http://hooks.example.test/\""),
			 speakers[i]);
		json_t *body = bland_body(settings, &d, &r);
		for (size_t j = 0; j < sizeof(speakers) / sizeof(speakers[0]); j++)
			assert_int_equal(json_path(body, speakers[j]) != NULL, i == j);
		assert_int_equal(json_path(body, "pathway_version") != NULL, i == 0);
		assert_true(json_path_int(body, "max_duration", &n) && n == 2);
		/* Refused over there without TLS; the account's own webhook is told. */
		assert_null(json_path(body, "webhook"));
		assert_null(json_path(body, "from"));
		json_decref(body);
	}
	provider_request_release(&r);
}

static void test_bland_rows(void **state)
{
	json_t *row;
	struct found_call f;

	(void)state;
	/* Of the list: no metadata, and the number as it likes to write it. */
	f = read_row(&bland_adapter,
		     "{\"call_id\":\"c-1\",\"created_at\":\"2026-01-05T16:20:11.801193+00:00\","
		     "\"to\":\"2025550101\",\"completed\":false,\"queue_status\":\"started\"}",
		     &row);
	assert_string_equal(f.provider_call_id, "c-1");
	assert_string_equal(f.job_id, "");
	assert_string_equal(f.phone, "+12025550101");
	assert_int_equal(f.created_at, INT64_C(1767630011801));
	assert_false(f.ended);
	assert_int_equal(f.type, EVENT_IN_PROGRESS);
	json_decref(row);
	f = read_row(&bland_adapter, "{\"c_id\":\"c-1\",\"to\":\"442079460123\"}", &row);
	assert_string_equal(f.phone, "+442079460123");
	assert_int_equal(f.type, EVENT_QUEUED);
	json_decref(row);

	f = read_row(
		&bland_adapter,
		"{\"call_id\":\"c-1\",\"to\":\"+12025550101\",\"completed\":true,\"status\":\"completed\","
		"\"queue_status\":\"complete\",\"metadata\":{\"job_id\":\"" JOB "\"},"
		"\"disposition_tag\":\"CALL_BACK_SCHEDULED\",\"answered_by\":\"human\",\"price\":0.07,"
		"\"variables\":{\"callback_at\":\"2026-01-06T15:00:00-05:00\"},\"corrected_duration\":\"42\","
		"\"end_at\":\"2026-01-05T16:20:53.000Z\",\"summary\":\"s\","
		"\"concatenated_transcript\":\"t\"}",
		&row);
	assert_string_equal(f.job_id, JOB);
	assert_true(f.ended && f.type == EVENT_REPORT && f.refusal == REFUSAL_NONE);
	assert_string_equal(f.outcome, "CALLBACK");
	assert_int_equal(f.callback_at, INT64_C(1767729600000));
	assert_int_equal(f.duration_ms, 42000);
	assert_int_equal(f.ended_at, INT64_C(1767630053000));
	assert_int_equal(f.cost_micros, 70000);
	assert_string_equal(f.summary, "s");
	assert_string_equal(f.transcript, "t");
	json_decref(row);

	/* It never came to the line. */
	f = read_row(&bland_adapter,
		     "{\"call_id\":\"c-1\",\"queue_status\":\"queue_error\","
		     "\"error_message\":\"This number is blacklisted.\"}",
		     &row);
	assert_true(f.ended);
	assert_int_equal(f.refusal, REFUSAL_NUMBER);
	json_decref(row);
	f = read_row(&bland_adapter, "{\"call_id\":\"c-1\",\"queue_status\":\"pre_queue_error\"}",
		     &row);
	assert_int_equal(f.refusal, REFUSAL_RETRY);
	json_decref(row);
	f = read_row(&bland_adapter, "{\"call_id\":\"c-1\",\"queue_status\":\"call_error\"}", &row);
	assert_true(f.ended && f.refusal == REFUSAL_NONE);
	assert_string_equal(f.outcome, "FAILED");
	json_decref(row);

	assert_neither_row_nor_list(&bland_adapter, "{\"to\":\"+12025550101\"}");
}

static void test_bland_lookups(void **state)
{
	struct account a = account_of("bland", BLAND_SETTINGS(""));
	struct provider_request r;
	const struct list_query q = {INT64_C(1767630011000), INT64_C(1767630071000), 1, NULL};

	(void)state;
	provider_request_init(&r);
	assert_true(bland_adapter.build_list(&bland_adapter, &a, &q, &r));
	assert_string_equal(
		r.url.data,
		"https://bland.example.test/v1/calls?limit=1000"
		"&start_date=2026-01-05T16:20:11.000Z&end_date=2026-01-05T16:21:11.000Z");
	assert_string_equal(r.authorization.data, "authorization: k");
	provider_request_clear(&r);
	assert_true(bland_adapter.build_get(&a, "a/b?c", &r));
	assert_string_equal(r.url.data, "https://bland.example.test/v1/calls/a%2Fb%3Fc");
	provider_request_release(&r);
	json_decref(a.settings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_omni_request),
		cmocka_unit_test(test_omni_whole_url),
		cmocka_unit_test(test_incomplete_settings),
		cmocka_unit_test(test_omni_rows),
		cmocka_unit_test(test_vapi_request),
		cmocka_unit_test(test_vapi_request_of_a_campaign),
		cmocka_unit_test(test_vapi_long_name),
		cmocka_unit_test(test_vapi_webhook_auth),
		cmocka_unit_test(test_vapi_webhook_secrets),
		cmocka_unit_test(test_vapi_rows),
		cmocka_unit_test(test_vapi_lookups),
		cmocka_unit_test(test_bland_request),
		cmocka_unit_test(test_bland_settings),
		cmocka_unit_test(test_bland_rows),
		cmocka_unit_test(test_bland_lookups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
