/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass: the sources make follow-ups due, then one transaction locks lanes and claims.
 *
 * All of it goes into PostgreSQL's pipeline at once, so that a pass is one round trip; what is
 * seeded can be claimed by the same pass.
 */
#ifndef CARILLON_PRODUCER_PASS_H
#define CARILLON_PRODUCER_PASS_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/pg.h"
#include "common/tables.h"

enum seed_source { SEED_LEADS, SEED_REDIAL, SEED_CAMPAIGNS, SEED_WORKFLOW, SEED_SOURCE_COUNT };

/* Follow-ups that a statement looked at and did not give out, by gate. */
struct gate_counts {
	size_t held[GATE_COUNT];    /* put off */
	size_t skipped[GATE_COUNT]; /* ended */
};
/* Adds the rows 'held' and 'skipped' of claim.sql or republish.sql. */
void gate_counts_add(struct gate_counts *c, const PGresult *rows);
void gate_counts_sum(struct gate_counts *to, const struct gate_counts *from);
/* How many follow-ups were put off or ended one by one, so that others stand behind them now. */
size_t gate_counts_moved(const struct gate_counts *c);
/* Adds those to the metrics. */
void gate_counts_measure(const struct gate_counts *c);

struct pass_result {
	bool claimed;	   /* false: the claim failed, or may not count as done */
	size_t seeded;	   /* by all sources */
	bool more_to_seed; /* a source reached its limit */
	size_t jobs;
	bool full;	      /* jobs reached the limit: there may be more */
	bool crowded;	      /* the queue of an account has no room for more */
	const PGresult *rows; /* of claim.sql; NULL unless claimed */
	struct gate_counts gates;
	bool moved; /* follow-ups were held or ended: others are behind them */
};
typedef void pass_cb(void *arg, const struct pass_result *r);

struct pass_seed {
	struct pass *pass;
	enum seed_source source;
};

struct pass_options {
	struct pg *pg;
	const struct config *cfg;
	const struct clock *clock;
	pass_cb *cb; /* from the loop, once a pass_start() */
	void *arg;
};

/* Embedded in its owner; one pass at a time. */
struct pass {
	struct pass_options o;
	int64_t started_ms;
	size_t limit;
	struct pass_seed seeds[SEED_SOURCE_COUNT];
	struct pass_result result;
};

struct pass_scope {
	bool seed[SEED_SOURCE_COUNT];
	bool follow_ups;      /* serve the lead source's lanes */
	bool only_follow_ups; /* and no others */
	size_t limit;	      /* of jobs; > 0 */
};

void pass_init(struct pass *p, const struct pass_options *o);
void pass_start(struct pass *p, const struct pass_scope *scope);

#endif
