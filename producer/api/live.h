/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /api/live: figures as they change, by server-sent events. All streams of a tenant (and those
 * of keys to all) share one question to the database; it is asked once a second, or less often
 * where an answer takes long: after ten times as long, five seconds at most. Nobody looks: nothing
 * is asked. A client that reads slowly misses figures, not memory.
 */
#ifndef CARILLON_PRODUCER_API_LIVE_H
#define CARILLON_PRODUCER_API_LIVE_H

#include "common/http_server.h"

struct api;
struct live;

#define LIVE_STREAMS_MAX 256	   /* more get 503 */
#define LIVE_STREAMS_SCOPE_MAX 128 /* of one tenant, or of all */

/* `api` must outlive it. Never NULL. */
struct live *live_new(const struct api *api);
/* Ends all streams, and takes no further one. Takes NULL. */
void live_stop(struct live *l);
/* After the server has gone. Takes NULL. */
void live_free(struct live *l);

#endif
