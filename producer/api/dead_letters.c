/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /api/dead-letters: messages that could not be used. A list, one with its bytes and what they say
 * to today's reader, and to be done with one. The replay is dead_letter_replay.c.
 */
#include "producer/api/dead_letters.h"

#include <stdio.h>
#include <string.h>

#include "common/seal.h"

#define VALUE_BYTES (4u << 20)
#define ANSWER_BYTES (32u << 20)
#define REASON_BYTES 512

static const struct endpoint endpoints[] = {
	{"GET",
	 "/api/dead-letters",
	 API_DEAD_LETTERS_LIST,
	 0,
	 {{PARAM_QUERY, "topic"},
	  {PARAM_QUERY, "resolved"},
	  {PARAM_QUERY, "limit"},
	  {PARAM_QUERY, "after"}}},
	{"POST",
	 "/api/dead-letters/{id}/discard",
	 API_DEAD_LETTER_DISCARD,
	 0,
	 {{PARAM_PATH, "id"}, {PARAM_BODY_IF_ANY, NULL}}},
};

const struct resource dead_letters_resource = {
	RESOURCE_ENDPOINTS(endpoints),
	.auth = AUTH_ADMIN,
	.words = &problem_words,
};

/* ---- What it says ---- */

static bool type_of(const struct config *cfg, const char *topic, enum msg_type *ret)
{
	const char *prefix = config_str(cfg, CONFIG_KEY_TOPIC_PREFIX);
	size_t n = strlen(prefix);

	if (strncmp(topic, prefix, n) != 0)
		return false;
	for (int t = 0; t < MSG_TYPE_COUNT; t++) {
		*ret = (enum msg_type)t;
		if (strcmp(topic + n, msg_type_info(*ret)->topic_suffix) == 0)
			return true;
	}
	return false;
}

bool dead_letter_read(const struct api *api, const char *topic, const struct buf *value,
		      struct msg *ret, struct buf *members)
{
	char text[REASON_BYTES];
	struct buf reason;
	enum msg_type type;
	enum msg_decode decoded = MSG_UNKNOWN_SCHEMA;
	int32_t schema_id;

	buf_init_fixed(&reason, text, sizeof(text));
	if (type_of(api->cfg, topic, &type))
		decoded = msg_decode(publisher_codec(api->publisher), type, value->data, value->len,
				     ret, &schema_id, &reason);
	else
		buf_adds(&reason, "no topic whose messages are known");
	if (decoded == MSG_DECODED) {
		buf_adds(members, "\"decodes\":true");
		return true;
	}
	buf_addf(members,
		 "\"decodes\":%s,\"problem\":", decoded == MSG_MALFORMED ? "false" : "null");
	buf_add_json_string(members, reason.data, reason.len);
	return false;
}

/* ---- One ---- */

struct letter_request {
	const struct api *api;
	struct http_exchange *x;
};

static void answer(const struct letter_request *r, const PGresult *rows)
{
	const char *body = pg_text(rows, 0, pg_col(rows, "body"));
	const char *encoded = pg_text(rows, 0, pg_col(rows, "value"));
	struct buf value, out;
	struct msg m;

	buf_init(&value, VALUE_BYTES);
	buf_init(&out, ANSWER_BYTES);
	buf_add(&out, body, strlen(body) - 1);
	buf_addc(&out, ',');
	if (encoded && base64_decode(encoded, strlen(encoded), &value) != 0)
		buf_clear(&value);
	if (dead_letter_read(r->api, pg_text(rows, 0, pg_col(rows, "topic")), &value, &m, &out)) {
		buf_adds(&out, ",\"message\":");
		msg_write_json(&m, &out);
	}
	buf_addc(&out, '}');
	if (out.failed)
		http_respond_problem(r->x, 503, "no memory");
	else
		http_respond(r->x, 200, "application/json", out.data, out.len);
	buf_release(&value);
	buf_release(&out);
}

static void on_letter(void *arg, const struct pg_batch_result *b)
{
	const struct letter_request *r = arg;

	if (api_database_failed(r->x, API_DEAD_LETTER_GET, &b->error, &problem_words))
		return;
	const PGresult *rows = b->res[0];
	if (pg_int(rows, 0, pg_col(rows, "status")) == 200) {
		answer(r, rows);
		return;
	}
	const char *body = pg_text(rows, 0, pg_col(rows, "body"));
	http_respond(r->x, 404, problem_words.refusal_type, body, strlen(body));
}

void handle_dead_letter(void *arg, struct http_exchange *x)
{
	const struct api *api = arg;
	const char *const params[] = {http_param(x, "id")};
	struct letter_request *r;

	if (!auth_check(api, AUTH_ADMIN, x))
		return;
	r = http_alloc(x, sizeof(*r));
	if (!r) {
		http_respond_problem(x, 503, "no memory");
		return;
	}
	*r = (struct letter_request){api, x};
	if (!api_database_run(api->database, NULL, API_DEAD_LETTER_GET, 1, params, on_letter, r))
		api_database_unavailable(x, &problem_words);
}
