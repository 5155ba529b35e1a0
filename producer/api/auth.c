/* SPDX-License-Identifier: Apache-2.0 */
/* Each kind of secret is a row: where it is configured, where a request may carry it. Beside
 * ADMIN_API_KEY, which may do all, there are the database's keys. */
#include "producer/api/auth.h"

#include <stddef.h>
#include <string.h>

#include "producer/api/routes.h"

#define KEYS_MAX 2
#define HEADERS_MAX 3
#define RETRY_AFTER "1"

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
			.detail = "the key is missing or wrong: send it as X-API-Key",
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

/* Why the key may not do that; NULL: it may. */
static const char *forbids(const struct api_key *key, enum audience audience,
			   const struct http_exchange *x)
{
	const char *tenant = http_query(x, AUTH_QUERY_TENANT);

	if (audience == AUDIENCE_ADMIN)
		return "that is for ADMIN_API_KEY alone";
	if (!key->may_operate && strcmp(http_method(x), "GET") != 0)
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

bool auth_admit(const struct api *api, enum auth auth, enum audience audience,
		struct http_exchange *x,
		void (*refuse)(struct http_exchange *x, unsigned status, const char *detail),
		struct caller *ret)
{
	const char *secret = configured(api->cfg, auth);
	const char *shown = presented(api->cfg, auth, x);
	bool good = http_secret_equal(shown, secret);
	const struct api_key *key = NULL;

	*ret = (struct caller){.tenant = ""};
	if (auth == AUTH_ADMIN && !good)
		key = api_keys_find(api->keys, shown);
	/* Where no secret is configured, what is shown and known to nobody may be a key that was
	 * revoked. */
	if ((secret || (auth == AUTH_ADMIN && shown)) && !good && !key) {
		if (auth == AUTH_ADMIN && shown && !api_keys_ready(api->keys)) {
			http_respond_header(x, "Retry-After", RETRY_AFTER);
			refuse(x, 503, "the keys can't be read yet; try again");
		} else {
			http_respond_header(x, "WWW-Authenticate", "Bearer");
			refuse(x, 401, secrets[auth].detail);
		}
		return false;
	}
	const char *why = key ? forbids(key, audience, x) : NULL;
	if (why) {
		refuse(x, 403, why);
		return false;
	}
	return audience != AUDIENCE_TENANT || find_tenant(key, x, refuse, ret);
}

bool auth_check(const struct api *api, enum auth auth, struct http_exchange *x)
{
	struct caller caller;

	return auth_admit(api, auth, AUDIENCE_ALL, x, http_respond_problem, &caller);
}
