/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /api/pending-calls and /api/classifications: the workflow's calls, and who answers which number;
 * with the names under which the guide's functions know its scheduler. Needs the admin key.
 */
#include "producer/api/routes.h"

#define BASE "/api/pending-calls"
#define CLASSIFICATIONS "/api/classifications"

static const struct endpoint endpoints[] = {
	{"GET",
	 BASE,
	 API_PENDING_CALLS,
	 0,
	 {{PARAM_QUERY, "state"},
	  {PARAM_QUERY, "q"},
	  {PARAM_QUERY, "phone"},
	  {PARAM_QUERY, "limit"},
	  {PARAM_QUERY, "after"}}},
	{"POST", BASE, API_PENDING_CALL_CREATE, 0, {{PARAM_BODY, NULL}}},
	{"POST",
	 BASE "/bulk",
	 API_PENDING_CALLS_BULK,
	 ENDPOINT_RECORDS_BYTES,
	 {{PARAM_RECORDS, NULL}, {PARAM_FIRST_ROW, NULL}}},
	{"POST", BASE "/replay", API_PENDING_CALLS_REPLAY, 0, {{PARAM_BODY, NULL}}},
	{"GET", BASE "/{id}", API_PENDING_CALL, 0, {{PARAM_PATH, "id"}}},
	{"POST", BASE "/{id}/cancel", API_PENDING_CALL_CANCEL, 0, {{PARAM_PATH, "id"}}},
	{"POST", BASE "/{id}/retry", API_PENDING_CALL_RETRY, 0, {{PARAM_PATH, "id"}}},
	{"GET",
	 CLASSIFICATIONS,
	 API_CLASSIFICATIONS,
	 0,
	 {{PARAM_QUERY, "phone"},
	  {PARAM_QUERY, "active"},
	  {PARAM_QUERY, "limit"},
	  {PARAM_QUERY, "after"}}},
	{"PUT",
	 CLASSIFICATIONS "/{phone}",
	 API_CLASSIFICATION_PUT,
	 0,
	 {{PARAM_PATH, "phone"}, {PARAM_BODY, NULL}}},
	{"POST",
	 CLASSIFICATIONS "/{phone}/expire",
	 API_CLASSIFICATION_EXPIRE,
	 0,
	 {{PARAM_PATH, "phone"}}},
};

/* Of all tenants. */
static const struct endpoint runs[] = {
	{"GET", "/api/scheduler/dashboard", API_SCHEDULER_DASHBOARD, 0, {{PARAM_NONE, NULL}}},
	{"GET", "/api/scheduler/init", API_SCHEDULER_INIT, 0, {{PARAM_NONE, NULL}}},
	{"POST", "/api/scheduler/init", API_SCHEDULER_INIT, 0, {{PARAM_NONE, NULL}}},
	{"POST", "/functions/v1/scheduler", API_SCHEDULER_RUN, 0, {{PARAM_NONE, NULL}}},
	{"POST", "/functions/v1/pre-classify-call", API_PRE_CLASSIFY_CALL, 0, {{PARAM_BODY, NULL}}},
};

static const struct record_column columns[] = {
	{"phone", "phone", COLUMN_TEXT},
	{"phone_number", "phone", COLUMN_TEXT},
	{"clinic_phone", "phone", COLUMN_TEXT},
	{"exam_id", "exam_id", COLUMN_TEXT},
	{"employee_name", "employee_name", COLUMN_TEXT},
	{"employee_dob", "employee_dob", COLUMN_TEXT},
	{"dob", "employee_dob", COLUMN_TEXT},
	{"clinic_name", "clinic_name", COLUMN_TEXT},
	{"clinic", "clinic_name", COLUMN_TEXT},
	{"appointment_time", "appointment_time", COLUMN_TEXT},
	{"max_retries", "max_retries", COLUMN_TEXT},
	{"next_action_at", "next_action_at", COLUMN_TEXT},
};

static const struct record_shape records = {
	.member = "pending_calls",
	.columns = columns,
	.columns_count = sizeof(columns) / sizeof(columns[0]),
	.needs = {"phone"},
};

const struct resource pending_calls_resource = {
	RESOURCE_ENDPOINTS(endpoints), .auth = AUTH_ADMIN,  .audience = AUDIENCE_TENANT,
	.words = &problem_words,       .records = &records,
};

const struct resource workflow_resource = {
	RESOURCE_ENDPOINTS(runs),
	.auth = AUTH_ADMIN,
	.words = &problem_words,
};
