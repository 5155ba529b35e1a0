/* SPDX-License-Identifier: Apache-2.0 */
/* Each kind of secret is a row: where it is configured, where a request may carry it. Beside
 * ADMIN_API_KEY, which may do all, there are the database's keys; and either may have begun a
 * session, which then is as good. What a request carries itself wins over its cookie. */
#include "producer/api/auth.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "common/config_types.h"
#include "producer/api/routes.h"

#define KEYS_MAX 2
#define HEADERS_MAX 3
#define RETRY_AFTER "1"
#define HOST_BYTES 300

static const struct {
	enum config_key keys[KEYS_MAX]; /* the first that is set */
	size_t keys_count;
	const char *headers[HEADERS_MAX]; /* beside Authorization: Bearer */
	const char *query;		  /* of a GET, where ALLOW_QUERY_API_KEY permits it */
	const char *detail;
} secrets[] = {
	[AUTH_DISPATCH] =
		{
			.keys = {CONFIG_KEY_N8N_DISPATCH_SECRET, CONFIG_KEY_CRON_JOB_SECRET},
			.keys_count = 2,
			.headers = {"x-n8n-secret", "x-cron-secret", NULL},
			.detail = "the dispatch secret is missing or wrong",
		},
	[AUTH_ADMIN] =
		{
			.keys = {CONFIG_KEY_ADMIN_API_KEY},
			.keys_count = 1,
			.headers = {"x-api-key", NULL},
			.query = AUTH_QUERY_KEY,
			.detail = "the key is missing or wrong: send it as X-API-Key, or sign in",
		},
};

static const char *configured(const struct config *cfg, enum auth auth)
{
	for (size_t i = 0; i < secrets[auth].keys_count; i++) {
		const char *secret = config_str(cfg, secrets[auth].keys[i]);
		if (secret)
			return secret;
	}
	return NULL;
}

static const char *presented(const struct config *cfg, enum auth auth,
			     const struct http_exchange *x)
{
	const char *secret = http_presented_secret(x, secrets[auth].headers);

	if (secret || !secrets[auth].query || strcmp(http_method(x), "GET") != 0 ||
	    !config_bool(cfg, CONFIG_KEY_ALLOW_QUERY_API_KEY))
		return secret;
	return http_query(x, secrets[auth].query);
}

static struct shown shown_text(const struct api *api, enum auth auth, const char *text)
{
	struct shown s = {.any = text != NULL};

	s.admin = http_secret_equal(text, configured(api->cfg, auth));
	if (auth == AUTH_ADMIN && !s.admin)
		s.key = api_keys_find(api->keys, text);
	return s;
}

struct shown auth_shown_text(const struct api *api, const char *text)
{
	return shown_text(api, AUTH_ADMIN, text);
}

static bool is_hash_of(const char *secret, const unsigned char hash[SHA256_BYTES])
{
	const struct sign_part part = {secret, secret ? strlen(secret) : 0};
	unsigned char own[SHA256_BYTES];

	return secret && sha256(&part, 1, own) && sign_equal(own, hash, SHA256_BYTES);
}

static struct shown shown_cookie(const struct api *api, const char *cookie, size_t n)
{
	struct shown s = {.any = true};

	/* Which were ended has to be known, too. */
	if (!api_keys_ready(api->keys) || !sessions_read(api->sessions, cookie, n, &s.session) ||
	    api_keys_session_ended(api->keys, s.session.id))
		return s;
	s.admin = is_hash_of(configured(api->cfg, AUTH_ADMIN), s.session.key_hash);
	if (!s.admin)
		s.key = api_keys_find_hash(api->keys, s.session.key_hash);
	s.in_session = s.admin || s.key;
	return s;
}

static struct shown shown_by(const struct api *api, enum auth auth, const struct http_exchange *x)
{
	const char *text = presented(api->cfg, auth, x);
	size_t n = 0;
	const char *cookie =
		!text && auth == AUTH_ADMIN ? sessions_cookie(http_header(x, "Cookie"), &n) : NULL;

	return cookie ? shown_cookie(api, cookie, n) : shown_text(api, auth, text);
}

struct shown auth_shown(const struct api *api, const struct http_exchange *x)
{
	return shown_by(api, AUTH_ADMIN, x);
}

static bool changes_something(const struct http_exchange *x)
{
	return strcmp(http_method(x), "GET") != 0;
}

const char *auth_forged(const struct api *api, const struct session *session,
			const struct http_exchange *x)
{
	char token[SESSION_CSRF_BYTES];

	sessions_csrf(api->sessions, session, token);
	return http_secret_equal(http_header(x, AUTH_CSRF_HEADER), token) ? NULL
									  : AUTH_CSRF_HEADER
		       " is missing or wrong: GET /api/session tells it to the page that signed in";
}

