/* SPDX-License-Identifier: Apache-2.0 */
/* The diagram is of the same rows that the database follows, so it can't tell another story. */
#include "common/workflow.h"

#include <stdbool.h>
#include <string.h>

static const struct workflow_arrow arrows[] = {
#define ARROW_ROW(state, event, next, action, comment) {state, event, next, action, comment},
#include "common/tbl/workflow_arrow.h"
#undef ARROW_ROW
};
#define ARROWS (sizeof(arrows) / sizeof(arrows[0]))

const struct workflow_arrow *workflow_arrows(size_t *ret_n)
{
	*ret_n = ARROWS;
	return arrows;
}

static bool same_edge(const struct workflow_arrow *a, const struct workflow_arrow *b)
{
	return strcmp(a->state, b->state) == 0 && strcmp(a->next, b->next) == 0;
}

static bool leaves(const char *state)
{
	for (size_t i = 0; i < ARROWS; i++) {
		if (strcmp(arrows[i].state, state) == 0)
			return true;
	}
	return false;
}

static bool is_first_edge(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (same_edge(&arrows[i], &arrows[n]))
			return false;
	}
	return true;
}

static bool is_first_end(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(arrows[i].next, arrows[n].next) == 0)
			return false;
	}
	return !leaves(arrows[n].next);
}

void workflow_print_mermaid(FILE *out)
{
	fprintf(out, "stateDiagram-v2\n    [*] --> %s\n", arrows[0].state);
	for (size_t n = 0; n < ARROWS; n++) {
		const char *separator = ": ";
		if (!is_first_edge(n))
			continue;
		fprintf(out, "    %s --> %s", arrows[n].state, arrows[n].next);
		for (size_t i = n; i < ARROWS; i++) {
			if (!same_edge(&arrows[i], &arrows[n]))
				continue;
			fprintf(out, "%s%s", separator, arrows[i].event);
			separator = ", ";
		}
		fputc('\n', out);
	}
	for (size_t n = 0; n < ARROWS; n++) {
		if (is_first_end(n))
			fprintf(out, "    %s --> [*]\n", arrows[n].next);
	}
}
