/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One asynchronous PostgreSQL connection in libpq pipeline mode on the event loop.
 *
 * Statements are rows of a table (made from .sql files at build time) and are prepared at connect
 * under their file's name. Work is submitted as a *batch*: the statements between pg_begin() and
 * pg_commit() are sent with one sync, so they are one implicit transaction: all or nothing, one
 * round trip. Each statement sees what the former ones of its batch did. Batches are answered in
 * order.
 *
 * A connection that breaks fails all submitted batches with PG_LOST (their outcome is unknown: the
 * commit may have happened) and reconnects with backoff. Batches submitted while disconnected fail
 * with PG_DOWN (nothing happened).
 *
 * A cancelled wait for a synchronous standby is a WARNING on a successful commit: the batch is
 * reported as PG_NOT_DURABLE, and a caller whose promise rests on durability must treat it as not
 * done.
 *
 * Sessions have search_path carillon, public and time zone UTC. A host name in the URL is resolved
 * blocking; everything else waits in the loop. A server that gives no answer for statement_timeout
 * and 10 s more is taken for lost.
 */
#ifndef CARILLON_PG_H
#define CARILLON_PG_H

#include <ev.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/clock.h"

struct pg_stmt {
	const char *name; /* file name without .sql; the prepared statement's name */
	const char *sql;  /* NULL: not prepared, as this connection never runs it */
};

enum pg_status {
	PG_OK,
	PG_ERROR, /* the server refused; see sqlstate; nothing of the batch happened */
	PG_LOST,  /* connection lost with the batch in flight: outcome unknown */
	PG_DOWN,  /* not connected, or the statements must be prepared again: nothing happened */
	PG_NOT_DURABLE, /* committed locally, the standby did not confirm; the results are there */
};

struct pg_error {
	enum pg_status status;
	char sqlstate[6]; /* "08006" for PG_LOST and PG_DOWN where the server gave none; else "" */
	const char *message; /* first line; valid during the callback */
	int failed_index; /* in the batch, of the statement that failed; -1: none, or the commit */
};

/* Results in order, cleared after the callback; each is NULL if the batch failed. */
struct pg_batch_result {
	struct pg_error error; /* .status == PG_OK: every result is there */
	PGresult **res;
	size_t n;
};

/* May begin and commit other batches, but not call pg_free(). */
typedef void pg_batch_cb(void *arg, const struct pg_batch_result *r);
typedef void pg_notify_cb(void *arg, const char *channel, const char *payload);
/* up: prepared and usable; !up: lost or could not connect, with the reason, once a try. */
typedef void pg_state_cb(void *arg, bool up, const char *reason);

/* What is pointed to must outlive the connection. */
struct pg_options {
	const char *url;
	const char *application_name;
	const struct pg_stmt *stmts;
	size_t stmts_count;
	const char *const *listen; /* NULL-terminated channel names, or NULL */
	int statement_timeout_ms;  /* 0: none, and no limit to waiting for an answer */
	size_t max_batches;	   /* bound of batches in flight; pg_begin() refuses beyond */
	pg_state_cb *on_state;	   /* or NULL */
	pg_notify_cb *on_notify;   /* or NULL */
	void *arg;
	const struct clock *clock;
};

struct pg;

/* Starts connecting; never NULL. */
struct pg *pg_new(struct ev_loop *loop, const struct pg_options *options);
/* Fails what is in flight with PG_LOST (an open batch: PG_DOWN), not calling on_state. Takes NULL.
 */
void pg_free(struct pg *pg);
bool pg_is_up(const struct pg *pg);
size_t pg_batches_in_flight(const struct pg *pg);

/*
 * Starts a batch; false if `max_batches` are in flight or a batch is open. When the connection is
 * down the batch can be built all the same: its callback then gets PG_DOWN.
 */
bool pg_begin(struct pg *pg, pg_batch_cb *cb, void *arg) __attribute__((warn_unused_result));
/* Adds statement `index` of the table with text parameters (NULL = SQL NULL), which are copied. */
void pg_add(struct pg *pg, size_t index, size_t nparams, const char *const *params);
/* Ends and sends the batch. The callback always comes later, from the loop, exactly once. */
void pg_commit(struct pg *pg);

/* begin + add + commit of one statement. */
bool pg_run(struct pg *pg, size_t index, size_t nparams, const char *const *params, pg_batch_cb *cb,
	    void *arg) __attribute__((warn_unused_result));

/*
 * True for what a repeat may cure: SQLSTATE classes 08, 25, 40, 53, 55, 57, 58, PG_LOST, PG_DOWN.
 * After PG_LOST the batch may have been done: repeat only what can be done twice.
 */
bool pg_error_is_transient(const struct pg_error *e);

/* ---- Reading results: columns by name, once per result ---- */
int pg_col(const PGresult *res, const char *name);	    /* asserts that it is there */
const char *pg_text(const PGresult *res, int row, int col); /* NULL for SQL NULL */
int64_t pg_int(const PGresult *res, int row, int col);	    /* 0 for SQL NULL */
int64_t pg_int_or(const PGresult *res, int row, int col, int64_t if_null);
bool pg_bool(const PGresult *res, int row, int col); /* false for SQL NULL */
/* The text, cut to fit `n` bytes; "" for SQL NULL. */
void pg_copy(const PGresult *res, int row, int col, char *ret_text, size_t n);
/* timestamptz columns are selected as milliseconds since 1970 (bigint); see sql files. */

/* ---- Array parameters: {"a","b",NULL} literals for unnest($1::text[], ...) ---- */
struct pg_array {
	struct buf *b;
	size_t n; /* elements so far */
};
void pg_array_init(struct pg_array *a, struct buf *b);		    /* clears b and writes "{" */
void pg_array_add(struct pg_array *a, const char *text);	    /* NULL = SQL NULL */
void pg_array_addn(struct pg_array *a, const char *text, size_t n); /* a NUL fails the buffer */
void pg_array_add_int(struct pg_array *a, int64_t v);
const char *pg_array_finish(struct pg_array *a); /* writes "}"; NULL if the buffer failed */

/* ---- Blocking, for start-up only (migrations, --check-config) ---- */
/* NULL with the reason in `error`, without the URL. No statement timeout; notices are dropped. */
PGconn *pg_connect_blocking(const char *url, const char *application_name, struct buf *error);

#endif
