/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of database.c beside a real PostgreSQL: each statement that the simulation runs is run
 * there too, at the same virtual time, and its answer and the rows that it leaves are compared. All
 * of it does nothing unless it was begun.
 */
#ifndef CARILLON_TESTS_SIMULATION_DIFFERENTIAL_H
#define CARILLON_TESTS_SIMULATION_DIFFERENTIAL_H

#include "tests/simulation/database.h"

/* A migrated database of its own, which it changes. False with the reason on stderr. */
bool differential_begin(const char *url);
void differential_end(void);
bool differential_is_on(void);

/* A history begins: the same follow-ups there as here. */
void differential_reset(void);
/* A statement was run here; `r` is its answer. */
void differential_statement(size_t statement, size_t n, const char *const *params,
			    const PGresult *r);
/* What the producer did to this row, which is not simulated by its statements. */
void differential_follow_up(const struct follow_up *f);
/* A message that the recorder read, and the batch that applies all of them. */
void differential_message(const struct msg *m);
void differential_apply(void);
/* The messages found their calls; these prove one each. */
void differential_resolved(const struct inbox_row *const *proofs, size_t n);

#endif
