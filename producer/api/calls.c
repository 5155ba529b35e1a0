/* SPDX-License-Identifier: Apache-2.0 */
/* /api/calls: the history, all that is known of one call, and what an operator decides of it. */
#include "producer/api/routes.h"

#define BASE "/api/calls"

static const struct endpoint endpoints[] = {
	{"GET",
	 BASE,
	 API_CALLS_LIST,
	 0,
	 {{PARAM_QUERY, "campaign"},
	  {PARAM_QUERY, "status"},
	  {PARAM_QUERY, "from"},
	  {PARAM_QUERY, "to"},
	  {PARAM_QUERY, "q"},
	  {PARAM_QUERY, "lead_id"},
	  {PARAM_QUERY, "limit"},
	  {PARAM_QUERY, "after"}}},
	{"GET", BASE "/{id}", API_CALL_GET, 0, {{PARAM_PATH, "id"}}},
	{"POST",
	 BASE "/{id}/resolve",
	 API_CALL_RESOLVE,
	 0,
	 {{PARAM_PATH, "id"}, {PARAM_BODY, NULL}}},
	{"POST", BASE "/{id}/cancel", API_CALL_CANCEL, 0, {{PARAM_PATH, "id"}}},
	{"POST", BASE "/{id}/hangup", API_CALL_HANG_UP, 0, {{PARAM_PATH, "id"}}},
};

const struct resource calls_resource = {
	RESOURCE_ENDPOINTS(endpoints), .auth = AUTH_ADMIN, .audience = AUDIENCE_TENANT,
	.words = &problem_words,       .csv_path = BASE,   .csv = API_CALLS_EXPORT,
};
