/* SPDX-License-Identifier: Apache-2.0 */
/* common/pg.h against a real server: batches that are atomic and answered in order, and their
 * errors. */
#include "tests/unit/pg_seen.h"

/* ---- The ordinary ---- */

static void on_settings(void *arg, const struct pg_batch_result *r)
{
	struct job *j = arg;
	const PGresult *res = r->res[0];

	assert_int_equal(r->error.status, PG_OK);
	assert_string_equal(pg_text(res, 0, pg_col(res, "path")), "carillon,public");
	assert_string_equal(pg_text(res, 0, pg_col(res, "zone")), "UTC");
	assert_string_equal(pg_text(res, 0, pg_col(res, "timeout")), "5s");
	assert_string_equal(pg_text(res, 0, pg_col(res, "name")), "test");
	j->called = 1;
}

static void test_session_settings(void **state)
{
	struct seen s;
	struct job j;

	(void)state;
	start_up(&s);
	j = job_of(&s, 0);
	assert_true(pg_run(s.pg, stmt_settings, 0, NULL, on_settings, &j));
	RUN_UNTIL(&s, j.called == 1);
	stop(&s);
}

static void on_items(void *arg, const struct pg_batch_result *r)
{
	struct job *j = arg;
	const PGresult *res = r->res[2];

	assert_int_equal(r->error.status, PG_OK);
	assert_int_equal(r->error.failed_index, -1);
	assert_int_equal(r->n, 3);
	assert_int_equal(PQntuples(res), 2);
	assert_int_equal(pg_int(res, 0, pg_col(res, "id")), 1);
	assert_string_equal(pg_text(res, 0, pg_col(res, "name")), "it's \"one\"");
	assert_null(pg_text(res, 1, pg_col(res, "name")));
	assert_int_equal(pg_int(res, 1, pg_col(res, "at_ms")), 0);
	assert_false(pg_bool(res, 1, pg_col(res, "flag")));
	j->called = 1;
}

static void test_batch_sees_itself(void **state)
{
	struct seen s;
	struct job j;

	(void)state;
	start_up(&s);
	j = job_of(&s, 0);
	assert_true(pg_begin(s.pg, on_items, &j));
	assert_false(pg_begin(s.pg, on_items, &j)); /* one is open */
	pg_add(s.pg, stmt_add_item, 2, (const char *const[]){"1", "it's \"one\""});
	pg_add(s.pg, stmt_add_item, 2, (const char *const[]){"2", NULL});
	pg_add(s.pg, stmt_read_items, 0, NULL);
	pg_commit(s.pg);
	assert_int_equal(j.called, 0);
	RUN_UNTIL(&s, j.called == 1);
	sql_run(database.admin, "truncate item");
	stop(&s);
}

static void test_empty_batch(void **state)
{
	struct seen s;
	struct job j;

	(void)state;
	start_up(&s);
	j = job_of(&s, 0);
	assert_true(pg_begin(s.pg, on_batch, &j));
	pg_commit(s.pg);
	RUN_UNTIL(&s, j.called == 1);
	assert_int_equal(j.error.status, PG_OK);
	assert_int_equal(j.n, 0);
	stop(&s);
}

static void test_many_in_order(void **state)
{
	struct seen s;
	struct job jobs[MAX_BATCHES];

	(void)state;
	start_up(&s);
	s.wanted = MAX_BATCHES;
	for (size_t i = 0; i < MAX_BATCHES; i++) {
		jobs[i] = job_of(&s, i);
		assert_true(pg_run(s.pg, stmt_count_items, 0, NULL, on_batch, &jobs[i]));
	}
	assert_false(pg_run(s.pg, stmt_count_items, 0, NULL, on_batch, &jobs[0]));
	assert_int_equal(pg_batches_in_flight(s.pg), MAX_BATCHES);
	RUN_UNTIL(&s, s.answers == MAX_BATCHES);
	assert_true(s.in_order);
	assert_int_equal(pg_batches_in_flight(s.pg), 0);
	stop(&s);
}

