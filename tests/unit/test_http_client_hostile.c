/* SPDX-License-Identifier: Apache-2.0 */
/* The client against names, addresses and answers that are not what they should be. */
#include "tests/unit/http_client_fixture.h"

#include "common/http_address.h"

static void serve_drip(struct peer *p, int fd)
{
	if (!read_request(p, fd))
		return;
	say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
	for (int i = 0; i < 100 && !p->stop; i++) {
		say(fd, "x");
		nap(20);
	}
}

static void serve_endless(struct peer *p, int fd)
{
	char block[4096];

	if (!read_request(p, fd))
		return;
	memset(block, 'x', sizeof(block));
	say(fd, "HTTP/1.1 200 OK\r\n\r\n");
	while (!p->stop && send(fd, block, sizeof(block), MSG_NOSIGNAL) > 0)
		;
}

static void serve_huge_headers(struct peer *p, int fd)
{
	char line[1024];

	if (!read_request(p, fd))
		return;
	memset(line, 'x', sizeof(line));
	memcpy(line, "X-Filler: ", 10);
	memcpy(line + sizeof(line) - 2, "\r\n", 2);
	say(fd, "HTTP/1.1 200 OK\r\n");
	while (!p->stop && send(fd, line, sizeof(line), MSG_NOSIGNAL) > 0)
		;
}

static void serve_answer(struct peer *p, int fd)
{
	if (read_request(p, fd))
		say(fd, p->answer);
}

static void test_name_not_found(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, NULL);
	f.request.url = "http://no-such-host.invalid/call";
	run_one(&f);
	expect(&f, HTTP_FAILED, false);
	teardown(&f);
}

static void test_timeout_before_body(void **state)
{
	static struct peer p;
	struct fixture f;

	(void)state;
	peer_start(&p, serve_silence); /* accepts, never shakes hands */
	setup(&f, &p);
	snprintf(f.url, sizeof(f.url), "https://127.0.0.1:%u/call", p.port);
	f.request.timeout_ms = 200;
	run_one(&f);
	expect(&f, HTTP_FAILED, false);
	assert_int_equal(f.r.asked, 0);
	teardown(&f);
	peer_stop(&p);
	assert_int_equal(p.requests, 0);
}

static void test_timeout_after_body(void **state)
{
	static struct peer p;
	struct fixture f;

	(void)state;
	peer_start(&p, serve_silence);
	setup(&f, &p);
	f.request.timeout_ms = 200;
	run_one(&f);
	expect(&f, HTTP_FAILED, true);
	assert_int_equal(f.r.status, 0);
	teardown(&f);
	peer_stop(&p);
	assert_int_equal(p.requests, 1);
}

static void test_slow_drip(void **state)
{
	static struct peer p;
	struct fixture f;

	(void)state;
	peer_start(&p, serve_drip);
	setup(&f, &p);
	f.request.timeout_ms = 300;
	run_one(&f);
	expect(&f, HTTP_FAILED, true);
	assert_int_equal(f.r.status, 200); /* known, and still not an answer */
	assert_true(f.r.body_bytes > 0);
	teardown(&f);
	peer_stop(&p);
}

static void test_too_large(void **state)
{
	void (*const serve[])(struct peer * p, int fd) = {serve_endless, serve_huge_headers};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		static struct peer p;
		struct fixture f;
		peer_start(&p, serve[i]);
		setup(&f, &p);
		run_one(&f);
		expect(&f, HTTP_TOO_LARGE, true);
		assert_true(f.r.body_bytes <= f.request.max_response_bytes);
		teardown(&f);
		peer_stop(&p);
	}
}

static void test_odd_answers(void **state)
{
	static const struct {
		const char *answer;
		enum http_outcome outcome;
		long status;
	} rows[] = {
		{"220 smtp.example.test ESMTP\r\n", HTTP_FAILED, 0},
		{"<html>no status line</html>", HTTP_FAILED, 0},
		{"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"success\":true", HTTP_FAILED,
		 200},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"su", HTTP_FAILED,
		 200},
		{"", HTTP_FAILED, 0},
		{"HTTP/1.1 204 No Content\r\n\r\n", HTTP_ANSWERED, 204},
		{"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", HTTP_ANSWERED, 500},
		{"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
		 HTTP_ANSWERED, 302},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		static struct peer p;
		struct fixture f;
		peer_start(&p, serve_answer);
		p.answer = rows[i].answer;
		setup(&f, &p);
		run_one(&f);
		expect(&f, rows[i].outcome, true);
		assert_int_equal(f.r.status, rows[i].status);
		teardown(&f);
		peer_stop(&p);
		assert_int_equal(p.requests, 1); /* neither repeated nor redirected */
	}
}

