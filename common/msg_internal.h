/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of common/msg.h share: the table of fields and the embedded schemas. */
#ifndef CARILLON_MSG_INTERNAL_H
#define CARILLON_MSG_INTERNAL_H

#include "common/embedded.h"
#include "common/msg.h"

/* How a field is kept in its struct, and the Avro type it has. */
enum msg_field_kind {
	MSG_FIELD_TEXT,	 /* const char *; string */
	MSG_FIELD_BYTES, /* const char * and size_t; bytes */
	MSG_FIELD_LONG,	 /* int64_t or MSG_NO_INT; long */
	MSG_FIELD_TIME,	 /* int64_t or MSG_NO_TIME; long, timestamp-millis */
	MSG_FIELD_FLAG,	 /* int64_t 1, 0 or MSG_NO_INT; boolean */
	MSG_FIELD_BOOL,	 /* bool, false where a writer has no such field; boolean */
	MSG_FIELD_ENUM,	 /* one of the enums of common/tables.h; enum */
};

/* Texts of a closed vocabulary by enumerator. */
struct msg_words {
	const char *const *texts;
	int count;
};

struct msg_field {
	const char *name; /* in the schema */
	enum msg_field_kind kind;
	bool required;	    /* not nullable */
	size_t offset;	    /* in struct msg */
	size_t size_offset; /* of the length of bytes */
	const struct msg_words *words;
};

#define MSG_FIELDS_MAX 24

/* The fields of a message type, in the order of its schema. */
const struct msg_field *msg_fields(enum msg_type type, size_t *ret_count);
/* `at` is the field in its message. Booleans and words are never absent. */
bool msg_field_is_absent(const struct msg_field *row, const void *at);

/* The `i`-th embedded schema of a type: the current one is 0, released ones follow. NULL: no more.
 */
const struct embedded_file *msg_schema_version(enum msg_type type, size_t i);
/* The built-in id of a schema. 0 or -1 with the reason. */
int msg_schema_fingerprint(const char *json, size_t bytes, int32_t *ret_id, struct buf *error)
	__attribute__((warn_unused_result));

#endif
