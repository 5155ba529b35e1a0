/* SPDX-License-Identifier: Apache-2.0 */
/* Vapi's server messages: the two that are followed, the others, and what none should be. */
#include "webhook_world.h"

#include <stdio.h>

#define CALL "11111111-2222-3333-4444-555555555555"

static const char accounts_json[] = "[" ACCOUNT_JSON("vapi", "vapi", "{}") "]";

static const char in_progress[] =
	"{\"message\":{\"type\":\"status-update\",\"status\":\"in-progress\",\"timestamp\":"
	"1699999999000,\"call\":{\"id\":\"" CALL "\",\"name\":\"job-42\"}}}";
static const char ended[] =
	"{\"message\":{\"type\":\"status-update\",\"status\":\"ended\","
	"\"endedReason\":\"customer-did-not-answer\",\"call\":{\"id\":\"" CALL "\"}}}";
static const char report[] =
	"{\"message\":{\"type\":\"end-of-call-report\",\"endedReason\":\"customer-ended-call\","
	"\"startedAt\":\"2023-11-14T21:20:11.000Z\",\"endedAt\":\"2023-11-14T21:20:53.000Z\","
	"\"cost\":0.07,\"customer\":{\"number\":\"+12025550101\"},\"call\":{\"id\":\"" CALL
	"\",\"type\":\"outboundPhoneCall\",\"assistantOverrides\":{\"metadata\":{\"job_id\":\"" JOB
	"\",\"lead_id\":\"42\"}}},\"artifact\":{\"transcript\":\"AI: ..\",\"recordingUrl\":"
	"\"https://r.example.test/1\"},\"analysis\":{\"summary\":\"..\",\"successEvaluation\":"
	"\"true\",\"structuredData\":{\"outcome\":\"sale\",\"callback_at\":"
	"\"2026-01-09T20:00:00Z\"}}}}";

/* `job` is what the query of its URL says, or NULL. */
static enum webhook_reading normalize_with_job(const char *body, const char *job)
{
	struct webhook_request r = request_of(body, NULL);

	r.job = job;
	return normalize_request(its_account(), &r);
}

static void the_composed_examples_are_read(void **state)
{
	const struct msg_call_event *e = read_event(in_progress);

	(void)state;
	assert_string_equal(e->event_id, "vapi:" CALL ":status-update:in-progress");
	assert_int_equal(e->type, EVENT_IN_PROGRESS);
	assert_string_equal(e->provider_call_id, CALL);
	assert_null(e->job_id); /* "job-42" is somebody else's */
	assert_null(e->outcome);
	assert_int_equal(e->occurred_at, 1699999999000);

	e = read_event(ended);
	assert_string_equal(e->event_id, "vapi:" CALL ":status-update:ended");
	assert_int_equal(e->type, EVENT_ENDED);
	assert_string_equal(e->outcome, "NO_ANSWER");
	assert_string_equal(e->ended_reason, "customer-did-not-answer");
	assert_int_equal(e->occurred_at, NOW_MS);

	e = read_event(report);
	assert_string_equal(e->event_id, "vapi:" CALL ":end-of-call-report:ended");
	assert_int_equal(e->type, EVENT_REPORT);
	assert_string_equal(e->job_id, JOB);
	assert_string_equal(e->lead_id, "42");
	assert_string_equal(e->phone, "+12025550101");
	assert_string_equal(e->outcome, "SALE");
	assert_int_equal(e->callback_at, 1767988800000);
	assert_int_equal(e->success, 1);
	assert_string_equal(e->success_evaluation, "true");
	assert_int_equal(e->duration_ms, 42000);
	assert_int_equal(e->occurred_at, 1699996853000);
	assert_int_equal(e->cost_micros, 70000);
	assert_string_equal(e->summary, "..");
	assert_string_equal(e->transcript, "AI: ..");
	assert_string_equal(e->recording_url, "https://r.example.test/1");
	assert_int_equal(e->raw_bytes, strlen(report));
}

