/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An upload goes through statements: begun, staged (some at a time), whole, applied (one after the
 * other). It lives until its exchange is over and no statement is under way.
 */
#include "producer/api/uploads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <utlist.h>

#include "common/log.h"
#include "common/multipart.h"
#include "producer/api/endpoints.h"
#include "producer/api/upload_chunk.h"

#define UPLOADS_MAX 8 /* received at a time */
#define JSON_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define CHUNKS_IN_FLIGHT 2
#define APPLY_ROWS "2000"
#define CONFLICTS_MAX 5 /* then it waits to be taken over */
#define WAIT_S 20.0	/* for the answer, once the file is here */
#define TAKE_OVER_S 5.0
#define SILENT_S "20" /* an upload whose producer has not applied a batch for that long */
#define REASON_BYTES 4096
#define HEADER_BYTES_MAX (1024 * 1024)
#define NUMBER_BYTES 24

enum format { FORMAT_CSV, FORMAT_FORM, FORMAT_JSON };
enum step { STEP_BEGIN, STEP_RECEIVE, STEP_APPLY, STEP_OVER };

struct upload {
	struct uploads *all;
	struct http_exchange *x; /* NULL: taken over, answered or gone */
	bool attached;		 /* the exchange is not over */
	const struct record_shape *shape;
	enum format format;
	enum step step;
	char id[NUMBER_BYTES];
	struct multipart *form;
	struct record_reader *reader;
	struct buf json;
	struct buf reason; /* why the file in a form can't be read */
	struct buf header;
	struct upload_chunk chunk;
	size_t in_flight;
	unsigned conflicts;
	bool whole;	/* the body has come to its end */
	bool discarded; /* what comes is of no use any more */
	ev_timer timer; /* the answer's, or that of another try */
	struct upload *prev, *next;
};

struct uploads {
	struct ev_loop *loop;
	struct api_database *db;
	const char *worker;
	struct upload *list;
	size_t count;
	bool taking;
	ev_timer take_over;
};

static void apply(struct upload *u);

/* False: it could not be sent, there is no callback. */
static bool run(struct upload *u, enum api_stmt stmt, size_t n, const char *const *params,
		pg_batch_cb *cb)
{
	bool sent = u->all->db && api_database_run(u->all->db, NULL, stmt, n, params, cb, u);

	u->in_flight += sent;
	return sent;
}

/* ---- Life ---- */

/* What only receiving needs. */
static void release_input(struct upload *u)
{
	multipart_free(u->form);
	record_reader_free(u->reader);
	u->form = NULL;
	u->reader = NULL;
	buf_release(&u->json);
	buf_init(&u->json, JSON_BYTES_MAX);
	upload_chunk_release(&u->chunk);
	upload_chunk_init(&u->chunk);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int events);

static struct upload *upload_new(struct uploads *all)
{
	struct upload *u = calloc(1, sizeof(*u));

	if (!u)
		abort();
	u->all = all;
	buf_init(&u->json, JSON_BYTES_MAX);
	buf_init(&u->reason, REASON_BYTES);
	buf_init(&u->header, HEADER_BYTES_MAX);
	upload_chunk_init(&u->chunk);
	ev_init(&u->timer, on_timer);
	u->timer.data = u;
	DL_APPEND(all->list, u);
	all->count++;
	return u;
}

static void upload_free(struct upload *u)
{
	ev_timer_stop(u->all->loop, &u->timer);
	DL_DELETE(u->all->list, u);
	u->all->count--;
	release_input(u);
	upload_chunk_release(&u->chunk);
	buf_release(&u->reason);
	buf_release(&u->header);
	free(u);
}

static void end(struct upload *u)
{
	u->step = STEP_OVER;
	ev_timer_stop(u->all->loop, &u->timer);
	if (!u->attached && u->in_flight == 0)
		upload_free(u);
}

/* ---- Answers ---- */

/* NULL: nobody waits, or the server itself has refused the body's length. */
static struct http_exchange *take_exchange(struct upload *u)
{
	struct http_exchange *x = u->x;

	u->x = NULL;
	return x && !http_is_answered(x) ? x : NULL;
}

static void refuse(struct upload *u, unsigned status, const char *detail)
{
	struct http_exchange *x = take_exchange(u);

	if (x && status == 503)
		api_database_unavailable(x, &problem_words);
	else if (x)
		http_respond_problem(x, status, detail);
}

static void answer(struct upload *u, unsigned status, const char *body)
{
	struct http_exchange *x = take_exchange(u);

	if (x)
		http_respond(x, status, "application/json", body, strlen(body));
}

