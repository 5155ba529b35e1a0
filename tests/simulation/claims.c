/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claim_jobs.sql and what else decides who may dial: the gates as far as the simulation closes
 * them, the phone's uniqueness, the ledger's row.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/simulation/database.h"

static const char *const claim_columns[] = {
	"job_id",	   "verdict",	 "gate",     "follow_up_id",
	"tenant",	   "kind",	 "lead_id",  "phone",
	"account",	   "account_id", "provider", "lane_id",
	"first_name",	   "last_name",	 "state",    "variables",
	"attempt",	   "due_at",	 "dial_by",  "assistant_id",
	"phone_number_id", NULL};

/* ---- Gates ---- */

const char *gate_of(const struct follow_up *f, int64_t now)
{
	int64_t at = now - EPOCH_MS;
	const struct live *v = live_on(f->phone);

	if (is_suppressed(f->phone))
		return "suppressed";
	if (at >= sim.stopped_at && at < sim.stopped_until)
		return "stopped";
	if (db.breaker_until[f->account] > now)
		return "breaker";
	if (at >= sim.closed_at && at < sim.opens_at)
		return "window";
	return v && v->follow_up_id != f->id ? "live" : NULL;
}

bool gate_is_final(const char *gate)
{
	return strcmp(gate, "suppressed") == 0;
}

int64_t gate_look_again(const char *gate, const struct follow_up *f, int64_t now)
{
	if (strcmp(gate, "breaker") == 0)
		return db.breaker_until[f->account];
	if (strcmp(gate, "live") == 0)
		return now + 15 * SECOND;
	if (strcmp(gate, "window") == 0)
		return EPOCH_MS + sim.opens_at;
	return now + 30 * SECOND;
}

void follow_up_hold(struct follow_up *f, const char *gate)
{
	bool final = gate_is_final(gate);

	counts.held++;
	text_set(f->gate, sizeof(f->gate), gate);
	f->next_look_at = final ? NO_TIME : gate_look_again(gate, f, database_now());
	text_set(f->reason, sizeof(f->reason), final ? gate : "");
	f->job_id[0] = '\0';
	f->lease_until = NO_TIME;
	follow_up_move(f, final ? FOLLOW_UP_SKIPPED : FOLLOW_UP_PENDING);
}

/* ---- The claim ---- */

static int64_t dial_by_of(int64_t now)
{
	return now - EPOCH_MS < sim.closed_at && sim.closed_at > 0 ? EPOCH_MS + sim.closed_at
								   : NO_TIME;
}

static void add_dial(PGresult *r, const struct call *c)
{
	int row = PQntuples(r);

	rows_text(r, row, 0, c->job_id);
	rows_text(r, row, 1, "dial");
	for (int col = 2; claim_columns[col]; col++)
		rows_text(r, row, col, NULL);
	rows_int(r, row, 3, c->follow_up_id);
	rows_text(r, row, 4, "default");
	rows_text(r, row, 5, "redial");
	rows_int(r, row, 6, c->lead_id);
	rows_text(r, row, 7, c->phone);
	rows_text(r, row, 8, account_names[c->account]);
	rows_int(r, row, 9, (int64_t)c->account + 1);
	rows_text(r, row, 10, account_names[c->account]);
	rows_int(r, row, 11, 1);
	rows_int(r, row, 16, c->attempt);
	rows_time(r, row, 17, c->due_at);
	rows_time(r, row, 18, c->dial_by);
}

static void add_verdict(PGresult *r, const char *job_id, const char *verdict, const char *gate)
{
	int row = PQntuples(r);

	rows_text(r, row, 0, job_id);
	rows_text(r, row, 1, verdict);
	for (int col = 2; claim_columns[col]; col++)
		rows_text(r, row, col, NULL);
	rows_text(r, row, 2, gate);
}

