/* SPDX-License-Identifier: Apache-2.0 */
/* The server against those who smuggle, flood and dawdle. */
#include "tests/unit/http_server_fixture.h"

static struct client c1;

#define SMUGGLED "GET /items/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

struct raw {
	const char *bytes;
	size_t n;
};
#define RAW(text)                                                                                  \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

static void test_smuggling(void **state)
{
	static const struct raw rows[] = {
		RAW("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
		    "0\r\n\r\n" SMUGGLED),
		RAW("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"
		    "0\r\n\r\n" SMUGGLED),
		RAW("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 43\r\n\r\n" SMUGGLED),
		RAW("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
		RAW("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length : 43\r\n\r\n" SMUGGLED),
		RAW("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4, 4\r\n\r\nabcd"),
		RAW("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nabcd"),
		RAW("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0x4\r\n\r\nabcd"),
		RAW("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nabcd"),
		RAW("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4 \r\n\r\nabcd"),
		RAW("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"),
		RAW("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n" SMUGGLED),
		RAW("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
		RAW("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n" SMUGGLED),
		RAW("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
		    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
		RAW("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
		RAW("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0b"
		    "chunked\r\n\r\n0\r\n\r\n"),
		RAW("POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
		RAW("GET /echo HTTP/1.1\r\n\r\n"),
		RAW("GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
		RAW("GET /echo HTTP/1.1\r\nHost: a\r\nX-Fold: a\r\n b\r\n\r\n"),
		RAW("GET /echo HTTP/1.1\r\nHost: a\r\n X-Lead: a\r\n\r\n"),
		RAW("GET /echo HTTP/1.1\r\n Host: a\r\n\r\n"),
		RAW("GET /echo HTTP/1.1\nHost: a\n\n"),
		RAW("GET /echo HTTP/1.1\r\nHost: a\nX-Bare: b\r\n\r\n"),
		RAW("GET /echo HTTP/1.1\r\nHost: a\r\nX-Bare-Cr: a\rb\r\n\r\n"),
		RAW("GET /echo HTTP/1.1\r\nHost: a\r\nX-Nul: a\0b\r\n\r\n"),
		RAW("GET /echo HTTP/1.1\r\nHost: a\r\nX-N\0ul: b\r\n\r\n"),
		RAW("GET /echo HTTP/1.1\r\nHost: a\0\0X-B\0 c\r\n\r\n"),
		RAW("GET /echo HTTP/1.1\r\nHost: a\0\0X-B\0 c\nX-C: d\r\n\r\n"),
		RAW("GET /ec\0ho HTTP/1.1\r\nHost: a\r\n\r\n"),
		RAW("GET /echo\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
		RAW("GET /echo HTTP/1.1\0\r\nHost: a\r\n\r\n"),
		RAW("G\0T /echo HTTP/1.1\r\nHost: a\r\n\r\n"),
		RAW("GET  /echo HTTP/1.1\r\nHost: a\r\n\r\n"),
		RAW("GET /echo /x HTTP/1.1\r\nHost: a\r\n\r\n"),
		RAW("GET /echo\t HTTP/1.1\r\nHost: a\r\n\r\n"),
		RAW("GET /echo HTTP/1.1 \r\nHost: a\r\n\r\n"),
		RAW("GET http://a/echo HTTP/1.1\r\nHost: a\r\n\r\n"),
		RAW("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n"),
		RAW("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n"),
		RAW("GET /echo?q=%0 HTTP/1.1\r\nHost: a\r\n\r\n"),
		RAW("G(T /echo HTTP/1.1\r\nHost: a\r\n\r\n"),
		RAW("GET /echo HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n"),
		RAW("GET /echo HTTP/1.1\r\nHost: a\r\nX(Y): b\r\n\r\n"),
		RAW("GET /echo HTTP/1.1\r\nHost: a\r\nX-Del: a\x7f\r\n\r\n"),
		RAW("GET /echo HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n"),
	};
	struct fixture f;

	(void)state;
	start(&f, 10);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		client_open(&f, &c1);
		assert_true(client_send_bytes(&c1, rows[i].bytes, rows[i].n));
		wait_closed(&f, &c1);
		if (status_of(&c1) != 400 || f.handled != 0)
			fail_msg("row %zu: %.60s\ngave %s, %d handled", i, rows[i].bytes, c1.got,
				 f.handled);
		client_close(&c1);
	}
	stop(&f);
}

/* Not HTTP at all, a version that nobody speaks, an absurd length: no handler, and the connection
 * ends. */
static void test_not_http(void **state)
{
	static const struct raw rows[] = {
		RAW("GET\r\n\r\n"),
		RAW("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n"),
		RAW("GET /echo\r\n\r\n"),
		RAW("GET /echo HTTP/2.0\r\nHost: a\r\n\r\n"),
		RAW("GET /echo HTTP/1.2\r\nHost: a\r\n\r\n"),
		RAW("GET /echo XTTP/1.1\r\nHost: a\r\n\r\n"),
		RAW("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
		RAW("\0\0\0\0\r\n\r\n"),
		RAW(" \r\n\r\n"),
	};
	struct fixture f;

	(void)state;
	start(&f, 10);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		client_open(&f, &c1);
		assert_true(client_send_bytes(&c1, rows[i].bytes, rows[i].n));
		wait_closed(&f, &c1);
		assert_int_equal(f.handled, 0);
		assert_true(status_of(&c1) == 0 || status_of(&c1) >= 400);
		client_close(&c1);
	}
	stop(&f);
}

static void test_too_large(void **state)
{
	struct fixture f;
	char block[BODY_CAP + 200];

	(void)state;
	memset(block, 'b', sizeof(block));
	start(&f, 10);
	/* Declared: refused before a byte of it has come. */
	client_open(&f, &c1);
	client_send(&c1, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n");
	wait_closed(&f, &c1);
	assert_int_equal(status_of(&c1), 413);
	assert_int_equal(f.last_status, 413);
	client_close(&c1);
	/* With 100-continue no body is invited either. */
	client_open(&f, &c1);
	client_send(
		&c1,
		"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 900000\r\n\r\n");
	wait_closed(&f, &c1);
	assert_int_equal(status_of(&c1), 413);
	client_close(&c1);
	/* Chunked: as soon as it is too much. */
	client_open(&f, &c1);
	client_send(&c1,
		    "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4b0\r\n");
	client_send_bytes(&c1, block, sizeof(block));
	wait_closed(&f, &c1);
	assert_int_equal(status_of(&c1), 413);
	assert_int_equal(f.last_status, 413);
	assert_int_equal(f.handled, 0);
	client_close(&c1);
	/* Exactly the cap is allowed. */
	client_open(&f, &c1);
	client_send(&c1, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
	client_send_bytes(&c1, block, BODY_CAP);
	wait_answers(&f, &c1, 1);
	expect_text(&c1, "body=1000:bbbb");
	client_close(&c1);
	/* Header beyond libmicrohttpd's memory. */
	client_open(&f, &c1);
	client_send(&c1, "GET /echo HTTP/1.1\r\nHost: a\r\n");
	for (int i = 0; i < 40 && !c1.closed; i++) {
		char line[1100];
		snprintf(line, sizeof(line), "X-Filler: %0988d\r\n", i);
		client_send_bytes(&c1, line, 1000);
		turn(&f);
		client_take(&c1);
	}
	wait_closed(&f, &c1);
	assert_int_equal(status_of(&c1), 431);
	client_close(&c1);
	stop(&f);
}

/* Sends a byte every 10 ms until cut off. Returns how long that took. */
static int64_t drip(struct fixture *f, struct client *c)
{
	int64_t begun = now_ms();

	while (!c->closed && now_ms() < begun + 3000) {
		client_send_bytes(c, "a", 1);
		turn_for(f, 10);
		client_take(c);
	}
	assert_true(c->closed);
	return now_ms() - begun;
}

static void test_slow_senders(void **state)
{
	static const struct {
		const char *beginning;
		int64_t limit_ms;
	} rows[] = {
		{"", 200},
		{"GE", 200},
		{"GET /echo HTTP/1.1\r\nX-Slow: ", 200},
		{"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n", 400},
		{"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n384\r\n",
		 400},
	};
	struct fixture f;

	(void)state;
	start(&f, 10);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		client_open(&f, &c1);
		client_send(&c1, rows[i].beginning);
		int64_t took_ms = drip(&f, &c1);
		if (status_of(&c1) != 408 || took_ms < rows[i].limit_ms - 50 ||
		    took_ms > rows[i].limit_ms + 400)
			fail_msg("row %zu: %lld ms, %s", i, (long long)took_ms, c1.got);
		client_close(&c1);
	}
	assert_int_equal(f.handled, 0);
	assert_int_equal(f.last_status, 408);
	/* A second request has a deadline of its own; an idle connection is no slow one. */
	client_open(&f, &c1);
	client_send(&c1, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
	wait_answers(&f, &c1, 1);
	turn_for(&f, 500);
	client_take(&c1);
	assert_false(c1.closed);
	client_send(&c1, "GET /echo HTTP/1.1\r\nHost: a\r\nX-Slow: ");
	drip(&f, &c1);
	assert_int_equal(f.last_status, 408);
	client_close(&c1);
	stop(&f);
}

static void test_full(void **state)
{
	static struct client slow[4];
	struct fixture f;

	(void)state;
	start(&f, 4);
	for (int i = 0; i < 4; i++) {
		client_open(&f, &slow[i]);
		client_send(&slow[i],
			    "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\nabc");
		turn_for(&f, 5);
	}
	/* The honest one is served; the longest waiting one made room. */
	client_open(&f, &c1);
	client_send(&c1, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
	wait_answers(&f, &c1, 1);
	assert_int_equal(status_of(&c1), 200);
	wait_closed(&f, &slow[0]);
	assert_int_equal(status_of(&slow[0]), 503);
	for (int i = 1; i < 4; i++) {
		client_take(&slow[i]);
		assert_false(slow[i].closed);
	}
	for (int i = 0; i < 4; i++)
		client_close(&slow[i]);
	client_close(&c1);
	turn_for(&f, 20);
	/* Where handlers are at work for all, the newcomer is told to come again. */
	for (int i = 0; i < 4; i++) {
		client_open(&f, &slow[i]);
		client_send(&slow[i], "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
		turn_for(&f, 5);
	}
	assert_int_equal(f.deferred_count, 4);
	client_open(&f, &c1);
	wait_closed(&f, &c1);
	assert_int_equal(status_of(&c1), 503);
	expect_text(&c1, "Retry-After: 1\r\n");
	client_close(&c1);
	answer_all(&f);
	for (int i = 0; i < 4; i++) {
		wait_answers(&f, &slow[i], 1);
		assert_int_equal(status_of(&slow[i]), 202);
		client_close(&slow[i]);
	}
	stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_smuggling), cmocka_unit_test(test_not_http),
		cmocka_unit_test(test_too_large), cmocka_unit_test(test_slow_senders),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