/* What goes on without its client. */
static void answer_later(struct upload *u)
{
	char text[256], url[128];

	if (!u->x || http_is_answered(u->x))
		return;
	snprintf(url, sizeof(url), "/api/campaigns/%.18s/uploads/%s", http_param(u->x, "id"),
		 u->id);
	snprintf(text, sizeof(text), "{\"upload\":%s,\"state\":\"applying\",\"url\":\"%s\"}", u->id,
		 url);
	http_respond_header(u->x, "Location", url);
	answer(u, 202, text);
}

static void on_abandoned(void *arg, const struct pg_batch_result *b)
{
	struct upload *u = arg;

	(void)b; /* else the sweeper finds it silent */
	u->in_flight--;
	end(u);
}

/* Nothing of the file is applied. */
static void give_up(struct upload *u, unsigned status, const char *reason)
{
	const char *const params[] = {u->id, reason};
	bool begun = u->step == STEP_RECEIVE;
	if (u->discarded)
		return;
	u->discarded = true;
	refuse(u, status, reason);
	release_input(u);
	if (!begun || !run(u, API_UPLOAD_ABANDON, 2, params, on_abandoned))
		end(u);
}

/* True if it did; the upload is given up, or left to a later take-over, otherwise. */
static bool succeeded(struct upload *u, enum api_stmt stmt, const struct pg_error *e)
{
	if (e->status == PG_OK || e->status == PG_NOT_DURABLE)
		return true;
	if (strcmp(e->sqlstate, API_NO_SUCH_TENANT) == 0) {
		give_up(u, 422, "tenant: there is no such tenant");
		return false;
	}
	if (!pg_error_is_transient(e))
		log_error("upload.failed", LOG_STR("statement", api_stmts[stmt].name),
			  LOG_STR("upload", u->id), LOG_STR("sqlstate", e->sqlstate),
			  LOG_STR("error", e->message));
	if (u->step == STEP_APPLY) {
		answer_later(u);
		end(u);
	} else {
		bool unreadable = strncmp(e->sqlstate, "22", 2) == 0;
		unsigned status = pg_error_is_transient(e) ? 503 : unreadable ? 422 : 500;
		give_up(u, status,
			unreadable
				? "a value of the request can't be read: text is UTF-8, numbers are of common size"
				: "the request could not be served; the log says why");
	}
	return false;
}

/* ---- Applying ---- */

static void on_applied(void *arg, const struct pg_batch_result *b)
{
	struct upload *u = arg;

	u->in_flight--;
	if (strncmp(b->error.sqlstate, "40", 2) == 0 && u->conflicts++ < CONFLICTS_MAX) {
		apply(u); /* now it sees what others have written */
		return;
	}
	if (!succeeded(u, API_UPLOAD_APPLY, &b->error))
		return;
	const char *state = pg_text(b->res[0], 0, pg_col(b->res[0], "state"));
	const char *body = pg_text(b->res[0], 0, pg_col(b->res[0], "body"));
	if (state && strcmp(state, "applying") == 0) {
		apply(u);
		return;
	}
	log_info("upload.applied", LOG_STR("upload", u->id), LOG_STR("state", state));
	if (state && strcmp(state, "done") == 0)
		answer(u, 200, body);
	else
		refuse(u, 409, "the campaign was deleted while its contacts were applied");
	end(u);
}

static void apply(struct upload *u)
{
	const char *const params[] = {u->id, u->all->worker, APPLY_ROWS};

	if (run(u, API_UPLOAD_APPLY, 3, params, on_applied))
		return;
	answer_later(u);
	end(u);
}

static void on_staged_whole(void *arg, const struct pg_batch_result *b)
{
	struct upload *u = arg;

	u->in_flight--;
	if (!succeeded(u, API_UPLOAD_STAGED, &b->error))
		return;
	if (pg_int(b->res[0], 0, pg_col(b->res[0], "status")) != 202) {
		give_up(u, 409, "the upload took too long and was given up");
		return;
	}
	u->step = STEP_APPLY;
	release_input(u);
	ev_timer_set(&u->timer, WAIT_S, 0.);
	ev_timer_start(u->all->loop, &u->timer);
	apply(u);
}

/* ---- Staging ---- */

static void on_staged(void *arg, const struct pg_batch_result *b);

static bool send_chunk(struct upload *u)
{
	const char *params[1 + UPLOAD_CHUNK_PARAMS] = {u->id};
	bool good = upload_chunk_finish(&u->chunk, params + 1) &&
		    run(u, API_UPLOAD_STAGE, 1 + UPLOAD_CHUNK_PARAMS, params, on_staged);

	upload_chunk_clear(&u->chunk);
	if (!good)
		give_up(u, 503, "the rows could not be staged");
	return good;
}

