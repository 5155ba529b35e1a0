/* SPDX-License-Identifier: Apache-2.0 */
/* Requests, routes, answers at once and later, and the server's end. */
#include "tests/unit/http_server_fixture.h"

static struct client c1, c2;

static void test_get(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, 10);
	client_open(&f, &c1);
	client_send(&c1,
		    "GET /items/a%2Fb%20c?x=1&q=%2B1+202&q=2 HTTP/1.1\r\nHost: a\r\nX-Test: one\r\n"
		    "x-test: two\r\n\r\n");
	wait_answers(&f, &c1, 1);
	assert_int_equal(status_of(&c1), 200);
	expect_text(&c1, "GET /items/a/b c id=a/b c rest=- q=+1 202 x=one peer=127.0.0.1 body=0:");
	expect_text(&c1, "X-Seen: yes\r\n");
	expect_text(&c1, "Content-Type: text/plain\r\n");
	assert_int_equal(f.last_status, 200);
	assert_ptr_equal(f.last_route, &routes[2]);
	/* The same connection again. */
	client_send(&c1, "GET /files/a/b%2e/?q HTTP/1.1\r\nHost: a\r\n\r\n");
	wait_answers(&f, &c1, 2);
	expect_text(&c1, "GET /files/a/b./ id=- rest=a/b./ q= x=-");
	client_send(&c1, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	wait_closed(&f, &c1);
	expect_text(&c1, "GET / id=- rest=- q=-");
	assert_false(c1.was_reset);
	assert_int_equal(http_server_open_exchanges(f.server), 0);
	client_close(&c1);
	stop(&f);
}

static void test_post(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, 10);
	client_open(&f, &c1);
	client_send(&c1, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe");
	turn_for(&f, 20);
	assert_int_equal(f.handled, 0);
	client_send(&c1, "llo");
	wait_answers(&f, &c1, 1);
	expect_text(&c1, "body=5:hello");
	client_send(&c1, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
			 "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
	wait_answers(&f, &c1, 2);
	expect_text(&c1, "body=7:abcdefg");
	client_send(
		&c1,
		"PATCH /items/7 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
		"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	wait_answers(&f, &c1, 4);
	expect_text(&c1, "PATCH /items/7 id=7 rest=- q=- x=- peer=127.0.0.1 body=2:{}");
	expect_text(&c1, "100 Continue\r\n\r\n");
	client_send(&c1, "ok");
	wait_answers(&f, &c1, 5);
	expect_text(&c1, "body=2:ok");
	assert_int_equal(f.handled, 4);
	client_close(&c1);
	stop(&f);
}

static void test_honest_oddities(void **state)
{
	static const char *const texts[] = {
		"GET /echo HTTP/1.0\r\n\r\n",
		"\r\nGET /echo HTTP/1.1\r\nHost:a\r\n\r\n",
		"GET /echo HTTP/1.1\r\nHost:  \ta\r\nX-Empty:\r\nX-Blank: \r\nX-Test: caf\xc3\xa9\r\n\r\n",
		"GET /echo HTTP/1.1\r\nhost: a\r\nCookie: a=b; c=d\r\nX-Colon: a:b:c\r\n\r\n",
		"GET /echo?a=b&c=d&&=&q=%26 HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
	};
	struct fixture f;

	(void)state;
	start(&f, 10);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		client_open(&f, &c1);
		client_send(&c1, texts[i]);
		wait_answers(&f, &c1, 1);
		if (status_of(&c1) != 200)
			fail_msg("%s gave %s", texts[i], c1.got);
		client_close(&c1);
	}
	/* A large header in many pieces: libmicrohttpd's buffer grows while it comes. */
	client_open(&f, &c1);
	client_send(&c1, "GET /echo HTTP/1.1\r\nHost: a\r\n");
	for (int i = 0; i < 150; i++) {
		char line[160];
		snprintf(line, sizeof(line), "X-Filler-%04d: %083d\r\n", i, i);
		client_send_bytes(&c1, line, 50);
		turn(&f);
		client_send(&c1, line + 50);
	}
	client_send(&c1, "\r\n");
	wait_answers(&f, &c1, 1);
	assert_int_equal(status_of(&c1), 200);
	client_close(&c1);
	stop(&f);
}

static void test_not_found_and_methods(void **state)
{
	static const struct {
		const char *request;
		int status;
		const char *text;
	} rows[] = {
		{"GET /none HTTP/1.1", 404, "\"title\":\"Not Found\",\"status\":404}"},
		{"GET /items/7/close/now HTTP/1.1", 404, "application/problem+json"},
		{"GET /items/ HTTP/1.1", 404, ""},
		{"GET /files HTTP/1.1", 404, ""},
		{"POST /files/a HTTP/1.1", 405, "Allow: GET, HEAD\r\n"},
		{"PUT /items/7 HTTP/1.1", 405, "Allow: GET, HEAD, DELETE, PATCH\r\n"},
		{"GET /items/7/close HTTP/1.1", 405, "Allow: POST\r\n"},
		{"OPTIONS /echo HTTP/1.1", 405, "Allow: GET, HEAD, POST\r\n"},
		{"DELETE /items/7 HTTP/1.1", 200, "DELETE /items/7 id=7"},
	};
	struct fixture f;

	(void)state;
	start(&f, 10);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[200];
		client_open(&f, &c1);
		snprintf(text, sizeof(text), "%s\r\nHost: a\r\n\r\n", rows[i].request);
		client_send(&c1, text);
		client_send(&c1, text); /* the connection stays usable */
		wait_answers(&f, &c1, 2);
		if (status_of(&c1) != rows[i].status || count(c1.got, "HTTP/1.1 ") != 2)
			fail_msg("%s gave %s", rows[i].request, c1.got);
		expect_text(&c1, rows[i].text);
		client_close(&c1);
	}
	/* With a body it is closed instead: nobody reads that body. */
	client_open(&f, &c1);
	client_send(
		&c1,
		"POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nGET / HTTP/1.1\r\n");
	wait_closed(&f, &c1);
	assert_int_equal(status_of(&c1), 404);
	assert_int_equal(count(c1.got, "HTTP/1.1 "), 1);
	client_close(&c1);
	stop(&f);
}

