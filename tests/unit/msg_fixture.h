/* SPDX-License-Identifier: Apache-2.0 */
/* Messages with something in each field. */
#ifndef CARILLON_TESTS_MSG_FIXTURE_H
#define CARILLON_TESTS_MSG_FIXTURE_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/msg_internal.h"

static inline char *member(struct msg *m, const struct msg_field *row)
{
	return (char *)m + row->offset;
}

/* Every field of the type gets a value of its own; nullable ones only if `all`. */
static inline void fill(struct msg *m, enum msg_type type, bool all)
{
	static char texts[MSG_FIELDS_MAX][32];
	size_t n;
	const struct msg_field *rows = msg_fields(type, &n);

	memset(m, 0, sizeof(*m));
	m->type = type;
	for (size_t i = 0; i < n; i++) {
		bool present = all || rows[i].required;
		int word = rows[i].words ? rows[i].words->count - 1 : 0;
		snprintf(texts[i], sizeof(texts[i]), "%s \xc3\xa9", rows[i].name);
		switch (rows[i].kind) {
		case MSG_FIELD_TEXT:
			*(const char **)member(m, &rows[i]) = present ? texts[i] : NULL;
			break;
		case MSG_FIELD_BYTES:
			*(const char **)member(m, &rows[i]) = present ? "\0\xff{}" : NULL;
			*(size_t *)((char *)m + rows[i].size_offset) = present ? 4 : 0;
			break;
		case MSG_FIELD_LONG:
		case MSG_FIELD_TIME:
			*(int64_t *)member(m, &rows[i]) =
				present ? INT64_C(1790000000000) + (int64_t)i : MSG_NO_INT;
			break;
		case MSG_FIELD_FLAG:
			*(int64_t *)member(m, &rows[i]) = present ? 1 : MSG_NO_INT;
			break;
		case MSG_FIELD_BOOL:
			*(bool *)member(m, &rows[i]) = all;
			break;
		case MSG_FIELD_ENUM:
			memcpy(member(m, &rows[i]), &word, sizeof(word));
			break;
		}
	}
}

#endif