/* Each of a full ring begins another from its own callback, far more often than there are slots. */
static void test_begin_in_callback(void **state)
{
	struct seen s;
	struct job jobs[MAX_BATCHES];

	(void)state;
	start_up(&s);
	for (size_t i = 0; i < MAX_BATCHES; i++) {
		jobs[i] = job_of(&s, 0);
		jobs[i].again = 50;
		assert_true(pg_run(s.pg, stmt_count_items, 0, NULL, on_batch, &jobs[i]));
	}
	RUN_UNTIL(&s, s.answers == 51 * MAX_BATCHES);
	for (size_t i = 0; i < MAX_BATCHES; i++) {
		assert_int_equal(jobs[i].called, 51);
		assert_int_equal(jobs[i].error.status, PG_OK);
	}
	stop(&s);
}

/* More than any socket buffer, both ways at once: only non-blocking mode survives it. */
static void test_large(void **state)
{
	enum { BYTES = 3000000, COUNT = 6 };
	struct seen s;
	struct job jobs[COUNT];
	struct buf b;
	struct pg_array a;
	char *text = malloc(BYTES + 1);

	(void)state;
	start_up(&s);
	assert_non_null(text);
	memset(text, 'x', BYTES);
	text[BYTES] = '\0';
	buf_init(&b, BYTES + 100);
	pg_array_init(&a, &b);
	pg_array_add(&a, text);
	const char *params[] = {pg_array_finish(&a)};
	assert_non_null(params[0]);
	for (size_t i = 0; i < COUNT; i++) {
		jobs[i] = job_of(&s, i);
		assert_true(pg_run(s.pg, stmt_elements, 1, params, on_batch, &jobs[i]));
	}
	RUN_UNTIL(&s, s.answers == COUNT);
	for (size_t i = 0; i < COUNT; i++)
		assert_int_equal(jobs[i].error.status, PG_OK);
	free(text);
	buf_release(&b);
	stop(&s);
}

static void test_notify(void **state)
{
	struct seen s;

	(void)state;
	start_up(&s);
	run_one(&s, stmt_notify, "wake", "now");
	RUN_UNTIL(&s, strcmp(s.notified, "wake=now") == 0);
	run_one(&s, stmt_notify, "Odd \"name", "");
	RUN_UNTIL(&s, strcmp(s.notified, "Odd \"name=") == 0);
	/* Also to a connection that has nothing else to do. */
	sql_run(database.admin, "notify wake, 'idle'");
	RUN_UNTIL(&s, strcmp(s.notified, "wake=idle") == 0);
	stop(&s);
}

/* ---- Errors ---- */

static void test_error_undoes_batch(void **state)
{
	struct seen s;
	struct job bad, good;

	(void)state;
	start_up(&s);
	bad = job_of(&s, 0);
	good = job_of(&s, 1);
	assert_true(pg_begin(s.pg, on_batch, &bad));
	pg_add(s.pg, stmt_add_item, 2, (const char *const[]){"7", "a"});
	pg_add(s.pg, stmt_add_item, 2, (const char *const[]){"7", "b"});
	pg_add(s.pg, stmt_count_items, 0, NULL);
	pg_commit(s.pg);
	assert_true(pg_run(s.pg, stmt_count_items, 0, NULL, on_batch, &good));
	RUN_UNTIL(&s, good.called == 1);
	assert_int_equal(bad.error.status, PG_ERROR);
	assert_string_equal(bad.error.sqlstate, "23505");
	assert_int_equal(bad.error.failed_index, 1);
	assert_non_null(strstr(bad.message, "item_pkey"));
	assert_false(pg_error_is_transient(&bad.error));
	assert_int_equal(good.error.status, PG_OK);
	assert_string_equal(good.error.sqlstate, "");
	assert_int_equal(good.value, 0);
	stop(&s);
}

static void test_error_of_commit(void **state)
{
	struct seen s;
	struct job j;

	(void)state;
	start_up(&s);
	j = run_one(&s, stmt_add_orphan, "5", NULL);
	assert_int_equal(j.error.status, PG_ERROR);
	assert_string_equal(j.error.sqlstate, "23503");
	assert_int_equal(j.error.failed_index, -1);
	j = run_one(&s, stmt_count_items, NULL, NULL);
	assert_int_equal(j.error.status, PG_OK);
	stop(&s);
}

