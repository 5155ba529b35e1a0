/* SPDX-License-Identifier: Apache-2.0 */
/* All migrations in a database of a test's own. */
#ifndef CARILLON_TESTS_DATABASE_MIGRATED_H
#define CARILLON_TESTS_DATABASE_MIGRATED_H

#include "common/embedded.h"

#include "tests/unit/database.h"

static inline void migrate(PGconn *conn)
{
	struct buf sql;

	sql_run(conn, "create schema carillon");
	sql_run(conn, "set search_path = carillon, public");
	sql_run(conn, "set client_min_messages = warning");
	sql_run(conn, "create table schema_migrations (version integer primary key)");
	for (size_t i = 0; i < embedded_migrations_count; i++)
		sql_run(conn, (const char *)embedded_migrations[i].data);
	buf_init(&sql, 400);
	buf_addf(&sql, "alter database %s set search_path = carillon, public", PQdb(conn));
	sql_run(conn, sql.data);
	buf_release(&sql);
}

#endif