/* A rubric of another kind than pass and fail, and the recording where it is now. */
static void what_reports_have_of_late(void **state)
{
	const struct msg_call_event *e = read_event(
		"{\"message\":{\"type\":\"end-of-call-report\",\"call\":{\"id\":\"" CALL "\"},"
		"\"analysis\":{\"successEvaluation\":\"7 of 10\"},\"artifact\":{\"recording\":"
		"{\"stereoUrl\":\"https://r.example.test/s\",\"mono\":{\"combinedUrl\":"
		"\"https://r.example.test/m\"}}}}}");

	(void)state;
	assert_int_equal(e->success, MSG_NO_INT);
	assert_string_equal(e->success_evaluation, "7 of 10");
	assert_string_equal(e->recording_url, "https://r.example.test/m");
}

static void reasons_are_outcomes(void **state)
{
	static const struct {
		const char *reason;
		const char *ended;  /* outcome of the status-update; NULL: left to the report */
		const char *report; /* outcome of the report without analysis */
	} rows[] = {
		{"customer-did-not-answer", "NO_ANSWER", "NO_ANSWER"},
		{"customer-busy", "BUSY", "BUSY"},
		{"voicemail", "VOICEMAIL", "VOICEMAIL"},
		{"customer-ended-call", NULL, "HUMAN"},
		{"customer-ended-call-after-warm-transfer-attempt", NULL, "HUMAN"},
		{"assistant-ended-call", NULL, "HUMAN"},
		{"assistant-ended-call-with-hangup-task", NULL, "HUMAN"},
		{"assistant-said-end-call-phrase", NULL, "HUMAN"},
		{"assistant-forwarded-call", NULL, "TRANSFERRED"},
		{"exceeded-max-duration", NULL, "HUMAN"},
		{"silence-timed-out", NULL, "HUMAN"},
		{"twilio-reported-customer-misdialed", "FAILED", "FAILED"},
		{"vonage-rejected", "FAILED", "FAILED"},
		{"twilio-failed-to-connect-call", "FAILED", "FAILED"},
		{"call.in-progress.error-providerfault-outbound-sip-503-service-unavailable",
		 "FAILED", "FAILED"},
		{"call.in-progress.error-vapifault-worker-died", "FAILED", "FAILED"},
		{"call.start.error-subscription-insufficient-credits", "FAILED", "FAILED"},
		{"assistant-not-found", "FAILED", "FAILED"},
		{"pipeline-error-openai-llm-failed", "FAILED", "FAILED"},
		{"unknown-error", "FAILED", "FAILED"},
		{"worker-shutdown", "FAILED", "FAILED"},
		{"manually-canceled", "CANCELLED", "CANCELLED"},
		{"call-deleted", "CANCELLED", "CANCELLED"},
		{"a-reason-of-tomorrow", NULL, "UNKNOWN"},
		{"customer-busy-but-not-quite", NULL, "UNKNOWN"},
	};
	char body[512];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(body, sizeof(body),
			 "{\"message\":{\"type\":\"status-update\",\"status\":\"ended\","
			 "\"endedReason\":\"%s\",\"call\":{\"id\":\"c\"}}}",
			 rows[i].reason);
		const char *outcome = read_event(body)->outcome;
		if (strcmp(outcome ? outcome : "-", rows[i].ended ? rows[i].ended : "-") != 0)
			fail_msg("ended %s: %s", rows[i].reason, outcome);
		snprintf(body, sizeof(body),
			 "{\"message\":{\"type\":\"end-of-call-report\",\"endedReason\":\"%s\","
			 "\"call\":{\"id\":\"c\"}}}",
			 rows[i].reason);
		assert_string_equal(read_event(body)->outcome, rows[i].report);
	}
}

