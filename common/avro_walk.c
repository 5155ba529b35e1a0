/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk over a message's bytes, which nobody has checked before. Every read is checked
 * against the end first; every refusal says which field and where, for the dead letter's reason.
 */
#include "common/avro_walk.h"

#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "common/avro_shape.h"

#define VARINT_BYTES_MAX 10

struct walk {
	const struct avro_shape *shape;
	const unsigned char *start;
	const unsigned char *at;
	const unsigned char *end;
	const char *path[AVRO_SHAPE_DEPTH_MAX + 1];
	unsigned depth;
	struct avro_part *parts; /* of the outermost record; NULL: not asked for */
	struct buf *error;
};

static int walk_node(struct walk *w, uint32_t index);

static size_t left(const struct walk *w)
{
	return (size_t)(w->end - w->at);
}

__attribute__((format(printf, 2, 3))) static int refuse(struct walk *w, const char *fmt, ...)
{
	va_list ap;

	buf_adds(w->error, w->shape->root_name);
	for (unsigned i = 0; i < w->depth; i++)
		buf_addf(w->error, ".%s", w->path[i]);
	buf_addf(w->error, " at byte %zu: ", (size_t)(w->at - w->start));
	va_start(ap, fmt);
	buf_vaddf(w->error, fmt, ap);
	va_end(ap);
	return -1;
}

/* ---- Texts ---- */

bool avro_text_valid(const char *s, size_t n)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	const uint64_t highs = UINT64_C(0x8080808080808080);
	size_t i = 0;

	while (i < n) {
		uint64_t eight;
		/* Eight bytes of ASCII without NUL at once: nearly all of nearly all texts. */
		while (n - i >= sizeof(eight)) {
			memcpy(&eight, s + i, sizeof(eight));
			if (((eight - ones) | eight) & highs)
				break;
			i += sizeof(eight);
		}
		for (size_t stop = i + sizeof(eight); i < n && i < stop;) {
			size_t length = utf8_sequence(s + i, n - i);
			if (length == 0 || s[i] == '\0')
				return false;
			i += length;
		}
	}
	return true;
}

/* ---- Parts ---- */

