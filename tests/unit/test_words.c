/* SPDX-License-Identifier: Apache-2.0 */
/* What words of ends mean: the database's rows before the built-in ones, a tenant's before
 * everybody's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/json.h"
#include "common/rules/words.h"

static struct rule_set rules;

static int setup(void **state)
{
	static const char *const rows[][4] = {
		{"", "omni", "BUSY", "NO_ANSWER"},
		{"acme", "omni", "BUSY", "VOICEMAIL"},
		{"", "vapi", "CUSTOMER_ENDED_CALL", "SALE"},
		{"", "vapi", "CALL_IN_PROGRESS_ERROR_X", "BUSY"},
		{"", "convoso", "NI", "NOT_INTERESTED"},
		{"", "convoso", "NA", "VOICEMAIL"},
		{"", "omni", "MAYBE", "CALLBACK"},
		{"", "omni", "DNC", "NOT_INTERESTED"},
	};

	(void)state;
	assert_true(rule_set_init(&rules));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_true(
			rule_set_add_word(&rules, rows[i][0], rows[i][1], rows[i][2], rows[i][3]));
	rule_set_sort(&rules);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rule_set_release(&rules);
	return 0;
}

/* NULL: none. */
static const char *meaning(const struct rule_set *of, const char *tenant, const char *provider,
			   enum word_kind kind, const char *text)
{
	struct word_meaning m;

	return word_find(of, tenant, provider, kind, text, &m) ? m.outcome : NULL;
}

static void assert_means(const char *found, const char *wanted)
{
	if (!wanted)
		assert_null(found);
	else if (!found)
		fail_msg("nothing instead of %s", wanted);
	else
		assert_string_equal(found, wanted);
}

