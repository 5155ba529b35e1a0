/* SPDX-License-Identifier: Apache-2.0 */
/* Omni's post-call webhook in its shapes, old and new, and in those it should not have. */
#include "webhook_world.h"

#include <stdio.h>

static const char accounts_json[] = "[" ACCOUNT_JSON("omni", "omni", "{}") "]";

static const char composed[] =
	"{\"call_id\":9001,\"bot_id\":123,\"bot_name\":\"FollowUp\",\"to_number\":\"+12025550101\","
	"\"from_number\":\"+12025550100\",\"call_direction\":\"outbound\",\"call_request_id\":"
	"3166940,\"call_date\":\"2026-01-05 16:20:11\",\"call_duration\":42,\"call_status\":"
	"\"completed\",\"hangup_source\":false,\"recording_url\":false,\"call_report\":{"
	"\"summary\":\"Asked to be called Friday.\",\"sentiment\":\"Neutral\","
	"\"extracted_variables\":{\"callback_day\":\"Friday\"},\"full_conversation\":\"...\"}}";

static void the_composed_example_is_read(void **state)
{
	const struct msg_call_event *e = read_event(composed);

	(void)state;
	assert_string_equal(e->event_id, "omni:9001");
	assert_string_equal(e->provider, "omni");
	assert_string_equal(e->account, "omni");
	assert_string_equal(e->tenant, "default");
	assert_int_equal(e->type, EVENT_REPORT);
	assert_string_equal(e->provider_call_id, "3166940");
	assert_string_equal(e->phone, "+12025550101");
	assert_string_equal(e->outcome, "HUMAN");
	assert_string_equal(e->ended_reason, "completed");
	assert_int_equal(e->duration_ms, 42000);
	assert_string_equal(e->summary, "Asked to be called Friday.");
	assert_string_equal(e->transcript, "...");
	assert_null(e->recording_url);
	assert_null(e->job_id);
	assert_null(e->lead_id);
	assert_true(e->callback_at == MSG_NO_TIME);
	assert_true(e->success == MSG_NO_INT);
	/* Its times name no zone, so that of receipt is all that is sure. */
	assert_int_equal(e->occurred_at, NOW_MS);
	assert_int_equal(e->received_at, NOW_MS);
	assert_memory_equal(e->raw, composed, e->raw_bytes);
	assert_int_equal(e->raw_bytes, strlen(composed));
}

static void statuses_are_spelled_in_many_ways(void **state)
{
	static const struct {
		const char *status, *outcome;
	} rows[] = {
		{"\"completed\"", "HUMAN"},
		{"\"Completed\"", "HUMAN"},
		{"\"voicemail_detected\"", "VOICEMAIL"},
		{"\"voicemail-detected\"", "VOICEMAIL"},
		{"\"Voicemail Detected\"", "VOICEMAIL"},
		{"\"voicemail\"", "VOICEMAIL"},
		{"\"no_answer\"", "NO_ANSWER"},
		{"\"no-answer\"", "NO_ANSWER"},
		{"\"No Answer\"", "NO_ANSWER"},
		{"\"busy\"", "BUSY"},
		{"\"Failed\"", "FAILED"},
		{"\"cancelled\"", "CANCELLED"},
		{"\"canceled\"", "CANCELLED"},
		{"\"ring-timeout\"", "RING_TIMEOUT"}, /* a word of tomorrow is kept as it is */
		{"\"---\"", "UNKNOWN"},
		{"false", "HUMAN"}, /* older payloads came after completed calls alone */
	};
	char body[256];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(body, sizeof(body), "{\"call_id\":1,\"call_status\":%s}", rows[i].status);
		const struct msg_call_event *e = read_event(body);
		if (strcmp(e->outcome, rows[i].outcome) != 0)
			fail_msg("%s: %s", rows[i].status, e->outcome);
	}
}

