/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The strict walk: is this a well-formed Avro body of that schema, with nothing left over?
 *
 * avro-c must not see hostile bytes (a six-byte message can make it allocate gigabytes, loop or
 * crash), so each message is read by this walk over its schema instead: lengths
 * within the remaining bytes, block counts bounded, union branch and enum index in range, booleans
 * 0 or 1, texts valid UTF-8 without NUL (nothing of ours could keep one), varints of the range of
 * their type, full consumption. The walk allocates nothing and recurses no deeper than the schema
 * does.
 */
#ifndef CARILLON_AVRO_WALK_H
#define CARILLON_AVRO_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

#define AVRO_SCHEMA_BYTES_MAX (256 * 1024)

/* The primitive kinds are also the indexes of their nodes: each exists once. */
enum avro_kind {
	AVRO_KIND_NULL,
	AVRO_KIND_BOOLEAN,
	AVRO_KIND_INT,
	AVRO_KIND_LONG,
	AVRO_KIND_FLOAT,
	AVRO_KIND_DOUBLE,
	AVRO_KIND_BYTES,
	AVRO_KIND_STRING,
	AVRO_KIND_PRIMITIVES,
	AVRO_KIND_FIXED = AVRO_KIND_PRIMITIVES,
	AVRO_KIND_ENUM,
	AVRO_KIND_ARRAY,
	AVRO_KIND_MAP,
	AVRO_KIND_UNION,
	AVRO_KIND_RECORD,
};

/* A field's value as it was walked over; of a union, the value of its branch. */
struct avro_part {
	enum avro_kind kind;
	int64_t number;	    /* of a boolean (1 or 0), int or long */
	const char *bytes;  /* of bytes or a string, within the body: no NUL behind them */
	size_t bytes_count; /* of them */
	const char *symbol; /* of an enum, borrowed from the schema */
};

/* A schema compiled for walking. */
struct avro_shape;

/*
 * From the text of an .avsc file, an object or an array. NULL with the reason for: not a schema,
 * longer than AVRO_SCHEMA_BYTES_MAX, recursive, arrays or maps of items without size, nested deeper
 * than 16, more than 4096 types once every named one is expanded.
 */
struct avro_shape *avro_shape_new(const char *json, size_t bytes, struct buf *error);
/* Takes NULL. */
void avro_shape_free(struct avro_shape *s);

/* 0, or -1 with the reason (field path, offset) in `error`. */
int avro_walk(const struct avro_shape *s, const void *body, size_t bytes, struct buf *error)
	__attribute__((warn_unused_result));

/* How many fields the record has; 0 for what is none. */
size_t avro_parts_count(const struct avro_shape *s);
/* The same walk, which fills a part for each field of the record. After a refusal they hold
 * nothing. */
int avro_walk_parts(const struct avro_shape *s, const void *body, size_t bytes,
		    struct avro_part *ret_parts, struct buf *error)
	__attribute__((warn_unused_result));

/* What the walk asks of a string. */
bool avro_text_valid(const char *s, size_t n);

#endif
