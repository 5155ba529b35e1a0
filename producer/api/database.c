/* SPDX-License-Identifier: Apache-2.0 */
#include "producer/api/database.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"

#define STATEMENT_TIMEOUT_MS 15000
#define REQUESTS_MAX 256 /* under way; more are refused */
#define BULK_TIMEOUT_MS 300000
#define BULK_REQUESTS_MAX 4 /* megabytes each */
#define RETRY_AFTER "2"

struct api_database {
	struct pg *pg;
	struct pg *bulk; /* requests of many records would keep all others waiting */
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
	o.application_name = "carillon-producer-bulk";
	o.statement_timeout_ms = BULK_TIMEOUT_MS;
	o.max_batches = BULK_REQUESTS_MAX;
	db->bulk = pg_new(loop, &o);
	return db;
}

void api_database_free(struct api_database *db)
{
	if (!db)
		return;
	pg_free(db->pg);
	pg_free(db->bulk);
	free(db);
}

static void unavailable(const struct request *r)
{
	http_respond_header(r->x, "Retry-After", RETRY_AFTER);
	r->words->refuse(r->x, 503, "the database can't be asked now; try again");
}

static void on_answer(void *arg, const struct pg_batch_result *b)
{
	const struct request *r = arg;

	if (b->error.status != PG_OK && b->error.status != PG_NOT_DURABLE) {
		if (pg_error_is_transient(&b->error)) {
			unavailable(r);
			return;
		}
		if (strncmp(b->error.sqlstate, "22", 2) == 0) {
			r->words->refuse(
				r->x, 422,
				"a value of the request can't be read: text is UTF-8, numbers are of common size");
			return;
		}
		if (strcmp(b->error.sqlstate, "23505") == 0) {
			r->words->refuse(r->x, 409, "another request made the same at this moment");
			return;
		}
		log_error("api.failed", LOG_STR("statement", api_stmts[r->stmt].name),
			  LOG_STR("sqlstate", b->error.sqlstate),
			  LOG_STR("error", b->error.message));
		r->words->refuse(r->x, 500, "the request could not be served; the log says why");
		return;
	}
	const PGresult *rows = b->res[0];
	const char *body = PQntuples(rows) > 0 ? pg_text(rows, 0, pg_col(rows, "body")) : NULL;
	if (!body) {
		log_error("api.no_answer", LOG_STR("statement", api_stmts[r->stmt].name));
		r->words->refuse(r->x, 500, "the request could not be served; the log says why");
		return;
	}
	unsigned status = (unsigned)pg_int(rows, 0, pg_col(rows, "status"));
	http_respond(r->x, status, status < 400 ? "application/json" : r->words->refusal_type, body,
		     strlen(body));
}

bool api_database_run(struct api_database *db, enum api_stmt stmt, size_t params_count,
		      const char *const *params, pg_batch_cb *cb, void *arg)
{
	return pg_run(db->pg, stmt, params_count, params, cb, arg);
}

static void answer(struct pg *pg, struct http_exchange *x, enum api_stmt stmt, size_t params_count,
		   const char *const *params, const struct api_words *words)
{
	struct request *r = http_alloc(x, sizeof(*r));

	if (!r) {
		words->refuse(x, 503, "no memory");
		return;
	}
	*r = (struct request){x, stmt, words};
	if (!pg_run(pg, stmt, params_count, params, on_answer, r))
		unavailable(r);
}

void api_database_answer(struct api_database *db, struct http_exchange *x, enum api_stmt stmt,
			 size_t params_count, const char *const *params,
			 const struct api_words *words)
{
	answer(db->pg, x, stmt, params_count, params, words);
}

void api_database_answer_bulk(struct api_database *db, struct http_exchange *x, enum api_stmt stmt,
			      size_t params_count, const char *const *params,
			      const struct api_words *words)
{
	answer(db->bulk, x, stmt, params_count, params, words);
}
