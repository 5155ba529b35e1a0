/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fail points: places between two durable steps where a fault test lets the process die as by
 * kill -9. In a build with -DCARILLON_FAILPOINTS=ON (never a Release) the point that
 * CARILLON_FAIL_POINT in the environment names kills at its first passing; else they are nothing.
 */
#ifndef CARILLON_FAIL_POINT_H
#define CARILLON_FAIL_POINT_H

#ifdef CARILLON_FAILPOINTS
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static inline void fail_point(const char *name)
{
	const char *wanted = getenv("CARILLON_FAIL_POINT");

	if (wanted && strcmp(wanted, name) == 0)
		raise(SIGKILL);
}
#else
static inline void fail_point(const char *name)
{
	(void)name;
}
#endif

#endif
