/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a callback, between a Kafka and an HTTP server that only write down what they are
 * told. */
#include "webhook_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "common/metrics.h"
#include "webhook/ingest.h"

#define SENT_MAX 400
#define ANSWERS_MAX 400
#define CALL "11111111-2222-3333-4444-555555555555"

static const char accounts_json[] =
	"[" ACCOUNT_JSON("omni", "omni", "{\"webhook_token\":\"omni-token\"}") "," ACCOUNT_JSON(
		"vapi", "vapi",
		"{\"webhook_secret\":\"vapi-secret\"}") "," ACCOUNT_JSON("bare", "vapi",
									 "{}") ","
									       "{\"id\":\"2\",\"name\":\"sealed\",\"tenant\":\"default\",\"provider\":\"vapi\","
									       "\"active\":true,\"max_concurrent\":0,\"settings\":{},\"shut\":true}]";

static const char report[] =
	"{\"message\":{\"type\":\"end-of-call-report\",\"endedReason\":\"customer-did-not-answer\","
	"\"customer\":{\"number\":\"+12025550101\"},\"call\":{\"id\":\"" CALL "\",\"name\":\"" JOB
	"\"}}}";
static const char sale[] =
	"{\"call_id\":9001,\"to_number\":\"+12025550101\",\"call_report\":{\"extracted_variables\":"
	"{\"outcome\":\"sale\"}}}";

struct sent {
	char topic[160], key[64];
	char *value;
	size_t value_bytes;
	char headers[2048];
	void *opaque;
};

static struct {
	struct sent sent[SENT_MAX];
	size_t sent_count;
	size_t takes; /* so many messages are taken, then no more */
	struct {
		void *exchange;
		unsigned status;
		char event_id[WEBHOOK_EVENT_ID_BYTES];
	} answers[ANSWERS_MAX];
	size_t answers_count;
	int64_t now_ms;
	bool has_snapshot;
} world;

