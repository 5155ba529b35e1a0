/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings a database's schema up to date, blocking, before the loop turns.
 *
 * The files of schemas/sql, named NNNN_name.sql, are applied in order, each in a transaction of its
 * own together with its row in carillon.schema_migrations (version, name, sha256 of the file,
 * applied_at, took_ms). Any number of runners may start at once: one works, the others wait and
 * find nothing left to do. Up to date already, it only reads, which every process's role may.
 *
 * A database that is newer than this program is fine: migrations only expand, so version N-1 works
 * on it. A file that was changed after it was applied is an error, as is one that was skipped.
 */
#ifndef CARILLON_PRODUCER_MIGRATE_H
#define CARILLON_PRODUCER_MIGRATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/embedded.h"

struct migrate_report {
	int applied; /* migrations now */
	int version; /* of the database, after */
	bool newer;  /* than this program knows */
	int64_t took_ms;
};

/* 0, or -1 with the reason, which names the file; what was applied before it stays. */
int migrate_run(const char *database_url, struct migrate_report *ret, struct buf *error)
	__attribute__((warn_unused_result));
/* The same with other files than the embedded ones, in ascending order of name. */
int migrate_run_files(const char *database_url, const struct embedded_file *files, size_t n,
		      struct migrate_report *ret, struct buf *error)
	__attribute__((warn_unused_result));

#endif
