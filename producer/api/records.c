/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CSV is turned into the JSON that the same request could have been, so that statements know one
 * form only and every check is made once.
 */
#include "producer/api/records.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/json.h"

#define ROW_BYTES_MAX (256 * 1024)
#define SHORT_ROW_BYTES_MAX (64 * 1024)	    /* where a quote that is not closed is looked for */
#define RECORD_BYTES_MAX (16 * 1024 * 1024) /* names come with each row, and bytes are escaped */
#define COLUMNS_MAX 256
#define HEADER_BYTES 128

struct column {
	const struct record_column *known; /* NULL: one of `variables` */
	char *name;			   /* as in the header */
	size_t name_bytes;
};

struct record_reader {
	struct record_reader_options o;
	const struct record_shape *shape; /* the same */
	struct csv *csv;
	struct column columns[COLUMNS_MAX];
	size_t columns_count;
	struct buf text;   /* of one record */
	struct buf *out;   /* the same */
	struct buf *error; /* of the call under way */
	bool has_header;
};

static void trim(struct csv_field *f)
{
	while (f->bytes > 0 && (f->data[0] == ' ' || f->data[0] == '\t')) {
		f->data++;
		f->bytes--;
	}
	while (f->bytes > 0 && (f->data[f->bytes - 1] == ' ' || f->data[f->bytes - 1] == '\t'))
		f->bytes--;
	/* What keeps a spreadsheet from taking the cell for a formula. */
	if (f->bytes > 1 && f->data[0] == '\'' && strchr("=+-@", f->data[1])) {
		f->data++;
		f->bytes--;
	}
}

/* Lower-case letters and digits, and whatever is not ASCII. */
static bool make_word(const char *text, size_t n, char *ret_word)
{
	size_t length = 0;

	for (size_t i = 0; i < n; i++) {
		char c = text[i];
		if (c && strchr(" _.-", c))
			continue;
		if (length == HEADER_BYTES - 1)
			return false;
		ret_word[length++] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
	}
	ret_word[length] = '\0';
	return true;
}

static const struct record_column *known_column(const struct record_shape *shape,
						struct csv_field header)
{
	char word[HEADER_BYTES], known[HEADER_BYTES];

	if (!make_word(header.data, header.bytes, word))
		return NULL;
	for (size_t i = 0; i < shape->columns_count; i++) {
		const char *name = shape->columns[i].header;
		if (make_word(name, strlen(name), known) && strcmp(known, word) == 0)
			return &shape->columns[i];
	}
	return NULL;
}

static bool has_field(const struct record_reader *r, const char *field, size_t before)
{
	for (size_t i = 0; i < before; i++) {
		if (r->columns[i].known && strcmp(r->columns[i].known->field, field) == 0)
			return true;
	}
	return false;
}

static bool has_variable(const struct record_reader *r, const struct column *c, size_t before)
{
	for (size_t i = 0; i < before; i++) {
		if (!r->columns[i].known && r->columns[i].name_bytes == c->name_bytes &&
		    memcmp(r->columns[i].name, c->name, c->name_bytes) == 0)
			return true;
	}
	return false;
}

static bool has_what_it_needs(const struct record_reader *r)
{
	const char *const *needs = r->shape->needs;
	const size_t most = sizeof(r->shape->needs) / sizeof(*needs);

	for (size_t i = 0; i < most && needs[i]; i++) {
		if (has_field(r, needs[i], r->columns_count))
			return true;
	}
	buf_addf(r->error, "%sthe first row names the columns; none of them is",
		 r->error->len > 0 ? "; " : "");
	for (size_t i = 0; i < most && needs[i]; i++)
		buf_addf(r->error, "%s %s", i > 0 ? " or" : "", needs[i]);
	return false;
}

/* All that is wrong with it is said at once. */
static bool take_header(struct record_reader *r, const struct csv_row *row)
{
	r->has_header = true;
	if (row->fault) {
		buf_addf(r->error, "the first row names the columns: %s", row->fault);
		return false;
	}
	for (size_t i = 0; i < row->count; i++) {
		struct column *c = &r->columns[i];
		struct csv_field header = row->fields[i];
		trim(&header);
		c->known = known_column(r->shape, header);
		c->name = strndup(header.data, header.bytes);
		if (!c->name)
			abort();
		c->name_bytes = header.bytes;
		r->columns_count = i + 1;
		if (c->known ? c->known->kind != COLUMN_NOTE && has_field(r, c->known->field, i)
		    : c->name_bytes ? has_variable(r, c, i)
				    : false)
			buf_addf(r->error, "%stwo columns of the header mean %.100s",
				 r->error->len > 0 ? "; " : "",
				 c->known ? c->known->field : c->name);
	}
	return has_what_it_needs(r) && r->error->len == 0;
}

