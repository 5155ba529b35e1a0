/* SPDX-License-Identifier: Apache-2.0 */
/* Answers in parts: at once and later, slow clients, clients that go away; and who may send a body.
 */
#include "tests/unit/http_server_fixture.h"

static struct client c1;

#define PART_BYTES 200000

/* What gives the parts of one answer. */
static struct giver {
	struct http_exchange *x;
	bool later;    /* each but the first is given by give() */
	int parts;     /* to give */
	int break_off; /* after so many */
	int given;
	bool asked;
	int gone;
} giver;

static int admissions;

static void give(void)
{
	static char block[PART_BYTES];

	giver.asked = false;
	if (giver.given == giver.break_off) {
		http_respond_break(giver.x);
		return;
	}
	memset(block, 'a' + giver.given % 26, sizeof(block));
	giver.given++;
	http_respond_part(giver.x, block, sizeof(block), giver.given == giver.parts);
}

static void on_more(void *arg)
{
	assert_ptr_equal(arg, &giver);
	assert_false(giver.asked);
	assert_int_equal(giver.gone, 0);
	giver.asked = true;
	if (!giver.later)
		give();
}

static void on_gone(void *arg)
{
	assert_ptr_equal(arg, &giver);
	giver.gone++;
}

static void begin(struct http_exchange *x)
{
	giver.x = x;
	giver.asked = true;
	http_respond_header(x, "X-Seen", "yes");
	http_respond_parts(x, 200, "text/plain", &(struct http_source){on_more, on_gone, &giver});
	if (!giver.later)
		give();
}

static void handle_parts(void *arg, struct http_exchange *x)
{
	(void)arg;
	begin(x);
}

static bool admit(void *arg, const struct http_route *route, struct http_exchange *x)
{
	(void)arg;
	assert_string_equal(route->path, "/echo");
	admissions++;
	if (http_header(x, "x-test"))
		return true;
	http_respond(x, 401, "text/plain", "no", 2);
	return false;
}

static const struct http_route part_routes[] = {
	{"GET", "/parts", handle_parts, 0},
	{"GET", "/later", handle_later, 0},
	{"GET,POST", "/echo", handle_echo, BODY_CAP},
};

static void start_parts(struct fixture *f, struct giver g)
{
	struct buf error;
	const struct http_server_options o = {.listen = "127.0.0.1:0",
					      .routes = part_routes,
					      .routes_count = 3,
					      .max_connections = 2,
					      .header_timeout_ms = 200,
					      .request_timeout_ms = 400,
					      .clock = clock_system(),
					      .admit = admit,
					      .on_done = on_done,
					      .arg = f};

	*f = (struct fixture){.loop = ev_loop_new(0)};
	giver = g;
	if (giver.break_off == 0)
		giver.break_off = -1;
	admissions = 0;
	buf_init(&error, 1000);
	f->server = http_server_new(f->loop, &o, &error);
	assert_non_null(f->server);
	buf_release(&error);
}

/* Takes what comes, counts the body's letters and leaves the rest of the head. */
static size_t take_letters(struct fixture *f, struct client *c, bool to_end)
{
	size_t letters = 0;
	int64_t end = now_ms() + 5000;

	while (!c->closed && now_ms() < end) {
		turn(f);
		c->n = 0;
		client_take(c);
		for (size_t i = 0; i < c->n; i++)
			letters += c->got[i] >= 'a' && c->got[i] <= 'z';
		if (giver.later && giver.asked)
			give();
		if (!to_end && c->n >= 5 && strcmp(c->got + c->n - 5, "0\r\n\r\n") == 0)
			break;
	}
	return letters;
}

static void ask(struct fixture *f, const char *request)
{
	client_open(f, &c1);
	client_send(&c1, request);
	wait_answers(f, &c1, 1);
	assert_int_equal(status_of(&c1), 200);
}

static const char get[] = "GET /parts HTTP/1.1\r\nHost: a\r\n\r\n";

