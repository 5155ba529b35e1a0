/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The environment's accounts get rows, so that lanes, calls and gates can refer to them; their
 * secrets do not. Lanes and redial settings belong to the operators once they are set: here they
 * are only given a start.
 */
#include "producer/setup.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/log.h"
#include "producer_sql.h"

#define TEXT_MAX_BYTES (1 << 20)

/* Settings of an environment account that the database may show. */
static const char *const shown_settings[] = {
	"agent_id",	  "assistant_id", "phone_number_id",
	"from_number_id", "from_number",  "pathway_id",
};

static const struct {
	const char *lane;
	enum config_key key;
} lane_accounts[] = {
	{"follow_ups", CONFIG_KEY_FOLLOW_UP_ACCOUNT},
	{"redial", CONFIG_KEY_REDIAL_ACCOUNT},
	{"workflow", CONFIG_KEY_TASK_ACCOUNT},
};
#define LANE_ACCOUNTS (sizeof(lane_accounts) / sizeof(lane_accounts[0]))

/* Statements of the batch, in order. */
enum step { STEP_ACCOUNTS, STEP_LANES, STEP_SETTINGS, STEP_REDIAL, STEP_WORKFLOW };

struct setup {
	const struct config *cfg;
	void (*done)(void *arg, bool ok);
	void *arg;
};

/* ---- Answers ---- */

/* A lane whose account is not what the environment names: the operator should know why. */
static void log_lanes(const struct config *cfg, const PGresult *res)
{
	int lane = pg_col(res, "lane"), account = pg_col(res, "account");
	int missing = pg_col(res, "missing"), other = pg_col(res, "other");

	for (int row = 0; row < PQntuples(res); row++) {
		const char *name = pg_text(res, row, lane);
		bool named = false;
		for (size_t i = 0; i < LANE_ACCOUNTS; i++)
			named |= strcmp(lane_accounts[i].lane, name) == 0 &&
				 config_is_set(cfg, lane_accounts[i].key);
		if (pg_bool(res, row, missing))
			log_error("setup.no_such_account", LOG_STR("lane", name),
				  LOG_STR("account", pg_text(res, row, account)));
		else if (named && pg_bool(res, row, other))
			log_warn("setup.lane_keeps_its_account", LOG_STR("lane", name),
				 LOG_STR("account", pg_text(res, row, account)));
	}
}

static void on_done(void *arg, const struct pg_batch_result *r)
{
	struct setup *s = arg;
	bool ok = r->error.status == PG_OK || r->error.status == PG_NOT_DURABLE;

	if (ok) {
		const PGresult *redial = r->res[STEP_REDIAL];
		log_lanes(s->cfg, r->res[STEP_LANES]);
		if (pg_int(redial, 0, pg_col(redial, "first")) > 0)
			log_info("setup.first_start");
	} else if (r->error.status == PG_ERROR) {
		log_error("setup.failed", LOG_STR("sqlstate", r->error.sqlstate),
			  LOG_STR("error", r->error.message));
	}
	s->done(s->arg, ok);
	free(s);
}

/* ---- The batch ---- */

static void add_account(struct pg_array *names, struct pg_array *providers,
			struct pg_array *settings, const struct account *a)
{
	struct buf text;
	json_t *shown = json_object();

	for (size_t i = 0; i < sizeof(shown_settings) / sizeof(shown_settings[0]); i++) {
		const char *value = account_setting(a, shown_settings[i]);
		if (value)
			json_object_set_new(shown, shown_settings[i], json_string(value));
	}
	buf_init(&text, TEXT_MAX_BYTES);
	json_write(shown, &text);
	pg_array_add(names, a->name);
	pg_array_add(providers, a->provider);
	pg_array_addn(settings, text.data, text.len);
	buf_release(&text);
	json_decref(shown);
}

static void add_accounts(struct pg *pg, const struct account_set *accounts)
{
	struct buf b[3];
	struct pg_array a[3];
	const char *params[3];

	for (size_t i = 0; i < 3; i++) {
		buf_init(&b[i], TEXT_MAX_BYTES);
		pg_array_init(&a[i], &b[i]);
	}
	for (size_t i = 0; i < account_count(accounts); i++)
		add_account(&a[0], &a[1], &a[2], account_at(accounts, i));
	for (size_t i = 0; i < 3; i++)
		params[i] = pg_array_finish(&a[i]);
	pg_add(pg, PRODUCER_SETUP_ACCOUNTS, 3, params);
	for (size_t i = 0; i < 3; i++)
		buf_release(&b[i]);
}

/* The first of these that has its secret; NULL if none has. */
static const char *first_with(const struct account_set *accounts, const char *secret,
			      const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct account *a = account_by_name(accounts, names[i]);
		if (a && account_setting(a, secret))
			return names[i];
	}
	return NULL;
}

