/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An authentic body that can't be read, as a message of <topic>-dlt: the original bytes, and text
 * headers that say why, when and whence, by our names and by those that Spring's tools look for.
 */
#ifndef CARILLON_WEBHOOK_DEAD_LETTER_H
#define CARILLON_WEBHOOK_DEAD_LETTER_H

#include "common/accounts.h"
#include "common/clock.h"
#include "common/kafka.h"
#include "webhook/adapter.h"

#define DEAD_LETTER_SUFFIX "-dlt"
#define DEAD_LETTER_HEADERS 8
#define INGEST_TOPIC_BYTES 160

struct dead_letter {
	struct kafka_message message;
	struct kafka_header headers[DEAD_LETTER_HEADERS];
	char at[TIME_TEXT_BYTES];
};

/* Borrows all its arguments; `ret` must stay where it is. */
void dead_letter_init(struct dead_letter *ret, const char *dead_topic, const char *topic,
		      const char *source, const struct account *a, const struct webhook_request *r,
		      const char *reason);

#endif
