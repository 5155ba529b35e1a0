/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One slice at a time: take it, read the provider's list of it page by page, have the database
 * compare. Between two slices it waits a little, so that catching up is no burden to the provider,
 * and the requests are none of the dispatcher's.
 */
#include "consumer/audit.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/msg.h"
#include "consumer/lookup.h"
#include "consumer_sql.h"

#define ARRAY_MAX_BYTES (8u << 20)
#define TICK_S 30.0
#define INTERVAL_S 3600
#define NEXT_SLICE_S 0.25
#define SLICE_LEASE_S "900"
#define READING_MAX_MS 600000	/* less than that lease */
#define POSTED_WITHIN_MS 300000 /* of its claim: the lease, the timeout, and some */
#define NUMBER_BYTES 24

enum column { COLUMN_ID, COLUMN_JOB, COLUMN_PHONE, COLUMN_CREATED, COLUMNS };

struct audit {
	struct ev_loop *loop;
	struct audit_options o;
	struct http_client *http;
	ev_timer timer;
	bool busy, stopping;
	int64_t timeout_ms;
	char interval_s[NUMBER_BYTES], settle_s[NUMBER_BYTES];
	struct buf names; /* of the accounts we can ask, as an array */

	/* The slice under way. */
	struct lookup *lookup;
	const struct adapter *adapter;
	char account[CHECK_WORD_BYTES];
	char from_ms[NUMBER_BYTES], to_ms[NUMBER_BYTES];
	char fingerprint[ACCOUNT_FINGERPRINT_BYTES];
	int64_t asked_boot_ms; /* for a slice */
	bool complete;
	const char *trouble; /* of one that is not complete */
	struct buf bufs[COLUMNS];
	struct pg_array rows[COLUMNS];
};

static void again_in(struct audit *a, double after_s)
{
	a->busy = false;
	ev_timer_stop(a->loop, &a->timer);
	ev_timer_set(&a->timer, after_s, a->timer.repeat);
	if (!a->stopping)
		ev_timer_start(a->loop, &a->timer);
}

static void log_if_failed(const struct pg_batch_result *b)
{
	if (b->error.status == PG_ERROR)
		log_error("audit.database", LOG_STR("sqlstate", b->error.sqlstate),
			  LOG_STR("error", b->error.message));
}

/* ---- The state of all ---- */

static void take_state(struct audit *a, const PGresult *rows)
{
	const struct audit_state s = {
		.open = pg_int(rows, 0, pg_col(rows, "open")),
		.behind_s = pg_int(rows, 0, pg_col(rows, "behind_s")),
		.failing = pg_int(rows, 0, pg_col(rows, "failing")),
	};

	metric_set(METRIC_AUDIT_OPEN, NULL, (double)s.open);
	metric_set(METRIC_AUDIT_BEHIND, NULL, s.behind_s > 0 ? (double)s.behind_s : 0.);
	if (a->o.on_state)
		a->o.on_state(a->o.arg, &s);
}

static void on_idle(void *arg, const struct pg_batch_result *b)
{
	struct audit *a = arg;

	log_if_failed(b);
	again_in(a, a->timer.repeat);
	if (b->error.status == PG_OK)
		take_state(a, b->res[0]);
}

static void ask_state(struct audit *a)
{
	const char *params[] = {a->names.data, a->settle_s};

	if (!pg_run(a->o.pg, CONSUMER_AUDIT_STATE, 2, params, on_idle, a))
		again_in(a, a->timer.repeat);
}

/* ---- The end of a slice ---- */

static void log_differences(const struct audit *a, const PGresult *rows)
{
	int kind = pg_col(rows, "kind"), call = pg_col(rows, "provider_call_id");
	int job = pg_col(rows, "job_id"), phone = pg_col(rows, "phone");
	int is_new = pg_col(rows, "is_new"), n = PQntuples(rows);

	for (int i = 0; i < n; i++) {
		if (!pg_bool(rows, i, is_new))
			continue;
		metric_add(METRIC_AUDIT_DIFFERENCES, pg_text(rows, i, kind), 1);
		log_error("audit.difference", LOG_STR("kind", pg_text(rows, i, kind)),
			  LOG_STR("account", a->account),
			  LOG_STR("provider_call_id", pg_text(rows, i, call)),
			  LOG_STR("job_id", pg_text(rows, i, job)),
			  LOG_PHONE("phone", pg_text(rows, i, phone)));
	}
}

