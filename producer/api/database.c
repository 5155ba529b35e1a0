/* SPDX-License-Identifier: Apache-2.0 */
#include "producer/api/database.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "producer/api/stream.h"

#define STATEMENT_TIMEOUT_MS 15000
#define REQUESTS_MAX 256 /* under way; more are refused */
#define LONG_STATEMENT_TIMEOUT_MS 300000
#define LONG_REQUESTS_MAX 4 /* megabytes each */
#define RETRY_AFTER "2"

struct api_database {
	struct pg *pg;
	struct pg *long_work;
};

/* Statements that are not answered in one go. */
static const struct {
	bool long_work; /* on a connection of its own, so that nothing else waits for it */
	bool in_parts;	/* stream.h */
} kinds[API_STMT_COUNT] = {
	[API_CAMPAIGN_CONTACTS] = {.long_work = true},
	[API_LEADS_BULK] = {.long_work = true},
	[API_SUPPRESSIONS_IMPORT] = {.long_work = true},
	[API_REDIAL_IMPORT] = {.long_work = true},
	[API_PLAN] = {.long_work = true},
	[API_REDIAL_RECORDS] = {.in_parts = true},
};

struct request {
	struct http_exchange *x;
	enum api_stmt stmt;
	const struct api_words *words;
};

static void on_state(void *arg, bool up, const char *reason)
{
	/* The scheduler's connection tells of the server. */
	(void)arg;
	if (!up)
		log_debug("api.postgres_down", LOG_STR("error", reason));
}

struct api_database *api_database_new(struct ev_loop *loop, const struct config *cfg,
				      const struct clock *clock)
{
	if (!config_list_has(cfg, CONFIG_KEY_PRODUCER_ROLES, "api"))
		return NULL;
	struct api_database *db = calloc(1, sizeof(*db));
	if (!db)
		abort();
	struct pg_options o = {
		.url = config_str(cfg, CONFIG_KEY_DATABASE_URL),
		.application_name = "carillon-producer-api",
		.stmts = api_stmts,
		.stmts_count = API_STMT_COUNT,
		.statement_timeout_ms = STATEMENT_TIMEOUT_MS,
		.max_batches = REQUESTS_MAX,
		.on_state = on_state,
		.arg = db,
		.clock = clock,
	};
	db->pg = pg_new(loop, &o);
	o.application_name = "carillon-producer-api-long";
	o.statement_timeout_ms = LONG_STATEMENT_TIMEOUT_MS;
	o.max_batches = LONG_REQUESTS_MAX;
	db->long_work = pg_new(loop, &o);
	return db;
}

bool api_database_ready(const struct api_database *db)
{
	return !db || (pg_is_up(db->pg) && pg_is_up(db->long_work));
}

void api_database_free(struct api_database *db)
{
	if (!db)
		return;
	pg_free(db->long_work);
	pg_free(db->pg);
	free(db);
}

void api_database_unavailable(struct http_exchange *x, const struct api_words *words)
{
	http_respond_header(x, "Retry-After", RETRY_AFTER);
	words->refuse(x, 503, "the database can't be asked now; try again");
}

bool api_database_failed(struct http_exchange *x, enum api_stmt stmt, const struct pg_error *e,
			 const struct api_words *words)
{
	if (e->status == PG_OK || e->status == PG_NOT_DURABLE)
		return false;
	if (pg_error_is_transient(e)) {
		api_database_unavailable(x, words);
		return true;
	}
	if (strncmp(e->sqlstate, "22", 2) == 0) {
		words->refuse(
			x, 422,
			"a value of the request can't be read: text is UTF-8, numbers are of common size");
		return true;
	}
	if (strcmp(e->sqlstate, "23505") == 0) {
		words->refuse(x, 409, "another request made the same at this moment");
		return true;
	}
	log_error("api.failed", LOG_STR("statement", api_stmts[stmt].name),
		  LOG_STR("sqlstate", e->sqlstate), LOG_STR("error", e->message));
	words->refuse(x, 500, "the request could not be served; the log says why");
	return true;
}

const PGresult *api_database_rows(struct http_exchange *x, enum api_stmt stmt,
				  const struct api_words *words, const struct pg_batch_result *b)
{
	if (api_database_failed(x, stmt, &b->error, words))
		return NULL;
	const PGresult *rows = b->res[0];
	if (PQntuples(rows) > 0 && pg_text(rows, 0, pg_col(rows, "body")))
		return rows;
	log_error("api.no_answer", LOG_STR("statement", api_stmts[stmt].name));
	words->refuse(x, 500, "the request could not be served; the log says why");
	return NULL;
}

static void on_answer(void *arg, const struct pg_batch_result *b)
{
	const struct request *r = arg;
	const PGresult *rows = api_database_rows(r->x, r->stmt, r->words, b);

	if (!rows)
		return;
	const char *body = pg_text(rows, 0, pg_col(rows, "body"));
	unsigned status = (unsigned)pg_int(rows, 0, pg_col(rows, "status"));
	http_respond(r->x, status, status < 400 ? "application/json" : r->words->refusal_type, body,
		     strlen(body));
}

bool api_database_run(struct api_database *db, enum api_stmt stmt, size_t params_count,
		      const char *const *params, pg_batch_cb *cb, void *arg)
{
	return pg_run(kinds[stmt].long_work ? db->long_work : db->pg, stmt, params_count, params,
		      cb, arg);
}

void api_database_answer(struct api_database *db, struct http_exchange *x, enum api_stmt stmt,
			 size_t params_count, const char *const *params,
			 const struct api_words *words)
{
	if (kinds[stmt].in_parts) {
		api_stream_answer(db, x, stmt, params_count, params, words);
		return;
	}
	struct request *r = http_alloc(x, sizeof(*r));
	if (!r) {
		words->refuse(x, 503, "no memory");
		return;
	}
	*r = (struct request){x, stmt, words};
	if (!api_database_run(db, stmt, params_count, params, on_answer, r))
		api_database_unavailable(x, words);
}
