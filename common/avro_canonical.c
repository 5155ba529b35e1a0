/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The canonical form is what built-in schema ids are fingerprints of: a better word in a
 * description must not give all messages a new id, a changed field must.
 */
#include "common/avro_canonical.h"

#include <string.h>

#include "common/avro_shape.h"
#include "common/json.h"

static void add_type(struct buf *out, const json_t *j, const char *space);

static void add_string(struct buf *out, const char *s)
{
	buf_addf(out, "\"%s\"", s); /* names and symbols need no escapes */
}

/* The members of an array, each by `add`. */
static void add_list(struct buf *out, const json_t *list, const char *space,
		     void (*add)(struct buf *, const json_t *, const char *))
{
	buf_addc(out, '[');
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (i > 0)
			buf_addc(out, ',');
		add(out, json_array_get(list, i), space);
	}
	buf_addc(out, ']');
}

static void add_field(struct buf *out, const json_t *field, const char *space)
{
	const char *name = json_string_value(json_object_get(field, "name"));

	buf_adds(out, "{\"name\":");
	add_string(out, name ? name : "");
	buf_adds(out, ",\"type\":");
	add_type(out, json_object_get(field, "type"), space);
	buf_addc(out, '}');
}

static void add_symbol(struct buf *out, const json_t *symbol, const char *space)
{
	const char *text = json_string_value(symbol);

	(void)space;
	add_string(out, text ? text : "");
}

static void add_named(struct buf *out, const json_t *j, const char *word, const char *space)
{
	char name[AVRO_NAME_BYTES];
	char inner[AVRO_NAME_BYTES];

	if (!avro_defined_name(j, space, name, inner)) {
		out->failed = true;
		return;
	}
	buf_adds(out, "{\"name\":");
	add_string(out, name);
	buf_addf(out, ",\"type\":\"%s\",", word);
	if (strcmp(word, "record") == 0) {
		buf_adds(out, "\"fields\":");
		add_list(out, json_object_get(j, "fields"), inner, add_field);
	} else if (strcmp(word, "enum") == 0) {
		buf_adds(out, "\"symbols\":");
		add_list(out, json_object_get(j, "symbols"), inner, add_symbol);
	} else {
		buf_addf(out, "\"size\":%lld",
			 (long long)json_integer_value(json_object_get(j, "size")));
	}
	buf_addc(out, '}');
}

static void add_name(struct buf *out, const char *name, const char *space)
{
	static const char primitives[] = " null boolean int long float double bytes string ";
	char full[AVRO_NAME_BYTES];
	char word[AVRO_NAME_BYTES + 2];
	struct buf b;

	buf_init_fixed(&b, word, sizeof(word));
	buf_addf(&b, " %s ", name);
	if (!b.failed && strstr(primitives, word))
		add_string(out, name);
	else if (avro_full_name(name, space, full))
		add_string(out, full);
	else
		out->failed = true;
}

static void add_type(struct buf *out, const json_t *j, const char *space)
{
	const json_t *type = json_object_get(j, "type");
	const char *word = json_string_value(type);

	if (json_is_string(j)) {
		add_name(out, json_string_value(j), space);
	} else if (json_is_array(j)) {
		add_list(out, j, space, add_type);
	} else if (word && (strcmp(word, "record") == 0 || strcmp(word, "enum") == 0 ||
			    strcmp(word, "fixed") == 0)) {
		add_named(out, j, word, space);
	} else if (word && (strcmp(word, "array") == 0 || strcmp(word, "map") == 0)) {
		const char *items = strcmp(word, "map") == 0 ? "values" : "items";
		buf_addf(out, "{\"type\":\"%s\",\"%s\":", word, items);
		add_type(out, json_object_get(j, items), space);
		buf_addc(out, '}');
	} else if (type) {
		add_type(out, type, space);
	} else {
		out->failed = true;
	}
}

int avro_canonical(const char *json, size_t bytes, struct buf *ret_form, struct buf *error)
{
	_cleanup_json_ json_t *j = json_parse(json, bytes, AVRO_SCHEMA_BYTES_MAX, error);

	if (!j)
		return -1;
	add_type(ret_form, j, "");
	if (ret_form->failed) {
		buf_adds(error, "the schema has no canonical form, or too long a one");
		return -1;
	}
	return 0;
}
