/* SPDX-License-Identifier: Apache-2.0 */
/* Compiling schemas, and the walk over good, cut and hostile bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/avro_walk.h"

#define BYTES(...)                                                                                 \
	(const unsigned char[]){__VA_ARGS__}, sizeof((const unsigned char[]){__VA_ARGS__})
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char reason[512];

static struct avro_shape *shape_of(const char *json)
{
	struct buf error;

	buf_init_fixed(&error, reason, sizeof(reason));
	return avro_shape_new(json, strlen(json), &error);
}

/* The bytes are copied to the heap first, so that ASan sees a step beyond their end. */
static int walk(const struct avro_shape *s, const void *bytes, size_t n)
{
	struct buf error;
	char *copy = test_malloc(n + 1);
	char *body = copy + 1; /* so that n = 0 points past the end too */

	if (n > 0)
		memcpy(body, bytes, n);
	buf_init_fixed(&error, reason, sizeof(reason));
	int rc = avro_walk(s, body, n, &error);
	assert_int_equal(error.len > 0, rc != 0);
	test_free(copy);
	return rc;
}

struct walk_case {
	const char *what;
	const char *schema;
	const unsigned char *bytes;
	size_t n;
	const char *reason; /* part of it; NULL: good */
};

static void check_cases(const struct walk_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct avro_shape *s = shape_of(cases[i].schema);
		if (!s)
			fail_msg("%s: %s", cases[i].what, reason);
		int rc = walk(s, cases[i].bytes, cases[i].n);
		if (!cases[i].reason && rc != 0)
			fail_msg("%s refused: %s", cases[i].what, reason);
		if (cases[i].reason && rc == 0)
			fail_msg("%s accepted", cases[i].what);
		if (cases[i].reason && !strstr(reason, cases[i].reason))
			fail_msg("%s: \"%s\" instead of \"%s\"", cases[i].what, reason,
				 cases[i].reason);
		avro_shape_free(s);
	}
}

#define PRIMITIVE(name) "{\"type\":\"" name "\"}"
#define COLOR "{\"type\":\"enum\",\"name\":\"Color\",\"symbols\":[\"RED\",\"BLUE\"]}"
#define STRINGS "{\"type\":\"array\",\"items\":\"string\"}"
#define LONGS "{\"type\":\"map\",\"values\":\"long\"}"

static void good_bytes_pass(void **state)
{
	const struct walk_case cases[] = {
		{"null", PRIMITIVE("null"), NULL, 0, NULL},
		{"false", PRIMITIVE("boolean"), BYTES(0), NULL},
		{"true", PRIMITIVE("boolean"), BYTES(1), NULL},
		{"smallest int", PRIMITIVE("int"), BYTES(0xff, 0xff, 0xff, 0xff, 0x0f), NULL},
		{"largest int", PRIMITIVE("int"), BYTES(0xfe, 0xff, 0xff, 0xff, 0x0f), NULL},
		{"smallest long", PRIMITIVE("long"),
		 BYTES(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1), NULL},
		{"largest long", PRIMITIVE("long"),
		 BYTES(0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1), NULL},
		{"float", PRIMITIVE("float"), BYTES(1, 2, 3, 4), NULL},
		{"double", PRIMITIVE("double"), BYTES(1, 2, 3, 4, 5, 6, 7, 8), NULL},
		{"bytes of any kind", PRIMITIVE("bytes"), BYTES(6, 0, 0xff, 0xc0), NULL},
		{"empty string", PRIMITIVE("string"), BYTES(0), NULL},
		{"UTF-8 over a chunk's end", PRIMITIVE("string"),
		 BYTES(20, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 0xc3, 0xa9, 'h'), NULL},
		{"four-byte UTF-8", PRIMITIVE("string"), BYTES(8, 0xf0, 0x9f, 0x93, 0x9e), NULL},
		{"fixed", "{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}", BYTES(1, 2), NULL},
		{"enum", COLOR, BYTES(2), NULL},
		{"empty array", STRINGS, BYTES(0), NULL},
		{"array in two blocks", STRINGS, BYTES(2, 2, 'a', 4, 2, 'b', 2, 'c', 0), NULL},
		{"array in a sized block", STRINGS, BYTES(1, 4, 2, 'a', 0), NULL},
		{"map", LONGS, BYTES(2, 2, 'k', 8, 0), NULL},
		{"union", "[\"null\",\"string\"]", BYTES(2, 2, 'a'), NULL},
		{"logical type", "{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}",
		 BYTES(2), NULL},
	};

	(void)state;
	check_cases(cases, COUNT(cases));
}