static struct snapshot rules_and_accounts;
static struct msg_codec *codec;
static struct ingest *ingest;
static struct sent_header vapi_headers[] = {
	{"X-Vapi-Secret", "vapi-secret"},
	{"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	{NULL, NULL}};
static struct sent_header forged_headers[] = {{"X-Vapi-Secret", "vapi-secret2"}, {NULL, NULL}};

/* ---- The world ---- */

static int64_t fake_ms(void *arg)
{
	(void)arg;
	return world.now_ms;
}

static void fake_random(void *arg, void *ret_bytes, size_t n)
{
	(void)arg;
	memset(ret_bytes, 7, n);
}

static const struct clock fake_clock = {fake_ms, fake_ms, fake_random, NULL};

static const struct snapshot *fake_snapshot(void *arg)
{
	(void)arg;
	return world.has_snapshot ? &rules_and_accounts : NULL;
}

static bool fake_produce(void *arg, const struct kafka_message *m, void *opaque)
{
	struct sent *s = &world.sent[world.sent_count];
	struct buf headers;

	(void)arg;
	if (world.takes == 0)
		return false;
	world.takes--;
	assert_true(world.sent_count < SENT_MAX);
	world.sent_count++;
	snprintf(s->topic, sizeof(s->topic), "%s", m->topic);
	snprintf(s->key, sizeof(s->key), "%.*s", (int)m->key_bytes, m->key);
	s->value = malloc(m->value_bytes + 1);
	assert_non_null(s->value);
	memcpy(s->value, m->value, m->value_bytes);
	s->value_bytes = m->value_bytes;
	buf_init_fixed(&headers, s->headers, sizeof(s->headers));
	for (size_t i = 0; i < m->headers_count; i++)
		buf_addf(&headers, "%s=%s\n", m->headers[i].name, m->headers[i].value);
	assert_false(headers.failed);
	s->opaque = opaque;
	return true;
}

static void fake_answer(void *arg, void *exchange, const struct ingest_answer *a)
{
	(void)arg;
	assert_true(world.answers_count < ANSWERS_MAX);
	for (size_t i = 0; i < world.answers_count; i++)
		assert_ptr_not_equal(world.answers[i].exchange, exchange);
	world.answers[world.answers_count].exchange = exchange;
	world.answers[world.answers_count].status = a->status;
	snprintf(world.answers[world.answers_count].event_id, WEBHOOK_EVENT_ID_BYTES, "%s",
		 a->event_id ? a->event_id : "");
	assert_true(a->status == 202 || a->detail);
	world.answers_count++;
}

static int setup(void **state)
{
	static struct outcome_rule rules[] = {
		{"", "SALE", RULE_SUCCESS, "closed"},
		{"", "DO_NOT_CALL", RULE_SUPPRESS, ""},
	};
	const struct ingest_options o = {
		.topic_prefix = "t.",
		.codec = codec = msg_codec_new(),
		.clock = &fake_clock,
		.timeout_ms = 8000,
		.max_open = 150,
		.max_open_bytes = 100000,
		.snapshot = fake_snapshot,
		.produce = fake_produce,
		.answer = fake_answer,
	};

	(void)state;
	memset(&world, 0, sizeof(world));
	world.takes = SENT_MAX;
	world.now_ms = NOW_MS;
	world.has_snapshot = true;
	rules_and_accounts = (struct snapshot){
		.accounts = accounts_of(accounts_json),
		.rules = {rules, sizeof(rules) / sizeof(rules[0])},
	};
	rule_set_sort(&rules_and_accounts.rules);
	metrics_reset();
	ingest = ingest_new(&o);
	return ingest && codec ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	ingest_free(ingest);
	for (size_t i = 0; i < world.sent_count; i++)
		free(world.sent[i].value);
	account_set_free(rules_and_accounts.accounts);
	msg_codec_free(codec);
	return 0;
}

/* ---- Steps ---- */

/* The exchange is any pointer of its own. */
static void *exchange_of(size_t i)
{
	static char exchanges[ANSWERS_MAX];

	return &exchanges[i];
}

static void take_vapi(const char *body, size_t exchange)
{
	const struct webhook_request r = request_of(body, vapi_headers);

	ingest_take(ingest, "vapi", "vapi", &r, exchange_of(exchange));
}

static void take_vapi_forged(size_t exchange)
{
	const struct webhook_request r = request_of("{}", forged_headers);

	ingest_take(ingest, "vapi", "vapi", &r, exchange_of(exchange));
}

static void take_omni(const char *body, size_t exchange)
{
	struct webhook_request r = request_of(body, NULL);

	r.token = "omni-token";
	ingest_take(ingest, "omni", "omni", &r, exchange_of(exchange));
}

static void deliver(size_t i, const char *error)
{
	ingest_on_delivery(ingest, world.sent[i].opaque, error);
}

static void assert_answered(unsigned status)
{
	assert_int_equal(world.answers_count, 1);
	assert_int_equal(world.answers[0].status, status);
	assert_int_equal(ingest_open(ingest), 0);
}

static void decode(size_t i, enum msg_type type, struct msg *ret)
{
	struct buf error;
	int32_t id;

	buf_init(&error, 1024);
	if (msg_decode(codec, type, world.sent[i].value, world.sent[i].value_bytes, ret, &id,
		       &error) != MSG_DECODED)
		fail_msg("%s", error.data);
	buf_release(&error);
}

/* ---- Tests ---- */

static void accepted_only_after_all_acknowledgements(void **state)
{
	struct msg m;

	(void)state;
	take_omni(sale, 0);
	assert_int_equal(world.sent_count, 3);
	assert_int_equal(world.answers_count, 0);
	assert_int_equal(ingest_open(ingest), 1);
	deliver(1, NULL);
	deliver(0, NULL);
	assert_int_equal(world.answers_count, 0);
	deliver(2, NULL);
	assert_answered(202);
	assert_string_equal(world.answers[0].event_id, "omni:9001");

	assert_string_equal(world.sent[0].topic, "t.calls.event.v1");
	assert_string_equal(world.sent[1].topic, "t.leads.redial.v1");
	assert_string_equal(world.sent[2].topic, "t.leads.stage.v1");
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(world.sent[i].key, "+12025550101");
	decode(0, MSG_CALL_EVENT, &m);
	assert_string_equal(m.event.event_id, "omni:9001");
	assert_string_equal(m.event.tenant, "default");
	assert_int_equal(m.event.raw_bytes, strlen(sale));
	assert_memory_equal(m.event.raw, sale, strlen(sale));
	decode(1, MSG_REDIAL_UPDATE, &m);
	assert_int_equal(m.redial.action, REDIAL_COMPLETE);
	assert_string_equal(m.redial.outcome, "SALE");
	decode(2, MSG_STAGE_TRANSITION, &m);
	assert_string_equal(m.stage.to, "closed");
	assert_true(metric_value(METRIC_WEBHOOK_EVENTS, "report") > 0);
}

static void an_end_without_a_rule_is_a_retry(void **state)
{
	struct msg m;

	(void)state;
	take_vapi(report, 0);
	assert_int_equal(world.sent_count, 2);
	decode(1, MSG_REDIAL_UPDATE, &m);
	assert_int_equal(m.redial.action, REDIAL_SCHEDULE);
	assert_string_equal(m.redial.outcome, "NO_ANSWER");
	assert_string_equal(m.redial.job_id, JOB);
	assert_non_null(strstr(world.sent[0].headers, "ce_source=/carillon/webhook\n"));
	assert_non_null(strstr(world.sent[0].headers, "traceparent=00-0af7651916cd43dd8448eb2"));
	deliver(0, NULL);
	deliver(1, NULL);
	assert_answered(202);
}

static void what_decides_nothing_is_one_message(void **state)
{
	(void)state;
	take_vapi("{\"message\":{\"type\":\"status-update\",\"status\":\"ringing\",\"call\":{"
		  "\"id\":\"c\"}}}",
		  0);
	assert_int_equal(world.sent_count, 1);
	assert_string_equal(world.sent[0].key, "c");
	deliver(0, NULL);
	assert_answered(202);
}

static void what_is_of_no_use_is_acknowledged_and_counted(void **state)
{
	(void)state;
	take_vapi("{\"message\":{\"type\":\"speech-update\",\"call\":{\"id\":\"c\"}}}", 0);
	assert_int_equal(world.sent_count, 0);
	assert_answered(202);
	assert_string_equal(world.answers[0].event_id, "");
	assert_true(metric_value(METRIC_WEBHOOK_EVENTS, "unused") > 0);
}

static void a_failure_is_answered_once_and_at_once(void **state)
{
	(void)state;
	take_omni(sale, 0);
	deliver(0, NULL);
	deliver(1, "Local: Message timed out");
	assert_int_equal(world.answers_count, 1);
	assert_int_equal(world.answers[0].status, 503);
	deliver(2, "Local: Message timed out");
	assert_answered(503);
}

/* What was written to stderr meanwhile. */
static void stderr_of(void (*run)(void), char *ret_text, size_t n)
{
	int ends[2];
	int saved = dup(STDERR_FILENO);

	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	run();
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[1]);
	ssize_t got = read(ends[0], ret_text, n - 1);
	close(ends[0]);
	assert_true(got > 0);
	ret_text[got] = '\0';
}

static void fail_and_misread(void)
{
	static const char *const unreadable[] = {
		"{\"to_number\":\"+12025550101\",",
		"{\"to_number\":+12025550101}",
		"{\"a\":\"+12025550101\",\"a\":\"+12025550101\"}",
	};

	take_omni(sale, 0);
	for (size_t i = 0; i < 3; i++)
		deliver(i, "Local: Message timed out");
	for (size_t i = 0; i < sizeof(unreadable) / sizeof(unreadable[0]); i++) {
		take_omni(unreadable[i], i + 1);
		deliver(world.sent_count - 1, NULL);
	}
}

static void no_log_line_shows_a_number_or_a_secret(void **state)
{
	char logged[16384];

	(void)state;
	stderr_of(fail_and_misread, logged, sizeof(logged));
	assert_non_null(strstr(logged, "webhook.not_stored"));
	assert_non_null(strstr(logged, "+1********01"));
	assert_non_null(strstr(logged, "webhook.unreadable"));
	assert_null(strstr(logged, "2025550101"));
	assert_null(strstr(logged, "omni-token"));
}

static void a_full_queue_is_answered_at_once(void **state)
{
	(void)state;
	world.takes = 2;
	take_omni(sale, 0);
	assert_int_equal(world.sent_count, 2);
	assert_answered(503);
	/* What was taken is still told of. */
	deliver(0, NULL);
	deliver(1, NULL);
	assert_answered(503);

	take_omni(sale, 1);
	assert_int_equal(world.answers_count, 2);
	assert_int_equal(world.answers[1].status, 503);
}

static void silence_is_answered_in_time(void **state)
{
	(void)state;
	take_omni(sale, 0);
	world.now_ms += 5000;
	take_omni(sale, 1);
	world.now_ms += 2999;
	ingest_expire(ingest);
	assert_int_equal(world.answers_count, 0);
	world.now_ms += 1;
	ingest_expire(ingest);
	assert_int_equal(world.answers_count, 1);
	assert_ptr_equal(world.answers[0].exchange, exchange_of(0));
	assert_int_equal(world.answers[0].status, 503);
	ingest_expire(ingest);
	assert_int_equal(world.answers_count, 1);
	/* Too late for the first, in time for the second. */
	for (size_t i = 0; i < 6; i++)
		deliver(i, NULL);
	assert_int_equal(world.answers_count, 2);
	assert_int_equal(world.answers[1].status, 202);
	assert_int_equal(ingest_open(ingest), 0);
}

static void who_is_unknown_or_forged_is_refused(void **state)
{
	static const struct {
		const char *provider, *account, *token;
		struct sent_header *headers;
		unsigned status;
	} rows[] = {
		{"nobody", "omni", "omni-token", NULL, 404},
		{"twilio", "twilio", NULL, NULL, 404},
		{"omni", "nobody", "omni-token", NULL, 404},
		{"omni", "vapi", "omni-token", vapi_headers, 404},
		{"vapi", "omni", "omni-token", vapi_headers, 404},
		{"omni", "omni-token", NULL, NULL, 404},
		{"omni", "omni", NULL, NULL, 401},
		{"omni", "omni", "omni-tokem", NULL, 401},
		{"vapi", "vapi", NULL, NULL, 401},
		{"vapi", "vapi", "vapi-secret", NULL, 401},
		{"vapi", "vapi", NULL, forged_headers, 401},
		{"vapi", "bare", NULL, vapi_headers, 401},
		/* Its secret is there, and can't be opened: nobody can tell. */
		{"vapi", "sealed", NULL, vapi_headers, 503},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct webhook_request r = request_of("not even JSON", rows[i].headers);
		r.token = rows[i].token;
		ingest_take(ingest, rows[i].provider, rows[i].account, &r, exchange_of(i));
		assert_int_equal(world.answers_count, i + 1);
		if (world.answers[i].status != rows[i].status)
			fail_msg("row %zu: %u", i, world.answers[i].status);
	}
	assert_int_equal(world.sent_count, 0);
	assert_true(metric_value(METRIC_SIGNATURE_FAILURES, "omni") > 1);
}

static size_t lines_with(const char *log, const char *event)
{
	size_t n = 0;

	for (; (log = strstr(log, event)) != NULL; log++)
		n++;
	return n;
}

static void forge(void)
{
	static const char *const tokens[] = {"omni-tokem", NULL};

	for (size_t i = 0; i < 350; i++) {
		struct webhook_request r = request_of("{}", NULL);
		r.token = tokens[i % 2];
		if (i == 300)
			world.now_ms += 10000;
		ingest_expire(ingest);
		ingest_take(ingest, "omni", "omni", &r, exchange_of(i));
	}
	take_vapi_forged(350);
	world.now_ms += 10000;
	ingest_expire(ingest);
	/* Quiet for a while: the next is a first one again. */
	world.now_ms += 10000;
	ingest_expire(ingest);
	take_vapi_forged(351);
}

static void forgeries_do_not_fill_the_log(void **state)
{
	char logged[16384];

	(void)state;
	stderr_of(forge, logged, sizeof(logged));
	assert_int_equal(world.answers_count, 352);
	assert_int_equal((int)metric_value(METRIC_SIGNATURE_FAILURES, "omni"), 350);
	assert_int_equal(lines_with(logged, "\"webhook.refused\""), 3);
	assert_int_equal(lines_with(logged, "\"webhook.refused_more\""), 2);
	assert_non_null(strstr(logged, "\"requests\":299"));
	assert_non_null(strstr(logged, "\"requests\":50"));
}

static void what_cannot_be_read_is_kept_before_it_is_refused(void **state)
{
	static const char body[] = "{\"call_id\":9001,";

	(void)state;
	take_omni(body, 0);
	assert_int_equal(world.answers_count, 0);
	assert_int_equal(world.sent_count, 1);
	assert_string_equal(world.sent[0].topic, "t.calls.event.v1-dlt");
	assert_string_equal(world.sent[0].key, "omni");
	assert_int_equal(world.sent[0].value_bytes, strlen(body));
	assert_memory_equal(world.sent[0].value, body, strlen(body));
	static const char *const headers[] = {
		"x-dlt-reason=bad JSON",
		"x-dlt-topic=t.calls.event.v1\n",
		"x-dlt-at=2023-11-14T22:13:20.000Z\n",
		"x-dlt-source=/carillon/webhook\n",
		"x-dlt-provider=omni\n",
		"x-dlt-account=omni\n",
		"kafka_dlt-exception-message=bad JSON",
		"kafka_dlt-original-topic=t.calls.event.v1\n",
	};
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		if (!strstr(world.sent[0].headers, headers[i]))
			fail_msg("%s not in %s", headers[i], world.sent[0].headers);
	}
	deliver(0, NULL);
	assert_answered(400);
	assert_true(metric_value(METRIC_DEAD_LETTERS, "t.calls.event.v1") > 0);
}

