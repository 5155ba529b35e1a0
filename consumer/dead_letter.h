/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of a message that can't be used, in its dead-letter topic and in the table. */
#ifndef CARILLON_CONSUMER_DEAD_LETTER_H
#define CARILLON_CONSUMER_DEAD_LETTER_H

#include <stddef.h>
#include <stdint.h>

/*
 * Of key and value together: a topic takes 2 MiB (producer/topics.c), and the rest of that is for
 * the letter's headers and the record's frame. A message that was compressed well can be larger.
 */
#define DEAD_LETTER_MAX_BYTES ((2u << 20) - (128u << 10))

/* As it came, but for what is beyond that bound. */
struct dead_letter {
	const char *topic; /* where it was read; it goes to <topic>-dlt */
	int32_t partition;
	int64_t offset;
	const void *key;
	size_t key_bytes;
	const void *value;
	size_t value_bytes;
	const char *headers; /* packed (common/kafka.h) */
	size_t headers_bytes;
	const char *reason;
};

/* Shortens value and, if need be, key to the bound. */
void dead_letter_cut(struct dead_letter *l);
/* Why a message of so many bytes can't be used, and how many of them are kept if not all are: at
 * most n - 1 bytes of UTF-8. */
void dead_letter_reason(size_t key_bytes, size_t value_bytes, const char *why, char *ret_reason,
			size_t n);

#endif