static void hostile_bytes_are_refused(void **state)
{
	const struct walk_case cases[] = {
		{"string of 4 GiB in 6 bytes", PRIMITIVE("string"),
		 BYTES(0x80, 0x80, 0x80, 0x80, 0x20, 'a'), "4294967296 bytes announced, 1 left"},
		{"bytes of 8 EiB", PRIMITIVE("bytes"),
		 BYTES(0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1), "announced"},
		{"string of -1 bytes", PRIMITIVE("string"), BYTES(1), "-1 is out of range"},
		{"bytes of -64 bytes", PRIMITIVE("bytes"), BYTES(0x7f, 'a'), "-64 is out of range"},
		{"string cut", PRIMITIVE("string"), BYTES(6, 'a', 'b'),
		 "3 bytes announced, 2 left"},
		{"2^28 items in 6 bytes", STRINGS, BYTES(0x80, 0x80, 0x80, 0x80, 0x02, 0),
		 "268435456 items announced"},
		{"INT64_MIN items", STRINGS,
		 BYTES(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0),
		 "out of range"},
		{"-INT64_MAX items", STRINGS,
		 BYTES(0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0),
		 "items announced"},
		{"block of a negative size", STRINGS, BYTES(1, 3, 2, 'a', 0), "out of range"},
		{"block of a wrong size", STRINGS, BYTES(1, 6, 2, 'a', 0), "says that it has 3"},
		{"array without end", STRINGS, BYTES(2, 2, 'a'), "inside a number"},
		{"more pairs than fit", LONGS, BYTES(6, 2, 'k', 8, 0), "3 items announced"},
		{"key that is no UTF-8", LONGS, BYTES(2, 2, 0xff, 8, 0), "not UTF-8"},
		{"enum 99999", COLOR, BYTES(0xbe, 0x9a, 0x0c), "99999 is out of range"},
		{"enum -5", COLOR, BYTES(9), "-5 is out of range"},
		{"first enum beyond", COLOR, BYTES(4), "2 is out of range"},
		{"union branch beyond", "[\"null\",\"string\"]", BYTES(4), "2 is out of range"},
		{"union branch -1", "[\"null\",\"string\"]", BYTES(1), "-1 is out of range"},
		{"boolean 7", PRIMITIVE("boolean"), BYTES(7), "a boolean of 7"},
		{"boolean missing", PRIMITIVE("boolean"), NULL, 0, "1 bytes announced, 0 left"},
		{"lone continuation byte", PRIMITIVE("string"), BYTES(2, 0x80), "not UTF-8"},
		{"overlong slash", PRIMITIVE("string"), BYTES(4, 0xc0, 0xaf), "not UTF-8"},
		{"surrogate", PRIMITIVE("string"), BYTES(6, 0xed, 0xa0, 0x80), "not UTF-8"},
		{"sequence cut", PRIMITIVE("string"), BYTES(2, 0xc3), "not UTF-8"},
		{"broken late", PRIMITIVE("string"),
		 BYTES(20, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 0xff), "not UTF-8"},
		{"NUL in a string", PRIMITIVE("string"), BYTES(6, 'a', 0, 'b'),
		 "not UTF-8, or with a NUL"},
		{"NUL in a long string", PRIMITIVE("string"),
		 BYTES(18, 'a', 'b', 'c', 'd', 'e', 0, 'g', 'h', 'i'), "with a NUL"},
		{"bytes left over", PRIMITIVE("long"), BYTES(2, 2), "1 bytes left over"},
		{"bytes after null", PRIMITIVE("null"), BYTES(0), "1 bytes left over"},
		{"int of 33 bits", PRIMITIVE("int"), BYTES(0x80, 0x80, 0x80, 0x80, 0x10),
		 "2147483648 is out of range"},
		{"number without end", PRIMITIVE("long"), BYTES(0x80, 0x80), "inside a number"},
		{"number of eleven bytes", PRIMITIVE("long"),
		 BYTES(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0),
		 "more than 64 bits"},
		{"number of 65 bits", PRIMITIVE("long"),
		 BYTES(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2),
		 "more than 64 bits"},
		{"double cut", PRIMITIVE("double"), BYTES(1, 2, 3), "8 bytes announced, 3 left"},
		{"fixed cut", "{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}", BYTES(1),
		 "2 bytes announced, 1 left"},
	};

	(void)state;
	check_cases(cases, COUNT(cases));
}

#define NESTED                                                                                     \
	"{\"type\":\"record\",\"name\":\"Outer\",\"namespace\":\"a.b\",\"fields\":["               \
	"{\"name\":\"first\",\"type\":\"long\"},"                                                  \
	"{\"name\":\"inner\",\"type\":{\"type\":\"record\",\"name\":\"Inner\",\"fields\":["        \
	"{\"name\":\"color\",\"type\":" COLOR "},"                                                 \
	"{\"name\":\"names\",\"type\":{\"type\":\"array\",\"items\":[\"null\",\"string\"]}}]}},"   \
	"{\"name\":\"again\",\"type\":[\"null\",\"a.b.Inner\"]},"                                  \
	"{\"name\":\"color\",\"type\":\"Color\"}]}"

