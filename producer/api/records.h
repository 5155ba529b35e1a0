/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of many records: a JSON array, a JSON object whose one member is that array, or CSV with
 * a header. Either way a statement gets one JSON array.
 *
 * From CSV each row becomes an object of its fields by the resource's columns; a column that has no
 * row there is one of `variables`. Empty cells are left out; a blank row is null. A statement tells
 * rows by their numbers: the first one of CSV is 2, as a spreadsheet shows it.
 */
#ifndef CARILLON_PRODUCER_API_RECORDS_H
#define CARILLON_PRODUCER_API_RECORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/http_server.h"

enum column_kind {
	COLUMN_TEXT,
	COLUMN_FLAG, /* true or false, yes or no, 1 or 0, as people write it */
	COLUMN_NAME, /* the whole name: the first word is the first name */
};

/* Headers are compared in lower case, with "_" for each blank, dot and dash. */
struct record_column {
	const char *header, *field;
	enum column_kind kind;
};

struct record_shape {
	const char *member; /* of the JSON object that has the array */
	const struct record_column *columns;
	size_t columns_count;
	const char *needs[3]; /* fields of which a header must have one; up to a NULL */
	bool variables;	      /* other columns are kept as such; else left out */
};

#define RECORDS_JSON_FIRST_ROW "1"
#define RECORDS_CSV_FIRST_ROW "2"

/*
 * Appends the array to `out` and tells the number of its first record. On failure, with the reason
 * in `error`, the status to refuse with; else 0.
 */
unsigned records_read(const struct record_shape *shape, const struct http_exchange *x,
		      struct buf *out, const char **ret_first_row, struct buf *error)
	__attribute__((warn_unused_result));

#endif
