/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The current schemas read what every released one has written (BACKWARD_TRANSITIVE), by the
 * resolution rules of the Avro specification. A release puts its schemas into
 * schemas/avro/released/<name>.vN.avsc, and they are never edited again.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/json.h"
#include "common/msg_internal.h"

#define RELEASED CARILLON_SOURCE_DIR "/schemas/avro/released"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool reads(const json_t *reader, const json_t *writer, struct buf *why);

/* "long" for "long" and for {"type": "long", ...}. Named types are not referred to by name here. */
static const char *type_name(const json_t *type)
{
	if (json_is_array(type))
		return "union";
	const char *name =
		json_string_value(json_is_object(type) ? json_object_get(type, "type") : type);
	return name ? name : "";
}

static const json_t *find_named(const json_t *list, const char *name)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *member = json_array_get(list, i);
		if (strcmp(json_string_value(json_object_get(member, "name")), name) == 0)
			return member;
	}
	return NULL;
}

static bool refuse(struct buf *why, const char *reason, const char *subject)
{
	if (why->len == 0)
		buf_addf(why, "%s: %s", subject, reason);
	return false;
}

static bool same_name(const json_t *a, const json_t *b)
{
	const char *x = json_path_text(a, "name");
	const char *y = json_path_text(b, "name");

	return x && y && strcmp(x, y) == 0;
}

static bool reads_record(const json_t *reader, const json_t *writer, struct buf *why)
{
	const json_t *fields = json_path(reader, "fields");

	if (!same_name(reader, writer))
		return refuse(why, "another record", json_path_text(reader, "name"));
	for (size_t i = 0; i < json_array_size(fields); i++) {
		const json_t *field = json_array_get(fields, i);
		const char *name = json_path_text(field, "name");
		const json_t *old = find_named(json_path(writer, "fields"), name);
		if (!old && !json_path(field, "default"))
			return refuse(why, "new, without a default", name);
		if (old && !reads(json_path(field, "type"), json_path(old, "type"), why))
			return refuse(why, "its type has changed", name);
	}
	return true;
}

static bool reads_enum(const json_t *reader, const json_t *writer, struct buf *why)
{
	const json_t *symbols = json_path(reader, "symbols");
	const json_t *old = json_path(writer, "symbols");

	if (!same_name(reader, writer))
		return refuse(why, "another enum", json_path_text(reader, "name"));
	for (size_t i = 0; i < json_array_size(old); i++) {
		bool found = json_path(reader, "default") != NULL;
		for (size_t k = 0; k < json_array_size(symbols); k++)
			found = found ||
				json_equal(json_array_get(symbols, k), json_array_get(old, i));
		if (!found)
			return refuse(why, "symbol is gone",
				      json_string_value(json_array_get(old, i)));
	}
	return true;
}

static bool reads_union(const json_t *reader, const json_t *writer, struct buf *why)
{
	if (json_is_array(writer)) {
		for (size_t i = 0; i < json_array_size(writer); i++) {
			if (!reads(reader, json_array_get(writer, i), why))
				return false;
		}
		return true;
	}
	for (size_t i = 0; i < json_array_size(reader); i++) {
		char unused[128];
		struct buf none;
		buf_init_fixed(&none, unused, sizeof(unused));
		if (reads(json_array_get(reader, i), writer, &none))
			return true;
	}
	return refuse(why, "no branch for it", type_name(writer));
}

static bool promotes(const char *from, const char *to)
{
	static const char *const pairs[][2] = {
		{"int", "long"},    {"int", "float"},	 {"int", "double"},   {"long", "float"},
		{"long", "double"}, {"float", "double"}, {"string", "bytes"}, {"bytes", "string"},
	};

	for (size_t i = 0; i < COUNT(pairs); i++) {
		if (strcmp(pairs[i][0], from) == 0 && strcmp(pairs[i][1], to) == 0)
			return true;
	}
	return false;
}

static bool reads(const json_t *reader, const json_t *writer, struct buf *why)
{
	const char *to = type_name(reader);
	const char *from = type_name(writer);

	if (json_is_array(reader) || json_is_array(writer))
		return reads_union(reader, writer, why);
	const json_t *logical = json_path(writer, "logicalType");
	if (logical && !json_equal(logical, json_path(reader, "logicalType")))
		return refuse(why, "no logical type any more", json_string_value(logical));
	if (strcmp(to, from) != 0)
		return promotes(from, to) || refuse(why, "can't be read", from);
	if (strcmp(to, "record") == 0)
		return reads_record(reader, writer, why);
	if (strcmp(to, "enum") == 0)
		return reads_enum(reader, writer, why);
	if (strcmp(to, "array") == 0)
		return reads(json_path(reader, "items"), json_path(writer, "items"), why);
	if (strcmp(to, "map") == 0)
		return reads(json_path(reader, "values"), json_path(writer, "values"), why);
	return true;
}

static json_t *parse(const char *text, size_t n)
{
	char why[256];
	struct buf error;

	buf_init_fixed(&error, why, sizeof(why));
	json_t *j = json_parse(text, n, 1 << 20, &error);
	if (!j)
		fail_msg("%s", why);
	return j;
}

/* The reason, or "" if the reader reads it. */
static void check(const char *reader_text, const char *writer_text, char *ret_why, size_t n)
{
	_cleanup_json_ json_t *reader = parse(reader_text, strlen(reader_text));
	_cleanup_json_ json_t *writer = parse(writer_text, strlen(writer_text));
	struct buf why;

	buf_init_fixed(&why, ret_why, n);
	bool ok = reads(reader, writer, &why);
	assert_int_equal(ok, why.len == 0);
}

