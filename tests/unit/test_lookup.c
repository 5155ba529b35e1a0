/* SPDX-License-Identifier: Apache-2.0 */
/* Look-ups against a provider of our own: when is a list complete, and what does it find? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/http_server.h"
#include "common/msg.h"
#include "consumer/lookup.h"

static int64_t t0; /* about now: the provider's answers have the real date */
#define T0 t0
#define ROWS_MAX 4000

/* A provider with calls at given times, a page size, and ways to fail. */
struct world {
	struct ev_loop *loop;
	struct http_server *server;
	struct http_client *client;
	struct account account;
	struct adapter adapter; /* the real one with a smaller page */
	struct {
		int64_t at;
		int job;
	} calls[ROWS_MAX];
	int calls_count;
	int requests;
	int fail_from;	     /* requests from this one on answer 500 */
	const char *garbage; /* answered instead */
	bool change_account; /* after the first request */
	int64_t ahead_ms;    /* the database's clock of ours */
	bool done;
};

static void job_name(int job, char ret_id[UUID_TEXT_BYTES])
{
	snprintf(ret_id, UUID_TEXT_BYTES, "01890a5d-ac96-774b-bcce-%012d", job);
}

static void phone_of(int job, char ret_phone[PHONE_BYTES])
{
	snprintf(ret_phone, PHONE_BYTES, "+1202555%04d", 100 + job % 100);
}

static int number(const char *text)
{
	char *end = NULL;
	long n = text ? strtol(text, &end, 10) : -1;

	if (!end || end == text || *end || n < 0 || n > ROWS_MAX)
		fail_msg("%s is no number that can be meant", text ? text : "nothing");
	return (int)n;
}

static void respond(struct world *w, struct http_exchange *x, json_t *body)
{
	char *text = json_dumps(body, JSON_ENCODE_ANY);

	if (w->fail_from > 0 && w->requests >= w->fail_from)
		http_respond(x, 500, "application/json", "{}", 2);
	else if (w->garbage)
		http_respond(x, 200, "application/json", w->garbage, strlen(w->garbage));
	else
		http_respond(x, 200, "application/json", text, strlen(text));
	free(text);
	json_decref(body);
	if (w->change_account)
		w->account.fingerprint[0] = 'x';
}

static json_t *vapi_row(const struct world *w, int i)
{
	char id[UUID_TEXT_BYTES], at[TIME_TEXT_BYTES];

	job_name(w->calls[i].job, id);
	time_format(w->calls[i].at, at);
	return json_pack("{s:o, s:s, s:s, s:s}", "id", json_sprintf("call-%d", i), "status",
			 "queued", "name", id, "createdAt", at);
}

static void handle_vapi_list(void *arg, struct http_exchange *x)
{
	struct world *w = arg;
	const char *from = http_query(x, "createdAtGe"), *to = http_query(x, "createdAtLe");
	int64_t from_ms = 0, to_ms = 0;
	json_t *rows = json_array();

	w->requests++;
	assert_int_equal(time_parse(from, strlen(from), &from_ms), 0);
	assert_int_equal(time_parse(to, strlen(to), &to_ms), 0);
	for (int i = w->calls_count - 1; i >= 0; i--) {
		if (w->calls[i].at >= from_ms && w->calls[i].at <= to_ms &&
		    json_array_size(rows) < (size_t)number(http_query(x, "limit")))
			json_array_append_new(rows, vapi_row(w, i));
	}
	respond(w, x, rows);
}

static void handle_vapi_get(void *arg, struct http_exchange *x)
{
	struct world *w = arg;

	w->requests++;
	respond(w, x, vapi_row(w, number(http_param(x, "id") + strlen("call-"))));
}

