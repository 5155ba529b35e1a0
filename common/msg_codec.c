/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schemas of a codec. All work on one is done when it becomes known: the places of the fields
 * that the table names are kept, so that a message costs no look-up by name and no schema work.
 *
 * avro-c has a say on schemas alone: a message's bytes never come to it. Its own error texts are
 * not used, because they live in one global buffer that grows from failure to failure.
 */
#include <assert.h>
#include <avro.h>
#include <stdlib.h>
#include <string.h>

#include "common/msg_codec.h"

#define REFUSAL_BYTES 256

/* ---- Fields ---- */

/* Can values of the schema be read as the field's kind? Of a union, the branches but null. */
static bool field_fits(enum msg_field_kind kind, avro_schema_t schema)
{
	if (is_avro_link(schema))
		schema = avro_schema_link_target(schema);
	avro_type_t type = avro_typeof(schema);
	if (type == AVRO_UNION) {
		for (size_t i = 0; i < avro_schema_union_size(schema); i++) {
			avro_schema_t branch = avro_schema_union_branch(schema, (int)i);
			if (!is_avro_null(branch) && !field_fits(kind, branch))
				return false;
		}
		return true;
	}
	switch (kind) {
	case MSG_FIELD_TEXT:
		return type == AVRO_STRING;
	case MSG_FIELD_BYTES:
		return type == AVRO_BYTES;
	case MSG_FIELD_LONG:
	case MSG_FIELD_TIME:
		return type == AVRO_INT32 || type == AVRO_INT64;
	case MSG_FIELD_FLAG:
	case MSG_FIELD_BOOL:
		return type == AVRO_BOOLEAN;
	case MSG_FIELD_ENUM:
		return type == AVRO_ENUM;
	}
	return false;
}

/* Where the fields of the table are in a schema. */
static int schema_bind(avro_schema_t schema, enum msg_type type, int ret_fields[MSG_FIELDS_MAX],
		       struct buf *error)
{
	size_t n;
	const struct msg_field *rows = msg_fields(type, &n);

	if (!is_avro_record(schema)) {
		buf_adds(error, "the schema is not a record");
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		int at = avro_schema_record_field_get_index(schema, rows[i].name);
		ret_fields[i] = at;
		if (at < 0) {
			/* Only what may be absent, or has a default, may be missing. */
			if (!rows[i].required || rows[i].kind == MSG_FIELD_BOOL)
				continue;
			buf_addf(error, "the schema has no field %s", rows[i].name);
			return -1;
		}
		if (!field_fits(rows[i].kind, avro_schema_record_field_get_by_index(schema, at))) {
			buf_addf(error, "field %s is of another type", rows[i].name);
			return -1;
		}
	}
	return 0;
}

static int schema_read(const char *json, size_t bytes, avro_schema_t *ret, struct buf *error)
{
	if (avro_schema_from_json_length(json, bytes, ret) == 0)
		return 0;
	*ret = NULL;
	buf_adds(error, "avro-c takes it for no schema");
	return -1;
}

/* ---- Schemas ---- */

const struct msg_writer *msg_codec_writer(const struct msg_codec *c, enum msg_type type, int32_t id)
{
	for (size_t i = 0; i < c->known_count; i++) {
		if (c->known[i].id == id && c->known[i].type == type)
			return c->known[i].writer;
	}
	return NULL;
}

static void make_known(struct msg_codec *c, enum msg_type type, int32_t id,
		       const struct msg_writer *w)
{
	if (msg_codec_writer(c, type, id) || c->known_count == MSG_KNOWN_SCHEMAS_MAX)
		return;
	c->known[c->known_count].type = type;
	c->known[c->known_count].id = id;
	c->known[c->known_count++].writer = w;
}

static void writer_free(struct msg_writer *w)
{
	avro_shape_free(w->shape);
	free(w->parts);
	free(w);
}

