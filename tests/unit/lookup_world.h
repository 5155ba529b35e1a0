/* SPDX-License-Identifier: Apache-2.0 */
/* A provider with calls at given times, and look-ups of them. */
#ifndef CARILLON_TESTS_LOOKUP_WORLD_H
#define CARILLON_TESTS_LOOKUP_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
		bool anonymous;	  /* Bland's record has no job id */
		const char *from; /* Twilio's row tells it; NULL: it does not */
	} calls[ROWS_MAX];
	int calls_count;
	int requests;
	int gets;
	int fail_from;	      /* requests from this one on answer 500 */
	int get_status;	      /* of Bland's records; 0: 200 */
	const char *other_id; /* what they name themselves; NULL: what was asked for */
	int hidden;	      /* rows that the list counts and does not show */
	const char *garbage;  /* answered instead */
	bool change_account;  /* after the first request */
	int64_t ahead_ms;     /* the database's clock of ours */
	int64_t now_late_ms;  /* its word was so long on its way */
	bool done;
};

static inline void job_name(int job, char ret_id[UUID_TEXT_BYTES])
{
	snprintf(ret_id, UUID_TEXT_BYTES, "01890a5d-ac96-774b-bcce-%012d", job);
}

static inline void phone_of(int job, char ret_phone[PHONE_BYTES])
{
	snprintf(ret_phone, PHONE_BYTES, "+1202555%04d", 100 + job % 100);
}

static inline int number(const char *text)
{
	char *end = NULL;
	long n = text ? strtol(text, &end, 10) : -1;

	if (!end || end == text || *end || n < 0 || n > ROWS_MAX)
		fail_msg("%s is no number that can be meant", text ? text : "nothing");
	return (int)n;
}

static inline void respond(struct world *w, struct http_exchange *x, json_t *body)
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

static inline json_t *vapi_row(const struct world *w, int i)
{
	char id[UUID_TEXT_BYTES], at[TIME_TEXT_BYTES];

	job_name(w->calls[i].job, id);
	time_format(w->calls[i].at, at);
	return json_pack("{s:o, s:s, s:s, s:s}", "id", json_sprintf("call-%d", i), "status",
			 "queued", "name", id, "createdAt", at);
}

static inline void handle_vapi_list(void *arg, struct http_exchange *x)
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

static inline void handle_vapi_get(void *arg, struct http_exchange *x)
{
	struct world *w = arg;

	w->requests++;
	respond(w, x, vapi_row(w, number(http_param(x, "id") + strlen("call-"))));
}

static inline void handle_omni_list(void *arg, struct http_exchange *x)
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

/* A row has no job id, and its number is spelled as Bland likes. */
static inline json_t *bland_row(const struct world *w, int i)
{
	char phone[PHONE_BYTES], at[TIME_TEXT_BYTES];

	phone_of(w->calls[i].job, phone);
	time_format(w->calls[i].at, at);
	return json_pack("{s:o, s:s, s:s, s:b, s:s}", "call_id", json_sprintf("call-%d", i), "to",
			 phone + 2, "created_at", at, "completed", 0, "queue_status", "started");
}

static inline void handle_bland_list(void *arg, struct http_exchange *x)
{
	struct world *w = arg;
	const char *from = http_query(x, "start_date"), *to = http_query(x, "end_date");
	int64_t from_ms = 0, to_ms = 0, total = 0;
	json_t *rows = json_array();

	w->requests++;
	assert_int_equal(time_parse(from, strlen(from), &from_ms), 0);
	assert_int_equal(time_parse(to, strlen(to), &to_ms), 0);
	for (int i = w->calls_count - 1; i >= 0; i--) {
		if (w->calls[i].at < from_ms || w->calls[i].at > to_ms)
			continue;
		if (total++ < number(http_query(x, "limit")))
			json_array_append_new(rows, bland_row(w, i));
	}
	respond(w, x,
		json_pack("{s:o, s:I}", "calls", rows, "total_count",
			  (json_int_t)(total + w->hidden)));
}

static inline void handle_bland_get(void *arg, struct http_exchange *x)
{
	struct world *w = arg;
	int i = number(http_param(x, "id") + strlen("call-"));
	json_t *record = bland_row(w, i);
	char job[UUID_TEXT_BYTES];

	w->gets++;
	if (w->get_status > 0) {
		json_decref(record);
		http_respond(x, (unsigned)w->get_status, "application/json", "{}", 2);
		return;
	}
	job_name(w->calls[i].job, job);
	if (!w->calls[i].anonymous)
		json_object_set_new(record, "metadata", json_pack("{s:s}", "job_id", job));
	if (w->other_id)
		json_object_set_new(record, "call_id", json_string(w->other_id));
	respond(w, x, record);
}

