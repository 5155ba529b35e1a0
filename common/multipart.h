/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one file of a multipart/form-data body (RFC 7578), read piece by piece: a browser's form with
 * a file input, or curl -F. A part is a file if it has a file's name, or is named "file". Other
 * parts of the form are passed over. Memory is constant.
 */
#ifndef CARILLON_MULTIPART_H
#define CARILLON_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

struct multipart;

/* A piece of the file; false ends the reading. */
typedef bool multipart_cb(void *arg, const char *bytes, size_t n);

/* NULL if the content type is not multipart/form-data with a boundary. */
struct multipart *multipart_new(const char *content_type, multipart_cb *on_file, void *arg);
void multipart_free(struct multipart *m); /* takes NULL */
/* False with the reason once and for all; also, without one, when on_file said so. */
bool multipart_feed(struct multipart *m, const char *bytes, size_t n, struct buf *error)
	__attribute__((warn_unused_result));
/* False if the body was cut short or had no file. */
bool multipart_finish(struct multipart *m, struct buf *error) __attribute__((warn_unused_result));

#endif
