/* SPDX-License-Identifier: Apache-2.0 */
#include "producer/api/endpoints.h"

#include <string.h>

#include "common/json.h"
#include "producer/api/routes.h"

#define REASON_BYTES 1024
#define RECORDS_JSON_BYTES                                                                         \
	(4 * (size_t)ENDPOINT_RECORDS_BYTES) /* CSV's names come with each row                     \
					      */

const struct api_words problem_words = {
	.refuse = http_respond_problem,
	.refusal_type = "application/problem+json",
	.unreadable_status = 400,
};

const struct endpoint *endpoint_find(const struct resource *r, const struct http_exchange *x)
{
	/* Route and row share the path's text. */
	for (size_t i = 0; i < r->count; i++) {
		if (r->endpoints[i].path == http_route_path(x) &&
		    strcmp(r->endpoints[i].method, http_method(x)) == 0)
			return &r->endpoints[i];
	}
	return NULL;
}

bool endpoint_admit(const struct resource *r, const struct api *api, struct http_exchange *x,
		    struct caller *ret)
{
	return auth_admit(api, r->auth, r->audience, x, r->words->refuse, ret);
}

static bool names_query(const struct resource *r, const struct endpoint *e, const char *name)
{
	if (strcmp(name, AUTH_QUERY_KEY) == 0 ||
	    (r->audience == AUDIENCE_TENANT && strcmp(name, AUTH_QUERY_TENANT) == 0))
		return true;
	for (size_t i = 0; i < ENDPOINT_PARAMS_MAX && e->params[i].source != PARAM_NONE; i++) {
		if (e->params[i].source == PARAM_QUERY && strcmp(e->params[i].name, name) == 0)
			return true;
	}
	return false;
}

/* A misspelt filter would silently mean all. */
static bool check_query(const struct resource *r, const struct endpoint *e, struct http_exchange *x)
{
	char text[REASON_BYTES];
	struct buf unknown;

	buf_init_fixed(&unknown, text, sizeof(text));
	for (size_t i = 0; !r->any_query && http_query_name(x, i); i++) {
		const char *name = http_query_name(x, i);
		if (!names_query(r, e, name))
			buf_addf(&unknown, "%s%.64s",
				 unknown.len ? ", " : "no such parameter: ", name);
	}
	if (unknown.len == 0)
		return true;
	if (e->params[0].source == PARAM_QUERY)
		buf_adds(&unknown, "; known are");
	for (size_t i = 0; i < ENDPOINT_PARAMS_MAX; i++) {
		if (e->params[i].source == PARAM_QUERY)
			buf_addf(&unknown, " %s", e->params[i].name);
	}
	r->words->refuse(x, 422, text);
	return false;
}

/* NULL, and `x` is answered, if it is not one object. */
static const char *object_of(const struct api_words *words, enum param_source source,
			     struct http_exchange *x)
{
	char text[REASON_BYTES];
	struct buf error;
	size_t n;
	const char *body = http_body(x, &n);

	if (n == 0 && source == PARAM_BODY_IF_ANY)
		return "{}";
	buf_init_fixed(&error, text, sizeof(text));
	_cleanup_json_ json_t *j = json_parse(body, n, n, &error);
	if (json_is_object(j))
		return body;
	if (j)
		buf_adds(&error, "the body is JSON, but not an object");
	words->refuse(x, j ? 422 : words->unreadable_status, text);
	return NULL;
}

/* NULL, and `x` is answered, if no text can say it. */
static const char *text_of(const struct resource *r, struct http_exchange *x)
{
	size_t n;
	const char *body = http_body(x, &n);

	if (strlen(body) == n)
		return body;
	r->words->refuse(x, r->words->unreadable_status, "the body has a NUL");
	return NULL;
}

const char *endpoint_object(struct http_exchange *x)
{
	return object_of(&problem_words, PARAM_BODY, x);
}

/* False, and `x` is answered, if the body holds none. */
static bool records_of(const struct resource *r, struct http_exchange *x, struct buf *records,
		       const char **ret_first_row)
{
	char text[REASON_BYTES];
	struct buf error;

	buf_init_fixed(&error, text, sizeof(text));
	unsigned refusal = records_read(r->records, x, records, ret_first_row, &error);
	if (refusal != 0)
		r->words->refuse(x, refusal == 400 ? r->words->unreadable_status : refusal, text);
	return refusal == 0;
}

static bool find_params(const struct resource *r, const struct endpoint *e, struct http_exchange *x,
			struct buf *records, const char **params)
{
	const char *first_row = NULL;

	for (size_t n = 0; n < ENDPOINT_PARAMS_MAX; n++) {
		const char *name = e->params[n].name;
		switch (e->params[n].source) {
		case PARAM_WORD:
			params[n] = name;
			break;
		case PARAM_PATH:
			params[n] = http_param(x, name);
			break;
		case PARAM_QUERY:
			params[n] = http_query(x, name);
			break;
		case PARAM_BODY:
		case PARAM_BODY_IF_ANY:
			params[n] = object_of(r->words, e->params[n].source, x);
			if (!params[n])
				return false;
			break;
		case PARAM_TEXT:
			params[n] = text_of(r, x);
			if (!params[n])
				return false;
			break;
		case PARAM_RECORDS:
			if (!records_of(r, x, records, &first_row))
				return false;
			params[n] = records->data;
			break;
		case PARAM_FIRST_ROW:
			params[n] = first_row;
			break;
		case PARAM_NONE:
			return true;
		}
	}
	return true;
}

/* Asked for by name: a browser's "anything" means JSON. */
static enum api_stmt stmt_of(const struct resource *r, const struct endpoint *e,
			     const struct http_exchange *x)
{
	const char *accept = http_header(x, "Accept");
	bool has_csv = r->csv_path && strcmp(r->csv_path, e->path) == 0;

	return has_csv && accept && strcasestr(accept, "text/csv") ? r->csv : e->stmt;
}

void endpoint_serve(const struct resource *r, const struct endpoint *e, const struct api *api,
		    struct http_exchange *x)
{
	const char *params[ENDPOINT_PARAMS_MAX];
	struct caller caller;
	struct buf records;
	size_t n = 0;

	if (!endpoint_admit(r, api, x, &caller) || !check_query(r, e, x))
		return;
	while (n < ENDPOINT_PARAMS_MAX && e->params[n].source != PARAM_NONE)
		n++;
	buf_init(&records, RECORDS_JSON_BYTES);
	if (find_params(r, e, x, &records, params))
		api_database_answer(api->database, caller.tenant, x, stmt_of(r, e, x), n, params,
				    r->words);
	buf_release(&records);
}
