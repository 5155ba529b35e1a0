/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the consumer knows by heart: provider accounts and outcome rules, read at start, when told
 * of a change, and every SETTINGS_REFRESH_S. While PostgreSQL is away the last known ones stay.
 */
#ifndef CARILLON_CONSUMER_REFERENCE_H
#define CARILLON_CONSUMER_REFERENCE_H

#include <ev.h>
#include <stdbool.h>

#include "common/accounts.h"
#include "common/config.h"
#include "common/pg.h"
#include "common/rules/rules.h"

struct reference;

/* `pg` and `cfg` outlive it. NULL without memory. */
struct reference *reference_new(struct ev_loop *loop, struct pg *pg, const struct config *cfg);
/* Takes NULL. */
void reference_free(struct reference *r);
/* Something changed, or the connection is back: read at once. */
void reference_refresh(struct reference *r);
/* Read at least once. */
bool reference_is_ready(const struct reference *r);

/* Both until the loop turns again: a refresh replaces them. */
const struct account *reference_account(const struct reference *r, const char *name);
/* NULL before the first read. */
const struct account_set *reference_accounts(const struct reference *r);
const struct rule_set *reference_rules(const struct reference *r);

#endif
