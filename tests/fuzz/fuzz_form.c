/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes as a form's body: both readings agree on whether it is one, and keep their
 * bounds. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct form_pair pairs[FORM_FIELDS_MAX];
	char reason[256];
	struct buf error, storage;
	size_t count = 0;
	char *copy = malloc(n + 1);

	check(copy != NULL);
	memcpy(copy, data, n);
	copy[n] = '\0';
	buf_init_fixed(&error, reason, sizeof(reason));
	buf_init(&storage, n + 1);
	json_t *fields = form_parse(copy, n, &error);
	bool good = form_pairs(copy, n, &storage, pairs, &count);
	check((fields != NULL) == (error.len == 0));
	check(!fields || (good && json_object_size(fields) > 0));
	check(!fields || json_object_size(fields) <= count);
	check(count <= FORM_FIELDS_MAX);
	size_t bytes = 0;
	for (size_t i = 0; good && i < count; i++)
		bytes += pairs[i].name_bytes + pairs[i].value_bytes;
	check(bytes <= n);
	json_decref(fields);
	buf_release(&storage);
	free(copy);
	return 0;
}
