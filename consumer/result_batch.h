/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of common/sql/apply_results.sql: dispatch results as arrays, and the waits they lead
 * to. */
#ifndef CARILLON_CONSUMER_RESULT_BATCH_H
#define CARILLON_CONSUMER_RESULT_BATCH_H

#include <stddef.h>

#include "common/buf.h"
#include "common/config.h"
#include "common/msg.h"
#include "common/pg.h"

#define RESULT_BATCH_ARRAYS 9
#define RESULT_BATCH_PARAMS 13

struct result_batch {
	size_t n;
	struct buf bufs[RESULT_BATCH_ARRAYS];
	struct pg_array arrays[RESULT_BATCH_ARRAYS];
	char waits[RESULT_BATCH_PARAMS - RESULT_BATCH_ARRAYS][24];
	const char *params[RESULT_BATCH_PARAMS];
};

void result_batch_init(struct result_batch *b, const struct config *cfg);
void result_batch_release(struct result_batch *b);
void result_batch_clear(struct result_batch *b);
void result_batch_add(struct result_batch *b, const struct msg_dispatch_result *r);
/* The parameters; NULL: a bound was passed, or no memory. Call once, then clear before the next. */
const char *const *result_batch_params(struct result_batch *b) __attribute__((warn_unused_result));

#endif
