/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies in pieces: clients that are held back, answers in their middle, and who is cut off. */
#include "tests/unit/http_server_fixture.h"

#define STREAM_CAP 2000000
#define BLOCK 100000

static struct client c1;

static struct taker {
	struct http_exchange *x;
	size_t got;
	size_t answer_after; /* in the middle of the body; 0: not */
	bool one_by_one;     /* the next piece only by http_receive_more() */
	int ended, gone;
} taker;

static bool on_piece(void *arg, const char *bytes, size_t n)
{
	assert_ptr_equal(arg, &taker);
	assert_int_equal(taker.gone + taker.ended, 0);
	assert_true(n > 0 && bytes[0] == 'x');
	taker.got += n;
	if (taker.answer_after > 0 && taker.got >= taker.answer_after)
		http_respond(taker.x, 422, "text/plain", "enough", 6);
	return !taker.one_by_one;
}

static void on_end(void *arg)
{
	assert_ptr_equal(arg, &taker);
	taker.ended++;
	if (!taker.one_by_one)
		http_respond(taker.x, 200, "text/plain", "all", 3);
}

static void on_gone(void *arg)
{
	assert_ptr_equal(arg, &taker);
	taker.gone++;
}

static bool admit(void *arg, const struct http_route *route, struct http_exchange *x)
{
	(void)arg;
	(void)route;
	taker.x = x;
	if (http_header(x, "x-no")) {
		http_respond(x, 401, "text/plain", "no", 2);
		return false;
	}
	assert_true(http_receive(x, STREAM_CAP / 2,
				 &(struct http_sink){on_piece, on_end, on_gone, &taker}));
	if (!taker.one_by_one)
		http_receive_more(x);
	return true;
}

static const struct http_route stream_routes[] = {{"POST", "/stream", handle_echo, STREAM_CAP}};

static void start_stream(struct fixture *f, struct taker t)
{
	struct buf error;
	const struct http_server_options o = {.listen = "127.0.0.1:0",
					      .routes = stream_routes,
					      .routes_count = 1,
					      .max_connections = 2,
					      .header_timeout_ms = 200,
					      .request_timeout_ms = 400,
					      .clock = clock_system(),
					      .admit = admit,
					      .on_done = on_done,
					      .arg = f};

	*f = (struct fixture){.loop = ev_loop_new(0)};
	taker = t;
	buf_init(&error, 1000);
	f->server = http_server_new(f->loop, &o, &error);
	assert_non_null(f->server);
	buf_release(&error);
	client_open(f, &c1);
}

static void send_head(size_t length)
{
	char head[200];

	snprintf(head, sizeof(head),
		 "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", length);
	client_send(&c1, head);
}