static void test_statement_timeout(void **state)
{
	struct seen s;
	struct pg_options o = options_for(&s);

	(void)state;
	o.statement_timeout_ms = 50;
	start(&s, &o);
	RUN_UNTIL(&s, s.ups == 1);
	struct job j = run_one(&s, stmt_sleep, "5", NULL);
	assert_int_equal(j.error.status, PG_ERROR);
	assert_string_equal(j.error.sqlstate, "57014");
	assert_true(pg_error_is_transient(&j.error));
	assert_true(pg_is_up(s.pg));
	stop(&s);
}

static void test_statement_that_does_not_prepare(void **state)
{
	struct seen s;
	struct pg_options o = options_for(&s);
	struct pg_stmt some[stmt_count];

	(void)state;
	/* One of them is not this connection's: the others keep their places, and its name is
	 * right. */
	memcpy(some, stmts, sizeof(some));
	some[stmt_sleep].sql = NULL;
	o.stmts = some;
	o.stmts_count = stmt_count;
	start(&s, &o);
	RUN_UNTIL(&s, s.downs == 2); /* it tries again */
	assert_int_equal(s.ups, 0);
	assert_non_null(strstr(s.reason, "statement broken: "));
	assert_non_null(strstr(s.reason, "no_such_column"));
	stop(&s);
}

static void test_plan_that_no_longer_fits(void **state)
{
	struct seen s;
	struct job j;

	(void)state;
	start_up(&s);
	j = run_one(&s, stmt_read_wide, NULL, NULL);
	assert_int_equal(j.error.status, PG_OK);
	sql_run(database.admin, "alter table wide add column b int");
	j = run_one(&s, stmt_read_wide, NULL, NULL);
	assert_int_equal(j.error.status, PG_DOWN);
	assert_true(pg_error_is_transient(&j.error));
	RUN_UNTIL(&s, s.ups == 2);
	j = run_one(&s, stmt_read_wide, NULL, NULL);
	assert_int_equal(j.error.status, PG_OK);
	sql_run(database.admin, "alter table wide drop column b");
	stop(&s);
}

static int64_t ahead_ms;

static int64_t boot_ahead(void *arg)
{
	(void)arg;
	return clock_boot_ms(clock_system()) + ahead_ms;
}

static void grow(int rows)
{
	char sql[200];

	snprintf(sql, sizeof(sql),
		 "create table if not exists grown (i integer);"
		 "insert into grown select generate_series(1, %d);"
		 "select pg_stat_force_next_flush()",
		 rows);
	sql_run(database.admin, sql);
}

static int64_t planned_after_a_minute(struct seen *s)
{
	ahead_ms += 60000;
	struct job j = run_one(s, stmt_planned, NULL, NULL);
	assert_int_equal(j.n, 1);
	return j.value;
}

/* Plans are made anew while tables grow, and after a statement that ran out of time. */
static void test_replans(void **state)
{
	struct seen s;
	struct clock clock = *clock_system();
	struct pg_options o = options_for(&s);

	(void)state;
	ahead_ms = 0;
	clock.boot_ms = boot_ahead;
	o.clock = &clock;
	o.statement_timeout_ms = 50;
	start(&s, &o);
	RUN_UNTIL(&s, s.ups == 1);
	int64_t first = run_one(&s, stmt_planned, NULL, NULL).value;
	assert_int_equal(run_one(&s, stmt_planned, NULL, NULL).value, first);
	planned_after_a_minute(&s); /* the sizes were not known yet */
	first = planned_after_a_minute(&s);
	assert_int_equal(planned_after_a_minute(&s), first);
	grow(100);
	assert_int_equal(planned_after_a_minute(&s), ++first);
	assert_int_equal(planned_after_a_minute(&s), first);
	grow(20);
	assert_int_equal(planned_after_a_minute(&s), first);
	grow(200);
	assert_int_equal(planned_after_a_minute(&s), ++first);
	assert_int_equal(planned_after_a_minute(&s), first);
	sql_run(database.admin, "drop table grown");
	first = planned_after_a_minute(&s);
	assert_int_equal(run_one(&s, stmt_sleep, "5", NULL).error.status, PG_ERROR);
	assert_int_equal(run_one(&s, stmt_planned, NULL, NULL).value, first + 1);
	stop(&s);
}

/* ---- Arrays ---- */

