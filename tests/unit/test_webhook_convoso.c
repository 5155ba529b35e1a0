/* SPDX-License-Identifier: Apache-2.0 */
/* Convoso's events in JSON and as forms, under the usual keys and an account's own. */
#include "webhook_world.h"

#include <stdio.h>

#include "common/form.h"

#define ZONE "\"time_zone\":\"America/Los_Angeles\""

static const char accounts_json[] = "[" ACCOUNT_JSON(
	"convoso", "convoso",
	"{\"webhook_secret\":\"new, old\"," ZONE
	"}") "," ACCOUNT_JSON("mapped", "convoso",
			      "{\"webhook_secret\":\"s\",\"fields\":\"call_log_id=LogID, "
			      "phone_number=data.Phone\","
			      "\"fields.status\":\"Disposition\"}") "," ACCOUNT_JSON("open",
										     "convoso",
										     "{}") "]";

static const char composed[] =
	"{\"call_log_id\":\"77\",\"lead_id\":\"12345\",\"list_id\":\"100\",\"status\":\"NA\","
	"\"call_type\":\"OUTBOUND\",\"length_in_sec\":\"30\",\"call_date\":\"2023-11-14 14:00:00\","
	"\"term_reason\":\"NONE\",\"phone_number\":\"2025550101\",\"phone_code\":\"1\","
	"\"first_name\":\"Ada\",\"last_name\":\"Love\",\"state\":\"FL\",\"agent_comment\":\"rang\","
	"\"recording\":\"https://rec.example/77\"}";

static int setup_with_zones(void **state)
{
	assert_int_equal(setup(state), 0);
	assert_true(zones_add(&database.zones, "America/Los_Angeles", 0, -28800));
	assert_true(zones_add(&database.zones, "America/Los_Angeles", 1678615200000, -25200));
	assert_true(zones_add(&database.zones, "America/Los_Angeles", 1699174800000, -28800));
	snapshot = &database;
	return 0;
}

static enum webhook_reading normalize_of(const char *account, const char *body)
{
	const struct webhook_request r = request_of(body, NULL);

	return normalize_request(account_by_name(accounts, account), &r);
}

static const struct msg_call_event *read_event_of(const char *account, const char *body)
{
	const struct webhook_request r = request_of(body, NULL);

	return read_request(account_by_name(accounts, account), &r);
}

static void the_secret_is_shown_in_two_ways(void **state)
{
	static const struct {
		const char *account, *header, *token;
		enum webhook_verify wanted;
	} cases[] = {
		{"convoso", "new", NULL, VERIFY_OK},
		{"convoso", "old", NULL, VERIFY_OK},
		{"convoso", NULL, "new", VERIFY_OK},
		{"convoso", NULL, "old", VERIFY_OK},
		{"convoso", "wrong", "old", VERIFY_OK},
		{"convoso", NULL, NULL, VERIFY_FORGED},
		{"convoso", "wrong", NULL, VERIFY_FORGED},
		{"convoso", NULL, "new, old", VERIFY_FORGED},
		{"convoso", "", "", VERIFY_FORGED},
		{"mapped", "new", NULL, VERIFY_FORGED},
		{"open", "", NULL, VERIFY_NO_SECRET},
		{"open", "x", "x", VERIFY_NO_SECRET},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sent_header headers[] = {{"X-Webhook-Secret", cases[i].header},
						{NULL, NULL}};
		struct webhook_request r = request_of(composed, headers);
		r.token = cases[i].token;
		assert_int_equal(
			webhook_convoso.verify(account_by_name(accounts, cases[i].account), &r),
			cases[i].wanted);
	}
}

static void assert_composed(const struct msg_call_event *e)
{
	assert_string_equal(e->event_id, "convoso:77:NA");
	assert_string_equal(e->provider_call_id, "77");
	assert_string_equal(e->lead_id, "12345");
	assert_string_equal(e->phone, "+12025550101");
	assert_string_equal(e->outcome, "NO_ANSWER");
	assert_int_equal(e->type, EVENT_REPORT);
	assert_null(e->job_id);
	assert_int_equal(e->duration_ms, 30000);
	/* 14:00:30 in Los Angeles. */
	assert_int_equal(e->occurred_at, INT64_C(1699999230000));
	assert_string_equal(e->ended_reason, "NONE");
	assert_string_equal(e->summary, "rang");
	assert_string_equal(e->recording_url, "https://rec.example/77");
	assert_string_equal(event.list_id, "100");
	assert_string_equal(event.first_name, "Ada");
	assert_string_equal(event.last_name, "Love");
	assert_string_equal(event.state, "FL");
}

static void json_is_read(void **state)
{
	(void)state;
	assert_composed(read_event(composed));
	/* Numbers are numbers as well. */
	const struct msg_call_event *e =
		read_event(" {\"call_log_id\":77,\"status\":\"B\",\"phone_number\":"
			   "2025550101,\"length_in_sec\":0,\"lead_id\":5}");
	assert_string_equal(e->event_id, "convoso:77:B");
	assert_string_equal(e->outcome, "BUSY");
	assert_string_equal(e->lead_id, "5");
	assert_int_equal(e->duration_ms, 0);
	assert_int_equal(e->occurred_at, NOW_MS);
}

