/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a callback, between a Kafka and an HTTP server that only write down what they are
 * told. */
#include "webhook_ingest_world.h"

static void accepted_only_after_all_acknowledgements(void **state)
{
	struct msg m;

	(void)state;
	take_omni(sale, 0);
	/* The event ends the call, which nobody looks up then: what follows from it is safe before.
	 */
	assert_int_equal(world.sent_count, 2);
	assert_int_equal(world.answers_count, 0);
	assert_int_equal(ingest_open(ingest), 1);
	deliver(1, NULL);
	assert_int_equal(world.sent_count, 2);
	deliver(0, NULL);
	assert_int_equal(world.sent_count, 3);
	assert_int_equal(world.answers_count, 0);
	deliver(2, NULL);
	assert_answered(202);
	assert_string_equal(world.answers[0].event_id, "omni:9001");

	assert_string_equal(world.sent[0].topic, "t.leads.redial.v1");
	assert_string_equal(world.sent[1].topic, "t.leads.stage.v1");
	assert_string_equal(world.sent[2].topic, "t.calls.event.v1");
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(world.sent[i].key, "+12025550101");
	decode(2, MSG_CALL_EVENT, &m);
	assert_string_equal(m.event.event_id, "omni:9001");
	assert_string_equal(m.event.tenant, "default");
	assert_int_equal(m.event.raw_bytes, strlen(sale));
	assert_memory_equal(m.event.raw, sale, strlen(sale));
	decode(0, MSG_REDIAL_UPDATE, &m);
	assert_int_equal(m.redial.action, REDIAL_COMPLETE);
	assert_string_equal(m.redial.outcome, "SALE");
	decode(1, MSG_STAGE_TRANSITION, &m);
	assert_string_equal(m.stage.to, "closed");
	assert_true(metric_value(METRIC_WEBHOOK_EVENTS, "report") > 0);
}

static void an_end_without_a_rule_is_a_retry(void **state)
{
	struct msg m;

	(void)state;
	take_vapi(report, 0);
	assert_int_equal(world.sent_count, 1);
	decode(0, MSG_REDIAL_UPDATE, &m);
	assert_int_equal(m.redial.action, REDIAL_SCHEDULE);
	assert_string_equal(m.redial.outcome, "NO_ANSWER");
	assert_string_equal(m.redial.job_id, JOB);
	deliver(0, NULL);
	decode(1, MSG_CALL_EVENT, &m);
	assert_string_equal(m.event.job_id, JOB);
	for (size_t i = 0; i < 2; i++) {
		assert_non_null(strstr(world.sent[i].headers, "ce_source=/carillon/webhook\n"));
		assert_non_null(
			strstr(world.sent[i].headers, "traceparent=00-0af7651916cd43dd8448eb2"));
	}
	deliver(1, NULL);
	assert_answered(202);
}

static void what_decides_nothing_is_one_message(void **state)
{
	(void)state;
	take_vapi("{\"message\":{\"type\":\"status-update\",\"status\":\"ringing\",\"call\":{"
		  "\"id\":\"c\"}}}",
		  0);
	assert_int_equal(world.sent_count, 1);
	assert_string_equal(world.sent[0].key, "c");
	deliver(0, NULL);
	assert_answered(202);
}

static void what_is_of_no_use_is_acknowledged_and_counted(void **state)
{
	(void)state;
	take_vapi("{\"message\":{\"type\":\"speech-update\",\"call\":{\"id\":\"c\"}}}", 0);
	assert_int_equal(world.sent_count, 0);
	assert_answered(202);
	assert_string_equal(world.answers[0].event_id, "");
	assert_true(metric_value(METRIC_WEBHOOK_EVENTS, "unused") > 0);
}

