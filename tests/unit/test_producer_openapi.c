/* SPDX-License-Identifier: Apache-2.0 */
/* openapi.json and the routes are the same interface: paths, methods, query parameters, bodies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "common/embedded.h"
#include "common/json.h"
#include "producer/api/routes.h"

static const char *const methods[] = {"get", "post", "put", "patch", "delete"};

static json_t *document(void)
{
	const struct embedded_file *f = embedded_file("openapi.json");
	char text[256];
	struct buf error;

	buf_init_fixed(&error, text, sizeof(text));
	json_t *j = json_parse((const char *)f->data, f->size, f->size, &error);
	if (!j)
		fail_msg("openapi.json: %s", text);
	return j;
}

static const json_t *operation(const json_t *doc, const char *path, const char *method)
{
	char lower[16];
	size_t n = strcspn(method, ",");

	assert_true(n < sizeof(lower));
	for (size_t i = 0; i <= n; i++)
		lower[i] = (char)(i < n ? method[i] | 0x20 : 0);
	return json_object_get(json_object_get(json_object_get(doc, "paths"), path), lower);
}

static void test_each_route_is_described(void **state)
{
	json_t *doc = document();
	size_t n;
	const struct http_route *r = api_routes(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		for (const char *m = r[i].methods; *m; m += strcspn(m, ","), m += *m == ',') {
			if (!operation(doc, r[i].path, m))
				fail_msg("openapi.json lacks %s %s", m, r[i].path);
		}
	}
	json_decref(doc);
}

static bool is_served(const char *path, const char *method)
{
	size_t n;
	const struct http_route *r = api_routes(&n);

	for (size_t i = 0; i < n; i++) {
		if (strcmp(r[i].path, path) == 0 && strcasestr(r[i].methods, method))
			return true;
	}
	return false;
}

static void test_no_route_is_invented(void **state)
{
	json_t *doc = document();
	const char *path;
	json_t *item;

	(void)state;
	json_object_foreach (json_object_get(doc, "paths"), path, item) {
		for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
			if (json_object_get(item, methods[i]) && !is_served(path, methods[i]))
				fail_msg("nothing serves %s %s", methods[i], path);
		}
	}
	json_decref(doc);
}

/* What is read by handlers of their own; those of all other single routes read nothing. */
static const struct endpoint handled[] = {
	{"GET", "/api/jobs/call-dispatch", API_STMT_COUNT, 0, {{PARAM_QUERY, "wait"}}},
	{"POST", "/api/jobs/call-dispatch", API_STMT_COUNT, 0, {{PARAM_QUERY, "wait"}}},
	{"GET",
	 "/api/live",
	 API_STMT_COUNT,
	 0,
	 {{PARAM_QUERY, AUTH_QUERY_TENANT}, {PARAM_QUERY, "events"}}},
	{"POST", "/api/session", API_STMT_COUNT, 0, {{PARAM_BODY, NULL}}},
	{"POST", "/api/dead-letters/replay", API_STMT_COUNT, 0, {{PARAM_BODY, NULL}}},
	{"POST", "/api/accounts", API_STMT_COUNT, 0, {{PARAM_BODY, NULL}}},
	{"PATCH", "/api/accounts/{name}", API_STMT_COUNT, 0, {{PARAM_BODY, NULL}}},
	{"POST",
	 "/api/campaigns/{id}/contacts",
	 API_STMT_COUNT,
	 0,
	 {{PARAM_QUERY, AUTH_QUERY_TENANT}, {PARAM_QUERY, "preview"}, {PARAM_RECORDS, NULL}}},
};

struct described {
	const char *names[2 * ENDPOINT_PARAMS_MAX];
	size_t n;
};

/* Those that are there (query, path), of the path's or the operation's parameters; by $ref or not.
 */
static void add_described(const json_t *doc, const json_t *parameters, const char *place,
			  struct described *d)
{
	const json_t *known = json_path(doc, "components.parameters");

	for (size_t i = 0; i < json_array_size(parameters); i++) {
		const json_t *given = json_array_get(parameters, i);
		const char *ref = json_path_text(given, "$ref");
		const json_t *p = ref ? json_object_get(known, strrchr(ref, '/') + 1) : given;
		const char *in = json_path_text(p, "in");
		if (!in)
			fail_msg("a parameter is not described: %s", ref ? ref : "?");
		assert_true(d->n < sizeof(d->names) / sizeof(d->names[0]));
		if (in && strcmp(in, place) == 0)
			d->names[d->n++] = json_path_text(p, "name");
	}
}

static struct described described(const json_t *doc, const struct endpoint *e, const char *place)
{
	const json_t *path = json_object_get(json_object_get(doc, "paths"), e->path);
	struct described d = {.n = 0};

	add_described(doc, json_object_get(path, "parameters"), place, &d);
	add_described(doc, json_object_get(operation(doc, e->path, e->method), "parameters"), place,
		      &d);
	return d;
}

static bool has_name(const struct described *d, const char *name, size_t bytes)
{
	for (size_t i = 0; i < d->n; i++) {
		if (strlen(d->names[i]) == bytes && memcmp(d->names[i], name, bytes) == 0)
			return true;
	}
	return false;
}