static bool is_one_of(struct csv_field f, const char *const *words)
{
	for (; *words; words++) {
		if (f.bytes == strlen(*words) && strncasecmp(f.data, *words, f.bytes) == 0)
			return true;
	}
	return false;
}

static void add_member(struct buf *out, bool *first, const char *name, size_t name_bytes)
{
	if (!*first)
		buf_addc(out, ',');
	*first = false;
	buf_add_json_string(out, name, name_bytes);
	buf_addc(out, ':');
}

static void add_flag(struct buf *out, struct csv_field f)
{
	static const char *const yes[] = {"true", "yes", "y", "1", NULL};
	static const char *const no[] = {"false", "no", "n", "0", NULL};

	if (is_one_of(f, yes))
		buf_adds(out, "true");
	else if (is_one_of(f, no))
		buf_adds(out, "false");
	else
		buf_add_json_string(out, f.data, f.bytes);
}

static void add_name(struct record_reader *r, bool *first, struct csv_field f)
{
	const char *space = memchr(f.data, ' ', f.bytes);
	struct csv_field one = {f.data, space ? (size_t)(space - f.data) : f.bytes};
	struct csv_field rest = {f.data + one.bytes, f.bytes - one.bytes};

	trim(&rest);
	if (!has_field(r, "first_name", r->columns_count)) {
		add_member(r->out, first, "first_name", strlen("first_name"));
		buf_add_json_string(r->out, one.data, one.bytes);
	}
	if (rest.bytes > 0 && !has_field(r, "last_name", r->columns_count)) {
		add_member(r->out, first, "last_name", strlen("last_name"));
		buf_add_json_string(r->out, rest.data, rest.bytes);
	}
}

static void add_known(struct record_reader *r, bool *first, const struct record_column *c,
		      struct csv_field f)
{
	switch (c->kind) {
	case COLUMN_TEXT:
		add_member(r->out, first, c->field, strlen(c->field));
		buf_add_json_string(r->out, f.data, f.bytes);
		break;
	case COLUMN_FLAG:
		add_member(r->out, first, c->field, strlen(c->field));
		add_flag(r->out, f);
		break;
	case COLUMN_NAME:
		add_name(r, first, f);
		break;
	case COLUMN_VARIABLE:
	case COLUMN_NOTE:
		break;
	}
}

/* A cell behind the header's last one, or below an empty one, has no name: "" stands for it. */
static void add_variables(struct record_reader *r, const struct csv_row *row, bool *first)
{
	bool first_variable = true, nameless = false;

	for (size_t i = 0; i < row->count; i++) {
		const struct column *c = i < r->columns_count ? &r->columns[i] : NULL;
		struct csv_field f = row->fields[i];
		trim(&f);
		bool named = c && c->known && c->known->kind == COLUMN_VARIABLE;
		if ((c && c->known && !named) || f.bytes == 0)
			continue;
		if (!c || c->name_bytes == 0) {
			nameless = true;
			continue;
		}
		if (!r->shape->variables)
			continue;
		if (first_variable)
			add_member(r->out, first, "variables", strlen("variables"));
		if (first_variable)
			buf_addc(r->out, '{');
		if (named)
			add_member(r->out, &first_variable, c->known->field,
				   strlen(c->known->field));
		else
			add_member(r->out, &first_variable, c->name, c->name_bytes);
		buf_add_json_string(r->out, f.data, f.bytes);
	}
	if (!first_variable)
		buf_addc(r->out, '}');
	if (nameless) {
		add_member(r->out, first, "", 0);
		buf_adds(r->out, "\"\"");
	}
}

/* What makes the row unusable as a whole; NULL: nothing. */
static const char *fault_of(const struct record_reader *r, const struct csv_row *row, char *text,
			    size_t n)
{
	size_t cells = row->count;

	while (cells > r->columns_count && row->fields[cells - 1].bytes == 0)
		cells--; /* empty ones at the end say nothing */
	if (row->fault || cells == r->columns_count)
		return row->fault;
	snprintf(text, n, "%zu cells, but the header has %zu", cells, r->columns_count);
	return text;
}

