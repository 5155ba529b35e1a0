/* SPDX-License-Identifier: Apache-2.0 */
/* producer/api/auth.h: what each key opens, and to whom. Requests go through a server. */
#include "http_server_fixture.h"
#include "producer/api/routes.h"

#define ADMIN_KEY "admin-key-4b7c1f0a93e2"
#define DISPATCH_SECRET "dispatch-secret-0d8e5a7b"
#define BASE "DATABASE_URL=postgresql://x@127.0.0.1:1/x", "KAFKA_BROKERS=localhost:9092"
#define CASES(rows) (rows), sizeof(rows) / sizeof((rows)[0])

/* The keys that the database has. */
static const struct {
	const char *text, *tenant, *may_operate;
	int64_t expires_in_ms; /* 0: never */
} known[] = {
	{"key-all-operate", "", "t", 0},      {"key-all-read", "", "f", 0},
	{"key-acme-operate", "acme", "t", 0}, {"key-acme-read", "acme", "f", 60000},
	{"key-expired", "", "t", -1},
};

struct world {
	struct fixture f;
	struct api api;
	struct config *cfg;
};

/* ---- Routes: one for each audience ---- */

static void admit(void *arg, struct http_exchange *x, enum auth auth, enum audience audience)
{
	struct world *w = arg;
	struct caller caller;
	char text[TENANT_BYTES + 16];

	if (!auth_admit(&w->api, auth, audience, x, http_respond_problem, &caller))
		return;
	snprintf(text, sizeof(text), "as <%s>", caller.tenant);
	http_respond(x, 200, "text/plain", text, strlen(text));
}

static void handle_all(void *arg, struct http_exchange *x)
{
	admit(arg, x, AUTH_ADMIN, AUDIENCE_ALL);
}

static void handle_tenants(void *arg, struct http_exchange *x)
{
	admit(arg, x, AUTH_ADMIN, AUDIENCE_TENANT);
}

static void handle_admins(void *arg, struct http_exchange *x)
{
	admit(arg, x, AUTH_ADMIN, AUDIENCE_ADMIN);
}

static void handle_job(void *arg, struct http_exchange *x)
{
	admit(arg, x, AUTH_DISPATCH, AUDIENCE_ALL);
}

static void handle_checked(void *arg, struct http_exchange *x)
{
	if (auth_check(&((struct world *)arg)->api, AUTH_ADMIN, x))
		http_respond(x, 200, "text/plain", "as <>", 5);
}

static const struct http_route audiences[] = {
	{"GET,POST", "/all", handle_all, BODY_CAP},
	{"GET,POST", "/tenant", handle_tenants, BODY_CAP},
	{"GET,POST", "/admin", handle_admins, BODY_CAP},
	{"GET,POST", "/job", handle_job, BODY_CAP},
	{"GET,POST", "/checked", handle_checked, BODY_CAP},
};

/* ---- The world ---- */

static PGresult *rows(size_t n)
{
	static const char *const names[] = {"hash", "tenant", "may_operate", "expires_at"};
	PGresAttDesc columns[4];
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);

	memset(columns, 0, sizeof(columns));
	for (int c = 0; c < 4; c++)
		columns[c].name = (char *)names[c];
	assert_true(PQsetResultAttrs(res, 4, columns));
	for (size_t i = 0; i < n; i++) {
		const struct sign_part part = {known[i].text, strlen(known[i].text)};
		unsigned char hash[SHA256_BYTES];
		char hex[2 * SHA256_BYTES + 1], expires_at[24];
		assert_true(sha256(&part, 1, hash));
		hex_encode(hash, sizeof(hash), hex);
		snprintf(expires_at, sizeof(expires_at), "%lld",
			 (long long)(clock_wall_ms(clock_system()) + known[i].expires_in_ms));
		const char *values[] = {hex, known[i].tenant, known[i].may_operate,
					known[i].expires_in_ms ? expires_at : NULL};
		for (int c = 0; c < 4; c++)
			assert_true(PQsetvalue(res, (int)i, c, (char *)values[c],
					       values[c] ? (int)strlen(values[c]) : -1));
	}
	return res;
}

