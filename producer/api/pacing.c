/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /api/lanes, /api/holidays and /api/settings: when, how many and how fast. A campaign's lane is
 * shown here and changed with its campaign. Needs the admin key.
 */
#include "producer/api/routes.h"

#define LANES "/api/lanes"
#define HOLIDAYS "/api/holidays"
#define SETTINGS "/api/settings"

static const struct endpoint endpoints[] = {
	{"GET",
	 LANES,
	 API_LANES,
	 0,
	 {{PARAM_QUERY, "campaigns"}, {PARAM_QUERY, "limit"}, {PARAM_QUERY, "after"}}},
	{"GET", LANES "/{id}", API_LANE, 0, {{PARAM_PATH, "id"}}},
	{"PATCH", LANES "/{id}", API_LANE_CHANGE, 0, {{PARAM_PATH, "id"}, {PARAM_BODY, NULL}}},
	{"GET", HOLIDAYS, API_HOLIDAYS, 0, {{PARAM_QUERY, "from"}, {PARAM_QUERY, "to"}}},
	{"POST", HOLIDAYS, API_HOLIDAY_PUT, 0, {{PARAM_WORD, NULL}, {PARAM_BODY, NULL}}},
	{"PUT",
	 HOLIDAYS "/{day}",
	 API_HOLIDAY_PUT,
	 0,
	 {{PARAM_PATH, "day"}, {PARAM_BODY_IF_ANY, NULL}}},
	{"DELETE", HOLIDAYS "/{day}", API_HOLIDAY_REMOVE, 0, {{PARAM_PATH, "day"}}},
};

/* What holds for all tenants. */
static const struct endpoint settings[] = {
	{"GET", SETTINGS, API_SETTINGS, 0, {{PARAM_NONE, NULL}}},
	{"PATCH", SETTINGS, API_SETTINGS_CHANGE, 0, {{PARAM_BODY, NULL}}},
};

const struct resource pacing_resource = {
	RESOURCE_ENDPOINTS(endpoints),
	.auth = AUTH_ADMIN,
	.audience = AUDIENCE_TENANT,
	.words = &problem_words,
};

const struct resource settings_resource = {
	RESOURCE_ENDPOINTS(settings),
	.auth = AUTH_ADMIN,
	.words = &problem_words,
};
