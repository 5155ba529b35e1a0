/* SPDX-License-Identifier: Apache-2.0 */
/* /api/campaigns: schedules and the people they call. Needs a key. */
#include "producer/api/routes.h"

#define BASE "/api/campaigns"

static const struct endpoint endpoints[] = {
	{"GET",
	 BASE,
	 API_CAMPAIGNS,
	 0,
	 {{PARAM_QUERY, "q"},
	  {PARAM_QUERY, "active"},
	  {PARAM_QUERY, "limit"},
	  {PARAM_QUERY, "after"}}},
	{"POST", BASE, API_CAMPAIGN_CREATE, 0, {{PARAM_BODY, NULL}}},
	{"GET", BASE "/{id}", API_CAMPAIGN, 0, {{PARAM_PATH, "id"}}},
	{"PATCH", BASE "/{id}", API_CAMPAIGN_CHANGE, 0, {{PARAM_PATH, "id"}, {PARAM_BODY, NULL}}},
	{"DELETE", BASE "/{id}", API_CAMPAIGN_REMOVE, 0, {{PARAM_PATH, "id"}}},
	{"POST",
	 BASE "/{id}/start",
	 API_CAMPAIGN_SWITCH,
	 0,
	 {{PARAM_WORD, "start"}, {PARAM_PATH, "id"}}},
	{"POST",
	 BASE "/{id}/stop",
	 API_CAMPAIGN_SWITCH,
	 0,
	 {{PARAM_WORD, "stop"}, {PARAM_PATH, "id"}}},
	{"POST",
	 BASE "/{id}/clone",
	 API_CAMPAIGN_CLONE,
	 0,
	 {{PARAM_PATH, "id"}, {PARAM_BODY, NULL}}},
	{"GET", BASE "/{id}/progress", API_CAMPAIGN_PROGRESS, 0, {{PARAM_PATH, "id"}}},
	{"POST",
	 BASE "/{id}/contacts",
	 API_CAMPAIGN_CONTACTS,
	 ENDPOINT_RECORDS_BYTES,
	 {{PARAM_PATH, "id"},
	  {PARAM_RECORDS, NULL},
	  {PARAM_FIRST_ROW, NULL},
	  {PARAM_QUERY, "preview"}}},
};

/* What people call the columns of their lists; all others are variables of the call. */
static const struct record_column columns[] = {
	{"name", "name", COLUMN_NAME},
	{"full_name", "name", COLUMN_NAME},
	{"first_name", "first_name", COLUMN_TEXT},
	{"firstname", "first_name", COLUMN_TEXT},
	{"last_name", "last_name", COLUMN_TEXT},
	{"lastname", "last_name", COLUMN_TEXT},
	{"phone", "phone", COLUMN_TEXT},
	{"phone_number", "phone", COLUMN_TEXT},
	{"mobile", "phone", COLUMN_TEXT},
	{"time_zone", "time_zone", COLUMN_TEXT},
	{"timezone", "time_zone", COLUMN_TEXT},
};

static const struct record_shape records = {
	.member = "contacts",
	.columns = columns,
	.columns_count = sizeof(columns) / sizeof(columns[0]),
	.needs = {"phone"},
	.variables = true,
};

const struct resource campaigns_resource = {
	RESOURCE_ENDPOINTS(endpoints), .auth = AUTH_ADMIN,  .audience = AUDIENCE_TENANT,
	.words = &problem_words,       .records = &records,
};
