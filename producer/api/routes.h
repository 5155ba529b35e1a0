/* SPDX-License-Identifier: Apache-2.0 */
/* The producer's HTTP interface: one table of routes, a file a resource. */
#ifndef CARILLON_PRODUCER_API_ROUTES_H
#define CARILLON_PRODUCER_API_ROUTES_H

#include <ev.h>

#include "common/config.h"
#include "common/heartbeat.h"
#include "common/http_server.h"
#include "producer/api/database.h"
#include "producer/api/endpoints.h"
#include "producer/api/live.h"
#include "producer/api/sessions.h"
#include "producer/api/sign_ins.h"
#include "producer/api/uploads.h"
#include "producer/publisher.h"
#include "producer/scheduler.h"

/* What handlers work with; the server's `arg`. */
struct api {
	struct ev_loop *loop;
	const struct config *cfg;
	struct scheduler *scheduler;
	struct publisher *publisher;
	struct api_database *database; /* NULL without the role `api`, as what follows */
	struct api_keys *keys;
	struct sessions *sessions;
	struct sign_ins *sign_ins;
	struct live *live;
	struct heartbeat *heartbeat; /* of every producer, by which others' pages know of it */
	struct uploads *uploads;
	bool stopping;
};

/* Connects what the role `api` needs. */
void api_init(struct api *api, struct ev_loop *loop, const struct config *cfg,
	      struct scheduler *scheduler, struct publisher *publisher);
bool api_ready(const struct api *api);
/* Who waits is answered with what is known, and streams end. */
void api_stop(struct api *api);
void api_release(struct api *api);
/* What the server's exchanges use to their end: after the server. */
void api_free(struct api *api);

/*
 * Serves LISTEN: with PRODUCER_ROLES=api all routes, else the standing ones alone. `api` must
 * outlive the server. NULL, and logged, if it can't listen.
 */
struct http_server *api_serve(struct ev_loop *loop, struct api *api);
/* Turns the loop until what was answered has left, a second at most. Takes NULL. */
void api_finish(struct ev_loop *loop, struct http_server *server);

/* Resources that are tables of statements. */
#define REDIAL_BASE "/api/admin/redial-queue"
extern const struct resource outcomes_resource;
extern const struct resource pending_calls_resource;
extern const struct resource workflow_resource;
extern const struct resource redial_resource;
extern const struct resource redial_records_resource;
extern const struct resource campaigns_resource;
extern const struct resource plan_resource;
extern const struct resource pacing_resource;
extern const struct resource settings_resource;
extern const struct resource leads_resource;
extern const struct resource follow_ups_resource;
extern const struct resource suppressions_resource;
extern const struct resource calls_resource;
extern const struct resource scheduler_resource;
extern const struct resource audit_resource;
extern const struct resource dead_letters_resource;
extern const struct resource tenants_resource;
extern const struct resource accounts_resource;
extern const struct resource api_keys_resource;
extern const struct resource live_resource;

/* All routes, and the resources among them, for the test that compares them with openapi.json. */
const struct http_route *api_routes(size_t *ret_n);
const struct resource *const *api_resources(size_t *ret_n);

void handle_contacts(void *arg, struct http_exchange *x);
/* Takes the body of such a request in pieces; false: it has answered. */
bool receive_contacts(struct api *api, struct http_exchange *x);

void handle_page(void *arg, struct http_exchange *x);

void handle_session(void *arg, struct http_exchange *x);
void handle_session_begin(void *arg, struct http_exchange *x);
void handle_session_end(void *arg, struct http_exchange *x);

void handle_live(void *arg, struct http_exchange *x);

void handle_openapi(void *arg, struct http_exchange *x);

void handle_call_dispatch(void *arg, struct http_exchange *x);

void handle_account_create(void *arg, struct http_exchange *x);
void handle_account_change(void *arg, struct http_exchange *x);

void handle_dead_letter(void *arg, struct http_exchange *x);
void handle_replay(void *arg, struct http_exchange *x);

void handle_registry_schema(void *arg, struct http_exchange *x);
void handle_registry_schema_text(void *arg, struct http_exchange *x);
void handle_registry_types(void *arg, struct http_exchange *x);
void handle_registry_subjects(void *arg, struct http_exchange *x);
void handle_registry_versions(void *arg, struct http_exchange *x);
void handle_registry_version(void *arg, struct http_exchange *x);
void handle_registry_config(void *arg, struct http_exchange *x);

#endif
