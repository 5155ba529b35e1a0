/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the topics that are missing: the five and a dead-letter topic for each.
 *
 * Asking Kafka blocks, and Kafka may be away when the producer starts, so a thread of its own asks
 * until it is done. What it finds is told on the loop.
 */
#ifndef CARILLON_PRODUCER_TOPICS_H
#define CARILLON_PRODUCER_TOPICS_H

#include <ev.h>
#include <stdbool.h>

#include "common/config.h"

struct topics;

/* `on_ready` is called once, from the loop, when all topics are there. Never NULL: without
 * memory or a thread the process ends. */
struct topics *topics_new(struct ev_loop *loop, const struct config *cfg,
			  void (*on_ready)(void *arg), void *arg);
/* Waits for the attempt under way (some seconds at most). Takes NULL. */
void topics_free(struct topics *t);

#endif
