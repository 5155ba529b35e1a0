/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CSV as people's programs write it (RFC 4180 and its relatives), read piece by piece: comma,
 * semicolon or tab, found by the first row (or named by a "sep=;" line); CRLF, LF or CR; quoted
 * fields with delimiters, line ends and doubled quotes; a UTF-8 byte order mark. A quote inside an
 * unquoted field, and text behind a closing quote, are taken as they are.
 *
 * Memory is bounded by the longest row. Bytes that are not UTF-8 are handed on: the caller knows
 * which row must not be used. What would make all further rows unsure (a quote that is never
 * closed, a NUL, UTF-16, a row above a bound) ends the reading.
 *
 * With `faults` the reading goes on behind the first row: a row with a NUL or above a bound is
 * handed over as far as it could be kept, with its fault. A quote that is not closed within a
 * row's length, or at all, or only by what must be another field's, is that line's fault alone:
 * what follows the line is read again.
 */
#ifndef CARILLON_CSV_H
#define CARILLON_CSV_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

struct csv_field {
	const char *data; /* not NUL-terminated; may hold any byte but NUL */
	size_t bytes;
};

struct csv_row {
	size_t number; /* from 1, as a spreadsheet counts: blank rows too, a quoted line end not */
	const struct csv_field *fields;
	size_t count;	   /* 0: a blank row */
	const char *fault; /* why it can't be used, or NULL */
};

/* The row lives until the callback returns; false ends the reading. */
typedef bool csv_row_cb(void *arg, const struct csv_row *row);

struct csv_options {
	size_t row_bytes_max;
	size_t fields_max;
	bool faults; /* rows that can't be read are handed over with what is wrong with them */
	csv_row_cb *on_row;
	void *arg;
};

struct csv;

struct csv *csv_new(const struct csv_options *o);
void csv_free(struct csv *c); /* takes NULL */
/* False with the reason and its row once and for all; also, without one, when on_row said so. */
bool csv_feed(struct csv *c, const char *bytes, size_t n, struct buf *error)
	__attribute__((warn_unused_result));
/* The last row may have no line end. */
bool csv_finish(struct csv *c, struct buf *error) __attribute__((warn_unused_result));

#endif