/* ---- The checker itself ---- */

#define RECORD(fields) "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" fields "]}"
#define A(type) "{\"name\":\"a\",\"type\":" type "}"
#define ENUM(symbols) "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[" symbols "]}"
#define MILLIS "{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}"

static void the_checker_knows_the_rules(void **state)
{
	static const struct {
		const char *reader;
		const char *writer;
		const char *why; /* NULL: compatible */
	} cases[] = {
		{RECORD(A("\"long\"")), RECORD(A("\"long\"")), NULL},
		{RECORD(A("\"long\"")), RECORD(A("\"int\"")), NULL},
		{RECORD(A("\"int\"")), RECORD(A("\"long\"")), "long: can't be read"},
		{RECORD(A("[\"null\",\"string\"]")), RECORD(A("\"string\"")), NULL},
		{RECORD(A("\"string\"")), RECORD(A("[\"null\",\"string\"]")),
		 "null: can't be read"},
		{RECORD(A("[\"string\",\"null\"]")), RECORD(A("[\"null\",\"string\"]")), NULL},
		{RECORD(A("[\"null\",\"string\"]")), RECORD(A("[\"null\",\"boolean\"]")),
		 "boolean: no branch for it"},
		{RECORD(""), RECORD(A("\"long\"")), NULL},
		{RECORD(A("\"long\"")), RECORD(""), "a: new, without a default"},
		{RECORD("{\"name\":\"a\",\"type\":[\"null\",\"long\"],\"default\":null}"),
		 RECORD(""), NULL},
		{RECORD(A(ENUM("\"X\",\"Y\""))), RECORD(A(ENUM("\"X\""))), NULL},
		{RECORD(A(ENUM("\"X\""))), RECORD(A(ENUM("\"X\",\"Y\""))), "Y: symbol is gone"},
		{RECORD(A(MILLIS)), RECORD(A(MILLIS)), NULL},
		{RECORD(A("\"long\"")), RECORD(A(MILLIS)),
		 "timestamp-millis: no logical type any more"},
		{RECORD(A("{\"type\":\"array\",\"items\":\"long\"}")),
		 RECORD(A("{\"type\":\"array\",\"items\":\"string\"}")), "string: can't be read"},
		{"{\"type\":\"record\",\"name\":\"S\",\"fields\":[]}", RECORD(""),
		 "S: another record"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char why[128];
		check(cases[i].reader, cases[i].writer, why, sizeof(why));
		assert_string_equal(why, cases[i].why ? cases[i].why : "");
	}
}

/* ---- Our schemas ---- */

/* The type that released/<file> was a schema of. */
static enum msg_type type_of(const char *file)
{
	for (int t = 0; t < MSG_TYPE_COUNT; t++) {
		const char *current = msg_type_info((enum msg_type)t)->schema_file;
		if (strncmp(file, current, strcspn(current, ".") + 1) == 0)
			return (enum msg_type)t;
	}
	fail_msg("%s is of no message", file);
	return MSG_TYPE_COUNT;
}

static void read_file(const char *name, char *ret_text, size_t n)
{
	char path[512];

	snprintf(path, sizeof(path), RELEASED "/%s", name);
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	size_t bytes = fread(ret_text, 1, n - 1, f);
	assert_true(bytes > 0 && bytes < n - 1);
	ret_text[bytes] = '\0';
	fclose(f);
}

/* Calls `visit` with the type and text of every released schema; each type must have one. */
static void each_released(void (*visit)(enum msg_type type, const char *file, const char *text))
{
	static char text[65536];
	int seen[MSG_TYPE_COUNT] = {0};
	DIR *d = opendir(RELEASED);
	const struct dirent *entry;

	assert_non_null(d);
	while ((entry = readdir(d)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		enum msg_type type = type_of(entry->d_name);
		read_file(entry->d_name, text, sizeof(text));
		visit(type, entry->d_name, text);
		seen[type]++;
	}
	closedir(d);
	for (int t = 0; t < MSG_TYPE_COUNT; t++)
		assert_true(seen[t] > 0);
}

static void check_readable(enum msg_type type, const char *file, const char *text)
{
	char why[128];
	size_t bytes;

	check(msg_schema_text(type, &bytes), text, why, sizeof(why));
	if (why[0])
		fail_msg("%s can't be read any more: %s", file, why);
}

static void current_schemas_read_all_released(void **state)
{
	(void)state;
	each_released(check_readable);
}

static struct msg_codec *codec;

static void check_known(enum msg_type type, const char *file, const char *text)
{
	char why[256];
	struct buf error;
	int32_t id;
	int32_t seen;
	struct msg m;

	buf_init_fixed(&error, why, sizeof(why));
	assert_int_equal(msg_schema_fingerprint(text, strlen(text), &id, &error), 0);
	unsigned char frame[] = {0, (unsigned char)(id >> 24), (unsigned char)(id >> 16),
				 (unsigned char)(id >> 8), (unsigned char)id};
	/* No message without a body; but one of a known schema. */
	if (msg_decode(codec, type, frame, sizeof(frame), &m, &seen, &error) != MSG_MALFORMED)
		fail_msg("%s is not compiled in, its messages can't be read", file);
}

static void released_ids_stay_known(void **state)
{
	(void)state;
	codec = msg_codec_new();
	assert_non_null(codec);
	each_released(check_known);
	msg_codec_free(codec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_checker_knows_the_rules),
		cmocka_unit_test(current_schemas_read_all_released),
		cmocka_unit_test(released_ids_stay_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
