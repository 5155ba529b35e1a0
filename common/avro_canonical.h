/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A schema's Parsing Canonical Form, as the Avro specification defines it: equal for two schemas
 * exactly if a reader can't tell their bytes apart. Documentation, defaults and layout don't count.
 */
#ifndef CARILLON_AVRO_CANONICAL_H
#define CARILLON_AVRO_CANONICAL_H

#include <stddef.h>

#include "common/buf.h"

/* Appends the form. 0, or -1 with the reason. The text should be one that avro_shape_new() takes.
 */
int avro_canonical(const char *json, size_t bytes, struct buf *ret_form, struct buf *error)
	__attribute__((warn_unused_result));

#endif
