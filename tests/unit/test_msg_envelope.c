/* SPDX-License-Identifier: Apache-2.0 */
/* Key and headers of messages, and ids that have to fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/kafka.h"
#include "common/msg.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"

static int64_t fixed_wall_ms(void *arg)
{
	(void)arg;
	return INT64_C(1767629411000); /* 2026-01-05T16:10:11Z */
}

/* 1, 2, 3 ... over all calls. */
static void counting_random(void *arg, void *ret_bytes, size_t n)
{
	unsigned char *next = arg;

	for (size_t i = 0; i < n; i++)
		((unsigned char *)ret_bytes)[i] = ++*next;
}

static const char *header(const struct msg_envelope *e, const char *name)
{
	for (size_t i = 0; i < e->headers_count; i++) {
		if (strcmp(e->headers[i].name, name) == 0)
			return e->headers[i].value;
	}
	fail_msg("no header %s", name);
	return NULL;
}

static struct msg_envelope envelope_of(const struct msg *m, const char *traceparent)
{
	unsigned char random = 0;
	struct clock clock = {.wall_ms = fixed_wall_ms, .random = counting_random, .arg = &random};
	struct msg_envelope e;

	msg_envelope_init(&e, m, "/carillon/test", traceparent, &clock);
	return e;
}

static void headers_are_cloud_events(void **state)
{
	struct msg m = {.type = MSG_DISPATCH_REQUESTED,
			.requested = {.job_id = "job-1", .lead_id = "17", .phone = "+12025550101"}};
	struct msg_envelope e = envelope_of(&m, NULL);
	struct kafka_header headers[MSG_HEADERS_MAX];

	(void)state;
	assert_string_equal(e.key, "+12025550101");
	assert_string_equal(header(&e, "ce_id"), "job-1");
	assert_string_equal(header(&e, "ce_source"), "/carillon/test");
	assert_string_equal(header(&e, "ce_type"), "carillon.calls.dispatch.requested.v1");
	assert_string_equal(header(&e, "ce_specversion"), "1.0");
	assert_string_equal(header(&e, "ce_time"), "2026-01-05T16:10:11.000Z");
	assert_string_equal(header(&e, "ce_subject"), "17");
	assert_string_equal(header(&e, "content-type"), "application/avro");
	assert_string_equal(header(&e, "traceparent"),
			    "00-0102030405060708090a0b0c0d0e0f10-1112131415161718-01");
	assert_int_equal(e.headers_count, 8);
	assert_int_equal(msg_envelope_headers(&e, headers), 8);
	assert_string_equal(headers[4].name, "ce_time");
	assert_string_equal(headers[4].value, "2026-01-05T16:10:11.000Z");
}