static void handle_omni_list(void *arg, struct http_exchange *x)
{
	struct world *w = arg;
	int size = number(http_query(x, "pagesize"));
	int first = w->calls_count - 1 - (number(http_query(x, "pageno")) - 1) * size;
	json_t *rows = json_array();

	w->requests++;
	for (int i = first; i >= 0 && i > first - size; i--) {
		char phone[PHONE_BYTES], at[TIME_TEXT_BYTES];
		phone_of(w->calls[i].job, phone);
		time_format(w->calls[i].at, at);
		json_array_append_new(
			rows,
			json_pack("{s:i, s:s, s:o, s:s, s:{s:i}}", "id", i, "to_number", phone,
				  "time_of_call",
				  json_sprintf("%.2s/%.2s/%.4s %.8s", at + 5, at + 8, at, at + 11),
				  "call_status", "completed", "call_request_id", "id", 1000 + i));
	}
	respond(w, x, json_pack("{s:o}", "call_log_data", rows));
}

static const struct http_route routes[] = {
	{"GET", "/call", handle_vapi_list, 0},
	{"GET", "/call/{id}", handle_vapi_get, 0},
	{"GET", "/api/v1/calls/logs", handle_omni_list, 0},
};

static int make_world(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	char text[256], url[64];
	struct buf error;

	w->loop = ev_loop_new(0);
	t0 = clock_wall_ms(clock_system()) / 1000 * 1000 - 100000;
	const struct http_server_options so = {.listen = "127.0.0.1:0",
					       .routes = routes,
					       .routes_count = 3,
					       .max_connections = 8,
					       .header_timeout_ms = 5000,
					       .request_timeout_ms = 5000,
					       .clock = clock_system(),
					       .arg = w};
	const struct http_client_options co = {.max_requests = 4,
					       .connection_max_idle_s = 5,
					       .allow_insecure = true,
					       .user_agent = "test",
					       .clock = clock_system()};
	buf_init_fixed(&error, text, sizeof(text));
	w->server = http_server_new(w->loop, &so, &error);
	w->client = http_client_new(w->loop, &co);
	if (!w->server || !w->client)
		return -1;
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", http_server_port(w->server));
	w->account = (struct account){.name = "a", .tenant = "default", .active = true};
	snprintf(w->account.fingerprint, sizeof(w->account.fingerprint), "0123456789abcdef");
	w->account.settings = json_pack("{s:s, s:s, s:s, s:s}", "api_key", "k", "base_url", url,
					"phone_number_id", "n", "agent_id", "1");
	*state = w;
	return 0;
}

static int free_world(void **state)
{
	struct world *w = *state;

	http_client_free(w->client);
	http_server_free(w->server);
	ev_loop_destroy(w->loop);
	json_decref(w->account.settings);
	free(w);
	return 0;
}

/* ---- One look-up ---- */

static void on_done(struct lookup *l, void *arg)
{
	struct world *w = arg;

	w->done = true;
	lookup_free(l);
	ev_break(w->loop, EVBREAK_ALL);
}

static const struct account *account_of(void *arg, const char *name)
{
	struct world *w = arg;

	return strcmp(name, "a") == 0 ? &w->account : NULL;
}

static void make_check(struct check *c, int job)
{
	*c = (struct check){.state = CALL_UNKNOWN,
			    .account = "a",
			    .fingerprint = "0123456789abcdef",
			    .claimed_at = T0,
			    .lease_until = T0 + 60000,
			    .posted_at = MSG_NO_TIME,
			    .absent_at = MSG_NO_TIME};
	job_name(job, c->job_id);
	phone_of(job, c->phone);
}

static void look_up(struct world *w, const struct adapter *ad, int page_rows,
		    struct lookup_target *targets)
{
	w->adapter = *ad;
	w->adapter.list_page_rows = page_rows;
	const struct lookup_options o = {.http = w->client,
					 .account = account_of,
					 .adapter = &w->adapter,
					 .timeout_ms = 5000,
					 .now = T0 + 100000 + w->ahead_ms,
					 .done = on_done,
					 .arg = w};
	assert_non_null(lookup_start(&o, targets));
	while (!w->done)
		ev_run(w->loop, 0);
	w->done = false;
}

/* Looks for one job and tells what was seen. */
static enum seen seen_of(struct world *w, const struct adapter *ad, int page_rows, int job)
{
	struct check c;
	struct lookup_target t = {.check = &c};

	make_check(&c, job);
	w->requests = 0;
	look_up(w, ad, page_rows, &t);
	json_decref(t.row);
	return t.seen;
}