/* A zigzag varint within [min, max]. */
static int walk_integer(struct walk *w, int64_t min, int64_t max, int64_t *ret)
{
	uint64_t v = 0;
	size_t n = 0;

	for (;; n++) {
		if (n == left(w))
			return refuse(w, "the message ends inside a number");
		if (n == VARINT_BYTES_MAX || (n == VARINT_BYTES_MAX - 1 && w->at[n] > 1))
			return refuse(w, "a number of more than 64 bits");
		v |= (uint64_t)(w->at[n] & 0x7f) << (7 * n);
		if (w->at[n] < 0x80)
			break;
	}
	int64_t value = (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
	if (value < min || value > max)
		return refuse(w, "%lld is out of range", (long long)value);
	w->at += n + 1;
	*ret = value;
	return 0;
}

static int walk_raw(struct walk *w, size_t n)
{
	if (n > left(w))
		return refuse(w, "%zu bytes announced, %zu left", n, left(w));
	w->at += n;
	return 0;
}

static int walk_counted(struct walk *w, bool text)
{
	int64_t n = 0;

	if (walk_integer(w, 0, INT64_MAX, &n) != 0 || walk_raw(w, (size_t)n) != 0)
		return -1;
	if (text && !avro_text_valid((const char *)w->at - n, (size_t)n))
		return refuse(w, "not UTF-8, or with a NUL");
	return 0;
}

static int walk_boolean(struct walk *w)
{
	if (left(w) > 0 && *w->at > 1)
		return refuse(w, "a boolean of %u", (unsigned)*w->at);
	return walk_raw(w, 1);
}

/* A number that was walked over. */
static int64_t read_integer(const unsigned char **at)
{
	uint64_t v = 0;
	unsigned shift = 0;

	while (**at >= 0x80) {
		v |= (uint64_t)(*(*at)++ & 0x7f) << shift;
		shift += 7;
	}
	v |= (uint64_t) * (*at)++ << shift;
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* The value at `at` was walked over. */
static struct avro_part read_part(const struct walk *w, uint32_t index, const unsigned char *at)
{
	const struct avro_node *node = &w->shape->nodes[index];

	if (node->kind == AVRO_KIND_UNION) {
		uint32_t branch = (uint32_t)read_integer(&at);
		node = &w->shape->nodes[w->shape->links[node->first + branch].node];
	}
	struct avro_part part = {.kind = node->kind};
	switch (node->kind) {
	case AVRO_KIND_BOOLEAN:
		part.number = *at;
		break;
	case AVRO_KIND_INT:
	case AVRO_KIND_LONG:
		part.number = read_integer(&at);
		break;
	case AVRO_KIND_BYTES:
	case AVRO_KIND_STRING:
		part.bytes_count = (size_t)read_integer(&at);
		part.bytes = (const char *)at;
		break;
	case AVRO_KIND_ENUM:
		part.symbol =
			json_string_value(json_array_get(node->symbols, (size_t)read_integer(&at)));
		break;
	case AVRO_KIND_NULL:
	case AVRO_KIND_FLOAT:
	case AVRO_KIND_DOUBLE:
	case AVRO_KIND_FIXED:
	case AVRO_KIND_ARRAY:
	case AVRO_KIND_MAP:
	case AVRO_KIND_UNION:
	case AVRO_KIND_RECORD:
		break; /* no field of a message is one */
	}
	return part;
}

static int walk_record(struct walk *w, const struct avro_node *node)
{
	const struct avro_link *fields = w->shape->links + node->first;

	/* No deeper than the schema, which is no deeper than the array. */
	unsigned level = w->depth++;
	for (uint32_t i = 0; i < node->count; i++) {
		const unsigned char *start = w->at;
		w->path[level] = fields[i].name;
		if (walk_node(w, fields[i].node) != 0)
			return -1;
		if (level == 0 && w->parts)
			w->parts[i] = read_part(w, fields[i].node, start);
	}
	w->depth = level;
	return 0;
}

/*
 * Arrays and maps come in blocks: a count, negative if the size of the block in bytes follows;
 * 0 ends. A count that the remaining bytes could not hold is refused at once.
 */
static int walk_blocks(struct walk *w, const struct avro_node *node)
{
	uint32_t item = w->shape->links[node->first].node;
	bool keyed = node->kind == AVRO_KIND_MAP;
	size_t item_bytes = w->shape->nodes[item].min_bytes + (size_t)keyed;

	for (;;) {
		int64_t count = 0;
		int64_t block_bytes = -1;
		if (walk_integer(w, -INT64_MAX, INT64_MAX, &count) != 0)
			return -1;
		if (count == 0)
			return 0;
		if (count < 0) {
			count = -count;
			if (walk_integer(w, 0, INT64_MAX, &block_bytes) != 0)
				return -1;
		}
		if ((uint64_t)count > left(w) / item_bytes)
			return refuse(w, "%lld items announced, %zu bytes left", (long long)count,
				      left(w));
		const unsigned char *block = w->at;
		for (int64_t i = 0; i < count; i++) {
			if ((keyed && walk_counted(w, true) != 0) || walk_node(w, item) != 0)
				return -1;
		}
		if (block_bytes >= 0 && w->at - block != block_bytes)
			return refuse(w, "a block of %lld bytes says that it has %lld",
				      (long long)(w->at - block), (long long)block_bytes);
	}
}

static int walk_node(struct walk *w, uint32_t index)
{
	const struct avro_node *node = &w->shape->nodes[index];
	int64_t v = 0;

	switch (node->kind) {
	case AVRO_KIND_NULL:
		return 0;
	case AVRO_KIND_BOOLEAN:
		return walk_boolean(w);
	case AVRO_KIND_INT:
		return walk_integer(w, INT32_MIN, INT32_MAX, &v);
	case AVRO_KIND_LONG:
		return walk_integer(w, INT64_MIN, INT64_MAX, &v);
	case AVRO_KIND_FLOAT:
	case AVRO_KIND_DOUBLE:
	case AVRO_KIND_FIXED:
		return walk_raw(w, node->min_bytes);
	case AVRO_KIND_BYTES:
	case AVRO_KIND_STRING:
		return walk_counted(w, node->kind == AVRO_KIND_STRING);
	case AVRO_KIND_ENUM:
		return walk_integer(w, 0, (int64_t)node->count - 1, &v);
	case AVRO_KIND_ARRAY:
	case AVRO_KIND_MAP:
		return walk_blocks(w, node);
	case AVRO_KIND_UNION:
		if (walk_integer(w, 0, (int64_t)node->count - 1, &v) != 0)
			return -1;
		return walk_node(w, w->shape->links[node->first + (uint32_t)v].node);
	case AVRO_KIND_RECORD:
		return walk_record(w, node);
	}
	return refuse(w, "a type unknown to the walk");
}

size_t avro_parts_count(const struct avro_shape *s)
{
	const struct avro_node *root = &s->nodes[s->root];

	return root->kind == AVRO_KIND_RECORD ? root->count : 0;
}

int avro_walk_parts(const struct avro_shape *s, const void *body, size_t bytes,
		    struct avro_part *ret_parts, struct buf *error)
{
	const unsigned char *start = bytes > 0 ? body : (const unsigned char *)"";
	struct walk w = {
		.shape = s,
		.start = start,
		.at = start,
		.end = start + bytes,
		.parts = avro_parts_count(s) > 0 ? ret_parts : NULL,
		.error = error,
	};

	if (walk_node(&w, s->root) != 0)
		return -1;
	return left(&w) > 0 ? refuse(&w, "%zu bytes left over", left(&w)) : 0;
}

int avro_walk(const struct avro_shape *s, const void *body, size_t bytes, struct buf *error)
{
	return avro_walk_parts(s, body, bytes, NULL, error);
}
