/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source is a row of the table below and a statement. Seeding that fails does not keep others'
 * follow-ups from being claimed: the claim is a transaction of its own.
 */
#include "producer/pass.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "common/fail_point.h"
#include "common/log.h"
#include "common/metrics.h"
#include "producer_sql.h"

#define SEED_LIMIT 2000
#define FORGET_LIMIT "64" /* claims a pass */
#define NUMBER_BYTES 24

static const struct {
	const char *name;
	enum producer_stmt stmt;
	const char *looked; /* the column that says whether the limit was reached */
} sources[SEED_SOURCE_COUNT] = {
	[SEED_LEADS] = {"lead", PRODUCER_SEED_LEADS, "looked"},
	[SEED_REDIAL] = {"redial", PRODUCER_SEED_REDIAL, "seeded"},
	[SEED_CAMPAIGNS] = {"campaign", PRODUCER_SEED_CAMPAIGNS, "looked"},
	[SEED_WORKFLOW] = {"workflow", PRODUCER_SEED_WORKFLOW, "looked"},
};

void gate_counts_add(struct gate_counts *c, const PGresult *rows)
{
	int row_col = pg_col(rows, "row"), gate_col = pg_col(rows, "gate"),
	    n_col = pg_col(rows, "n");

	for (int row = 0; row < PQntuples(rows); row++) {
		const char *kind = pg_text(rows, row, row_col);
		const char *gate_name = pg_text(rows, row, gate_col);
		int64_t n = pg_int(rows, row, n_col);
		enum gate gate;
		if (!gate_name || !gate_parse(gate_name, &gate))
			continue;
		if (strcmp(kind, "skipped") == 0)
			c->skipped[gate] += (size_t)n;
		else
			c->held[gate] += (size_t)n;
	}
}

void gate_counts_sum(struct gate_counts *to, const struct gate_counts *from)
{
	for (unsigned g = 0; g < GATE_COUNT; g++) {
		to->held[g] += from->held[g];
		to->skipped[g] += from->skipped[g];
	}
}

/* Gates that close a whole lane: the claim counts its follow-ups at each look, and leaves them. */
static const bool closes_lane[GATE_COUNT] = {
	[GATE_STOPPED] = true, [GATE_LANE] = true,   [GATE_DAY] = true,
	[GATE_HOLIDAY] = true, [GATE_WINDOW] = true,
};

size_t gate_counts_moved(const struct gate_counts *c)
{
	size_t n = 0;

	for (unsigned g = 0; g < GATE_COUNT; g++)
		n += c->skipped[g] + (closes_lane[g] ? 0 : c->held[g]);
	return n;
}

void gate_counts_measure(const struct gate_counts *c)
{
	for (unsigned g = 0; g < GATE_COUNT; g++) {
		size_t n = c->skipped[g] + (closes_lane[g] ? 0 : c->held[g]);
		if (n > 0)
			metric_add(METRIC_HELD, gate_text((enum gate)g), (double)n);
	}
}

/* ---- Seeding ---- */

/* A step that failed was undone, and is recorded. */
static void log_workflow_error(const char *error)
{
	if (error)
		log_error("seed.failed", LOG_STR("source", sources[SEED_WORKFLOW].name),
			  LOG_STR("error", error));
}

static void on_seeded(void *arg, const struct pg_batch_result *r)
{
	const struct pass_seed *seed = arg;
	struct pass_result *result = &seed->pass->result;

	if (r->error.status == PG_ERROR)
		log_error("seed.failed", LOG_STR("source", sources[seed->source].name),
			  LOG_STR("sqlstate", r->error.sqlstate),
			  LOG_STR("error", r->error.message));
	if (r->error.status != PG_OK && r->error.status != PG_NOT_DURABLE)
		return;
	if (seed->source == SEED_WORKFLOW)
		log_workflow_error(pg_text(r->res[0], 0, pg_col(r->res[0], "error")));
	int64_t seeded = pg_int(r->res[0], 0, pg_col(r->res[0], "seeded"));
	int64_t looked = pg_int(r->res[0], 0, pg_col(r->res[0], sources[seed->source].looked));
	metric_add(METRIC_SEEDED, sources[seed->source].name, (double)seeded);
	result->seeded += (size_t)seeded;
	result->more_to_seed |= looked >= SEED_LIMIT;
	if (seed->source == SEED_WORKFLOW && looked > 0)
		fail_point(FAIL_STEPPED);
}

