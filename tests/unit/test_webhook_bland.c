/* SPDX-License-Identifier: Apache-2.0 */
/* Bland's callbacks: the report, what else comes to its URL, and what none should be. */
#include "webhook_world.h"

#include <stdio.h>

#define CALL "8a9620f6-d634-4b92-8d75-93280a894a71"

static const char accounts_json[] = "[" ACCOUNT_JSON("bland", "bland", "{}") "]";

static const char report[] =
	"{\"call_id\":\"" CALL
	"\",\"c_id\":\"x\",\"to\":\"+12025550101\",\"from\":\"+12025550100\","
	"\"completed\":true,\"inbound\":false,\"status\":\"completed\",\"queue_status\":\"complete\","
	"\"answered_by\":\"human\",\"call_length\":0.7,\"corrected_duration\":\"42\","
	"\"error_message\":null,\"call_ended_by\":\"USER\",\"disposition_tag\":\"CALL_BACK_SCHEDULED\","
	"\"summary\":\"..\",\"metadata\":{\"job_id\":\"" JOB
	"\",\"lead_id\":\"42\"},\"price\":0.017,"
	"\"recording_url\":\"https://r.example.test/1\",\"concatenated_transcript\":\"user: Hi\","
	"\"variables\":{\"to\":\"+12025550101\",\"callback_at\":\"2026-01-09T20:00:00Z\"},"
	"\"started_at\":\"2023-11-14T21:20:11.000Z\",\"end_at\":\"2023-11-14T21:20:53.000Z\"}";
static const char no_answer[] =
	"{\"call_id\":\"" CALL "\",\"completed\":true,\"status\":\"no-answer\",\"answered_by\":"
	"\"no-answer\",\"call_length\":0,\"metadata\":{\"job_id\":\"" JOB "\"}}";
static const char failed[] =
	"{\"call_id\":\"" CALL "\",\"status\":\"failed\",\"queue_status\":\"call_error\","
	"\"error_message\":\"Call failed. The number you dialed is not found.\",\"metadata\":"
	"{\"job_id\":\"" JOB "\"}}";

static void the_composed_examples_are_read(void **state)
{
	const struct msg_call_event *e = read_event(report);

	(void)state;
	assert_string_equal(e->event_id, "bland:" CALL);
	assert_int_equal(e->type, EVENT_REPORT);
	assert_string_equal(e->provider_call_id, CALL);
	assert_string_equal(e->job_id, JOB);
	assert_string_equal(e->lead_id, "42");
	assert_string_equal(e->phone, "+12025550101");
	assert_string_equal(e->outcome, "CALLBACK");
	assert_string_equal(e->ended_reason, "completed");
	assert_int_equal(e->callback_at, 1767988800000);
	assert_int_equal(e->duration_ms, 42000);
	assert_int_equal(e->occurred_at, 1699996853000);
	assert_int_equal(e->cost_micros, 17000);
	assert_string_equal(e->summary, "..");
	assert_string_equal(e->transcript, "user: Hi");
	assert_string_equal(e->recording_url, "https://r.example.test/1");

	e = read_event(no_answer);
	assert_string_equal(e->outcome, "NO_ANSWER");
	assert_string_equal(e->job_id, JOB);
	assert_null(e->phone);
	assert_int_equal(e->duration_ms, 0);
	assert_int_equal(e->occurred_at, NOW_MS);

	e = read_event(failed);
	assert_string_equal(e->outcome, "FAILED");
	assert_string_equal(e->ended_reason, "Call failed. The number you dialed is not found.");
}

