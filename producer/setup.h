/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the environment says, written into the database at start: its provider accounts, the lanes'
 * accounts where there is none yet, the lead window, and at the very first start the redial
 * settings. All of it can be done any number of times by any number of producers.
 */
#ifndef CARILLON_PRODUCER_SETUP_H
#define CARILLON_PRODUCER_SETUP_H

#include <stdbool.h>

#include "common/accounts.h"
#include "common/config.h"
#include "common/pg.h"

/*
 * The account of a lane: the one named by `key`; else the environment's only one that can dial,
 * Omni before Vapi before Bland; NULL if there is none.
 */
const char *setup_lane_account(const struct config *cfg, const struct account_set *accounts,
			       enum config_key key);

/* One batch; `done` is called from the loop with whether it was done. What is wrong is logged. */
void setup_run(struct pg *pg, const struct config *cfg, void (*done)(void *arg, bool ok),
	       void *arg);

#endif
