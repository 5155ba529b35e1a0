/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A runner that looks before it writes. All is done under one session lock, so what it reads is
 * what it acts on, and a runner that dies leaves nothing half done: its transaction and its lock
 * end with its session.
 *
 * A migration that waits for a table holds up everybody behind it, so it gives up soon, lets them
 * pass, and tries again.
 */
#include "producer/migrate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/pg.h"
#include "common/seal.h"
#include "owner_sql.h"

#define RUNNER_WAIT "10min"
#define TABLE_WAIT "3s"
#define TABLE_TRIES 10
#define TABLE_PAUSE_S 1
#define LOCK_NOT_AVAILABLE "55P03"
#define VERSION_DIGITS 4
#define CHECKSUM_TEXT_BYTES (2 * SHA256_BYTES + 1)

struct migration {
	const struct embedded_file *file;
	int version;
	char checksum[CHECKSUM_TEXT_BYTES];
};

struct runner {
	PGconn *conn;
	struct migration *migrations;
	size_t n;
	struct migrate_report *report;
	struct buf *error;
};

/* ---- The files ---- */

static bool parse_name(const char *name, int *ret_version)
{
	size_t n = strlen(name);
	size_t digits = strspn(name, "0123456789");
	static const char ending[] = ".sql";

	if (digits != VERSION_DIGITS || name[digits] != '_' || n < digits + 1 + sizeof(ending) ||
	    strcmp(name + n - sizeof(ending) + 1, ending) != 0)
		return false;
	*ret_version = (int)strtol(name, NULL, 10);
	return *ret_version > 0;
}

static int read_files(struct runner *r, const struct embedded_file *files)
{
	for (size_t i = 0; i < r->n; i++) {
		struct migration *m = &r->migrations[i];
		const struct sign_part part = {files[i].data, files[i].size};
		unsigned char digest[SHA256_BYTES];
		m->file = &files[i];
		if (!parse_name(files[i].name, &m->version)) {
			buf_addf(r->error, "%s: not named NNNN_name.sql", files[i].name);
			return -1;
		}
		if (i > 0 && m->version <= m[-1].version) {
			buf_addf(r->error, "%s: its version does not follow that of %s",
				 files[i].name, m[-1].file->name);
			return -1;
		}
		if (!sha256(&part, 1, digest)) {
			buf_addf(r->error, "%s: no digest", files[i].name);
			return -1;
		}
		hex_encode(digest, sizeof(digest), m->checksum);
	}
	return 0;
}

/* ---- Statements ---- */

static void add_first_line(struct buf *error, const char *text)
{
	buf_add(error, text, strcspn(text, "\n"));
}

static PGresult *execute(struct runner *r, enum owner_stmt stmt, int nparams,
			 const char *const *params)
{
	return PQexecParams(r->conn, owner_stmts[stmt].sql, nparams, NULL, params, NULL, NULL, 0);
}

static bool is_good(const PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK ||
	       status == PGRES_EMPTY_QUERY;
}

/* The result, to be cleared; NULL with the reason. */
static PGresult *query(struct runner *r, enum owner_stmt stmt, int nparams,
		       const char *const *params)
{
	PGresult *res = execute(r, stmt, nparams, params);

	if (is_good(res))
		return res;
	buf_addf(r->error, "%s: ", owner_stmts[stmt].name);
	add_first_line(r->error, PQerrorMessage(r->conn));
	PQclear(res);
	return NULL;
}

static int run(struct runner *r, enum owner_stmt stmt, int nparams, const char *const *params)
{
	PGresult *res = query(r, stmt, nparams, params);

	PQclear(res);
	return res ? 0 : -1;
}

/* A word of transaction control. */
static int command(struct runner *r, const char *word)
{
	PGresult *res = PQexec(r->conn, word);
	bool good = is_good(res);

	if (!good)
		add_first_line(r->error, PQerrorMessage(r->conn));
	PQclear(res);
	return good ? 0 : -1;
}

/* ---- What the database has ---- */

static const struct migration *find(const struct runner *r, int version)
{
	for (size_t i = 0; i < r->n; i++) {
		if (r->migrations[i].version == version)
			return &r->migrations[i];
	}
	return NULL;
}

static int last_version(const struct runner *r)
{
	return r->n > 0 ? r->migrations[r->n - 1].version : 0;
}

/* One row of schema_migrations against the file of that version. */
static int compare(struct runner *r, const PGresult *res, int row)
{
	int version = (int)pg_int(res, row, pg_col(res, "version"));
	const char *name = pg_text(res, row, pg_col(res, "name"));
	const struct migration *m = find(r, version);

	if (!m && version > last_version(r)) {
		r->report->newer = true;
		return 0;
	}
	if (!m) {
		buf_addf(r->error, "%s was applied to the database but is not among the files",
			 name);
		return -1;
	}
	if (strcmp(m->checksum, pg_text(res, row, pg_col(res, "checksum"))) != 0) {
		buf_addf(r->error,
			 "%s was changed after it was applied: put it back and add a new file",
			 m->file->name);
		return -1;
	}
	return 0;
}

/* Leaves in the report how far the database is. */
static int compare_all(struct runner *r)
{
	PGresult *res = query(r, OWNER_MIGRATE_LIST, 0, NULL);
	int rc = res ? 0 : -1;
	int applied = PQntuples(res);

	for (int row = 0; row < applied && rc == 0; row++)
		rc = compare(r, res, row);
	if (applied > 0)
		r->report->version = (int)pg_int(res, applied - 1, pg_col(res, "version"));
	for (size_t i = 0; i < r->n && rc == 0; i++) {
		bool found = r->migrations[i].version > r->report->version;
		for (int row = 0; row < applied && !found; row++)
			found = pg_int(res, row, pg_col(res, "version")) ==
				r->migrations[i].version;
		if (!found) {
			buf_addf(r->error, "%s was skipped: later migrations are applied already",
				 r->migrations[i].file->name);
			rc = -1;
		}
	}
	PQclear(res);
	return rc;
}

