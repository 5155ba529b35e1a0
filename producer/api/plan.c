/* SPDX-License-Identifier: Apache-2.0 */
/* /api/plan: what would be dialed when, by the gates that decide it. Needs the admin key. */
#include "producer/api/routes.h"

static const struct endpoint endpoints[] = {
	{"GET", "/api/plan", API_PLAN, 0, {{PARAM_QUERY, "hours"}, {PARAM_QUERY, "campaign"}}},
};

const struct resource plan_resource = {
	RESOURCE_ENDPOINTS(endpoints),
	.auth = AUTH_ADMIN,
	.audience = AUDIENCE_TENANT,
	.words = &problem_words,
};
