/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The results that this process has written to PostgreSQL itself and will meet again in Kafka. The
 * dispatcher notes them, the recorder takes note of them once: partitions of jobs and of results
 * with one number are mostly one process's, as both have one key and one way to be assigned. What
 * is forgotten (by a collision, a restart, another process) is only applied a second time, which
 * changes nothing.
 */
#ifndef CARILLON_CONSUMER_WRITTEN_H
#define CARILLON_CONSUMER_WRITTEN_H

#include <stdbool.h>

#include "common/msg.h"

/* Functions take NULL: nothing is noted then. */
struct written;

/* NULL without memory. Of fixed size: 16384 results, 384 KiB. */
struct written *written_new(void);

/* Takes NULL. */
void written_free(struct written *w);

/* The result has moved the call by a transaction that is durable. `job_id` is a UUID. */
void written_add(struct written *w, const char *job_id, enum dispatch_result result);

/* Was this result noted? Only the first time: a second message may say more. */
bool written_take(struct written *w, const char *job_id, enum dispatch_result result);

/*
 * What was written may be no more: a connection is lost, the dispatcher's or the recorder's, and
 * the next server may be another.
 */
void written_forget(struct written *w);

#endif