/* The disposition, then the error, then who answered, then the state. */
static void the_first_field_that_says_something_decides(void **state)
{
	static const struct {
		const char *members, *outcome;
	} rows[] = {
#define TAG(t) "\"disposition_tag\":\"" t "\",\"status\":\"completed\",\"answered_by\":\"human\""
		{TAG("CALL_BACK_SCHEDULED"), "CALLBACK"},
		{TAG("call back scheduled"), "CALLBACK"},
		{TAG("DO_NOT_CONTACT"), "DO_NOT_CALL"},
		{TAG("TRANSFERRED"), "TRANSFERRED"},
		{TAG("NOT_INTERESTED"), "NOT_INTERESTED"},
		{TAG("NOT_QUALIFIED"), "NOT_INTERESTED"},
		{TAG("COMPLETED_ACTION"), "SALE"},
		{TAG("AGENT_ENDED_CALL"), "HUMAN"},
		{TAG("INTERESTED"), "INTERESTED"},
		{TAG("FOLLOW_UP_REQUIRED"), "FOLLOW_UP_REQUIRED"},
		{TAG("NO_ANSWER"), "NO_ANSWER"},
		{TAG("BUSY"), "BUSY"},
		{TAG("FAILED"), "FAILED"},
		{TAG("CANCELED"), "CANCELLED"},
		{TAG("got_full_name_and_number"), "GOT_FULL_NAME_AND_NUMBER"},
		{TAG("NO_CONTACT_MADE"), "HUMAN"},
		{TAG("?!"), "HUMAN"},
		{"\"disposition_tag\":\"NO_CONTACT_MADE\",\"answered_by\":\"voicemail\",\"status\":"
		 "\"completed\"",
		 "VOICEMAIL"},
		{"\"disposition_tag\":\"TRANSFERRED\",\"status\":\"failed\",\"error_message\":\"Call "
		 "failed.\"",
		 "TRANSFERRED"},
#define ERROR(m) "\"status\":\"completed\",\"answered_by\":\"human\",\"error_message\":\"" m "\""
		{ERROR("Call failed. The number you dialed is busy. Please try again later."),
		 "BUSY"},
		{ERROR("Call failed. The number you dialed is temporarily unavailable."),
		 "NO_ANSWER"},
		{ERROR("Call failed. Service Provider Blocked Call due to Spam or Number "
		       "Reputation."),
		 "FAILED"},
		{ERROR("Call failed."), "FAILED"},
		{ERROR("Unable to start call. Check the call details error_message."), "FAILED"},
		{ERROR("A database error occurred. Please contact support."), "FAILED"},
		/* Of a transfer, after a conversation. */
		{ERROR("Account not allowed to call +12025550199"), "HUMAN"},
		{ERROR("unknown"), "HUMAN"},
		{"\"status\":\"completed\",\"answered_by\":\"voicemail\"", "VOICEMAIL"},
		{"\"status\":\"completed\",\"answered_by\":\"no-answer\"", "NO_ANSWER"},
		{"\"status\":\"completed\",\"answered_by\":\"unknown\"", "HUMAN"},
		{"\"status\":\"completed\",\"answered_by\":null", "HUMAN"},
		{"\"status\":\"failed\",\"error_message\":\"something new\"", "FAILED"},
		{"\"status\":\"busy\"", "BUSY"},
		{"\"status\":\"no-answer\"", "NO_ANSWER"},
		{"\"status\":\"canceled\"", "CANCELLED"},
		{"\"queue_status\":\"queue_error\"", "FAILED"},
		{"\"status\":\"unknown\",\"completed\":true", "UNKNOWN"},
		{"\"completed\":true", "UNKNOWN"},
	};
	char body[512];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(body, sizeof(body), "{\"call_id\":\"c\",%s}", rows[i].members);
		const char *outcome = read_event(body)->outcome;
		if (strcmp(outcome, rows[i].outcome) != 0)
			fail_msg("%s: %s", rows[i].members, outcome);
	}
}

static void words_of_the_database_go_first(void **state)
{
	static const struct {
		const char *members, *outcome;
	} rows[] = {
		{"\"disposition_tag\":\"Warm lead\",\"status\":\"completed\"", "SALE"},
		{"\"disposition_tag\":\"NOT_QUALIFIED\",\"status\":\"completed\"", "CALLBACK"},
		{"\"disposition_tag\":\"COLD\",\"status\":\"completed\"", "COLD"},
		{"\"status\":\"completed\",\"error_message\":\"Transfer failed.\"", "BUSY"},
		{"\"status\":\"completed\",\"answered_by\":\"human\"", "ACA"},
		{"\"status\":\"completed\",\"answered_by\":\"voicemail\"", "VOICEMAIL"},
	};
	char body[512];

	(void)state;
	word_means("WARM_LEAD", "SALE");
	word_means("NOT_QUALIFIED", "CALLBACK");
	word_means("TRANSFER_FAILED", "BUSY");
	word_means("HUMAN", "ACA");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(body, sizeof(body), "{\"call_id\":\"c\",%s}", rows[i].members);
		assert_string_equal(read_event(body)->outcome, rows[i].outcome);
	}
	words_are_built_in();
}

static void bodies_are_told_apart(void **state)
{
	static const struct body_reading rows[] = {
		{report, READING_EVENT},
		/* While the call goes on. */
		{"{\"message\":\"Call connected\",\"call_id\":\"c\",\"category\":\"call\","
		 "\"log_level\":\"info\"}",
		 READING_UNUSED},
		{"{\"message\":\"x\",\"call_id\":\"c\",\"category\":\"call\",\"status\":"
		 "\"completed\"}",
		 READING_UNUSED},
		/* What was extracted later; the whole report, if that had to wait for it. */
		{"{\"call_id\":\"c\",\"event_type\":\"citations\",\"citations\":[]}",
		 READING_UNUSED},
		{"{\"call_id\":\"c\",\"event_type\":\"multiple\",\"contents\":[\"citations\"],"
		 "\"completed\":true,\"status\":\"completed\"}",
		 READING_EVENT},
		/* Not over. */
		{"{\"call_id\":\"c\",\"status\":\"unknown\",\"completed\":false}", READING_UNUSED},
		{"{\"call_id\":\"c\",\"queue_status\":\"started\"}", READING_UNUSED},
		/* Calls that are none of ours. */
		{"{\"call_id\":\"c\",\"status\":\"completed\",\"inbound\":true}", READING_UNUSED},
		{"{\"call_id\":\"c\",\"status\":\"completed\",\"is_proxy_agent_call\":true}",
		 READING_UNUSED},
		{"{\"conversation_id\":\"c\",\"status\":\"ended\",\"channel\":\"sms\"}",
		 READING_UNUSED},
		{"", READING_BAD},
		{"{}", READING_BAD},
		{"[]", READING_BAD},
		{"{\"call_id\":\"c\"}", READING_BAD},
		{"{\"status\":\"completed\"}", READING_BAD},
		{"{\"call_id\":\"\",\"status\":\"completed\"}", READING_BAD},
		{"{\"call_id\":\"a\\r\\nb\",\"status\":\"completed\"}", READING_BAD},
		{"{\"call_id\":\"c\",\"call_id\":\"d\",\"status\":\"completed\"}", READING_BAD},
	};

	(void)state;
	CHECK_READINGS(rows);
}

