/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A zone has a handful of rows and there are a handful of zones: reading them from the first to the
 * last costs less than any order they could be kept in.
 */
#include "webhook/zones.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"

#define OFFSET_MAX_S (18 * 3600)
#define LOCAL_TIME_BYTES 19 /* 2026-01-05 08:20:11 */

bool zones_add(struct zones *z, const char *name, int64_t from_ms, int64_t offset_s)
{
	const struct zone_offset *last = z->n > 0 ? &z->offsets[z->n - 1] : NULL;
	int order = last && name ? strcmp(last->name, name) : -1;

	if (z->n == ZONE_OFFSETS_MAX || !name || !*name || strlen(name) >= ZONE_NAME_BYTES ||
	    offset_s < -OFFSET_MAX_S || offset_s > OFFSET_MAX_S || order > 0 ||
	    (order == 0 && last->from_ms >= from_ms))
		return false;
	struct zone_offset *o = &z->offsets[z->n++];
	memcpy(o->name, name, strlen(name) + 1);
	o->from_ms = from_ms;
	o->offset_s = offset_s;
	return true;
}

bool zones_know(const struct zones *z, const char *name)
{
	for (size_t i = 0; i < z->n; i++) {
		if (strcmp(z->offsets[i].name, name) == 0)
			return true;
	}
	return false;
}

bool zones_local_time(const struct zones *z, const char *name, const char *text, int64_t *ret_ms)
{
	char utc[LOCAL_TIME_BYTES + 2];
	const struct zone_offset *before = NULL;
	int64_t local_ms;

	if (strlen(text) != LOCAL_TIME_BYTES)
		return false;
	snprintf(utc, sizeof(utc), "%sZ", text);
	if (time_parse(utc, strlen(utc), &local_ms) != 0)
		return false;
	for (size_t i = 0; i < z->n; i++) {
		const struct zone_offset *o = &z->offsets[i];
		if (strcmp(o->name, name) != 0)
			continue;
		if (before && local_ms - before->offset_s * 1000 < o->from_ms)
			break;
		if (!before || local_ms - o->offset_s * 1000 >= o->from_ms)
			before = o;
		else
			break; /* between the two: an hour that is left out */
	}
	if (!before)
		return false;
	*ret_ms = local_ms - before->offset_s * 1000;
	return true;
}