/* Of the classifier: one message, about no call's event. */
static void a_move_is_one_message_of_its_own(void **state)
{
	struct msg m;

	(void)state;
	take_classifier("{\"type\":\"call.classified\",\"phone\":\"+12025550101\","
			"\"classification\":\"ivr_only\",\"confidence\":0.9}",
			0);
	assert_int_equal(world.sent_count, 1);
	assert_int_equal(world.answers_count, 0);
	assert_string_equal(world.sent[0].topic, "t.leads.stage.v1");
	assert_string_equal(world.sent[0].key, "+12025550101");
	decode(0, MSG_STAGE_TRANSITION, &m);
	assert_string_equal(m.stage.event_id, "msg_1");
	assert_int_equal(m.stage.entity, ENTITY_PENDING_CALL);
	assert_string_equal(m.stage.to, "ivr_only");
	deliver(0, NULL);
	assert_answered(202);
	assert_string_equal(world.answers[0].event_id, "msg_1");
	assert_true(metric_value(METRIC_WEBHOOK_EVENTS, "classified") > 0);
}

static void a_move_that_is_not_stored_is_asked_for_again(void **state)
{
	(void)state;
	take_classifier("{\"type\":\"call.classified\",\"phone\":\"+12025550101\","
			"\"classification\":\"human\"}",
			0);
	deliver(0, "broker is down");
	assert_answered(503);
}

static void its_sender_is_told_what_is_wrong(void **state)
{
	(void)state;
	take_classifier("{\"type\":\"call.classified\",\"confidence\":7}", 0);
	assert_int_equal(world.sent_count, 1);
	assert_string_equal(world.sent[0].topic, "t.calls.event.v1-dlt");
	deliver(0, NULL);
	assert_answered(400);
	assert_string_equal(
		world.answers[0].detail,
		"one of pending_call_id, job_id and phone is needed; classification is "
		"none of human, ivr_only, ivr_then_human, unknown; confidence is no number "
		"from 0 to 1");
}

static void a_failure_is_answered_once_and_at_once(void **state)
{
	(void)state;
	take_omni(sale, 0);
	deliver(0, "Local: Message timed out");
	assert_int_equal(world.answers_count, 1);
	assert_int_equal(world.answers[0].status, 503);
	deliver(1, "Local: Message timed out");
	assert_answered(503);
	/* The event's own message. */
	take_omni(sale, 1);
	deliver(2, NULL);
	deliver(3, NULL);
	deliver(4, "Local: Message timed out");
	assert_int_equal(world.answers_count, 2);
	assert_int_equal(world.answers[1].status, 503);
}

static void fail_and_misread(void)
{
	static const char *const unreadable[] = {
		"{\"to_number\":\"+12025550101\",",
		"{\"to_number\":+12025550101}",
		"{\"a\":\"+12025550101\",\"a\":\"+12025550101\"}",
	};

	take_omni(sale, 0);
	for (size_t i = 0; i < 2; i++)
		deliver(i, "Local: Message timed out");
	assert_int_equal(world.sent_count, 2); /* and the event is not sent alone */
	for (size_t i = 0; i < sizeof(unreadable) / sizeof(unreadable[0]); i++) {
		take_omni(unreadable[i], i + 1);
		deliver(world.sent_count - 1, NULL);
	}
}

static void no_log_line_shows_a_number_or_a_secret(void **state)
{
	char logged[16384];

	(void)state;
	stderr_of(fail_and_misread, logged, sizeof(logged));
	assert_non_null(strstr(logged, "webhook.not_stored"));
	assert_non_null(strstr(logged, "+1********01"));
	assert_non_null(strstr(logged, "webhook.unreadable"));
	assert_null(strstr(logged, "2025550101"));
	assert_null(strstr(logged, "omni-token"));
}

static void a_full_queue_is_answered_at_once(void **state)
{
	(void)state;
	world.takes = 1;
	take_omni(sale, 0);
	assert_int_equal(world.sent_count, 1);
	assert_answered(503);
	/* What was taken is still told of. */
	deliver(0, NULL);
	assert_answered(503);
	assert_int_equal(world.sent_count, 1);

	take_omni(sale, 1);
	assert_int_equal(world.answers_count, 2);
	assert_int_equal(world.answers[1].status, 503);

	/* It is full when the event's turn comes. */
	world.takes = 2;
	take_omni(sale, 2);
	deliver(1, NULL);
	deliver(2, NULL);
	assert_int_equal(world.answers_count, 3);
	assert_int_equal(world.answers[2].status, 503);
	assert_int_equal(ingest_open(ingest), 0);
}