const char *setup_lane_account(const struct config *cfg, const struct account_set *accounts,
			       enum config_key key)
{
	static const char *const dialers[] = {"omni", "vapi", "bland"};
	static const char *const tasks[] = {"vapi", "omni", "bland"}; /* Vapi evaluates success */
	static const char *const classifiers[] = {"twilio"};
	const char *named = config_str(cfg, key);

	if (named)
		return named;
	if (key == CONFIG_KEY_CLASSIFY_ACCOUNT)
		return first_with(accounts, "auth_token", classifiers, 1);
	return first_with(accounts, "api_key", key == CONFIG_KEY_TASK_ACCOUNT ? tasks : dialers, 3);
}

static void add_lanes(struct pg *pg, const struct config *cfg, const struct account_set *accounts)
{
	struct buf lanes, names;
	struct pg_array lane, name;

	buf_init(&lanes, TEXT_MAX_BYTES);
	buf_init(&names, TEXT_MAX_BYTES);
	pg_array_init(&lane, &lanes);
	pg_array_init(&name, &names);
	for (size_t i = 0; i < LANE_ACCOUNTS; i++) {
		const char *account = setup_lane_account(cfg, accounts, lane_accounts[i].key);
		if (!account)
			continue;
		pg_array_add(&lane, lane_accounts[i].lane);
		pg_array_add(&name, account);
	}
	pg_add(pg, PRODUCER_SETUP_LANES, 2,
	       (const char *const[]){pg_array_finish(&lane), pg_array_finish(&name)});
	buf_release(&lanes);
	buf_release(&names);
}

static void add_workflow(struct pg *pg, const struct config *cfg,
			 const struct account_set *accounts)
{
	pg_add(pg, PRODUCER_SETUP_WORKFLOW, 9,
	       (const char *const[]){
		       config_text(cfg, CONFIG_KEY_WORKFLOW_RETRY_MINUTES),
		       config_text(cfg, CONFIG_KEY_CLASSIFICATION_WAIT_SECONDS),
		       config_str(cfg, CONFIG_KEY_CLASSIFICATION_MIN_CONFIDENCE),
		       config_str(cfg, CONFIG_KEY_CLASSIFICATION_UNCLEAR),
		       config_text(cfg, CONFIG_KEY_CLASSIFICATION_TTL_DAYS),
		       config_text(cfg, CONFIG_KEY_STUCK_MINUTES),
		       setup_lane_account(cfg, accounts, CONFIG_KEY_CLASSIFY_ACCOUNT),
		       config_str(cfg, CONFIG_KEY_WORKFLOW_HOURS),
		       config_str(cfg, CONFIG_KEY_WORKFLOW_ZONE),
	       });
}

void setup_run(struct pg *pg, const struct config *cfg, void (*done)(void *arg, bool ok), void *arg)
{
	struct setup *s = calloc(1, sizeof(*s));
	struct buf problems;

	buf_init(&problems, TEXT_MAX_BYTES);
	struct account_set *accounts = account_set_new(cfg, NULL, NULL, &problems);
	if (!s || !accounts)
		abort(); /* no memory for a page of settings: nothing would work */
	*s = (struct setup){cfg, done, arg};
	bool begun = pg_begin(pg, on_done, s);
	assert(begun);
	add_accounts(pg, accounts);
	add_lanes(pg, cfg, accounts);
	pg_add(pg, PRODUCER_SETUP_SETTINGS, 3,
	       (const char *const[]){config_str(cfg, CONFIG_KEY_LEAD_WINDOW),
				     config_str(cfg, CONFIG_KEY_UNKNOWN_ZONE),
				     config_text(cfg, CONFIG_KEY_ACCOUNT_QUEUED_MAX)});
	pg_add(pg, PRODUCER_SETUP_REDIAL, 6,
	       (const char *const[]){config_bool(cfg, CONFIG_KEY_REDIAL_QUEUE_ENABLED) ? "true"
										       : "false",
				     config_text(cfg, CONFIG_KEY_REDIAL_INTERVAL_MINUTES),
				     config_text(cfg, CONFIG_KEY_REDIAL_MAX_ATTEMPTS),
				     config_text(cfg, CONFIG_KEY_REDIAL_PROCESS_INTERVAL),
				     config_text(cfg, CONFIG_KEY_REDIAL_RETENTION_DAYS),
				     config_text(cfg, CONFIG_KEY_REDIAL_SUCCESS_OUTCOMES)});
	add_workflow(pg, cfg, accounts);
	pg_commit(pg);
	account_set_free(accounts);
	buf_release(&problems);
}
