/* SPDX-License-Identifier: Apache-2.0 */
/* Who may ask: secrets of requests. */
#ifndef CARILLON_PRODUCER_API_AUTH_H
#define CARILLON_PRODUCER_API_AUTH_H

#include <stdbool.h>

#include "common/config.h"
#include "common/http_server.h"

/* What a route asks for. */
enum auth {
	AUTH_DISPATCH, /* N8N_DISPATCH_SECRET, else CRON_JOB_SECRET */
};

/*
 * True if the request shows the secret, or none is configured, which the configuration permits on
 * loopback only. Otherwise the request is answered with 401.
 */
bool auth_check(const struct config *cfg, enum auth auth, struct http_exchange *x);

#endif
