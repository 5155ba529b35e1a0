/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /api/dead-letters/replay: original bytes, key and headers into the original topic once more.
 * Letters are taken, sent, and resolved when Kafka has them: a request that dies in between leaves
 * them open, to be sent once more, which readers survive. One that fails again comes back as a
 * letter of its own, whose header x-replay-of names this one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/log.h"
#include "common/seal.h"
#include "producer/api/dead_letters.h"

#define ANSWER_BYTES (1u << 20)
#define VALUE_BYTES (4u << 20)
#define KEY_BYTES (64u << 10)
#define IDS_BYTES (64u << 10)
#define HEADERS_TEXT_BYTES (64u << 10)
#define NUMBER_BYTES 24
#define ERROR_BYTES 128
#define RETRY_AFTER "5"
#define ORIGIN_HEADER "x-replay-of"

struct replay;

struct letter {
	struct publisher_delivery delivery;
	struct replay *r;
	int64_t id;
	bool sent, failed;
	char error[ERROR_BYTES];
};

/* One request. Lives as long as its exchange. */
struct replay {
	const struct api *api;
	struct http_exchange *x;
	bool dry_run;
	struct buf answer; /* without its last brace */
	struct letter *letters;
	size_t count;
	size_t waiting; /* for Kafka; and 1 while they are being sent */
};

static void finish(struct replay *r)
{
	buf_addc(&r->answer, '}');
	if (r->answer.failed)
		http_respond_problem(r->x, 503, "no memory");
	else
		http_respond(r->x, 200, "application/json", r->answer.data, r->answer.len);
}

static void release(struct replay *r)
{
	free(r->letters);
	buf_release(&r->answer);
}

/* ---- When Kafka has them ---- */

static size_t count_failed(const struct replay *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->count; i++)
		n += r->letters[i].failed;
	return n;
}

static void on_noted(void *arg, const struct pg_batch_result *b)
{
	struct replay *r = arg;
	size_t failed = count_failed(r);

	if (b->error.status != PG_OK && b->error.status != PG_NOT_DURABLE) {
		log_warn("dead_letters.replay_not_noted", LOG_INT("letters", r->count),
			 LOG_STR("sqlstate", b->error.sqlstate),
			 LOG_STR("error", b->error.message));
		http_respond_header(r->x, "Retry-After", RETRY_AFTER);
		http_respond_problem(r->x, 503,
				     "the letters are sent, but that could not be noted: they "
				     "stay open and can be replayed in a minute");
	} else if (failed > 0 && failed == r->count) {
		http_respond_header(r->x, "Retry-After", RETRY_AFTER);
		http_respond_problem(r->x, 503, "Kafka took none of the letters; try again");
	} else {
		log_info("dead_letters.replayed", LOG_INT("letters", r->count - failed),
			 LOG_INT("failed", failed));
		buf_addf(&r->answer, ",\"replayed\":%zu,\"failed\":%zu", r->count - failed, failed);
		finish(r);
	}
	release(r);
}

static void note(struct replay *r)
{
	struct buf bufs[2];
	struct pg_array ids[2]; /* acknowledged, others */

	for (size_t i = 0; i < 2; i++) {
		buf_init(&bufs[i], IDS_BYTES);
		pg_array_init(&ids[i], &bufs[i]);
	}
	for (size_t i = 0; i < r->count; i++)
		pg_array_add_int(&ids[r->letters[i].failed], r->letters[i].id);
	const char *const params[] = {pg_array_finish(&ids[0]), pg_array_finish(&ids[1])};
	if (!params[0] || !params[1] ||
	    !api_database_run(r->api->database, NULL, API_DEAD_LETTERS_REPLAYED, 2, params,
			      on_noted, r)) {
		const struct pg_batch_result down = {.error = {.status = PG_DOWN, .message = ""}};
		on_noted(r, &down);
	}
	for (size_t i = 0; i < 2; i++)
		buf_release(&bufs[i]);
}

/* One answer less to wait for; after the last one the answer's list is complete. */
static void answered(struct replay *r)
{
	const char *separator = "";

	if (--r->waiting > 0)
		return;
	buf_adds(&r->answer, ",\"failures\":[");
	for (size_t i = 0; i < r->count; i++) {
		const struct letter *l = &r->letters[i];
		if (!l->failed)
			continue;
		buf_addf(&r->answer, "%s{\"id\":%lld,\"error\":", separator, (long long)l->id);
		buf_add_json_string(&r->answer, l->error, strlen(l->error));
		buf_addc(&r->answer, '}');
		separator = ",";
	}
	buf_addc(&r->answer, ']');
	note(r);
}

static void on_delivered(struct publisher_delivery *d, const char *error)
{
	struct letter *l = (struct letter *)(void *)((char *)d - offsetof(struct letter, delivery));

	l->failed = error != NULL;
	snprintf(l->error, sizeof(l->error), "%s", error ? error : "");
	answered(l->r);
}

/* ---- Sending ---- */

struct columns {
	int id, topic, key, value, headers;
};

