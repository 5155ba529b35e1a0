/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structs to bytes: the cached instance of the schema is filled by the table of fields, every
 * union's branch is set (avro-c refuses to write one without), and the body goes through scratch
 * memory of the codec, because avro-c writes to memory of known size only.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/msg_codec.h"

#define INTEGER_BYTES_MAX 10

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

/* Adds the most bytes the text can take to `size`. */
static int put_text(struct msg_codec *c, avro_value_t *to, const char *s, size_t *size)
{
	size_t n = strlen(s);

	if (n > MSG_VALUE_BYTES_MAX)
		return -1;
	if (!avro_text_valid(s, n)) {
		repair_text(&c->repaired, s, n);
		s = c->repaired.data;
		n = c->repaired.len;
	}
	*size += n;
	return avro_value_set_string_len(to, s, n + 1);
}

static bool is_absent(const struct msg_field *row, const char *at)
{
	switch (row->kind) {
	case MSG_FIELD_TEXT:
	case MSG_FIELD_BYTES:
		return *(const char *const *)at == NULL;
	case MSG_FIELD_LONG:
	case MSG_FIELD_TIME:
	case MSG_FIELD_FLAG:
		return *(const int64_t *)at == MSG_NO_INT;
	case MSG_FIELD_BOOL:
	case MSG_FIELD_ENUM:
		return false;
	}
	return true;
}

static int put_present(struct msg_codec *c, const struct msg_field *row, const struct msg *m,
		       avro_value_t *to, size_t *size)
{
	const char *at = (const char *)m + row->offset;

	switch (row->kind) {
	case MSG_FIELD_TEXT:
		return put_text(c, to, *(const char *const *)at, size);
	case MSG_FIELD_BYTES: {
		const size_t n = *(const size_t *)((const char *)m + row->size_offset);
		if (n > MSG_VALUE_BYTES_MAX)
			return -1;
		*size += n;
		return avro_value_set_bytes(to, *(char *const *)at, n);
	}
	case MSG_FIELD_LONG:
	case MSG_FIELD_TIME:
		return avro_value_set_long(to, *(const int64_t *)at);
	case MSG_FIELD_FLAG:
		return avro_value_set_boolean(to, *(const int64_t *)at != 0);
	case MSG_FIELD_BOOL:
		return avro_value_set_boolean(to, *(const bool *)at);
	case MSG_FIELD_ENUM: {
		int v;
		memcpy(&v, at, sizeof(v));
		assert(v >= 0 && v < row->words->count);
		return avro_value_set_enum(to, v); /* the schema has the table's order */
	}
	}
	return -1;
}

static int put_field(struct msg_codec *c, const struct msg_field *row, const struct msg *m,
		     avro_value_t *to, size_t *size)
{
	bool absent = is_absent(row, (const char *)m + row->offset);
	avro_value_t branch = *to;

	*size += 2 * (size_t)INTEGER_BYTES_MAX; /* branch, and length or number */
	if (absent && row->required)
		return -1;
	/* Nullable ones are ["null", T]. */
	if (!row->required && avro_value_set_branch(to, absent ? 0 : 1, &branch) != 0)
		return -1;
	return absent ? avro_value_set_null(&branch) : put_present(c, row, m, &branch, size);
}

/* The filled record's body into the scratch memory. `size` is its bound. */
static int write_body(struct msg_codec *c, struct msg_record *r, size_t size, size_t *ret_bytes)
{
	if (size > c->scratch_bytes) {
		char *grown = realloc(c->scratch, size);
		if (!grown)
			return -1;
		c->scratch = grown;
		c->scratch_bytes = size;
	}
	avro_writer_memory_set_dest(c->bytes, c->scratch, (int64_t)c->scratch_bytes);
	if (avro_value_write(c->bytes, &r->value) != 0)
		return -1;
	*ret_bytes = (size_t)avro_writer_tell(c->bytes);
	return 0;
}

int msg_encode(struct msg_codec *c, const struct msg *m, struct buf *ret_value)
{
	assert((unsigned)m->type < MSG_TYPE_COUNT);
	struct msg_record *r = &c->out[m->type];
	uint32_t id = (uint32_t)c->out_ids[m->type];
	size_t n;
	size_t size = 0;
	size_t body_bytes;
	const struct msg_field *rows = msg_fields(m->type, &n);

	for (size_t i = 0; i < n; i++) {
		if (put_field(c, &rows[i], m, &r->fields[i], &size) != 0)
			return -1;
	}
	if (size > MSG_DECODE_BYTES_MAX || write_body(c, r, size, &body_bytes) != 0 ||
	    body_bytes > MSG_VALUE_BYTES_MAX - MSG_FRAME_BYTES)
		return -1;
	const unsigned char frame[MSG_FRAME_BYTES] = {
		0,
		(unsigned char)(id >> 24),
		(unsigned char)(id >> 16),
		(unsigned char)(id >> 8),
		(unsigned char)id,
	};
	buf_add(ret_value, frame, sizeof(frame));
	buf_add(ret_value, c->scratch, body_bytes);
	return ret_value->failed ? -1 : 0;
}
