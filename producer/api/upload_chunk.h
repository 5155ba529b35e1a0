/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of an upload on their way to the staging table: parameters of its statement. */
#ifndef CARILLON_PRODUCER_API_UPLOAD_CHUNK_H
#define CARILLON_PRODUCER_API_UPLOAD_CHUNK_H

#include "common/buf.h"
#include "common/pg.h"
#include "producer/api/records.h"

#define UPLOAD_CHUNK_PARAMS 4 /* numbers, lines, members, faults */

struct upload_chunk {
	struct buf text[UPLOAD_CHUNK_PARAMS];
	struct pg_array arrays[UPLOAD_CHUNK_PARAMS];
	struct buf line;
};

void upload_chunk_init(struct upload_chunk *c);
void upload_chunk_release(struct upload_chunk *c);
void upload_chunk_add(struct upload_chunk *c, const struct record *r);
size_t upload_chunk_rows(const struct upload_chunk *c);
/* Enough for one statement. */
bool upload_chunk_is_full(const struct upload_chunk *c);
/* The array literals, which live until it is cleared; false if they are too long. */
bool upload_chunk_finish(struct upload_chunk *c, const char **ret_params)
	__attribute__((warn_unused_result));
void upload_chunk_clear(struct upload_chunk *c);

/* The row as CSV in UTF-8, in place of what `out` held; no cell is a formula to a spreadsheet. */
void upload_line(struct buf *out, const struct csv_row *row);

#endif
