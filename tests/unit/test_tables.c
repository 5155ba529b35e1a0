/* SPDX-License-Identifier: Apache-2.0 */
/* Every word of every vocabulary goes to its value and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/tables.h"

/* A type's name can't stand in parentheses. */
/* NOLINTBEGIN(bugprone-macro-parentheses) */
#define ROUND_TRIP(type, COUNT)                                                                    \
	static void type##_words(void **state)                                                     \
	{                                                                                          \
		(void)state;                                                                       \
		for (unsigned i = 0; i < (COUNT); i++) {                                           \
			enum type v = (enum type)((i + 1) % (COUNT));                              \
			const char *text = type##_text((enum type)i);                              \
			assert_true(strlen(text) > 0);                                             \
			assert_true(type##_parse(text, &v));                                       \
			assert_int_equal(v, i);                                                    \
		}                                                                                  \
		enum type unchanged = (enum type)1;                                                \
		assert_false(type##_parse("no such word", &unchanged));                            \
		assert_false(type##_parse("", &unchanged));                                        \
		assert_false(type##_parse(NULL, &unchanged));                                      \
		assert_int_equal(unchanged, 1);                                                    \
	}
/* NOLINTEND(bugprone-macro-parentheses) */

ROUND_TRIP(dispatch_result, DISPATCH_RESULT_COUNT)
ROUND_TRIP(event_type, EVENT_TYPE_COUNT)
ROUND_TRIP(redial_action, REDIAL_ACTION_COUNT)
ROUND_TRIP(entity, ENTITY_COUNT)
ROUND_TRIP(call_status, CALL_STATUS_COUNT)
ROUND_TRIP(follow_up_status, FOLLOW_UP_STATUS_COUNT)
ROUND_TRIP(gate, GATE_COUNT)
ROUND_TRIP(rule_action, RULE_ACTION_COUNT)
ROUND_TRIP(classification, CLASSIFICATION_COUNT)

static void values_have_the_words_of_the_contract(void **state)
{
	(void)state;
	assert_string_equal(dispatch_result_text(RESULT_NOT_SENT), "not_sent");
	assert_string_equal(event_type_text(EVENT_REPORT), "report");
	assert_string_equal(redial_action_text(REDIAL_SCHEDULE), "schedule");
	assert_string_equal(entity_text(ENTITY_PENDING_CALL), "pending_call");
	assert_string_equal(call_status_text(CALL_NOT_DIALED), "not_dialed");
	assert_string_equal(follow_up_status_text(FOLLOW_UP_UNDETERMINED), "undetermined");
	assert_string_equal(gate_text(GATE_LEAD_WINDOW), "lead_window");
	assert_string_equal(rule_action_text(RULE_SUPPRESS), "suppress");
	assert_string_equal(classification_text(CLASSIFICATION_IVR_THEN_HUMAN), "ivr_then_human");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dispatch_result_words),
		cmocka_unit_test(event_type_words),
		cmocka_unit_test(redial_action_words),
		cmocka_unit_test(entity_words),
		cmocka_unit_test(call_status_words),
		cmocka_unit_test(follow_up_status_words),
		cmocka_unit_test(gate_words),
		cmocka_unit_test(rule_action_words),
		cmocka_unit_test(classification_words),
		cmocka_unit_test(values_have_the_words_of_the_contract),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
