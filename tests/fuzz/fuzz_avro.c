/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The strict walk and the decoder behind it. The first byte of the input says what the rest is:
 *
 *   0..4   the Avro body of a message of that type, as a stranger on the topic could write it. What
 *          decodes must encode again, to bytes that give the same message.
 *   other  a schema's text, a NUL, and a body: compiled and walked.
 */
#include <stdlib.h>
#include <string.h>

#include "common/avro_walk.h"
#include "common/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REASON_BYTES 256

/* The codec's framed value of a body. */
static void frame(struct buf *value, enum msg_type type, const uint8_t *body, size_t n)
{
	uint32_t id = (uint32_t)msg_builtin_schema_id(type);
	const unsigned char head[] = {0, (unsigned char)(id >> 24), (unsigned char)(id >> 16),
				      (unsigned char)(id >> 8), (unsigned char)id};

	buf_add(value, head, sizeof(head));
	buf_add(value, body, n);
}

static void fuzz_message(struct msg_codec *codec, enum msg_type type, const uint8_t *body, size_t n)
{
	char why[REASON_BYTES];
	struct buf error;
	struct buf value;
	struct buf again;
	struct buf third;
	struct msg m;
	int32_t id;

	buf_init_fixed(&error, why, sizeof(why));
	buf_init(&value, n + 16);
	buf_init(&again, MSG_VALUE_BYTES_MAX);
	buf_init(&third, MSG_VALUE_BYTES_MAX);
	frame(&value, type, body, n);
	if (msg_decode(codec, type, value.data, value.len, &m, &id, &error) == MSG_DECODED) {
		if (msg_encode(codec, &m, &again) != 0 ||
		    msg_decode(codec, type, again.data, again.len, &m, &id, &error) !=
			    MSG_DECODED ||
		    msg_encode(codec, &m, &third) != 0 || third.len != again.len ||
		    memcmp(third.data, again.data, again.len) != 0)
			abort();
	} else if (error.len == 0) {
		abort();
	}
	buf_release(&third);
	buf_release(&again);
	buf_release(&value);
}

static void fuzz_schema(const uint8_t *data, size_t n)
{
	const uint8_t *end = memchr(data, 0, n);
	size_t text = end ? (size_t)(end - data) : n;
	size_t body = end ? text + 1 : n;
	char why[REASON_BYTES];
	struct buf error;

	buf_init_fixed(&error, why, sizeof(why));
	struct avro_shape *s = avro_shape_new((const char *)data, text, &error);
	if (s)
		(void)!avro_walk(s, data + body, n - body, &error);
	avro_shape_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct msg_codec *codec;

	if (!codec)
		codec = msg_codec_new();
	if (!codec)
		abort();
	if (size == 0)
		return 0;
	if (data[0] < MSG_TYPE_COUNT)
		fuzz_message(codec, (enum msg_type)data[0], data + 1, size - 1);
	else
		fuzz_schema(data + 1, size - 1);
	return 0;
}