/* Of one number, newest first; nothing in a row tells the job. */
static inline void handle_twilio_list(void *arg, struct http_exchange *x)
{
	struct world *w = arg;
	const char *to = http_query(x, "To");
	size_t size = (size_t)number(http_query(x, "PageSize"));
	json_t *rows = json_array();
	size_t found = 0;

	w->requests++;
	for (int i = w->calls_count - 1; i >= 0; i--) {
		char phone[PHONE_BYTES], at[64];
		time_t seconds = (time_t)(w->calls[i].at / 1000);
		struct tm tm;
		phone_of(w->calls[i].job, phone);
		if (!to || strcmp(to, phone) != 0 || found++ >= size)
			continue;
		strftime(at, sizeof(at), "%a, %d %b %Y %H:%M:%S +0000", gmtime_r(&seconds, &tm));
		json_array_append_new(rows, json_pack("{s:o, s:s, s:s, s:s, s:s}", "sid",
						      json_sprintf("CA%d", i), "to", phone,
						      "date_created", at, "status", "ringing",
						      "direction", "outbound-api"));
		if (w->calls[i].from)
			json_object_set_new(json_array_get(rows, json_array_size(rows) - 1), "from",
					    json_string(w->calls[i].from));
	}
	json_t *next = found > size || w->hidden ? json_string("/next") : json_null();
	respond(w, x, json_pack("{s:o, s:o}", "calls", rows, "next_page_uri", next));
}

static const struct http_route routes[] = {
	{"GET", "/2010-04-01/Accounts/{account}/Calls.json", handle_twilio_list, 0},
	{"GET", "/call", handle_vapi_list, 0},
	{"GET", "/call/{id}", handle_vapi_get, 0},
	{"GET", "/api/v1/calls/logs", handle_omni_list, 0},
	{"GET", "/v1/calls", handle_bland_list, 0},
	{"GET", "/v1/calls/{id}", handle_bland_get, 0},
};

static inline int make_world(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	char text[256], url[64];
	struct buf error;

	w->loop = ev_loop_new(0);
	t0 = clock_wall_ms(clock_system()) / 1000 * 1000 - 100000;
	const struct http_server_options so = {.listen = "127.0.0.1:0",
					       .routes = routes,
					       .routes_count = sizeof(routes) / sizeof(routes[0]),
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
	w->account.settings = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "api_key", "k",
					"base_url", url, "phone_number_id", "n", "agent_id", "1",
					"account_sid", "AC1", "auth_token", "t");
	*state = w;
	return 0;
}

static inline int free_world(void **state)
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

static inline void on_done(struct lookup *l, void *arg)
{
	struct world *w = arg;

	w->done = true;
	lookup_free(l);
	ev_break(w->loop, EVBREAK_ALL);
}

static inline const struct account *account_of(void *arg, const char *name)
{
	struct world *w = arg;

	return strcmp(name, "a") == 0 ? &w->account : NULL;
}

static inline void make_check(struct check *c, int job)
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

static inline void look_up(struct world *w, const struct adapter *ad, int page_rows,
			   struct lookup_target *targets)
{
	w->adapter = *ad;
	w->adapter.list_page_rows = page_rows;
	const struct lookup_options o = {.http = w->client,
					 .account = account_of,
					 .adapter = &w->adapter,
					 .timeout_ms = 5000,
					 .now = T0 + 100000 + w->ahead_ms,
					 .now_late_ms = w->now_late_ms,
					 .clock = clock_system(),
					 .reading_max_ms = 60000,
					 .done = on_done,
					 .arg = w};
	for (struct lookup_target *t = targets; t; t = t->next) {
		if (t->made_by == 0)
			t->made_by = o.now;
	}
	assert_non_null(lookup_start(&o, targets));
	while (!w->done)
		ev_run(w->loop, 0);
	w->done = false;
}

/* Looks for one job and tells what was seen. */
static inline enum seen seen_of(struct world *w, const struct adapter *ad, int page_rows, int job)
{
	struct check c;
	struct lookup_target t = {.check = &c};

	make_check(&c, job);
	w->requests = w->gets = 0;
	look_up(w, ad, page_rows, &t);
	json_decref(t.row);
	return t.seen;
}

static inline void add_call(struct world *w, int job, int64_t at)
{
	w->calls[w->calls_count].job = job;
	w->calls[w->calls_count++].at = at;
}

#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, make_world, free_world)

#endif
