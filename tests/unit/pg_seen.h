/* SPDX-License-Identifier: Apache-2.0 */
/* A connection under test, with what was seen of it, for the test_pg*.c programs. */
#ifndef CARILLON_TESTS_PG_SEEN_H
#define CARILLON_TESTS_PG_SEEN_H

#include "common/pg.h"

#include "tests/unit/database.h"

#define MAX_BATCHES 8

#define STATEMENTS(X)                                                                              \
	X(add_item)                                                                                \
	X(read_items)                                                                              \
	X(count_items)                                                                             \
	X(add_orphan)                                                                              \
	X(sleep)                                                                                   \
	X(notify)                                                                                  \
	X(backend)                                                                                 \
	X(end_me)                                                                                  \
	X(read_wide)                                                                               \
	X(elements)                                                                                \
	X(numbers)                                                                                 \
	X(settings)                                                                                \
	X(planned)                                                                                 \
	X(broken)

enum stmt {
#define X(name) stmt_##name,
	STATEMENTS(X)
#undef X
		stmt_count
};

static struct database database;
static struct pg_stmt stmts[] = {
#define X(name) {#name, NULL},
	STATEMENTS(X)
#undef X
};

/* What was seen of one connection. */
struct seen {
	struct ev_loop *loop;
	struct pg *pg;
	int ups;
	int downs;
	char reason[256];
	char notified[256];
	int answers;
	size_t last; /* number of the batch answered last */
	bool in_order;
	int wanted; /* the loop ends at so many answers */
};

/* One batch and what came of it. */
struct job {
	struct seen *seen;
	size_t number;
	int called;
	struct pg_error error;
	char message[256];
	size_t n;
	int64_t value; /* first column of the last result's first row */
	int again;     /* submit so many more from the callback */
};

static inline void on_state(void *arg, bool up, const char *reason)
{
	struct seen *s = arg;

	*(up ? &s->ups : &s->downs) += 1;
	snprintf(s->reason, sizeof(s->reason), "%s", reason);
	ev_break(s->loop, EVBREAK_ALL);
}

static inline void on_notify(void *arg, const char *channel, const char *payload)
{
	struct seen *s = arg;

	snprintf(s->notified, sizeof(s->notified), "%s=%s", channel, payload);
	ev_break(s->loop, EVBREAK_ALL);
}

static inline void on_batch(void *arg, const struct pg_batch_result *r)
{
	struct job *j = arg;
	struct seen *s = j->seen;

	j->called++;
	j->error = r->error;
	snprintf(j->message, sizeof(j->message), "%s", r->error.message);
	j->n = r->n;
	for (size_t i = 0; i < r->n; i++)
		assert_int_equal(r->error.status == PG_OK || r->error.status == PG_NOT_DURABLE,
				 r->res[i] != NULL);
	if (r->n > 0 && r->res[r->n - 1] && PQntuples(r->res[r->n - 1]) > 0 &&
	    strspn(PQgetvalue(r->res[r->n - 1], 0, 0), "0123456789") > 0)
		j->value = pg_int(r->res[r->n - 1], 0, 0);
	s->in_order = s->in_order && j->number >= s->last;
	s->last = j->number;
	if (++s->answers >= s->wanted)
		ev_break(s->loop, EVBREAK_ALL);
	if (j->again > 0) {
		j->again--;
		assert_true(pg_run(s->pg, stmt_count_items, 0, NULL, on_batch, j));
	}
}

static inline void on_give_up(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)revents;
	*(bool *)w->data = true;
	ev_break(loop, EVBREAK_ALL);
}

#define RUN_UNTIL(s, condition)                                                                    \
	do {                                                                                       \
		bool gave_up_ = false;                                                             \
		ev_timer limit_;                                                                   \
		ev_timer_init(&limit_, on_give_up, 20.0, 0.0);                                     \
		limit_.data = &gave_up_;                                                           \
		ev_now_update((s)->loop);                                                          \
		ev_timer_start((s)->loop, &limit_);                                                \
		while (!(condition) && !gave_up_)                                                  \
			ev_run((s)->loop, EVRUN_ONCE);                                             \
		ev_timer_stop((s)->loop, &limit_);                                                 \
		if (gave_up_)                                                                      \
			fail_msg("never came: %s (%s)", #condition, (s)->reason);                  \
	} while (0)

static const char *const channels[] = {"wake", "Odd \"name", NULL};

static inline struct pg_options options_for(struct seen *s)
{
	return (struct pg_options){
		.url = database.url.data,
		.application_name = "test",
		.stmts = stmts,
		.stmts_count = stmt_broken,
		.listen = channels,
		.statement_timeout_ms = 5000,
		.max_batches = MAX_BATCHES,
		.on_state = on_state,
		.on_notify = on_notify,
		.arg = s,
		.clock = clock_system(),
	};
}

static inline void start(struct seen *s, const struct pg_options *o)
{
	*s = (struct seen){.loop = ev_loop_new(EVFLAG_AUTO), .in_order = true, .wanted = 1};
	struct pg_options options = o ? *o : options_for(s);
	options.arg = s;
	s->pg = pg_new(s->loop, &options);
	assert_false(pg_is_up(s->pg));
}

static inline void start_up(struct seen *s)
{
	start(s, NULL);
	RUN_UNTIL(s, s->ups == 1);
	assert_true(pg_is_up(s->pg));
}

static inline void stop(struct seen *s)
{
	pg_free(s->pg);
	ev_loop_destroy(s->loop);
}

static inline struct job job_of(struct seen *s, size_t number)
{
	return (struct job){.seen = s, .number = number};
}

/* Runs one statement of up to two parameters to its end. */
static inline struct job run_one(struct seen *s, enum stmt stmt, const char *a, const char *b)
{
	const char *params[] = {a, b};
	struct job j = job_of(s, s->last);

	assert_true(pg_run(s->pg, stmt, b ? 2 : a ? 1 : 0, params, on_batch, &j));
	RUN_UNTIL(s, j.called == 1);
	return j;
}

static inline int setup(void **state)
{
	(void)state;
	database_init(&database, "pg");
	for (size_t i = 0; i < stmt_count; i++) {
		char path[100];
		snprintf(path, sizeof(path), "tests/unit/pg/%s.sql", stmts[i].name);
		stmts[i].sql = source_file(path);
	}
	char *schema = source_file("tests/unit/pg/schema.sql");
	sql_run(database.admin, schema);
	free(schema);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < stmt_count; i++)
		free((void *)stmts[i].sql);
	database_release(&database);
	return 0;
}

#endif
