/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arrays of text are what a statement of the pipeline takes many rows in; beside their members rows
 * carry themselves as CSV, which is all that is needed of those that turn out to be of no use.
 */
#include "producer/api/upload_chunk.h"

#include <string.h>

#define ROWS_ENOUGH 1000
#define BYTES_ENOUGH (512 * 1024)
#define ARRAY_BYTES_MAX (64 * 1024 * 1024)
#define LINE_BYTES_MAX (1024 * 1024)

enum { ROWS, LINES, MEMBERS, FAULTS };

void upload_chunk_init(struct upload_chunk *c)
{
	for (size_t i = 0; i < UPLOAD_CHUNK_PARAMS; i++) {
		buf_init(&c->text[i], ARRAY_BYTES_MAX);
		pg_array_init(&c->arrays[i], &c->text[i]);
	}
	buf_init(&c->line, LINE_BYTES_MAX);
}

void upload_chunk_release(struct upload_chunk *c)
{
	for (size_t i = 0; i < UPLOAD_CHUNK_PARAMS; i++)
		buf_release(&c->text[i]);
	buf_release(&c->line);
}

void upload_chunk_clear(struct upload_chunk *c)
{
	for (size_t i = 0; i < UPLOAD_CHUNK_PARAMS; i++)
		pg_array_init(&c->arrays[i], &c->text[i]);
}

void upload_chunk_add(struct upload_chunk *c, const struct record *r)
{
	upload_line(&c->line, r->cells);
	pg_array_add_int(&c->arrays[ROWS], (int64_t)r->row);
	pg_array_add(&c->arrays[LINES], c->line.data);
	pg_array_add(&c->arrays[MEMBERS], r->members);
	pg_array_add(&c->arrays[FAULTS], r->fault);
}

size_t upload_chunk_rows(const struct upload_chunk *c)
{
	return c->arrays[ROWS].n;
}

bool upload_chunk_is_full(const struct upload_chunk *c)
{
	return c->arrays[ROWS].n >= ROWS_ENOUGH ||
	       c->text[LINES].len + c->text[MEMBERS].len >= BYTES_ENOUGH;
}

bool upload_chunk_finish(struct upload_chunk *c, const char **ret_params)
{
	bool good = true;

	for (size_t i = 0; i < UPLOAD_CHUNK_PARAMS; i++) {
		ret_params[i] = pg_array_finish(&c->arrays[i]);
		good = good && ret_params[i];
	}
	return good;
}

static void add_cell(struct buf *out, struct csv_field f)
{
	buf_adds(out, out->len > 0 ? ",\"" : "\"");
	if (f.bytes > 0 && strchr("=+-@\t\r", f.data[0]))
		buf_addc(out, '\'');
	for (size_t i = 0; i < f.bytes;) {
		size_t n = utf8_sequence(f.data + i, f.bytes - i);
		if (n == 0)
			buf_adds(out, "\xef\xbf\xbd");
		else
			buf_add(out, f.data + i, n);
		if (f.data[i] == '"')
			buf_addc(out, '"');
		i += n == 0 ? 1 : n;
	}
	buf_addc(out, '"');
}

void upload_line(struct buf *out, const struct csv_row *row)
{
	buf_clear(out);
	for (size_t i = 0; i < row->count; i++)
		add_cell(out, row->fields[i]);
}