static void send_json(struct upload *u, const char *array)
{
	const char *const params[] = {u->id, array};

	if (!run(u, API_UPLOAD_STAGE_JSON, 2, params, on_staged))
		give_up(u, 503, "the rows could not be staged");
}

static void send_whole(struct upload *u)
{
	const char *const params[] = {u->id, u->header.len > 0 ? u->header.data : "\"record\""};

	if (!run(u, API_UPLOAD_STAGED, 2, params, on_staged_whole))
		give_up(u, 503, "the rows could not be staged");
}

/* A statement has its answer: goes on with what waited for it. */
static void go_on(struct upload *u)
{
	if (u->whole && u->in_flight == 0)
		send_whole(u);
	else if (!u->whole && u->x && u->in_flight < CHUNKS_IN_FLIGHT)
		http_receive_more(u->x);
}

static void on_staged(void *arg, const struct pg_batch_result *b)
{
	struct upload *u = arg;

	u->in_flight--;
	if (u->discarded)
		end(u);
	else if (succeeded(u, API_UPLOAD_STAGE, &b->error))
		go_on(u);
}

static bool on_header(void *arg, const struct record *r)
{
	struct upload *u = arg;

	upload_line(&u->header, r->cells);
	return true;
}

static bool on_record(void *arg, const struct record *r)
{
	upload_chunk_add(&((struct upload *)arg)->chunk, r);
	return true;
}

/* ---- The body ---- */

static bool on_file(void *arg, const char *bytes, size_t n)
{
	struct upload *u = arg;

	return record_reader_feed(u->reader, bytes, n, &u->reason);
}

/* Adds to `error` what is wrong with the body; false then. */
static bool take(struct upload *u, const char *bytes, size_t n, struct buf *error)
{
	if (u->format == FORMAT_JSON) {
		buf_add(&u->json, bytes, n);
		return !u->json.failed;
	}
	if (u->format == FORMAT_CSV)
		return record_reader_feed(u->reader, bytes, n, error);
	if (multipart_feed(u->form, bytes, n, error))
		return true;
	if (error->len == 0) /* it was the file */
		buf_add(error, u->reason.data, u->reason.len);
	return false;
}

static bool on_piece(void *arg, const char *bytes, size_t n)
{
	struct upload *u = arg;
	char text[REASON_BYTES];
	struct buf error;

	buf_init_fixed(&error, text, sizeof(text));
	if (!take(u, bytes, n, &error)) {
		give_up(u, u->json.failed ? 413 : 422,
			u->json.failed ? "too much JSON for one request; send it in parts or as CSV"
				       : text);
		return true;
	}
	if (upload_chunk_is_full(&u->chunk) && !send_chunk(u))
		return true;
	return u->in_flight < CHUNKS_IN_FLIGHT;
}

static bool finish_csv(struct upload *u, struct buf *error)
{
	return (!u->form || multipart_finish(u->form, error)) &&
	       record_reader_finish(u->reader, error);
}

static void on_end(void *arg)
{
	struct upload *u = arg;
	char text[REASON_BYTES];
	struct buf error, array;

	u->whole = true;
	if (u->discarded)
		return;
	buf_init_fixed(&error, text, sizeof(text));
	if (u->format == FORMAT_JSON) {
		buf_init(&array, 2 * JSON_BYTES_MAX);
		unsigned bad =
			records_read_json(u->shape, u->json.data, u->json.len, &array, &error);
		if (bad != 0)
			give_up(u, bad, text);
		else
			send_json(u, array.data);
		buf_release(&array);
		return;
	}
	if (!finish_csv(u, &error))
		give_up(u, 422, text);
	else if (upload_chunk_rows(&u->chunk) > 0)
		(void)!send_chunk(u);
	else
		go_on(u);
}

static void on_gone(void *arg)
{
	struct upload *u = arg;

	u->attached = false;
	u->x = NULL;
	if (u->step == STEP_BEGIN || u->step == STEP_RECEIVE)
		give_up(u, 503, "the file did not come whole");
	else if (u->step == STEP_OVER)
		end(u);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	answer_later(w->data);
}

/* ---- The beginning ---- */

static void on_begun(void *arg, const struct pg_batch_result *b)
{
	struct upload *u = arg;

	u->in_flight--;
	if (u->discarded) { /* the client went before */
		end(u);
		return;
	}
	if (!succeeded(u, API_UPLOAD_BEGIN, &b->error))
		return;
	const PGresult *res = b->res[0];
	unsigned status = (unsigned)pg_int(res, 0, pg_col(res, "status"));
	if (status != 200) {
		const char *body = pg_text(res, 0, pg_col(res, "body"));
		struct http_exchange *x = take_exchange(u);
		u->discarded = true;
		http_respond(x, status, "application/problem+json", body, strlen(body));
		end(u);
		return;
	}
	snprintf(u->id, sizeof(u->id), "%s", pg_text(res, 0, pg_col(res, "upload")));
	u->step = STEP_RECEIVE;
	http_receive_more(u->x);
}