static void the_analysis_goes_before_the_reason(void **state)
{
	static const struct {
		const char *analysis, *outcome;
		int64_t success;
	} rows[] = {
		{"{\"structuredData\":{\"outcome\":\"not interested\"}}", "NOT_INTERESTED",
		 MSG_NO_INT},
		{"{\"structuredData\":{\"disposition\":\"ACA\"},\"successEvaluation\":\"false\"}",
		 "ACA", 0},
		{"{\"structuredData\":{\"outcome\":\"\"},\"successEvaluation\":\"true\"}", "HUMAN",
		 1},
		{"{\"structuredData\":null,\"successEvaluation\":true}", "HUMAN", 1},
		{"{\"successEvaluation\":\"7\"}", "HUMAN", MSG_NO_INT},
		{"{\"successEvaluation\":\"good\"}", "HUMAN", MSG_NO_INT},
		{"{\"structuredData\":\"outcome\"}", "HUMAN", MSG_NO_INT},
		{"[]", "HUMAN", MSG_NO_INT},
	};
	char body[512];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(body, sizeof(body),
			 "{\"message\":{\"type\":\"end-of-call-report\",\"endedReason\":"
			 "\"customer-ended-call\",\"call\":{\"id\":\"c\"},\"analysis\":%s}}",
			 rows[i].analysis);
		const struct msg_call_event *e = read_event(body);
		if (strcmp(e->outcome, rows[i].outcome) != 0 || e->success != rows[i].success)
			fail_msg("%s: %s", rows[i].analysis, e->outcome);
	}
}

static void our_job_id_is_taken_where_it_comes_back(void **state)
{
	static const struct {
		const char *call, *query, *job_id;
	} rows[] = {
		{"\"id\":\"c\",\"assistantOverrides\":{\"metadata\":{\"job_id\":\"" JOB "\"}}",
		 NULL, JOB},
		{"\"id\":\"c\",\"assistantOverrides\":{\"variableValues\":{\"job_id\":\"" JOB
		 "\"}}",
		 NULL, JOB},
		{"\"id\":\"c\",\"metadata\":{\"job_id\":\"" JOB "\"}", NULL, JOB},
		{"\"id\":\"c\",\"customer\":{\"externalId\":\"" JOB "\"}", NULL, JOB},
		{"\"id\":\"c\",\"name\":\"0190A6C4-7D3E-7CC1-8A5E-0242AC120002\"", NULL, JOB},
		{"\"id\":\"c\",\"name\":\"Spring campaign\"", JOB, JOB},
		{"\"id\":\"c\",\"name\":\"" JOB "\"", "99999999-9999-7999-8999-999999999999", JOB},
		{"\"id\":\"c\",\"name\":\"Spring campaign\"", "job-42", NULL},
		{"\"id\":\"c\",\"name\":42", NULL, NULL},
	};
	char body[512];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(body, sizeof(body),
			 "{\"message\":{\"type\":\"status-update\",\"status\":\"ringing\","
			 "\"call\":{%s}}}",
			 rows[i].call);
		assert_int_equal(normalize_with_job(body, rows[i].query), READING_EVENT);
		const char *job_id = event.event.job_id;
		if (strcmp(job_id ? job_id : "-", rows[i].job_id ? rows[i].job_id : "-") != 0)
			fail_msg("%s: %s", rows[i].call, job_id);
	}
}

static void an_event_keeps_its_id(void **state)
{
	static const char body[] =
		"{\"message\":{\"type\":\"end-of-call-report\",\"call\":{\"id\":\"%s\"},"
		"\"artifact\":{\"recordingUrl\":\"https://r.example.test/%d\"}}}";
	char text[2048], first[WEBHOOK_EVENT_ID_BYTES], long_id[300];

	(void)state;
	/* Links in a report are signed anew for each delivery. */
	snprintf(text, sizeof(text), body, CALL, 1);
	snprintf(first, sizeof(first), "%s", read_event(text)->event_id);
	snprintf(text, sizeof(text), body, CALL, 2);
	assert_string_equal(read_event(text)->event_id, first);

	/* Without a call's id, by the job's. */
	assert_int_equal(normalize_with_job("{\"message\":{\"type\":\"end-of-call-report\"}}", JOB),
			 READING_EVENT);
	assert_string_equal(event.event.event_id, "vapi:job-" JOB ":end-of-call-report:ended");
	assert_null(event.event.provider_call_id);

	/* An id too long to be one is none. */
	memset(long_id, 'x', sizeof(long_id) - 1);
	long_id[sizeof(long_id) - 1] = '\0';
	snprintf(text, sizeof(text), body, long_id, 1);
	assert_int_equal(normalize(text), READING_BAD);
	assert_int_equal(normalize_with_job(text, JOB), READING_EVENT);
	assert_null(event.event.provider_call_id);
}

