/* SPDX-License-Identifier: Apache-2.0 */
/* Ingest between a Kafka and an HTTP server that only write down what they are told. */
#ifndef CARILLON_TESTS_UNIT_WEBHOOK_INGEST_WORLD_H
#define CARILLON_TESTS_UNIT_WEBHOOK_INGEST_WORLD_H

#include "webhook_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/metrics.h"
#include "common/seal.h"
#include "webhook/ingest.h"

#define SENT_MAX 400
#define ANSWERS_MAX 400
#define CALL "11111111-2222-3333-4444-555555555555"

#define CLASSIFIER_SECRET "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

static const char accounts_json[] =
	"[" ACCOUNT_JSON("classifier", "classifier", "{\"webhook_secret\":\"whsec_" CLASSIFIER_SECRET "\"}") "," ACCOUNT_JSON(
		"omni", "omni",
		"{\"webhook_token\":\"omni-token\"}") "," ACCOUNT_JSON("vapi", "vapi",
								       "{\"webhook_secret\":\"vapi-secret\"}") "," ACCOUNT_JSON("bare",
																"vapi",
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
		char detail[512];
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

static inline int64_t fake_ms(void *arg)
{
	(void)arg;
	return world.now_ms;
}

static inline void fake_random(void *arg, void *ret_bytes, size_t n)
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

static inline bool fake_produce(void *arg, const struct kafka_message *m, void *opaque)
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

static inline void fake_answer(void *arg, void *exchange, const struct ingest_answer *a)
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
	snprintf(world.answers[world.answers_count].detail,
		 sizeof(world.answers[world.answers_count].detail), "%s",
		 a->detail ? a->detail : "");
	world.answers_count++;
}

static inline int setup(void **state)
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

static inline int teardown(void **state)
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
static inline void *exchange_of(size_t i)
{
	static char exchanges[ANSWERS_MAX];

	return &exchanges[i];
}

static inline void take_vapi(const char *body, size_t exchange)
{
	const struct webhook_request r = request_of(body, vapi_headers);

	ingest_take(ingest, "vapi", "vapi", &r, exchange_of(exchange));
}

static inline void take_vapi_forged(size_t exchange)
{
	const struct webhook_request r = request_of("{}", forged_headers);

	ingest_take(ingest, "vapi", "vapi", &r, exchange_of(exchange));
}

static inline void take_omni(const char *body, size_t exchange)
{
	struct webhook_request r = request_of(body, NULL);

	r.token = "omni-token";
	ingest_take(ingest, "omni", "omni", &r, exchange_of(exchange));
}

/* Signed as the standard says. */
static inline void take_classifier(const char *body, size_t exchange)
{
	const struct sign_part parts[] = {{"msg_1.1700000000.", 17}, {body, strlen(body)}};
	unsigned char digest[SIGN_MAX_BYTES];
	struct buf key, signature;

	buf_init(&key, 64);
	buf_init(&signature, 64);
	assert_int_equal(base64_decode(CLASSIFIER_SECRET, strlen(CLASSIFIER_SECRET), &key), 0);
	size_t n = sign_hmac(SIGN_SHA256, key.data, key.len, parts, 2, digest);
	buf_adds(&signature, "v1,");
	base64_encode(digest, n, &signature);
	struct sent_header headers[] = {{"webhook-id", "msg_1"},
					{"webhook-timestamp", "1700000000"},
					{"webhook-signature", signature.data},
					{NULL, NULL}};
	const struct webhook_request r = request_of(body, headers);
	ingest_take(ingest, "classifier", "classifier", &r, exchange_of(exchange));
	buf_release(&key);
	buf_release(&signature);
}

static inline void deliver(size_t i, const char *error)
{
	ingest_on_delivery(ingest, world.sent[i].opaque, error);
}

static inline void assert_answered(unsigned status)
{
	assert_int_equal(world.answers_count, 1);
	assert_int_equal(world.answers[0].status, status);
	assert_int_equal(ingest_open(ingest), 0);
}

static inline void decode(size_t i, enum msg_type type, struct msg *ret)
{
	struct buf error;
	int32_t id;

	buf_init(&error, 1024);
	if (msg_decode(codec, type, world.sent[i].value, world.sent[i].value_bytes, ret, &id,
		       &error) != MSG_DECODED)
		fail_msg("%s", error.data);
	buf_release(&error);
}

/* What was written to stderr meanwhile. */
static inline void stderr_of(void (*run)(void), char *ret_text, size_t n)
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

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
