/* SPDX-License-Identifier: Apache-2.0 */
/* The workflow's arrows are those of its guide and the ones that were added, and the diagram shows
 * them all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/workflow.h"

struct edge {
	const char *state, *next;
};

static const struct edge guide[] = {
	{"new", "checking_classification"},
	{"checking_classification", "needs_classification"},
	{"checking_classification", "ready_to_call"},
	{"needs_classification", "classifying"},
	{"classifying", "classification_pending"},
	{"classifying", "calling"},
	{"classifying", "completed"},
	{"classification_pending", "ready_to_call"},
	{"ready_to_call", "calling"},
	{"calling", "completed"},
	{"calling", "retry_pending"},
	{"retry_pending", "ready_to_call"},
	{"retry_pending", "failed"},
	{"new", "failed"},
};

static const struct edge added[] = {
	{"classifying", "classification_failed"},
	{"classifying", "retry_pending"},
	{"classifying", "needs_classification"},
	{"calling", "ready_to_call"},
	{"retry_pending", "checking_classification"},
	{"classification_failed", "checking_classification"},
	{"failed", "checking_classification"},
	/* Cancelled, do-not-call, undetermined: from wherever it is not over. */
	{"checking_classification", "failed"},
	{"needs_classification", "failed"},
	{"classifying", "failed"},
	{"classification_pending", "failed"},
	{"ready_to_call", "failed"},
	{"calling", "failed"},
	{"classification_failed", "failed"},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool is_in(const struct edge *edges, size_t n, const char *state, const char *next)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(edges[i].state, state) == 0 && strcmp(edges[i].next, next) == 0)
			return true;
	}
	return false;
}

static bool has_arrow(const struct edge *e)
{
	size_t n;
	const struct workflow_arrow *a = workflow_arrows(&n);

	for (size_t i = 0; i < n; i++) {
		if (strcmp(a[i].state, e->state) == 0 && strcmp(a[i].next, e->next) == 0)
			return true;
	}
	return false;
}

static void the_arrows_are_the_guides(void **state)
{
	size_t n;
	const struct workflow_arrow *a = workflow_arrows(&n);

	(void)state;
	for (size_t i = 0; i < COUNT(guide); i++)
		assert_true(has_arrow(&guide[i]));
	for (size_t i = 0; i < COUNT(added); i++)
		assert_true(has_arrow(&added[i]));
	for (size_t i = 0; i < n; i++) {
		if (!is_in(guide, COUNT(guide), a[i].state, a[i].next) &&
		    !is_in(added, COUNT(added), a[i].state, a[i].next))
			fail_msg("%s -> %s is in no document", a[i].state, a[i].next);
		assert_true(*a[i].event && *a[i].action && *a[i].comment);
	}
}

static void an_event_leads_to_one_state(void **state)
{
	size_t n;
	const struct workflow_arrow *a = workflow_arrows(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < i; j++)
			assert_false(strcmp(a[i].state, a[j].state) == 0 &&
				     strcmp(a[i].event, a[j].event) == 0);
	}
}

static size_t count(const char *text, const char *part)
{
	size_t n = 0;

	for (const char *p = strstr(text, part); p; p = strstr(p + 1, part))
		n++;
	return n;
}

static void the_diagram_shows_each_edge_once(void **state)
{
	char *text = NULL, line[128];
	size_t bytes = 0, n;
	const struct workflow_arrow *a = workflow_arrows(&n);
	FILE *out = open_memstream(&text, &bytes);

	(void)state;
	workflow_print_mermaid(out);
	fclose(out);
	assert_int_equal(strncmp(text, "stateDiagram-v2\n    [*] --> new\n", 32), 0);
	for (size_t i = 0; i < n; i++) {
		snprintf(line, sizeof(line), "\n    %s --> %s: ", a[i].state, a[i].next);
		assert_int_equal(count(text, line), 1);
		assert_non_null(strstr(strstr(text, line), a[i].event));
	}
	assert_int_equal(count(text, "\n    "), 1 + COUNT(guide) + COUNT(added) + 1);
	assert_non_null(strstr(text, "\n    completed --> [*]\n"));
	free(text);
}

static void the_manual_has_the_diagram(void **state)
{
	static char manual[1 << 18];
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	FILE *in = fopen(CARILLON_SOURCE_DIR "/README.md", "r");

	(void)state;
	workflow_print_mermaid(out);
	fclose(out);
	assert_non_null(in);
	manual[fread(manual, 1, sizeof(manual) - 1, in)] = '\0';
	fclose(in);
	assert_non_null(strstr(manual, text));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_arrows_are_the_guides),
		cmocka_unit_test(an_event_leads_to_one_state),
		cmocka_unit_test(the_diagram_shows_each_edge_once),
		cmocka_unit_test(the_manual_has_the_diagram),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
