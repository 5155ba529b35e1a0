/* SPDX-License-Identifier: Apache-2.0 */
/* CSV: what people's programs write, in pieces of any size, and what ends the reading. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/csv.h"

#define OUT_BYTES 4096

/* Rows as text: "number:field|field\n", with "!fault" behind the fields of a row that has one. */
static bool write_row(void *arg, const struct csv_row *row)
{
	struct buf *out = arg;

	buf_addf(out, "%zu:", row->number);
	for (size_t i = 0; i < row->count; i++) {
		buf_adds(out, i > 0 ? "|" : "");
		buf_add(out, row->fields[i].data, row->fields[i].bytes);
	}
	buf_addf(out, "%s%s\n", row->fault ? "!" : "", row->fault ? row->fault : "");
	return row->count == 0 || row->fields[0].bytes != 4 ||
	       memcmp(row->fields[0].data, "stop", 4) != 0;
}

static bool read_pieces(const char *text, size_t n, size_t piece, bool faults, char *out,
			char *error)
{
	struct buf rows, why;

	buf_init_fixed(&rows, out, OUT_BYTES);
	buf_init_fixed(&why, error, OUT_BYTES);
	struct csv *c = csv_new(&(struct csv_options){.row_bytes_max = 64,
						      .fields_max = 4,
						      .faults = faults,
						      .on_row = write_row,
						      .arg = &rows});
	bool good = true;
	for (size_t i = 0; good && i < n; i += piece)
		good = csv_feed(c, text + i, n - i < piece ? n - i : piece, &why);
	good = good && csv_finish(c, &why);
	assert_true(good || !csv_feed(c, "a\n", 2, &why));
	csv_free(c);
	return good;
}

static void check_as(const char *text, size_t n, bool faults, const char *wanted, const char *error)
{
	char rows[OUT_BYTES], why[OUT_BYTES];

	for (size_t piece = 1; piece <= n + 1; piece++) {
		bool good = read_pieces(text, n, piece, faults, rows, why);
		if (strcmp(rows, wanted) != 0 || good != (error == NULL))
			fail_msg("in pieces of %zu: %s gave %s (%s)", piece, text, rows, why);
		assert_string_equal(why, error ? error : "");
	}
}

static void check(const char *text, size_t n, const char *wanted, const char *error)
{
	check_as(text, n, false, wanted, error);
}

#define CHECK_FAULTS(text, wanted) check_as(text, sizeof(text) - 1, true, wanted, NULL)
#define CHECK(text, wanted) check(text, sizeof(text) - 1, wanted, NULL)
#define CHECK_ERROR(text, wanted, error) check(text, sizeof(text) - 1, wanted, error)

static void fields_and_line_ends(void **state)
{
	(void)state;
	CHECK("", "");
	CHECK("a", "1:a\n");
	CHECK("a,b\n", "1:a|b\n");
	CHECK("a,b\r\nc,d\r\n", "1:a|b\n2:c|d\n");
	CHECK("a,b\rc,d", "1:a|b\n2:c|d\n");
	CHECK("a,\n,b\n,,", "1:a|\n2:|b\n3:||\n");
	CHECK("a\n\n\r\nb\n", "1:a\n2:\n3:\n4:b\n");
	CHECK("\n\r\n\ra;b\n", "4:a|b\n");
	CHECK("a, b \n", "1:a| b \n");
	CHECK("\xef\xbb\xbf"
	      "a,b\n",
	      "1:a|b\n");
	CHECK("\xef\xbb\xbf", "");
	CHECK("a,\xff\xfe\n", "1:a|\xff\xfe\n");
}

static void quotes(void **state)
{
	(void)state;
	CHECK("\"a,b\",c\n", "1:a,b|c\n");
	CHECK("\"a\nb\",c\nd\n", "1:a\nb|c\n2:d\n");
	CHECK("\"a \"\"b\"\"\"\n", "1:a \"b\"\n");
	CHECK("a,\"\"\n\"\"\n", "1:a|\n2:\n");
	CHECK("\"\"", "1:\n");
	CHECK("a,b \"c\" d\n", "1:a|b \"c\" d\n");
	CHECK("\"a\"b,c\n", "1:ab|c\n");
	CHECK("\"a\r\nb\"\r\nc", "1:a\r\nb\n2:c\n");
}

static void delimiters(void **state)
{
	(void)state;
	CHECK("a;b\nc,d;e\n", "1:a|b\n2:c,d|e\n");
	CHECK("a\tb\nc\td\n", "1:a|b\n2:c|d\n");
	CHECK("\"a,,,\";b\nc;d\n", "1:a,,,|b\n2:c|d\n");
	CHECK("sep=;\r\na,b;c\r\n", "1:a,b|c\n");
	CHECK("sep=|\na|b\n", "1:a|b\n");
	CHECK("sep=;", "");
	CHECK("sep=\"\na\n", "1:sep=\"\n2:a\n");
	CHECK("sep=,x\na,b", "1:sep=|x\n2:a|b\n");
}