static void a_form_is_read_as_the_same(void **state)
{
	(void)state;
	assert_composed(read_event(
		"call_log_id=77&lead_id=12345&list_id=100&status=NA&call_type=OUTBOUND&"
		"length_in_sec=30&call_date=2023-11-14+14%3A00%3a00&term_reason=NONE&"
		"phone_number=2025550101&phone_code=1&first_name=Ada&last_name=Love&state=FL&"
		"agent_comment=rang&recording=https%3A%2F%2Frec.example%2F77&&empty=&alone&=x&"
		"status=SALE"));
	/* Latin-1 in a name is no reason to lose the call. */
	const struct msg_call_event *e = read_event(
		"call_log_id=1&status=SALE&phone_number=%28202%29+555-0101&first_name=Ren%E9");
	assert_string_equal(e->outcome, "SALE");
	assert_string_equal(e->phone, "+12025550101");
	assert_string_equal(event.first_name, "Ren\xef\xbf\xbd");
}

static void keys_are_the_accounts_own(void **state)
{
	(void)state;
	const struct msg_call_event *e = read_event_of(
		"mapped", "{\"LogID\":\"8\",\"Disposition\":\"AA\",\"data\":{\"Phone\":"
			  "\"+442079460101\"},\"lead_id\":\"remote-7\"}");
	assert_string_equal(e->event_id, "convoso:8:AA");
	assert_string_equal(e->outcome, "VOICEMAIL");
	assert_string_equal(e->phone, "+442079460101");
	assert_string_equal(e->lead_id, "remote-7");
	/* The usual keys are none of this account's, and the reason says what was looked for. */
	assert_int_equal(normalize_of("mapped", composed), READING_BAD);
	assert_non_null(strstr(reason.data, "Disposition"));
}

static void statuses_are_the_databases_first(void **state)
{
	static const char form[] = "call_log_id=1&phone_number=2025550101&status=";
	static const struct {
		const char *status, *built_in, *mapped;
	} cases[] = {
		{"NA", "NO_ANSWER", "NO_ANSWER"},   {"na", "NO_ANSWER", "NO_ANSWER"},
		{"AM", "VOICEMAIL", "SALE"},	    {"QDNC", "DO_NOT_CALL", "DO_NOT_CALL"},
		{"CALLBK", "CALLBACK", "CALLBACK"}, {"XFER", "TRANSFERRED", "TRANSFERRED"},
		{"DC", "BAD_NUMBER", "BAD_NUMBER"}, {"CGT", "FAILED", "FAILED"},
		{"PDROP", "DROPPED", "DROPPED"},    {"NI", "NI", "NOT_INTERESTED"},
		{"SALE", "SALE", "SALE"},
	};
	char body[128];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(body, sizeof(body), "%s%s", form, cases[i].status);
		database.rules.words_count = 0;
		assert_string_equal(read_event(body)->outcome, cases[i].built_in);
		rule_set_add_word(&database.rules, "", "convoso", "AM", "SALE");
		rule_set_add_word(&database.rules, "default", "convoso", "NI", "NOT_INTERESTED");
		rule_set_sort(&database.rules);
		assert_string_equal(read_event(body)->outcome, cases[i].mapped);
	}
}

static void phones_come_whole_and_in_parts(void **state)
{
	static const struct {
		const char *parts, *phone;
	} cases[] = {
		{"phone_number=2025550101", "+12025550101"},
		{"phone_number=12025550101&phone_code=1", "+12025550101"},
		{"phone_number=%2B12025550101&phone_code=44", "+12025550101"},
		{"phone_number=2079460101&phone_code=44", "+442079460101"},
		{"phone_number=2025550101&phone_code=x", "+12025550101"},
		{"phone_number=12&phone_code=1", NULL},
		{"phone_number=", NULL},
		{"phone_code=1", NULL},
	};
	char body[128];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(body, sizeof(body), "call_log_id=1&status=NA&%s", cases[i].parts);
		enum webhook_reading reading = normalize(body);
		assert_int_equal(reading, cases[i].phone ? READING_EVENT : READING_BAD);
		if (cases[i].phone)
			assert_string_equal(event.event.phone, cases[i].phone);
		else
			assert_non_null(strstr(reason.data, "phone_number"));
	}
}

