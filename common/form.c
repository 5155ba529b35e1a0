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

static json_t *text_of(const char *bytes, size_t n, struct buf *clean)
{
	buf_clear(clean);
	for (size_t i = 0; i < n;) {
		size_t taken = utf8_sequence(bytes + i, n - i);
		if (taken > 0)
			buf_add(clean, bytes + i, taken);
		else
			buf_adds(clean, "\xef\xbf\xbd");
		i += taken > 0 ? taken : 1;
	}
	return clean->failed ? NULL : json_stringn(clean->data, clean->len);
}

static bool add_field(json_t *fields, const struct form_pair *p, struct buf *clean)
{
	json_t *key = text_of(p->name, p->name_bytes, clean);
	const char *name = json_string_value(key);
	bool added = name != NULL;

	if (added && *name && !json_object_get(fields, name))
		added = json_object_set_new(fields, name,
					    text_of(p->value, p->value_bytes, clean)) == 0;
	json_decref(key);
	return added;
}

json_t *form_parse(const char *bytes, size_t n, struct buf *error)
{
	struct form_pair pairs[FORM_FIELDS_MAX];
	struct buf storage, clean;
	json_t *fields = json_object();
	size_t count = 0;

	buf_init(&storage, n + 1);
	buf_init(&clean, 3 * n + 1); /* What is not UTF-8 triples. */
	bool good = fields && form_pairs(bytes, n, &storage, pairs, &count);
	for (size_t i = 0; good && i < count; i++)
		good = add_field(fields, &pairs[i], &clean);
	buf_release(&storage);
	buf_release(&clean);
	if (good && json_object_size(fields) > 0)
		return fields;
	buf_adds(error, "the body is no form");
	json_decref(fields);
	return NULL;
}