static const char *const elements[] = {"",	    "NULL", "null", "a,b",	"{}",	       "\"",
				       "\\",	    "\\\"", "it's", " spaces ", "line\nbreak", NULL,
				       "\xc3\xa4{}"};

static void on_elements(void *arg, const struct pg_batch_result *r)
{
	struct job *j = arg;
	const PGresult *res = r->res[0];
	int col = pg_col(res, "e");

	assert_int_equal(r->error.status, PG_OK);
	assert_int_equal(PQntuples(res), sizeof(elements) / sizeof(elements[0]));
	for (int i = 0; i < PQntuples(res); i++) {
		const char *got = pg_text(res, i, col);
		if (elements[i])
			assert_string_equal(got, elements[i]);
		else
			assert_null(got);
	}
	j->called = 1;
}

static void test_arrays(void **state)
{
	struct seen s;
	struct job j;
	struct buf b;
	struct pg_array a;
	const char *params[1];

	(void)state;
	start_up(&s);
	buf_init(&b, 1000);
	pg_array_init(&a, &b);
	for (size_t i = 0; i < sizeof(elements) / sizeof(elements[0]); i++)
		pg_array_add(&a, elements[i]);
	params[0] = pg_array_finish(&a);
	j = job_of(&s, 0);
	assert_true(pg_run(s.pg, stmt_elements, 1, params, on_elements, &j));
	RUN_UNTIL(&s, j.called == 1);

	pg_array_init(&a, &b);
	pg_array_add_int(&a, INT64_MIN);
	pg_array_add_int(&a, INT64_MAX);
	pg_array_add(&a, NULL);
	assert_int_equal(a.n, 3);
	params[0] = pg_array_finish(&a);
	assert_string_equal(params[0], "{-9223372036854775808,9223372036854775807,NULL}");
	j = job_of(&s, 0);
	assert_true(pg_run(s.pg, stmt_numbers, 1, params, on_batch, &j));
	RUN_UNTIL(&s, j.called == 1);
	assert_int_equal(j.error.status, PG_OK);

	pg_array_init(&a, &b);
	assert_string_equal(pg_array_finish(&a), "{}");
	pg_array_init(&a, &b);
	pg_array_addn(&a, "a\0b", 3);
	assert_null(pg_array_finish(&a));
	buf_release(&b);
	buf_init(&b, 5);
	pg_array_init(&a, &b);
	pg_array_add(&a, "too long");
	assert_null(pg_array_finish(&a));
	buf_release(&b);
	stop(&s);
}

static void test_transient(void **state)
{
	static const struct {
		enum pg_status status;
		const char *sqlstate;
		bool transient;
	} rows[] = {
		{PG_ERROR, "40001", true},
		{PG_ERROR, "40P01", true},
		{PG_ERROR, "55P03", true},
		{PG_ERROR, "57014", true},
		{PG_ERROR, "53100", true},
		{PG_ERROR, "25006", true},
		{PG_ERROR, "58030", true},
		{PG_ERROR, "23505", false},
		{PG_ERROR, "22P02", false},
		{PG_ERROR, "P0001", false},
		{PG_ERROR, "42703", false},
		{PG_DOWN, "0A000", true},
		{PG_LOST, "", true},
		{PG_OK, "", false},
		{PG_NOT_DURABLE, "01000", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pg_error e = {.status = rows[i].status};
		snprintf(e.sqlstate, sizeof(e.sqlstate), "%s", rows[i].sqlstate);
		assert_int_equal(pg_error_is_transient(&e), rows[i].transient);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session_settings),
		cmocka_unit_test(test_batch_sees_itself),
		cmocka_unit_test(test_empty_batch),
		cmocka_unit_test(test_many_in_order),
		cmocka_unit_test(test_begin_in_callback),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_notify),
		cmocka_unit_test(test_error_undoes_batch),
		cmocka_unit_test(test_error_of_commit),
		cmocka_unit_test(test_statement_timeout),
		cmocka_unit_test(test_statement_that_does_not_prepare),
		cmocka_unit_test(test_plan_that_no_longer_fits),
		cmocka_unit_test(test_replans),
		cmocka_unit_test(test_arrays),
		cmocka_unit_test(test_transient),
	};
	return cmocka_run_group_tests_name("pg", tests, setup, teardown);
}
