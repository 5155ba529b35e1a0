/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message that can't be used must neither hold its partition up nor get lost: it goes to the
 * dead-letter topic first, and only when it is there into the table, in the transaction that moves
 * the offset past it.
 */
#include "consumer/recorder_internal.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/metrics.h"

#define FULL_QUEUE_PAUSE_MS 200

void recorder_item_bury(struct recorder_item *item, const char *reason)
{
	item->state = ITEM_DEAD;
	dead_letter_reason(item->key_bytes, item->value_bytes, reason, item->reason,
			   sizeof(item->reason));
}

static void on_delivered(struct delivery *d, const char *error)
{
	struct recorder_item *item =
		(struct recorder_item *)((char *)d - offsetof(struct recorder_item, delivery));
	struct recorder *r = item->recorder;

	item->state = error ? ITEM_DEAD : ITEM_DEAD_STORED;
	if (!r) {
		recorder_item_free(item);
		return;
	}
	r->letters_on_way--;
	if (error) {
		log_warn("recorder.dead_letter_delayed", LOG_STR("topic", r->topics[item->topic]),
			 LOG_INT("partition", item->partition), LOG_INT("offset", item->offset),
			 LOG_STR("error", error));
		recorder_back_off(r);
	}
	recorder_advance(r);
}

struct dead_letter recorder_item_letter(const struct recorder *r, const struct recorder_item *item)
{
	struct dead_letter l = {
		.topic = r->topics[item->topic],
		.partition = item->partition,
		.offset = item->offset,
		.key = item->key,
		.key_bytes = item->key_bytes,
		.value = item->value,
		.value_bytes = item->value_bytes,
		.headers = item->headers,
		.headers_bytes = item->headers_bytes,
		.reason = item->reason,
	};

	dead_letter_cut(&l);
	return l;
}

/* False: no room now. */
static bool send_letter(struct recorder *r, struct recorder_item *item)
{
	const struct dead_letter letter = recorder_item_letter(r, item);

	item->delivery.done = on_delivered;
	if (!publish_dead_letter(r->o.publisher, &letter, &item->delivery))
		return false;
	item->state = ITEM_DEAD_SENT;
	r->letters_on_way++;
	log_error("recorder.dead_letter", LOG_STR("topic", letter.topic),
		  LOG_INT("partition", item->partition), LOG_INT("offset", item->offset),
		  LOG_STR("reason", item->reason));
	metric_add(METRIC_DEAD_LETTERS, letter.topic, 1);
	return true;
}

bool recorder_letters_stored(struct recorder *r, size_t n)
{
	bool stored = true;
	struct recorder_item *item = r->queue;

	for (size_t i = 0; i < n; i++, item = item->next) {
		if (item->state == ITEM_DEAD && !send_letter(r, item))
			recorder_pause(r, FULL_QUEUE_PAUSE_MS);
		if (item->state == ITEM_DEAD || item->state == ITEM_DEAD_SENT)
			stored = false;
	}
	return stored;
}
