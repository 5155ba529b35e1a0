/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local times of providers that name no offset. Which offset holds when is PostgreSQL's knowledge
 * (webhook/sql/zones.sql); here it is kept, so that times can be read while PostgreSQL is down.
 */
#ifndef CARILLON_WEBHOOK_ZONES_H
#define CARILLON_WEBHOOK_ZONES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZONE_NAME_BYTES 64
#define ZONE_OFFSETS_MAX 512

/* In the zone, from this moment to its next row, local time is UTC + offset_s. */
struct zone_offset {
	char name[ZONE_NAME_BYTES];
	int64_t from_ms;
	int64_t offset_s;
};

struct zones {
	size_t n;
	struct zone_offset offsets[ZONE_OFFSETS_MAX]; /* by name and time */
};

/* In order of names and times. False: full, out of order, or no offset that a zone can have. */
bool zones_add(struct zones *z, const char *name, int64_t from_ms, int64_t offset_s);
bool zones_know(const struct zones *z, const char *name);
/*
 * "2026-01-05 08:20:11" (or with a T) in that zone, as ms since 1970. An hour that comes twice is
 * taken for its first coming, one that is left out for what clocks that were not changed would
 * show. False: no such time or an unknown zone.
 */
bool zones_local_time(const struct zones *z, const char *name, const char *text, int64_t *ret_ms);

#endif
