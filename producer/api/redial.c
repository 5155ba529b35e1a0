/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /api/admin/redial-queue: the redial guide's API with its routes and its JSON. Records are a
 * tenant's; the queue's switches and settings are one for all.
 */
#include <string.h>

#include "producer/api/routes.h"

#define ERROR_BYTES 1024
#define FILE_BYTES (32 << 20) /* of a month */

static const struct endpoint endpoints[] = {
	{"POST", REDIAL_BASE "/enable", API_REDIAL_SWITCH, 0, {{PARAM_WORD, "enable"}}},
	{"POST", REDIAL_BASE "/disable", API_REDIAL_SWITCH, 0, {{PARAM_WORD, "disable"}}},
	{"POST", REDIAL_BASE "/start", API_REDIAL_SWITCH, 0, {{PARAM_WORD, "start"}}},
	{"POST", REDIAL_BASE "/stop", API_REDIAL_SWITCH, 0, {{PARAM_WORD, "stop"}}},
	{"POST", REDIAL_BASE "/process", API_REDIAL_PROCESS, 0, {{PARAM_NONE, NULL}}},
	{"POST", REDIAL_BASE "/cleanup", API_REDIAL_CLEANUP, 0, {{PARAM_NONE, NULL}}},
	{"GET", REDIAL_BASE "/config", API_REDIAL_CONFIG, 0, {{PARAM_NONE, NULL}}},
	{"PUT", REDIAL_BASE "/config", API_REDIAL_CONFIGURE, 0, {{PARAM_BODY, NULL}}},
};

static const struct endpoint records[] = {
	{"GET", REDIAL_BASE "/status", API_REDIAL_STATUS, 0, {{PARAM_NONE, NULL}}},
	{"GET",
	 REDIAL_BASE "/records",
	 API_REDIAL_RECORDS,
	 0,
	 {{PARAM_QUERY, "ready"},
	  {PARAM_QUERY, "status"},
	  {PARAM_QUERY, "limit"},
	  {PARAM_QUERY, "after"}}},
	{"POST", REDIAL_BASE "/import", API_REDIAL_IMPORT, FILE_BYTES, {{PARAM_TEXT, NULL}}},
	{"POST",
	 REDIAL_BASE "/lead/{lead_id}/pause",
	 API_REDIAL_LEAD,
	 0,
	 {{PARAM_WORD, "pause"}, {PARAM_PATH, "lead_id"}, {PARAM_QUERY, "phone"}}},
	{"POST",
	 REDIAL_BASE "/lead/{lead_id}/resume",
	 API_REDIAL_LEAD,
	 0,
	 {{PARAM_WORD, "resume"}, {PARAM_PATH, "lead_id"}, {PARAM_QUERY, "phone"}}},
	{"DELETE",
	 REDIAL_BASE "/lead/{lead_id}",
	 API_REDIAL_LEAD,
	 0,
	 {{PARAM_WORD, "remove"}, {PARAM_PATH, "lead_id"}, {PARAM_QUERY, "phone"}}},
};

static void refuse(struct http_exchange *x, unsigned status, const char *detail)
{
	char text[ERROR_BYTES];
	struct buf b;

	buf_init_fixed(&b, text, sizeof(text));
	buf_adds(&b, "{\"success\":false,\"error\":");
	buf_add_json_string(&b, detail, strlen(detail));
	buf_addc(&b, '}');
	http_respond(x, status, "application/json", text, b.len);
}

static const struct api_words words = {
	.refuse = refuse,
	.refusal_type = "application/json",
	.unreadable_status = 422,
};

/* The guide's users may call with parameters that it does not know. */
const struct resource redial_resource = {
	RESOURCE_ENDPOINTS(endpoints),
	.auth = AUTH_ADMIN,
	.words = &words,
	.any_query = true,
};

const struct resource redial_records_resource = {
	RESOURCE_ENDPOINTS(records), .auth = AUTH_ADMIN,
	.audience = AUDIENCE_TENANT, .words = &words,
	.any_query = true,
};
