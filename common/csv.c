/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One state a byte. Until the first row is complete its bytes are kept, because only then the
 * delimiter is known; from there on a row's text is collected in one buffer, with the offset of
 * each field's end, and handed over at its line end. Where faults are handed over, the row's own
 * bytes are kept beside it, to be read again if a quote turns out to be open.
 */
#include "common/csv.h"

#include <stdlib.h>
#include <string.h>

#define SEP_LINE_BYTES 5 /* sep=; */

static const char too_long[] = "longer than a row may be (is a quote not closed?)";
static const char too_many[] = "more fields than a row may have";
static const char open_quote[] = "a quote is opened and never closed";
static const char has_nul[] = "a NUL byte; the file is no text";

enum state {
	FIELD_START,
	PLAIN,
	QUOTED,
	QUOTE_SEEN, /* inside quotes: the end of them, or half of a doubled one */
	OVERLONG,   /* only the row's end is looked for */
};

struct csv {
	struct csv_options o;
	struct buf text; /* of the row, or, without a delimiter yet, the first row as it came */
	struct csv_field *fields;
	struct buf raw;	   /* with faults: the row as it came */
	const char *fault; /* of the row */
	size_t *ends;	   /* in `text` */
	size_t count;	   /* of fields that are complete */
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
	buf_init(&c->raw, o->row_bytes_max);
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
	buf_release(&c->raw);
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
	c->state = FIELD_START;
	if (c->count == c->o.fields_max) {
		c->fault = too_many;
		return c->o.faults || fail(c, error, too_many);
	}
	c->ends[c->count++] = c->text.len;
	return true;
}

static bool end_row(struct csv *c, struct buf *error)
{
	/* A row without a delimiter and without a byte is blank; `""` is one empty field. */
	bool blank = c->count == 0 && c->text.len == 0 && c->state == FIELD_START && !c->fault;

	if (!blank && !end_field(c, error))
		return false;
	if (c->text.failed)
		return fail(c, error, too_long);
	for (size_t i = 0, start = 0; i < c->count; start = c->ends[i++])
		c->fields[i] = (struct csv_field){c->text.data + start, c->ends[i] - start};
	const struct csv_row row = {c->row, c->fields, c->count, c->fault};
	bool goes_on = c->o.on_row(c->o.arg, &row);
	c->failed = !goes_on;
	c->row++;
	c->count = 0;
	c->state = FIELD_START;
	c->fault = NULL;
	buf_clear(&c->text);
	buf_clear(&c->raw);
	return goes_on;
}

static bool take(struct csv *c, char b, struct buf *error)
{
	bool is_end = b == '\n' || b == '\r';

	if (c->state == OVERLONG && !is_end)
		return true;
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
	if (is_end)
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

/* ---- Rows with a fault ---- */

static bool take_all(struct csv *c, const char *s, size_t n, struct buf *error);

/* The line with the open quote is a row of one field; what came behind it is read again. */
static bool read_again(struct csv *c, struct buf *error)
{
	struct buf raw = c->raw;
	size_t line = strcspn(raw.data, "\r\n");

	c->fault = open_quote;
	if (line == raw.len) {
		c->state = OVERLONG;
		return true;
	}
	buf_init(&c->raw, c->o.row_bytes_max);
	buf_clear(&c->text);
	buf_add(&c->text, raw.data, line);
	c->count = 0;
	c->state = PLAIN;
	bool good = end_row(c, error);
	c->after_cr = raw.data[line] == '\r';
	good = good && take_all(c, raw.data + line + 1, raw.len - line - 1, error);
	buf_release(&raw);
	return good;
}

/* A quoted field of several lines, and text behind its end: that end was another field's start. */
static bool quote_was_open(const struct csv *c, char b)
{
	return c->state == QUOTE_SEEN && b != '"' && b != c->delimiter && b != '\r' && b != '\n' &&
	       strcspn(c->raw.data, "\r\n") < c->raw.len;
}

/* A byte of a row behind the first, with faults. It is kept before it is read. */
static bool take_kept(struct csv *c, char b, struct buf *error)
{
	if (b == '\0') {
		c->fault = has_nul;
		return true;
	}
	if (c->state == OVERLONG || (b == '\n' && c->after_cr))
		return take(c, b, error);
	if (quote_was_open(c, b))
		return read_again(c, error) && take_kept(c, b, error);
	if (c->raw.len < c->o.row_bytes_max) {
		buf_addc(&c->raw, b);
		return take(c, b, error);
	}
	if (c->state == QUOTED || (c->state == QUOTE_SEEN && b == '"'))
		return read_again(c, error) && take_kept(c, b, error);
	if (b != '\n' && b != '\r') {
		c->fault = too_long;
		c->state = OVERLONG;
	}
	return take(c, b, error);
}

static bool take_all(struct csv *c, const char *s, size_t n, struct buf *error)
{
	for (size_t i = 0; i < n; i++) {
		if (!take_kept(c, s[i], error))
			return false;
	}
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
	/* A quote inside its fields makes more than one row of it. */
	for (size_t i = 0, first = c->row; good && i < n; i++)
		good = c->o.faults && c->row > first ? take_kept(c, s[i], error)
						     : take(c, s[i], error);
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
		return fail(c, error, too_long);
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
		if (!c->delimiter && c->text.len == 4 && memcmp(c->text.data, "PK\3\4", 4) == 0)
			return fail(c, error, "the file is a workbook; save it as CSV UTF-8");
		if (is_utf16(c, bytes + i, n - i) || (bytes[i] == '\0' && !c->delimiter))
			return fail(c, error, "the file is UTF-16; save it as CSV UTF-8");
		if (c->o.faults && c->delimiter) {
			if (!take_kept(c, bytes[i], error))
				return false;
			continue;
		}
		if (bytes[i] == '\0')
			return fail(c, error, has_nul);
		if (!(c->delimiter ? take(c, bytes[i], error) : take_head(c, bytes[i], error)))
			return false;
		if (c->text.failed)
			return fail(c, error, too_long);
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
	/* The first row is that of the names, and of no use with a fault. */
	while (c->o.faults && c->state == QUOTED && c->raw.len > 0) {
		if (!read_again(c, error))
			return false;
	}
	if (c->state == QUOTED)
		return fail(c, error, open_quote);
	if (c->text.len == 0 && c->count == 0 && c->state == FIELD_START && !c->fault)
		return true;
	return end_row(c, error);
}
