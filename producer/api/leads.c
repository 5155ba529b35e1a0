/* SPDX-License-Identifier: Apache-2.0 */
/* /api/leads: the people to reach, and why one is called or not. Needs a key. */
#include "producer/api/routes.h"

#define BASE "/api/leads"

static const struct endpoint endpoints[] = {
	{"GET",
	 BASE,
	 API_LEADS,
	 0,
	 {{PARAM_QUERY, "stage"},
	  {PARAM_QUERY, "phone"},
	  {PARAM_QUERY, "q"},
	  {PARAM_QUERY, "list_id"},
	  {PARAM_QUERY, "state"},
	  {PARAM_QUERY, "paused"},
	  {PARAM_QUERY, "external_id"},
	  {PARAM_QUERY, "limit"},
	  {PARAM_QUERY, "after"}}},
	{"POST", BASE, API_LEAD_CREATE, 0, {{PARAM_BODY, NULL}}},
	{"POST",
	 BASE "/bulk",
	 API_LEADS_BULK,
	 ENDPOINT_RECORDS_BYTES,
	 {{PARAM_RECORDS, NULL}, {PARAM_FIRST_ROW, NULL}}},
	{"GET", BASE "/{id}", API_LEAD, 0, {{PARAM_PATH, "id"}}},
	{"PATCH", BASE "/{id}", API_LEAD_CHANGE, 0, {{PARAM_PATH, "id"}, {PARAM_BODY, NULL}}},
	{"DELETE", BASE "/{id}", API_LEAD_REMOVE, 0, {{PARAM_PATH, "id"}}},
	{"GET",
	 BASE "/{id}/explain",
	 API_LEAD_EXPLAIN,
	 0,
	 {{PARAM_PATH, "id"}, {PARAM_QUERY, "at"}}},
};

/* What dialers and spreadsheets call the fields. */
static const struct record_column columns[] = {
	{"external_id", "external_id", COLUMN_TEXT},
	{"id", "external_id", COLUMN_TEXT},
	{"lead_id", "external_id", COLUMN_TEXT},
	{"first_name", "first_name", COLUMN_TEXT},
	{"firstname", "first_name", COLUMN_TEXT},
	{"last_name", "last_name", COLUMN_TEXT},
	{"lastname", "last_name", COLUMN_TEXT},
	{"surname", "last_name", COLUMN_TEXT},
	{"name", "name", COLUMN_NAME},
	{"full_name", "name", COLUMN_NAME},
	{"phone", "phone", COLUMN_TEXT},
	{"phone_number", "phone", COLUMN_TEXT},
	{"mobile", "phone", COLUMN_TEXT},
	{"state", "state", COLUMN_TEXT},
	{"list_id", "list_id", COLUMN_TEXT},
	{"time_zone", "time_zone", COLUMN_TEXT},
	{"timezone", "time_zone", COLUMN_TEXT},
	{"stage", "stage", COLUMN_TEXT},
	{"call_date", "call_date", COLUMN_TEXT},
	{"paused", "paused", COLUMN_FLAG},
	{"auto_follow_up", "auto_follow_up", COLUMN_FLAG},
};

static const struct record_shape records = {
	.member = "leads",
	.columns = columns,
	.columns_count = sizeof(columns) / sizeof(columns[0]),
	.needs = {"phone", "external_id"},
	.variables = true,
};

const struct resource leads_resource = {
	RESOURCE_ENDPOINTS(endpoints), .auth = AUTH_ADMIN,  .audience = AUDIENCE_TENANT,
	.words = &problem_words,       .records = &records,
};
