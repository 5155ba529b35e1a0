/* SPDX-License-Identifier: Apache-2.0 */
/* /api/calls: the ledger, the evidence of one call, and an operator's decision of what could not be
 * proved. */
#include "producer/api/routes.h"

static const struct endpoint endpoints[] = {
	{"GET",
	 "/api/calls",
	 API_CALLS_LIST,
	 0,
	 {{PARAM_QUERY, "status"},
	  {PARAM_QUERY, "lead_id"},
	  {PARAM_QUERY, "limit"},
	  {PARAM_QUERY, "after"}}},
	{"GET", "/api/calls/{job_id}", API_CALL_GET, 0, {{PARAM_PATH, "job_id"}}},
	{"POST",
	 "/api/calls/{job_id}/resolve",
	 API_CALL_RESOLVE,
	 0,
	 {{PARAM_PATH, "job_id"}, {PARAM_BODY, NULL}}},
};

const struct resource calls_resource = {
	RESOURCE_ENDPOINTS(endpoints),
	.auth = AUTH_ADMIN,
	.audience = AUDIENCE_TENANT,
	.words = &problem_words,
};