static void what_cannot_be_kept_is_not_refused(void **state)
{
	(void)state;
	take_omni("{", 0);
	deliver(0, "Local: Message timed out");
	assert_answered(503);
	world.takes = 0;
	take_omni("{", 1);
	assert_int_equal(world.answers[1].status, 503);
}

static void nobody_is_refused_before_the_accounts_are_known(void **state)
{
	(void)state;
	world.has_snapshot = false;
	take_omni(sale, 0);
	assert_answered(503);
	world.has_snapshot = true;
	take_omni(sale, 1);
	for (size_t i = 0; i < 3; i++)
		deliver(i, NULL);
	assert_int_equal(world.answers[1].status, 202);
}

static void a_hundred_at_once_are_a_hundred_times_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < 100; i++)
		take_omni(sale, i);
	assert_int_equal(world.sent_count, 300);
	assert_int_equal(world.answers_count, 0);
	for (size_t i = 3; i < 300; i++) {
		assert_int_equal(world.sent[i].value_bytes, world.sent[i % 3].value_bytes);
		assert_memory_equal(world.sent[i].value, world.sent[i % 3].value,
				    world.sent[i].value_bytes);
		assert_string_equal(world.sent[i].key, world.sent[i % 3].key);
	}
	for (size_t i = 300; i > 0; i--)
		deliver(i - 1, NULL);
	assert_int_equal(world.answers_count, 100);
	for (size_t i = 0; i < 100; i++)
		assert_int_equal(world.answers[i].status, 202);
}

