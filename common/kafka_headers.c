/* SPDX-License-Identifier: Apache-2.0 */
/* Headers that are kept beside a message so that it can be sent again as it was. */
#include <string.h>

#include "common/kafka.h"

size_t kafka_headers_unpack(const char *packed, size_t n, struct kafka_header *ret_headers)
{
	const char *end = packed + n;
	size_t count = 0;

	while (packed < end && count < KAFKA_HEADERS_MAX) {
		const char *value = packed + strlen(packed) + 1;

		ret_headers[count++] = (struct kafka_header){packed, value};
		packed = value + strlen(value) + 1;
	}
	return count;
}

const char *kafka_headers_find(const struct kafka_header *headers, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(headers[i].name, name) == 0)
			return headers[i].value;
	}
	return NULL;
}

void kafka_headers_json(const struct kafka_header *headers, size_t n, struct buf *out)
{
	buf_addc(out, '[');
	for (size_t i = 0; i < n; i++) {
		buf_adds(out, i ? ",[" : "[");
		buf_add_json_string(out, headers[i].name, strlen(headers[i].name));
		buf_addc(out, ',');
		buf_add_json_string(out, headers[i].value, strlen(headers[i].value));
		buf_addc(out, ']');
	}
	buf_addc(out, ']');
}