static void what_the_agent_heard_goes_before_the_status(void **state)
{
	static const struct {
		const char *variables, *outcome;
		int64_t callback_at;
	} rows[] = {
		{"{\"outcome\":\"transferred\"}", "TRANSFERRED", MSG_NO_TIME},
		{"{\"disposition\":\"do not call\"}", "DO_NOT_CALL", MSG_NO_TIME},
		{"{\"outcome\":\"Not provided\",\"disposition\":\"sale\"}", "SALE", MSG_NO_TIME},
		{"{\"outcome\":\"not provided\"}", "HUMAN", MSG_NO_TIME},
		{"{\"outcome\":\"Callback\",\"callback_at\":\"2026-01-09T15:00:00-05:00\"}",
		 "CALLBACK", 1767988800000},
		{"{\"outcome\":\"CALLBACK\",\"callback_time\":\"2026-01-09T20:00:00Z\"}",
		 "CALLBACK", 1767988800000},
		{"{\"outcome\":\"CALLBACK\",\"callback_at\":\"Not provided\"}", "CALLBACK",
		 MSG_NO_TIME},
		/* Without an offset nobody can say when that is. */
		{"{\"outcome\":\"CALLBACK\",\"callback_at\":\"2026-01-09T15:00:00\"}", "CALLBACK",
		 MSG_NO_TIME},
		{"{\"outcome\":\"CALLBACK\",\"callback_at\":\"Friday\"}", "CALLBACK", MSG_NO_TIME},
		{"\"outcome\"", "HUMAN", MSG_NO_TIME},
		{"[\"outcome\"]", "HUMAN", MSG_NO_TIME},
		{"{\"outcome\":{\"x\":1}}", "HUMAN", MSG_NO_TIME},
		{"{\"outcome\":\"???\"}", "HUMAN", MSG_NO_TIME},
	};
	char body[512];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(body, sizeof(body),
			 "{\"call_id\":1,\"call_status\":\"completed\",\"call_report\":{"
			 "\"extracted_variables\":%s}}",
			 rows[i].variables);
		const struct msg_call_event *e = read_event(body);
		if (strcmp(e->outcome, rows[i].outcome) != 0 ||
		    e->callback_at != rows[i].callback_at)
			fail_msg("%s: %s %lld", rows[i].variables, e->outcome,
				 (long long)e->callback_at);
	}
}

static void ids_may_be_absent_in_many_ways(void **state)
{
	static const struct {
		const char *request_id, *provider_call_id;
	} rows[] = {
		{"3166940", "3166940"}, {"\"3166940\"", "3166940"},
		{"{\"id\":77}", "77"},	{"false", NULL},
		{"null", NULL},		{"{\"id\":false}", NULL},
		{"-1", NULL},		{"\"abc\"", NULL},
		{"\"31 66\"", NULL},	{"[1]", NULL},
		{"1.5", NULL},		{"3166940.0", "3166940"},
	};
	char body[256];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(body, sizeof(body), "{\"call_id\":1,\"call_request_id\":%s}",
			 rows[i].request_id);
		const struct msg_call_event *e = read_event(body);
		const char *want = rows[i].provider_call_id;
		if (want ? !e->provider_call_id || strcmp(e->provider_call_id, want) != 0
			 : e->provider_call_id != NULL)
			fail_msg("%s", rows[i].request_id);
	}
}

static void a_payload_without_call_id_is_known_by_its_call(void **state)
{
	char first[WEBHOOK_EVENT_ID_BYTES];

	(void)state;
	snprintf(first, sizeof(first), "%s",
		 read_event("{\"call_id\":false,\"phone_number\":\"+12025550101\",\"bot_id\":123,"
			    "\"call_date\":\"2026-01-05 16:20:11\",\"recording_url\":"
			    "\"https://r.example.test/1?signature=a\"}")
			 ->event_id);
	assert_string_equal(event.event.phone, "+12025550101");
	/* Delivered again, with another link: the same event. */
	assert_string_equal(first,
			    read_event("{\"phone_number\":\"(202) 555-0101\",\"bot_id\":123,"
				       "\"call_date\":\"2026-01-05 16:20:11\",\"recording_url\":"
				       "\"https://r.example.test/1?signature=b\"}")
				    ->event_id);
	/* Another call. */
	assert_string_not_equal(first,
				read_event("{\"phone_number\":\"+12025550101\",\"bot_id\":123,"
					   "\"call_date\":\"2026-01-05 17:20:11\"}")
					->event_id);
	assert_string_not_equal(first,
				read_event("{\"phone_number\":\"+12025550102\",\"bot_id\":123,"
					   "\"call_date\":\"2026-01-05 16:20:11\"}")
					->event_id);
}

