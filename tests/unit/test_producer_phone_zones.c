/* SPDX-License-Identifier: Apache-2.0 */
/* producer/phone_zones.h: the embedded table as array literals, and lines that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/embedded.h"
#include "producer/phone_zones.h"

#define COLUMN_MAX_BYTES (8 << 20)

struct columns {
	struct buf prefixes, zones, error;
};

static void columns_init(struct columns *c)
{
	buf_init(&c->prefixes, COLUMN_MAX_BYTES);
	buf_init(&c->zones, COLUMN_MAX_BYTES);
	buf_init(&c->error, 1000);
}

static void columns_release(struct columns *c)
{
	buf_release(&c->prefixes);
	buf_release(&c->zones);
	buf_release(&c->error);
}

static long parse(struct columns *c, const char *text)
{
	return phone_zones_parse(text, strlen(text), &c->prefixes, &c->zones, &c->error);
}

static void test_lines(void **state)
{
	struct columns c;

	(void)state;
	columns_init(&c);
	assert_int_equal(parse(&c, "# comment\n1212\tAmerica/New_York\n\n44\tA/B&C/D\n"), 2);
	assert_string_equal(c.prefixes.data, "{\"1212\",\"44\"}");
	assert_string_equal(c.zones.data, "{\"America/New_York\",\"A/B&C/D\"}");
	assert_int_equal(parse(&c, "7\tX/Y"), 1); /* the last line needs no end */
	assert_string_equal(c.zones.data, "{\"X/Y\"}");
	assert_int_equal(parse(&c, ""), 0);
	assert_string_equal(c.prefixes.data, "{}");
	columns_release(&c);
}

static void test_bad_lines(void **state)
{
	static const char *const bad[] = {
		"1\tA/B\nno tab here\n",
		"1\tA/B\n\tA/B\n",
		"1\tA/B\n12x\tA/B\n",
		"1\tA/B\n44\t\n",
		"1\tA/B\n1234567890123456\tA/B\n",
	};
	struct columns c;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		columns_init(&c);
		assert_int_equal(parse(&c, bad[i]), -1);
		assert_string_equal(c.error.data, "line 2 is no prefix and zones");
		columns_release(&c);
	}
}

static void test_too_large(void **state)
{
	struct columns c;
	static const char text[] = "1\tAmerica/New_York\n2\tAmerica/Chicago\n";

	(void)state;
	columns_init(&c);
	buf_release(&c.zones);
	buf_init(&c.zones, 20);
	assert_int_equal(parse(&c, text), -1);
	assert_string_equal(c.error.data, "the table is too large");
	columns_release(&c);
}

static void test_embedded_table(void **state)
{
	const struct embedded_file *file = NULL;
	struct columns c;

	(void)state;
	for (size_t i = 0; i < embedded_page_count; i++) {
		if (strcmp(embedded_page[i].name, "phone_zones.tsv") == 0)
			file = &embedded_page[i];
	}
	assert_non_null(file);
	columns_init(&c);
	assert_true(phone_zones_parse((const char *)file->data, file->size, &c.prefixes, &c.zones,
				      &c.error) > 3000);
	assert_non_null(strstr(c.prefixes.data, "\"1212\""));
	columns_release(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_embedded_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