static void rows_win_over_what_is_built_in(void **state)
{
	static const struct {
		const char *tenant, *provider, *text, *built_in, *with_rows;
	} cases[] = {
		{"default", "omni", "busy", "BUSY", "NO_ANSWER"},
		{"acme", "omni", "Busy", "BUSY", "VOICEMAIL"},
		{"acme", "omni", "no-answer", "NO_ANSWER", "NO_ANSWER"},
		{"default", "vapi", "customer-ended-call", "HUMAN", "SALE"},
		{"default", "vapi", "customer-ended-call-after-warm-transfer", "HUMAN", "HUMAN"},
		{"default", "vapi", "call.in-progress.error-x", "FAILED", "BUSY"},
		{"default", "vapi", "call.in-progress.error-y", "FAILED", "FAILED"},
		{"default", "vapi", "some-new-error-there", "FAILED", "FAILED"},
		{"default", "vapi", "busy", NULL, NULL}, /* another provider's word */
		{"default", "convoso", "ni", NULL, "NOT_INTERESTED"},
		{"default", "convoso", "NA", "NO_ANSWER", "VOICEMAIL"},
		{"default", "convoso", "DNCL", "DO_NOT_CALL", "DO_NOT_CALL"},
		{"default", "nobody", "NA", NULL, NULL},
		{"default", "omni", "---", NULL, NULL},
		{"default", "omni", "", NULL, NULL},
		{"default", "omni", NULL, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_means(meaning(NULL, cases[i].tenant, cases[i].provider, WORD_STATUS,
				     cases[i].text),
			     cases[i].built_in);
		assert_means(meaning(&rules, cases[i].tenant, cases[i].provider, WORD_STATUS,
				     cases[i].text),
			     cases[i].with_rows);
	}
}

static void agents_words_are_their_own(void **state)
{
	char outcome[RULES_OUTCOME_BYTES];

	(void)state;
	/* Known to all agents, of any provider. */
	assert_means(meaning(NULL, "default", "vapi", WORD_SAID, "do not contact"), "DO_NOT_CALL");
	assert_means(meaning(NULL, "default", "bland", WORD_SAID, "Call back"), "CALLBACK");
	/* The provider's statuses are no words of agents, nor the other way. */
	assert_null(meaning(NULL, "default", "omni", WORD_SAID, "completed"));
	assert_null(meaning(NULL, "default", "vapi", WORD_SAID, "an error of mine"));
	assert_null(meaning(NULL, "default", "omni", WORD_STATUS, "DNC"));
	/* A row is for both. */
	assert_means(meaning(&rules, "default", "omni", WORD_SAID, "maybe!"), "CALLBACK");
	assert_means(meaning(&rules, "default", "omni", WORD_STATUS, "maybe!"), "CALLBACK");
	assert_means(meaning(&rules, "default", "omni", WORD_SAID, "dnc"), "NOT_INTERESTED");

	word_outcome(&rules, "default", "omni", WORD_SAID, "maybe", outcome);
	assert_string_equal(outcome, "CALLBACK");
	word_outcome(&rules, "default", "omni", WORD_SAID, "Visit booked", outcome);
	assert_string_equal(outcome, "VISIT_BOOKED"); /* an outcome itself */
	word_outcome(&rules, "default", "omni", WORD_SAID, "?", outcome);
	assert_string_equal(outcome, "");
}

static void a_row_does_not_make_a_reason_decide(void **state)
{
	struct word_meaning m;

	(void)state;
	assert_true(word_find(&rules, "default", "vapi", WORD_STATUS, "customer-ended-call", &m));
	assert_false(m.decided); /* the report may still know better */
	assert_true(word_find(&rules, "default", "vapi", WORD_STATUS, "customer-busy", &m));
	assert_true(m.decided);
	assert_true(word_find(&rules, "default", "convoso", WORD_STATUS, "NI", &m));
	assert_false(m.decided);
}

static void what_does_not_fit_is_left_out(void **state)
{
	char longest[WORD_BYTES + 1], outcome[RULES_OUTCOME_BYTES + 1];
	size_t n = rules.words_count;

	(void)state;
	memset(longest, 'A', WORD_BYTES);
	longest[WORD_BYTES] = '\0';
	memset(outcome, 'A', RULES_OUTCOME_BYTES);
	outcome[RULES_OUTCOME_BYTES] = '\0';
	assert_false(rule_set_add_word(&rules, "", "omni", longest, "SALE"));
	assert_true(rule_set_add_word(&rules, "", "omni", longest + 1, "SALE"));
	assert_false(rule_set_add_word(&rules, "", "omni", "X", outcome));
	assert_true(rule_set_add_word(&rules, "", "omni", "X", outcome + 1));
	assert_false(rule_set_add_word(&rules, "", "omni", "", "SALE"));
	assert_false(rule_set_add_word(&rules, "", "omni", "X", ""));
	assert_false(rule_set_add_word(&rules, NULL, "omni", "X", "SALE"));
	assert_false(rule_set_add_word(&rules, "", NULL, "X", "SALE"));
	rule_set_sort(&rules);
	/* A longer text is cut as the longest row is. */
	assert_means(meaning(&rules, "default", "omni", WORD_STATUS, longest), "SALE");
	for (size_t i = n + 2; i < WORDS_MAX; i++)
		assert_true(rule_set_add_word(&rules, "t", "omni", "X", "SALE"));
	assert_false(rule_set_add_word(&rules, "t", "omni", "X", "SALE"));
}

static void every_built_in_word_is_found_as_it_is_written(void **state)
{
	const json_t *row;
	size_t i, n = 0;
	json_t *rows = json_loads(words_built_in, 0, NULL);

	(void)state;
	assert_true(json_is_array(rows));
	json_array_foreach (rows, i, row) {
		const char *provider = json_path_text(row, "provider");
		const char *word = json_path_text(row, "word");
		const char *outcome =
			json_string_value(json_path(row, "outcome")); /* "": it says nothing */
		enum word_kind kind = WORD_STATUS;
		char again[WORD_BYTES];

		if (json_is_null(row))
			continue;
		if (strcmp(json_path_text(row, "kind"), "SAID") == 0)
			kind = WORD_SAID;
		word_normalize(word, again, sizeof(again));
		assert_string_equal(word, again);
		outcome_normalize(outcome, again);
		assert_string_equal(outcome, again);
		/* A row that an earlier one hides would never be found. */
		assert_means(meaning(NULL, "default", provider, kind, word), outcome);
		n++;
	}
	assert_true(n > 70);
	json_decref(rows);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rows_win_over_what_is_built_in),
		TEST(agents_words_are_their_own),
		TEST(a_row_does_not_make_a_reason_decide),
		TEST(what_does_not_fit_is_left_out),
		TEST(every_built_in_word_is_found_as_it_is_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