static int ensure_table(struct runner *r)
{
	PGresult *res = query(r, OWNER_MIGRATE_EXISTS, 0, NULL);

	if (!res)
		return -1;
	bool found = pg_bool(res, 0, pg_col(res, "found"));
	bool has_schema = pg_bool(res, 0, pg_col(res, "has_schema"));
	PQclear(res);
	if (found)
		return 0;
	if (!has_schema && run(r, OWNER_MIGRATE_SCHEMA, 0, NULL) != 0)
		return -1;
	if (command(r, "BEGIN") != 0 || run(r, OWNER_MIGRATE_TABLE, 0, NULL) != 0 ||
	    run(r, OWNER_MIGRATE_FUNCTION, 0, NULL) != 0)
		return -1;
	return command(r, "COMMIT");
}

/* ---- Applying ---- */

/* "0003_x.sql:17: column ... does not exist (42703)" */
static void explain_failure(struct runner *r, const struct migration *m, const PGresult *res)
{
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	const char *position = PQresultErrorField(res, PG_DIAG_STATEMENT_POSITION);

	buf_addf(r->error, "%s:", m->file->name);
	if (position) {
		/* In characters of the whole file, so that bytes that continue one don't count. */
		long left = strtol(position, NULL, 10) - 1;
		int line = 1;
		for (const unsigned char *p = m->file->data; *p && left > 0; p++) {
			line += *p == '\n';
			left -= (p[1] & 0xc0) != 0x80;
		}
		buf_addf(r->error, "%d:", line);
	}
	buf_addc(r->error, ' ');
	add_first_line(r->error, message ? message : PQerrorMessage(r->conn));
	if (sqlstate)
		buf_addf(r->error, " (%s)", sqlstate);
}

static int note(struct runner *r, const struct migration *m, int64_t took_ms)
{
	char version[16], took[32];
	const char *const params[] = {version, m->file->name, m->checksum, took};

	snprintf(version, sizeof(version), "%d", m->version);
	snprintf(took, sizeof(took), "%lld", (long long)took_ms);
	return run(r, OWNER_MIGRATE_NOTE, 4, params);
}

/* 0; -1 with the reason; 1: a table was not to be had in time, and nothing was done. */
static int try_apply(struct runner *r, const struct migration *m)
{
	int64_t began = clock_boot_ms(clock_system());
	int rc = 0;

	if (command(r, "BEGIN") != 0)
		return -1;
	PGresult *res = PQexec(r->conn, (const char *)m->file->data);
	const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	if (!is_good(res)) {
		rc = sqlstate && strcmp(sqlstate, LOCK_NOT_AVAILABLE) == 0 ? 1 : -1;
		if (rc < 0)
			explain_failure(r, m, res);
	} else if (PQtransactionStatus(r->conn) != PQTRANS_INTRANS) {
		buf_addf(r->error, "%s: ends its transaction itself", m->file->name);
		rc = -1;
	}
	PQclear(res);
	if (rc == 0)
		rc = note(r, m, clock_boot_ms(clock_system()) - began);
	if (rc == 0)
		return command(r, "COMMIT");
	if (rc == 1 && command(r, "ROLLBACK") != 0)
		return -1;
	return rc;
}

static int apply(struct runner *r, const struct migration *m)
{
	int rc = 1;

	for (int i = 0; i < TABLE_TRIES && rc == 1; i++) {
		if (i > 0)
			sleep(TABLE_PAUSE_S);
		rc = try_apply(r, m);
	}
	if (rc == 1)
		buf_addf(r->error, "%s: a table it changes is in use all the time", m->file->name);
	if (rc != 0)
		return -1;
	r->report->applied++;
	r->report->version = m->version;
	return 0;
}

static int run_all(struct runner *r)
{
	if (run(r, OWNER_MIGRATE_LOCK, 1, (const char *const[]){RUNNER_WAIT}) != 0 ||
	    run(r, OWNER_MIGRATE_LOCK_TIMEOUT, 1, (const char *const[]){TABLE_WAIT}) != 0 ||
	    ensure_table(r) != 0 || compare_all(r) != 0)
		return -1;
	for (size_t i = 0; i < r->n; i++) {
		if (r->migrations[i].version > r->report->version &&
		    apply(r, &r->migrations[i]) != 0)
			return -1;
	}
	return 0;
}

/* ---- Public ---- */

int migrate_run_files(const char *database_url, const struct embedded_file *files, size_t n,
		      struct migrate_report *ret, struct buf *error)
{
	int64_t began = clock_boot_ms(clock_system());
	struct runner r = {.n = n, .report = ret, .error = error};
	int rc = -1;

	*ret = (struct migrate_report){0};
	r.migrations = calloc(n + 1, sizeof(*r.migrations));
	if (!r.migrations)
		abort();
	if (read_files(&r, files) == 0) {
		r.conn = pg_connect_blocking(database_url, "carillon-migrate", error);
		if (r.conn)
			rc = run_all(&r);
		PQfinish(r.conn); /* undoes what is open, and gives the lock back */
	}
	free(r.migrations);
	ret->took_ms = clock_boot_ms(clock_system()) - began;
	return rc;
}

int migrate_run(const char *database_url, struct migrate_report *ret, struct buf *error)
{
	return migrate_run_files(database_url, embedded_migrations, embedded_migrations_count, ret,
				 error);
}
