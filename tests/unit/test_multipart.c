/* SPDX-License-Identifier: Apache-2.0 */
/* Forms with a file, in pieces of any size, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/multipart.h"

#define OUT_BYTES 8192
#define TYPE "multipart/form-data; charset=x; boundary=\"a b\""
#define FILE_PART                                                                                  \
	"Content-Type: text/csv\r\ncontent-disposition: form-data; name=\"f\"; filename=\"f.csv\"\r\n\r\n"
#define TEXT_PART "Content-Disposition: form-data; name=\"note\"\r\n\r\n"

static bool take(void *arg, const char *bytes, size_t n)
{
	struct buf *out = arg;

	buf_add(out, bytes, n);
	return n == 0 || !memchr(bytes, '!', n);
}

static void check(const char *text, const char *wanted, const char *error)
{
	char file[OUT_BYTES], why[OUT_BYTES];
	const size_t n = strlen(text);
	struct buf out, reason;

	for (size_t piece = 1; piece <= n + 1; piece++) {
		struct multipart *m = multipart_new(TYPE, take, &out);
		bool good = true;
		buf_init_fixed(&out, file, sizeof(file));
		buf_init_fixed(&reason, why, sizeof(why));
		for (size_t i = 0; good && i < n; i += piece)
			good = multipart_feed(m, text + i, n - i < piece ? n - i : piece, &reason);
		good = good && multipart_finish(m, &reason);
		if (good != (error == NULL) || (good && strcmp(file, wanted) != 0))
			fail_msg("in pieces of %zu: %s gave %s (%s)", piece, text, file, why);
		assert_string_equal(why, error ? error : "");
		assert_true(good || !multipart_feed(m, "x", 1, &reason));
		multipart_free(m);
	}
}

static void the_file_of_a_form(void **state)
{
	(void)state;
	check("--a b\r\n" FILE_PART "Phone\r\n1\r\n\r\n--a b--", "Phone\r\n1\r\n", NULL);
	check("--a b\r\n" FILE_PART "\r\n--a b--\r\nmore", "", NULL);
	check("preamble\r\n--a b \t\r\n" TEXT_PART "x\r\n--a b\r\n" FILE_PART
	      "1\r\n--a b\r\n" TEXT_PART "y\r\n--a b--\r\n",
	      "1", NULL);
	check("--a b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n1\r\n--a b--", "1",
	      NULL);
	/* Beginnings of a delimiter are content. */
	check("--a b\r\n" FILE_PART "\r\r\n-\r\n--\r\n--a\r\n--a \r\r\n--a b--",
	      "\r\r\n-\r\n--\r\n--a\r\n--a \r", NULL);
	check("--a b\r\n\r\nx\r\n--a b\r\n" FILE_PART "1\n--a b\n\r\n--a b--", "1\n--a b\n", NULL);
	multipart_free(NULL);
}

static void what_is_no_form_with_a_file(void **state)
{
	char longest[80] = "multipart/form-data; boundary=";

	(void)state;
	check("", "", "the form ends in the middle of a part");
	check("--a b--", "", "the form has no file");
	check("--a b\r\n" TEXT_PART "x\r\n--a b--", "", "the form has no file");
	check("--a b\r\n" FILE_PART "Phone\r\n1", "", "the form ends in the middle of a part");
	check("--a b\r\n" FILE_PART "1\r\n--a b\r\n" FILE_PART "2\r\n--a b--", "",
	      "the form has more than one file; send one at a time");
	check("--a bc\r\n" FILE_PART "1\r\n--a b--", "",
	      "the form's parts are not delimited as its boundary says");
	check("--a b\r\n" FILE_PART "12!34\r\n--a b--", "", "");
	assert_null(multipart_new(NULL, take, NULL));
	assert_null(multipart_new("text/csv; boundary=x", take, NULL));
	assert_null(multipart_new("multipart/form-data", take, NULL));
	assert_null(multipart_new("multipart/form-data; boundary=", take, NULL));
	assert_null(multipart_new("multipart/form-data; boundary=\"", take, NULL));
	memset(longest + 30, 'b', 49);
	struct multipart *m = multipart_new(longest, take, NULL);
	assert_non_null(m);
	multipart_free(m);
}

static void headers_are_bounded(void **state)
{
	char text[6000] = "--a b\r\nX: ";
	char why[OUT_BYTES];
	struct buf reason;

	(void)state;
	memset(text + strlen(text), 'x', 5000);
	struct multipart *m = multipart_new(TYPE, take, NULL);
	buf_init_fixed(&reason, why, sizeof(why));
	assert_false(multipart_feed(m, text, strlen(text), &reason));
	assert_string_equal(why, "the header of a part is longer than 4 KiB");
	multipart_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_file_of_a_form),
		cmocka_unit_test(what_is_no_form_with_a_file),
		cmocka_unit_test(headers_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
