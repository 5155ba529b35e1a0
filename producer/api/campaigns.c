/* SPDX-License-Identifier: Apache-2.0 */
/* /api/campaigns: schedules and the people they call. Needs a key. */
#include <stdio.h>
#include <string.h>

#include "producer/api/routes.h"
#include "producer/api/uploads.h"

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
	 {{PARAM_PATH, "id"}, {PARAM_BODY_IF_ANY, NULL}}},
	{"GET", BASE "/{id}/progress", API_CAMPAIGN_PROGRESS, 0, {{PARAM_PATH, "id"}}},
	{"GET", BASE "/{id}/windows", API_CAMPAIGN_WINDOWS, 0, {{PARAM_PATH, "id"}}},
	{"GET",
	 BASE "/{id}/uploads/{upload}",
	 API_UPLOAD,
	 0,
	 {{PARAM_PATH, "id"}, {PARAM_PATH, "upload"}}},
	{"GET",
	 BASE "/{id}/uploads/{upload}/rejected",
	 API_UPLOAD_REJECTED,
	 0,
	 {{PARAM_PATH, "id"}, {PARAM_PATH, "upload"}}},
};

/* What people call the columns of their lists; all others are variables of the call. */
static const struct record_column columns[] = {
	{"name", "name", COLUMN_NAME},
	{"full_name", "name", COLUMN_NAME},
	{"first_name", "first_name", COLUMN_TEXT},
	{"last_name", "last_name", COLUMN_TEXT},
	{"phone", "phone", COLUMN_TEXT},
	{"phone_number", "phone", COLUMN_TEXT},
	{"phone_no", "phone", COLUMN_TEXT},
	{"telephone", "phone", COLUMN_TEXT},
	{"telephone_number", "phone", COLUMN_TEXT},
	{"tel", "phone", COLUMN_TEXT},
	{"mobile", "phone", COLUMN_TEXT},
	{"mobile_phone", "phone", COLUMN_TEXT},
	{"mobile_number", "phone", COLUMN_TEXT},
	{"cell", "phone", COLUMN_TEXT},
	{"cell_phone", "phone", COLUMN_TEXT},
	{"state", "state", COLUMN_TEXT},
	{"external_id", "external_id", COLUMN_TEXT},
	{"list_id", "list_id", COLUMN_TEXT},
	{"address", "address", COLUMN_VARIABLE},
	{"time_zone", "time_zone", COLUMN_TEXT},
	{"tz", "time_zone", COLUMN_TEXT},
	{"rejected_row", "", COLUMN_NOTE},
	{"rejected_because", "", COLUMN_NOTE},
};

static const struct record_shape records = {
	.member = "contacts",
	.columns = columns,
	.columns_count = sizeof(columns) / sizeof(columns[0]),
	.needs = {"phone"},
	.variables = true,
};

const struct resource campaigns_resource = {
	RESOURCE_ENDPOINTS(endpoints),
	.auth = AUTH_ADMIN,
	.audience = AUDIENCE_TENANT,
	.words = &problem_words,
};

/* A misspelt parameter would silently mean a change. */
static bool check_query(struct http_exchange *x)
{
	for (size_t i = 0; http_query_name(x, i); i++) {
		const char *name = http_query_name(x, i);
		if (strcmp(name, "preview") == 0 || strcmp(name, AUTH_QUERY_TENANT) == 0)
			continue;
		char text[160];
		snprintf(text, sizeof(text), "no such parameter: %.80s; known is preview", name);
		http_respond_problem(x, 422, text);
		return false;
	}
	return true;
}

static bool is_admitted(const struct api *api, struct http_exchange *x, struct caller *ret)
{
	return auth_admit(api, AUTH_ADMIN, AUDIENCE_TENANT, x, http_respond_problem, ret);
}

void handle_contacts(void *arg, struct http_exchange *x)
{
	struct caller caller;

	/* A body would have been received. */
	if (is_admitted(arg, x, &caller))
		http_respond_problem(x, 422, "the body is empty");
}

bool receive_contacts(struct api *api, struct http_exchange *x)
{
	struct caller caller;

	if (!is_admitted(api, x, &caller) || !check_query(x))
		return false;
	uploads_receive(api->uploads, caller.tenant, x, &records);
	return true;
}