static const unsigned char nested[] = {
	8,			    /* first */
	2, 4, 0, 2, 4, 'h', 'i', 0, /* inner: BLUE, [null, "hi"] */
	2, 0, 0,		    /* again: Inner RED, [] */
	2,			    /* color */
};

static void named_types_are_found(void **state)
{
	struct avro_shape *s = shape_of(NESTED);

	(void)state;
	assert_non_null(s);
	assert_int_equal(walk(s, nested, sizeof(nested)), 0);
	avro_shape_free(s);
}

/* Whatever is cut off a message, the rest is none. */
static void every_cut_is_refused(void **state)
{
	struct avro_shape *s = shape_of(NESTED);

	(void)state;
	for (size_t n = 0; n < sizeof(nested); n++)
		assert_int_equal(walk(s, nested, n), -1);
	avro_shape_free(s);
}

#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"

/* What is walked over is what is read; of a union its branch. */
static void parts_are_the_fields(void **state)
{
	/* clang-format off */
	static const char schema[] = "{\"type\":\"record\",\"name\":\"R\",\"fields\":["
		FIELD("flag", "\"boolean\"") ","
		FIELD("small", "\"int\"") ","
		FIELD("large", "\"long\"") ","
		FIELD("text", "[\"null\",\"string\"]") ","
		FIELD("none", "[\"string\",\"null\"]") ","
		FIELD("raw", "\"bytes\"") ","
		FIELD("color", "[\"null\"," COLOR "]") ","
		FIELD("same", "\"Color\"") ","
		FIELD("inner", "{\"type\":\"record\",\"name\":\"I\",\"fields\":[" FIELD("x", "\"long\"") "]}") ","
		FIELD("last", "\"string\"") "]}";
	/* clang-format on */
	static const unsigned char body[] = {1,	   5,	 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					     0xff, 0xff, 1,    2,    4,	   'o',	 'k',  2,    0,
					     2,	   2,	 0,    8,    6,	   'e',	 'n',  'd'};
	struct avro_part parts[10];
	struct buf error;
	struct avro_shape *s = shape_of(schema);

	(void)state;
	assert_non_null(s);
	buf_init_fixed(&error, reason, sizeof(reason));
	assert_int_equal(avro_parts_count(s), 10);
	assert_int_equal(avro_walk_parts(s, body, sizeof(body), parts, &error), 0);
	assert_true(parts[0].kind == AVRO_KIND_BOOLEAN && parts[0].number == 1);
	assert_true(parts[1].kind == AVRO_KIND_INT && parts[1].number == -3);
	assert_true(parts[2].kind == AVRO_KIND_LONG && parts[2].number == INT64_MIN);
	assert_true(parts[3].kind == AVRO_KIND_STRING && parts[3].bytes_count == 2);
	assert_memory_equal(parts[3].bytes, "ok", 2);
	assert_int_equal(parts[4].kind, AVRO_KIND_NULL);
	assert_true(parts[5].kind == AVRO_KIND_BYTES && parts[5].bytes_count == 0);
	assert_true(parts[6].kind == AVRO_KIND_ENUM && parts[7].kind == AVRO_KIND_ENUM);
	assert_string_equal(parts[6].symbol, "BLUE");
	assert_string_equal(parts[7].symbol, "RED");
	assert_int_equal(parts[8].kind, AVRO_KIND_RECORD);
	assert_true(parts[9].kind == AVRO_KIND_STRING && parts[9].bytes_count == 3);
	assert_memory_equal(parts[9].bytes, "end", 3);
	avro_shape_free(s);
	s = shape_of("{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"R\","
		     "\"fields\":[" FIELD("x", "\"long\"") "]}}");
	assert_int_equal(avro_parts_count(s), 0);
	assert_int_equal(avro_walk_parts(s, (const unsigned char[]){4, 2, 4, 0}, 4, NULL, &error),
			 0);
	avro_shape_free(s);
}

static void the_reason_names_the_field(void **state)
{
	struct avro_shape *s = shape_of(NESTED);
	unsigned char bad[sizeof(nested)];

	(void)state;
	memcpy(bad, nested, sizeof(bad));
	bad[5] = 0xff; /* the length of "hi" */
	bad[6] = 1;
	assert_int_equal(walk(s, bad, sizeof(bad)), -1);
	assert_string_equal(reason, "Outer.inner.names at byte 5: -128 is out of range");
	bad[1] = 6;
	assert_int_equal(walk(s, bad, sizeof(bad)), -1);
	assert_string_equal(reason, "Outer.inner.color at byte 1: 3 is out of range");
	avro_shape_free(s);
}

