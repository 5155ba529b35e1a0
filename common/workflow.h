/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The workflow's arrows (tbl/workflow_arrow.h) for those who read them: as rows, and as a diagram.
 * What moves pending calls is their copy in the database.
 */
#ifndef CARILLON_WORKFLOW_H
#define CARILLON_WORKFLOW_H

#include <stddef.h>
#include <stdio.h>

struct workflow_arrow {
	const char *state, *event, *next, *action, *comment;
};

/* All arrows, those of a state together. */
const struct workflow_arrow *workflow_arrows(size_t *ret_n);

/* A state diagram in Mermaid's language: an edge for each two states, with all events that lead
 * there. */
void workflow_print_mermaid(FILE *out);

#endif
