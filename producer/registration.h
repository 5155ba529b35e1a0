/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codec, and the registration of its schemas where SCHEMA_REGISTRY_URL names a registry;
 * without one the built-in ids are used and nothing is waited for.
 */
#ifndef CARILLON_PRODUCER_REGISTRATION_H
#define CARILLON_PRODUCER_REGISTRATION_H

#include <ev.h>
#include <stdbool.h>

#include "common/config.h"
#include "common/msg.h"

struct registration;

/* Ends the process without memory. */
struct registration *registration_new(struct ev_loop *loop, const struct config *cfg);
struct msg_codec *registration_codec(const struct registration *r);
/* Messages may be written. */
bool registration_ready(const struct registration *r);
/* Takes NULL. */
void registration_free(struct registration *r);

#endif
