/* SPDX-License-Identifier: Apache-2.0 */
/* Events of any other dialer, by Standard Webhooks. */
#include "webhook_world.h"

static const char accounts_json[] =
	"[" ACCOUNT_JSON("generic", "generic",
			 "{\"webhook_secret\":\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"}") "]";

static const char ended[] =
	"{\"type\":\"call.ended\",\"timestamp\":\"2023-11-14T22:13:10Z\",\"data\":{\"call_id\":"
	"\"call-1\",\"phone\":\"+12025550101\",\"lead_id\":\"L-7\",\"list_id\":\"100\","
	"\"first_name\":\"Ada\",\"last_name\":\"Love\",\"state\":\"FL\",\"outcome\":\"no answer\","
	"\"ended_reason\":\"timeout\",\"success\":false,\"duration_seconds\":12.5,\"ended_at\":"
	"\"2023-11-14T22:13:00Z\",\"callback_at\":\"2023-11-15T22:13:00Z\",\"summary\":\"s\","
	"\"transcript\":\"t\",\"recording_url\":\"https://r.example.test/1\"}}";

static void an_end_is_read(void **state)
{
	const struct msg_call_event *e = &event.event;

	(void)state;
	assert_int_equal(normalize(ended), READING_EVENT);
	assert_string_equal(e->event_id, "generic:call-1:NO_ANSWER");
	assert_int_equal(e->type, EVENT_REPORT);
	assert_string_equal(e->provider_call_id, "call-1");
	assert_null(e->job_id);
	assert_string_equal(e->lead_id, "L-7");
	assert_string_equal(e->phone, "+12025550101");
	assert_string_equal(e->outcome, "NO_ANSWER");
	assert_string_equal(e->ended_reason, "timeout");
	assert_int_equal(e->success, 0);
	assert_int_equal(e->duration_ms, 12500);
	assert_int_equal(e->occurred_at, NOW_MS - 20000);
	assert_int_equal(e->callback_at, NOW_MS - 20000 + 86400000);
	assert_string_equal(e->summary, "s");
	assert_string_equal(e->transcript, "t");
	assert_string_equal(e->recording_url, "https://r.example.test/1");
	assert_string_equal(event.list_id, "100");
	assert_string_equal(event.first_name, "Ada");
	assert_string_equal(event.last_name, "Love");
	assert_string_equal(event.state, "FL");
	assert_ptr_equal(webhook_generic.verify, webhook_classifier.verify);
}

static void bodies_are_told_apart(void **state)
{
	static const struct {
		const char *body;
		enum webhook_reading reading;
		const char *reason;
	} rows[] = {
		{"{\"type\":\"call.completed\",\"call_id\":7,\"phone\":\"+12025550101\",\"outcome\":"
		 "\"sold\"}",
		 READING_EVENT, ""},
		{"{\"type\":\"call.ringing\",\"data\":{}}", READING_UNUSED, ""},
		{"{\"type\":\"ping\"}", READING_UNUSED, ""},
		{"{\"data\":{}}", READING_BAD,
		 "no type; no outcome; no call_id; no phone, or none in E.164"},
		{"{\"type\":\"call.ended\",\"call_id\":\"\",\"phone\":\"me\",\"outcome\":\"?\"}",
		 READING_BAD, "no outcome; no call_id; no phone, or none in E.164"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(normalize(rows[i].body), rows[i].reading);
		assert_string_equal(reason.data, rows[i].reason);
	}
	assert_int_equal(normalize(rows[0].body), READING_EVENT);
	assert_string_equal(event.event.outcome, "SALE");
	assert_int_equal(normalize("[]"), READING_BAD);
	assert_int_equal(normalize(""), READING_BAD);
}

static void words_of_the_database_go_first(void **state)
{
	(void)state;
	word_means("NO_ANSWER", "BUSY");
	assert_int_equal(normalize(ended), READING_EVENT);
	assert_string_equal(event.event.outcome, "BUSY");
	assert_string_equal(event.event.event_id, "generic:call-1:BUSY");
	words_are_built_in();
}

static void hostile_values_do_no_harm(void **state)
{
	(void)state;
	survives_hostility(&webhook_generic, its_account(), ended);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_end_is_read),
		cmocka_unit_test(bodies_are_told_apart),
		cmocka_unit_test(words_of_the_database_go_first),
		cmocka_unit_test(hostile_values_do_no_harm),
	};

	world_of(&webhook_generic, accounts_json);
	return cmocka_run_group_tests(tests, setup, teardown);
}