static void on_compared(void *arg, const struct pg_batch_result *b)
{
	struct audit *a = arg;

	log_if_failed(b);
	again_in(a, NEXT_SLICE_S);
	if (b->error.status == PG_OK) {
		metric_add(METRIC_AUDITS, a->complete ? "complete" : "incomplete", 1);
		log_differences(a, b->res[0]);
		if (!a->complete)
			log_warn("audit.incomplete", LOG_STR("account", a->account),
				 LOG_STR("reason", a->trouble));
		take_state(a, b->res[2]);
	}
}

static void compare(struct audit *a)
{
	char lag_s[NUMBER_BYTES];
	const char *compared[] = {a->account,
				  a->from_ms,
				  a->to_ms,
				  NULL,
				  a->adapter->rows_from_end ? "true" : "false",
				  lag_s,
				  a->fingerprint,
				  pg_array_finish(&a->rows[COLUMN_ID]),
				  pg_array_finish(&a->rows[COLUMN_JOB]),
				  pg_array_finish(&a->rows[COLUMN_PHONE]),
				  pg_array_finish(&a->rows[COLUMN_CREATED])};
	bool whole = compared[7] && compared[8] && compared[9] && compared[10];

	/* Too many to be kept: a shorter slice is tried. */
	for (size_t i = 0; !whole && i < COLUMNS; i++)
		compared[7 + i] = "{}";
	if (a->complete && !whole)
		a->trouble = "too many rows";
	a->complete = a->complete && whole;
	compared[3] = a->complete ? "true" : "false";
	const char *done[] = {a->account, a->to_ms, compared[3], a->interval_s, a->settle_s};
	const char *state[] = {a->names.data, a->settle_s};
	snprintf(lag_s, sizeof(lag_s), "%d", a->adapter->list_lag_s);
	if (!pg_begin(a->o.pg, on_compared, a)) {
		again_in(a, a->timer.repeat);
		return;
	}
	pg_add(a->o.pg, CONSUMER_AUDIT_COMPARE, sizeof(compared) / sizeof(compared[0]), compared);
	pg_add(a->o.pg, CONSUMER_AUDIT_DONE, sizeof(done) / sizeof(done[0]), done);
	pg_add(a->o.pg, CONSUMER_AUDIT_STATE, sizeof(state) / sizeof(state[0]), state);
	pg_commit(a->o.pg);
}

/* ---- The list ---- */

static void on_row(void *arg, const struct found_call *f)
{
	struct audit *a = arg;

	if (f->inbound)
		return;
	pg_array_add(&a->rows[COLUMN_ID], f->provider_call_id);
	pg_array_add(&a->rows[COLUMN_JOB], f->job_id[0] ? f->job_id : NULL);
	pg_array_add(&a->rows[COLUMN_PHONE], f->phone[0] ? f->phone : NULL);
	if (f->created_at == MSG_NO_TIME)
		pg_array_add(&a->rows[COLUMN_CREATED], NULL);
	else
		pg_array_add_int(&a->rows[COLUMN_CREATED], f->created_at);
}

static void on_listed(struct lookup *l, void *arg)
{
	struct audit *a = arg;

	a->complete = lookup_is_complete(l);
	a->trouble = lookup_trouble(l) ? lookup_trouble(l) : "a row of it can't be read";
	memcpy(a->fingerprint, lookup_fingerprint(l), sizeof(a->fingerprint));
	a->lookup = NULL;
	lookup_free(l);
	compare(a);
}

static const struct account *account_of(void *arg, const char *name)
{
	const struct audit *a = arg;

	return reference_account(a->o.reference, name);
}

static void copy_column(const PGresult *rows, const char *name, char *ret_text, size_t n)
{
	pg_copy(rows, 0, pg_col(rows, name), ret_text, n);
}

static void begin_slice(struct audit *a, const PGresult *rows)
{
	copy_column(rows, "account", a->account, sizeof(a->account));
	copy_column(rows, "from_ms", a->from_ms, sizeof(a->from_ms));
	copy_column(rows, "to_ms", a->to_ms, sizeof(a->to_ms));
	a->adapter = adapter_find(pg_text(rows, 0, pg_col(rows, "provider")));
	assert(a->adapter); /* of those we asked for */
	for (size_t i = 0; i < COLUMNS; i++)
		pg_array_init(&a->rows[i], &a->bufs[i]);
	const struct lookup_options o = {
		.http = a->http,
		.account = account_of,
		.adapter = a->adapter,
		.timeout_ms = a->timeout_ms,
		.now = pg_int(rows, 0, pg_col(rows, "now_ms")),
		.now_late_ms = clock_boot_ms(a->o.clock) - a->asked_boot_ms,
		.clock = a->o.clock,
		.reading_max_ms = READING_MAX_MS,
		.done = on_listed,
		.row = on_row,
		.arg = a,
	};
	a->complete = false;
	a->trouble = "nothing can be asked";
	a->fingerprint[0] = '\0';
	/* Rows are compared by the provider's times. */
	a->lookup = lookup_list(&o, a->account,
				pg_int(rows, 0, pg_col(rows, "from_ms")) - LOOKUP_APART_MAX_MS,
				pg_int(rows, 0, pg_col(rows, "to_ms")) + POSTED_WITHIN_MS);
	if (!a->lookup)
		compare(a);
}