static void messages_are_told_apart(void **state)
{
	static const struct {
		const char *body;
		enum webhook_reading reading;
		enum event_type type;
	} rows[] = {
#define STATUS(s)                                                                                  \
	"{\"message\":{\"type\":\"status-update\",\"status\":\"" s "\",\"call\":{\"id\":\"c\"}}}"
		{STATUS("scheduled"), READING_EVENT, EVENT_QUEUED},
		{STATUS("queued"), READING_EVENT, EVENT_QUEUED},
		{STATUS("ringing"), READING_EVENT, EVENT_RINGING},
		{STATUS("in-progress"), READING_EVENT, EVENT_IN_PROGRESS},
		{STATUS("forwarding"), READING_EVENT, EVENT_IN_PROGRESS},
		{STATUS("ended"), READING_EVENT, EVENT_ENDED},
		{STATUS("failed"), READING_EVENT, EVENT_ENDED},
		{STATUS("not-found"), READING_UNUSED, 0},
		{STATUS("deletion-failed"), READING_UNUSED, 0},
		{STATUS("a-state-of-tomorrow"), READING_UNUSED, 0},
#define KIND(t) "{\"message\":{\"type\":\"" t "\",\"call\":{\"id\":\"c\"}}}"
		{KIND("conversation-update"), READING_UNUSED, 0},
		{KIND("speech-update"), READING_UNUSED, 0},
		{KIND("transcript"), READING_UNUSED, 0},
		{KIND("tool-calls"), READING_UNUSED, 0},
		{KIND("hang"), READING_UNUSED, 0},
		{KIND("end-of-call-report"), READING_EVENT, EVENT_REPORT},
		/* Calls that are none of ours. */
		{"{\"message\":{\"type\":\"end-of-call-report\",\"call\":{\"id\":\"c\",\"type\":"
		 "\"inboundPhoneCall\"}}}",
		 READING_UNUSED, 0},
		{"{\"message\":{\"type\":\"end-of-call-report\",\"call\":{\"id\":\"c\",\"type\":"
		 "\"webCall\"}}}",
		 READING_UNUSED, 0},
		{"", READING_BAD, 0},
		{"{}", READING_BAD, 0},
		{"[]", READING_BAD, 0},
		{"{\"message\":[]}", READING_BAD, 0},
		{"{\"message\":{}}", READING_BAD, 0},
		{"{\"message\":{\"type\":7}}", READING_BAD, 0},
		{"{\"type\":\"end-of-call-report\",\"call\":{\"id\":\"c\"}}", READING_BAD, 0},
		{KIND("end-of-call-report") "x", READING_BAD, 0},
		{"{\"message\":{\"type\":\"end-of-call-report\",\"call\":{\"id\":\"\"}}}",
		 READING_BAD, 0},
		{"{\"message\":{\"type\":\"end-of-call-report\",\"call\":{\"id\":\"a\\r\\nb\"}}}",
		 READING_BAD, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		check_reading(rows[i].body, rows[i].reading, normalize(rows[i].body));
		if (rows[i].reading == READING_EVENT)
			assert_int_equal(event.event.type, rows[i].type);
	}
}

static void times_and_numbers_are_bounded(void **state)
{
	static const struct {
		const char *members;
		int64_t duration_ms, occurred_at, cost_micros;
	} rows[] = {
		{"\"timestamp\":1699999999", MSG_NO_INT, 1699999999000, MSG_NO_INT},
		{"\"timestamp\":1699999999123.5", MSG_NO_INT, 1699999999123, MSG_NO_INT},
		{"\"timestamp\":1700000900000", MSG_NO_INT, NOW_MS, MSG_NO_INT},
		{"\"timestamp\":-5,\"cost\":-1", MSG_NO_INT, NOW_MS, MSG_NO_INT},
		{"\"timestamp\":1e300,\"cost\":1e300", MSG_NO_INT, NOW_MS, MSG_NO_INT},
		{"\"startedAt\":\"2023-11-14T21:20:53Z\",\"endedAt\":\"2023-11-14T21:20:11Z\"",
		 MSG_NO_INT, 1699996811000, MSG_NO_INT},
		{"\"startedAt\":\"2003-11-14T21:20:53Z\",\"endedAt\":\"2023-11-14T21:20:11Z\"",
		 MSG_NO_INT, 1699996811000, MSG_NO_INT},
		{"\"startedAt\":\"x\",\"endedAt\":\"y\",\"cost\":\"0.07\"", MSG_NO_INT, NOW_MS,
		 MSG_NO_INT},
		{"\"cost\":1.2345678", MSG_NO_INT, NOW_MS, 1234568},
	};
	char body[512];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(body, sizeof(body),
			 "{\"message\":{\"type\":\"end-of-call-report\",\"call\":{\"id\":\"c\"},"
			 "%s}}",
			 rows[i].members);
		const struct msg_call_event *e = read_event(body);
		if (e->duration_ms != rows[i].duration_ms ||
		    e->occurred_at != rows[i].occurred_at || e->cost_micros != rows[i].cost_micros)
			fail_msg("%s: %lld %lld %lld", rows[i].members, (long long)e->duration_ms,
				 (long long)e->occurred_at, (long long)e->cost_micros);
	}
}

