/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replacing SECRET_KEY: credentials that an older key sealed are sealed with the first one, so that
 * the older can be dropped. It may be repeated, and run beside producers that know both keys.
 */
#ifndef CARILLON_PRODUCER_RESEAL_H
#define CARILLON_PRODUCER_RESEAL_H

#include <stddef.h>

#include "common/buf.h"
#include "common/config.h"

struct reseal_report {
	size_t sealed;	/* anew */
	size_t current; /* with the first key already */
	size_t shut;	/* with a key that is not among them */
};

/* 0, or -1 with the reason. An account that is changed meanwhile is left to its change. */
int reseal_accounts(const struct config *cfg, struct reseal_report *ret_report, struct buf *error);

#endif
