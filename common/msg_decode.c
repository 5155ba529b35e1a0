/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes to structs: frame, writer's schema, strict walk, then avro-c, then the table of fields,
 * each field by its own name and each enum by its symbol. Texts are lent from the writer's cached
 * instance instead of being copied.
 */
#include <string.h>

#include "common/msg_codec.h"

static void take_absent(const struct msg_field *row, struct msg *m)
{
	char *at = (char *)m + row->offset;

	switch (row->kind) {
	case MSG_FIELD_TEXT:
		*(const char **)at = NULL;
		break;
	case MSG_FIELD_BYTES:
		*(const char **)at = NULL;
		*(size_t *)((char *)m + row->size_offset) = 0;
		break;
	case MSG_FIELD_LONG:
	case MSG_FIELD_TIME:
	case MSG_FIELD_FLAG:
		*(int64_t *)at = MSG_NO_INT;
		break;
	case MSG_FIELD_BOOL:
		*(bool *)at = false;
		break;
	case MSG_FIELD_ENUM:
		break; /* always required */
	}
}

static int take_enum(const struct msg_field *row, avro_value_t *from, char *at, struct buf *error)
{
	int index;

	if (avro_value_get_enum(from, &index) != 0)
		return -1;
	const char *symbol = avro_schema_enum_get(avro_value_get_schema(from), index);
	for (int v = 0; symbol && v < row->words->count; v++) {
		if (strcmp(row->words->texts[v], symbol) == 0) {
			memcpy(at, &v, sizeof(v));
			return 0;
		}
	}
	buf_addf(error, "%s is \"%.64s\", a word of a later version", row->name,
		 symbol ? symbol : "");
	return -1;
}

static int take_number(const struct msg_field *row, avro_value_t *from, int64_t *ret,
		       struct buf *error)
{
	int32_t small;

	if (avro_value_get_type(from) == AVRO_INT32) {
		if (avro_value_get_int(from, &small) != 0)
			return -1;
		*ret = small;
		return 0;
	}
	if (avro_value_get_long(from, ret) != 0)
		return -1;
	if (*ret != MSG_NO_INT)
		return 0;
	/* It would be taken for absent. */
	buf_addf(error, "%s is out of range", row->name);
	return -1;
}

static int take_present(const struct msg_field *row, avro_value_t *from, struct msg *m,
			struct buf *error)
{
	char *at = (char *)m + row->offset;
	int flag;
	const void *bytes;
	size_t n;

	switch (row->kind) {
	case MSG_FIELD_TEXT:
		return avro_value_get_string(from, (const char **)at, &n);
	case MSG_FIELD_BYTES:
		if (avro_value_get_bytes(from, &bytes, &n) != 0)
			return -1;
		*(const char **)at = bytes;
		*(size_t *)((char *)m + row->size_offset) = n;
		return 0;
	case MSG_FIELD_LONG:
	case MSG_FIELD_TIME:
		return take_number(row, from, (int64_t *)at, error);
	case MSG_FIELD_FLAG:
	case MSG_FIELD_BOOL:
		if (avro_value_get_boolean(from, &flag) != 0)
			return -1;
		if (row->kind == MSG_FIELD_BOOL)
			*(bool *)at = flag != 0;
		else
			*(int64_t *)at = flag != 0;
		return 0;
	case MSG_FIELD_ENUM:
		return take_enum(row, from, at, error);
	}
	return -1;
}

static int take_field(const struct msg_field *row, const avro_value_t *field, struct msg *m,
		      struct buf *error)
{
	avro_value_t from = *field;

	if (from.self && avro_value_get_type(&from) == AVRO_UNION &&
	    avro_value_get_current_branch(field, &from) != 0)
		return -1;
	if (from.self && avro_value_get_type(&from) != AVRO_NULL)
		return take_present(row, &from, m, error);
	take_absent(row, m);
	if (from.self && row->required) {
		buf_addf(error, "%s is null", row->name);
		return -1;
	}
	return 0;
}

/* A walked body into the struct. */
static int take_body(struct msg_codec *c, const struct msg_writer *w, const char *body,
		     size_t bytes, struct msg *m, struct buf *error)
{
	size_t n;
	const struct msg_field *rows = msg_fields(m->type, &n);
	avro_value_t value = w->record.value;

	avro_reader_memory_set_source(c->reader, body, (int64_t)bytes);
	if (avro_value_reset(&value) != 0 || avro_value_read(c->reader, &value) != 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (take_field(&rows[i], &w->record.fields[i], m, error) != 0)
			return -1;
	}
	return 0;
}

enum msg_decode msg_decode(struct msg_codec *c, enum msg_type type, const void *value, size_t bytes,
			   struct msg *ret, int32_t *ret_schema_id, struct buf *error)
{
	const unsigned char *p = value;
	struct msg m = {.type = type};

	if (!p || bytes < MSG_FRAME_BYTES || p[0] != 0) {
		buf_addf(error, "%zu bytes without the frame of a schema id", p ? bytes : 0);
		return MSG_MALFORMED;
	}
	*ret_schema_id =
		(int32_t)((uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4]);
	if (bytes > MSG_DECODE_BYTES_MAX) {
		buf_addf(error, "%zu bytes, at most %d are read", bytes, MSG_DECODE_BYTES_MAX);
		return MSG_MALFORMED;
	}
	const struct msg_writer *w = msg_codec_writer(c, type, *ret_schema_id);
	if (!w) {
		buf_addf(error, "schema id %ld is not known", (long)*ret_schema_id);
		return MSG_UNKNOWN_SCHEMA;
	}
	if (avro_walk(w->shape, p + MSG_FRAME_BYTES, bytes - MSG_FRAME_BYTES, error) != 0)
		return MSG_MALFORMED;
	size_t before = error->len;
	if (take_body(c, w, (const char *)p + MSG_FRAME_BYTES, bytes - MSG_FRAME_BYTES, &m,
		      error) != 0) {
		/* What the walk has passed fails in avro-c for want of memory alone. */
		if (error->len == before)
			buf_adds(error, "no memory to decode it");
		return MSG_MALFORMED;
	}
	*ret = m;
	return MSG_DECODED;
}