static void test_retry_after(void **state)
{
	static const struct {
		const char *value;
		int64_t wait_ms;
	} rows[] = {
		{"7", 7000},
		{"0", 0},
		{" 3600 ", 3600000},
		{"99999999999999999999", INT64_MAX},
		{"Mon, 05 Jan 2026 16:21:11 GMT", 60000},
		{"Mon, 05 Jan 2026 16:00:00 GMT", 0},
		{"soon", -1},
		{"-5", -1},
		{"1.5", -1},
		{"", -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		static struct peer p;
		struct fixture f;
		char answer[256];
		snprintf(answer, sizeof(answer),
			 "HTTP/1.1 429 Slow down\r\nretry-after:%s\r\nContent-Length: 0\r\n\r\n",
			 rows[i].value);
		peer_start(&p, serve_answer);
		p.answer = answer;
		setup(&f, &p);
		run_one(&f);
		expect(&f, HTTP_ANSWERED, true);
		assert_int_equal(f.r.status, 429);
		if (f.r.retry_after_ms != rows[i].wait_ms)
			fail_msg("\"%s\" gave %lld", rows[i].value, (long long)f.r.retry_after_ms);
		teardown(&f);
		peer_stop(&p);
	}
}

static void test_private_address(void **state)
{
	static struct peer p;
	struct fixture f;

	(void)state;
	peer_start(&p, serve_ok);
	setup_options(&f, &p, 8, false);
	assert_false(http_send(f.client, &f.request, on_done, &f.r)); /* http:// */
	snprintf(f.url, sizeof(f.url), "https://127.0.0.1:%u/call", p.port);
	run_one(&f);
	expect(&f, HTTP_FAILED, false);
	assert_non_null(strstr(f.r.error, "address not permitted"));
	snprintf(f.url, sizeof(f.url), "https://[::ffff:127.0.0.1]:%u/call", p.port);
	run_one(&f);
	expect(&f, HTTP_FAILED, false);
	teardown(&f);
	peer_stop(&p);
	assert_int_equal(p.connections, 0);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *text;
		bool public;
	} rows[] = {
		{"8.8.8.8", true},
		{"172.15.0.1", true},
		{"172.32.0.1", true},
		{"100.63.255.255", true},
		{"223.255.255.254", true},
		{"0.0.0.0", false},
		{"10.1.2.3", false},
		{"100.64.0.1", false},
		{"127.0.0.1", false},
		{"169.254.169.254", false},
		{"172.16.0.1", false},
		{"172.31.255.255", false},
		{"192.168.1.1", false},
		{"198.19.0.1", false},
		{"224.0.0.1", false},
		{"255.255.255.255", false},
		{"2606:4700::1111", true},
		{"::", false},
		{"::1", false},
		{"fe80::1", false},
		{"fd00::1", false},
		{"ff02::1", false},
		{"2001:db8::1", false},
		{"2001::1", false},
		{"::ffff:8.8.8.8", true},
		{"::ffff:10.0.0.1", false},
		{"::ffff:169.254.169.254", false},
		{"64:ff9b::8.8.8.8", true},
		{"64:ff9b::7f00:1", false},
		{"2002:7f00:1::", false},
		{"2002:808:808::", true},
		{"::127.0.0.1", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sockaddr_in in = {.sin_family = AF_INET};
		struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
		const struct sockaddr *a = (const struct sockaddr *)&in;
		if (inet_pton(AF_INET, rows[i].text, &in.sin_addr) != 1) {
			assert_int_equal(inet_pton(AF_INET6, rows[i].text, &in6.sin6_addr), 1);
			a = (const struct sockaddr *)&in6;
		}
		if (http_address_is_public(a) != rows[i].public)
			fail_msg("%s", rows[i].text);
	}
	const struct sockaddr local = {.sa_family = AF_UNIX};
	assert_false(http_address_is_public(&local));
}

/* Told to whom wants it. */
static void test_date(void **state)
{
	static const struct {
		const char *value;
		bool wanted;
		int64_t at;
	} rows[] = {
		{"Mon, 05 Jan 2026 16:20:11 GMT", true, INT64_C(1767630011000)},
		{"Mon, 05 Jan 2026 16:20:11 GMT", false, -1},
		{"yesterday", true, -1},
		{"", true, -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		static struct peer p;
		struct fixture f;
		char answer[256];
		snprintf(answer, sizeof(answer),
			 "HTTP/1.1 200 OK\r\ndate: %s\r\nContent-Length: 0\r\n\r\n", rows[i].value);
		peer_start(&p, serve_answer);
		p.answer = answer;
		setup(&f, &p);
		f.request.wants_date = rows[i].wanted;
		run_one(&f);
		expect(&f, HTTP_ANSWERED, true);
		assert_int_equal(f.r.date_at, rows[i].at);
		teardown(&f);
		peer_stop(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_name_not_found),
		cmocka_unit_test(test_timeout_before_body),
		cmocka_unit_test(test_timeout_after_body),
		cmocka_unit_test(test_slow_drip),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_odd_answers),
		cmocka_unit_test(test_retry_after),
		cmocka_unit_test(test_date),
		cmocka_unit_test(test_private_address),
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
