/* SPDX-License-Identifier: Apache-2.0 */
/* /api/audit: where providers' lists and the ledger differ, and to say what a difference was. */
#include "producer/api/routes.h"

static const struct endpoint endpoints[] = {
	{"GET",
	 "/api/audit",
	 API_AUDIT_DIFFERENCES,
	 0,
	 {{PARAM_QUERY, "account"},
	  {PARAM_QUERY, "resolved"},
	  {PARAM_QUERY, "limit"},
	  {PARAM_QUERY, "after"}}},
	{"POST",
	 "/api/audit/{id}/close",
	 API_AUDIT_CLOSE,
	 0,
	 {{PARAM_PATH, "id"}, {PARAM_BODY, NULL}}},
};

const struct resource audit_resource = {
	RESOURCE_ENDPOINTS(endpoints),
	.auth = AUTH_ADMIN,
	.words = &problem_words,
};
