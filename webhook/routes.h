/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between HTTP server and ingest: requests become struct webhook_request, ingest's answers become
 * responses. Paths can hold a token, so none is ever logged.
 */
#ifndef CARILLON_WEBHOOK_ROUTES_H
#define CARILLON_WEBHOOK_ROUTES_H

#include "common/config.h"
#include "common/http_server.h"
#include "webhook/ingest.h"

/* The server with the webhook's routes; one a process. NULL with the reason. */
struct http_server *webhook_listen(struct ev_loop *loop, const struct config *cfg,
				   struct ingest *ingest, struct buf *error);
/* For ingest_options.answer: `exchange` is the struct http_exchange. */
void webhook_respond(void *arg, void *exchange, const struct ingest_answer *a);

#endif
