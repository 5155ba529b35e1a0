/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accounts, outcome rules and zones of one moment: all that the webhook needs of PostgreSQL.
 * Immutable; a change makes a new one. It can be kept in a file, sealed as a whole, for a start
 * while PostgreSQL is down.
 */
#ifndef CARILLON_WEBHOOK_SNAPSHOT_H
#define CARILLON_WEBHOOK_SNAPSHOT_H

#include <libpq-fe.h>

#include "common/accounts.h"
#include "common/buf.h"
#include "common/config.h"
#include "common/rules/rules.h"
#include "webhook/zones.h"

struct snapshot {
	struct account_set *environment; /* wins over `accounts`; NULL when these hold it already */
	struct account_set *accounts;
	struct rule_set rules;
	struct zones zones; /* those of the accounts */
};

/* Of the statements of their names. */
struct snapshot_rows {
	const PGresult *accounts, *rules, *words, *zones;
};

/*
 * `keys` may be NULL. What is odd goes to `problems`, a line each. NULL only without memory.
 */
struct snapshot *snapshot_of_rows(const struct config *cfg, const struct snapshot_rows *rows,
				  const struct seal_keys *keys, struct buf *problems);
/* Takes NULL. */
void snapshot_free(struct snapshot *s);

/* Borrowed from the snapshot; NULL if there is none of that name. */
const struct account *snapshot_account(const struct snapshot *s, const char *name);
/* There is one of that name, and its credentials can't be opened. */
bool snapshot_account_is_shut(const struct snapshot *s, const char *name);

/* ---- On disk ---- */

/* Replaces the file at once or not at all; only its owner may read it. 0, or -1 with the reason. */
int snapshot_save(const struct snapshot *s, const char *path, const struct seal_keys *keys,
		  struct buf *error) __attribute__((warn_unused_result));
/* The environment's accounts are today's, whatever the file says of them. NULL with the reason. */
struct snapshot *snapshot_load(const struct config *cfg, const char *path,
			       const struct seal_keys *keys, struct buf *error);

#endif