static struct call *enter(struct follow_up *f, const char *job_id, const char *const *params,
			  const char *fingerprint)
{
	int64_t now = database_now();

	assert(db.calls_n < CALLS_MAX && db.live_n < FOLLOW_UPS_MAX);
	struct live *v = &db.live[db.live_n++];
	*v = (struct live){
		.follow_up_id = f->id,
		.account = f->account,
		.state = CALL_DIALING,
		.lease_until = now + strtoll(params[3], NULL, 10) * SECOND,
		.next_check_at = now + strtoll(params[4], NULL, 10) * SECOND,
		.absent_at = NO_TIME,
	};
	text_set(v->job_id, sizeof(v->job_id), job_id);
	text_set(v->phone, sizeof(v->phone), f->phone);
	struct call *c = &db.calls[db.calls_n++];
	*c = (struct call){
		.follow_up_id = f->id,
		.lead_id = f->lead_id,
		.account = f->account,
		.status = CALL_DIALING,
		.attempt = f->attempts + 1,
		.claimed_at = now,
		.posted_at = NO_TIME,
		.answered_at = NO_TIME,
		.ended_at = NO_TIME,
		.http_status = MSG_NO_INT,
		.due_at = f->due_at,
		.dial_by = dial_by_of(now),
		.fragile = sim.fragile,
	};
	text_set(c->job_id, sizeof(c->job_id), job_id);
	text_set(c->phone, sizeof(c->phone), f->phone);
	text_set(c->worker, sizeof(c->worker), params[2]);
	text_set(c->fingerprint, sizeof(c->fingerprint), fingerprint);
	follow_up_move(f, FOLLOW_UP_DIALING);
	return c;
}

static const char *fingerprint_of(const struct array *accounts, const struct array *fingerprints,
				  size_t account)
{
	for (size_t i = 0; i < accounts->n; i++) {
		if (strcmp(accounts->items[i], account_names[account]) == 0)
			return fingerprints->items[i];
	}
	return NULL;
}

/* The next follow-up: of two to one phone the elder one is dialed. */
static bool next_by_follow_up(const struct array *follow_ups, int64_t *last)
{
	int64_t least = INT64_MAX;

	for (size_t i = 0; i < follow_ups->n; i++) {
		int64_t id = array_int(follow_ups, i, 0);
		if (id > *last && id < least)
			least = id;
	}
	*last = least;
	return least != INT64_MAX;
}

static void claim_one(PGresult *r, const char *job_id, int64_t follow_up_id,
		      const char *const *params, const char *const fingerprints[ACCOUNTS])
{
	struct follow_up *f = follow_up_find(follow_up_id);

	if (!f || f->status != FOLLOW_UP_QUEUED || strcmp(f->job_id, job_id) != 0) {
		add_verdict(r, job_id, "not_ours", NULL);
		return;
	}
	const char *gate = gate_of(f, database_now());
	if (!gate && live_on(f->phone))
		gate = "live";
	if (!gate) {
		add_dial(r, enter(f, job_id, params, fingerprints[f->account]));
		return;
	}
	follow_up_hold(f, gate);
	add_verdict(r, job_id, gate_is_final(gate) ? "skipped" : "held", gate);
}

PGresult *claim_jobs(const char *const *params)
{
	struct array jobs, follow_ups, accounts, given;
	const char *fingerprints[ACCOUNTS];
	PGresult *r = rows_new(claim_columns);
	int64_t last = 0;

	array_parse(&jobs, params[0]);
	array_parse(&follow_ups, params[1]);
	array_parse(&accounts, params[5]);
	array_parse(&given, params[6]);
	for (size_t i = 0; i < ACCOUNTS; i++)
		fingerprints[i] = fingerprint_of(&accounts, &given, i);
	while (next_by_follow_up(&follow_ups, &last)) {
		for (size_t j = 0; j < jobs.n; j++) {
			if (array_int(&follow_ups, j, 0) == last)
				claim_one(r, jobs.items[j], last, params, fingerprints);
		}
	}
	array_free(&jobs);
	array_free(&follow_ups);
	array_free(&accounts);
	array_free(&given);
	return r;
}

PGresult *my_dialing(const char *const *params)
{
	struct array jobs;
	PGresult *r = rows_new(claim_columns);

	array_parse(&jobs, params[0]);
	for (size_t i = 0; i < jobs.n; i++) {
		struct call *c = call_find(jobs.items[i]);
		if (!c || c->status != CALL_DIALING || strcmp(c->worker, params[1]) != 0)
			continue;
		c->fragile = sim.fragile;
		add_dial(r, c);
	}
	array_free(&jobs);
	return r;
}
