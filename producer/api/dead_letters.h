/* SPDX-License-Identifier: Apache-2.0 */
/* What a dead letter's bytes say. */
#ifndef CARILLON_PRODUCER_API_DEAD_LETTERS_H
#define CARILLON_PRODUCER_API_DEAD_LETTERS_H

#include "common/msg.h"
#include "producer/api/routes.h"

/*
 * Reads a value as those do whose topic it was in, and appends `"decodes": true | false | null` and
 * with false or null why, as members of a JSON object. Null: written with a schema that is not
 * built in, which the reader would ask the registry for, or the topic is none of ours. True, with
 * `ret`, if it decodes; `ret` lives until the codec's next message.
 */
bool dead_letter_read(const struct api *api, const char *topic, const struct buf *value,
		      struct msg *ret, struct buf *members);

#endif
