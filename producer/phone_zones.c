/* SPDX-License-Identifier: Apache-2.0 */
/* One statement replaces the table, so that no lead is ever derived from half of it. */
#include "producer/phone_zones.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/embedded.h"
#include "common/pg.h"
#include "common/seal.h"
#include "owner_sql.h"

#define FILE_NAME "phone_zones.tsv"
#define COLUMN_MAX_BYTES (8 << 20)
#define DIGEST_TEXT_BYTES (2 * SHA256_BYTES + 1)
#define LEADS_BATCH "5000"
#define NUMBER_BYTES 24

/* ---- The file ---- */

static bool add_line(const char *line, size_t n, struct pg_array *prefixes, struct pg_array *zones)
{
	const char *tab = memchr(line, '\t', n);
	size_t digits = tab ? (size_t)(tab - line) : 0;

	if (digits == 0 || digits > 15 || strspn(line, "0123456789") != digits || digits + 1 == n)
		return false;
	pg_array_addn(prefixes, line, digits);
	pg_array_addn(zones, tab + 1, n - digits - 1);
	return true;
}

long phone_zones_parse(const char *text, size_t n, struct buf *prefixes, struct buf *zones,
		       struct buf *error)
{
	struct pg_array prefix, zone;
	long line = 0;

	pg_array_init(&prefix, prefixes);
	pg_array_init(&zone, zones);
	for (size_t i = 0, end; i < n; i = end + 1) {
		const char *newline = memchr(text + i, '\n', n - i);
		end = newline ? (size_t)(newline - text) : n;
		line++;
		if (end == i || text[i] == '#')
			continue;
		if (!add_line(text + i, end - i, &prefix, &zone)) {
			buf_addf(error, "line %ld is no prefix and zones", line);
			return -1;
		}
	}
	if (!pg_array_finish(&prefix) || !pg_array_finish(&zone)) {
		buf_adds(error, "the table is too large");
		return -1;
	}
	return (long)prefix.n;
}

/* ---- The database ---- */

/* NULL with the reason. */
static PGresult *execute(PGconn *conn, enum owner_stmt stmt, int nparams, const char *const *params,
			 struct buf *error)
{
	PGresult *res =
		PQexecParams(conn, owner_stmts[stmt].sql, nparams, NULL, params, NULL, NULL, 0);

	if (PQresultStatus(res) == PGRES_TUPLES_OK)
		return res;
	const char *message = PQerrorMessage(conn);
	buf_addf(error, "%s: %.*s", owner_stmts[stmt].name, (int)strcspn(message, "\n"), message);
	PQclear(res);
	return NULL;
}

static int is_loaded(PGconn *conn, const char *digest, bool *ret_loaded, struct buf *error)
{
	PGresult *res = execute(conn, OWNER_PHONE_ZONES_LOADED, 0, NULL, error);

	if (!res)
		return -1;
	*ret_loaded = PQntuples(res) == 1 && strcmp(PQgetvalue(res, 0, 0), digest) == 0;
	PQclear(res);
	return 0;
}

static int derive_leads(PGconn *conn, struct buf *error)
{
	char last[NUMBER_BYTES] = "0";
	const char *const params[] = {last, LEADS_BATCH};

	for (bool more = true; more;) {
		PGresult *res = execute(conn, OWNER_DERIVE_ZONES, 2, params, error);
		if (!res)
			return -1;
		more = strcmp(pg_text(res, 0, pg_col(res, "looked")), LEADS_BATCH) == 0;
		snprintf(last, sizeof(last), "%s", pg_text(res, 0, pg_col(res, "last_id")));
		PQclear(res);
	}
	return 0;
}

/* Noted last: a run that ends in between is done again. */
static int note_loaded(PGconn *conn, const char *digest, struct buf *error)
{
	PGresult *res = execute(conn, OWNER_NOTE_PHONE_ZONES, 1, &digest, error);
	int rc = res ? 0 : -1;

	PQclear(res);
	return rc;
}

static int replace(PGconn *conn, const struct embedded_file *file, const char *digest,
		   struct phone_zones_report *ret, struct buf *error)
{
	struct buf prefixes, zones;
	int rc = -1;

	buf_init(&prefixes, COLUMN_MAX_BYTES);
	buf_init(&zones, COLUMN_MAX_BYTES);
	long n = phone_zones_parse((const char *)file->data, file->size, &prefixes, &zones, error);
	if (n >= 0) {
		PGresult *res = execute(conn, OWNER_LOAD_PHONE_ZONES, 2,
					(const char *const[]){prefixes.data, zones.data}, error);
		rc = res ? 0 : -1;
		PQclear(res);
		*ret = (struct phone_zones_report){.changed = true, .prefixes = (size_t)n};
	}
	buf_release(&prefixes);
	buf_release(&zones);
	if (rc == 0)
		rc = derive_leads(conn, error);
	return rc == 0 ? note_loaded(conn, digest, error) : -1;
}

int phone_zones_load(const char *database_url, struct phone_zones_report *ret, struct buf *error)
{
	const struct embedded_file *file = embedded_file(FILE_NAME);
	const struct sign_part part = {file->data, file->size};
	unsigned char digest[SHA256_BYTES];
	char text[DIGEST_TEXT_BYTES];
	bool loaded;

	*ret = (struct phone_zones_report){0};
	if (!sha256(&part, 1, digest)) {
		buf_adds(error, "the digest of " FILE_NAME " can't be computed");
		return -1;
	}
	hex_encode(digest, sizeof(digest), text);
	PGconn *conn = pg_connect_blocking(database_url, "carillon-migrate", error);
	if (!conn)
		return -1;
	int rc = is_loaded(conn, text, &loaded, error);
	if (rc == 0 && !loaded)
		rc = replace(conn, file, text, ret, error);
	PQfinish(conn);
	return rc;
}