static void bad_schemas_are_refused(void **state)
{
	static const struct {
		const char *json;
		const char *reason;
	} cases[] = {
		{"", "JSON"},
		{"{", "JSON"},
		{"7", "JSON"},
		{"[7]", "a type is missing"},
		{"{}", "a type is missing"},
		{"\"long\"", "JSON"},
		{PRIMITIVE("text"), "unknown or recursive type \"text\""},
		{"[]", "union without branches"},
		{"[\"null\",[\"string\"]]", "directly in a union"},
		{"{\"type\":\"array\"}", "a type is missing"},
		{"{\"type\":\"array\",\"items\":\"null\"}", "no size"},
		{"{\"type\":\"map\",\"values\":\"null\"}", "no size"},
		{"{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"R\",\"fields\":[]}}",
		 "no size"},
		{"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[]}", "enum without symbols"},
		{"{\"type\":\"enum\",\"symbols\":[\"A\"]}", "without name"},
		{"{\"type\":\"fixed\",\"name\":\"F\",\"size\":0}", "no possible size"},
		{"{\"type\":\"fixed\",\"name\":\"F\",\"size\":99999999999}", "no possible size"},
		{"{\"type\":\"record\",\"name\":\"R\"}", "record without fields \"R\""},
		{"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"type\":\"long\"}]}",
		 "field without name"},
		{"{\"type\":\"record\",\"name\":\"R\",\"fields\":["
		 "{\"name\":\"next\",\"type\":[\"null\",\"R\"]}]}",
		 "unknown or recursive type \"R\""},
		{"{\"type\":\"record\",\"name\":\"R\",\"fields\":["
		 "{\"name\":\"a\",\"type\":" COLOR "},{\"name\":\"b\",\"type\":" COLOR "}]}",
		 "defined twice"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct avro_shape *s = shape_of(cases[i].json);
		if (s)
			fail_msg("%s was taken", cases[i].json);
		if (!strstr(reason, cases[i].reason))
			fail_msg("%s: %s", cases[i].json, reason);
	}
}

/* `n` arrays in one another around a long. */
static void nested_arrays(struct buf *b, int n)
{
	buf_clear(b);
	for (int i = 0; i < n; i++)
		buf_adds(b, "{\"type\":\"array\",\"items\":");
	buf_adds(b, "\"long\"");
	for (int i = 0; i < n; i++)
		buf_addc(b, '}');
}

static void depth_is_bounded(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	nested_arrays(&b, 15);
	struct avro_shape *s = shape_of(b.data);
	assert_non_null(s);
	avro_shape_free(s);
	nested_arrays(&b, 16);
	assert_null(shape_of(b.data));
	assert_non_null(strstr(reason, "too deep"));
	nested_arrays(&b, 5000);
	assert_null(shape_of(b.data));
	buf_release(&b);
}

/* A record of three of the one before, and so on: small text, huge walk. */
static void expansion_is_bounded(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_adds(&b, "{\"type\":\"record\",\"name\":\"All\",\"fields\":[");
	for (int i = 0; i < 10; i++) {
		buf_addf(
			&b,
			"%s{\"name\":\"f%d\",\"type\":{\"type\":\"record\",\"name\":\"R%d\",\"fields\":[",
			i ? "," : "", i, i);
		for (int k = 0; k < 3; k++) {
			buf_addf(&b, "%s{\"name\":\"x%d\",\"type\":", k ? "," : "", k);
			if (i == 0)
				buf_adds(&b, "\"null\"}");
			else
				buf_addf(&b, "\"R%d\"}", i - 1);
		}
		buf_adds(&b, "]}}");
	}
	buf_adds(&b, "]}");
	assert_false(b.failed);
	assert_null(shape_of(b.data));
	assert_non_null(strstr(reason, "too many types"));
	buf_release(&b);
}

static void a_long_schema_is_refused(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, AVRO_SCHEMA_BYTES_MAX + 100);
	buf_adds(&b, PRIMITIVE("long"));
	while (b.len <= AVRO_SCHEMA_BYTES_MAX)
		buf_addc(&b, ' ');
	assert_null(shape_of(b.data));
	assert_non_null(strstr(reason, "at most"));
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_bytes_pass),
		cmocka_unit_test(hostile_bytes_are_refused),
		cmocka_unit_test(named_types_are_found),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(parts_are_the_fields),
		cmocka_unit_test(the_reason_names_the_field),
		cmocka_unit_test(bad_schemas_are_refused),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(expansion_is_bounded),
		cmocka_unit_test(a_long_schema_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