static void test_parts(void **state)
{
	struct fixture f;

	(void)state;
	for (int later = 0; later < 2; later++) {
		start_parts(&f, (struct giver){.later = later, .parts = 1});
		client_open(&f, &c1);
		client_send(&c1, get);
		for (int64_t end = now_ms() + 1000; c1.n < PART_BYTES && now_ms() < end;) {
			turn(&f);
			client_take(&c1);
			if (giver.later && giver.asked)
				give();
		}
		turn_for(&f, 20);
		client_take(&c1);
		expect_text(&c1, "Transfer-Encoding: chunked\r\n");
		expect_text(&c1, "X-Seen: yes\r\n");
		expect_text(&c1, "\r\n0\r\n\r\n");
		assert_int_equal(giver.gone, 1);
		assert_int_equal(f.last_status, 200);
		/* The connection goes on. */
		client_send(&c1, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
		wait_answers(&f, &c1, 2);
		expect_text(&c1, "GET /echo id=-");
		client_close(&c1);
		stop(&f);
	}
}

static void test_many_parts_at_once_and_later(void **state)
{
	struct fixture f;

	(void)state;
	for (int later = 0; later < 2; later++) {
		start_parts(&f, (struct giver){.later = later, .parts = 30});
		client_open(&f, &c1);
		client_send(&c1, get);
		size_t letters = take_letters(&f, &c1, false);
		assert_true(letters >= 30 * (size_t)PART_BYTES);
		assert_true(letters < 30 * (size_t)PART_BYTES + 20000); /* head and chunk sizes */
		turn(&f);
		assert_int_equal(giver.given, 30);
		assert_int_equal(giver.gone, 1);
		assert_int_equal(http_server_open_exchanges(f.server), 0);
		client_close(&c1);
		stop(&f);
	}
}

static void test_a_client_that_reads_nothing_is_asked_no_more_for(void **state)
{
	struct fixture f;
	const int small = 4096;

	(void)state;
	start_parts(&f, (struct giver){.parts = 1000});
	client_open(&f, &c1);
	setsockopt(c1.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	client_send(&c1, get);
	turn_for(&f, 300);
	int given = giver.given;
	assert_true(given < 100); /* what the sockets hold */
	turn_for(&f, 200);
	assert_int_equal(giver.given, given);
	assert_int_equal(giver.gone, 0);
	client_close(&c1);
	turn_for(&f, 100);
	assert_int_equal(giver.gone, 1);
	assert_int_equal(giver.given, given);
	assert_int_equal(http_server_open_exchanges(f.server), 0);
	stop(&f);
}

static void test_a_client_that_goes_while_a_part_is_made(void **state)
{
	struct fixture f;

	(void)state;
	start_parts(&f, (struct giver){.later = true, .parts = 1000});
	client_open(&f, &c1);
	client_send(&c1, get);
	turn_for(&f, 50);
	assert_true(giver.asked);
	client_close(&c1);
	turn_for(&f, 50);
	assert_int_equal(giver.gone, 0);
	give();
	turn_for(&f, 50);
	if (giver.gone == 0 && giver.asked) /* its reset came after the first write */
		give();
	turn_for(&f, 50);
	assert_int_equal(giver.gone, 1);
	assert_int_equal(http_server_open_exchanges(f.server), 0);
	stop(&f);
}

static void test_broken_off(void **state)
{
	struct fixture f;

	(void)state;
	for (int later = 0; later < 2; later++) {
		start_parts(&f, (struct giver){.later = later, .parts = 5, .break_off = 3});
		client_open(&f, &c1);
		client_send(&c1, get);
		size_t letters = take_letters(&f, &c1, true);
		assert_true(c1.closed);
		assert_true(letters >= 3 * (size_t)PART_BYTES || c1.was_reset);
		assert_true(letters < 4 * (size_t)PART_BYTES);
		assert_true(c1.n < 5 || strcmp(c1.got + c1.n - 5, "0\r\n\r\n") != 0);
		assert_int_equal(giver.gone, 1);
		client_close(&c1);
		stop(&f);
	}
}

static void test_head_and_old_clients(void **state)
{
	struct fixture f;

	(void)state;
	start_parts(&f, (struct giver){.parts = 3});
	ask(&f, "HEAD /parts HTTP/1.1\r\nHost: a\r\n\r\n");
	wait_closed(&f, &c1);
	assert_string_equal(c1.got + c1.n - 4, "\r\n\r\n"); /* of the head, */
	assert_int_equal(count(c1.got, "\r\n\r\n"), 1);	    /* and no chunk behind it */
	assert_null(strstr(c1.got, "Content-Length"));
	assert_int_equal(giver.given, 1);
	assert_int_equal(giver.gone, 1);
	client_close(&c1);
	giver = (struct giver){.parts = 1, .break_off = -1};
	ask(&f, "GET /parts HTTP/1.0\r\n\r\n");
	wait_closed(&f, &c1);
	assert_null(strstr(c1.got, "chunked"));
	assert_true(c1.n > PART_BYTES);
	client_close(&c1);
	stop(&f);
}

static void test_after_the_handler_and_never_made_room_of(void **state)
{
	struct fixture f;
	static struct client others[3];

	(void)state;
	start_parts(&f, (struct giver){.later = true, .parts = 2});
	client_open(&f, &c1);
	client_send(&c1, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
	turn_for(&f, 20);
	assert_int_equal(f.deferred_count, 1);
	begin(f.deferred[0]);
	turn_for(&f, 20);
	/* It waits for its first part while others want its place and longer than any deadline. */
	for (int i = 0; i < 3; i++) {
		client_open(&f, &others[i]);
		turn_for(&f, 200);
	}
	assert_int_equal(giver.gone, 0);
	size_t letters = take_letters(&f, &c1, false);
	assert_true(letters >= 2 * (size_t)PART_BYTES);
	assert_int_equal(giver.gone, 1);
	for (int i = 0; i < 3; i++)
		client_close(&others[i]);
	client_close(&c1);
	stop(&f);
}

static void test_the_server_ends(void **state)
{
	struct fixture f;

	(void)state;
	for (int later = 0; later < 2; later++) {
		start_parts(&f, (struct giver){.later = later, .parts = 1000});
		client_open(&f, &c1);
		client_send(&c1, get);
		turn_for(&f, 50);
		int given = giver.given;
		stop(&f);
		assert_int_equal(giver.gone, 1);
		assert_int_equal(giver.given, given);
		client_close(&c1);
	}
}

static void test_admission(void **state)
{
	struct fixture f;

	(void)state;
	start_parts(&f, (struct giver){0});
	ask(&f, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_int_equal(admissions, 0); /* nothing to take */
	client_send(&c1,
		    "POST /echo HTTP/1.1\r\nHost: a\r\nX-Test: 1\r\nContent-Length: 2\r\n\r\nok");
	wait_answers(&f, &c1, 2);
	expect_text(&c1, "body=2:ok");
	assert_int_equal(admissions, 1);
	client_close(&c1);
	/* Refused before the body has come; nothing behind it is read. */
	client_open(&f, &c1);
	client_send(&c1, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n"
			 "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
	wait_closed(&f, &c1);
	assert_int_equal(status_of(&c1), 401);
	expect_text(&c1, "Connection: close\r\n");
	assert_int_equal(count(c1.got, "HTTP/1.1 "), 1);
	assert_int_equal(f.handled, 2);
	client_close(&c1);
	stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_many_parts_at_once_and_later),
		cmocka_unit_test(test_a_client_that_reads_nothing_is_asked_no_more_for),
		cmocka_unit_test(test_a_client_that_goes_while_a_part_is_made),
		cmocka_unit_test(test_broken_off),
		cmocka_unit_test(test_head_and_old_clients),
		cmocka_unit_test(test_after_the_handler_and_never_made_room_of),
		cmocka_unit_test(test_the_server_ends),
		cmocka_unit_test(test_admission),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
