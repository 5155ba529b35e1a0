/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of any length from the database, a part at a time: memory holds one part, and the
 * statements take no longer for a client that reads slowly.
 */
#ifndef CARILLON_PRODUCER_API_STREAM_H
#define CARILLON_PRODUCER_API_STREAM_H

#include "producer/api/database.h"

#define API_STREAM_PARAMS_MAX 8

/*
 * As api_database_answer(), by a statement that takes one parameter more, the last: NULL at first.
 * Its columns are `status`, `body` (the text of this part) and `more`: what to call it with for the
 * next part, NULL with the last one. The first part decides the status; what is not 200 is all in
 * it. An error after the first part breaks the answer off. `content_type` (NULL: JSON) is that of a
 * 200.
 */
void api_stream_answer(struct api_database *db, struct http_exchange *x, enum api_stmt stmt,
		       const char *content_type, size_t params_count, const char *const *params,
		       const struct api_words *words);

#endif
