/* SPDX-License-Identifier: Apache-2.0 */
/* Outcome rules: what each end means, as a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/rules/rules.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define AGREED INT64_C(1790000000000)
#define ENDED_AT INT64_C(1780000000000)
#define RECEIVED_AT INT64_C(1780000001000)

/* Not in order, as they come from the database. */
static struct outcome_rule rows[] = {
	{"", "TRANSFERRED", RULE_SUCCESS, ""},
	{"acme", "VOICEMAIL", RULE_STOP, ""},
	{"", "SALE", RULE_SUCCESS, "closed"},
	{"", "NOT_INTERESTED", RULE_STOP, "lost"},
	{"acme", "SALE", RULE_RETRY, "visit_scheduled"},
	{"", "ACA", RULE_SUCCESS, ""},
	{"", "DO_NOT_CALL", RULE_SUPPRESS, ""},
	{"", "CALLBACK", RULE_CALLBACK, ""},
	{"", "BUSY", RULE_RETRY, ""},
};
static struct rule_set rules = {.rules = rows, .n = COUNT(rows)};

static int sort(void **state)
{
	(void)state;
	rule_set_sort(&rules);
	return 0;
}

static struct msg_call_event event_of(const char *tenant, enum event_type type, const char *outcome,
				      int64_t callback_at)
{
	return (struct msg_call_event){
		.event_id = "call-1:end",
		.tenant = tenant,
		.provider = "vapi",
		.account = "main",
		.type = type,
		.provider_call_id = "call-1",
		.job_id = "job-1",
		.lead_id = "17",
		.phone = "+12025550101",
		.outcome = outcome,
		.ended_reason = "customer-ended-call",
		.success = MSG_NO_INT,
		.callback_at = callback_at,
		.occurred_at = ENDED_AT,
		.received_at = RECEIVED_AT,
	};
}

static void each_outcome_has_its_meaning(void **state)
{
	static const struct {
		const char *tenant;
		const char *outcome;
		int64_t callback_at;
		enum redial_action action;
		bool suppress;
		int64_t redial_at;
		const char *stage; /* NULL: no transition */
	} cases[] = {
		{"default", "TRANSFERRED", MSG_NO_TIME, REDIAL_COMPLETE, false, MSG_NO_TIME, NULL},
		{"default", "SALE", MSG_NO_TIME, REDIAL_COMPLETE, false, MSG_NO_TIME, "closed"},
		{"default", "ACA", MSG_NO_TIME, REDIAL_COMPLETE, false, MSG_NO_TIME, NULL},
		{"default", "CALLBACK", AGREED, REDIAL_CALLBACK, false, AGREED, NULL},
		{"default", "CALLBACK", MSG_NO_TIME, REDIAL_COMPLETE, false, MSG_NO_TIME, NULL},
		{"default", "DO_NOT_CALL", MSG_NO_TIME, REDIAL_STOP, true, MSG_NO_TIME, NULL},
		{"default", "NOT_INTERESTED", MSG_NO_TIME, REDIAL_STOP, false, MSG_NO_TIME, "lost"},
		{"default", "BUSY", MSG_NO_TIME, REDIAL_SCHEDULE, false, MSG_NO_TIME, NULL},
		/* No rule: a retry. */
		{"default", "VOICEMAIL", MSG_NO_TIME, REDIAL_SCHEDULE, false, MSG_NO_TIME, NULL},
		{"default", "NO_ANSWER", MSG_NO_TIME, REDIAL_SCHEDULE, false, MSG_NO_TIME, NULL},
		{"default", "SALES", MSG_NO_TIME, REDIAL_SCHEDULE, false, MSG_NO_TIME, NULL},
		/* A time counts with a callback alone. */
		{"default", "NO_ANSWER", AGREED, REDIAL_SCHEDULE, false, MSG_NO_TIME, NULL},
		{"default", "SALE", AGREED, REDIAL_COMPLETE, false, MSG_NO_TIME, "closed"},
		/* A tenant's own rule wins, the others hold for it too. */
		{"acme", "SALE", MSG_NO_TIME, REDIAL_SCHEDULE, false, MSG_NO_TIME,
		 "visit_scheduled"},
		{"acme", "VOICEMAIL", MSG_NO_TIME, REDIAL_STOP, false, MSG_NO_TIME, NULL},
		{"acme", "DO_NOT_CALL", MSG_NO_TIME, REDIAL_STOP, true, MSG_NO_TIME, NULL},
	};

	(void)state;
	for (size_t i = 0; i < 2 * COUNT(cases); i++) {
		size_t k = i % COUNT(cases);
		struct msg_call_event e =
			event_of(cases[k].tenant, i < COUNT(cases) ? EVENT_ENDED : EVENT_REPORT,
				 cases[k].outcome, cases[k].callback_at);
		struct rule_decision d;
		rules_decide(&rules, &e, &d);
		assert_true(d.has_redial);
		assert_int_equal(d.redial.action, cases[k].action);
		assert_int_equal(d.redial.suppress, cases[k].suppress);
		assert_int_equal(d.redial.callback_at, cases[k].redial_at);
		assert_string_equal(d.redial.outcome, cases[k].outcome);
		assert_int_equal(d.has_stage, cases[k].stage != NULL);
		if (cases[k].stage)
			assert_string_equal(d.stage.to, cases[k].stage);
	}
}

