/* SPDX-License-Identifier: Apache-2.0 */
/* Provider adapters of the consumer: what each answer proves. */
#include "adapter_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#define OTHER_JOB "01890a5d-ac96-774b-bcce-b302099a8058"

/* ---- Helpers ---- */

struct shape {
	long status;
	const char *body;
	enum dispatch_result result;
	enum refusal refusal;
	int64_t retry_after_ms; /* expected */
	const char *call_id;
};

static struct http_answer answer_of(long status, const char *body)
{
	return (struct http_answer){
		.outcome = HTTP_ANSWERED,
		.body_started = true,
		.status = status,
		.body = body,
		.body_bytes = strlen(body),
		.retry_after_ms = -1,
	};
}

static struct verdict classify(const struct adapter *ad, const struct http_answer *a)
{
	struct verdict v;

	adapter_classify(ad, JOB, a, &v);
	return v;
}

static void check_shapes(const struct adapter *ad, const struct shape *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct http_answer a = answer_of(rows[i].status, rows[i].body);
		struct verdict v = classify(ad, &a);
		if (v.result != rows[i].result || v.refusal != rows[i].refusal ||
		    v.retry_after_ms != rows[i].retry_after_ms ||
		    strcmp(v.provider_call_id, rows[i].call_id ? rows[i].call_id : "") != 0)
			fail_msg("%s: %ld %s -> %s, %s, wait %lld, id '%s' (%s)", ad->provider,
				 rows[i].status, rows[i].body, dispatch_result_text(v.result),
				 v.refusal ? refusal_text(v.refusal) : "-",
				 (long long)v.retry_after_ms, v.provider_call_id, v.error);
		assert_int_equal(v.error[0] == '\0', v.result == RESULT_ACCEPTED);
	}
}
#define CHECK_SHAPES(ad, rows) check_shapes(ad, rows, sizeof(rows) / sizeof((rows)[0]))

struct reason {
	const char *body, *text;
};

/* What people read of a 400. */
static void check_reasons(const struct adapter *ad, const struct reason *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct http_answer a = answer_of(400, rows[i].body);
		assert_string_equal(classify(ad, &a).error, rows[i].text);
	}
}
#define CHECK_REASONS(ad, rows) check_reasons(ad, rows, sizeof(rows) / sizeof((rows)[0]))

/* ---- The table ---- */

static void test_table(void **state)
{
	size_t n;
	const struct adapter *const *rows = adapter_table(&n);

	(void)state;
	assert_true(n >= 4);
	for (size_t i = 0; i < n; i++) {
		const struct adapter *ad = rows[i];
		assert_ptr_equal(adapter_find(ad->provider), ad);
		assert_non_null(ad->correlation[0]);
		assert_true(ad->refusals_count > 0 && ad->list_lag_s > 0 && ad->list_page_rows > 0);
		assert_true(ad->build && ad->read_created && ad->build_list && ad->list_rows &&
			    ad->read_row);
		/* Where absence is no proof, a reused connection must not make answers unknown. */
		assert_true(ad->absence_is_proof || ad->fresh_connection);
		assert_false(ad->absence_is_proof && ad->rows_from_end);
		assert_true(!ad->rows_need_get || ad->build_get);
		assert_false(ad->rows_need_get && ad->rows_lack_id);
	}
	assert_null(adapter_find("fax"));
	assert_null(adapter_find(NULL));
}

/* ---- What every adapter has in common ---- */

static void test_not_sent(void **state)
{
	const struct http_answer failed = {.outcome = HTTP_FAILED,
					   .error = "Could not resolve host"};
	const struct http_answer held = {.outcome = HTTP_HELD, .error = "aborted"};
	/* A server that answers before it has the body has not executed it. */
	const struct http_answer early = {
		.outcome = HTTP_ANSWERED, .status = 500, .body = "", .retry_after_ms = -1};

	(void)state;
	assert_int_equal(classify(&vapi_adapter, &failed).result, RESULT_NOT_SENT);
	assert_string_equal(classify(&vapi_adapter, &failed).error, "Could not resolve host");
	assert_int_equal(classify(&omni_adapter, &held).result, RESULT_NOT_SENT);
	assert_int_equal(classify(&omni_adapter, &early).result, RESULT_NOT_SENT);
}

