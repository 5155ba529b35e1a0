/* SPDX-License-Identifier: Apache-2.0 */
/* /api/follow-ups: the queue, what a person adds to it and calls off. Needs a key. */
#include "producer/api/routes.h"

#define BASE "/api/follow-ups"

static const struct endpoint endpoints[] = {
	{"GET",
	 BASE,
	 API_FOLLOW_UPS,
	 0,
	 {{PARAM_QUERY, "lead_id"},
	  {PARAM_QUERY, "status"},
	  {PARAM_QUERY, "lane"},
	  {PARAM_QUERY, "due_before"},
	  {PARAM_QUERY, "due_after"},
	  {PARAM_QUERY, "limit"},
	  {PARAM_QUERY, "after"}}},
	{"POST", BASE, API_FOLLOW_UP_CREATE, 0, {{PARAM_BODY, NULL}}},
	{"GET", BASE "/{id}", API_FOLLOW_UP, 0, {{PARAM_PATH, "id"}}},
	{"POST", BASE "/{id}/cancel", API_FOLLOW_UP_CANCEL, 0, {{PARAM_PATH, "id"}}},
	{"POST", BASE "/{id}/now", API_FOLLOW_UP_HURRY, 0, {{PARAM_PATH, "id"}}},
};

const struct resource follow_ups_resource = {
	RESOURCE_ENDPOINTS(endpoints),
	.auth = AUTH_ADMIN,
	.audience = AUDIENCE_TENANT,
	.words = &problem_words,
};
