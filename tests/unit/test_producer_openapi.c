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

/* Of the path's and the operation's parameters, those that are in the query; "limit" by its $ref.
 */
static size_t query_names(const json_t *parameters, const char *names[], size_t n)
{
	size_t i;
	json_t *p;

	json_array_foreach ((json_t *)(uintptr_t)parameters, i, p) {
		const char *ref = json_path_text(p, "$ref");
		const char *in = json_path_text(p, "in");
		if (ref && strcmp(ref, "#/components/parameters/id") != 0)
			names[n++] = strrchr(ref, '/') + 1;
		else if (in && strcmp(in, "query") == 0)
			names[n++] = json_path_text(p, "name");
	}
	return n;
}

static void compare(const json_t *doc, const struct endpoint *e)
{
	const json_t *o = operation(doc, e->path, e->method);
	const json_t *path = json_object_get(json_object_get(doc, "paths"), e->path);
	const char *names[2 * ENDPOINT_PARAMS_MAX];
	size_t documented = query_names(json_object_get(path, "parameters"), names, 0);
	size_t read = 0;
	bool body = false;

	documented = query_names(json_object_get(o, "parameters"), names, documented);
	for (size_t i = 0; i < ENDPOINT_PARAMS_MAX; i++) {
		body |= e->params[i].source == PARAM_BODY;
		if (e->params[i].source != PARAM_QUERY)
			continue;
		bool found = false;
		for (size_t k = 0; k < documented; k++)
			found |= strcmp(names[k], e->params[i].name) == 0;
		if (!found)
			fail_msg("%s %s: ?%s= is not described", e->method, e->path,
				 e->params[i].name);
		read++;
	}
	if (read != documented)
		fail_msg("%s %s: %zu query parameters are read, %zu described", e->method, e->path,
			 read, documented);
	if (body != (json_object_get(o, "requestBody") != NULL))
		fail_msg("%s %s: a body is %s", e->method, e->path,
			 body ? "read and not described" : "described and not read");
}

static void test_parameters_and_bodies(void **state)
{
	json_t *doc = document();
	size_t n;
	const struct resource *const *r = api_resources(&n);

	(void)state;
	assert_true(n > 0);
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < r[i]->count; k++)
			compare(doc, &r[i]->endpoints[k]);
	}
	json_decref(doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_route_is_described),
		cmocka_unit_test(test_no_route_is_invented),
		cmocka_unit_test(test_parameters_and_bodies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
