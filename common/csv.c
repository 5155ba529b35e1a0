/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One state a byte. Until the first row is complete its bytes are kept, because only then the
 * delimiter is known; from there on a row's text is collected in one buffer, with the offset of
 * each field's end, and handed over at its line end.
 */
#include "common/csv.h"

#include <stdlib.h>
#include <string.h>

#define SEP_LINE_BYTES 5 /* sep=; */

enum state {
	FIELD_START,
	PLAIN,
	QUOTED,
	QUOTE_SEEN, /* inside quotes: the end of them, or half of a doubled one */
};

struct csv {
	struct csv_options o;
	struct buf text; /* of the row, or, without a delimiter yet, the first row as it came */
	struct csv_field *fields;
	size_t *ends; /* in `text` */
	size_t count; /* of fields that are complete */
	size_t row;
	enum state state;
	char delimiter; /* NUL: not known yet */
	bool head_quoted;
	bool after_cr;
	bool failed;
};

struct csv *csv_new(const struct csv_options *o)
{
	struct csv *c = calloc(1, sizeof(*c));

	if (!c)
		abort();
	c->o = *o;
	c->row = 1;
	buf_init(&c->text, o->row_bytes_max);
	c->fields = calloc(o->fields_max, sizeof(*c->fields));
	c->ends = calloc(o->fields_max, sizeof(*c->ends));
	if (!c->fields || !c->ends)
		abort();
	return c;
}

void csv_free(struct csv *c)
{
	if (!c)
		return;
	buf_release(&c->text);
	free(c->fields);
	free(c->ends);
	free(c);
}

static bool fail(struct csv *c, struct buf *error, const char *why)
{
	c->failed = true;
	buf_addf(error, "row %zu: %s", c->row, why);
	return false;
}

static bool end_field(struct csv *c, struct buf *error)
{
	if (c->count == c->o.fields_max)
		return fail(c, error, "more fields than a row may have");
	c->ends[c->count++] = c->text.len;
	c->state = FIELD_START;
	return true;
}

static bool end_row(struct csv *c, struct buf *error)
{
	/* A row without a delimiter and without a byte is blank; `""` is one empty field. */
	bool blank = c->count == 0 && c->text.len == 0 && c->state == FIELD_START;

	if (!blank && !end_field(c, error))
		return false;
	if (c->text.failed)
		return fail(c, error, "longer than a row may be (is a quote not closed?)");
	for (size_t i = 0, start = 0; i < c->count; start = c->ends[i++])
		c->fields[i] = (struct csv_field){c->text.data + start, c->ends[i] - start};
	const struct csv_row row = {c->row, c->fields, c->count};
	bool goes_on = c->o.on_row(c->o.arg, &row);
	c->failed = !goes_on;
	c->row++;
	c->count = 0;
	c->state = FIELD_START;
	buf_clear(&c->text);
	return goes_on;
}

static bool take(struct csv *c, char b, struct buf *error)
{
	if (c->state == QUOTED) {
		if (b == '"')
			c->state = QUOTE_SEEN;
		else
			buf_addc(&c->text, b);
		return true;
	}
	if (c->state == QUOTE_SEEN && b == '"') {
		buf_addc(&c->text, b);
		c->state = QUOTED;
		return true;
	}
	if (b == '\n' && c->after_cr) {
		c->after_cr = false;
		return true;
	}
	c->after_cr = b == '\r';
	if (b == '\n' || b == '\r')
		return end_row(c, error);
	if (b == c->delimiter)
		return end_field(c, error);
	if (b == '"' && c->state == FIELD_START) {
		c->state = QUOTED;
		return true;
	}
	buf_addc(&c->text, b);
	c->state = PLAIN;
	return true;
}

/* The one that the first row has most of outside quotes; a comma where it has none. */
static char delimiter_of(const char *s, size_t n)
{
	static const char known[] = {',', ';', '\t'};
	size_t counts[sizeof(known)] = {0};
	size_t best = 0;
	bool quoted = false;

	for (size_t i = 0; i < n; i++) {
		quoted ^= s[i] == '"';
		for (size_t k = 0; !quoted && k < sizeof(known); k++)
			counts[k] += s[i] == known[k];
	}
	for (size_t k = 1; k < sizeof(known); k++) {
		if (counts[k] > counts[best])
			best = k;
	}
	return known[best];
}

static bool names_delimiter(const char *s, size_t n)
{
	return n >= SEP_LINE_BYTES && memcmp(s, "sep=", 4) == 0 && !strchr("\"\r\n", s[4]) &&
	       (n == SEP_LINE_BYTES || s[SEP_LINE_BYTES] == '\r' || s[SEP_LINE_BYTES] == '\n');
}

/* The first row is there: finds the delimiter, and reads the row with it. */
static bool begin(struct csv *c, bool ended, struct buf *error)
{
	struct buf head = c->text;
	const char *s = head.data;
	size_t n = head.len;
	bool good = true;

	buf_init(&c->text, c->o.row_bytes_max);
	if (n >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0) {
		s += 3;
		n -= 3;
	}
	if (names_delimiter(s, n)) {
		c->delimiter = s[4];
		c->after_cr = ended && s[n - 1] == '\r';
		n = 0;
	} else {
		c->delimiter = delimiter_of(s, n);
	}
	for (size_t i = 0; good && i < n; i++)
		good = take(c, s[i], error);
	buf_release(&head);
	return good;
}

static bool take_head(struct csv *c, char b, struct buf *error)
{
	bool ends = b == '\n' || b == '\r';

	if (ends && c->text.len == 0) { /* blank: it tells no delimiter */
		c->row += !(b == '\n' && c->after_cr);
		c->after_cr = b == '\r';
		return true;
	}
	c->after_cr = false;
	buf_addc(&c->text, b);
	if (c->text.failed)
		return fail(c, error, "longer than a row may be (is a quote not closed?)");
	c->head_quoted ^= b == '"';
	if (c->head_quoted || !ends)
		return true;
	return begin(c, true, error);
}

static bool is_utf16(const struct csv *c, const char *bytes, size_t n)
{
	const char *s = c->text.len ? c->text.data : bytes;

	if ((c->text.len ? c->text.len : n) < 2 || c->row > 1 || c->delimiter)
		return false;
	return memcmp(s, "\xff\xfe", 2) == 0 || memcmp(s, "\xfe\xff", 2) == 0;
}

bool csv_feed(struct csv *c, const char *bytes, size_t n, struct buf *error)
{
	if (c->failed)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (is_utf16(c, bytes + i, n - i) || (bytes[i] == '\0' && !c->delimiter))
			return fail(c, error, "the file is UTF-16; save it as CSV UTF-8");
		if (bytes[i] == '\0')
			return fail(c, error, "a NUL byte; the file is no text");
		if (!(c->delimiter ? take(c, bytes[i], error) : take_head(c, bytes[i], error)))
			return false;
		if (c->text.failed)
			return fail(c, error, "longer than a row may be (is a quote not closed?)");
	}
	return true;
}

bool csv_finish(struct csv *c, struct buf *error)
{
	if (c->failed)
		return false;
	if (is_utf16(c, "", 0))
		return fail(c, error, "the file is UTF-16; save it as CSV UTF-8");
	if (!c->delimiter && c->text.len > 0 && !begin(c, false, error))
		return false;
	if (c->state == QUOTED)
		return fail(c, error, "a quote is opened and never closed");
	if (c->text.len == 0 && c->count == 0 && c->state == FIELD_START)
		return true;
	return end_row(c, error);
}
