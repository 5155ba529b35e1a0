/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /api/suppressions: numbers that are not called. The claims look at them, and the dispatcher
 * follows them until the first byte of a request. Needs a key.
 */
#include "producer/api/routes.h"

#define BASE "/api/suppressions"

static const struct endpoint endpoints[] = {
	{"GET",
	 BASE,
	 API_SUPPRESSIONS,
	 0,
	 {{PARAM_QUERY, "phone"}, {PARAM_QUERY, "limit"}, {PARAM_QUERY, "after"}}},
	{"POST", BASE, API_SUPPRESSION_ADD, 0, {{PARAM_BODY, NULL}}},
	{"POST",
	 BASE "/import",
	 API_SUPPRESSIONS_IMPORT,
	 ENDPOINT_RECORDS_BYTES,
	 {{PARAM_RECORDS, NULL}, {PARAM_FIRST_ROW, NULL}}},
	{"DELETE", BASE "/{phone}", API_SUPPRESSION_REMOVE, 0, {{PARAM_PATH, "phone"}}},
};

static const struct record_column columns[] = {
	{"phone", "phone", COLUMN_TEXT},	   {"phone_number", "phone", COLUMN_TEXT},
	{"number", "phone", COLUMN_TEXT},	   {"reason", "reason", COLUMN_TEXT},
	{"expires_at", "expires_at", COLUMN_TEXT}, {"expires", "expires_at", COLUMN_TEXT},
};

static const struct record_shape records = {
	.member = "suppressions",
	.columns = columns,
	.columns_count = sizeof(columns) / sizeof(columns[0]),
	.needs = {"phone"},
};

const struct resource suppressions_resource = {
	RESOURCE_ENDPOINTS(endpoints), .auth = AUTH_ADMIN,  .audience = AUDIENCE_TENANT,
	.words = &problem_words,       .records = &records,
};
