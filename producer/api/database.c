/* SPDX-License-Identifier: Apache-2.0 */
#include "producer/api/database.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "producer/api/stream.h"

#define STATEMENT_TIMEOUT_MS 15000
#define REQUESTS_MAX 256 /* under way; more are refused */
#define LONG_STATEMENT_TIMEOUT_MS 300000
#define LONG_REQUESTS_MAX 4    /* megabytes each */
#define UPLOAD_REQUESTS_MAX 64 /* a few of each upload */
#define RETRY_AFTER "2"

/* Each is a connection of its own, so that what takes long holds up its like only. */
enum link {
	LINK_COMMON,
	LINK_URGENT, /* what stops calls waits for nobody's list */
	LINK_LIVE,   /* the page's figures */
	LINK_LONG,
	LINK_UPLOADS, /* of files that are being received and applied */
	LINKS
};

static const struct {
	const char *application_name;
	int statement_timeout_ms;
	size_t max_batches;
} links[LINKS] = {
	[LINK_COMMON] = {"carillon-producer-api", STATEMENT_TIMEOUT_MS, REQUESTS_MAX},
	[LINK_URGENT] = {"carillon-producer-api-urgent", STATEMENT_TIMEOUT_MS, REQUESTS_MAX},
	[LINK_LIVE] = {"carillon-producer-api-live", STATEMENT_TIMEOUT_MS, REQUESTS_MAX},
	[LINK_LONG] = {"carillon-producer-api-long", LONG_STATEMENT_TIMEOUT_MS, LONG_REQUESTS_MAX},
	[LINK_UPLOADS] = {"carillon-producer-api-uploads", LONG_STATEMENT_TIMEOUT_MS,
			  UPLOAD_REQUESTS_MAX},
};

struct api_database {
	struct pg *links[LINKS];
	struct pg_stmt stmts[LINKS][API_STMT_COUNT]; /* of each, those that it runs */
};

/* Statements that are not answered in one go, or not by the common connection. */
static const struct {
	enum link link;
	bool in_parts;		  /* stream.h */
	const char *content_type; /* NULL: JSON */
} kinds[API_STMT_COUNT] = {
	[API_SCHEDULER_SWITCH] = {.link = LINK_URGENT},
	[API_CAMPAIGN_SWITCH] = {.link = LINK_URGENT},
	[API_SUPPRESSION_ADD] = {.link = LINK_URGENT},
	[API_CALL_CANCEL] = {.link = LINK_URGENT},
	[API_CALL_HANG_UP] = {.link = LINK_URGENT},
	[API_FOLLOW_UP_CANCEL] = {.link = LINK_URGENT},
	[API_LIVE_FIGURES] = {.link = LINK_LIVE},
	[API_LIVE_SERIES] = {.link = LINK_LIVE},
	[API_LEADS_BULK] = {.link = LINK_LONG},
	[API_SUPPRESSIONS_IMPORT] = {.link = LINK_LONG},
	[API_REDIAL_IMPORT] = {.link = LINK_LONG},
	[API_PLAN] = {.link = LINK_LONG},
	[API_REDIAL_RECORDS] = {.in_parts = true},
	[API_CALLS_EXPORT] = {.link = LINK_LONG,
			      .in_parts = true,
			      .content_type = "text/csv; charset=utf-8"},
	[API_UPLOAD_BEGIN] = {.link = LINK_UPLOADS},
	[API_UPLOAD_STAGE] = {.link = LINK_UPLOADS},
	[API_UPLOAD_STAGE_JSON] = {.link = LINK_UPLOADS},
	[API_UPLOAD_STAGED] = {.link = LINK_UPLOADS},
	[API_UPLOAD_APPLY] = {.link = LINK_UPLOADS},
	[API_UPLOAD_ABANDON] = {.link = LINK_UPLOADS},
	[API_UPLOAD_TAKE] = {.link = LINK_UPLOADS},
	[API_UPLOAD_REJECTED] = {.in_parts = true, .content_type = "text/csv; charset=utf-8"},
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
	struct api_database *db = calloc(1, sizeof(*db));
	if (!db)
		abort();
	for (size_t i = 0; i < API_STMT_COUNT; i++)
		db->stmts[kinds[i].link][i] = api_stmts[i];
	for (size_t i = 0; i < LINKS; i++) {
		db->stmts[i][API_BIND_TENANT] = api_stmts[API_BIND_TENANT];
		db->links[i] =
			pg_new(loop, &(struct pg_options){
					     .url = config_str(cfg, CONFIG_KEY_DATABASE_URL),
					     .application_name = links[i].application_name,
					     .stmts = db->stmts[i],
					     .stmts_count = API_STMT_COUNT,
					     .statement_timeout_ms = links[i].statement_timeout_ms,
					     .max_batches = links[i].max_batches,
					     .on_state = on_state,
					     .arg = db,
					     .clock = clock,
				     });
	}
	return db;
}

bool api_database_ready(const struct api_database *db)
{
	for (size_t i = 0; i < LINKS; i++) {
		if (!pg_is_up(db->links[i]))
			return false;
	}
	return true;
}

void api_database_free(struct api_database *db)
{
	if (!db)
		return;
	for (size_t i = 0; i < LINKS; i++)
		pg_free(db->links[i]);
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
	if (strcmp(e->sqlstate, API_NO_SUCH_TENANT) == 0) {
		words->refuse(x, 422, "tenant: there is no such tenant");
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

struct bound {
	pg_batch_cb *cb;
	void *arg;
};

/* The first statement was ours. */
static void on_bound(void *arg, const struct pg_batch_result *b)
{
	struct bound *bound = arg;
	struct pg_batch_result rest = *b;

	if (b->n > 0) {
		rest.res++;
		rest.n--;
	}
	rest.error.failed_index -= b->error.failed_index > 0;
	bound->cb(bound->arg, &rest);
	free(bound);
}

bool api_database_run(struct api_database *db, const char *tenant, enum api_stmt stmt,
		      size_t params_count, const char *const *params, pg_batch_cb *cb, void *arg)
{
	struct pg *pg = db->links[kinds[stmt].link];

	if (!tenant || !*tenant)
		return pg_run(pg, stmt, params_count, params, cb, arg);
	struct bound *bound = malloc(sizeof(*bound));
	if (!bound)
		return false;
	*bound = (struct bound){cb, arg};
	if (!pg_begin(pg, on_bound, bound)) {
		free(bound);
		return false;
	}
	pg_add(pg, API_BIND_TENANT, 1, &tenant);
	pg_add(pg, stmt, params_count, params);
	pg_commit(pg);
	return true;
}

void api_database_answer(struct api_database *db, const char *tenant, struct http_exchange *x,
			 enum api_stmt stmt, size_t params_count, const char *const *params,
			 const struct api_words *words)
{
	if (kinds[stmt].in_parts) {
		api_stream_answer(db, tenant, x, stmt, kinds[stmt].content_type, params_count,
				  params, words);
		return;
	}
	struct request *r = http_alloc(x, sizeof(*r));
	if (!r) {
		words->refuse(x, 503, "no memory");
		return;
	}
	*r = (struct request){x, stmt, words};
	if (!api_database_run(db, tenant, stmt, params_count, params, on_answer, r))
		api_database_unavailable(x, words);
}
