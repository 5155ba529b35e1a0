/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One batch reads all tables, so that accounts, rules and words are of one moment. A read that is
 * under way when the next is asked for is followed by one more: what changed after its snapshot
 * must not wait.
 */
#include "consumer/reference.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/rules/words.h"
#include "common/seal.h"
#include "consumer_sql.h"

#define PROBLEMS_MAX_BYTES 4096

struct reference {
	struct ev_loop *loop;
	struct pg *pg;
	const struct config *cfg;
	ev_timer timer;
	bool reading, again;
	struct seal_keys keys;
	struct account_set *accounts;
	struct rule_set rules;
	struct buf told; /* problems that were logged already */
};

/* ---- What was read ---- */

static void take_accounts(struct reference *r, const PGresult *rows)
{
	struct buf problems;

	buf_init(&problems, PROBLEMS_MAX_BYTES);
	struct account_set *s = account_set_new(r->cfg, rows, &r->keys, &problems);
	if (s) {
		account_set_free(r->accounts);
		r->accounts = s;
	}
	if (problems.len > 0 && strcmp(problems.data, r->told.data) != 0)
		log_warn("accounts.problems", LOG_STR("problems", problems.data));
	buf_clear(&r->told);
	buf_adds(&r->told, problems.data);
	buf_release(&problems);
}

static void copy_column(const PGresult *rows, int row, int col, char *ret_text, size_t n)
{
	const char *text = pg_text(rows, row, col);
	size_t length = text ? strlen(text) : 0;

	if (length >= n)
		length = n - 1;
	memcpy(ret_text, text ? text : "", length);
	ret_text[length] = '\0';
}

static void take_rules(struct reference *r, const PGresult *rows)
{
	int tenant = pg_col(rows, "tenant"), outcome = pg_col(rows, "outcome");
	int action = pg_col(rows, "action"), stage = pg_col(rows, "next_stage");
	int n = PQntuples(rows);

	r->rules.n = 0;
	for (int i = 0; i < n && r->rules.n < RULES_MAX; i++) {
		struct outcome_rule *rule = &r->rules.rules[r->rules.n];
		if (!rule_action_parse(pg_text(rows, i, action), &rule->action))
			continue;
		copy_column(rows, i, tenant, rule->tenant, sizeof(rule->tenant));
		copy_column(rows, i, outcome, rule->outcome, sizeof(rule->outcome));
		copy_column(rows, i, stage, rule->next_stage, sizeof(rule->next_stage));
		r->rules.n++;
	}
	if (n > RULES_MAX)
		log_error("rules.too_many", LOG_INT("rules", n), LOG_INT("used", RULES_MAX));
}

static void take_words(struct reference *r, const PGresult *rows)
{
	int tenant = pg_col(rows, "tenant"), provider = pg_col(rows, "provider");
	int word = pg_col(rows, "word"), outcome = pg_col(rows, "outcome");
	int n = PQntuples(rows);

	r->rules.words_count = 0;
	for (int i = 0; i < n; i++)
		rule_set_add_word(&r->rules, pg_text(rows, i, tenant), pg_text(rows, i, provider),
				  pg_text(rows, i, word), pg_text(rows, i, outcome));
	if (n > WORDS_MAX)
		log_error("words.too_many", LOG_INT("words", n), LOG_INT("used", WORDS_MAX));
}

static void on_read(void *arg, const struct pg_batch_result *b)
{
	struct reference *r = arg;

	r->reading = false;
	if (b->error.status == PG_OK) {
		take_accounts(r, b->res[0]);
		take_rules(r, b->res[1]);
		take_words(r, b->res[2]);
		rule_set_sort(&r->rules);
	} else if (b->error.status == PG_ERROR) {
		log_error("reference.not_read", LOG_STR("error", b->error.message));
	}
	if (r->again && pg_is_up(r->pg))
		reference_refresh(r);
}

void reference_refresh(struct reference *r)
{
	r->again = r->reading;
	if (r->reading || !pg_is_up(r->pg) || !pg_begin(r->pg, on_read, r))
		return;
	r->reading = true;
	pg_add(r->pg, CONSUMER_ACCOUNTS, 0, NULL);
	pg_add(r->pg, CONSUMER_OUTCOME_RULES, 0, NULL);
	pg_add(r->pg, CONSUMER_OUTCOME_WORDS, 0, NULL);
	pg_commit(r->pg);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct reference *r = w->data;

	(void)loop, (void)revents;
	if (!r->reading)
		reference_refresh(r);
}

/* ---- Public ---- */

struct reference *reference_new(struct ev_loop *loop, struct pg *pg, const struct config *cfg)
{
	struct reference *r = calloc(1, sizeof(*r));
	double period_s = (double)config_int(cfg, CONFIG_KEY_SETTINGS_REFRESH_S);
	const char *key = config_str(cfg, CONFIG_KEY_SECRET_KEY);

	if (!r)
		return NULL;
	r->loop = loop;
	r->pg = pg;
	r->cfg = cfg;
	if (key)
		seal_keys_parse(key, &r->keys);
	buf_init(&r->told, PROBLEMS_MAX_BYTES);
	if (!rule_set_init(&r->rules)) {
		rule_set_release(&r->rules);
		free(r);
		return NULL;
	}
	ev_timer_init(&r->timer, on_timer, period_s, period_s);
	r->timer.data = r;
	ev_timer_start(loop, &r->timer);
	return r;
}

void reference_free(struct reference *r)
{
	if (!r)
		return;
	ev_timer_stop(r->loop, &r->timer);
	account_set_free(r->accounts);
	buf_release(&r->told);
	rule_set_release(&r->rules);
	explicit_bzero(&r->keys, sizeof(r->keys));
	free(r);
}

bool reference_is_ready(const struct reference *r)
{
	return r->accounts != NULL;
}

const struct account *reference_account(const struct reference *r, const char *name)
{
	return r->accounts && name ? account_by_name(r->accounts, name) : NULL;
}

const struct account_set *reference_accounts(const struct reference *r)
{
	return r->accounts;
}

const struct rule_set *reference_rules(const struct reference *r)
{
	return &r->rules;
}
