/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoints that are one statement each (producer/api/sql): a row says where the statement's
 * parameters come from, and the statement checks them, does the work and answers.
 *
 * A statement answers with columns `status` and `body`; refusals have the shape that problem() and
 * problems() of schemas/sql/0003_functions.sql give them, with all that is wrong with the request.
 */
#ifndef CARILLON_PRODUCER_API_ENDPOINTS_H
#define CARILLON_PRODUCER_API_ENDPOINTS_H

#include <stddef.h>

#include "api_sql.h"
#include "common/http_server.h"
#include "producer/api/auth.h"
#include "producer/api/database.h"
#include "producer/api/records.h"

#define ENDPOINT_PARAMS_MAX 12

enum param_source {
	PARAM_NONE,
	PARAM_WORD,	   /* the row's own */
	PARAM_PATH,	   /* {name} of the path */
	PARAM_QUERY,	   /* ?name=; absent: NULL */
	PARAM_BODY,	   /* a JSON object */
	PARAM_BODY_IF_ANY, /* the same; an empty body is an empty object */
	PARAM_TEXT,	   /* the body as it came: the statement reads it */
	PARAM_RECORDS,	   /* a JSON array of the body's records (records.h) */
	PARAM_FIRST_ROW,   /* the number of the first of them */
};

struct endpoint {
	const char *method, *path; /* as in struct http_route; one method */
	enum api_stmt stmt;
	size_t body_bytes; /* the longest body; 0: 64 KiB */
	struct {
		enum param_source source;
		const char *name;
	} params[ENDPOINT_PARAMS_MAX];
};

/* What the rows of one table have in common. */
struct resource {
	const struct endpoint *endpoints;
	size_t count;
	enum auth auth;
	enum audience audience; /* of AUDIENCE_TENANT: rows run under a tenant's name, which
				   ?tenant= may give */
	const struct api_words *words;
	const struct record_shape *records; /* of rows with PARAM_RECORDS */
	const char *csv_path;		    /* a GET of this, or NULL, is also answered */
	enum api_stmt csv; /* by this, from the same parameters, if CSV is wanted */
	bool any_query;	   /* a query parameter that no row names is ignored, not refused */
};

#define RESOURCE_ENDPOINTS(rows) .endpoints = (rows), .count = sizeof(rows) / sizeof((rows)[0])

#define ENDPOINT_RECORDS_BYTES (16 * 1024 * 1024) /* the body of a request of many records */

/* Refusals are RFC 9457 problems. */
extern const struct api_words problem_words;

/* The row that the request's route was made of; NULL if it is none of this resource's. */
const struct endpoint *endpoint_find(const struct resource *r, const struct http_exchange *x);
/* For handlers of their own, with problems: the body as text of one object; NULL, and `x` is
 * answered, if it is none. */
const char *endpoint_object(struct http_exchange *x);
/* Whether the resource is for whoever asks; false, and `x` is answered, if it is not. */
bool endpoint_admit(const struct resource *r, const struct api *api, struct http_exchange *x,
		    struct caller *ret);
void endpoint_serve(const struct resource *r, const struct endpoint *e, const struct api *api,
		    struct http_exchange *x);

#endif
