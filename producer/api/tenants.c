/* SPDX-License-Identifier: Apache-2.0 */
/* /api/tenants and /api/api-keys: who is served, and by which keys. Need ADMIN_API_KEY itself. */
#include "producer/api/routes.h"

#define TENANTS "/api/tenants"
#define KEYS "/api/api-keys"

static const struct endpoint tenants[] = {
	{"GET", TENANTS, API_TENANTS, 0, {{PARAM_QUERY, "limit"}, {PARAM_QUERY, "after"}}},
	{"POST", TENANTS, API_TENANT_CREATE, 0, {{PARAM_BODY, NULL}}},
	{"GET", TENANTS "/{id}", API_TENANT, 0, {{PARAM_PATH, "id"}}},
	{"PATCH", TENANTS "/{id}", API_TENANT_CHANGE, 0, {{PARAM_PATH, "id"}, {PARAM_BODY, NULL}}},
};

const struct resource tenants_resource = {
	RESOURCE_ENDPOINTS(tenants),
	.auth = AUTH_ADMIN,
	.audience = AUDIENCE_ADMIN,
	.words = &problem_words,
};

static const struct endpoint keys[] = {
	{"GET",
	 KEYS,
	 API_API_KEYS,
	 0,
	 {{PARAM_QUERY, "tenant"}, {PARAM_QUERY, "limit"}, {PARAM_QUERY, "after"}}},
	{"POST", KEYS, API_API_KEY_CREATE, 0, {{PARAM_BODY, NULL}}},
	{"DELETE", KEYS "/{id}", API_API_KEY_REVOKE, 0, {{PARAM_PATH, "id"}}},
};

const struct resource api_keys_resource = {
	RESOURCE_ENDPOINTS(keys),
	.auth = AUTH_ADMIN,
	.audience = AUDIENCE_ADMIN,
	.words = &problem_words,
};
