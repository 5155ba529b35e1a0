/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiles a schema's text into a flat array of nodes, so that the walk over a message follows
 * indexes and never looks at JSON.
 *
 * Named types are nodes that several links point to. A name is known only after its definition is
 * complete: so a recursive schema, whose walk would be as deep as its message wants, is refused as
 * a reference to an unknown name.
 */
#include "common/avro_shape.h"

#include <stdlib.h>
#include <string.h>

#include "common/json.h"

#define NODES_MAX 4096
#define LINKS_MAX 8192
#define NAMED_MAX 512

struct compiler {
	struct avro_shape *shape;
	struct {
		char name[AVRO_NAME_BYTES]; /* full name */
		uint32_t node;
	} * named;
	size_t named_count;
	struct buf *error;
};

static const char *const primitive_names[AVRO_KIND_PRIMITIVES] = {
	"null", "boolean", "int", "long", "float", "double", "bytes", "string",
};

static int compile(struct compiler *c, const json_t *j, const char *space, uint32_t *ret_node);

static uint32_t add_capped(uint32_t a, uint32_t b)
{
	return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

static int refuse(struct compiler *c, const char *reason, const char *subject)
{
	buf_addf(c->error, "schema: %s", reason);
	if (subject)
		buf_addf(c->error, " \"%s\"", subject);
	return -1;
}

/* `node` is complete but for its place. */
static int add_node(struct compiler *c, const struct avro_node *node, uint32_t *ret_node)
{
	struct avro_shape *s = c->shape;

	if (node->depth > AVRO_SHAPE_DEPTH_MAX)
		return refuse(c, "nested too deep", NULL);
	if (s->nodes_count == NODES_MAX || node->expanded > NODES_MAX)
		return refuse(c, "too many types", NULL);
	s->nodes[s->nodes_count] = *node;
	*ret_node = s->nodes_count++;
	return 0;
}

/* Room for `n` links in a row, filled while their types are compiled. */
static int reserve_links(struct compiler *c, size_t n, uint32_t *ret_first)
{
	struct avro_shape *s = c->shape;

	if (n > LINKS_MAX - s->links_count)
		return refuse(c, "too many fields", NULL);
	*ret_first = s->links_count;
	s->links_count += (uint32_t)n;
	return 0;
}

/* ---- Names ---- */

bool avro_full_name(const char *name, const char *space, char ret_name[AVRO_NAME_BYTES])
{
	struct buf b;

	buf_init_fixed(&b, ret_name, AVRO_NAME_BYTES);
	if (!strchr(name, '.') && *space)
		buf_addf(&b, "%s.", space);
	buf_adds(&b, name);
	return !b.failed;
}

bool avro_defined_name(const json_t *j, const char *space, char ret_name[AVRO_NAME_BYTES],
		       char ret_space[AVRO_NAME_BYTES])
{
	const char *name = json_string_value(json_object_get(j, "name"));
	const char *own_space = json_string_value(json_object_get(j, "namespace"));

	if (!name || !*name || !avro_full_name(name, own_space ? own_space : space, ret_name))
		return false;
	const char *dot = strrchr(ret_name, '.');
	size_t n = dot ? (size_t)(dot - ret_name) : 0;
	memcpy(ret_space, ret_name, n);
	ret_space[n] = '\0';
	return true;
}

static int find_named(struct compiler *c, const char *name, const char *space, uint32_t *ret_node)
{
	char full[AVRO_NAME_BYTES];

	if (!avro_full_name(name, space, full))
		return refuse(c, "name too long", NULL);
	for (size_t i = 0; i < c->named_count; i++) {
		if (strcmp(c->named[i].name, full) == 0) {
			*ret_node = c->named[i].node;
			return 0;
		}
	}
	return refuse(c, "unknown or recursive type", name);
}

static int define_named(struct compiler *c, const char *full, uint32_t node)
{
	for (size_t i = 0; i < c->named_count; i++) {
		if (strcmp(c->named[i].name, full) == 0)
			return refuse(c, "type defined twice", full);
	}
	if (c->named_count == NAMED_MAX)
		return refuse(c, "too many named types", NULL);
	memcpy(c->named[c->named_count].name, full, strlen(full) + 1);
	c->named[c->named_count++].node = node;
	return 0;
}

/* ---- Types ---- */

static int compile_union(struct compiler *c, const json_t *branches, const char *space,
			 uint32_t *ret_node)
{
	size_t n = json_array_size(branches);
	struct avro_node node = {.kind = AVRO_KIND_UNION, .count = (uint32_t)n, .expanded = 1};
	uint32_t shortest = UINT32_MAX;

	if (n == 0)
		return refuse(c, "a union without branches", NULL);
	if (reserve_links(c, n, &node.first) != 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		uint32_t child = 0;
		if (compile(c, json_array_get(branches, i), space, &child) != 0)
			return -1;
		const struct avro_node *branch = &c->shape->nodes[child];
		if (branch->kind == AVRO_KIND_UNION)
			return refuse(c, "a union directly in a union", NULL);
		c->shape->links[node.first + i] = (struct avro_link){.node = child};
		shortest = branch->min_bytes < shortest ? branch->min_bytes : shortest;
		node.expanded = add_capped(node.expanded, branch->expanded);
		node.depth = branch->depth > node.depth ? branch->depth : node.depth;
	}
	node.min_bytes = add_capped(1, shortest);
	node.depth++;
	return add_node(c, &node, ret_node);
}

static int compile_items(struct compiler *c, const json_t *j, enum avro_kind kind,
			 const char *space, uint32_t *ret_node)
{
	struct avro_node node = {.kind = kind, .count = 1, .min_bytes = 1};
	const json_t *items = json_object_get(j, kind == AVRO_KIND_MAP ? "values" : "items");
	uint32_t child = 0;

	if (reserve_links(c, 1, &node.first) != 0 || compile(c, items, space, &child) != 0)
		return -1;
	const struct avro_node *item = &c->shape->nodes[child];
	if (item->min_bytes == 0)
		return refuse(c, "an array or map whose items have no size", NULL);
	c->shape->links[node.first] = (struct avro_link){.node = child};
	node.expanded = add_capped(1, item->expanded);
	node.depth = item->depth + 1;
	return add_node(c, &node, ret_node);
}

static int compile_record(struct compiler *c, const json_t *j, const char *space,
			  uint32_t *ret_node)
{
	const json_t *fields = json_object_get(j, "fields");
	size_t n = json_array_size(fields);
	struct avro_node node = {.kind = AVRO_KIND_RECORD, .count = (uint32_t)n, .expanded = 1};

	if (!json_is_array(fields))
		return refuse(c, "a record without fields",
			      json_string_value(json_object_get(j, "name")));
	if (reserve_links(c, n, &node.first) != 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const json_t *field = json_array_get(fields, i);
		const char *name = json_string_value(json_object_get(field, "name"));
		uint32_t child = 0;
		if (!name)
			return refuse(c, "a field without name", NULL);
		if (compile(c, json_object_get(field, "type"), space, &child) != 0)
			return -1;
		const struct avro_node *type = &c->shape->nodes[child];
		c->shape->links[node.first + i] = (struct avro_link){child, name};
		node.min_bytes = add_capped(node.min_bytes, type->min_bytes);
		node.expanded = add_capped(node.expanded, type->expanded);
		node.depth = type->depth > node.depth ? type->depth : node.depth;
	}
	node.depth++;
	return add_node(c, &node, ret_node);
}

static int compile_enum(struct compiler *c, const json_t *j, uint32_t *ret_node)
{
	const json_t *symbols = json_object_get(j, "symbols");
	size_t n = json_array_size(symbols);
	struct avro_node node = {
		.kind = AVRO_KIND_ENUM,
		.symbols = symbols,
		.count = (uint32_t)n,
		.min_bytes = 1,
		.expanded = 1,
		.depth = 1,
	};

	if (n == 0)
		return refuse(c, "an enum without symbols", NULL);
	return add_node(c, &node, ret_node);
}

static int compile_fixed(struct compiler *c, const json_t *j, uint32_t *ret_node)
{
	json_int_t bytes = json_integer_value(json_object_get(j, "size"));
	struct avro_node node = {.kind = AVRO_KIND_FIXED, .expanded = 1, .depth = 1};

	if (bytes < 1 || bytes > INT32_MAX)
		return refuse(c, "a fixed of no possible size", NULL);
	node.count = (uint32_t)bytes;
	node.min_bytes = (uint32_t)bytes;
	return add_node(c, &node, ret_node);
}

static int compile_named(struct compiler *c, const json_t *j, enum avro_kind kind,
			 const char *space, uint32_t *ret_node)
{
	char full[AVRO_NAME_BYTES];
	char inner[AVRO_NAME_BYTES];
	int rc;

	if (!avro_defined_name(j, space, full, inner))
		return refuse(c, "a type without name, or with too long a one", NULL);
	if (kind == AVRO_KIND_RECORD)
		rc = compile_record(c, j, inner, ret_node);
	else if (kind == AVRO_KIND_ENUM)
		rc = compile_enum(c, j, ret_node);
	else
		rc = compile_fixed(c, j, ret_node);
	return rc != 0 ? rc : define_named(c, full, *ret_node);
}

static int compile_name(struct compiler *c, const char *name, const char *space, uint32_t *ret_node)
{
	for (uint32_t i = 0; i < AVRO_KIND_PRIMITIVES; i++) {
		if (strcmp(primitive_names[i], name) == 0) {
			*ret_node = i;
			return 0;
		}
	}
	return find_named(c, name, space, ret_node);
}

static int compile_object(struct compiler *c, const json_t *j, const char *space,
			  uint32_t *ret_node)
{
	static const struct {
		const char *word;
		enum avro_kind kind;
		int named;
	} complex_types[] = {
		{"record", AVRO_KIND_RECORD, 1}, {"enum", AVRO_KIND_ENUM, 1},
		{"fixed", AVRO_KIND_FIXED, 1},	 {"array", AVRO_KIND_ARRAY, 0},
		{"map", AVRO_KIND_MAP, 0},
	};
	const json_t *type = json_object_get(j, "type");
	const char *word = json_string_value(type);

	for (size_t i = 0; word && i < sizeof(complex_types) / sizeof(complex_types[0]); i++) {
		if (strcmp(complex_types[i].word, word) != 0)
			continue;
		return complex_types[i].named
			       ? compile_named(c, j, complex_types[i].kind, space, ret_node)
			       : compile_items(c, j, complex_types[i].kind, space, ret_node);
	}
	/* {"type": "long", "logicalType": ...}, or a type in one more pair of braces. */
	return compile(c, type, space, ret_node);
}

/* Recursion is bounded: json_parse() refuses deeper nesting than 64. */
static int compile(struct compiler *c, const json_t *j, const char *space, uint32_t *ret_node)
{
	if (json_is_string(j))
		return compile_name(c, json_string_value(j), space, ret_node);
	if (json_is_array(j))
		return compile_union(c, j, space, ret_node);
	if (json_is_object(j))
		return compile_object(c, j, space, ret_node);
	return refuse(c, "a type is missing", NULL);
}

/* ---- The whole ---- */

static void add_primitives(struct avro_shape *s)
{
	static const uint32_t min_bytes[AVRO_KIND_PRIMITIVES] = {
		[AVRO_KIND_NULL] = 0,  [AVRO_KIND_BOOLEAN] = 1, [AVRO_KIND_INT] = 1,
		[AVRO_KIND_LONG] = 1,  [AVRO_KIND_FLOAT] = 4,	[AVRO_KIND_DOUBLE] = 8,
		[AVRO_KIND_BYTES] = 1, [AVRO_KIND_STRING] = 1,
	};

	for (uint32_t i = 0; i < AVRO_KIND_PRIMITIVES; i++) {
		s->nodes[i] = (struct avro_node){
			.kind = (enum avro_kind)i,
			.min_bytes = min_bytes[i],
			.expanded = 1,
			.depth = 1,
		};
	}
	s->nodes_count = AVRO_KIND_PRIMITIVES;
}

/* The working arrays are as large as a schema may be; what it did not need is given back. */
static void shrink(struct avro_shape *s)
{
	void *nodes = realloc(s->nodes, s->nodes_count * sizeof(*s->nodes));
	if (nodes)
		s->nodes = nodes;
	void *links = realloc(s->links, (s->links_count + 1) * sizeof(*s->links));
	if (links)
		s->links = links;
}

struct avro_shape *avro_shape_new(const char *json, size_t bytes, struct buf *error)
{
	struct avro_shape *s = calloc(1, sizeof(*s));
	struct compiler c = {.shape = s, .error = error};

	if (!s)
		goto no_memory;
	s->json = json_parse(json, bytes, AVRO_SCHEMA_BYTES_MAX, error);
	if (!s->json)
		goto fail;
	s->nodes = calloc(NODES_MAX, sizeof(*s->nodes));
	s->links = calloc(LINKS_MAX, sizeof(*s->links));
	c.named = calloc(NAMED_MAX, sizeof(*c.named));
	if (!s->nodes || !s->links || !c.named)
		goto no_memory;
	add_primitives(s);
	if (compile(&c, s->json, "", &s->root) != 0)
		goto fail;
	s->root_name = json_path_text(s->json, "name");
	if (!s->root_name)
		s->root_name = "value";
	shrink(s);
	free(c.named);
	return s;

no_memory:
	buf_adds(error, "no memory");
fail:
	free(c.named);
	avro_shape_free(s);
	return NULL;
}

void avro_shape_free(struct avro_shape *s)
{
	if (!s)
		return;
	json_decref(s->json);
	free(s->nodes);
	free(s->links);
	free(s);
}