static void times_are_the_accounts_own(void **state)
{
	static const struct {
		const char *date;
		int64_t at;
	} cases[] = {
		{"2023-07-01+12%3A00%3A00", INT64_C(1688238000000)},
		{"2023-11-14+12%3A00%3A00", INT64_C(1699992000000)},
		{"2023-11-05+00%3A59%3A59", INT64_C(1699171199000)},
		{"2023-11-05+01%3A30%3A00", INT64_C(1699173000000)}, /* twice: the first */
		{"2023-11-05+02%3A00%3A00", INT64_C(1699178400000)},
		{"2023-03-12+02%3A30%3A00", INT64_C(1678617000000)}, /* never: as before */
		{"2023-03-12+03%3A00%3A00", INT64_C(1678615200000)},
		{"2023-07-01T12%3A00%3A00%2B02%3A00", INT64_C(1688205600000)},
		{"2030-01-01+00%3A00%3A00", NOW_MS}, /* not yet */
		{"yesterday", NOW_MS},
	};
	char body[160];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(body, sizeof(body),
			 "call_log_id=1&status=NA&phone_number=2025550101&call_date=%s",
			 cases[i].date);
		assert_int_equal(read_event(body)->occurred_at, cases[i].at);
	}
	const struct msg_call_event *e = read_event(
		"call_log_id=1&status=CALLBK&phone_number=2025550101&callback_at=2023-12-01+15:00:00");
	assert_int_equal(e->callback_at, INT64_C(1701471600000));
	/* Without a zone there is no telling. */
	e = read_event_of("mapped",
			  "{\"LogID\":1,\"Disposition\":\"NA\",\"data\":{\"Phone\":2025550101},"
			  "\"call_date\":\"2023-07-01 12:00:00\"}");
	assert_int_equal(e->occurred_at, NOW_MS);
}

static void what_is_no_dial_is_of_no_use(void **state)
{
	(void)state;
	assert_int_equal(
		normalize("call_log_id=1&status=NA&phone_number=2025550101&call_type=INBOUND"),
		READING_UNUSED);
	assert_int_equal(normalize("lead_id=1&status=NEW&phone_number=2025550101"), READING_UNUSED);
	assert_int_equal(normalize("status=NA&phone_number=2025550101"), READING_BAD);
	assert_non_null(strstr(reason.data, "call_log_id"));
	assert_int_equal(normalize("call_log_id=1&phone_number=2025550101"), READING_BAD);
	assert_int_equal(normalize("call_log_id=1&status=--&phone_number=2025550101"), READING_BAD);
	assert_int_equal(normalize("[1]"), READING_BAD);
	assert_int_equal(normalize(""), READING_BAD);
}

static void another_disposition_is_another_event(void **state)
{
	char first[WEBHOOK_EVENT_ID_BYTES];

	(void)state;
	snprintf(first, sizeof(first), "%s", read_event(composed)->event_id);
	assert_string_equal(read_event(composed)->event_id, first);
	assert_string_not_equal(
		read_event("call_log_id=77&status=SALE&phone_number=2025550101")->event_id, first);
}

static void forms_are_bounded(void **state)
{
	static const char *const broken[] = {"",     "a=%",   "a=%4", "a=%zz", "a=%00",
					     "%0=1", "%00=1", "&&&",  "=1",    "a%=1"};
	struct buf many;

	(void)state;
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		buf_clear(&reason);
		assert_null(form_parse(broken[i], strlen(broken[i]), &reason));
		assert_true(reason.len > 0);
	}
	buf_init(&many, 100000);
	for (int i = 0; i < FORM_FIELDS_MAX; i++)
		buf_addf(&many, "f%d=%d&", i, i);
	json_t *fields = form_parse(many.data, many.len, &reason);
	assert_int_equal(json_object_size(fields), FORM_FIELDS_MAX);
	assert_string_equal(json_string_value(json_object_get(fields, "f17")), "17");
	json_decref(fields);
	buf_adds(&many, "one=more");
	assert_null(form_parse(many.data, many.len, &reason));
	buf_release(&many);
}

static void hostile_bodies_do_no_harm(void **state)
{
	static const char form[] =
		"call_log_id=77&status=NA&phone_number=2025550101&call_date=x%41";
	struct msg_codec *codec = msg_codec_new();
	char text[sizeof(form)];

	(void)state;
	survives_hostility(&webhook_convoso, its_account(), composed);
	/* Each byte of a form replaced by each other one. */
	assert_non_null(codec);
	for (size_t i = 0; i < sizeof(form) - 1; i++) {
		for (int c = 0; c < 256; c++) {
			memcpy(text, form, sizeof(form));
			text[i] = (char)c;
			normalize_text(&webhook_convoso, its_account(), codec, text,
				       sizeof(form) - 1);
		}
	}
	msg_codec_free(codec);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_with_zones, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_secret_is_shown_in_two_ways),
		TEST(json_is_read),
		TEST(a_form_is_read_as_the_same),
		TEST(keys_are_the_accounts_own),
		TEST(statuses_are_the_databases_first),
		TEST(phones_come_whole_and_in_parts),
		TEST(times_are_the_accounts_own),
		TEST(what_is_no_dial_is_of_no_use),
		TEST(another_disposition_is_another_event),
		TEST(forms_are_bounded),
		TEST(hostile_bodies_do_no_harm),
	};

	world_of(&webhook_convoso, accounts_json);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
