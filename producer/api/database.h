/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API's own connections, one of them for long work: requests that read or write the database
 * alone are one statement each (producer/api/sql), which checks its input and answers with columns
 * `status` and `body` (JSON).
 *
 * A tenant's statement runs under its name, in a transaction of the role carillon_tenant: the
 * database's policies show it and let it write what is this tenant's, and nothing else
 * (schemas/sql/0020_tenants.sql). Elsewhere `tenant` is NULL or "": all are seen.
 */
#ifndef CARILLON_PRODUCER_API_DATABASE_H
#define CARILLON_PRODUCER_API_DATABASE_H

#include <ev.h>
#include <stddef.h>

#include "api_sql.h"
#include "common/config.h"
#include "common/http_server.h"
#include "common/pg.h"

struct api_database;

/* How a resource words its refusals. */
struct api_words {
	void (*refuse)(struct http_exchange *x, unsigned status, const char *detail);
	const char *refusal_type;   /* the content type of a statement's refusal */
	unsigned unreadable_status; /* of a body that is not JSON */
};

#define API_NO_SUCH_TENANT "CT404" /* the SQLSTATE of bind_tenant() */

/* Starts connecting. */
struct api_database *api_database_new(struct ev_loop *loop, const struct config *cfg,
				      const struct clock *clock);
/* Its connections are up. */
bool api_database_ready(const struct api_database *db);
/* Requests under way are refused with 503. Takes NULL. */
void api_database_free(struct api_database *db);

/*
 * Runs the statement with text parameters (NULL = SQL NULL) and answers `x` with its status and
 * body; refuses with 503 and Retry-After when the database can't be asked now, with 500 on an error
 * of ours.
 */
void api_database_answer(struct api_database *db, const char *tenant, struct http_exchange *x,
			 enum api_stmt stmt, size_t params_count, const char *const *params,
			 const struct api_words *words);

/* The result of a statement of this kind, which has a row and a body; NULL, and `x` is answered, if
 * there is none. */
const PGresult *api_database_rows(struct http_exchange *x, enum api_stmt stmt,
				  const struct api_words *words, const struct pg_batch_result *b);
/* Answers `x` if the statement has failed; true then. */
bool api_database_failed(struct http_exchange *x, enum api_stmt stmt, const struct pg_error *e,
			 const struct api_words *words);
/* 503 and Retry-After. */
void api_database_unavailable(struct http_exchange *x, const struct api_words *words);

/* For what takes more than one statement; false: it could not be sent, and there is no callback. */
bool api_database_run(struct api_database *db, const char *tenant, enum api_stmt stmt,
		      size_t params_count, const char *const *params, pg_batch_cb *cb, void *arg)
	__attribute__((warn_unused_result));

#endif
