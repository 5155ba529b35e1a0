/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables, and the ways in and out of them. Nothing here is concurrent: each batch is done as a
 * whole when it arrives.
 */
#include "tests/simulation/database.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/pg.h"
#include "consumer_sql.h"
#include "tests/simulation/differential.h"

struct database db;

const char *const account_names[ACCOUNTS] = {"vapi", "bland", "omni"};

void database_reset(void)
{
	db.follow_ups_n = db.calls_n = db.live_n = db.inbox_n = 0;
	db.provider_calls_n = db.suppressions_n = 0;
	memset(db.breaker_until, 0, sizeof(db.breaker_until));
}

int64_t database_now(void)
{
	return EPOCH_MS + sim_now();
}

bool text_set(char *ret, size_t n, const char *text)
{
	size_t length = text ? strlen(text) : 0;
	size_t kept = length < n ? length : n - 1;

	if (kept > 0)
		memcpy(ret, text, kept);
	ret[kept] = '\0';
	return kept == length;
}

/* ---- Finding ---- */

struct follow_up *follow_up_find(int64_t id)
{
	return id >= 1 && (size_t)id <= db.follow_ups_n ? &db.follow_ups[id - 1] : NULL;
}

struct call *call_find(const char *job_id)
{
	for (size_t i = db.calls_n; i-- > 0;) {
		if (strcmp(db.calls[i].job_id, job_id) == 0)
			return &db.calls[i];
	}
	return NULL;
}

struct live *live_find(const char *job_id)
{
	for (size_t i = 0; i < db.live_n; i++) {
		if (strcmp(db.live[i].job_id, job_id) == 0)
			return &db.live[i];
	}
	return NULL;
}

struct live *live_on(const char *phone)
{
	for (size_t i = 0; i < db.live_n; i++) {
		if (strcmp(db.live[i].phone, phone) == 0)
			return &db.live[i];
	}
	return NULL;
}

void live_remove(const char *job_id)
{
	struct live *v = live_find(job_id);

	if (v)
		*v = db.live[--db.live_n];
}

struct provider_call *provider_call_find(size_t account, const char *id)
{
	for (size_t i = 0; i < db.provider_calls_n; i++) {
		struct provider_call *c = &db.provider_calls[i];
		if (c->account == account && strcmp(c->id, id) == 0)
			return c;
	}
	return NULL;
}

void provider_call_name(const struct call *c)
{
	if (!c->provider_call_id[0] || provider_call_find(c->account, c->provider_call_id))
		return;
	assert(db.provider_calls_n < CALLS_MAX);
	struct provider_call *p = &db.provider_calls[db.provider_calls_n++];
	p->account = c->account;
	text_set(p->id, sizeof(p->id), c->provider_call_id);
	text_set(p->job_id, sizeof(p->job_id), c->job_id);
}

bool is_suppressed(const char *phone)
{
	for (size_t i = 0; i < db.suppressions_n; i++) {
		if (strcmp(db.suppressions[i].phone, phone) == 0)
			return true;
	}
	return false;
}

void suppress(const char *phone)
{
	if (is_suppressed(phone))
		return;
	assert(db.suppressions_n < FOLLOW_UPS_MAX);
	struct suppression *s = &db.suppressions[db.suppressions_n++];
	text_set(s->phone, sizeof(s->phone), phone);
	s->created_at = database_now();
}

size_t account_index(const char *name)
{
	for (size_t i = 0; i < ACCOUNTS; i++) {
		if (strcmp(account_names[i], name) == 0)
			return i;
	}
	assert(false && "no such account");
	return 0;
}

/* ---- Results ---- */

PGresult *rows_new(const char *const *names)
{
	PGresAttDesc columns[32] = {{0}};
	PGresult *r = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	int n = 0;

	for (; names[n]; n++)
		columns[n].name = (char *)(uintptr_t)names[n];
	if (!r || !PQsetResultAttrs(r, n, columns))
		abort();
	return r;
}

void rows_text(PGresult *r, int row, int col, const char *text)
{
	if (!PQsetvalue(r, row, col, (char *)(uintptr_t)text, text ? (int)strlen(text) : -1))
		abort();
}

void rows_int(PGresult *r, int row, int col, int64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)v);
	rows_text(r, row, col, text);
}

void rows_time(PGresult *r, int row, int col, int64_t v)
{
	if (v == NO_TIME)
		rows_text(r, row, col, NULL);
	else
		rows_int(r, row, col, v);
}

/* ---- Arrays ---- */

/* As pg_array_add() writes them: {"a","b\"c",NULL,7}. */
void array_parse(struct array *a, const char *text)
{
	size_t length = text ? strlen(text) : 0;
	char *out;

	*a = (struct array){.storage = malloc(length + 1),
			    .items = malloc((length + 1) * sizeof(char *))};
	if (!a->storage || !a->items)
		abort();
	out = a->storage;
	for (const char *p = text ? text + 1 : ""; *p && *p != '}';) {
		bool quoted = *p == '"';
		char *start = out;
		for (p += quoted; quoted ? *p != '"' : *p != ',' && *p != '}'; p++) {
			if (quoted && *p == '\\')
				p++;
			*out++ = *p;
		}
		*out++ = '\0';
		p += quoted;
		p += *p == ',';
		a->items[a->n++] = !quoted && strcmp(start, "NULL") == 0 ? NULL : start;
	}
}