/* ---- The next slice ---- */

static void on_next(void *arg, const struct pg_batch_result *b)
{
	struct audit *a = arg;

	log_if_failed(b);
	if (b->error.status != PG_OK)
		again_in(a, a->timer.repeat);
	else if (PQntuples(b->res[0]) == 0)
		ask_state(a);
	else
		begin_slice(a, b->res[0]);
}

bool audit_can_list(const struct account *a)
{
	const struct adapter *ad = adapter_find(a->provider);

	return ad && ad->list_kind != LIST_BY_NUMBER;
}

/* Active ones whose credentials we have. */
static bool name_accounts(struct audit *a)
{
	const struct account_set *s = reference_accounts(a->o.reference);
	struct pg_array names;

	pg_array_init(&names, &a->names);
	for (size_t i = 0; s && i < account_count(s); i++) {
		const struct account *account = account_at(s, i);
		if (account->active && audit_can_list(account))
			pg_array_add(&names, account->name);
	}
	return pg_array_finish(&names) != NULL;
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct audit *a = w->data;

	(void)loop, (void)revents;
	if (a->busy || a->stopping || !pg_is_up(a->o.pg) || !reference_is_ready(a->o.reference) ||
	    !name_accounts(a))
		return;
	const char *params[] = {a->names.data, a->interval_s, a->settle_s, SLICE_LEASE_S};
	a->asked_boot_ms = clock_boot_ms(a->o.clock);
	a->busy = pg_run(a->o.pg, CONSUMER_AUDIT_NEXT, 4, params, on_next, a);
}

/* ---- Life ---- */

struct audit *audit_new(struct ev_loop *loop, const struct audit_options *o)
{
	struct audit *a = calloc(1, sizeof(*a));
	const struct http_client_options ho = {
		.max_requests = 1,
		.connection_max_idle_s = (long)config_int(o->cfg, CONFIG_KEY_CONNECTION_MAX_IDLE_S),
		.allow_insecure = config_bool(o->cfg, CONFIG_KEY_ALLOW_INSECURE_PROVIDERS),
		.user_agent = "carillon/" CARILLON_VERSION,
		.clock = o->clock,
	};
	/* 0 is never, but for --audit. */
	int64_t set_s = config_int(o->cfg, CONFIG_KEY_AUDIT_INTERVAL_S);
	int64_t interval_s = set_s > 0 ? set_s : INTERVAL_S;
	double tick_s = (double)interval_s < TICK_S ? (double)interval_s : TICK_S;

	if (!a)
		return NULL;
	a->loop = loop;
	a->o = *o;
	a->timeout_ms = config_int(o->cfg, CONFIG_KEY_PROVIDER_TIMEOUT_S) * 1000;
	snprintf(a->interval_s, sizeof(a->interval_s), "%lld", (long long)interval_s);
	snprintf(a->settle_s, sizeof(a->settle_s), "%lld",
		 (long long)config_int(o->cfg, CONFIG_KEY_AUDIT_SETTLE_S));
	buf_init(&a->names, ARRAY_MAX_BYTES);
	for (size_t i = 0; i < COLUMNS; i++)
		buf_init(&a->bufs[i], ARRAY_MAX_BYTES);
	a->http = http_client_new(loop, &ho);
	ev_timer_init(&a->timer, on_timer, NEXT_SLICE_S, o->on_state ? NEXT_SLICE_S : tick_s);
	a->timer.data = a;
	if (!a->http) {
		audit_free(a);
		return NULL;
	}
	ev_timer_start(loop, &a->timer);
	return a;
}

void audit_stop(struct audit *a)
{
	a->stopping = true;
	ev_timer_stop(a->loop, &a->timer);
}

void audit_free(struct audit *a)
{
	if (!a)
		return;
	audit_stop(a);
	http_client_free(a->http);
	lookup_free(a->lookup);
	buf_release(&a->names);
	for (size_t i = 0; i < COLUMNS; i++)
		buf_release(&a->bufs[i]);
	free(a);
}