static void other_events_decide_nothing(void **state)
{
	static const struct {
		enum event_type type;
		const char *outcome;
	} cases[] = {
		{EVENT_QUEUED, "SALE"}, {EVENT_RINGING, "SALE"}, {EVENT_IN_PROGRESS, "SALE"},
		{EVENT_ENDED, NULL},	{EVENT_REPORT, NULL},	 {EVENT_REPORT, ""},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct msg_call_event e =
			event_of("default", cases[i].type, cases[i].outcome, MSG_NO_TIME);
		struct rule_decision d;
		memset(&d, 0xff, sizeof(d));
		rules_decide(&rules, &e, &d);
		assert_false(d.has_redial);
		assert_false(d.has_stage);
	}
}

static void messages_carry_the_event(void **state)
{
	struct msg_call_event e = event_of("default", EVENT_REPORT, "SALE", MSG_NO_TIME);
	struct rule_decision d;

	(void)state;
	rules_decide(&rules, &e, &d);
	assert_string_equal(d.redial.event_id, "call-1:end#redial");
	assert_string_equal(d.redial.tenant, "default");
	assert_string_equal(d.redial.account, "main");
	assert_string_equal(d.redial.provider, "vapi");
	assert_string_equal(d.redial.provider_call_id, "call-1");
	assert_string_equal(d.redial.job_id, "job-1");
	assert_string_equal(d.redial.lead_id, "17");
	assert_string_equal(d.redial.phone, "+12025550101");
	assert_int_equal(d.redial.ended_at, ENDED_AT);

	assert_string_equal(d.stage.event_id, "call-1:end#stage");
	assert_string_equal(d.stage.tenant, "default");
	assert_string_equal(d.stage.account, "main");
	assert_string_equal(d.stage.provider, "vapi");
	assert_string_equal(d.stage.provider_call_id, "call-1");
	assert_string_equal(d.stage.job_id, "job-1");
	assert_string_equal(d.stage.phone, "+12025550101");
	assert_int_equal(d.stage.entity, ENTITY_LEAD);
	assert_string_equal(d.stage.id, "17");
	assert_string_equal(d.stage.reason, "SALE");
	assert_string_equal(d.stage.detail, "customer-ended-call");
	assert_int_equal(d.stage.at, ENDED_AT);

	e.occurred_at = MSG_NO_TIME;
	e.lead_id = NULL;
	rules_decide(&rules, &e, &d);
	assert_int_equal(d.redial.ended_at, RECEIVED_AT);
	assert_int_equal(d.stage.at, RECEIVED_AT);
	assert_null(d.stage.id);
}

/* What is decided can be published. */
static void decisions_are_encodable(void **state)
{
	struct msg_call_event e = event_of("default", EVENT_ENDED, "NOT_INTERESTED", MSG_NO_TIME);
	struct msg_codec *codec = msg_codec_new();
	struct rule_decision d;
	struct buf value;

	(void)state;
	rules_decide(&rules, &e, &d);
	struct msg redial = {.type = MSG_REDIAL_UPDATE, .redial = d.redial};
	struct msg stage = {.type = MSG_STAGE_TRANSITION, .stage = d.stage};
	buf_init(&value, 4096);
	assert_int_equal(msg_encode(codec, &redial, &value), 0);
	assert_int_equal(msg_encode(codec, &stage, &value), 0);
	buf_release(&value);
	msg_codec_free(codec);
}

static void without_rules_all_is_retry(void **state)
{
	struct rule_set none = {0};
	struct msg_call_event e = event_of("default", EVENT_ENDED, "SALE", MSG_NO_TIME);
	struct rule_decision d;

	(void)state;
	rule_set_sort(&none);
	assert_null(rule_set_find(&none, "default", "SALE"));
	rules_decide(&none, &e, &d);
	assert_true(d.has_redial);
	assert_int_equal(d.redial.action, REDIAL_SCHEDULE);
	assert_false(d.has_stage);
}

static void every_rule_is_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_ptr_equal(rule_set_find(&rules, rows[i].tenant, rows[i].outcome), &rows[i]);
	assert_null(rule_set_find(&rules, "acme", "NO_ANSWER"));
	assert_null(rule_set_find(&rules, "", ""));
}

static void outcomes_are_normalized(void **state)
{
	static const char long_text[] =
		"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz12345678901234567890";
	static const struct {
		const char *text;
		const char *outcome;
	} cases[] = {
		{NULL, ""},
		{"", ""},
		{" - ", ""},
		{"sale", "SALE"},
		{"No answer", "NO_ANSWER"},
		{"no-answer", "NO_ANSWER"},
		{"DO_NOT_CALL", "DO_NOT_CALL"},
		{" Do not -- call! ", "DO_NOT_CALL"},
		{"Voicemail (left)", "VOICEMAIL_LEFT"},
		{"__a__b__", "A_B"},
		{"r\xc3\xa9pondeur 2", "R_PONDEUR_2"},
		{long_text, "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ12345678901"},
		/* No '_' is left at the cut. */
		{"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz1234567890 b",
		 "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ1234567890"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char outcome[RULES_OUTCOME_BYTES];
		outcome_normalize(cases[i].text, outcome);
		assert_string_equal(outcome, cases[i].outcome);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_outcome_has_its_meaning),
		cmocka_unit_test(other_events_decide_nothing),
		cmocka_unit_test(messages_carry_the_event),
		cmocka_unit_test(decisions_are_encodable),
		cmocka_unit_test(without_rules_all_is_retry),
		cmocka_unit_test(every_rule_is_found),
		cmocka_unit_test(outcomes_are_normalized),
	};

	return cmocka_run_group_tests(tests, sort, NULL);
}