void array_free(struct array *a)
{
	free(a->storage);
	free(a->items);
}

int64_t array_int(const struct array *a, size_t i, int64_t null)
{
	return a->items[i] ? strtoll(a->items[i], NULL, 10) : null;
}

/* ---- What is read by heart ---- */

static PGresult *accounts(void)
{
	static const char *const names[] = {
		"id",	       "name",	   "tenant_id", "provider", "active", "max_concurrent",
		"credentials", "settings", "source",	NULL};
	PGresult *r = rows_new(names);

	for (int i = 0; i < ACCOUNTS; i++) {
		rows_int(r, i, 0, i + 1);
		rows_text(r, i, 1, account_names[i]);
		rows_text(r, i, 2, "default");
		rows_text(r, i, 3, account_names[i]);
		rows_text(r, i, 4, "t");
		rows_text(r, i, 5, NULL);
		rows_text(r, i, 6, NULL);
		rows_text(r, i, 7, "{}");
		rows_text(r, i, 8, "environment");
	}
	return r;
}

/* The defaults of schemas/sql/0002_defaults.sql. */
static PGresult *outcome_rules(void)
{
	static const char *const names[] = {"tenant", "outcome", "action", "next_stage", NULL};
	static const char *const rules[][2] = {
		{"ACA", "success"},	    {"CALLBACK", "callback"}, {"DO_NOT_CALL", "suppress"},
		{"NOT_INTERESTED", "stop"}, {"SALE", "success"},      {"TRANSFERRED", "success"},
	};
	PGresult *r = rows_new(names);

	for (int i = 0; i < (int)(sizeof(rules) / sizeof(rules[0])); i++) {
		rows_text(r, i, 0, "");
		rows_text(r, i, 1, rules[i][0]);
		rows_text(r, i, 2, rules[i][1]);
		rows_text(r, i, 3, "");
	}
	return r;
}

static PGresult *outcome_words(void)
{
	static const char *const names[] = {"tenant", "provider", "word", "outcome", NULL};

	return rows_new(names);
}

static PGresult *stop_feed(void)
{
	static const char *const names[] = {"what", "tenant", "key", "at_ms", "age_ms", NULL};
	PGresult *r = rows_new(names);
	int n = 0;

	if (sim_now() >= sim.stopped_at && sim_now() < sim.stopped_until) {
		rows_text(r, n, 0, "all");
		rows_text(r, n, 1, "");
		rows_text(r, n, 2, "");
		rows_int(r, n, 3, EPOCH_MS + sim.stopped_at);
		rows_int(r, n++, 4, sim_now() - sim.stopped_at);
	}
	for (size_t i = 0; i < db.suppressions_n; i++) {
		rows_text(r, n, 0, "phone");
		rows_text(r, n, 1, "default");
		rows_text(r, n, 2, db.suppressions[i].phone);
		rows_text(r, n, 3, NULL);
		rows_text(r, n++, 4, NULL);
	}
	return r;
}

PGresult *count_unknown(void)
{
	static const char *const names[] = {"n", NULL};
	PGresult *r = rows_new(names);
	int64_t n = 0, now = database_now();

	for (size_t i = 0; i < db.live_n; i++)
		n += db.live[i].state == CALL_UNKNOWN ||
		     (db.live[i].state == CALL_DIALING && db.live[i].lease_until < now);
	rows_int(r, 0, 0, n);
	return r;
}

/* ---- Statements ---- */

PGresult *database_run(size_t statement, size_t n, const char *const *params)
{
	PGresult *r = NULL;

	switch (statement) {
	case CONSUMER_ACCOUNTS:
		return accounts();
	case CONSUMER_OUTCOME_RULES:
		return outcome_rules();
	case CONSUMER_OUTCOME_WORDS:
		return outcome_words();
	case CONSUMER_STOP_FEED:
		return stop_feed();
	case CONSUMER_COUNT_UNKNOWN:
		return count_unknown();
	case CONSUMER_CLAIM_JOBS:
		r = claim_jobs(params);
		break;
	case CONSUMER_MY_DIALING:
		r = my_dialing(params);
		break;
	case CONSUMER_APPLY_RESULTS:
		r = apply_results(params);
		break;
	case CONSUMER_DUE_CHECKS:
		r = due_checks(params);
		break;
	case CONSUMER_CHECK_AGAIN:
		r = check_again(params);
		break;
	case CONSUMER_MARK_UNDETERMINED:
		r = mark_undetermined(params);
		break;
	case CONSUMER_TAKE_OVER:
		r = take_over(params);
		break;
	default:
		assert(false && "a statement that the simulation does not know");
	}
	if (PQntuples(r) > 0 || statement != CONSUMER_DUE_CHECKS)
		differential_statement(statement, n, params, r);
	oracle_rows();
	return r;
}
