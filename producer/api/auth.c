/* SPDX-License-Identifier: Apache-2.0 */
/* Each kind of secret is a row: where it is configured, where a request may carry it. */
#include "producer/api/auth.h"

#include <stddef.h>

#define KEYS_MAX 2
#define HEADERS_MAX 3

static const struct {
	enum config_key keys[KEYS_MAX]; /* the first that is set */
	size_t keys_count;
	const char *headers[HEADERS_MAX]; /* beside Authorization: Bearer */
	const char *detail;
} secrets[] = {
	[AUTH_DISPATCH] =
		{
			.keys = {CONFIG_KEY_N8N_DISPATCH_SECRET, CONFIG_KEY_CRON_JOB_SECRET},
			.keys_count = 2,
			.headers = {"x-n8n-secret", "x-cron-secret", NULL},
			.detail = "the dispatch secret is missing or wrong",
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

bool auth_check(const struct config *cfg, enum auth auth, struct http_exchange *x)
{
	const char *secret = configured(cfg, auth);

	if (!secret || http_secret_equal(http_presented_secret(x, secrets[auth].headers), secret))
		return true;
	http_respond_header(x, "WWW-Authenticate", "Bearer");
	http_respond_problem(x, 401, secrets[auth].detail);
	return false;
}