static void silence_is_answered_in_time(void **state)
{
	(void)state;
	take_omni(sale, 0);
	world.now_ms += 5000;
	take_omni(sale, 1);
	world.now_ms += 2999;
	ingest_expire(ingest);
	assert_int_equal(world.answers_count, 0);
	world.now_ms += 1;
	ingest_expire(ingest);
	assert_int_equal(world.answers_count, 1);
	assert_ptr_equal(world.answers[0].exchange, exchange_of(0));
	assert_int_equal(world.answers[0].status, 503);
	ingest_expire(ingest);
	assert_int_equal(world.answers_count, 1);
	/* Too late for the first, whose event is not sent any more; in time for the second. */
	for (size_t i = 0; i < 5; i++)
		deliver(i, NULL);
	assert_int_equal(world.sent_count, 5);
	assert_int_equal(world.answers_count, 2);
	assert_int_equal(world.answers[1].status, 202);
	assert_int_equal(ingest_open(ingest), 0);
}

static void who_is_unknown_or_forged_is_refused(void **state)
{
	static const struct {
		const char *provider, *account, *token;
		struct sent_header *headers;
		unsigned status;
	} rows[] = {
		{"nobody", "omni", "omni-token", NULL, 404},
		{"twilio", "twilio", NULL, NULL, 404},
		{"omni", "nobody", "omni-token", NULL, 404},
		{"omni", "vapi", "omni-token", vapi_headers, 404},
		{"vapi", "omni", "omni-token", vapi_headers, 404},
		{"omni", "omni-token", NULL, NULL, 404},
		{"omni", "omni", NULL, NULL, 401},
		{"omni", "omni", "omni-tokem", NULL, 401},
		{"vapi", "vapi", NULL, NULL, 401},
		{"vapi", "vapi", "vapi-secret", NULL, 401},
		{"vapi", "vapi", NULL, forged_headers, 401},
		{"vapi", "bare", NULL, vapi_headers, 401},
		/* Its secret is there, and can't be opened: nobody can tell. */
		{"vapi", "sealed", NULL, vapi_headers, 503},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct webhook_request r = request_of("not even JSON", rows[i].headers);
		r.token = rows[i].token;
		ingest_take(ingest, rows[i].provider, rows[i].account, &r, exchange_of(i));
		assert_int_equal(world.answers_count, i + 1);
		if (world.answers[i].status != rows[i].status)
			fail_msg("row %zu: %u", i, world.answers[i].status);
	}
	assert_int_equal(world.sent_count, 0);
	assert_true(metric_value(METRIC_SIGNATURE_FAILURES, "omni") > 1);
}

static void what_cannot_be_read_is_kept_before_it_is_refused(void **state)
{
	static const char body[] = "{\"call_id\":9001,";

	(void)state;
	take_omni(body, 0);
	assert_int_equal(world.answers_count, 0);
	assert_int_equal(world.sent_count, 1);
	assert_string_equal(world.sent[0].topic, "t.calls.event.v1-dlt");
	assert_string_equal(world.sent[0].key, "omni");
	assert_int_equal(world.sent[0].value_bytes, strlen(body));
	assert_memory_equal(world.sent[0].value, body, strlen(body));
	static const char *const headers[] = {
		"x-dlt-reason=bad JSON",
		"x-dlt-topic=t.calls.event.v1\n",
		"x-dlt-at=2023-11-14T22:13:20.000Z\n",
		"x-dlt-source=/carillon/webhook\n",
		"x-dlt-provider=omni\n",
		"x-dlt-account=omni\n",
		"kafka_dlt-exception-message=bad JSON",
		"kafka_dlt-original-topic=t.calls.event.v1\n",
	};
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		if (!strstr(world.sent[0].headers, headers[i]))
			fail_msg("%s not in %s", headers[i], world.sent[0].headers);
	}
	deliver(0, NULL);
	assert_answered(400);
	assert_true(metric_value(METRIC_DEAD_LETTERS, "t.calls.event.v1") > 0);
}

