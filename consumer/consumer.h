/* SPDX-License-Identifier: Apache-2.0 */
/* The consumer's parts, put together by the roles it has. */
#ifndef CARILLON_CONSUMER_H
#define CARILLON_CONSUMER_H

#include "common/heartbeat.h"
#include "common/http_client.h"
#include "common/pg.h"
#include "common/process.h"
#include "consumer/audit.h"
#include "consumer/dead_letter_feed.h"
#include "consumer/dispatcher.h"
#include "consumer/publisher.h"
#include "consumer/reconciler.h"
#include "consumer/recorder.h"
#include "consumer/reference.h"
#include "consumer/stop_feed.h"
#include "consumer/written.h"

#define WORKER_BYTES 256

struct consumer {
	struct process process;
	char worker[WORKER_BYTES]; /* WORKER_NAME/incarnation */

	/* What all parts share. */
	struct msg_codec *codec;
	struct publisher *publisher;
	struct written *written;
	struct http_client *registry_http;
	struct schema_registry *registry; /* NULL without SCHEMA_REGISTRY_URL */
	struct http_server *server;
	struct heartbeat *heartbeat;
	struct ev_timer gauges;

	/* ROLES has dispatch. */
	struct pg *watch; /* settings, stops and notifications: nothing that others wait behind */
	struct pg *look_ups; /* of the reconciler and the audit */
	bool watch_is_down;
	struct reference *reference;
	struct stop_feed *stop_feed;
	struct dispatcher *dispatcher;
	struct reconciler *reconciler;
	struct audit *audit; /* NULL: AUDIT_INTERVAL_S is 0 */

	/* ROLES has record. */
	struct recorder *recorder;
	struct dead_letter_feed *dead_letters;

	struct readiness checks[8];
	int stopping; /* parts that are not yet done */
};

/* False, and logged, if a part can't be made. */
bool consumer_start(struct consumer *c);
/* Not ready any more, and no new work; the loop ends when what is under way is over. */
void consumer_drain(struct consumer *c);
void consumer_free(struct consumer *c);

/* --check-config: tries every connection and says how each went. */
bool consumer_check(struct ev_loop *loop, const struct config *cfg);

/* --audit: prints what differs, a JSON line each. The exit code: 0 nothing, 1 something, or not all
 * could be compared. */
int consumer_audit(struct ev_loop *loop, const struct config *cfg);

#endif