/* Why the key may not do that; NULL: it may. */
static const char *forbids(const struct api_key *key, enum audience audience,
			   const struct http_exchange *x)
{
	const char *tenant = http_query(x, AUTH_QUERY_TENANT);

	if (audience == AUDIENCE_ADMIN)
		return "that is for ADMIN_API_KEY alone";
	if (!key->may_operate && changes_something(x))
		return "this key may read, and change nothing";
	if (key->tenant[0] && audience != AUDIENCE_TENANT)
		return "that belongs to all tenants, and this key is one tenant's";
	if (key->tenant[0] && tenant && strcmp(tenant, key->tenant) != 0)
		return "this key is another tenant's";
	return NULL;
}

/* False, and `x` is answered, if what it names can't be one. */
static bool find_tenant(const struct api_key *key, struct http_exchange *x,
			void (*refuse)(struct http_exchange *x, unsigned status,
				       const char *detail),
			struct caller *ret)
{
	const char *asked = http_query(x, AUTH_QUERY_TENANT);
	const char *tenant = key && key->tenant[0] ? key->tenant : asked;
	size_t n = tenant ? strlen(tenant) : 0;

	if (tenant && (n == 0 || n >= sizeof(ret->tenant))) {
		refuse(x, 422, "tenant: there is no such tenant");
		return false;
	}
	memcpy(ret->tenant, tenant ? tenant : "", n + 1);
	return true;
}

static bool is_loopback(const char *host)
{
	char with_port[HOST_BYTES];

	snprintf(with_port, sizeof(with_port), "%s:80", host);
	return config_hostport_is_loopback(host) || config_hostport_is_loopback(with_port);
}

/*
 * Where no key is wanted, whoever reaches the loopback is trusted; a browser also lets pages of
 * others reach it. Such a page has another host's name (which its owner may point here), or the
 * browser says whose it is. NULL: it is none.
 */
static const char *foreign(const struct http_exchange *x)
{
	const char *host = http_header(x, "Host");
	const char *site = http_header(x, "Sec-Fetch-Site");
	const char *origin = http_header(x, "Origin");

	if (host && !is_loopback(host))
		return "without ADMIN_API_KEY only requests to localhost are answered: set a key";
	if (!changes_something(x))
		return NULL;
	if ((site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0) ||
	    (origin &&
	     (strncmp(origin, "http://", 7) != 0 || !host || strcmp(origin + 7, host) != 0)))
		return "another site's page may change nothing: set ADMIN_API_KEY";
	return NULL;
}

static void refuse_unknown(const struct api *api, enum auth auth, bool is_shown,
			   struct http_exchange *x,
			   void (*refuse)(struct http_exchange *x, unsigned status,
					  const char *detail))
{
	if (auth == AUTH_ADMIN && is_shown && !api_keys_ready(api->keys)) {
		http_respond_header(x, "Retry-After", RETRY_AFTER);
		refuse(x, 503, "the keys can't be read yet; try again");
	} else {
		http_respond_header(x, "WWW-Authenticate", "Bearer");
		refuse(x, 401, secrets[auth].detail);
	}
}

bool auth_admit(const struct api *api, enum auth auth, enum audience audience,
		struct http_exchange *x,
		void (*refuse)(struct http_exchange *x, unsigned status, const char *detail),
		struct caller *ret)
{
	const bool is_open = !configured(api->cfg, auth); /* to whoever shows nothing */
	const struct shown shown = shown_by(api, auth, x);

	*ret = (struct caller){.tenant = "", .shown = shown};
	/* Where no secret is configured, what is shown and known to nobody may be a key that was
	 * revoked. */
	if (!shown.admin && !shown.key && (!is_open || (auth == AUTH_ADMIN && shown.any))) {
		refuse_unknown(api, auth, shown.any, x, refuse);
		return false;
	}
	const char *why = shown.key ? forbids(shown.key, audience, x) : NULL;
	if (!why && shown.in_session && changes_something(x))
		why = auth_forged(api, &shown.session, x);
	if (!why && !shown.admin && !shown.key)
		why = foreign(x);
	if (why) {
		refuse(x, 403, why);
		return false;
	}
	return audience != AUDIENCE_TENANT || find_tenant(shown.key, x, refuse, ret);
}

bool auth_check(const struct api *api, enum auth auth, struct http_exchange *x)
{
	struct caller caller;

	return auth_admit(api, auth, AUDIENCE_ALL, x, http_respond_problem, &caller);
}