/* The letter's headers, borrowed from `j`, and where this comes from. */
static size_t read_headers(const json_t *j, const char *id, struct kafka_header *ret)
{
	size_t n = 0, i;
	const json_t *pair;

	json_array_foreach (j, i, pair) {
		const char *name = json_string_value(json_array_get(pair, 0));
		const char *value = json_string_value(json_array_get(pair, 1));

		if (name && value && strcmp(name, ORIGIN_HEADER) != 0 && n < KAFKA_HEADERS_MAX)
			ret[n++] = (struct kafka_header){name, value};
	}
	ret[n++] = (struct kafka_header){ORIGIN_HEADER, id};
	return n;
}

static bool send_letter(struct letter *l, const PGresult *rows, int row, const struct columns *col,
			const struct buf *value)
{
	struct kafka_header headers[KAFKA_HEADERS_MAX + 1];
	const char *key64 = pg_text(rows, row, col->key);
	const char *text = pg_text(rows, row, col->headers);
	struct buf key, error;
	char id[NUMBER_BYTES], reason[ERROR_BYTES];

	buf_init_fixed(&error, reason, sizeof(reason));
	_cleanup_json_ json_t *j = json_parse(text, strlen(text), HEADERS_TEXT_BYTES, &error);
	snprintf(id, sizeof(id), "%lld", (long long)l->id);
	buf_init(&key, KEY_BYTES);
	bool good = !key64 || base64_decode(key64, strlen(key64), &key) == 0;
	const struct kafka_message m = {
		.topic = pg_text(rows, row, col->topic),
		.key = key64 ? key.data : NULL,
		.key_bytes = key.len,
		.value = pg_text(rows, row, col->value) ? value->data : NULL,
		.value_bytes = value->len,
		.headers = headers,
		.headers_count = read_headers(j, id, headers),
	};
	good = good && publisher_send(l->r->api->publisher, &m, &l->delivery);
	buf_release(&key);
	return good;
}

static void take(struct replay *r, const PGresult *rows, int row, const struct columns *col)
{
	struct letter *l = &r->letters[r->count];
	const char *topic = pg_text(rows, row, col->topic);
	const char *encoded = pg_text(rows, row, col->value);
	struct buf value;
	struct msg m;

	*l = (struct letter){.delivery = {on_delivered}, .r = r, .id = pg_int(rows, row, col->id)};
	buf_init(&value, VALUE_BYTES);
	bool good = !encoded || base64_decode(encoded, strlen(encoded), &value) == 0;
	buf_addf(&r->answer, "%s{\"id\":%lld,\"topic\":", r->count++ ? "," : "", (long long)l->id);
	buf_add_json_string(&r->answer, topic, strlen(topic));
	buf_addc(&r->answer, ',');
	(void)dead_letter_read(r->api, topic, &value, &m, &r->answer);
	buf_addc(&r->answer, '}');
	if (!r->dry_run) {
		r->waiting++;
		l->sent = good && send_letter(l, rows, row, col, &value);
		if (!l->sent)
			on_delivered(&l->delivery, "no room now; try again");
	}
	buf_release(&value);
}

static void take_all(struct replay *r, const PGresult *rows)
{
	const char *body = pg_text(rows, 0, pg_col(rows, "body"));
	const struct columns col = {
		.id = pg_col(rows, "id"),
		.topic = pg_col(rows, "topic"),
		.key = pg_col(rows, "key"),
		.value = pg_col(rows, "value"),
		.headers = pg_col(rows, "headers"),
	};

	buf_init(&r->answer, ANSWER_BYTES);
	buf_add(&r->answer, body, strlen(body) - 1);
	buf_adds(&r->answer, ",\"letters\":[");
	r->waiting = 1;
	for (int row = 1; row < PQntuples(rows); row++)
		take(r, rows, row, &col);
	buf_addc(&r->answer, ']');
}

static void on_claimed(void *arg, const struct pg_batch_result *b)
{
	struct replay *r = arg;

	if (api_database_failed(r->x, API_DEAD_LETTERS_CLAIM, &b->error, &problem_words))
		return;
	const PGresult *rows = b->res[0];
	unsigned status = (unsigned)pg_int(rows, 0, pg_col(rows, "status"));
	const char *body = pg_text(rows, 0, pg_col(rows, "body"));
	if (status != 200) {
		http_respond(r->x, status, problem_words.refusal_type, body, strlen(body));
		return;
	}
	r->dry_run = pg_bool(rows, 0, pg_col(rows, "dry_run"));
	r->letters = calloc((size_t)PQntuples(rows), sizeof(*r->letters));
	if (!r->letters) {
		http_respond_problem(r->x, 503, "no memory");
		return;
	}
	take_all(r, rows);
	if (r->dry_run) {
		buf_adds(&r->answer, ",\"replayed\":0,\"failed\":0");
		finish(r);
		release(r);
	} else {
		answered(r);
	}
}

void handle_replay(void *arg, struct http_exchange *x)
{
	const struct api *api = arg;
	const char *body;
	struct replay *r;

	if (!auth_check(api, AUTH_ADMIN, x))
		return;
	body = endpoint_object(x);
	if (!body)
		return;
	r = http_alloc(x, sizeof(*r));
	if (!r) {
		http_respond_problem(x, 503, "no memory");
		return;
	}
	*r = (struct replay){.api = api, .x = x};
	if (!api_database_run(api->database, NULL, API_DEAD_LETTERS_CLAIM, 1, &body, on_claimed, r))
		api_database_unavailable(x, &problem_words);
}
