/* SPDX-License-Identifier: Apache-2.0 */
/* Requests as they should go: once, held back when asked to, bounded; and what proves that nothing
 * left. */
#include "tests/unit/http_client_fixture.h"

/* The first request of all is answered and its connection kept; every later one is read and then
 * cut off. */
static void serve_ok_then_reset(struct peer *p, int fd)
{
	while (read_request(p, fd)) {
		if (p->requests > 1) {
			reset(fd);
			return;
		}
		say(fd, ok);
	}
}

static void serve_ok_then_close(struct peer *p, int fd)
{
	while (read_request(p, fd)) {
		if (p->requests > 1)
			return;
		say(fd, ok);
	}
}

static void serve_nothing(struct peer *p, int fd)
{
	(void)fd;
	while (!p->stop)
		nap(20);
}

static void test_post(void **state)
{
	static struct peer p;
	struct fixture f;

	(void)state;
	peer_start(&p, serve_ok);
	setup(&f, &p);
	run_one(&f);
	expect(&f, HTTP_ANSWERED, true);
	assert_int_equal(f.r.status, 200);
	assert_string_equal(f.r.body, "ok");
	assert_string_equal(f.r.error, "");
	assert_int_equal(f.r.retry_after_ms, -1);
	assert_int_equal(f.r.asked, 1);
	assert_int_equal(f.r.started_at, 1767630011000);
	run_one(&f);
	assert_int_equal(p.connections, 1); /* kept alive */
	f.request.fresh_connection = true;
	run_one(&f);
	expect(&f, HTTP_ANSWERED, true);
	assert_int_equal(p.connections, 2);
	teardown(&f);
	peer_stop(&p);
	assert_int_equal(p.requests, 3);
	assert_int_equal(p.body_bytes, 3 * 21);
	assert_non_null(strstr(p.last_request, "POST /api/v1/calls/dispatch HTTP/1.1\r\n"));
	assert_non_null(strstr(p.last_request, "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(p.last_request, "\r\nX-Job: job-42\r\n"));
	assert_non_null(strstr(p.last_request, "\r\nUser-Agent: carillon-test\r\n"));
	assert_non_null(strstr(p.last_request, "\r\nContent-Length: 21\r\n"));
	assert_null(strstr(p.last_request, "Expect:"));
	assert_null(strstr(p.last_request, "Transfer-Encoding:"));
	assert_non_null(strstr(p.last_request, "\r\n\r\n{\"to\":\"+12025550101\"}"));
}

static void test_no_reuse(void **state)
{
	static struct peer p;
	struct fixture f;

	(void)state;
	peer_start(&p, serve_ok);
	setup(&f, &p);
	http_client_free(f.client);
	const struct http_client_options o = {.max_requests = 1,
					      .connection_max_idle_s = 0,
					      .allow_insecure = true,
					      .user_agent = "carillon-test",
					      .clock = &f.fixed};
	f.client = http_client_new(f.loop, &o);
	run_one(&f);
	run_one(&f);
	expect(&f, HTTP_ANSWERED, true);
	assert_int_equal(p.connections, 2);
	teardown(&f);
	peer_stop(&p);
}

static void test_get(void **state)
{
	static struct peer p;
	struct fixture f;

	(void)state;
	peer_start(&p, serve_ok);
	setup(&f, &p);
	f.request.method = "GET";
	f.request.body = NULL;
	f.request.body_bytes = 0;
	f.request.once = false;
	f.request.headers = NULL;
	run_one(&f);
	expect(&f, HTTP_ANSWERED, true);
	assert_int_equal(f.r.asked, 1);
	teardown(&f);
	peer_stop(&p);
	assert_non_null(strstr(p.last_request, "GET /api/v1/calls/dispatch HTTP/1.1\r\n"));
	assert_null(strstr(p.last_request, "Content-"));
}

/* A kept-alive connection dies after the peer has read the POST. libcurl by itself sends it again.
 */
static void kept_alive_connection_dies(void (*serve)(struct peer *p, int fd), bool once,
				       size_t body_bytes, bool *ret_sent_again)
{
	static struct peer p;
	struct fixture f;

	peer_start(&p, serve);
	setup(&f, &p);
	f.request.once = once;
	f.request.body_bytes = body_bytes;
	run_one(&f);
	expect(&f, HTTP_ANSWERED, true);
	run_one(&f);
	expect(&f, HTTP_FAILED, true);
	assert_true(strlen(f.r.error) > 0);
	teardown(&f);
	peer_stop(&p);
	*ret_sent_again = p.requests > 2;
	if (once)
		assert_int_equal(p.body_bytes, 2 * (long)body_bytes);
}

static void test_once_is_once(void **state)
{
	bool again;

	(void)state;
	kept_alive_connection_dies(serve_ok_then_reset, true, 21, &again);
	assert_false(again);
	kept_alive_connection_dies(serve_ok_then_close, true, 21, &again);
	assert_false(again);
	kept_alive_connection_dies(serve_ok_then_reset, true, 0, &again);
	assert_false(again);
	/* The control: without `once` these peers do see the request twice. */
	kept_alive_connection_dies(serve_ok_then_reset, false, 21, &again);
	assert_true(again);
	kept_alive_connection_dies(serve_ok_then_close, false, 0, &again);
	assert_true(again);
}

/* Connected and asked, then reset, then the first write: it fails, so nothing left. */
static atomic_bool reset_wanted, reset_done;

static void serve_reset(struct peer *p, int fd)
{
	while (!reset_wanted && !p->stop)
		nap(1);
	reset(fd);
	dup2(p->listen_fd, fd); /* closes the connection and leaves the caller something to close */
	reset_done = true;
}

static bool may_send_after_reset(void *arg)
{
	reset_wanted = true;
	while (!reset_done)
		nap(1);
	nap(20);
	return may_send(arg);
}

static void test_reset_before_write(void **state)
{
	static struct peer p;
	struct fixture f;

	(void)state;
	peer_start(&p, serve_reset);
	setup(&f, &p);
	f.request.may_send = may_send_after_reset;
	run_one(&f);
	expect(&f, HTTP_FAILED, false);
	assert_int_equal(f.r.asked, 1);
	teardown(&f);
	peer_stop(&p);
	assert_int_equal(p.requests, 0);
}

static void test_connect_refused(void **state)
{
	static struct peer p;
	struct fixture f;

	(void)state;
	peer_start(&p, serve_ok);
	peer_stop(&p); /* nobody listens on its port now */
	setup(&f, &p);
	run_one(&f);
	expect(&f, HTTP_FAILED, false);
	assert_int_equal(f.r.status, 0);
	assert_int_equal(f.r.asked, 0);
	assert_non_null(strstr(f.r.error, "Connection refused"));
	teardown(&f);
}

static void test_held(void **state)
{
	static struct peer p;
	struct fixture f;

	(void)state;
	peer_start(&p, serve_ok);
	setup(&f, &p);
	f.r.permit = false;
	run_one(&f);
	expect(&f, HTTP_HELD, false);
	assert_int_equal(f.r.asked, 1);
	f.request.body_bytes = 0;
	run_one(&f);
	expect(&f, HTTP_HELD, false);
	teardown(&f);
	peer_stop(&p);
	assert_int_equal(p.body_bytes, 0);
}

static void test_refused_requests(void **state)
{
	static const char *const bad_urls[] = {
		"ftp://127.0.0.1/",	     "127.0.0.1/",	  "", "http://127.0.0.1/a b",
		"http://127.0.0.1/\r\nX: y", "file:///etc/passwd"};
	static const char *const bad_headers[] = {"X-Job: 1\r\nX-Other: 2", NULL};
	struct fixture f;

	(void)state;
	setup(&f, NULL);
	for (size_t i = 0; i < sizeof(bad_urls) / sizeof(bad_urls[0]); i++) {
		f.request.url = bad_urls[i];
		assert_false(http_send(f.client, &f.request, on_done, &f.r));
	}
	f.request.url = f.url;
	f.request.headers = bad_headers;
	assert_false(http_send(f.client, &f.request, on_done, &f.r));
	assert_int_equal(http_client_free_slots(f.client), 8);
	teardown(&f);
}

/* One after the other by the same transfer: none is sent to another's URL. */
static void test_urls_change(void **state)
{
	static const struct {
		const char *before_port, *behind_port;
		const char *target; /* NULL: can't be sent to */
	} rows[] = {
		{"http://127.0.0.1:", "/a", "POST /a HTTP/1.1\r\n"},
		{"http://127.0.0.1:", "/a", "POST /a HTTP/1.1\r\n"},
		{"http://127.0.0.1:", "/a/../b?x=1&y=%20#z", "POST /b?x=1&y=%20 HTTP/1.1\r\n"},
		{"http://ada:secret@127.0.0.1:", "/a", NULL},
		{"http://127.0.0.1:", "/a", "POST /a HTTP/1.1\r\n"},
		{"http://127.0.0.1:9", "/a", NULL},
		{"http://127.0.0.1:9", "/a", NULL},
		{"HTTP://127.0.0.1:", "", "POST / HTTP/1.1\r\n"},
		{"http://127.0.0.1:", "/a", "POST /a HTTP/1.1\r\n"},
	};
	static struct peer p;
	struct fixture f;

	(void)state;
	peer_start(&p, serve_ok);
	setup_options(&f, &p, 1, true);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(f.url, sizeof(f.url), "%s%05u%s", rows[i].before_port, p.port,
			 rows[i].behind_port);
		run_one(&f);
		expect(&f, rows[i].target ? HTTP_ANSWERED : HTTP_FAILED, rows[i].target != NULL);
		if (rows[i].target && !strstr(p.last_request, rows[i].target))
			fail_msg("%s: %s", f.url, p.last_request);
	}
	assert_int_equal(p.requests, 6);
	teardown(&f);
	peer_stop(&p);
}

static void test_bound_and_abort(void **state)
{
	static struct peer p;
	struct fixture f;

	(void)state;
	peer_start(&p, serve_nothing);
	setup_options(&f, &p, 3, true);
	for (int i = 0; i < 3; i++)
		assert_true(http_send(f.client, &f.request, on_done, &f.r));
	assert_int_equal(http_client_free_slots(f.client), 0);
	assert_false(http_send(f.client, &f.request, on_done, &f.r));
	while (p.connections == 0)
		ev_run(f.loop, EVRUN_ONCE);
	teardown(&f); /* under way: no callback, nothing left behind */
	assert_int_equal(f.r.done, 0);
	peer_stop(&p);
}

struct chain {
	struct fixture *f;
	int left;
};

static void on_chain(void *arg, const struct http_answer *a)
{
	struct chain *c = arg;

	assert_int_equal(a->outcome, HTTP_ANSWERED);
	assert_int_equal(http_client_free_slots(c->f->client), 1); /* free before the callback */
	if (--c->left > 0)
		assert_true(http_send(c->f->client, &c->f->request, on_chain, c));
	else
		ev_break(c->f->loop, EVBREAK_ALL);
}

static void test_send_from_callback(void **state)
{
	static struct peer p;
	struct fixture f;
	struct chain chain = {.f = &f, .left = 50};

	(void)state;
	peer_start(&p, serve_ok);
	setup_options(&f, &p, 1, true);
	f.request.may_send = NULL;
	assert_true(http_send(f.client, &f.request, on_chain, &chain));
	ev_run(f.loop, 0);
	assert_int_equal(chain.left, 0);
	teardown(&f);
	peer_stop(&p);
	assert_int_equal(p.requests, 50);
	assert_int_equal(p.connections, 1);
}

/* A body that libcurl does not send together with its header arrives whole. */
static void test_large_body(void **state)
{
	static struct peer p;
	struct fixture f;
	static char body[200000];

	(void)state;
	memset(body, 'b', sizeof(body));
	peer_start(&p, serve_ok);
	setup(&f, &p);
	f.request.body = body;
	f.request.body_bytes = sizeof(body);
	run_one(&f);
	expect(&f, HTTP_ANSWERED, true);
	teardown(&f);
	peer_stop(&p);
	assert_int_equal(p.body_bytes, sizeof(body));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_post),
		cmocka_unit_test(test_no_reuse),
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_once_is_once),
		cmocka_unit_test(test_reset_before_write),
		cmocka_unit_test(test_connect_refused),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_refused_requests),
		cmocka_unit_test(test_urls_change),
		cmocka_unit_test(test_bound_and_abort),
		cmocka_unit_test(test_send_from_callback),
		cmocka_unit_test(test_large_body),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
