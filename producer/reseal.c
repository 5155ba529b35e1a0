/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Account by account, each by compare and swap: what a PATCH wrote meanwhile is newer than what was
 * read, and stays.
 */
#include "producer/reseal.h"

#include <stdlib.h>
#include <string.h>

#include "common/pg.h"
#include "common/seal.h"
#include "producer_sql.h"

#define SEALED_BYTES_MAX 65536

struct reseal {
	PGconn *conn;
	const struct seal_keys *keys;
	struct reseal_report *report;
	struct buf *error;
};

/* The result, to be cleared; NULL with the reason. */
static PGresult *query(struct reseal *r, enum producer_stmt stmt, int nparams,
		       const char *const *params)
{
	PGresult *res = PQexecParams(r->conn, producer_stmts[stmt].sql, nparams, NULL, params, NULL,
				     NULL, 0);

	if (PQresultStatus(res) == PGRES_TUPLES_OK)
		return res;
	buf_addf(r->error, "%s: %s", producer_stmts[stmt].name, PQerrorMessage(r->conn));
	PQclear(res);
	return NULL;
}

/* Seals the opened credentials and puts them in place of the old. 0, or -1 with the reason. */
static int replace(struct reseal *r, const char *account, const char *old, const struct buf *plain)
{
	struct buf sealed, hex;
	char pair[3];
	int rc = -1;

	buf_init(&sealed, SEALED_BYTES_MAX);
	buf_init(&hex, 2 * SEALED_BYTES_MAX);
	if (seal(r->keys->key[0], account, plain->data, plain->len, &sealed) == 0) {
		for (size_t i = 0; i < sealed.len; i++) {
			hex_encode((const unsigned char *)sealed.data + i, 1, pair);
			buf_adds(&hex, pair);
		}
	}
	if (sealed.len == 0 || hex.failed) {
		buf_addf(r->error, "account %s: its credentials can't be sealed", account);
	} else {
		const char *const params[] = {account, old, hex.data};
		PGresult *res = query(r, PRODUCER_RESEAL_ACCOUNT, 3, params);
		rc = res ? 0 : -1;
		r->report->sealed += res && PQntuples(res) == 1;
		PQclear(res);
	}
	buf_release(&sealed);
	buf_release(&hex);
	return rc;
}

static int reseal_one(struct reseal *r, const char *account, const char *hex)
{
	size_t n = strlen(hex), which;
	struct buf plain;
	int rc = 0;

	unsigned char *bytes = n <= 2 * SEALED_BYTES_MAX ? malloc(n / 2 + 1) : NULL;
	buf_init(&plain, SEALED_BYTES_MAX);
	if (!bytes || hex_decode(hex, n, bytes) != 0 ||
	    unseal_any(r->keys, account, bytes, n / 2, &plain, &which) != 0)
		r->report->shut++;
	else if (which == 0)
		r->report->current++;
	else
		rc = replace(r, account, hex, &plain);
	explicit_bzero(plain.data, plain.len);
	buf_release(&plain);
	free(bytes);
	return rc;
}

int reseal_accounts(const struct config *cfg, struct reseal_report *ret_report, struct buf *error)
{
	const char *list = config_str(cfg, CONFIG_KEY_SECRET_KEY);
	struct seal_keys keys;
	struct reseal r = {.keys = &keys, .report = ret_report, .error = error};
	int rc = -1;

	*ret_report = (struct reseal_report){0};
	if (!list || seal_keys_parse(list, &keys) != 0) {
		buf_adds(error, "SECRET_KEY is not set");
		return -1;
	}
	r.conn = pg_connect_blocking(config_str(cfg, CONFIG_KEY_DATABASE_URL),
				     "carillon-producer-reseal", error);
	PGresult *rows = r.conn ? query(&r, PRODUCER_ACCOUNTS, 0, NULL) : NULL;
	if (rows) {
		int name = pg_col(rows, "name"), credentials = pg_col(rows, "credentials");
		rc = 0;
		for (int row = 0; rc == 0 && row < PQntuples(rows); row++) {
			if (!PQgetisnull(rows, row, credentials))
				rc = reseal_one(&r, pg_text(rows, row, name),
						pg_text(rows, row, credentials));
		}
	}
	PQclear(rows);
	PQfinish(r.conn);
	explicit_bzero(&keys, sizeof(keys));
	return rc;
}
