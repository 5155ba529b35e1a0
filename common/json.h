/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jansson with our bounds: foreign JSON is parsed with duplicates refused and size capped; getters
 * follow a path and answer NULL (or a default) where anything is missing or of another type, so
 * that a provider's surprises can't crash an adapter.
 */
#ifndef CARILLON_JSON_H
#define CARILLON_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

#define _cleanup_json_ __attribute__((cleanup(json_cleanup)))
void json_cleanup(json_t **j);

/* NULL with the reason and its place; errno is ENOMEM for want of memory, else EINVAL. Free with
 * json_decref(). Nesting deeper than 64 is refused.
 */
json_t *json_parse(const char *bytes, size_t n, size_t max_bytes, struct buf *error);

/* Path "message.call.id"; objects only; "" is the value itself. Returned references are borrowed.
 */
json_t *json_path(const json_t *j, const char *path);
const char *json_path_text(const json_t *j,
			   const char *path); /* strings only, non-empty; else NULL */
/* Strings as they are, integers and reals in text; into `buf`. NULL if none. false/true/null give
 * NULL. */
const char *json_path_scalar(const json_t *j, const char *path, char *ret_buf, size_t n);
bool json_path_int(const json_t *j, const char *path, int64_t *ret);
bool json_path_double(const json_t *j, const char *path, double *ret);
bool json_path_bool(const json_t *j, const char *path, bool *ret); /* true/false, "true"/"false" */
bool json_path_is_true(const json_t *j, const char *path);

/* Compact text appended to `out`. */
void json_write(const json_t *j, struct buf *out);

#endif
