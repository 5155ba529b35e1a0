/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fail points: places between two durable steps where a fault test strikes. In a build with
 * -DCARILLON_FAILPOINTS=ON (never a Release) CARILLON_FAIL_POINT in the environment says which:
 * POINT[=ACTION][@N], several separated by commas. At its Nth passing (1) the process is killed as
 * by kill -9 (`kill`), stopped as by SIGSTOP (`pause`), or told that it failed (`error`). Each
 * strikes once, and says so in a line on stderr. In other builds they are nothing.
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
/* True: act as if what was done had failed. Ends the process if CARILLON_FAIL_POINT can't be read.
 */
bool fail_point(enum fail_point p);
#else
static inline bool fail_point(enum fail_point p)
{
	(void)p;
	return false;
}
#endif

#endif