/* What programs say of CSV; a browser on a machine with a spreadsheet program says the program. */
static const struct {
	const char *type;
	enum format format;
} formats[] = {
	{"application/json", FORMAT_JSON},	  {"text/csv", FORMAT_CSV},
	{"application/csv", FORMAT_CSV},	  {"text/plain", FORMAT_CSV},
	{"application/vnd.ms-excel", FORMAT_CSV}, {"multipart/form-data", FORMAT_FORM},
};

static bool find_format(struct upload *u)
{
	const char *type = http_header(u->x, "Content-Type");
	size_t i = 0;

	if (!type)
		type = formats[0].type;
	while (i < sizeof(formats) / sizeof(formats[0]) &&
	       strncasecmp(type, formats[i].type, strlen(formats[i].type)) != 0)
		i++;
	if (i == sizeof(formats) / sizeof(formats[0]))
		return false;
	u->format = formats[i].format;
	if (u->format == FORMAT_FORM)
		u->form = multipart_new(type, on_file, u);
	if (u->format != FORMAT_JSON)
		u->reader =
			record_reader_new(&(struct record_reader_options){.shape = u->shape,
									  .faults = true,
									  .on_header = on_header,
									  .on_record = on_record,
									  .arg = u});
	return u->format != FORMAT_FORM || u->form;
}

void uploads_receive(struct uploads *all, const char *tenant, struct http_exchange *x,
		     const struct record_shape *shape)
{
	const char *const params[] = {http_param(x, "id"), http_query(x, "preview"), all->worker};

	if (all->count >= UPLOADS_MAX) {
		http_respond_header(x, "Retry-After", "5");
		http_respond_problem(x, 503, "other files are being received; try again");
		return;
	}
	struct upload *u = upload_new(all);
	const struct http_sink sink = {on_piece, on_end, on_gone, u};
	u->x = x;
	u->shape = shape;
	bool known = find_format(u);
	if (!known)
		http_respond_problem(x, 415, "send text/csv, a form with one file, or JSON");
	u->attached = known &&
		      http_receive(x, u->format == FORMAT_JSON ? JSON_BYTES_MAX : UPLOAD_BYTES_MAX,
				   &sink);
	if (!u->attached)
		upload_free(u);
	else if (all->db &&
		 api_database_run(all->db, tenant, API_UPLOAD_BEGIN, 3, params, on_begun, u))
		u->in_flight++;
	else
		give_up(u, 503, "the database can't be asked now");
}

/* ---- What others left ---- */

static void on_taken(void *arg, const struct pg_batch_result *b)
{
	struct uploads *all = arg;

	all->taking = false;
	if (b->error.status != PG_OK || PQntuples(b->res[0]) == 0)
		return;
	struct upload *u = upload_new(all);
	snprintf(u->id, sizeof(u->id), "%s", pg_text(b->res[0], 0, pg_col(b->res[0], "upload")));
	u->step = STEP_APPLY;
	log_info("upload.taken_over", LOG_STR("upload", u->id));
	apply(u);
}

static void on_take_over(struct ev_loop *loop, ev_timer *w, int events)
{
	struct uploads *all = w->data;
	const char *const params[] = {all->worker, SILENT_S};

	(void)loop;
	(void)events;
	if (!all->taking && all->count < UPLOADS_MAX && all->db)
		all->taking =
			api_database_run(all->db, NULL, API_UPLOAD_TAKE, 2, params, on_taken, all);
}

struct uploads *uploads_new(struct ev_loop *loop, const struct config *cfg, struct api_database *db)
{
	struct uploads *all = db ? calloc(1, sizeof(*all)) : NULL;

	if (!db)
		return NULL;
	if (!all)
		abort();
	all->loop = loop;
	all->db = db;
	all->worker = config_str(cfg, CONFIG_KEY_WORKER_NAME);
	ev_timer_init(&all->take_over, on_take_over, TAKE_OVER_S, TAKE_OVER_S);
	all->take_over.data = all;
	ev_timer_start(loop, &all->take_over);
	return all;
}

void uploads_close(struct uploads *all)
{
	if (!all)
		return;
	all->db = NULL;
	ev_timer_stop(all->loop, &all->take_over);
}

void uploads_free(struct uploads *all)
{
	if (!all)
		return;
	uploads_close(all);
	struct upload *u, *next;
	DL_FOREACH_SAFE (all->list, u, next)
		upload_free(u);
	free(all);
}