static void add_call(struct world *w, int job, int64_t at)
{
	w->calls[w->calls_count].job = job;
	w->calls[w->calls_count++].at = at;
}

/* ---- By time ---- */

/* What is not on the list of a provider with another time may be where nobody looked. */
static void test_clocks_apart(void **state)
{
	struct world *w = *state;

	add_call(w, 1, T0);
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 9), SEEN_ABSENT);
	w->ahead_ms = 200000;
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 9), SEEN_NOTHING);
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 1), SEEN_CALL);
	w->ahead_ms = -300000;
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 9), SEEN_NOTHING);
	assert_int_equal(seen_of(w, &omni_adapter, 10, 9), SEEN_NOTHING);
}

static void test_one_list(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 5; i++)
		add_call(w, i, T0 + i * 1000);
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 3), SEEN_CALL);
	assert_int_equal(w->requests, 1);
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 9), SEEN_ABSENT);
}

/* A full answer may hide rows: the window is halved until none is full. */
static void test_full_lists_are_halved(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 100; i++)
		add_call(w, i, T0 + i * 1000);
	for (int job = 0; job < 100; job += 33)
		assert_int_equal(seen_of(w, &vapi_adapter, 10, job), SEEN_CALL);
	assert_true(w->requests > 10);
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 500), SEEN_ABSENT);
	/* Exactly full is full. */
	assert_int_equal(seen_of(w, &vapi_adapter, 100, 500), SEEN_ABSENT);
	assert_true(w->requests > 1);
}

/* More in an instant than a page holds: it can't be complete. */
static void test_window_that_stays_full(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 50; i++)
		add_call(w, i, T0);
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 500), SEEN_NOTHING);
	assert_true(w->requests <= 64);
	/* What it does show counts all the same. */
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 49), SEEN_CALL);
}

static void test_failing_list(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 100; i++)
		add_call(w, i, T0 + i * 1000);
	w->fail_from = 1;
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 500), SEEN_NOTHING);
	w->fail_from = 4;
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 500), SEEN_NOTHING);
}

/* Answers that are no list say nothing; rows that are none hide nothing. */
static void test_garbage(void **state)
{
	static const char *const vapi[] = {
		"", "<html>", "{}", "null", "[{}", "7", "{\"call_log_data\":[]}", "[] []"};
	static const char *const omni[] = {"[]", "{}", "{\"call_log_data\":{}}",
					   "{\"call_log_data\":[", "<html>"};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(vapi) / sizeof(vapi[0]); i++) {
		w->garbage = vapi[i];
		assert_int_equal(seen_of(w, &vapi_adapter, 10, 1), SEEN_NOTHING);
	}
	for (size_t i = 0; i < sizeof(omni) / sizeof(omni[0]); i++) {
		w->garbage = omni[i];
		assert_int_equal(seen_of(w, &omni_adapter, 10, 1), SEEN_NOTHING);
	}
	/* A row that can't be understood could be the one. */
	w->garbage = "[1,null,{\"id\":7}]";
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 1), SEEN_NOTHING);
}

/* A list of one call that began at T0 + `after_ms`, with more of its members. */
static const char *one_row(int64_t after_ms, const char *more)
{
	static char text[256];
	char at[TIME_TEXT_BYTES];

	time_format(T0 + after_ms, at);
	snprintf(
		text, sizeof(text),
		"[{\"id\":\"c-1\",\"createdAt\":\"%s\",%s\"customer\":{\"number\":\"+12025550101\"}}]",
		at, more);
	return text;
}

/* A call to its number that bears nobody's id is perhaps the one, and no other's absence. */
static void test_row_without_id(void **state)
{
	struct world *w = *state;

	w->garbage = one_row(1000, "");
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 1), SEEN_NOTHING);
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 2), SEEN_ABSENT);
	w->garbage = one_row(1000 - 3600000, "");
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 1), SEEN_ABSENT);
	/* Another job's. */
	w->garbage = one_row(1000, "\"name\":\"01890a5d-ac96-774b-bcce-000000000009\",");
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 1), SEEN_ABSENT);
}

