/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes as JSON: what is taken is written, and read again as the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define WRITTEN_MAX (1 << 20)

static void check(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char reason[256];
	struct buf error, text;
	char *copy = malloc(n + 1);

	check(copy != NULL);
	memcpy(copy, data, n);
	copy[n] = '\0';
	buf_init_fixed(&error, reason, sizeof(reason));
	buf_init(&text, WRITTEN_MAX);
	json_t *j = json_parse(copy, n, WRITTEN_MAX, &error);
	check((j == NULL) == (error.len > 0));
	if (j) {
		json_write(j, &text);
		json_t *again =
			text.failed ? NULL : json_parse(text.data, text.len, WRITTEN_MAX, &error);
		check(text.failed || (again && json_equal(j, again)));
		json_decref(again);
	}
	json_decref(j);
	buf_release(&text);
	free(copy);
	return 0;
}
