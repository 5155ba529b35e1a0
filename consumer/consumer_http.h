/* SPDX-License-Identifier: Apache-2.0 */
/* The consumer's standing routes; it serves nothing else. */
#ifndef CARILLON_CONSUMER_HTTP_H
#define CARILLON_CONSUMER_HTTP_H

#include "common/buf.h"
#include "common/config.h"
#include "common/http_server.h"

/* /healthz, /readyz and /metrics on LISTEN. NULL with the reason. */
struct http_server *consumer_listen(struct ev_loop *loop, const struct config *cfg,
				    struct buf *error);

#endif