static void test_head(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, 10);
	client_open(&f, &c1);
	client_send(&c1,
		    "HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\nHEAD /none HTTP/1.1\r\nHost: a\r\n\r\n"
		    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	wait_closed(&f, &c1);
	assert_int_equal(count(c1.got, "HTTP/1.1 200"), 2);
	assert_int_equal(count(c1.got, "HTTP/1.1 404"), 1);
	assert_int_equal(count(c1.got, "peer="), 1); /* that of the GET */
	assert_null(strstr(c1.got, "about:blank"));
	assert_int_equal(f.handled, 2);
	client_close(&c1);
	stop(&f);
}

static void test_large_answer(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, 10);
	client_open(&f, &c1);
	client_send(&c1, "GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	wait_closed(&f, &c1);
	size_t letters = 0;
	for (size_t i = 0; i < c1.n; i++)
		letters += c1.got[i] == 'L';
	assert_int_equal(letters, 300000 + 1); /* and Content-Length */
	client_close(&c1);
	client_open(&f, &c1);
	client_send(&c1, "GET /split HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	wait_closed(&f, &c1);
	assert_int_equal(status_of(&c1), 500);
	assert_null(strstr(c1.got, "X-Injected"));
	client_close(&c1);
	stop(&f);
}

static void test_deferred(void **state)
{
	struct fixture f;

	(void)state;
	start(&f, 10);
	client_open(&f, &c1);
	/* Pipelined: each begins when the one before is answered. */
	client_send(
		&c1,
		"POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nabGET /later HTTP/1.1\r\n"
		"Host: a\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
	turn_for(&f, 600); /* longer than any deadline: those are the client's, not the handler's */
	assert_int_equal(f.deferred_count, 1);
	size_t n;
	assert_string_equal(http_body(f.deferred[0], &n), "ab");
	assert_int_equal(http_server_open_exchanges(f.server), 1);
	answer_all(&f);
	wait_answers(&f, &c1, 1);
	assert_int_equal(f.deferred_count, 1);
	answer_all(&f);
	wait_answers(&f, &c1, 3);
	assert_int_equal(count(c1.got, "202 Accepted"), 2);
	expect_text(&c1, "body=0:");
	client_close(&c1);
	/* The client is gone when the answer comes. */
	client_open(&f, &c1);
	client_send(&c1, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
	turn_for(&f, 20);
	client_close(&c1);
	turn_for(&f, 20);
	assert_int_equal(f.deferred_count, 1);
	answer_all(&f);
	turn_for(&f, 20);
	assert_int_equal(http_server_open_exchanges(f.server), 0);
	stop(&f);
}

static void test_many_connections(void **state)
{
	static struct client clients[100];
	struct fixture f;

	(void)state;
	start(&f, 200);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 100; i++) {
			if (round == 0)
				client_open(&f, &clients[i]);
			client_send(&clients[i], "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
			turn(&f);
		}
		while (f.deferred_count < 100)
			turn(&f);
		answer_all(&f);
		for (int i = 0; i < 100; i++)
			wait_answers(&f, &clients[i], round + 1);
	}
	assert_int_equal(f.handled, 300);
	assert_int_equal(f.done, 300);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(count(clients[i].got, "202 Accepted"), 3);
		client_close(&clients[i]);
	}
	stop(&f);
}

static void test_quiesce(void **state)
{
	struct fixture f;
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	(void)state;
	start(&f, 10);
	at.sin_port = htons((uint16_t)http_server_port(f.server));
	client_open(&f, &c1);
	client_send(&c1, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
	client_open(&f, &c2);
	client_send(&c2, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
	wait_answers(&f, &c2, 1);
	http_server_quiesce(f.server);
	wait_closed(&f, &c2); /* was idle */
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), -1);
	close(fd);
	assert_int_equal(http_server_open_exchanges(f.server), 1);
	answer_all(&f);
	wait_closed(&f, &c1);
	assert_int_equal(status_of(&c1), 202);
	expect_text(&c1, "Connection: close\r\n");
	assert_int_equal(http_server_open_exchanges(f.server), 0);
	client_close(&c1);
	client_close(&c2);
	stop(&f);
}

static void test_free_with_open_exchanges(void **state)
{
	static struct client slow[3];
	struct fixture f;

	(void)state;
	start(&f, 10);
	for (int i = 0; i < 3; i++) {
		client_open(&f, &slow[i]);
		client_send(
			&slow[i],
			"GET /later HTTP/1.1\r\nHost: a\r\n\r\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
	}
	client_open(&f, &c1);
	client_send(&c1, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\nabc");
	turn_for(&f, 30);
	assert_int_equal(f.deferred_count, 3);
	stop(&f);
	for (int i = 0; i < 3; i++) {
		client_take(&slow[i]);
		assert_int_equal(status_of(&slow[i]), 503);
		assert_true(slow[i].closed);
		client_close(&slow[i]);
	}
	client_take(&c1);
	assert_true(c1.closed);
	client_close(&c1);
}

static void test_listen_errors(void **state)
{
	static const char *const bad[] = {"8080",   "127.0.0.1:",   "127.0.0.1:x",
					  "::1:80", "256.0.0.1:80", "no-such-host.invalid:80"};
	struct fixture f;
	struct buf error;
	char taken[40];
	struct http_server_options o = {.routes = routes,
					.max_connections = 1,
					.header_timeout_ms = 100,
					.request_timeout_ms = 100,
					.clock = clock_system()};

	(void)state;
	start(&f, 10);
	buf_init(&error, 1000);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		o.listen = bad[i];
		assert_null(http_server_new(f.loop, &o, &error));
		assert_non_null(strstr(error.data, bad[i]));
		buf_clear(&error);
	}
	snprintf(taken, sizeof(taken), "127.0.0.1:%u", http_server_port(f.server));
	o.listen = taken;
	assert_null(http_server_new(f.loop, &o, &error));
	assert_non_null(strstr(error.data, "Address already in use"));
	buf_clear(&error);
	o.listen = "[::1]:0";
	struct http_server *s = http_server_new(f.loop, &o, &error);
	if (s)
		assert_true(http_server_port(s) > 0);
	else
		assert_non_null(strstr(error.data, "Cannot assign")); /* a machine without IPv6 */
	http_server_free(s);
	http_server_free(NULL);
	buf_release(&error);
	stop(&f);
}

static void handle_secret(void *arg, struct http_exchange *x)
{
	static const char *const names[] = {"X-API-Key", "X-Vapi-Secret", NULL};
	const char *secret = http_presented_secret(x, names);

	(void)arg;
	http_respond(x, http_secret_equal(secret, "right-secret") ? 200 : 401, NULL, "", 0);
}

static void test_secrets(void **state)
{
	static const struct http_route secret_routes[] = {{"GET", "/", handle_secret, 0}};
	static const struct {
		const char *header;
		int status;
	} rows[] = {
		{"Authorization: Bearer right-secret", 200},
		{"authorization: bearer  right-secret", 200},
		{"X-API-Key: right-secret", 200},
		{"x-vapi-secret: right-secret", 200},
		{"X-API-Key: right-secre", 401},
		{"X-API-Key: right-secrets", 401},
		{"X-API-Key:", 401},
		{"Authorization: right-secret", 401},
		{"X-Other: right-secret", 401},
	};
	struct fixture f = {.loop = ev_loop_new(0)};
	struct buf error;

	(void)state;
	assert_false(http_secret_equal(NULL, "a"));
	assert_false(http_secret_equal("a", NULL));
	assert_false(http_secret_equal(NULL, NULL));
	assert_true(http_secret_equal("", ""));
	buf_init(&error, 1000);
	const struct http_server_options o = {.listen = "127.0.0.1:0",
					      .routes = secret_routes,
					      .routes_count = 1,
					      .max_connections = 10,
					      .header_timeout_ms = 1000,
					      .request_timeout_ms = 1000,
					      .clock = clock_system()};
	f.server = http_server_new(f.loop, &o, &error);
	assert_non_null(f.server);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[200];
		client_open(&f, &c1);
		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n",
			 rows[i].header);
		client_send(&c1, text);
		wait_answers(&f, &c1, 1);
		if (status_of(&c1) != rows[i].status)
			fail_msg("%s gave %d", rows[i].header, status_of(&c1));
		client_close(&c1);
	}
	buf_release(&error);
	stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_post),
		cmocka_unit_test(test_honest_oddities),
		cmocka_unit_test(test_not_found_and_methods),
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_large_answer),
		cmocka_unit_test(test_deferred),
		cmocka_unit_test(test_many_connections),
		cmocka_unit_test(test_quiesce),
		cmocka_unit_test(test_free_with_open_exchanges),
		cmocka_unit_test(test_listen_errors),
		cmocka_unit_test(test_secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