static void what_is_open_is_bounded(void **state)
{
	char *large = malloc(60000);
	size_t sent;

	(void)state;
	assert_non_null(large);
	for (size_t i = 0; i < 151; i++)
		take_vapi("{\"message\":{\"type\":\"status-update\",\"status\":\"ringing\","
			  "\"call\":{\"id\":\"c\"}}}",
			  i);
	assert_int_equal(world.sent_count, 150);
	assert_int_equal(ingest_open(ingest), 150);
	assert_int_equal(world.answers_count, 1);
	assert_int_equal(world.answers[0].status, 503);
	for (size_t i = 0; i < 150; i++)
		deliver(i, NULL);

	/* Two bodies of 60 kB are more than the 100 kB that may be open. */
	snprintf(large, 60000, "{\"call_id\":1,\"x\":\"%059000d\"}", 0);
	sent = world.sent_count;
	take_omni(large, 200);
	take_omni(large, 201);
	assert_ptr_equal(world.answers[world.answers_count - 1].exchange, exchange_of(201));
	assert_int_equal(world.answers[world.answers_count - 1].status, 503);
	for (size_t i = sent; i < world.sent_count; i++)
		deliver(i, NULL);
	free(large);
}

/* ---- No memory ---- */

static bool memory_ends;

static void *allocate(size_t n)
{
	return memory_ends ? NULL : malloc(n);
}