/* Larger than is taken: the window is halved until it is given up. */
static void test_huge_list(void **state)
{
	struct world *w = *state;
	size_t n = PROVIDER_LIST_MAX_BYTES + 1000;
	char *text = malloc(n);

	assert_non_null(text);
	memset(text, ' ', n);
	text[0] = '[';
	text[n - 2] = ']';
	text[n - 1] = '\0';
	w->garbage = text;
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 1), SEEN_NOTHING);
	assert_true(w->requests > 1 && w->requests <= 64);
	free(text);
}

/* Credentials that change on the way make two halves of two accounts. */
static void test_changing_account(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 100; i++)
		add_call(w, i, T0 + i * 1000);
	w->change_account = true;
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 500), SEEN_NOTHING);
}

static void test_many_targets(void **state)
{
	struct world *w = *state;
	struct check checks[3];
	struct lookup_target targets[3] = {{.check = &checks[0], .next = &targets[1]},
					   {.check = &checks[1], .next = &targets[2]},
					   {.check = &checks[2]}};

	for (int i = 0; i < 3; i++)
		make_check(&checks[i], i * 10);
	checks[1].fingerprint[0] = 'f'; /* it was posted with other credentials */
	checks[2].fingerprint[0] = '\0';
	add_call(w, 10, T0);
	add_call(w, 20, T0);
	add_call(w, 20, T0 + 5);
	look_up(w, &vapi_adapter, 100, targets);
	assert_int_equal(targets[0].seen, SEEN_ABSENT);
	assert_int_equal(targets[1].seen, SEEN_CALL);
	assert_int_equal(targets[2].seen, SEEN_AMBIGUOUS);
	assert_true(targets[0].same_account);
	assert_false(targets[1].same_account || targets[2].same_account);
	for (int i = 0; i < 3; i++)
		json_decref(targets[i].row);
}

static void test_get(void **state)
{
	struct world *w = *state;
	struct check c;
	struct lookup_target t = {.check = &c};

	add_call(w, 1, T0);
	add_call(w, 2, T0);
	make_check(&c, 2);
	c.state = CALL_CALLING;
	snprintf(c.provider_call_id, sizeof(c.provider_call_id), "call-1");
	look_up(w, &vapi_adapter, 100, &t);
	assert_int_equal(t.seen, SEEN_CALL);
	assert_string_equal(t.found_id, "call-1");
	json_decref(t.row);
}

/* ---- By page ---- */

static void test_pages(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 45; i++)
		add_call(w, 50 + i % 10, T0 + i * 1000);
	add_call(w, 7, T0 + 50000);
	add_call(w, 8, T0 + 51000);
	add_call(w, 8, T0 + 52000);
	assert_int_equal(seen_of(w, &omni_adapter, 10, 7), SEEN_CALL);
	assert_int_equal(w->requests, 5);
	assert_int_equal(seen_of(w, &omni_adapter, 10, 8), SEEN_AMBIGUOUS);
	assert_int_equal(seen_of(w, &omni_adapter, 10, 9), SEEN_ABSENT);
}

/* Reading ends where the rows are older than a zone can explain. */
static void test_pages_end_at_the_window(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 500; i++)
		add_call(w, 50, T0 - INT64_C(86400000) * 3);
	add_call(w, 7, T0 + 1000);
	assert_int_equal(seen_of(w, &omni_adapter, 10, 7), SEEN_CALL);
	assert_int_equal(w->requests, 1);
}

int main(void)
{
#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, make_world, free_world)
	const struct CMUnitTest tests[] = {
		WORLD_TEST(test_clocks_apart),
		WORLD_TEST(test_one_list),
		WORLD_TEST(test_full_lists_are_halved),
		WORLD_TEST(test_window_that_stays_full),
		WORLD_TEST(test_failing_list),
		WORLD_TEST(test_garbage),
		WORLD_TEST(test_row_without_id),
		WORLD_TEST(test_huge_list),
		WORLD_TEST(test_changing_account),
		WORLD_TEST(test_many_targets),
		WORLD_TEST(test_get),
		WORLD_TEST(test_pages),
		WORLD_TEST(test_pages_end_at_the_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
