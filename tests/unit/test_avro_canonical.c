/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical form by the rules of the Avro specification. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/avro_canonical.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void forms_are_canonical(void **state)
{
	static const struct {
		const char *json;
		const char *form; /* NULL: none */
	} cases[] = {
		{"{\"type\": \"long\", \"logicalType\": \"timestamp-millis\"}", "\"long\""},
		{"[\"null\", {\"type\":\"string\"}]", "[\"null\",\"string\"]"},
		{"{\"values\":\"bytes\",\"type\":\"map\",\"doc\":\"x\"}",
		 "{\"type\":\"map\",\"values\":\"bytes\"}"},
		{"{\"type\":\"array\",\"items\":[\"null\",\"int\"],\"default\":[]}",
		 "{\"type\":\"array\",\"items\":[\"null\",\"int\"]}"},
		{"{\"size\":16,\"type\":\"fixed\",\"name\":\"Md5\",\"namespace\":\"a.b\"}",
		 "{\"name\":\"a.b.Md5\",\"type\":\"fixed\",\"size\":16}"},
		{"{\"type\":\"enum\",\"name\":\"a.E\",\"symbols\":[\"X\",\"Y\"],\"default\":\"X\"}",
		 "{\"name\":\"a.E\",\"type\":\"enum\",\"symbols\":[\"X\",\"Y\"]}"},
		/* Names inside take the namespace of what is around them; their own wins. */
		{"{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"n\",\"doc\":\"d\",\"fields\":["
		 "{\"type\":{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"X\"]},\"name\":\"a\"},"
		 "{\"name\":\"b\",\"type\":\"E\",\"default\":\"X\"},"
		 "{\"name\":\"c\",\"type\":{\"type\":\"fixed\",\"name\":\"F\",\"namespace\":\"m\",\"size\":1}},"
		 "{\"name\":\"d\",\"type\":\"m.F\"}]}",
		 "{\"name\":\"n.R\",\"type\":\"record\",\"fields\":["
		 "{\"name\":\"a\",\"type\":{\"name\":\"n.E\",\"type\":\"enum\",\"symbols\":[\"X\"]}},"
		 "{\"name\":\"b\",\"type\":\"n.E\"},"
		 "{\"name\":\"c\",\"type\":{\"name\":\"m.F\",\"type\":\"fixed\",\"size\":1}},"
		 "{\"name\":\"d\",\"type\":\"m.F\"}]}"},
		{"{\"name\":\"R\"}", NULL},
		{"{\"type\":\"enum\",\"symbols\":[]}", NULL},
		{"not JSON", NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char why[256];
		struct buf error;
		struct buf form;
		buf_init_fixed(&error, why, sizeof(why));
		buf_init(&form, 4096);
		int rc = avro_canonical(cases[i].json, strlen(cases[i].json), &form, &error);
		assert_int_equal(rc, cases[i].form ? 0 : -1);
		assert_int_equal(error.len > 0, rc != 0);
		if (cases[i].form)
			assert_string_equal(form.data, cases[i].form);
		buf_release(&form);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(forms_are_canonical)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
