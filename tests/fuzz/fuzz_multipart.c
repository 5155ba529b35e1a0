/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arbitrary bytes as a multipart/form-data body with a boundary of their own. Beyond the
 * sanitizers: the file that is read does not depend on the pieces it came in, and is no longer than
 * the body.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/multipart.h"

#define REASON_BYTES 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static bool take(void *arg, const char *bytes, size_t n)
{
	buf_add(arg, bytes, n);
	return true;
}

static bool read_all(const char *type, const char *data, size_t n, size_t piece, struct buf *file)
{
	char reason[REASON_BYTES];
	struct buf error;
	bool good = true;

	buf_init_fixed(&error, reason, sizeof(reason));
	struct multipart *m = multipart_new(type, take, file);
	if (!m)
		return false;
	for (size_t i = 0; good && i < n; i += piece)
		good = multipart_feed(m, data + i, n - i < piece ? n - i : piece, &error);
	good = good && multipart_finish(m, &error);
	check(good == (error.len == 0));
	multipart_free(m);
	return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char type[160];
	struct buf whole, pieces, text;

	if (n < 2)
		return 0;
	/* An exact copy, so that a read beyond the end is seen. */
	char *copy = malloc(n);
	check(copy != NULL);
	memcpy(copy, data, n);
	size_t piece = 1 + (unsigned char)copy[0] % 7;
	size_t boundary = (unsigned char)copy[1] % 80;
	if (boundary > n - 2)
		boundary = n - 2;
	buf_init_fixed(&text, type, sizeof(type));
	buf_adds(&text, "multipart/form-data; boundary=");
	buf_add(&text, copy + 2, boundary);
	buf_init(&whole, n);
	buf_init(&pieces, n);
	bool good = read_all(type, copy + 2, n - 2, n, &whole);
	check(read_all(type, copy + 2, n - 2, piece, &pieces) == good);
	check(!whole.failed && whole.len == pieces.len);
	check(whole.len == 0 || memcmp(whole.data, pieces.data, whole.len) == 0);
	buf_release(&whole);
	buf_release(&pieces);
	free(copy);
	return 0;
}