static void key_id_subject_and_time_by_type(void **state)
{
	static const struct {
		struct msg m;
		const char *key;
		const char *id;
		const char *subject;
		const char *time;
	} cases[] = {
		{{.type = MSG_DISPATCH_REQUESTED,
		  .requested = {.job_id = "j", .phone = "+12025550101"}},
		 "+12025550101",
		 "j",
		 "j",
		 "2026-01-05T16:10:11.000Z"},
		{{.type = MSG_DISPATCH_RESULT,
		  .result = {.job_id = "j",
			     .lead_id = "7",
			     .provider_call_id = "c",
			     .result = RESULT_NOT_SENT,
			     .answered_at = 1000}},
		 "c",
		 "j:not_sent",
		 "7",
		 "1970-01-01T00:00:01.000Z"},
		{{.type = MSG_DISPATCH_RESULT,
		  .result = {.job_id = "j",
			     .phone = "",
			     .result = RESULT_UNKNOWN,
			     .answered_at = MSG_NO_TIME}},
		 "j",
		 "j:unknown",
		 "j",
		 "2026-01-05T16:10:11.000Z"},
		{{.type = MSG_CALL_EVENT, .event = {.event_id = "e", .occurred_at = 0}},
		 "e",
		 "e",
		 "e",
		 "1970-01-01T00:00:00.000Z"},
		{{.type = MSG_CALL_EVENT,
		  .event = {.event_id = "e",
			    .job_id = "j",
			    .provider_call_id = "c",
			    .occurred_at = 0}},
		 "c",
		 "e",
		 "j",
		 "1970-01-01T00:00:00.000Z"},
		{{.type = MSG_REDIAL_UPDATE,
		  .redial = {.event_id = "e#redial",
			     .lead_id = "7",
			     .job_id = "j",
			     .ended_at = 2000}},
		 "j",
		 "e#redial",
		 "7",
		 "1970-01-01T00:00:02.000Z"},
		{{.type = MSG_STAGE_TRANSITION,
		  .stage = {.event_id = "e#stage",
			    .entity = ENTITY_LEAD,
			    .id = "7",
			    .job_id = "j",
			    .at = 3000}},
		 "j",
		 "e#stage",
		 "7",
		 "1970-01-01T00:00:03.000Z"},
		{{.type = MSG_STAGE_TRANSITION,
		  .stage = {.event_id = "e#stage",
			    .entity = ENTITY_PENDING_CALL,
			    .id = "7",
			    .job_id = "j",
			    .at = 0}},
		 "j",
		 "e#stage",
		 "j",
		 "1970-01-01T00:00:00.000Z"},
		{{.type = MSG_STAGE_TRANSITION,
		  .stage = {.event_id = "e#stage",
			    .entity = ENTITY_PENDING_CALL,
			    .id = "7",
			    .at = 0}},
		 "e#stage",
		 "e#stage",
		 "7",
		 "1970-01-01T00:00:00.000Z"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct msg_envelope e = envelope_of(&cases[i].m, NULL);
		assert_string_equal(e.key, cases[i].key);
		assert_string_equal(header(&e, "ce_id"), cases[i].id);
		assert_string_equal(header(&e, "ce_subject"), cases[i].subject);
		assert_string_equal(header(&e, "ce_time"), cases[i].time);
	}
}

static void a_trace_goes_on_or_begins(void **state)
{
	static const char *const bad[] = {
		"",
		"00",
		"garbage",
		"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
		"00-00000000000000000000000000000000-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
		"00-0af7651916cd43dd8448eb211c80319cxb7ad6b7169203331-01",
	};
	struct msg m = {.type = MSG_DISPATCH_REQUESTED, .requested = {.job_id = "j"}};
	struct msg_envelope e = envelope_of(&m, TRACE);

	(void)state;
	/* The same trace, a span of its own, sampled. */
	assert_string_equal(header(&e, "traceparent"),
			    "00-0af7651916cd43dd8448eb211c80319c-1112131415161718-01");
	for (size_t i = 0; i < COUNT(bad); i++) {
		e = envelope_of(&m, bad[i]);
		assert_string_equal(header(&e, "traceparent"),
				    "00-0102030405060708090a0b0c0d0e0f10-1112131415161718-01");
	}
}

static void long_values_are_cut_between_characters(void **state)
{
	char subject[600];
	struct msg m = {.type = MSG_CALL_EVENT, .event = {.event_id = subject, .lead_id = subject}};

	(void)state;
	memset(subject, 'x', sizeof(subject));
	subject[254] = (char)0xc3; /* e acute would end at byte 256 */
	subject[255] = (char)0xa9;
	subject[sizeof(subject) - 1] = '\0';
	struct msg_envelope e = envelope_of(&m, NULL);
	assert_int_equal(strlen(header(&e, "ce_subject")), 254);
	assert_int_equal(strlen(header(&e, "ce_id")), MSG_HEADER_BYTES - 1);
}

static void ids_fit_and_stay_different(void **state)
{
	char a[64];
	char b[64];

	(void)state;
	msg_id_fit("call-1:ended", "#redial", a, sizeof(a));
	assert_string_equal(a, "call-1:ended#redial");
	/* 56 + 7 bytes and the NUL just fit. */
	msg_id_fit("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "#redial", a,
		   sizeof(a));
	assert_int_equal(strlen(a), 63);
	assert_null(strchr(a, '~'));
	msg_id_fit("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1", "#redial", a,
		   sizeof(a));
	msg_id_fit("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2", "#redial", b,
		   sizeof(b));
	assert_int_equal(strlen(a), 63);
	assert_non_null(strchr(a, '~'));
	assert_string_equal(a + 56, "#redial");
	assert_string_not_equal(a, b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_cloud_events),
		cmocka_unit_test(key_id_subject_and_time_by_type),
		cmocka_unit_test(a_trace_goes_on_or_begins),
		cmocka_unit_test(long_values_are_cut_between_characters),
		cmocka_unit_test(ids_fit_and_stay_different),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
