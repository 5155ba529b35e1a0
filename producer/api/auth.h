/* SPDX-License-Identifier: Apache-2.0 */
/* Who may ask: secrets of requests. */
#ifndef CARILLON_PRODUCER_API_AUTH_H
#define CARILLON_PRODUCER_API_AUTH_H

#include <stdbool.h>

#include "common/config.h"
#include "common/http_server.h"

/* The query parameter that may carry the admin key. */
#define AUTH_QUERY_KEY "api_key"

/* What a route asks for. */
enum auth {
	AUTH_DISPATCH, /* N8N_DISPATCH_SECRET, else CRON_JOB_SECRET */
	AUTH_ADMIN,    /* ADMIN_API_KEY; in a GET's ?api_key= too, with ALLOW_QUERY_API_KEY */
};

/* True if the request shows the secret, or none is configured, which the configuration permits on
 * loopback only. */
bool auth_passes(const struct config *cfg, enum auth auth, const struct http_exchange *x);
/* Answers with 401, worded by `refuse`. */
void auth_refuse(enum auth auth, struct http_exchange *x,
		 void (*refuse)(struct http_exchange *x, unsigned status, const char *detail));
/* auth_passes(); otherwise the request is answered with a problem. */
bool auth_check(const struct config *cfg, enum auth auth, struct http_exchange *x);

#endif
