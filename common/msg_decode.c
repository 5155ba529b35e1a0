/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes to structs: frame, writer's schema, strict walk, then the table of fields, each field by
 * its own name and each enum by its symbol. Texts are copied out of the message into memory of the
 * codec, which has room for all of them beforehand.
 */
#include <stdlib.h>
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

static int take_enum(const struct msg_field *row, const struct avro_part *part, char *at,
		     struct buf *error)
{
	for (int v = 0; part->symbol && v < row->words->count; v++) {
		if (strcmp(row->words->texts[v], part->symbol) == 0) {
			memcpy(at, &v, sizeof(v));
			return 0;
		}
	}
	buf_addf(error, "%s is \"%.64s\", a word of a later version", row->name,
		 part->symbol ? part->symbol : "");
	return -1;
}

/* Copied to *texts, which moves behind it. */
static const char *take_text(const struct avro_part *part, char **texts)
{
	char *text = *texts;

	memcpy(text, part->bytes, part->bytes_count);
	text[part->bytes_count] = '\0';
	*texts += part->bytes_count + 1;
	return text;
}

static int take_present(const struct msg_field *row, const struct avro_part *part, struct msg *m,
			char **texts, struct buf *error)
{
	char *at = (char *)m + row->offset;

	switch (row->kind) {
	case MSG_FIELD_TEXT:
		*(const char **)at = take_text(part, texts);
		return 0;
	case MSG_FIELD_BYTES:
		*(const char **)at = take_text(part, texts);
		*(size_t *)((char *)m + row->size_offset) = part->bytes_count;
		return 0;
	case MSG_FIELD_LONG:
	case MSG_FIELD_TIME:
		*(int64_t *)at = part->number;
		if (part->number != MSG_NO_INT)
			return 0;
		/* It would be taken for absent. */
		buf_addf(error, "%s is out of range", row->name);
		return -1;
	case MSG_FIELD_FLAG:
		*(int64_t *)at = part->number;
		return 0;
	case MSG_FIELD_BOOL:
		*(bool *)at = part->number != 0;
		return 0;
	case MSG_FIELD_ENUM:
		return take_enum(row, part, at, error);
	}
	return -1;
}

/* NULL: the writer's schema has no such field. */
static int take_field(const struct msg_field *row, const struct avro_part *part, struct msg *m,
		      char **texts, struct buf *error)
{
	if (part && part->kind != AVRO_KIND_NULL)
		return take_present(row, part, m, texts, error);
	take_absent(row, m);
	if (part && row->required) {
		buf_addf(error, "%s is null", row->name);
		return -1;
	}
	return 0;
}

/* Room for all texts of a body, each with a NUL. */
static int reserve_texts(struct msg_codec *c, size_t body_bytes)
{
	size_t needed = body_bytes + MSG_FIELDS_MAX;

	if (needed <= c->texts_bytes)
		return 0;
	char *grown = realloc(c->texts, needed);
	if (!grown)
		return -1;
	c->texts = grown;
	c->texts_bytes = needed;
	return 0;
}

/* A walked body into the struct. */
static int take_body(struct msg_codec *c, const struct msg_writer *w, size_t bytes, struct msg *m,
		     struct buf *error)
{
	size_t n;
	const struct msg_field *rows = msg_fields(m->type, &n);

	if (reserve_texts(c, bytes) != 0) {
		buf_adds(error, "no memory to decode it");
		return -1;
	}
	char *texts = c->texts;
	for (size_t i = 0; i < n; i++) {
		const struct avro_part *part = w->fields[i] < 0 ? NULL : &w->parts[w->fields[i]];
		if (take_field(&rows[i], part, m, &texts, error) != 0)
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
	size_t body_bytes = bytes - MSG_FRAME_BYTES;
	if (avro_walk_parts(w->shape, p + MSG_FRAME_BYTES, body_bytes, w->parts, error) != 0 ||
	    take_body(c, w, body_bytes, &m, error) != 0)
		return MSG_MALFORMED;
	*ret = m;
	return MSG_DECODED;
}
