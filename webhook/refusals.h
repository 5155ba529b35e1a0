/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of refused requests: anybody can send them, so they must not fill it. Of each account and
 * reason the first is logged, then a sum every ten seconds for as long as they come.
 */
#ifndef CARILLON_WEBHOOK_REFUSALS_H
#define CARILLON_WEBHOOK_REFUSALS_H

#include "common/accounts.h"
#include "common/clock.h"

#define REFUSALS_SUM_MS 10000

struct refusals;

/* NULL without memory. */
struct refusals *refusals_new(const struct clock *clock);
/* Logs what is not summed up yet. Takes NULL. */
void refusals_free(struct refusals *r);

/* `reason` is a literal. */
void refusals_add(struct refusals *r, const struct account *a, const char *reason);
/* Logs the sums that are due. To be called every now and then. */
void refusals_tick(struct refusals *r);

#endif
