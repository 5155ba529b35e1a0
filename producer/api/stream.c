/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream lives as long as its exchange, or as the statement that is under way for it when the
 * client goes: whichever ends last frees it.
 */
#include "producer/api/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

struct stream {
	struct api_database *db;
	struct http_exchange *x; /* NULL when it is over */
	enum api_stmt stmt;
	const char *content_type;
	const struct api_words *words;
	size_t params_count;
	char *params[API_STREAM_PARAMS_MAX + 1]; /* the last: where the former part ended */
	bool begun;
	bool asking;
};

static void stream_free(struct stream *s)
{
	for (size_t i = 0; i <= s->params_count; i++)
		free(s->params[i]);
	free(s);
}

static char *copy_of(const char *text)
{
	char *copy = text ? strdup(text) : NULL;

	if (text && !copy)
		abort();
	return copy;
}

static void on_part(void *arg, const struct pg_batch_result *b);

static bool ask(struct stream *s)
{
	s->asking = api_database_run(s->db, s->stmt, s->params_count + 1,
				     (const char *const *)s->params, on_part, s);
	return s->asking;
}

static void on_more(void *arg)
{
	struct stream *s = arg;

	if (!ask(s))
		http_respond_break(s->x);
}

static void on_gone(void *arg)
{
	struct stream *s = arg;

	s->x = NULL;
	if (!s->asking)
		stream_free(s);
}

static void send_part(struct stream *s, const PGresult *rows)
{
	const char *body = pg_text(rows, 0, pg_col(rows, "body"));
	const char *more = pg_text(rows, 0, pg_col(rows, "more"));

	free(s->params[s->params_count]);
	s->params[s->params_count] = copy_of(more);
	http_respond_part(s->x, body, strlen(body), !more);
}

static void on_first_part(struct stream *s, const struct pg_batch_result *b)
{
	const struct http_source source = {on_more, on_gone, s};
	const PGresult *rows = api_database_rows(s->x, s->stmt, s->words, b);

	if (!rows) {
		stream_free(s);
		return;
	}
	int status = (int)pg_int(rows, 0, pg_col(rows, "status"));
	const char *body = pg_text(rows, 0, pg_col(rows, "body"));
	if (status != 200) {
		http_respond(s->x, (unsigned)status,
			     status < 400 ? "application/json" : s->words->refusal_type, body,
			     strlen(body));
		stream_free(s);
		return;
	}
	s->begun = true;
	s->asking = true; /* to be told of its end, not to be freed by it */
	http_respond_parts(s->x, 200, s->content_type ? s->content_type : "application/json",
			   &source);
	s->asking = false;
	if (s->x)
		send_part(s, rows);
	else
		stream_free(s);
}

static void on_part(void *arg, const struct pg_batch_result *b)
{
	struct stream *s = arg;

	s->asking = false;
	if (s->begun && !s->x) {
		stream_free(s);
	} else if (!s->begun) {
		on_first_part(s, b);
	} else if (b->error.status == PG_OK) {
		send_part(s, b->res[0]);
	} else {
		log_warn("api.broken_off", LOG_STR("statement", api_stmts[s->stmt].name),
			 LOG_STR("sqlstate", b->error.sqlstate),
			 LOG_STR("error", b->error.message));
		http_respond_break(s->x);
	}
}

void api_stream_answer(struct api_database *db, struct http_exchange *x, enum api_stmt stmt,
		       const char *content_type, size_t params_count, const char *const *params,
		       const struct api_words *words)
{
	struct stream *s = calloc(1, sizeof(*s));

	assert(params_count <= API_STREAM_PARAMS_MAX);
	if (!s)
		abort();
	*s = (struct stream){.db = db,
			     .x = x,
			     .stmt = stmt,
			     .content_type = content_type,
			     .words = words,
			     .params_count = params_count};
	for (size_t i = 0; i < params_count; i++)
		s->params[i] = copy_of(params[i]);
	if (ask(s))
		return;
	stream_free(s);
	api_database_unavailable(x, words);
}