static void times_and_numbers_are_bounded(void **state)
{
	static const struct {
		const char *members;
		int64_t duration_ms, occurred_at, cost_micros, callback_at;
	} rows[] = {
		{"\"corrected_duration\":\"42\",\"call_length\":5", 42000, NOW_MS, MSG_NO_INT,
		 MSG_NO_TIME},
		{"\"corrected_duration\":42.5", 42500, NOW_MS, MSG_NO_INT, MSG_NO_TIME},
		{"\"corrected_duration\":\"soon\",\"call_length\":0.5", 30000, NOW_MS, MSG_NO_INT,
		 MSG_NO_TIME},
		{"\"corrected_duration\":\"-1\",\"call_length\":-1", MSG_NO_INT, NOW_MS, MSG_NO_INT,
		 MSG_NO_TIME},
		{"\"corrected_duration\":\"nan\",\"call_length\":1e300", MSG_NO_INT, NOW_MS,
		 MSG_NO_INT, MSG_NO_TIME},
		{"\"price\":-1,\"end_at\":\"2033-01-01T00:00:00Z\"", MSG_NO_INT, NOW_MS, MSG_NO_INT,
		 MSG_NO_TIME},
		{"\"price\":1e300,\"end_at\":7", MSG_NO_INT, NOW_MS, MSG_NO_INT, MSG_NO_TIME},
		{"\"price\":\"0.1\"", MSG_NO_INT, NOW_MS, MSG_NO_INT, MSG_NO_TIME},
		{"\"variables\":{\"callback_time\":\"2026-01-09T15:00:00-05:00\"}", MSG_NO_INT,
		 NOW_MS, MSG_NO_INT, 1767988800000},
		{"\"analysis\":{\"callback_at\":\"2026-01-09T20:00:00Z\"}", MSG_NO_INT, NOW_MS,
		 MSG_NO_INT, 1767988800000},
		/* Whose three o'clock? */
		{"\"variables\":{\"callback_at\":\"tomorrow at 3pm\"},\"analysis\":[]", MSG_NO_INT,
		 NOW_MS, MSG_NO_INT, MSG_NO_TIME},
	};
	char body[512];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(body, sizeof(body), "{\"call_id\":\"c\",\"status\":\"completed\",%s}",
			 rows[i].members);
		const struct msg_call_event *e = read_event(body);
		if (e->duration_ms != rows[i].duration_ms ||
		    e->occurred_at != rows[i].occurred_at ||
		    e->cost_micros != rows[i].cost_micros || e->callback_at != rows[i].callback_at)
			fail_msg("%s: %lld %lld %lld %lld", rows[i].members,
				 (long long)e->duration_ms, (long long)e->occurred_at,
				 (long long)e->cost_micros, (long long)e->callback_at);
	}
}

static void our_job_id_is_taken_where_it_comes_back(void **state)
{
	(void)state;
	assert_string_equal(
		read_event(
			"{\"call_id\":\"c\",\"status\":\"failed\",\"variables\":{\"job_id\":\"" JOB
			"\"}}")
			->job_id,
		JOB);
	assert_string_equal(
		read_event(
			"{\"c_id\":\"c\",\"status\":\"failed\",\"metadata\":{\"job_id\":\"job-42\"},"
			"\"request_data\":{\"job_id\":\"" JOB "\"}}")
			->job_id,
		JOB);
	assert_null(read_event("{\"call_id\":\"c\",\"status\":\"failed\",\"metadata\":{\"job_id\":"
			       "\"job-42\"}}")
			    ->job_id);
}

static void hostile_values_do_no_harm(void **state)
{
	const struct account *a = its_account();

	(void)state;
	survives_hostility(&webhook_bland, a, report);
	survives_hostility(&webhook_bland, a, failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_composed_examples_are_read),
		cmocka_unit_test(the_first_field_that_says_something_decides),
		cmocka_unit_test(words_of_the_database_go_first),
		cmocka_unit_test(bodies_are_told_apart),
		cmocka_unit_test(times_and_numbers_are_bounded),
		cmocka_unit_test(our_job_id_is_taken_where_it_comes_back),
		cmocka_unit_test(hostile_values_do_no_harm),
	};

	world_of(&webhook_bland, accounts_json);
	return cmocka_run_group_tests(tests, setup, teardown);
}