static void test_no_whole_answer(void **state)
{
	/* What had come may look whole. */
	static const char created[] = "{\"id\":\"c-1\",\"success\":true,\"requestId\":1}";
	static const char refused[] = "{\"success\":false,\"error\":\"no\"}";
	const struct http_answer rows[] = {
		{.outcome = HTTP_FAILED,
		 .body_started = true,
		 .status = 201,
		 .body = created,
		 .body_bytes = sizeof(created) - 1,
		 .error = "reset"},
		{.outcome = HTTP_TOO_LARGE,
		 .body_started = true,
		 .status = 201,
		 .body = created,
		 .body_bytes = sizeof(created) - 1,
		 .error = "too large"},
		{.outcome = HTTP_TOO_LARGE,
		 .body_started = true,
		 .status = 400,
		 .body = refused,
		 .body_bytes = sizeof(refused) - 1,
		 .error = "too large"},
		{.outcome = HTTP_FAILED, .body_started = true, .error = "timeout"},
		{.outcome = HTTP_FAILED, .body_started = true, .status = 201, .error = "reset"},
		{.outcome = HTTP_FAILED, .body_started = true, .status = 400, .error = "reset"},
		{.outcome = HTTP_TOO_LARGE,
		 .body_started = true,
		 .status = 200,
		 .error = "too large"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(classify(&vapi_adapter, &rows[i]).result, RESULT_UNKNOWN);
		assert_int_equal(classify(&omni_adapter, &rows[i]).result, RESULT_UNKNOWN);
	}
}

static void test_retry_after(void **state)
{
	struct http_answer a = answer_of(429, "{}");

	(void)state;
	a.retry_after_ms = 7000;
	assert_int_equal(classify(&vapi_adapter, &a).retry_after_ms, 7000);
	assert_int_equal(classify(&omni_adapter, &a).retry_after_ms, 7000);
	/* Any number can be written there; a sum with it must not overflow. */
	a.retry_after_ms = INT64_MAX;
	assert_int_equal(classify(&omni_adapter, &a).retry_after_ms, 86400000);
}

static void test_long_error_is_cut(void **state)
{
	char body[4096];

	(void)state;
	memset(body, 'x', sizeof(body));
	memcpy(body, "{\"message\":\"", 12);
	body[sizeof(body) - 3] = '"';
	body[sizeof(body) - 2] = '}';
	body[sizeof(body) - 1] = '\0';
	const struct http_answer a = answer_of(400, body);
	struct verdict v = classify(&vapi_adapter, &a);
	assert_int_equal(v.result, RESULT_REFUSED);
	assert_true(strlen(v.error) < PROVIDER_ERROR_BYTES && strlen(v.error) > 100);
}

/* Neither Kafka's side nor the database's takes what is cut inside a character or is no text. */
static void test_error_is_text(void **state)
{
	char body[512];
	const struct http_answer failed = {.outcome = HTTP_FAILED,
					   .error = "subject \xff\x80\tname"};

	(void)state;
	assert_string_equal(classify(&vapi_adapter, &failed).error, "subject ???name");
	for (size_t pad = 0; pad < 3; pad++) {
		size_t n =
			(size_t)snprintf(body, sizeof(body), "{\"message\":\"%.*s", (int)pad, "xx");
		for (int i = 0; i < 120; i++)
			n += (size_t)snprintf(body + n, sizeof(body) - n, "\xe2\x82\xac");
		snprintf(body + n, sizeof(body) - n, "\"}");
		const struct http_answer a = answer_of(400, body);
		struct verdict v = classify(&vapi_adapter, &a);
		assert_int_equal(v.result, RESULT_REFUSED);
		assert_true(strlen(v.error) > 150 && !strchr(v.error, '?'));
		for (size_t i = 0; v.error[i];) {
			size_t length = utf8_sequence(v.error + i, strlen(v.error + i));
			assert_true(length > 0);
			i += length;
		}
	}
}

/* ---- Omni ---- */

static void test_omni_answers(void **state)
{
	static const struct shape rows[] = {
		{200,
		 "{\"success\":true,\"status\":\"dispatched\",\"requestId\":3166940,\"custom_variables_count\":1}",
		 RESULT_ACCEPTED, REFUSAL_NONE, -1, "3166940"},
		{200, "{\"success\":true,\"requestId\":\"77\"}", RESULT_ACCEPTED, REFUSAL_NONE, -1,
		 "77"},
		/* Refusals inside a 200. */
		{200,
		 "{\"success\":false,\"plan_expire\":false,\"error\":\"Concurrency call limit exceeded\"}",
		 RESULT_REFUSED, REFUSAL_BACKPRESSURE, -1, NULL},
		{200, "{\"success\":false,\"plan_expire\":true,\"error\":\"Your plan\"}",
		 RESULT_REFUSED, REFUSAL_ACCOUNT, -1, NULL},
		{200, "{\"success\":false,\"error\":\"Insufficient balance\"}", RESULT_REFUSED,
		 REFUSAL_ACCOUNT, -1, NULL},
		{200, "{\"success\":false,\"error\":\"Invalid phone number\"}", RESULT_REFUSED,
		 REFUSAL_NUMBER, -1, NULL},
		{200, "{\"status\":\"error\",\"message\":\"something\"}", RESULT_REFUSED,
		 REFUSAL_RETRY, -1, NULL},
		{200, "{\"success\":false}", RESULT_REFUSED, REFUSAL_RETRY, -1, NULL},
		/* Neither one nor the other. */
		{200, "{\"success\":true}", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{200, "{\"success\":true,\"requestId\":false}", RESULT_UNKNOWN, REFUSAL_NONE, -1,
		 NULL},
		{200, "{\"success\":false,\"requestId\":5}", RESULT_UNKNOWN, REFUSAL_NONE, -1,
		 NULL},
		{200, "{\"success\":true,\"requestId\":5,\"error\":\"odd\"}", RESULT_UNKNOWN,
		 REFUSAL_NONE, -1, NULL},
		{200, "[]", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{200, "", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{200, "<html>ok</html>", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{204, "", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{302, "", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		/* Errors. */
		{400, "{\"error\":\"bad_request\",\"error_description\":\"agent_id is missing\"}",
		 RESULT_REFUSED, REFUSAL_CONFIGURATION, -1, NULL},
		{400,
		 "{\"error\":\"bad_request\",\"error_description\":\"to_number is not valid\"}",
		 RESULT_REFUSED, REFUSAL_NUMBER, -1, NULL},
		{400,
		 "{\"success\":false,\"plan_expire\":false,\"error\":\"Concurrency call limit exceeded\"}",
		 RESULT_REFUSED, REFUSAL_BACKPRESSURE, -1, NULL},
		{400, "<html>bad gateway request</html>", RESULT_REFUSED, REFUSAL_RETRY, -1, NULL},
		{401, "{\"error\":\"unauthorized\",\"error_description\":\"no\"}", RESULT_REFUSED,
		 REFUSAL_ACCOUNT, -1, NULL},
		{402, "", RESULT_REFUSED, REFUSAL_ACCOUNT, -1, NULL},
		{403, "{\"error\":\"forbidden\"}", RESULT_REFUSED, REFUSAL_ACCOUNT, -1, NULL},
		{404, "{\"error\":\"not_found\"}", RESULT_REFUSED, REFUSAL_CONFIGURATION, -1, NULL},
		{404, "nothing here", RESULT_REFUSED, REFUSAL_RETRY, -1, NULL},
		{405, "{}", RESULT_REFUSED, REFUSAL_CONFIGURATION, -1, NULL},
		{408, "{}", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{409, "{\"error\":\"conflict\"}", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{418, "{}", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{422, "{}", RESULT_REFUSED, REFUSAL_CONFIGURATION, -1, NULL},
		{429, "{}", RESULT_REFUSED, REFUSAL_BACKPRESSURE, 60000, NULL},
		{500, "{\"success\":false,\"error\":\"Concurrency call limit exceeded\"}",
		 RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{502, "<html>", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{503, "", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
	};

	(void)state;
	CHECK_SHAPES(&omni_adapter, rows);
	const struct http_answer a = answer_of(
		200, "{\"success\":false,\"message\":\"Invalid phone number +12025550101\"}");
	assert_string_equal(classify(&omni_adapter, &a).error, "Invalid phone number +*********01");
}

/* ---- Vapi ---- */

static void test_vapi_answers(void **state)
{
	static const struct shape rows[] = {
		{201, "{\"id\":\"c-1\",\"status\":\"queued\",\"name\":\"" JOB "\"}",
		 RESULT_ACCEPTED, REFUSAL_NONE, -1, "c-1"},
		{200, "{\"id\":\"c-1\"}", RESULT_ACCEPTED, REFUSAL_NONE, -1, "c-1"},
		{201,
		 "{\"id\":\"c-1\",\"status\":\"ended\",\"endedReason\":\"customer-did-not-answer\"}",
		 RESULT_ACCEPTED, REFUSAL_NONE, -1, "c-1"},
		/* Ended before it was dialed. */
		{201,
		 "{\"id\":\"c-1\",\"status\":\"ended\",\"endedReason\":\"call.start.error-subscription-concurrency-limit-reached\"}",
		 RESULT_REFUSED, REFUSAL_BACKPRESSURE, 10000, NULL},
		{201,
		 "{\"id\":\"c-1\",\"status\":\"ended\",\"endedReason\":\"call.start.error-subscription-insufficient-credits\"}",
		 RESULT_REFUSED, REFUSAL_ACCOUNT, -1, NULL},
		{201,
		 "{\"id\":\"c-1\",\"status\":\"ended\",\"endedReason\":\"call.start.error-vapi-number-outbound-daily-limit\"}",
		 RESULT_REFUSED, REFUSAL_BACKPRESSURE, 3600000, NULL},
		{201,
		 "{\"id\":\"c-1\",\"status\":\"ended\",\"endedReason\":\"call.start.error-vapi-number-international\"}",
		 RESULT_REFUSED, REFUSAL_NUMBER, -1, NULL},
		{201,
		 "{\"id\":\"c-1\",\"status\":\"ended\",\"endedReason\":\"call.start.error-get-assistant\"}",
		 RESULT_REFUSED, REFUSAL_CONFIGURATION, -1, NULL},
		{201,
		 "{\"id\":\"c-1\",\"status\":\"ended\",\"endedReason\":\"assistant-not-found\"}",
		 RESULT_REFUSED, REFUSAL_CONFIGURATION, -1, NULL},
		{201,
		 "{\"id\":\"c-1\",\"status\":\"ended\",\"endedReason\":\"call.start.error-new-kind\"}",
		 RESULT_REFUSED, REFUSAL_RETRY, -1, NULL},
		/* No id, or that of another call. */
		{201, "{\"status\":\"queued\"}", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{201, "{\"id\":\"\"}", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{201, "{\"id\":7}", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{201, "{\"id\":\"a\\nb\"}", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{201, "{\"id\":\"c-1\",\"name\":\"" OTHER_JOB "\"}", RESULT_UNKNOWN, REFUSAL_NONE,
		 -1, NULL},
		{201, "{\"results\":[],\"errors\":[]}", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{201, "[{\"id\":\"c-1\"}]", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{201, "{\"id\":\"c-1\",\"id\":\"c-2\"}", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{200, "<html>are you human?</html>", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		/* Errors. */
		{400,
		 "{\"message\":[\"property metadata should not exist\"],\"error\":\"Bad Request\",\"statusCode\":400}",
		 RESULT_REFUSED, REFUSAL_CONFIGURATION, -1, NULL},
		{400,
		 "{\"message\":[\"customer.number must be a valid phone number in the E.164 format\"],\"error\":\"Bad Request\"}",
		 RESULT_REFUSED, REFUSAL_NUMBER, -1, NULL},
		{400, "{\"error\":\"Over Concurrency Limit\"}", RESULT_REFUSED,
		 REFUSAL_BACKPRESSURE, 10000, NULL},
		{400, "{\"message\":\"Wallet balance is too low, buy credits\"}", RESULT_REFUSED,
		 REFUSAL_ACCOUNT, -1, NULL},
		{400, "not json", RESULT_REFUSED, REFUSAL_RETRY, -1, NULL},
		{401, "{\"message\":\"Invalid Key\"}", RESULT_REFUSED, REFUSAL_ACCOUNT, -1, NULL},
		{402, "{}", RESULT_REFUSED, REFUSAL_ACCOUNT, -1, NULL},
		{403, "<html>", RESULT_REFUSED, REFUSAL_ACCOUNT, -1, NULL},
		{404, "{\"message\":\"no assistant\"}", RESULT_REFUSED, REFUSAL_CONFIGURATION, -1,
		 NULL},
		{408, "{}", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{409, "{}", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{422, "{}", RESULT_REFUSED, REFUSAL_CONFIGURATION, -1, NULL},
		{429, "Rate limit exceeded", RESULT_REFUSED, REFUSAL_BACKPRESSURE, 10000, NULL},
		{500, "{\"message\":\"database\"}", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{522, "<html>", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
	};

	(void)state;
	CHECK_SHAPES(&vapi_adapter, rows);
}

/* ---- Bland ---- */

#define BLAND_ERROR(message) "{\"status\":\"error\",\"message\":\"" message "\"}"

/* One status has many meanings: the words decide. */
static void test_bland_answers(void **state)
{
	static const struct shape rows[] = {
		{200,
		 "{\"status\":\"success\",\"message\":\"Call successfully queued.\",\"call_id\":\"c-1\",\"batch_id\":null}",
		 RESULT_ACCEPTED, REFUSAL_NONE, -1, "c-1"},
		{200, "{\"call_id\":\"c-1\"}", RESULT_ACCEPTED, REFUSAL_NONE, -1, "c-1"},
		/* Refusals inside a 200, in both shapes. */
		{200, BLAND_ERROR("something"), RESULT_REFUSED, REFUSAL_RETRY, -1, NULL},
		{200, "{\"status\":\"error\"}", RESULT_REFUSED, REFUSAL_RETRY, -1, NULL},
		{200, BLAND_ERROR("Insufficient balance."), RESULT_REFUSED, REFUSAL_ACCOUNT, -1,
		 NULL},
		{200, BLAND_ERROR("This number is blacklisted."), RESULT_REFUSED, REFUSAL_NUMBER,
		 -1, NULL},
		{200,
		 "{\"data\":null,\"errors\":[{\"error\":\"AUTH_FAILURE\",\"message\":\"Unauthorized\"}]}",
		 RESULT_REFUSED, REFUSAL_ACCOUNT, -1, NULL},
		/* Neither one nor the other. */
		{200, "{\"status\":\"error\",\"call_id\":\"c-1\"}", RESULT_UNKNOWN, REFUSAL_NONE,
		 -1, NULL},
		{200, "{\"status\":\"success\"}", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{200, "{\"status\":\"success\",\"call_id\":7}", RESULT_UNKNOWN, REFUSAL_NONE, -1,
		 NULL},
		{200, "{\"data\":null,\"errors\":[]}", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{200, "<html>", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		/* 429: a number for good, ten seconds, a limit. */
		{429, BLAND_ERROR("This number is blacklisted."), RESULT_REFUSED, REFUSAL_NUMBER,
		 -1, NULL},
		{429,
		 BLAND_ERROR("Calls can only be sent every 10 seconds to the same number. Please "
			     "try again in a few seconds."),
		 RESULT_REFUSED, REFUSAL_BACKPRESSURE, 10000, NULL},
		{429, BLAND_ERROR("Rate limit exceeded"), RESULT_REFUSED, REFUSAL_BACKPRESSURE,
		 60000, NULL},
		{429,
		 BLAND_ERROR("Rate limit exceeded for newly created accounts. Please try again "
			     "soon."),
		 RESULT_REFUSED, REFUSAL_BACKPRESSURE, 300000, NULL},
		{429, BLAND_ERROR("International rate limit exceeded for your account type."),
		 RESULT_REFUSED, REFUSAL_BACKPRESSURE, 3600000, NULL},
		{429, BLAND_ERROR("Words of tomorrow"), RESULT_REFUSED, REFUSAL_BACKPRESSURE, 60000,
		 NULL},
		{429, "<html>", RESULT_REFUSED, REFUSAL_BACKPRESSURE, 60000, NULL},
		/* 400: its own trouble, the number, what we sent. */
		{400, BLAND_ERROR("Unable to queue call."), RESULT_REFUSED, REFUSAL_RETRY, -1,
		 NULL},
		{400, BLAND_ERROR("Unable to save request body."), RESULT_REFUSED, REFUSAL_RETRY,
		 -1, NULL},
		{400,
		 "{\"status\":\"DNC Error\",\"message\":\"Number found in DNC list. You cannot dial sensitive numbers.\"}",
		 RESULT_REFUSED, REFUSAL_NUMBER, -1, NULL},
		{400, BLAND_ERROR("Cannot dial sensitive numbers."), RESULT_REFUSED, REFUSAL_NUMBER,
		 -1, NULL},
		{400,
		 BLAND_ERROR("Invalid phone number. Please include a country code if outside the "
			     "US."),
		 RESULT_REFUSED, REFUSAL_NUMBER, -1, NULL},
		{400, "{\"error\":\"Invalid phone number format\"}", RESULT_REFUSED, REFUSAL_NUMBER,
		 -1, NULL},
		{400,
		 "{\"status\":\"error\",\"message\":\"Invalid parameters\",\"errors\":[\"x\",\"Invalid phone number\"]}",
		 RESULT_REFUSED, REFUSAL_NUMBER, -1, NULL},
		{400, BLAND_ERROR("Invalid from phone number."), RESULT_REFUSED,
		 REFUSAL_CONFIGURATION, -1, NULL},
		{400, BLAND_ERROR("Invalid transfer phone number."), RESULT_REFUSED,
		 REFUSAL_CONFIGURATION, -1, NULL},
		{400, BLAND_ERROR("Invalid phone number format in transfer list"), RESULT_REFUSED,
		 REFUSAL_CONFIGURATION, -1, NULL},
		{400, BLAND_ERROR("Additional properties are not allowed"), RESULT_REFUSED,
		 REFUSAL_CONFIGURATION, -1, NULL},
		{400, "not json", RESULT_REFUSED, REFUSAL_RETRY, -1, NULL},
		/* The account. */
		{401,
		 "{\"data\":null,\"errors\":[{\"error\":\"AUTH_FAILURE\",\"message\":\"Unauthorized\"}]}",
		 RESULT_REFUSED, REFUSAL_ACCOUNT, -1, NULL},
		{402, BLAND_ERROR("No billing record found."), RESULT_REFUSED, REFUSAL_ACCOUNT, -1,
		 NULL},
		{403, BLAND_ERROR("The Bland Team has flagged your account for security purposes."),
		 RESULT_REFUSED, REFUSAL_ACCOUNT, -1, NULL},
		/* The settings. */
		{404, BLAND_ERROR("Pathway with ID \\\"p\\\" not found"), RESULT_REFUSED,
		 REFUSAL_CONFIGURATION, -1, NULL},
		{404, "nothing here", RESULT_REFUSED, REFUSAL_RETRY, -1, NULL},
		{418, "{\"error\":\"OBJECTIVE_VALIDATION_ERROR\",\"details\":\"x\"}",
		 RESULT_REFUSED, REFUSAL_CONFIGURATION, -1, NULL},
		/* Nothing is proved, whatever the words. */
		{408, "{}", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{409, "{}", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{500,
		 BLAND_ERROR("Error triggering call. Please check your twilio account for errors"),
		 RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{500, BLAND_ERROR("Unable to queue call."), RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{502, "<html>", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
	};

	(void)state;
	CHECK_SHAPES(&bland_adapter, rows);
}

/* Both shapes of errors show in the reason that people read. */
static void test_bland_reasons(void **state)
{
	static const struct reason rows[] = {
		{"{\"data\":null,\"errors\":[{\"error\":\"AUTH_FAILURE\",\"message\":\"Unauthorized\"}]}",
		 "HTTP 400: Unauthorized"},
		{"{\"status\":\"error\",\"message\":\"bad\",\"errors\":[\"bad\",\"from\",7,\"to\"]}",
		 "HTTP 400: bad; from; to"},
		{"{\"status\":\"error\",\"errors\":\"x\"}", "HTTP 400"},
	};

	(void)state;
	CHECK_REASONS(&bland_adapter, rows);
}

/* ---- Twilio ---- */

#define TWILIO_ERROR(code, message)                                                                \
	"{\"code\":" code ",\"message\":\"" message                                                \
	"\",\"more_info\":\"https://www.twilio.com/docs/errors/" code "\",\"status\":400}"

static void test_twilio_answers(void **state)
{
	static const struct shape rows[] = {
		{201,
		 "{\"sid\":\"CA00000000000000000000000000000001\",\"status\":\"queued\",\"to\":\"+12025550101\"}",
		 RESULT_ACCEPTED, REFUSAL_NONE, -1, "CA00000000000000000000000000000001"},
		{201, "{\"status\":\"queued\"}", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{201, "{\"sid\":7}", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{200, "<html>", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		/* The number. */
		{400, TWILIO_ERROR("13224", "x"), RESULT_REFUSED, REFUSAL_NUMBER, -1, NULL},
		{400, TWILIO_ERROR("21211", "x"), RESULT_REFUSED, REFUSAL_NUMBER, -1, NULL},
		{400, TWILIO_ERROR("21214", "x"), RESULT_REFUSED, REFUSAL_NUMBER, -1, NULL},
		{400, TWILIO_ERROR("21215", "x"), RESULT_REFUSED, REFUSAL_NUMBER, -1, NULL},
		{400, TWILIO_ERROR("21216", "x"), RESULT_REFUSED, REFUSAL_NUMBER, -1, NULL},
		{400, TWILIO_ERROR("21217", "x"), RESULT_REFUSED, REFUSAL_NUMBER, -1, NULL},
		{400, TWILIO_ERROR("21610", "x"), RESULT_REFUSED, REFUSAL_NUMBER, -1, NULL},
		/* The settings. */
		{400, TWILIO_ERROR("21205", "x"), RESULT_REFUSED, REFUSAL_CONFIGURATION, -1, NULL},
		{400, TWILIO_ERROR("21210", "x"), RESULT_REFUSED, REFUSAL_CONFIGURATION, -1, NULL},
		{400, TWILIO_ERROR("21212", "x"), RESULT_REFUSED, REFUSAL_CONFIGURATION, -1, NULL},
		{400, TWILIO_ERROR("21219", "x"), RESULT_REFUSED, REFUSAL_CONFIGURATION, -1, NULL},
		{400, TWILIO_ERROR("21626", "x"), RESULT_REFUSED, REFUSAL_CONFIGURATION, -1, NULL},
		{404, TWILIO_ERROR("20404", "x"), RESULT_REFUSED, REFUSAL_CONFIGURATION, -1, NULL},
		/* The account. */
		{401, TWILIO_ERROR("20003", "Authenticate"), RESULT_REFUSED, REFUSAL_ACCOUNT, -1,
		 NULL},
		{403, TWILIO_ERROR("20003", "x"), RESULT_REFUSED, REFUSAL_ACCOUNT, -1, NULL},
		{400, TWILIO_ERROR("10001", "x"), RESULT_REFUSED, REFUSAL_ACCOUNT, -1, NULL},
		{402, "{}", RESULT_REFUSED, REFUSAL_ACCOUNT, -1, NULL},
		/* Limits. */
		{429, TWILIO_ERROR("20429", "Too Many Requests"), RESULT_REFUSED,
		 REFUSAL_BACKPRESSURE, 5000, NULL},
		{429, "too many", RESULT_REFUSED, REFUSAL_BACKPRESSURE, 5000, NULL},
		{400, TWILIO_ERROR("10004", "x"), RESULT_REFUSED, REFUSAL_BACKPRESSURE, 30000,
		 NULL},
		{400, TWILIO_ERROR("22005", "x"), RESULT_REFUSED, REFUSAL_BACKPRESSURE, 3600000,
		 NULL},
		/* A gateway's words end nothing for good. */
		{400, "<html>", RESULT_REFUSED, REFUSAL_RETRY, -1, NULL},
		{404, "nothing here", RESULT_REFUSED, REFUSAL_RETRY, -1, NULL},
		/* Nothing is proved, whatever the code. */
		{408, "{}", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{409, "{}", RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{500, TWILIO_ERROR("21211", "x"), RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
		{503, TWILIO_ERROR("20503", "x"), RESULT_UNKNOWN, REFUSAL_NONE, -1, NULL},
	};

	(void)state;
	CHECK_SHAPES(&twilio_adapter, rows);
}

/* The code stands before the words; whom they are about is nobody's business. */
static void test_twilio_reasons(void **state)
{
	static const struct reason rows[] = {
		{TWILIO_ERROR("21211", "The number +12025550101 is not valid."),
		 "HTTP 400: 21211: The number +*********01 is not valid."},
		{TWILIO_ERROR("21211", "2025550101"), "HTTP 400: 21211: ********01"},
		{TWILIO_ERROR("21211", "+1 (202) 555-0101, 202.555.0102"),
		 "HTTP 400: 21211: +* (***) ***-**01, ***.***.**02"},
		{TWILIO_ERROR("21211", "1234567"), "HTTP 400: 21211: 1234567"},
		{"{\"code\":\"21211\"}", "HTTP 400"},
	};

	(void)state;
	CHECK_REASONS(&twilio_adapter, rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_not_sent),
		cmocka_unit_test(test_no_whole_answer),
		cmocka_unit_test(test_retry_after),
		cmocka_unit_test(test_long_error_is_cut),
		cmocka_unit_test(test_error_is_text),
		cmocka_unit_test(test_omni_answers),
		cmocka_unit_test(test_vapi_answers),
		cmocka_unit_test(test_bland_answers),
		cmocka_unit_test(test_bland_reasons),
		cmocka_unit_test(test_twilio_answers),
		cmocka_unit_test(test_twilio_reasons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
