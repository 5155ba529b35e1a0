/* SPDX-License-Identifier: Apache-2.0 */
/* A message as people read it, by the table of fields that drives its codec. */
#include <inttypes.h>
#include <string.h>

#include "common/msg_internal.h"

static void write_bytes(const char *s, size_t n, struct buf *out)
{
	size_t k = 0, left = n;

	for (const char *at = s; left > 0 && (k = utf8_sequence(at, left)) > 0; at += k)
		left -= k;
	if (left > 0)
		buf_adds(out, "null");
	else
		buf_add_json_string(out, s, n);
}

static void write_value(const struct msg_field *row, const struct msg *m, const void *at,
			struct buf *out)
{
	const char *text;

	switch (row->kind) {
	case MSG_FIELD_TEXT:
		text = *(const char *const *)at;
		buf_add_json_string(out, text, strlen(text));
		break;
	case MSG_FIELD_BYTES:
		write_bytes(*(const char *const *)at,
			    *(const size_t *)(const void *)((const char *)m + row->size_offset),
			    out);
		break;
	case MSG_FIELD_LONG:
	case MSG_FIELD_TIME:
		buf_addf(out, "%" PRId64, *(const int64_t *)at);
		break;
	case MSG_FIELD_FLAG:
		buf_adds(out, *(const int64_t *)at ? "true" : "false");
		break;
	case MSG_FIELD_BOOL:
		buf_adds(out, *(const bool *)at ? "true" : "false");
		break;
	case MSG_FIELD_ENUM:
		text = row->words->texts[*(const int *)at];
		buf_add_json_string(out, text, strlen(text));
		break;
	}
}

void msg_write_json(const struct msg *m, struct buf *out)
{
	size_t n;
	const struct msg_field *rows = msg_fields(m->type, &n);
	const char *separator = "";

	buf_addc(out, '{');
	for (size_t i = 0; i < n; i++) {
		const void *at = (const char *)m + rows[i].offset;

		if (msg_field_is_absent(&rows[i], at))
			continue;
		buf_addf(out, "%s\"%s\":", separator, rows[i].name);
		write_value(&rows[i], m, at, out);
		separator = ",";
	}
	buf_addc(out, '}');
}
