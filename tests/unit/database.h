/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A database of its own for a test program, on the server of CARILLON_TEST_DATABASE_URL (superuser,
 * a server for tests only). Without that variable the test fails: it can't say anything.
 */
#ifndef CARILLON_TESTS_DATABASE_H
#define CARILLON_TESTS_DATABASE_H

#include <libpq-fe.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/pg.h"

struct database {
	PGconn *server; /* to the database of the variable */
	PGconn *admin;	/* to our own */
	char name[64];
	struct buf url; /* of our own */
};

/* A file of the tree, NUL-terminated; the caller frees it. */
static inline char *source_file(const char *path)
{
	struct buf name, text;
	char chunk[4096];
	size_t n;

	buf_init(&name, 4096);
	buf_addf(&name, "%s/%s", CARILLON_SOURCE_DIR, path);
	FILE *f = fopen(name.data, "re");
	if (!f)
		fail_msg("can't open %s", name.data);
	buf_release(&name);
	buf_init(&text, 1 << 20);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_add(&text, chunk, n);
	fclose(f);
	char *data = buf_detach(&text);
	assert_non_null(data);
	return data;
}

/* Runs SQL, blocking; gives the first value as text, "" if there is none. The caller frees it. */
static inline char *sql_value(PGconn *conn, const char *sql)
{
	PGresult *res = PQexec(conn, sql);
	ExecStatusType status = PQresultStatus(res);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		fail_msg("%s: %s", sql, PQerrorMessage(conn));
	char *value = strdup(PQntuples(res) > 0 ? PQgetvalue(res, 0, 0) : "");
	PQclear(res);
	return value;
}

static inline void sql_run(PGconn *conn, const char *sql)
{
	free(sql_value(conn, sql));
}

/* A test's processes are gone, their sessions may still be at a statement. */
static inline void sql_alone(PGconn *conn)
{
	sql_run(conn, "select pg_terminate_backend(pid, 10000) from pg_stat_activity "
		      "where datname = current_database() and pid <> pg_backend_pid() "
		      "and backend_type = 'client backend'");
}

/* As the keywords of `conn`, but for another database. */
static inline void database_url(PGconn *conn, const char *name, struct buf *url)
{
	PQconninfoOption *options = PQconninfo(conn);

	buf_init(url, 4096);
	for (PQconninfoOption *o = options; o->keyword; o++) {
		if (!o->val || !*o->val || strcmp(o->keyword, "options") == 0)
			continue;
		const char *v = strcmp(o->keyword, "dbname") == 0 ? name : o->val;
		buf_addf(url, "%s='", o->keyword);
		for (; *v; v++) {
			if (*v == '\'' || *v == '\\')
				buf_addc(url, '\\');
			buf_addc(url, *v);
		}
		buf_adds(url, "' ");
	}
	PQconninfoFree(options);
}

static inline void database_init(struct database *d, const char *test)
{
	const char *server = getenv("CARILLON_TEST_DATABASE_URL");
	struct buf error, sql;

	if (!server || !*server)
		fail_msg("CARILLON_TEST_DATABASE_URL is not set: tests/run unit starts a server");
	buf_init(&error, 1000);
	d->server = pg_connect_blocking(server, test, &error);
	if (!d->server)
		fail_msg("CARILLON_TEST_DATABASE_URL: %s", error.data);
	snprintf(d->name, sizeof(d->name), "unit_%s_%d", test, (int)getpid());
	buf_init(&sql, 200);
	buf_addf(&sql, "create database %s", d->name);
	sql_run(d->server, sql.data);
	database_url(d->server, d->name, &d->url);
	d->admin = pg_connect_blocking(d->url.data, test, &error);
	if (!d->admin)
		fail_msg("%s: %s", d->name, error.data);
	buf_release(&sql);
	buf_release(&error);
}

static inline void database_release(struct database *d)
{
	struct buf sql;

	if (!d->server)
		return;
	PQfinish(d->admin);
	buf_init(&sql, 200);
	buf_addf(&sql, "drop database %s with (force)", d->name);
	sql_run(d->server, sql.data);
	buf_release(&sql);
	PQfinish(d->server);
	buf_release(&d->url);
}

#endif
