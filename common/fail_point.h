/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fail points: places between two durable steps where a fault test strikes. In a build with
 * -DCARILLON_FAILPOINTS=ON (never a Release) CARILLON_FAIL_POINT in the environment says which:
 * POINT[:OF][=ACTION][@N], several separated by commas. OF narrows it down: a statement's name, a
 * topic's (without prefix and version), of requests to a provider dial or ask. At its Nth passing
 * (1) the process is killed as by kill -9 (`kill`), stopped as by SIGSTOP (`pause`), told that what
 * it was about to do failed, which then is not done (`error`), or that what was done failed
 * (`timeout`). Each strikes once, and says so in a line on stderr. In other builds they are
 * nothing.
 */
#ifndef CARILLON_FAIL_POINT_H
#define CARILLON_FAIL_POINT_H

#include <stdbool.h>

enum fail_point {
#define FAIL_POINT(name, text, processes, actions, when) FAIL_##name,
#include "common/tbl/fail_point.h"
#undef FAIL_POINT
	FAIL_POINT_COUNT
};

#ifdef CARILLON_FAILPOINTS
/* True: act as if it had failed. Ends the process if CARILLON_FAIL_POINT can't be read. */
bool fail_point(enum fail_point p);
/* `of` tells what is being done, where OF may ask for it. */
bool fail_point_of(enum fail_point p, const char *of);
/* For what is made of several parts: the bits of the points that wait for one of this name. */
unsigned fail_point_bits(const char *of);
bool fail_point_in(enum fail_point p, unsigned bits);
#else
static inline bool fail_point(enum fail_point p)
{
	(void)p;
	return false;
}

static inline bool fail_point_of(enum fail_point p, const char *of)
{
	(void)of;
	return fail_point(p);
}

static inline unsigned fail_point_bits(const char *of)
{
	(void)of;
	return 0;
}

static inline bool fail_point_in(enum fail_point p, unsigned bits)
{
	(void)bits;
	return fail_point(p);
}
#endif

#endif