static void what_cannot_be_kept_is_not_refused(void **state)
{
	(void)state;
	take_omni("{", 0);
	deliver(0, "Local: Message timed out");
	assert_answered(503);
	world.takes = 0;
	take_omni("{", 1);
	assert_int_equal(world.answers[1].status, 503);
}

static void nobody_is_refused_before_the_accounts_are_known(void **state)
{
	(void)state;
	world.has_snapshot = false;
	take_omni(sale, 0);
	assert_answered(503);
	world.has_snapshot = true;
	take_omni(sale, 1);
	for (size_t i = 0; i < 3; i++)
		deliver(i, NULL); /* the third is sent after the second */
	assert_int_equal(world.answers[1].status, 202);
}

static void a_hundred_at_once_are_a_hundred_times_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < 100; i++)
		take_omni(sale, i);
	assert_int_equal(world.sent_count, 200);
	for (size_t i = 200; i > 0; i--)
		deliver(i - 1, NULL);
	assert_int_equal(world.sent_count, 300);
	assert_int_equal(world.answers_count, 0);
	for (size_t i = 0; i < 300; i++) {
		size_t like = i < 200 ? i % 2 : 200;
		assert_int_equal(world.sent[i].value_bytes, world.sent[like].value_bytes);
		assert_memory_equal(world.sent[i].value, world.sent[like].value,
				    world.sent[i].value_bytes);
		assert_string_equal(world.sent[i].key, world.sent[like].key);
	}
	for (size_t i = 300; i > 200; i--)
		deliver(i - 1, NULL);
	assert_int_equal(world.answers_count, 100);
	for (size_t i = 0; i < 100; i++)
		assert_int_equal(world.answers[i].status, 202);
}

static void what_is_open_is_bounded(void **state)
{
	char *large = malloc(60000);
	size_t sent;

	(void)state;
	assert_non_null(large);
	for (size_t i = 0; i < 151; i++)
		take_vapi("{\"message\":{\"type\":\"status-update\",\"status\":\"ringing\","
			  "\"call\":{\"id\":\"c\"}}}",
			  i);
	assert_int_equal(world.sent_count, 150);
	assert_int_equal(ingest_open(ingest), 150);
	assert_int_equal(world.answers_count, 1);
	assert_int_equal(world.answers[0].status, 503);
	for (size_t i = 0; i < 150; i++)
		deliver(i, NULL);

	/* Two bodies of 60 kB are more than the 100 kB that may be open. */
	snprintf(large, 60000, "{\"call_id\":1,\"x\":\"%059000d\"}", 0);
	sent = world.sent_count;
	take_omni(large, 200);
	take_omni(large, 201);
	assert_ptr_equal(world.answers[world.answers_count - 1].exchange, exchange_of(201));
	assert_int_equal(world.answers[world.answers_count - 1].status, 503);
	for (size_t i = sent; i < world.sent_count; i++)
		deliver(i, NULL);
	free(large);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(accepted_only_after_all_acknowledgements),
		TEST(an_end_without_a_rule_is_a_retry),
		TEST(what_decides_nothing_is_one_message),
		TEST(what_is_of_no_use_is_acknowledged_and_counted),
		TEST(a_move_is_one_message_of_its_own),
		TEST(a_move_that_is_not_stored_is_asked_for_again),
		TEST(its_sender_is_told_what_is_wrong),
		TEST(a_failure_is_answered_once_and_at_once),
		TEST(no_log_line_shows_a_number_or_a_secret),
		TEST(a_full_queue_is_answered_at_once),
		TEST(silence_is_answered_in_time),
		TEST(who_is_unknown_or_forged_is_refused),
		TEST(what_cannot_be_read_is_kept_before_it_is_refused),
		TEST(what_cannot_be_kept_is_not_refused),
		TEST(nobody_is_refused_before_the_accounts_are_known),
		TEST(a_hundred_at_once_are_a_hundred_times_the_same),
		TEST(what_is_open_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
