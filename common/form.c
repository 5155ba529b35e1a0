/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A form becomes the same JSON object that the provider could have sent, so that an adapter reads
 * both in one way. Where a signature is over its fields, they are taken as they are.
 */
#include "common/form.h"

#include <string.h>

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Appends. False: a broken escape or a NUL, which no text of ours may hold. */
static bool append_decoded(const char *from, size_t n, struct buf *ret)
{
	for (size_t i = 0; i < n; i++) {
		char c = from[i] == '+' ? ' ' : from[i];
		if (c == '%') {
			int high = i + 2 < n ? hex_value(from[i + 1]) : -1;
			int low = i + 2 < n ? hex_value(from[i + 2]) : -1;
			if (high < 0 || low < 0)
				return false;
			c = (char)(high * 16 + low);
			i += 2;
		}
		if (c == '\0')
			return false;
		buf_addc(ret, c);
	}
	return !ret->failed;
}

static bool decode(const char *from, size_t n, struct buf *ret)
{
	buf_clear(ret);
	return append_decoded(from, n, ret);
}

static json_t *text_of(const struct buf *decoded, struct buf *clean)
{
	buf_clear(clean);
	for (size_t i = 0; i < decoded->len;) {
		size_t n = utf8_sequence(decoded->data + i, decoded->len - i);
		if (n > 0)
			buf_add(clean, decoded->data + i, n);
		else
			buf_adds(clean, "\xef\xbf\xbd");
		i += n > 0 ? n : 1;
	}
	return clean->failed ? NULL : json_stringn(clean->data, clean->len);
}

/* "name=value"; an empty one is none. False: broken. */
static bool add_field(json_t *fields, const char *field, size_t n, struct buf *decoded,
		      struct buf *clean, struct buf *name)
{
	const char *equals = memchr(field, '=', n);
	size_t name_bytes = equals ? (size_t)(equals - field) : n;

	if (name_bytes == 0)
		return true;
	if (!decode(field, name_bytes, decoded))
		return false;
	json_t *key = text_of(decoded, clean);
	buf_clear(name);
	buf_adds(name, json_string_value(key) ? json_string_value(key) : "");
	json_decref(key);
	if (!decode(equals ? equals + 1 : field, equals ? n - name_bytes - 1 : 0, decoded))
		return false;
	if (!*name->data || json_object_get(fields, name->data))
		return true;
	return json_object_set_new(fields, name->data, text_of(decoded, clean)) == 0;
}

json_t *form_parse(const char *bytes, size_t n, struct buf *error)
{
	struct buf decoded, clean, name;
	json_t *fields = json_object();
	bool good = fields != NULL;

	/* What is not UTF-8 triples. */
	buf_init(&decoded, n + 1);
	buf_init(&clean, 3 * n + 1);
	buf_init(&name, 3 * n + 1);
	for (size_t i = 0; good && i < n;) {
		const char *end = memchr(bytes + i, '&', n - i);
		size_t length = end ? (size_t)(end - bytes) - i : n - i;
		good = json_object_size(fields) < FORM_FIELDS_MAX &&
		       add_field(fields, bytes + i, length, &decoded, &clean, &name);
		i += length + 1;
	}
	buf_release(&decoded);
	buf_release(&clean);
	buf_release(&name);
	if (good && json_object_size(fields) > 0)
		return fields;
	buf_adds(error, "the body is no form");
	json_decref(fields);
	return NULL;
}

bool form_pairs(const char *bytes, size_t n, struct buf *storage, struct form_pair *ret_pairs,
		size_t *ret_count)
{
	size_t count = 0;

	for (size_t i = 0; i < n;) {
		const char *end = memchr(bytes + i, '&', n - i);
		size_t length = end ? (size_t)(end - bytes) - i : n - i;
		const char *equals = memchr(bytes + i, '=', length);
		size_t name_bytes = equals ? (size_t)(equals - bytes) - i : length;
		size_t from = storage->len;

		if (length > 0 && count == FORM_FIELDS_MAX)
			return false;
		if (!append_decoded(bytes + i, name_bytes, storage))
			return false;
		size_t middle = storage->len;
		if (equals && !append_decoded(equals + 1, length - name_bytes - 1, storage))
			return false;
		if (length > 0)
			ret_pairs[count++] = (struct form_pair){
				.name_bytes = middle - from,
				.value_bytes = storage->len - middle,
			};
		i += length + 1;
	}
	/* Only now the storage stays where it is. */
	const char *at = storage->data;
	for (size_t i = 0; i < count; i++) {
		struct form_pair *p = &ret_pairs[i];
		p->name = at;
		p->value = at + p->name_bytes;
		at = p->value + p->value_bytes;
	}
	*ret_count = count;
	return true;
}
