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
#include "common/csv.h"
#include "common/http_server.h"

enum column_kind {
	COLUMN_TEXT,
	COLUMN_FLAG,	 /* true or false, yes or no, 1 or 0, as people write it */
	COLUMN_NAME,	 /* the whole name: the first word is the first name */
	COLUMN_VARIABLE, /* a call variable of this name, however it is spelled */
	COLUMN_NOTE,	 /* ours, of a file of rejected rows: passed over */
};

/* Headers are compared without case, blanks, dots, dashes and "_". */
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

/* A row of CSV. Texts live until the callback returns. */
struct record {
	size_t row;	     /* as a spreadsheet shows it */
	const char *members; /* a JSON object; null for a blank row */
	const struct csv_row *cells;
	const char *fault; /* why it can't be used, or NULL; `members` is {} then */
};

/* False ends the reading. */
typedef bool record_cb(void *arg, const struct record *r);

struct record_reader_options {
	const struct record_shape *shape;
	/* Rows that can't be read, or have not a cell for each column, are given with their fault;
	 * blank ones are left out. Else they end the reading, and cells may be missing. */
	bool faults;
	record_cb *on_header; /* the first row; or NULL */
	record_cb *on_record;
	void *arg;
};

struct record_reader;

/* CSV piece by piece. */
struct record_reader *record_reader_new(const struct record_reader_options *o);
void record_reader_free(struct record_reader *r); /* takes NULL */
/* False with the reason, which tells all that is wrong with a header. */
bool record_reader_feed(struct record_reader *r, const char *bytes, size_t n, struct buf *error)
	__attribute__((warn_unused_result));
bool record_reader_finish(struct record_reader *r, struct buf *error)
	__attribute__((warn_unused_result));

#define RECORDS_JSON_FIRST_ROW "1"
#define RECORDS_CSV_FIRST_ROW "2"

/*
 * Appends the array to `out` and tells the number of its first record. On failure, with the reason
 * in `error`, the status to refuse with; else 0.
 */
unsigned records_read(const struct record_shape *shape, const struct http_exchange *x,
		      struct buf *out, const char **ret_first_row, struct buf *error)
	__attribute__((warn_unused_result));

/* The same of a body of JSON. */
unsigned records_read_json(const struct record_shape *shape, const char *body, size_t n,
			   struct buf *out, struct buf *error) __attribute__((warn_unused_result));

#endif
