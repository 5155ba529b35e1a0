/* SPDX-License-Identifier: Apache-2.0 */
/* What msg_codec.c (schemas), msg_encode.c and msg_decode.c share. */
#ifndef CARILLON_MSG_CODEC_H
#define CARILLON_MSG_CODEC_H

#include "common/avro_walk.h"
#include "common/msg_internal.h"

#define MSG_FRAME_BYTES 5
/* A larger value than we write: others may, up to the topics' 2 MiB. */
#define MSG_DECODE_BYTES_MAX (2304 * 1024)
#define MSG_FOREIGN_SCHEMAS_MAX 256
#define MSG_KNOWN_SCHEMAS_MAX (MSG_FOREIGN_SCHEMAS_MAX + 64)

/* A schema that messages of a type are read with. */
struct msg_writer {
	struct msg_writer *next;
	struct avro_shape *shape;
	struct avro_part *parts;    /* of the message read last, by field of the schema */
	int fields[MSG_FIELDS_MAX]; /* of the schema, by row of the table; -1: not in it */
};

struct msg_codec {
	struct msg_writer *writers;
	struct {
		enum msg_type type;
		int32_t id;
		const struct msg_writer *writer;
	} known[MSG_KNOWN_SCHEMAS_MAX];
	size_t known_count;
	char *texts; /* of the message read last, each with a NUL */
	size_t texts_bytes;
	int32_t out_ids[MSG_TYPE_COUNT];
	struct buf body;     /* of the message being written */
	struct buf repaired; /* a text whose broken characters are replaced */
};

/* The schema that messages of a type have under an id, or NULL. */
const struct msg_writer *msg_codec_writer(const struct msg_codec *c, enum msg_type type,
					  int32_t id);

#endif
