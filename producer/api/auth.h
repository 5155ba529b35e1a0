/* SPDX-License-Identifier: Apache-2.0 */
/* Who may ask: secrets of requests, and what they open. */
#ifndef CARILLON_PRODUCER_API_AUTH_H
#define CARILLON_PRODUCER_API_AUTH_H

#include <stdbool.h>

#include "common/http_server.h"
#include "producer/api/keys.h"
#include "producer/api/sessions.h"

struct api;

/* The query parameter that may carry the key. */
#define AUTH_QUERY_KEY "api_key"
/* The one by which a key to all tenants acts as one of them. */
#define AUTH_QUERY_TENANT "tenant"

/* What a route asks for. */
enum auth {
	AUTH_DISPATCH, /* N8N_DISPATCH_SECRET, else CRON_JOB_SECRET */
	AUTH_ADMIN,    /* ADMIN_API_KEY or a key of the database; in a GET's ?api_key= too, with
			  ALLOW_QUERY_API_KEY; or a session that was begun with one */
};

/* Whose keys a route of AUTH_ADMIN serves. */
enum audience {
	AUDIENCE_ALL,	 /* keys to all tenants: what says nothing is not for one of them */
	AUDIENCE_TENANT, /* a tenant's own, too: its requests run under its name (database.h) */
	AUDIENCE_ADMIN,	 /* ADMIN_API_KEY alone */
};

/* A header that a request of a session needs, unless it is a GET: other sites can send the cookie
 * along, but can't read the token. */
#define AUTH_CSRF_HEADER "X-CSRF-Token"

/* Who shows what. */
struct shown {
	bool any;		   /* a key, or a session's cookie */
	bool admin;		   /* it is ADMIN_API_KEY, or what the route asks for instead */
	const struct api_key *key; /* of the database; NULL: none that can be used now */
	bool in_session;	   /* by its cookie; then */
	struct session session;
};

/* Of a request to a route of AUTH_ADMIN. */
struct shown auth_shown(const struct api *api, const struct http_exchange *x);
/* The same, if it had shown this text; takes NULL. */
struct shown auth_shown_text(const struct api *api, const char *text);

/* Why a request of this session may have been made by another site; NULL: it was not. */
const char *auth_forged(const struct api *api, const struct session *session,
			const struct http_exchange *x);

struct caller {
	char tenant[TENANT_BYTES]; /* the request sees and writes what is this one's; "": all */
	struct shown shown;
};

/*
 * True if the request shows the secret, or none is configured, which the configuration permits on
 * loopback only: then whoever shows no key is admin. Otherwise it is answered, worded by `refuse`:
 * 401 without a key that is known, 403 to one that may not do that.
 */
bool auth_admit(const struct api *api, enum auth auth, enum audience audience,
		struct http_exchange *x,
		void (*refuse)(struct http_exchange *x, unsigned status, const char *detail),
		struct caller *ret);
/* The same for handlers of their own that are not for a tenant, with problems. */
bool auth_check(const struct api *api, enum auth auth, struct http_exchange *x);

#endif
