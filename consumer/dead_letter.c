/* SPDX-License-Identifier: Apache-2.0 */
#include "consumer/dead_letter.h"

#include <string.h>

#include "common/buf.h"

void dead_letter_cut(struct dead_letter *l)
{
	if (l->key_bytes > DEAD_LETTER_MAX_BYTES)
		l->key_bytes = DEAD_LETTER_MAX_BYTES;
	if (l->value_bytes > DEAD_LETTER_MAX_BYTES - l->key_bytes)
		l->value_bytes = DEAD_LETTER_MAX_BYTES - l->key_bytes;
}

void dead_letter_reason(size_t key_bytes, size_t value_bytes, const char *why, char *ret_reason,
			size_t n)
{
	struct dead_letter kept = {.key_bytes = key_bytes, .value_bytes = value_bytes};
	struct buf b;

	buf_init_fixed(&b, ret_reason, n);
	dead_letter_cut(&kept);
	if (kept.value_bytes < value_bytes || kept.key_bytes < key_bytes)
		buf_addf(&b, "of %zu bytes %zu are kept: ", key_bytes + value_bytes,
			 kept.key_bytes + kept.value_bytes);
	buf_add(&b, why, utf8_prefix(why, strlen(why), b.max_bytes - b.len));
}
