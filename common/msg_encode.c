/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structs to bytes, by the table of fields alone: it has the order of the schema, and a unit test
 * holds both together. A nullable field is a union of null and its type, in this order.
 */
#include <assert.h>
#include <string.h>

#include "common/msg_codec.h"

#define INTEGER_BYTES_MAX 10
#define BRANCH_NULL 0
#define BRANCH_VALUE 1

/* Replaces what is no UTF-8, and NUL, which has no place in a C string anyway. */
static void repair_text(struct buf *out, const char *s, size_t n)
{
	buf_clear(out);
	for (size_t i = 0; i < n && !out->failed;) {
		size_t length = utf8_sequence(s + i, n - i);
		if (length > 0)
			buf_add(out, s + i, length);
		else
			buf_adds(out, "\xef\xbf\xbd");
		i += length ? length : 1;
	}
}

/* A zigzag varint. */
static void put_integer(struct buf *b, int64_t value)
{
	uint64_t v = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
	unsigned char bytes[INTEGER_BYTES_MAX];
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		bytes[n++] = (unsigned char)(v | 0x80);
	bytes[n++] = (unsigned char)v;
	buf_add(b, bytes, n);
}

static void put_bytes(struct buf *b, const char *s, size_t n)
{
	put_integer(b, (int64_t)n);
	buf_add(b, s, n);
}

static void put_text(struct msg_codec *c, const char *s)
{
	size_t n = strlen(s);

	if (n <= c->body.max_bytes && !avro_text_valid(s, n)) {
		repair_text(&c->repaired, s, n);
		c->body.failed |= c->repaired.failed;
		s = c->repaired.data;
		n = c->repaired.len;
	}
	put_bytes(&c->body, s, n);
}

static void put_present(struct msg_codec *c, const struct msg_field *row, const struct msg *m)
{
	const char *at = (const char *)m + row->offset;
	int v;

	switch (row->kind) {
	case MSG_FIELD_TEXT:
		put_text(c, *(const char *const *)at);
		break;
	case MSG_FIELD_BYTES:
		put_bytes(&c->body, *(const char *const *)at,
			  *(const size_t *)((const char *)m + row->size_offset));
		break;
	case MSG_FIELD_LONG:
	case MSG_FIELD_TIME:
		put_integer(&c->body, *(const int64_t *)at);
		break;
	case MSG_FIELD_FLAG:
		buf_addc(&c->body, *(const int64_t *)at != 0);
		break;
	case MSG_FIELD_BOOL:
		buf_addc(&c->body, *(const bool *)at);
		break;
	case MSG_FIELD_ENUM:
		memcpy(&v, at, sizeof(v));
		assert(v >= 0 && v < row->words->count);
		put_integer(&c->body, v); /* the schema has the table's order */
		break;
	}
}

static int put_field(struct msg_codec *c, const struct msg_field *row, const struct msg *m)
{
	bool absent = msg_field_is_absent(row, (const char *)m + row->offset);

	if (absent && row->required)
		return -1;
	if (!row->required)
		put_integer(&c->body, absent ? BRANCH_NULL : BRANCH_VALUE);
	if (!absent)
		put_present(c, row, m);
	return c->body.failed ? -1 : 0;
}

int msg_encode(struct msg_codec *c, const struct msg *m, struct buf *ret_value)
{
	assert((unsigned)m->type < MSG_TYPE_COUNT);
	uint32_t id = (uint32_t)c->out_ids[m->type];
	size_t n;
	const struct msg_field *rows = msg_fields(m->type, &n);

	buf_clear(&c->body);
	for (size_t i = 0; i < n; i++) {
		if (put_field(c, &rows[i], m) != 0)
			return -1;
	}
	const unsigned char frame[MSG_FRAME_BYTES] = {
		0,
		(unsigned char)(id >> 24),
		(unsigned char)(id >> 16),
		(unsigned char)(id >> 8),
		(unsigned char)id,
	};
	buf_add(ret_value, frame, sizeof(frame));
	buf_add(ret_value, c->body.data, c->body.len);
	return ret_value->failed ? -1 : 0;
}
