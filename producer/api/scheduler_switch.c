/* SPDX-License-Identifier: Apache-2.0 */
/* /api/scheduler: the stop switch, over everything or over one tenant. */
#include "producer/api/routes.h"

static const struct endpoint endpoints[] = {
	{"GET", "/api/scheduler", API_SCHEDULER_STATE, 0, {{PARAM_NONE, NULL}}},
	{"POST",
	 "/api/scheduler/stop",
	 API_SCHEDULER_SWITCH,
	 0,
	 {{PARAM_WORD, "stop"}, {PARAM_BODY_IF_ANY, NULL}}},
	{"POST",
	 "/api/scheduler/start",
	 API_SCHEDULER_SWITCH,
	 0,
	 {{PARAM_WORD, "start"}, {PARAM_BODY_IF_ANY, NULL}}},
};

const struct resource scheduler_resource = {
	RESOURCE_ENDPOINTS(endpoints),
	.auth = AUTH_ADMIN,
	.audience = AUDIENCE_TENANT,
	.words = &problem_words,
};