static void know(struct world *w, size_t n)
{
	PGresult *res = rows(n);

	api_keys_take(w->api.keys, res);
	PQclear(res);
}

static void open_world(struct world *w, const char *const *environment)
{
	struct buf error;

	memset(w, 0, sizeof(*w));
	buf_init(&error, 10000);
	w->cfg = config_load(CONFIG_PRODUCER, environment, &error);
	if (!w->cfg)
		fail_msg("%s", error.data);
	w->f.loop = ev_loop_new(0);
	w->api = (struct api){
		.cfg = w->cfg,
		.keys = api_keys_new(w->f.loop, w->cfg, clock_system()),
	};
	const struct http_server_options o = {
		.listen = "127.0.0.1:0",
		.routes = audiences,
		.routes_count = sizeof(audiences) / sizeof(audiences[0]),
		.max_connections = 8,
		.header_timeout_ms = 1000,
		.request_timeout_ms = 1000,
		.clock = clock_system(),
		.arg = w,
	};
	w->f.server = http_server_new(w->f.loop, &o, &error);
	assert_non_null(w->f.server);
	buf_release(&error);
}

static void close_world(struct world *w)
{
	http_server_free(w->f.server);
	api_keys_free(w->api.keys);
	ev_loop_destroy(w->f.loop);
	config_free(w->cfg);
}

struct asked {
	const char *key;     /* NULL: none */
	const char *request; /* method and target */
	int status;
	const char *says;
};

static void ask(struct world *w, const struct asked *a, size_t n)
{
	static struct client c;

	for (size_t i = 0; i < n; i++) {
		char text[512];
		snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: localhost\r\n%s%s%s\r\n",
			 a[i].request, a[i].key ? "X-API-Key: " : "", a[i].key ? a[i].key : "",
			 a[i].key ? "\r\n" : "");
		client_open(&w->f, &c);
		client_send(&c, text);
		wait_answers(&w->f, &c, 1);
		if (status_of(&c) != a[i].status)
			fail_msg("%s with %s: %s", a[i].request, a[i].key, c.got);
		expect_text(&c, a[i].says);
		client_close(&c);
	}
}

static const char *const with_key[] = {BASE, "ADMIN_API_KEY=" ADMIN_KEY,
				       "N8N_DISPATCH_SECRET=" DISPATCH_SECRET, NULL};

/* ---- Tests ---- */

static void test_what_a_key_opens(void **state)
{
	static const struct asked asked[] = {
		{ADMIN_KEY, "POST /admin", 200, "as <>"},
		{ADMIN_KEY, "POST /all", 200, "as <>"},
		{ADMIN_KEY, "POST /tenant", 200, "as <>"},
		{"key-all-operate", "GET /admin", 403, "ADMIN_API_KEY alone"},
		{"key-all-operate", "POST /all", 200, "as <>"},
		{"key-all-operate", "POST /checked", 200, "as <>"},
		{"key-all-operate", "POST /tenant", 200, "as <>"},
		{"key-all-read", "GET /all", 200, "as <>"},
		{"key-all-read", "POST /all", 403, "read"},
		{"key-all-read", "POST /checked", 403, "read"},
		{"key-all-read", "GET /tenant", 200, "as <>"},
		{"key-all-read", "POST /tenant", 403, "read"},
		{"key-acme-operate", "GET /admin", 403, "ADMIN_API_KEY alone"},
		{"key-acme-operate", "GET /all", 403, "one tenant's"},
		{"key-acme-operate", "GET /checked", 403, "one tenant's"},
		{"key-acme-operate", "POST /tenant", 200, "as <acme>"},
		{"key-acme-read", "GET /tenant", 200, "as <acme>"},
		{"key-acme-read", "POST /tenant", 403, "read"},
		{NULL, "GET /tenant", 401, "WWW-Authenticate: Bearer"},
		{"key-acme", "GET /tenant", 401, "missing or wrong"},
		{"key-acme-operate-", "GET /tenant", 401, "missing or wrong"},
		{"key-expired", "GET /tenant", 401, "missing or wrong"},
		{DISPATCH_SECRET, "GET /tenant", 401, "missing or wrong"},
		/* The dispatch job has a secret of its own. */
		{ADMIN_KEY, "GET /job", 401, "dispatch secret"},
		{"key-all-operate", "GET /job", 401, "dispatch secret"},
	};
	struct world w;

	(void)state;
	open_world(&w, with_key);
	know(&w, sizeof(known) / sizeof(known[0]));
	ask(&w, CASES(asked));
	close_world(&w);
}

