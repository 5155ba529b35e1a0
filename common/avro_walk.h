/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The strict walk: is this a well-formed Avro body of that schema, with nothing left over?
 *
 * avro-c must not see hostile bytes (a six-byte message can make it allocate gigabytes, loop or
 * crash), so each message is walked against its schema first: lengths within the remaining bytes,
 * block counts bounded, union branch and enum index in range, booleans 0 or 1, texts valid UTF-8
 * without NUL (nothing of ours could keep one), varints of the range of their type, full
 * consumption. The walk allocates nothing and recurses no deeper than the schema does.
 */
#ifndef CARILLON_AVRO_WALK_H
#define CARILLON_AVRO_WALK_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

#define AVRO_SCHEMA_BYTES_MAX (256 * 1024)

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

/* What the walk asks of a string. */
bool avro_text_valid(const char *s, size_t n);

#endif