/* As much as the server takes within the time. */
static size_t send_body(struct fixture *f, size_t n, int64_t ms)
{
	static char block[BLOCK];
	const int64_t end = now_ms() + ms;
	size_t sent = 0;

	memset(block, 'x', sizeof(block));
	while (sent < n && now_ms() < end) {
		ssize_t some = send(c1.fd, block, n - sent < BLOCK ? n - sent : BLOCK,
				    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (some > 0)
			sent += (size_t)some;
		turn(f);
	}
	return sent;
}

static void finish(struct fixture *f)
{
	client_close(&c1);
	turn_for(f, 20);
	stop(f);
	assert_int_equal(taker.gone, 1);
}

static void a_body_in_pieces(void **state)
{
	struct fixture f;

	(void)state;
	start_stream(&f, (struct taker){0});
	send_head(900000);
	assert_int_equal(send_body(&f, 900000, 3000), 900000);
	wait_answers(&f, &c1, 1);
	assert_int_equal(status_of(&c1), 200);
	assert_int_equal(taker.got, 900000);
	assert_int_equal(taker.ended, 1);
	/* The connection serves on. */
	turn_for(&f, 20);
	assert_int_equal(taker.gone, 1);
	taker = (struct taker){0};
	c1.n = 0;
	c1.got[0] = '\0';
	send_head(5);
	client_send(&c1, "xxxxx");
	wait_answers(&f, &c1, 1);
	assert_int_equal(status_of(&c1), 200);
	assert_int_equal(taker.got, 5);
	assert_int_equal(f.handled, 0);
	finish(&f);
}

static void a_receiver_that_is_slower(void **state)
{
	const int buffer = 16384;
	struct fixture f;

	(void)state;
	start_stream(&f, (struct taker){.one_by_one = true});
	setsockopt(c1.fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	send_head(STREAM_CAP / 2);
	/* It is at work for longer than a request may take: nobody is cut off, and nothing is read.
	 */
	size_t sent = send_body(&f, STREAM_CAP / 2, 300);
	turn_for(&f, 600);
	assert_int_equal(taker.got, 0);
	assert_int_equal(taker.gone, 0);
	for (int i = 0; i < 1000 && taker.ended == 0; i++) {
		size_t before = taker.got;
		http_receive_more(taker.x);
		sent += send_body(&f, STREAM_CAP / 2 - sent, 5);
		turn_for(&f, 2);
		assert_true(taker.got - before <= 32768);
	}
	assert_int_equal(taker.got, STREAM_CAP / 2);
	assert_int_equal(taker.ended, 1);
	turn_for(&f, 600); /* an answer may take its time, too */
	http_respond(taker.x, 202, "text/plain", "late", 4);
	wait_answers(&f, &c1, 1);
	assert_int_equal(status_of(&c1), 202);
	finish(&f);
}

static void an_answer_in_the_middle(void **state)
{
	struct fixture f;

	(void)state;
	start_stream(&f, (struct taker){.answer_after = 50000});
	send_head(500000);
	assert_int_equal(send_body(&f, 500000, 3000), 500000);
	wait_answers(&f, &c1, 1);
	assert_int_equal(status_of(&c1), 422);
	expect_text(&c1, "enough");
	assert_true(taker.got < 100000);
	assert_int_equal(taker.ended, 0);
	assert_int_equal(f.done, 1);
	finish(&f);
}

static void an_answer_while_it_is_held_back(void **state)
{
	struct fixture f;

	(void)state;
	start_stream(&f, (struct taker){.one_by_one = true});
	send_head(300000);
	send_body(&f, 100000, 50);
	turn_for(&f, 50);
	http_respond(taker.x, 503, "text/plain", "not now", 7);
	send_body(&f, 200000, 3000);
	wait_answers(&f, &c1, 1);
	assert_int_equal(status_of(&c1), 503);
	assert_int_equal(taker.got, 0);
	finish(&f);
}

static void bodies_that_are_too_large(void **state)
{
	struct fixture f;

	(void)state;
	start_stream(&f, (struct taker){0});
	client_send(&c1, "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 2000001\r\n\r\n");
	wait_answers(&f, &c1, 1);
	assert_int_equal(status_of(&c1), 413);
	client_close(&c1);
	client_open(&f, &c1);
	client_send(&c1,
		    "POST /stream HTTP/1.1\r\nHost: a\r\nX-No: 1\r\nContent-Length: 9\r\n\r\n");
	wait_answers(&f, &c1, 1);
	assert_int_equal(status_of(&c1), 401);
	client_close(&c1);
	client_open(&f, &c1);
	send_head(STREAM_CAP / 2 + 1); /* the sink's own bound */
	send_body(&f, STREAM_CAP / 2 + 1, 3000);
	wait_answers(&f, &c1, 1);
	assert_int_equal(status_of(&c1), 413);
	assert_int_equal(taker.ended, 0);
	finish(&f);
}

static void who_drips_is_cut_off(void **state)
{
	struct fixture f;
	int64_t began = now_ms();

	(void)state;
	start_stream(&f, (struct taker){0});
	send_head(500000);
	while (!c1.closed && now_ms() - began < 5000) {
		if (!client_send_bytes(&c1, "x", 1))
			break;
		turn_for(&f, 5);
		client_take(&c1);
	}
	assert_int_equal(status_of(&c1), 408);
	assert_in_range(now_ms() - began, 350, 1500);
	finish(&f);
}

static void who_keeps_the_pace_may_take_long(void **state)
{
	struct fixture f;

	(void)state;
	start_stream(&f, (struct taker){0});
	send_head(100 * 2000);
	for (int i = 0; i < 100; i++) { /* 1.5 s, well above the deadline of other requests */
		assert_int_equal(send_body(&f, 2000, 1000), 2000);
		turn_for(&f, 15);
	}
	wait_answers(&f, &c1, 1);
	assert_int_equal(status_of(&c1), 200);
	finish(&f);
}

static void clients_and_servers_that_go(void **state)
{
	struct fixture f;

	(void)state;
	start_stream(&f, (struct taker){0});
	send_head(500000);
	send_body(&f, 1000, 100);
	turn_for(&f, 50);
	assert_int_equal(taker.got, 1000);
	client_close(&c1);
	turn_for(&f, 50);
	assert_int_equal(taker.gone, 1);
	for (int held_back = 0; held_back < 2; held_back++) {
		taker = (struct taker){.one_by_one = held_back};
		client_open(&f, &c1);
		send_head(500000);
		send_body(&f, 1000, 100);
		turn_for(&f, 50);
		if (held_back)
			break;
		client_close(&c1);
		turn_for(&f, 50);
	}
	stop(&f);
	assert_int_equal(taker.gone, 1);
	client_close(&c1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_body_in_pieces),
		cmocka_unit_test(a_receiver_that_is_slower),
		cmocka_unit_test(an_answer_in_the_middle),
		cmocka_unit_test(an_answer_while_it_is_held_back),
		cmocka_unit_test(bodies_that_are_too_large),
		cmocka_unit_test(who_drips_is_cut_off),
		cmocka_unit_test(who_keeps_the_pace_may_take_long),
		cmocka_unit_test(clients_and_servers_that_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
