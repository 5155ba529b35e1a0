/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of application/x-www-form-urlencoded. */
#ifndef CARILLON_FORM_H
#define CARILLON_FORM_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

#define FORM_FIELDS_MAX 512

/*
 * The fields as a JSON object of strings; of two with one name the first counts, one without a name
 * is left out, bytes that are not UTF-8 become U+FFFD. NULL with the reason: what form_pairs()
 * refuses, or no fields at all. Free with json_decref().
 */
json_t *form_parse(const char *bytes, size_t n, struct buf *error);

struct form_pair {
	const char *name, *value; /* not terminated */
	size_t name_bytes, value_bytes;
};

/*
 * All fields in their order with the bytes that were meant, which live in `storage` (bounded by
 * `n`), at most FORM_FIELDS_MAX. False: a broken escape, a NUL, too many fields, or no memory
 * (`storage` has failed).
 */
bool form_pairs(const char *bytes, size_t n, struct buf *storage, struct form_pair *ret_pairs,
		size_t *ret_count);

#endif