static void add_members(struct record_reader *r, const struct csv_row *row)
{
	bool first = true;

	buf_addc(r->out, '{');
	for (size_t i = 0; i < row->count && i < r->columns_count; i++) {
		struct csv_field f = row->fields[i];
		trim(&f);
		if (r->columns[i].known && f.bytes > 0)
			add_known(r, &first, r->columns[i].known, f);
	}
	add_variables(r, row, &first);
	buf_addc(r->out, '}');
}

static bool take_row(void *arg, const struct csv_row *row)
{
	struct record_reader *r = arg;
	struct record record = {.row = row->number, .cells = row};
	char text[HEADER_BYTES];

	if (!r->has_header) {
		if (row->count == 0)
			return true;
		return take_header(r, row) &&
		       (!r->o.on_header || r->o.on_header(r->o.arg, &record));
	}
	bool blank = row->count == 0 && !row->fault;
	if (blank && r->o.faults)
		return true;
	record.fault = r->o.faults ? fault_of(r, row, text, sizeof(text)) : NULL;
	buf_clear(r->out);
	if (blank || record.fault)
		buf_adds(r->out, blank ? "null" : "{}");
	else
		add_members(r, row);
	record.members = r->out->data;
	return !r->out->failed && r->o.on_record(r->o.arg, &record);
}

struct record_reader *record_reader_new(const struct record_reader_options *o)
{
	struct record_reader *r = calloc(1, sizeof(*r));

	if (!r)
		abort();
	r->o = *o;
	r->shape = o->shape;
	r->out = &r->text;
	buf_init(&r->text, RECORD_BYTES_MAX);
	r->csv = csv_new(&(struct csv_options){.row_bytes_max = o->faults ? SHORT_ROW_BYTES_MAX
									  : ROW_BYTES_MAX,
					       .fields_max = COLUMNS_MAX,
					       .faults = o->faults,
					       .on_row = take_row,
					       .arg = r});
	return r;
}

void record_reader_free(struct record_reader *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->columns_count; i++)
		free(r->columns[i].name);
	buf_release(&r->text);
	csv_free(r->csv);
	free(r);
}

bool record_reader_feed(struct record_reader *r, const char *bytes, size_t n, struct buf *error)
{
	r->error = error;
	return csv_feed(r->csv, bytes, n, error);
}

bool record_reader_finish(struct record_reader *r, struct buf *error)
{
	r->error = error;
	if (!csv_finish(r->csv, error))
		return false;
	if (!r->has_header)
		buf_adds(error, "the file is empty");
	return r->has_header;
}

static bool append(void *arg, const struct record *r)
{
	struct buf *out = arg;

	if (out->len > 1)
		buf_addc(out, ',');
	buf_adds(out, r->members);
	return !out->failed;
}

static unsigned read_csv(const struct record_shape *shape, const char *body, size_t n,
			 struct buf *out, struct buf *error)
{
	struct record_reader *r = record_reader_new(
		&(struct record_reader_options){.shape = shape, .on_record = append, .arg = out});

	buf_addc(out, '[');
	bool good = record_reader_feed(r, body, n, error) && record_reader_finish(r, error);
	buf_addc(out, ']');
	record_reader_free(r);
	return out->failed ? 413 : good ? 0 : 422;
}

unsigned records_read_json(const struct record_shape *shape, const char *body, size_t n,
			   struct buf *out, struct buf *error)
{
	_cleanup_json_ json_t *j = json_parse(body, n, n, error);
	const json_t *array = j;

	if (!j)
		return 400;
	if (json_is_object(j) && json_object_size(j) == 1)
		array = json_object_get(j, shape->member);
	if (!json_is_array(array)) {
		buf_addf(error, "the body is an array, {\"%s\": [...]} or CSV", shape->member);
		return 422;
	}
	if (array == j)
		buf_add(out, body, n);
	else
		json_write(array, out);
	return out->failed ? 413 : 0;
}

unsigned records_read(const struct record_shape *shape, const struct http_exchange *x,
		      struct buf *out, const char **ret_first_row, struct buf *error)
{
	const char *type = http_header(x, "Content-Type");
	bool is_csv = type && strncasecmp(type, "text/csv", strlen("text/csv")) == 0;
	size_t n;
	const char *body = http_body(x, &n);
	unsigned refusal = is_csv ? read_csv(shape, body, n, out, error)
				  : records_read_json(shape, body, n, out, error);

	if (refusal == 413)
		buf_adds(error, "too much for one request; send it in parts");
	*ret_first_row = is_csv ? RECORDS_CSV_FIRST_ROW : RECORDS_JSON_FIRST_ROW;
	return refusal;
}
