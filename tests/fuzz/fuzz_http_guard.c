/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard on arbitrary header blocks and targets. Beyond the sanitizers: what it lets through has
 * at most one length, no control character in a value, and a body length that was written in
 * digits.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/http_guard.h"
#include "common/http_route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void fuzz_block(const char *block, size_t n, size_t fields)
{
	struct http_guard g;
	bool has_body = false;
	uint64_t content_length = 0;

	http_guard_init(&g, "POST", "/", "HTTP/1.1");
	http_guard_block(&g, block, n, fields);
	if (http_guard_verdict(&g, &has_body, &content_length))
		return;
	check(g.hosts == 1 && g.content_lengths + g.transfer_encodings <= 1);
	check(has_body == (content_length > 0));
	check(g.fields == fields);
	/* Each byte below a blank is a separator or a tab. */
	for (size_t i = 0; i < n; i++)
		check(block[i] == '\0' || block[i] == '\t' || (unsigned char)block[i] >= ' ');
}

static void fuzz_target(const char *text, size_t n)
{
	char *storage = malloc(2 * (n + 1));
	struct http_path path;

	check(storage != NULL);
	if (http_path_parse(text, n, storage, &path)) {
		check(path.count >= 1 && path.count <= HTTP_SEGMENTS_MAX);
		for (size_t i = 0; i < path.count; i++)
			check(path.offsets[i] + strlen(path.segments + path.offsets[i]) <= n);
	}
	size_t length = http_decode(text, n, true, storage);
	check(length == (size_t)-1 || (length <= n && strlen(storage) == length));
	free(storage);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n == 0)
		return 0;
	/* An exact copy, so that a read beyond the end is seen. */
	char *copy = malloc(n);
	check(copy != NULL);
	memcpy(copy, data, n);
	size_t fields = (unsigned char)copy[0] % 8;
	for (size_t i = 1; i < n; i++)
		if (copy[i] == '|')
			copy[i] = '\0';
	fuzz_block(copy + 1, n - 1, fields);
	memcpy(copy, data, n);
	fuzz_target(copy + 1, n - 1);
	free(copy);
	return 0;
}
