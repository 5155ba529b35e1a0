/* SPDX-License-Identifier: Apache-2.0 */
/*
 * carillon.phone_zones, the time zones of number blocks, from schemas/phone_zones.tsv.
 *
 * The table is part of the schema: it is loaded with the migrations, by the schema's owner, when
 * the embedded file is not the one that was loaded last. Leads whose zones follow from it are
 * derived again then.
 */
#ifndef CARILLON_PRODUCER_PHONE_ZONES_H
#define CARILLON_PRODUCER_PHONE_ZONES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

struct phone_zones_report {
	bool changed;
	size_t prefixes;
};

/* Blocking. 0 or -1 with the reason. */
int phone_zones_load(const char *database_url, struct phone_zones_report *ret, struct buf *error)
	__attribute__((warn_unused_result));

/*
 * Reads lines "prefix<TAB>zones", '#' begins a comment; appends both columns as array literals.
 * Returns the number of rows, or -1 with the reason (the line).
 */
long phone_zones_parse(const char *text, size_t n, struct buf *prefixes, struct buf *zones,
		       struct buf *error) __attribute__((warn_unused_result));

#endif