static void compare_query(const json_t *doc, const struct endpoint *e, bool is_for_tenants)
{
	struct described d = described(doc, e, "query");
	size_t read = is_for_tenants;

	if (is_for_tenants && !has_name(&d, AUTH_QUERY_TENANT, strlen(AUTH_QUERY_TENANT)))
		fail_msg("%s %s: ?tenant= is not described", e->method, e->path);

	for (size_t i = 0; i < ENDPOINT_PARAMS_MAX; i++) {
		const char *name = e->params[i].name;
		if (e->params[i].source != PARAM_QUERY)
			continue;
		if (!has_name(&d, name, strlen(name)))
			fail_msg("%s %s: ?%s= is not described", e->method, e->path, name);
		read++;
	}
	if (read != d.n)
		fail_msg("%s %s: %zu query parameters are read, %zu described", e->method, e->path,
			 read, d.n);
}

static void compare_path(const json_t *doc, const struct endpoint *e)
{
	struct described d = described(doc, e, "path");
	size_t named = 0;

	for (const char *p = strchr(e->path, '{'); p; p = strchr(p, '{')) {
		size_t bytes = strcspn(++p, "}");
		if (!has_name(&d, p, bytes))
			fail_msg("%s %s: {%.*s} is not described", e->method, e->path, (int)bytes,
				 p);
		named++;
	}
	if (named != d.n)
		fail_msg("%s %s: %zu names in the path, %zu described", e->method, e->path, named,
			 d.n);
}

static void compare_body(const json_t *doc, const struct endpoint *e)
{
	const json_t *body = json_object_get(operation(doc, e->path, e->method), "requestBody");
	const json_t *content = json_object_get(body, "content");
	enum param_source source = PARAM_NONE;

	for (size_t i = 0; i < ENDPOINT_PARAMS_MAX; i++) {
		enum param_source s = e->params[i].source;
		if (s == PARAM_BODY || s == PARAM_BODY_IF_ANY || s == PARAM_TEXT ||
		    s == PARAM_RECORDS)
			source = s;
	}
	if ((source != PARAM_NONE) != (body != NULL))
		fail_msg("%s %s: a body is %s", e->method, e->path,
			 body ? "described and not read" : "read and not described");
	if (body &&
	    json_is_true(json_object_get(body, "required")) == (source == PARAM_BODY_IF_ANY))
		fail_msg("%s %s: is the body needed?", e->method, e->path);
	if (body && !json_object_get(content, "application/json"))
		fail_msg("%s %s: the body may be JSON", e->method, e->path);
	if ((source == PARAM_RECORDS) != (json_object_get(content, "text/csv") != NULL))
		fail_msg("%s %s: CSV is %s", e->method, e->path,
			 source == PARAM_RECORDS ? "read and not described"
						 : "described and not read");
}

static const struct endpoint *row_of(const char *path, const char *method, size_t bytes,
				     bool *ret_is_for_tenants)
{
	size_t n;
	const struct resource *const *r = api_resources(&n);

	for (size_t i = 0; i <= n; i++) {
		const struct endpoint *rows = i < n ? r[i]->endpoints : handled;
		size_t count = i < n ? r[i]->count : sizeof(handled) / sizeof(handled[0]);
		for (size_t k = 0; k < count; k++) {
			if (strcmp(rows[k].path, path) == 0 && strlen(rows[k].method) == bytes &&
			    memcmp(rows[k].method, method, bytes) == 0) {
				*ret_is_for_tenants = i < n && r[i]->audience == AUDIENCE_TENANT;
				return &rows[k];
			}
		}
	}
	return NULL;
}

static void test_parameters_and_bodies(void **state)
{
	json_t *doc = document();
	size_t n, rows = 0;
	const struct http_route *r = api_routes(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		for (const char *m = r[i].methods; *m; m += strcspn(m, ","), m += *m == ',') {
			const struct endpoint nothing = {.method = m, .path = r[i].path};
			bool is_for_tenants = false;
			const struct endpoint *row =
				row_of(r[i].path, m, strcspn(m, ","), &is_for_tenants);
			const struct endpoint *e = row ? row : &nothing;
			rows += row != NULL;
			compare_query(doc, e, is_for_tenants);
			compare_path(doc, e);
			compare_body(doc, e);
		}
	}
	const struct resource *const *resources = api_resources(&n);
	for (size_t i = 0; i < n; i++)
		rows -= resources[i]->count;
	assert_int_equal(rows, sizeof(handled) / sizeof(handled[0]));
	json_decref(doc);
}

/* Every $ref has its target. */
static void check_refs(const json_t *doc, json_t *j)
{
	const char *name, *ref = json_path_text(j, "$ref");
	json_t *member;
	size_t i;

	if (ref) {
		const json_t *at = doc;
		char part[128];
		for (const char *p = ref + 1; at && *p;) {
			size_t bytes = strcspn(++p, "/");
			assert_true(bytes < sizeof(part));
			snprintf(part, sizeof(part), "%.*s", (int)bytes, p);
			at = json_object_get(at, part);
			p += bytes;
		}
		if (!at)
			fail_msg("%s is not there", ref);
	}
	json_object_foreach (j, name, member)
		check_refs(doc, member);
	json_array_foreach (j, i, member)
		check_refs(doc, member);
}

static void test_references(void **state)
{
	json_t *doc = document();

	(void)state;
	check_refs(doc, doc);
	json_decref(doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_route_is_described),
		cmocka_unit_test(test_no_route_is_invented),
		cmocka_unit_test(test_parameters_and_bodies),
		cmocka_unit_test(test_references),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
