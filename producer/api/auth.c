/* SPDX-License-Identifier: Apache-2.0 */
/* Each kind of secret is a row: where it is configured, where a request may carry it. */
#include "producer/api/auth.h"

#include <stddef.h>
#include <string.h>

#define KEYS_MAX 2
#define HEADERS_MAX 3

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
			.detail = "the admin key is missing or wrong: send it as X-API-Key",
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

bool auth_passes(const struct config *cfg, enum auth auth, const struct http_exchange *x)
{
	const char *secret = configured(cfg, auth);

	return !secret || http_secret_equal(presented(cfg, auth, x), secret);
}

void auth_refuse(enum auth auth, struct http_exchange *x,
		 void (*refuse)(struct http_exchange *x, unsigned status, const char *detail))
{
	http_respond_header(x, "WWW-Authenticate", "Bearer");
	refuse(x, 401, secrets[auth].detail);
}

bool auth_check(const struct config *cfg, enum auth auth, struct http_exchange *x)
{
	if (auth_passes(cfg, auth, x))
		return true;
	auth_refuse(auth, x, http_respond_problem);
	return false;
}
