/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values in and out of statements. All travel as text: the server's own parsers then check what
 * comes in, and statements stay readable in its log.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/pg.h"

bool pg_error_is_transient(const struct pg_error *e)
{
	static const char classes[][3] = {"08", "25", "40", "53", "55", "57", "58"};

	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		if (strncmp(e->sqlstate, classes[i], 2) == 0)
			return true;
	}
	return e->status == PG_DOWN || e->status == PG_LOST;
}

int pg_col(const PGresult *res, const char *name)
{
	int col = PQfnumber(res, name);

	assert(col >= 0);
	return col;
}

const char *pg_text(const PGresult *res, int row, int col)
{
	return PQgetisnull(res, row, col) ? NULL : PQgetvalue(res, row, col);
}

void pg_copy(const PGresult *res, int row, int col, char *ret_text, size_t n)
{
	const char *text = pg_text(res, row, col);
	size_t length = text ? strnlen(text, n - 1) : 0;

	assert(n > 0);
	memcpy(ret_text, text ? text : "", length);
	ret_text[length] = '\0';
}

int64_t pg_int_or(const PGresult *res, int row, int col, int64_t if_null)
{
	return PQgetisnull(res, row, col) ? if_null : pg_int(res, row, col);
}

int64_t pg_int(const PGresult *res, int row, int col)
{
	const char *text = pg_text(res, row, col);
	char *end;

	if (!text)
		return 0;
	errno = 0;
	int64_t v = strtoll(text, &end, 10);
	assert(errno == 0 && end != text && *end == '\0');
	return v;
}

bool pg_bool(const PGresult *res, int row, int col)
{
	const char *text = pg_text(res, row, col);

	return text && text[0] == 't';
}

/* ---- Arrays ---- */

void pg_array_init(struct pg_array *a, struct buf *b)
{
	a->b = b;
	a->n = 0;
	buf_clear(b);
	buf_addc(b, '{');
}

static void add_separator(struct pg_array *a)
{
	if (a->n++ > 0)
		buf_addc(a->b, ',');
}

void pg_array_add(struct pg_array *a, const char *text)
{
	if (text) {
		pg_array_addn(a, text, strlen(text));
		return;
	}
	add_separator(a);
	buf_adds(a->b, "NULL");
}

/* In quotes only these two need a backslash, and no text is taken for NULL. */
void pg_array_addn(struct pg_array *a, const char *text, size_t n)
{
	size_t plain = 0;

	add_separator(a);
	buf_addc(a->b, '"');
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\0')
			a->b->failed = true; /* would cut the whole parameter */
		if (text[i] != '"' && text[i] != '\\')
			continue;
		buf_add(a->b, text + plain, i - plain);
		buf_addc(a->b, '\\');
		plain = i;
	}
	buf_add(a->b, text + plain, n - plain);
	buf_addc(a->b, '"');
}

void pg_array_add_int(struct pg_array *a, int64_t v)
{
	char digits[24];
	char *at = digits + sizeof(digits);
	uint64_t left = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	do
		*--at = (char)('0' + left % 10);
	while ((left /= 10) > 0);
	if (v < 0)
		*--at = '-';
	add_separator(a);
	buf_add(a->b, at, (size_t)(digits + sizeof(digits) - at));
}

const char *pg_array_finish(struct pg_array *a)
{
	buf_addc(a->b, '}');
	return a->b->failed ? NULL : a->b->data;
}