static void what_ends_the_reading(void **state)
{
	static const char longest[] =
		"0123456789012345678901234567890123456789012345678901234567890123,";

	(void)state;
	CHECK_ERROR("a\n\"b\nc\n", "1:a\n", "row 2: a quote is opened and never closed");
	CHECK_ERROR("\"a", "", "row 1: a quote is opened and never closed");
	CHECK_ERROR("a,b,c,d,e\n", "", "row 1: more fields than a row may have");
	CHECK_ERROR("a\nb\0c\n", "1:a\n", "row 2: a NUL byte; the file is no text");
	CHECK_ERROR("a\0,\0b\0\n\0", "", "row 1: the file is UTF-16; save it as CSV UTF-8");
	CHECK_ERROR("\xff\xfe"
		    "a",
		    "", "row 1: the file is UTF-16; save it as CSV UTF-8");
	CHECK_ERROR("\xfe\xff", "", "row 1: the file is UTF-16; save it as CSV UTF-8");
	check(longest, 63, "1:012345678901234567890123456789012345678901234567890123456789012\n",
	      NULL);
	check(longest, 65, "", "row 1: longer than a row may be (is a quote not closed?)");
	CHECK_ERROR("a\n0123456789012345678901234567890123456789012345678901234567890123456789\n",
		    "1:a\n", "row 2: longer than a row may be (is a quote not closed?)");
	/* The caller has had enough; that is no error. */
	CHECK_ERROR("a\nstop\nb\n", "1:a\n2:stop\n", "");
	csv_free(NULL);
}

#define TEN "0123456789"
#define SIXTY TEN TEN TEN TEN TEN TEN
#define TOO_LONG "!longer than a row may be (is a quote not closed?)\n"
#define TOO_MANY "!more fields than a row may have\n"
#define OPEN_QUOTE "!a quote is opened and never closed\n"
#define A_NUL "!a NUL byte; the file is no text\n"

static void rows_with_a_fault(void **state)
{
	(void)state;
	CHECK_FAULTS("a,b\n\"c,\"\"\r\nd\",e\nf\n\ng", "1:a|b\n2:c,\"\r\nd|e\n3:f\n4:\n5:g\n");
	CHECK_FAULTS("h\na,b,c,d,e,f\ng,h\n", "1:h\n2:a|b|c|d" TOO_MANY "3:g|h\n");
	CHECK_FAULTS("h\na\0b,c\n\0\nd\n", "1:h\n2:ab|c" A_NUL "3:" A_NUL "4:d\n");
	CHECK_FAULTS("h\n" SIXTY "abcd\nc\n", "1:h\n2:" SIXTY "abcd\n3:c\n");
	CHECK_FAULTS("h\n" SIXTY "abcde\nc\n", "1:h\n2:" SIXTY "abcd" TOO_LONG "3:c\n");
	CHECK_FAULTS("h\n" SIXTY "abcd" SIXTY ",\"x\r\nc,\"d\"",
		     "1:h\n2:" SIXTY "abcd" TOO_LONG "3:c|d\n");
	check_as("\"h", 2, true, "", "row 1: a quote is opened and never closed");
}

static void quotes_that_are_not_closed(void **state)
{
	(void)state;
	/* Up to the end, and within one line. */
	CHECK_FAULTS("h\na,\"b\nc,d\ne,f\n", "1:h\n2:a,\"b" OPEN_QUOTE "3:c|d\n4:e|f\n");
	CHECK_FAULTS("h\r\na,\"b\r\nc,d", "1:h\n2:a,\"b" OPEN_QUOTE "3:c|d\n");
	CHECK_FAULTS("h\na,\"b", "1:h\n2:a|b" OPEN_QUOTE);
	/* Where the first row's end was not clear either. */
	CHECK_FAULTS("h\"\n1\",\"2\n3\n", "1:h\"\n2:1\",\"2" OPEN_QUOTE "3:3\n");
	/* For longer than a row may be. */
	CHECK_FAULTS("h\n\"a\n" TEN "\n" TEN "\n" TEN "\n" TEN "\n" TEN "\n" TEN "\n",
		     "1:h\n2:\"a" OPEN_QUOTE "3:" TEN "\n4:" TEN "\n5:" TEN "\n6:" TEN "\n7:" TEN
		     "\n8:" TEN "\n");
	CHECK_FAULTS("h\n\"" SIXTY SIXTY "\nb\n", "1:h\n2:" SIXTY "012" OPEN_QUOTE "3:b\n");
	/* Closed by what begins another field: of a good row, and of one that has the fault too. */
	CHECK_FAULTS("h\na,\"b\nc,d\ne,\"f\"\ng\n",
		     "1:h\n2:a,\"b" OPEN_QUOTE "3:c|d\n4:e|f\n5:g\n");
	CHECK_FAULTS("h\na,\"b\nc,d\ne,\"f\ng,h\n",
		     "1:h\n2:a,\"b" OPEN_QUOTE "3:c|d\n4:e,\"f" OPEN_QUOTE "5:g|h\n");
	/* Behind a quoted line end stands nothing but a delimiter or the row's end. */
	CHECK_FAULTS("h\n\"a\nb\"\n\"c\nd\",e\n\"f\"g\n", "1:h\n2:a\nb\n3:c\nd|e\n4:fg\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_and_line_ends),
		cmocka_unit_test(quotes),
		cmocka_unit_test(delimiters),
		cmocka_unit_test(what_ends_the_reading),
		cmocka_unit_test(rows_with_a_fault),
		cmocka_unit_test(quotes_that_are_not_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