static void *crypto_allocate(size_t n, const char *file, int line)
{
	(void)file, (void)line;
	return allocate(n);
}

static void *crypto_reallocate(void *p, size_t n, const char *file, int line)
{
	(void)file, (void)line;
	return memory_ends ? NULL : realloc(p, n);
}

static void crypto_free(void *p, const char *file, int line)
{
	(void)file, (void)line;
	free(p);
}

static void *allocate_never(size_t n)
{
	(void)n;
	return NULL;
}

/* Neither forged nor unreadable: it is to be sent again. */
static void without_memory_nobody_is_refused(void **state)
{
	struct webhook_request omni = request_of(sale, NULL);

	(void)state;
	omni.token = "omni-token";
	json_set_alloc_funcs(allocate, free);
	memory_ends = true;
	take_vapi(report, 0);
	ingest_take(ingest, "omni", "omni", &omni, exchange_of(1));
	memory_ends = false;
	assert_int_equal(world.answers_count, 2);
	assert_int_equal(world.answers[0].status, 503);
	assert_int_equal(world.answers[1].status, 503);
	/* Verified, and then not to be parsed. */
	json_set_alloc_funcs(allocate_never, free);
	take_vapi(report, 2);
	ingest_take(ingest, "omni", "omni", &omni, exchange_of(3));
	json_set_alloc_funcs(malloc, free);
	assert_int_equal(world.answers_count, 4);
	assert_int_equal(world.answers[2].status, 503);
	assert_int_equal(world.answers[3].status, 503);
	assert_int_equal(world.sent_count, 0);
	assert_int_equal((int)metric_value(METRIC_SIGNATURE_FAILURES, "omni"), 0);
	ingest_take(ingest, "omni", "omni", &omni, exchange_of(4));
	assert_true(world.sent_count > 0);
	for (size_t i = 0; i < world.sent_count; i++)
		deliver(i, NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(accepted_only_after_all_acknowledgements),
		TEST(an_end_without_a_rule_is_a_retry),
		TEST(what_decides_nothing_is_one_message),
		TEST(what_is_of_no_use_is_acknowledged_and_counted),
		TEST(a_failure_is_answered_once_and_at_once),
		TEST(no_log_line_shows_a_number_or_a_secret),
		TEST(a_full_queue_is_answered_at_once),
		TEST(silence_is_answered_in_time),
		TEST(who_is_unknown_or_forged_is_refused),
		TEST(forgeries_do_not_fill_the_log),
		TEST(without_memory_nobody_is_refused),
		TEST(what_cannot_be_read_is_kept_before_it_is_refused),
		TEST(what_cannot_be_kept_is_not_refused),
		TEST(nobody_is_refused_before_the_accounts_are_known),
		TEST(a_hundred_at_once_are_a_hundred_times_the_same),
		TEST(what_is_open_is_bounded),
	};
	/* Before the library has any memory. */
	assert_int_equal(CRYPTO_set_mem_functions(crypto_allocate, crypto_reallocate, crypto_free),
			 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