static void start_seeding(struct pass *p, enum seed_source source)
{
	char limit[NUMBER_BYTES];
	const char *const params[] = {limit};

	snprintf(limit, sizeof(limit), "%d", SEED_LIMIT);
	bool sent = pg_run(p->o.pg, sources[source].stmt, 1, params, on_seeded, &p->seeds[source]);
	assert(sent);
}

/* ---- Claiming ---- */

/* Statements of the transaction, in order. */
enum step { STEP_LANES, STEP_ACCOUNTS, STEP_FORGET, STEP_CLAIM };

static size_t count_rows(const PGresult *rows, const char *kind)
{
	int col = pg_col(rows, "row");
	size_t n = 0;

	for (int row = 0; row < PQntuples(rows); row++)
		n += strcmp(pg_text(rows, row, col), kind) == 0;
	return n;
}

static void on_claimed(void *arg, const struct pg_batch_result *r)
{
	struct pass *p = arg;
	struct pass_result *result = &p->result;
	int64_t took_ms = clock_boot_ms(p->o.clock) - p->started_ms;

	if (r->error.status == PG_OK) {
		result->claimed = true;
		result->rows = r->res[STEP_CLAIM];
		result->jobs = count_rows(result->rows, "job");
		result->crowded = count_rows(result->rows, "full") > 0;
		result->full = result->jobs >= p->limit;
		gate_counts_add(&result->gates, result->rows);
		result->moved = gate_counts_moved(&result->gates) > 0;
		gate_counts_measure(&result->gates);
		metric_add(METRIC_CLAIMED, NULL, (double)result->jobs);
		metric_observe(METRIC_SCHEDULER_PASS, NULL, (double)took_ms / 1000.0);
	} else if (r->error.status == PG_ERROR) {
		log_error("claim.failed", LOG_STR("sqlstate", r->error.sqlstate),
			  LOG_STR("error", r->error.message));
	} else if (r->error.status == PG_NOT_DURABLE) {
		/* A failover could undo it: left to the sweeper, once the standby is back. */
		log_warn("claim.not_durable", LOG_STR("error", r->error.message));
	}
	p->o.cb(p->o.arg, result);
}

static void start_claiming(struct pass *p, const struct pass_scope *scope)
{
	char token[UUID_TEXT_BYTES], limit[NUMBER_BYTES];

	uuid_v4(p->o.clock, token);
	snprintf(limit, sizeof(limit), "%zu", scope->limit);
	bool begun = pg_begin(p->o.pg, on_claimed, p);
	assert(begun);
	pg_add(p->o.pg, PRODUCER_LOCK_LANES, 3,
	       (const char *const[]){token, scope->follow_ups ? "true" : "false",
				     scope->only_follow_ups ? "true" : "false"});
	pg_add(p->o.pg, PRODUCER_LOCK_ACCOUNTS, 1, (const char *const[]){token});
	/* What is queued is counted claim by claim. */
	pg_add(p->o.pg, PRODUCER_FORGET_CLAIMS, 1, (const char *const[]){FORGET_LIMIT});
	pg_add(p->o.pg, PRODUCER_CLAIM, 4,
	       (const char *const[]){token, config_str(p->o.cfg, CONFIG_KEY_WORKER_NAME), limit,
				     config_text(p->o.cfg, CONFIG_KEY_QUEUED_LEASE_S)});
	pg_commit(p->o.pg);
}

/* ---- The pass ---- */

void pass_init(struct pass *p, const struct pass_options *o)
{
	*p = (struct pass){.o = *o};
	for (unsigned i = 0; i < SEED_SOURCE_COUNT; i++)
		p->seeds[i] = (struct pass_seed){p, (enum seed_source)i};
}

void pass_start(struct pass *p, const struct pass_scope *scope)
{
	assert(scope->limit > 0);
	p->result = (struct pass_result){0};
	p->limit = scope->limit;
	p->started_ms = clock_boot_ms(p->o.clock);
	for (unsigned i = 0; i < SEED_SOURCE_COUNT; i++) {
		if (scope->seed[i])
			start_seeding(p, (enum seed_source)i);
	}
	start_claiming(p, scope);
}