static void long_texts_are_cut_to_what_a_message_holds(void **state)
{
	const size_t n = WEBHOOK_BODY_BYTES_MAX - 200;
	char *text = malloc(WEBHOOK_BODY_BYTES_MAX);
	struct buf body;
	struct msg_codec *codec = msg_codec_new();

	(void)state;
	assert_non_null(text);
	assert_non_null(codec);
	memset(text, 'a', n);
	text[n] = '\0';
	buf_init(&body, WEBHOOK_BODY_BYTES_MAX);
	buf_addf(&body,
		 "{\"message\":{\"type\":\"end-of-call-report\",\"call\":{\"id\":\"c\"},"
		 "\"artifact\":{\"transcript\":\"%s\"}}}",
		 text);
	assert_false(body.failed);
	const struct msg_call_event *e = read_event(body.data);
	assert_int_equal(strlen(e->transcript), 512 * 1024);
	assert_int_equal(e->raw_bytes, body.len);
	assert_event_sound(codec, e);
	buf_release(&body);
	msg_codec_free(codec);
	free(text);
}

static void hostile_values_do_no_harm(void **state)
{
	const struct account *a = its_account();

	(void)state;
	survives_hostility(&webhook_vapi, a, report);
	survives_hostility(&webhook_vapi, a, in_progress);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_composed_examples_are_read),
		cmocka_unit_test(what_reports_have_of_late),
		cmocka_unit_test(reasons_are_outcomes),
		cmocka_unit_test(the_analysis_goes_before_the_reason),
		cmocka_unit_test(our_job_id_is_taken_where_it_comes_back),
		cmocka_unit_test(an_event_keeps_its_id),
		cmocka_unit_test(messages_are_told_apart),
		cmocka_unit_test(times_and_numbers_are_bounded),
		cmocka_unit_test(long_texts_are_cut_to_what_a_message_holds),
		cmocka_unit_test(hostile_values_do_no_harm),
	};

	world_of(&webhook_vapi, accounts_json);
	return cmocka_run_group_tests(tests, setup, teardown);
}
