/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --audit: the same audit as the hourly one, told to begin the last day anew and watched until it
 * has caught up; consumers that run beside it share the work. Then what is open is printed.
 */
#include <stdio.h>

#include "common/log.h"
#include "consumer/consumer.h"
#include "consumer/providers/adapter.h"
#include "consumer_sql.h"

#define BATCHES_MAX 16
#define TIMEOUT_MS 60000
#define LONGEST_MS (30 * 60 * INT64_C(1000))
#define NAMES_MAX_BYTES (1u << 20)

struct audit_now {
	struct ev_loop *loop;
	struct pg *pg;
	struct reference *reference;
	struct audit *audit;
	struct audit_options options;
	ev_timer start;
	int64_t give_up_ms; /* boot clock */
	int exit_code;
};

static void on_open(void *arg, const struct pg_batch_result *b)
{
	struct audit_now *n = arg;
	bool good = b->error.status == PG_OK;

	for (int i = 0; good && i < PQntuples(b->res[0]); i++)
		puts(pg_text(b->res[0], i, 0));
	if (good && PQntuples(b->res[0]) == 0 && n->exit_code < 0)
		n->exit_code = 0;
	else
		n->exit_code = 1;
	ev_break(n->loop, EVBREAK_ALL);
}

static void on_state(void *arg, const struct audit_state *s)
{
	struct audit_now *n = arg;
	bool late = clock_boot_ms(clock_system()) > n->give_up_ms;

	if (s->behind_s > 60 && s->failing == 0 && !late)
		return; /* there is more, or another consumer is at it */
	if (s->behind_s > 60) {
		fprintf(stderr, "carillon-consumer: a provider's list could not be read whole\n");
		n->exit_code = 1;
	}
	audit_stop(n->audit);
	if (!pg_run(n->pg, CONSUMER_AUDIT_OPEN, 0, NULL, on_open, n))
		ev_break(n->loop, EVBREAK_ALL);
}

static void on_told(void *arg, const struct pg_batch_result *b)
{
	struct audit_now *n = arg;

	n->audit = b->error.status == PG_OK ? audit_new(n->loop, &n->options) : NULL;
	if (n->audit)
		return;
	fprintf(stderr, "carillon-consumer: %s\n",
		b->error.message ? b->error.message : "no memory");
	ev_break(n->loop, EVBREAK_ALL);
}

/* As soon as the accounts are known. */
static void on_start(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct audit_now *n = w->data;
	const struct account_set *s = reference_accounts(n->reference);
	struct pg_array names;
	struct buf b;

	(void)revents;
	if (!reference_is_ready(n->reference) || !pg_is_up(n->pg)) {
		if (clock_boot_ms(clock_system()) > n->give_up_ms)
			ev_break(loop, EVBREAK_ALL);
		return;
	}
	ev_timer_stop(loop, w);
	buf_init(&b, NAMES_MAX_BYTES);
	pg_array_init(&names, &b);
	for (size_t i = 0; i < account_count(s); i++) {
		const struct account *a = account_at(s, i);
		if (audit_can_list(a))
			pg_array_add(&names, a->name);
		else if (a->active && adapter_find(a->provider))
			fprintf(stderr,
				"carillon-consumer: not audited: account %s, as %s lists no calls by time\n",
				a->name, a->provider);
	}
	const char *params[] = {pg_array_finish(&names)};
	if (!pg_run(n->pg, CONSUMER_AUDIT_AGAIN, 1, params, on_told, n))
		ev_break(loop, EVBREAK_ALL);
	buf_release(&b);
}

static void on_pg_state(void *arg, bool up, const char *reason)
{
	struct audit_now *n = arg;

	if (up)
		reference_refresh(n->reference);
	else
		fprintf(stderr, "carillon-consumer: PostgreSQL: %s\n", reason);
}

int consumer_audit(struct ev_loop *loop, const struct config *cfg)
{
	struct audit_now n = {.loop = loop,
			      .give_up_ms = clock_boot_ms(clock_system()) + LONGEST_MS,
			      .exit_code = -1};
	const struct pg_options po = {
		.url = config_str(cfg, CONFIG_KEY_DATABASE_URL),
		.application_name = "carillon-audit",
		.stmts = consumer_stmts,
		.stmts_count = CONSUMER_STMT_COUNT,
		.statement_timeout_ms = TIMEOUT_MS,
		.max_batches = BATCHES_MAX,
		.on_state = on_pg_state,
		.arg = &n,
		.clock = clock_system(),
	};

	n.pg = pg_new(loop, &po);
	n.reference = reference_new(loop, n.pg, cfg);
	if (!n.reference) {
		pg_free(n.pg);
		return 1;
	}
	n.options = (struct audit_options){.cfg = cfg,
					   .pg = n.pg,
					   .reference = n.reference,
					   .clock = clock_system(),
					   .on_state = on_state,
					   .arg = &n};
	ev_timer_init(&n.start, on_start, 0., 0.1);
	n.start.data = &n;
	ev_timer_start(loop, &n.start);
	ev_run(loop, 0);
	ev_timer_stop(loop, &n.start);
	pg_free(n.pg);
	audit_free(n.audit);
	reference_free(n.reference);
	return n.exit_code < 0 ? 1 : n.exit_code;
}