static void test_a_key_to_all_acts_as_a_tenant(void **state)
{
	static const struct asked asked[] = {
		{ADMIN_KEY, "POST /tenant?tenant=acme", 200, "as <acme>"},
		{"key-all-operate", "POST /tenant?tenant=other", 200, "as <other>"},
		{"key-all-read", "GET /tenant?tenant=other", 200, "as <other>"},
		{"key-all-read", "POST /tenant?tenant=other", 403, "read"},
		{"key-acme-operate", "POST /tenant?tenant=acme", 200, "as <acme>"},
		{"key-acme-operate", "POST /tenant?tenant=other", 403, "another tenant's"},
		{"key-acme-operate", "POST /tenant?tenant=", 403, "another tenant's"},
		{ADMIN_KEY, "GET /tenant?tenant=", 422, "no such tenant"},
		{ADMIN_KEY,
		 "GET /tenant?tenant=a123456789b123456789c123456789d123456789e123456789f123456789g12",
		 200, "as <a123456789b123456789c123456789d123456789e123456789f123456789g12>"},
		{ADMIN_KEY,
		 "GET /tenant?tenant=a123456789b123456789c123456789d123456789e123456789f123456789g123",
		 422, "no such tenant"},
		/* Elsewhere it is a parameter like others. */
		{ADMIN_KEY, "GET /all?tenant=acme", 200, "as <>"},
	};
	struct world w;

	(void)state;
	open_world(&w, with_key);
	know(&w, sizeof(known) / sizeof(known[0]));
	ask(&w, CASES(asked));
	close_world(&w);
}

static void test_keys_come_and_go(void **state)
{
	static const struct asked unknown = {"key-acme-operate", "GET /tenant", 503, "Retry-After"};
	static const struct asked admin = {ADMIN_KEY, "GET /admin", 200, "as <>"};
	static const struct asked nobody = {NULL, "GET /tenant", 401, "missing or wrong"};
	static const struct asked there = {"key-acme-operate", "GET /tenant", 200, "as <acme>"};
	static const struct asked gone = {"key-acme-operate", "GET /tenant", 401, "missing"};
	struct world w;

	(void)state;
	open_world(&w, with_key);
	assert_false(api_keys_ready(w.api.keys));
	ask(&w, &unknown, 1);
	ask(&w, &admin, 1);
	ask(&w, &nobody, 1);
	know(&w, 3);
	assert_true(api_keys_ready(w.api.keys));
	ask(&w, &there, 1);
	know(&w, 2);
	ask(&w, &gone, 1);
	assert_null(api_keys_find(w.api.keys, NULL));
	assert_null(api_keys_find(w.api.keys, ""));
	close_world(&w);
}

static void test_without_an_admin_key(void **state)
{
	static const char *const environment[] = {BASE, NULL};
	static const struct asked asked[] = {
		{NULL, "POST /admin", 200, "as <>"},
		{NULL, "POST /tenant?tenant=acme", 200, "as <acme>"},
		{NULL, "POST /job", 200, "as <>"},
		/* A key that is known is what it is. */
		{"key-acme-read", "GET /tenant", 200, "as <acme>"},
		{"key-acme-read", "POST /tenant", 403, "read"},
	};
	struct world w;

	(void)state;
	open_world(&w, environment);
	know(&w, sizeof(known) / sizeof(known[0]));
	ask(&w, CASES(asked));
	close_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_a_key_opens),
		cmocka_unit_test(test_a_key_to_all_acts_as_a_tenant),
		cmocka_unit_test(test_keys_come_and_go),
		cmocka_unit_test(test_without_an_admin_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
