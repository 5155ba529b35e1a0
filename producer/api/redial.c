/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /api/admin/redial-queue: the redial guide's API with its routes and its JSON. Needs the admin
 * key. An endpoint is a row: its statement, and where the statement's parameters come from.
 */
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "producer/api/auth.h"
#include "producer/api/database.h"
#include "producer/api/routes.h"

#define PARAMS_MAX 4
#define ERROR_BYTES 1024

enum source {
	NONE,
	WORD, /* the row's own */
	PATH,
	QUERY,
	BODY, /* a JSON object */
	TEXT, /* the body as it came: the statement reads it */
};

static const struct endpoint {
	const char *method, *path; /* below the base */
	enum api_stmt stmt;
	struct {
		enum source source;
		const char *name;
	} params[PARAMS_MAX];
} endpoints[] = {
	{"GET", "/status", API_REDIAL_STATUS, {{NONE, NULL}}},
	{"GET",
	 "/records",
	 API_REDIAL_RECORDS,
	 {{QUERY, "ready"}, {QUERY, "status"}, {QUERY, "limit"}, {QUERY, "after"}}},
	{"POST", "/enable", API_REDIAL_SWITCH, {{WORD, "enable"}}},
	{"POST", "/disable", API_REDIAL_SWITCH, {{WORD, "disable"}}},
	{"POST", "/start", API_REDIAL_SWITCH, {{WORD, "start"}}},
	{"POST", "/stop", API_REDIAL_SWITCH, {{WORD, "stop"}}},
	{"POST", "/process", API_REDIAL_PROCESS, {{NONE, NULL}}},
	{"POST", "/cleanup", API_REDIAL_CLEANUP, {{NONE, NULL}}},
	{"GET", "/config", API_REDIAL_CONFIG, {{NONE, NULL}}},
	{"PUT", "/config", API_REDIAL_CONFIGURE, {{BODY, NULL}}},
	{"POST", "/import", API_REDIAL_IMPORT, {{TEXT, NULL}}},
	{"POST",
	 "/lead/{lead_id}/pause",
	 API_REDIAL_LEAD,
	 {{WORD, "pause"}, {PATH, "lead_id"}, {QUERY, "phone"}}},
	{"POST",
	 "/lead/{lead_id}/resume",
	 API_REDIAL_LEAD,
	 {{WORD, "resume"}, {PATH, "lead_id"}, {QUERY, "phone"}}},
	{"DELETE",
	 "/lead/{lead_id}",
	 API_REDIAL_LEAD,
	 {{WORD, "remove"}, {PATH, "lead_id"}, {QUERY, "phone"}}},
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

/* NULL, and `x` is answered, if it is not one object. */
static const char *object_of(struct http_exchange *x)
{
	char text[ERROR_BYTES / 2];
	struct buf error;
	size_t n;
	const char *body = http_body(x, &n);

	buf_init_fixed(&error, text, sizeof(text));
	_cleanup_json_ json_t *j = json_parse(body, n, n, &error);
	if (json_is_object(j))
		return body;
	if (j)
		buf_adds(&error, "not an object");
	refuse(x, 422, text);
	return NULL;
}

/* NULL, and `x` is answered, if no text can say it. */
static const char *text_of(struct http_exchange *x)
{
	size_t n;
	const char *body = http_body(x, &n);

	if (strlen(body) == n)
		return body;
	refuse(x, 422, "the body has a NUL");
	return NULL;
}

static const struct endpoint *find(struct http_exchange *x)
{
	const char *path = http_route_path(x) + strlen(REDIAL_BASE);

	for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
		if (strcmp(endpoints[i].path, path) == 0 &&
		    strcmp(endpoints[i].method, http_method(x)) == 0)
			return &endpoints[i];
	}
	return NULL;
}

bool admit_redial(const struct api *api, struct http_exchange *x)
{
	if (auth_passes(api->cfg, AUTH_ADMIN, x))
		return true;
	http_respond_header(x, "WWW-Authenticate", "Bearer");
	refuse(x, 401, "the admin key is missing or wrong: send it as X-API-Key");
	return false;
}

void handle_redial(void *arg, struct http_exchange *x)
{
	struct api *api = arg;
	const struct endpoint *e = find(x);
	const char *params[PARAMS_MAX];
	size_t n = 0;

	if (!admit_redial(api, x))
		return;
	for (; n < PARAMS_MAX && e->params[n].source != NONE; n++) {
		const char *name = e->params[n].name;
		switch (e->params[n].source) {
		case WORD:
			params[n] = name;
			break;
		case PATH:
			params[n] = http_param(x, name);
			break;
		case QUERY:
			params[n] = http_query(x, name);
			break;
		case BODY:
			params[n] = object_of(x);
			if (!params[n])
				return;
			break;
		case TEXT:
			params[n] = text_of(x);
			if (!params[n])
				return;
			break;
		case NONE:
			break;
		}
	}
	api_database_answer(api->database, x, e->stmt, n, params, refuse);
}
