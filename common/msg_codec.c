/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to bytes and back, by avro-c's generic values and the table of fields.
 *
 * All work on schemas is done when one becomes known: for each, a value instance is kept with
 * handles of the fields the table names, so that a message costs no look-up by name and no schema
 * work. Bytes come to avro-c only after the strict walk; its own error texts are not used, because
 * they live in one global buffer that grows from failure to failure.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/msg_codec.h"

#define REFUSAL_BYTES 256

/* ---- Records ---- */

static void record_release(struct msg_record *r)
{
	if (r->value.self)
		avro_value_decref(&r->value);
	if (r->iface)
		avro_value_iface_decref(r->iface);
	if (r->schema)
		avro_schema_decref(r->schema);
	*r = (struct msg_record){0};
}

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

static int record_bind(struct msg_record *r, enum msg_type type, struct buf *error)
{
	size_t n;
	const struct msg_field *rows = msg_fields(type, &n);

	for (size_t i = 0; i < n; i++) {
		int at = avro_schema_record_field_get_index(r->schema, rows[i].name);
		if (at < 0) {
			/* Only what may be absent, or has a default, may be missing. */
			if (!rows[i].required || rows[i].kind == MSG_FIELD_BOOL)
				continue;
			buf_addf(error, "the schema has no field %s", rows[i].name);
			return -1;
		}
		if (!field_fits(rows[i].kind,
				avro_schema_record_field_get_by_index(r->schema, at))) {
			buf_addf(error, "field %s is of another type", rows[i].name);
			return -1;
		}
		avro_value_get_by_index(&r->value, (size_t)at, &r->fields[i], NULL);
	}
	return 0;
}

static int record_init(struct msg_record *r, enum msg_type type, const char *json, size_t bytes,
		       struct buf *error)
{
	*r = (struct msg_record){0};
	if (avro_schema_from_json_length(json, bytes, &r->schema) != 0) {
		r->schema = NULL;
		buf_adds(error, "avro-c takes it for no schema");
		return -1;
	}
	if (!is_avro_record(r->schema)) {
		buf_adds(error, "the schema is not a record");
		goto fail;
	}
	r->iface = avro_generic_class_from_schema(r->schema);
	if (!r->iface || avro_generic_value_new(r->iface, &r->value) != 0) {
		r->value.self = NULL;
		buf_adds(error, "no memory");
		goto fail;
	}
	if (record_bind(r, type, error) == 0)
		return 0;
fail:
	record_release(r);
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

/* NULL with the reason. */
static const struct msg_writer *add_writer(struct msg_codec *c, enum msg_type type, int32_t id,
					   const char *json, size_t bytes, struct buf *error)
{
	struct msg_writer *w = calloc(1, sizeof(*w));

	if (!w) {
		buf_adds(error, "no memory");
		return NULL;
	}
	w->shape = avro_shape_new(json, bytes, error);
	if (!w->shape || record_init(&w->record, type, json, bytes, error) != 0) {
		avro_shape_free(w->shape);
		free(w);
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
		if (i == 0) {
			c->out_ids[type] = id;
			if (record_init(&c->out[type], type, json, f->size, error) != 0)
				return -1;
		}
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
	buf_init(&c->repaired, 3 * (size_t)MSG_VALUE_BYTES_MAX);
	buf_init_fixed(&error, why, sizeof(why));
	c->reader = avro_reader_memory("", 0);
	c->bytes = avro_writer_memory("", 0);
	for (int t = 0; c->reader && c->bytes && t < MSG_TYPE_COUNT; t++) {
		if (add_builtin(c, (enum msg_type)t, &error) != 0) {
			/* The unit tests compile every embedded schema. */
			msg_codec_free(c);
			return NULL;
		}
	}
	if (c->reader && c->bytes)
		return c;
	msg_codec_free(c);
	return NULL;
}

void msg_codec_free(struct msg_codec *c)
{
	if (!c)
		return;
	while (c->writers) {
		struct msg_writer *w = c->writers;
		c->writers = w->next;
		record_release(&w->record);
		avro_shape_free(w->shape);
		free(w);
	}
	for (int t = 0; t < MSG_TYPE_COUNT; t++)
		record_release(&c->out[t]);
	if (c->reader)
		avro_reader_free(c->reader);
	if (c->bytes)
		avro_writer_free(c->bytes);
	buf_release(&c->repaired);
	free(c->scratch);
	free(c);
}