/* 0, or -1 with the reason. */
static int writer_init(struct msg_writer *w, enum msg_type type, const char *json, size_t bytes,
		       struct buf *error)
{
	avro_schema_t schema;

	w->shape = avro_shape_new(json, bytes, error);
	if (!w->shape || schema_read(json, bytes, &schema, error) != 0)
		return -1;
	int rc = schema_bind(schema, type, w->fields, error);
	if (rc == 0 && avro_schema_record_size(schema) != avro_parts_count(w->shape)) {
		buf_adds(error, "avro-c counts other fields");
		rc = -1;
	}
	avro_schema_decref(schema);
	if (rc != 0)
		return -1;
	w->parts = calloc(avro_parts_count(w->shape) + 1, sizeof(*w->parts));
	if (!w->parts)
		buf_adds(error, "no memory");
	return w->parts ? 0 : -1;
}

/* NULL with the reason. */
static const struct msg_writer *add_writer(struct msg_codec *c, enum msg_type type, int32_t id,
					   const char *json, size_t bytes, struct buf *error)
{
	struct msg_writer *w = calloc(1, sizeof(*w));

	if (!w) {
		buf_adds(error, "no memory");
		return NULL;
	}
	if (writer_init(w, type, json, bytes, error) != 0) {
		writer_free(w);
		return NULL;
	}
	w->next = c->writers;
	c->writers = w;
	make_known(c, type, id, w);
	return w;
}

int msg_codec_add_schema(struct msg_codec *c, enum msg_type type, int32_t id, const char *json,
			 size_t bytes, struct buf *error)
{
	assert((unsigned)type < MSG_TYPE_COUNT);
	if (msg_codec_writer(c, type, id))
		return 0;
	if (c->known_count >= MSG_FOREIGN_SCHEMAS_MAX) {
		buf_addf(error, "more than %d schemas", MSG_FOREIGN_SCHEMAS_MAX);
		return -1;
	}
	return add_writer(c, type, id, json, bytes, error) ? 0 : -1;
}

void msg_codec_set_id(struct msg_codec *c, enum msg_type type, int32_t id)
{
	assert((unsigned)type < MSG_TYPE_COUNT);
	c->out_ids[type] = id;
	make_known(c, type, id, msg_codec_writer(c, type, msg_builtin_schema_id(type)));
}

/* ---- Life ---- */

static int add_builtin(struct msg_codec *c, enum msg_type type, struct buf *error)
{
	const struct embedded_file *f;

	for (size_t i = 0; (f = msg_schema_version(type, i)) != NULL; i++) {
		const char *json = (const char *)f->data;
		int32_t id;
		if (msg_schema_fingerprint(json, f->size, &id, error) != 0)
			return -1;
		/* A release may have left the bytes as they were. */
		if (!msg_codec_writer(c, type, id) &&
		    !add_writer(c, type, id, json, f->size, error))
			return -1;
		if (i == 0)
			c->out_ids[type] = id;
	}
	return 0;
}

struct msg_codec *msg_codec_new(void)
{
	char why[REFUSAL_BYTES];
	struct buf error;
	struct msg_codec *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	buf_init(&c->body, MSG_VALUE_BYTES_MAX - MSG_FRAME_BYTES);
	buf_init(&c->repaired, 3 * (size_t)MSG_VALUE_BYTES_MAX);
	buf_init_fixed(&error, why, sizeof(why));
	for (int t = 0; t < MSG_TYPE_COUNT; t++) {
		if (add_builtin(c, (enum msg_type)t, &error) != 0) {
			/* The unit tests compile every embedded schema. */
			msg_codec_free(c);
			return NULL;
		}
	}
	return c;
}

void msg_codec_free(struct msg_codec *c)
{
	if (!c)
		return;
	while (c->writers) {
		struct msg_writer *w = c->writers;
		c->writers = w->next;
		writer_free(w);
	}
	buf_release(&c->body);
	buf_release(&c->repaired);
	free(c->texts);
	free(c);
}
