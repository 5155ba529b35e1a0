/* SPDX-License-Identifier: Apache-2.0 */
/* --check-config: can everything that the configuration names be reached? */
#ifndef CARILLON_WEBHOOK_CHECK_H
#define CARILLON_WEBHOOK_CHECK_H

#include <ev.h>
#include <stdbool.h>

#include "common/config.h"

/* Tries every connection, blocking, and says on standard output how each went. */
bool webhook_check(struct ev_loop *loop, const struct config *cfg);

#endif
