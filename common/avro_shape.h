/* SPDX-License-Identifier: Apache-2.0 */
/* What avro_shape.c (compiling a schema), avro_walk.c (walking by it) and avro_canonical.c share.
 */
#ifndef CARILLON_AVRO_SHAPE_H
#define CARILLON_AVRO_SHAPE_H

#include <jansson.h>
#include <stdint.h>

#include "common/avro_walk.h"

#define AVRO_SHAPE_DEPTH_MAX 16
#define AVRO_NAME_BYTES 256

struct avro_node {
	enum avro_kind kind;
	uint32_t count;	    /* fields, branches, symbols, or bytes of a fixed */
	uint32_t first;	    /* of `links`: fields, branches, or the one kind of items */
	uint32_t min_bytes; /* no value is shorter */
	uint32_t expanded;  /* nodes of the whole tree below, this one included */
	uint32_t depth;
	const json_t *symbols; /* of an enum, borrowed from `json` */
};

struct avro_link {
	uint32_t node;
	const char *name; /* of a record's field, borrowed from `json` */
};

struct avro_shape {
	struct avro_node *nodes;
	struct avro_link *links;
	uint32_t nodes_count;
	uint32_t links_count;
	uint32_t root;
	const char *root_name; /* of the outermost record, else "value" */
	json_t *json;
};

/* The full name of `name` written inside the namespace `space`. false: too long. */
bool avro_full_name(const char *name, const char *space, char ret_name[AVRO_NAME_BYTES]);
/* Full name of a record, enum or fixed, and the namespace that holds inside it. false: none, or too
 * long. */
bool avro_defined_name(const json_t *j, const char *space, char ret_name[AVRO_NAME_BYTES],
		       char ret_space[AVRO_NAME_BYTES]);

#endif
