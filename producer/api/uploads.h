/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contacts of a campaign from a file of any length, in constant memory: the body is read as it
 * comes and staged in PostgreSQL, which holds the client back when it is the slower; when the file
 * is whole its rows are applied, a batch a transaction. A file that does not come whole changes
 * nothing. One that did is applied to its end, whether its client waits or not and whichever
 * producer is left to do so.
 */
#ifndef CARILLON_PRODUCER_API_UPLOADS_H
#define CARILLON_PRODUCER_API_UPLOADS_H

#include <ev.h>

#include "common/config.h"
#include "common/http_server.h"
#include "producer/api/database.h"
#include "producer/api/records.h"

#define UPLOAD_BYTES_MAX ((size_t)512 * 1024 * 1024)

struct uploads;

/* Takes over what other producers left, from time to time. NULL for a NULL database. */
struct uploads *uploads_new(struct ev_loop *loop, const struct config *cfg,
			    struct api_database *db);
/* The database is about to be freed, which ends what is under way. Takes NULL. */
void uploads_close(struct uploads *all);
/* After the server. Takes NULL. */
void uploads_free(struct uploads *all);

/*
 * Receives the body of `x`, of which the header has come and whose key was seen, and answers: 200
 * with the counts, or 202 with the upload when they take longer than a client should wait.
 * `shape` tells the columns. The campaign is looked for as `tenant` ("": as all of them); what is
 * done after that is the campaign's tenant's.
 */
void uploads_receive(struct uploads *all, const char *tenant, struct http_exchange *x,
		     const struct record_shape *shape);

#endif