static void our_job_id_is_taken_where_it_comes_back(void **state)
{
	static const struct {
		const char *body, *job_id, *lead_id;
	} rows[] = {
		{"{\"call_id\":1,\"metadata\":{\"job_id\":\"" JOB "\",\"lead_id\":\"42\"}}", JOB,
		 "42"},
		{"{\"call_id\":1,\"metadata\":{\"lead_id\":42}}", NULL, "42"},
		{"{\"call_id\":1,\"metadata\":{\"lead_id\":\"forty-two\"}}", NULL, NULL},
		{"{\"call_id\":1,\"call_context\":{\"job_id\":\"" JOB "\"}}", JOB, NULL},
		{"{\"call_id\":1,\"call_report\":{\"extracted_variables\":{\"job_id\":\"" JOB
		 "\"}}}",
		 JOB, NULL},
		{"{\"call_id\":1,\"metadata\":{\"job_id\":\"job-42\"},\"call_context\":{\"job_id\":"
		 "\"0190A6C4-7D3E-7CC1-8A5E-0242AC120002\"}}",
		 JOB, NULL},
		{"{\"call_id\":1,\"metadata\":{\"job_id\":\"job-42\"}}", NULL, NULL},
		{"{\"call_id\":1,\"metadata\":{\"job_id\":42}}", NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct msg_call_event *e = read_event(rows[i].body);
		if (strcmp(e->job_id ? e->job_id : "-", rows[i].job_id ? rows[i].job_id : "-") != 0)
			fail_msg("%s: %s", rows[i].body, e->job_id);
		if (strcmp(e->lead_id ? e->lead_id : "-",
			   rows[i].lead_id ? rows[i].lead_id : "-") != 0)
			fail_msg("%s: %s", rows[i].body, e->lead_id);
	}
}

static void values_are_bounded(void **state)
{
	const struct msg_call_event *e;

	(void)state;
	e = read_event("{\"call_id\":1,\"call_duration\":-3,\"recording_url\":\"javascript:x\","
		       "\"to_number\":\"n/a\",\"end_time\":\"2999-01-01T00:00:00Z\"}");
	assert_true(e->duration_ms == MSG_NO_INT);
	assert_null(e->recording_url);
	assert_null(e->phone);
	assert_int_equal(e->occurred_at, NOW_MS);
	e = read_event("{\"call_id\":1,\"call_duration\":1e12,\"recording_url\":"
		       "\"https://r.example.test/a\\nb\",\"end_time\":\"1970-01-01T00:00:09Z\"}");
	assert_true(e->duration_ms == MSG_NO_INT);
	assert_null(e->recording_url);
	assert_int_equal(e->occurred_at, NOW_MS);
	e = read_event("{\"call_id\":1,\"call_duration\":41.5,\"recording_url\":"
		       "\"https://r.example.test/a\",\"end_time\":\"2023-11-14T22:00:00Z\"}");
	assert_int_equal(e->duration_ms, 41500);
	assert_string_equal(e->recording_url, "https://r.example.test/a");
	assert_int_equal(e->occurred_at, 1699999200000);
}

static void what_is_no_report_is_told_apart(void **state)
{
	static const struct body_reading rows[] = {
		{"", READING_BAD},
		{"{", READING_BAD},
		{"[]", READING_BAD},
		{"\"x\"", READING_BAD},
		{"{}", READING_BAD},
		{"call_id=1", READING_BAD},
		{"{\"call_id\":1,\"call_id\":2}", READING_BAD},
		{"{\"call_id\":\"\\u0000\"}", READING_BAD},
		{"{\"call_id\":false,\"to_number\":false}", READING_BAD},
		{"{\"call_id\":1,\"call_direction\":\"inbound\"}", READING_UNUSED},
		{"{\"call_id\":1,\"call_direction\":false}", READING_EVENT},
	};

	(void)state;
	CHECK_READINGS(rows);
}

static void hostile_values_do_no_harm(void **state)
{
	(void)state;
	survives_hostility(&webhook_omni, its_account(), composed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_composed_example_is_read),
		cmocka_unit_test(statuses_are_spelled_in_many_ways),
		cmocka_unit_test(what_the_agent_heard_goes_before_the_status),
		cmocka_unit_test(ids_may_be_absent_in_many_ways),
		cmocka_unit_test(a_payload_without_call_id_is_known_by_its_call),
		cmocka_unit_test(our_job_id_is_taken_where_it_comes_back),
		cmocka_unit_test(values_are_bounded),
		cmocka_unit_test(what_is_no_report_is_told_apart),
		cmocka_unit_test(hostile_values_do_no_harm),
	};

	world_of(&webhook_omni, accounts_json);
	return cmocka_run_group_tests(tests, setup, teardown);
}
