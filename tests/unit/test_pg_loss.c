/* SPDX-License-Identifier: Apache-2.0 */
/* common/pg.h against a real server: every way to lose it. */
#include <arpa/inet.h>
#include <sys/socket.h>

#include "tests/unit/pg_seen.h"

/* ---- Loss ---- */

static void test_down_before_connected(void **state)
{
	struct seen s;
	struct job j, k;

	(void)state;
	start(&s, NULL);
	j = job_of(&s, 0);
	k = job_of(&s, 1);
	assert_true(pg_begin(s.pg, on_batch, &j));
	pg_add(s.pg, stmt_add_item, 2, (const char *const[]){"1", "a"});
	pg_commit(s.pg);
	assert_true(pg_run(s.pg, stmt_count_items, 0, NULL, on_batch, &k));
	assert_int_equal(j.called, 0);
	RUN_UNTIL(&s, k.called == 1);
	assert_int_equal(j.called, 1);
	assert_int_equal(j.error.status, PG_DOWN);
	assert_string_equal(j.message, "not connected yet");
	assert_true(s.in_order);
	RUN_UNTIL(&s, s.ups == 1);
	assert_int_equal(run_one(&s, stmt_count_items, NULL, NULL).value, 0);
	stop(&s);
}

/* Its backend ends in the middle of the pipeline. */
static void test_lost_in_flight(void **state)
{
	struct seen s;
	struct job jobs[3], open;

	(void)state;
	start_up(&s);
	for (size_t i = 0; i < 3; i++)
		jobs[i] = job_of(&s, i);
	open = job_of(&s, 3);
	assert_true(pg_run(s.pg, stmt_count_items, 0, NULL, on_batch, &jobs[0]));
	assert_true(pg_run(s.pg, stmt_end_me, 0, NULL, on_batch, &jobs[1]));
	assert_true(pg_run(s.pg, stmt_count_items, 0, NULL, on_batch, &jobs[2]));
	assert_true(pg_begin(s.pg, on_batch, &open));
	pg_add(s.pg, stmt_add_item, 2, (const char *const[]){"9", "never"});
	RUN_UNTIL(&s, s.answers == 3);
	assert_true(s.in_order);
	assert_int_equal(jobs[0].error.status, PG_OK);
	assert_int_equal(jobs[1].error.status, PG_LOST);
	assert_string_equal(jobs[1].error.sqlstate, "57P01");
	assert_int_equal(jobs[2].error.status, PG_LOST);
	assert_true(pg_error_is_transient(&jobs[2].error));
	assert_int_equal(s.downs, 1);
	assert_non_null(strstr(s.reason, "terminating connection"));
	assert_int_equal(open.called, 0);
	pg_commit(s.pg);
	RUN_UNTIL(&s, open.called == 1);
	assert_int_equal(open.error.status, PG_DOWN);
	RUN_UNTIL(&s, s.ups == 2);
	assert_int_equal(run_one(&s, stmt_count_items, NULL, NULL).value, 0);
	stop(&s);
}

static void test_lost_while_idle(void **state)
{
	struct seen s;

	(void)state;
	start_up(&s);
	struct job j = run_one(&s, stmt_backend, NULL, NULL);
	struct buf sql;
	buf_init(&sql, 100);
	buf_addf(&sql, "do 'begin perform pg_terminate_backend(%lld); end'", (long long)j.value);
	sql_run(database.admin, sql.data);
	buf_release(&sql);
	RUN_UNTIL(&s, s.downs == 1);
	assert_non_null(strstr(s.reason, "terminating connection"));
	RUN_UNTIL(&s, s.ups == 2);
	/* What it listens to is listened to again. */
	sql_run(database.admin, "notify wake, 'again'");
	RUN_UNTIL(&s, strcmp(s.notified, "wake=again") == 0);
	stop(&s);
}

static void test_free_in_flight(void **state)
{
	struct seen s;
	struct job j, open;

	(void)state;
	start_up(&s);
	j = job_of(&s, 0);
	open = job_of(&s, 1);
	assert_true(pg_run(s.pg, stmt_sleep, 1, (const char *const[]){"3"}, on_batch, &j));
	assert_true(pg_begin(s.pg, on_batch, &open));
	pg_free(s.pg);
	assert_int_equal(j.called, 1);
	assert_int_equal(j.error.status, PG_LOST);
	/* Never committed, but whoever began it waits for its end. */
	assert_int_equal(open.called, 1);
	assert_int_equal(open.error.status, PG_DOWN);
	assert_int_equal(s.downs, 0);
	ev_loop_destroy(s.loop);
	pg_free(NULL);
}

static void test_cannot_connect(void **state)
{
	static const char *const urls[] = {
		"postgresql://u:secret-word@127.0.0.1:1/db",
		"postgresql://u:secret-word@[::1/db?nonsense",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		struct seen s;
		struct pg_options o = options_for(&s);
		struct buf error;
		o.url = urls[i];
		start(&s, &o);
		RUN_UNTIL(&s, s.downs == 2);
		assert_null(strstr(s.reason, "secret-word"));
		assert_true(strlen(s.reason) > 10);
		stop(&s);
		buf_init(&error, 1000);
		assert_null(pg_connect_blocking(urls[i], "test", &error));
		assert_true(error.len > 10);
		assert_null(strstr(error.data, "secret-word"));
		buf_release(&error);
	}
}

/* ---- A standby that does not answer, and a server that does not ---- */

static void standbys(const char *names)
{
	struct buf sql;

	buf_init(&sql, 200);
	buf_addf(&sql, "alter system set synchronous_standby_names = '%s'", names);
	/* The session that changes it must not wait for it. */
	sql_run(database.admin, "set synchronous_commit = local");
	sql_run(database.admin, sql.data);
	sql_run(database.admin, "do 'begin perform pg_reload_conf(); end'");
	buf_release(&sql);
}

static int no_standbys(void **state)
{
	(void)state;
	standbys("");
	return 0;
}

static void on_cancel(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
	sql_run(database.admin,
		"do 'begin perform pg_cancel_backend(pid) from pg_stat_activity where "
		"wait_event = ''SyncRep'' and datname = current_database(); end'");
}

static void test_not_durable(void **state)
{
	struct seen s;
	struct job warned, after;
	ev_timer cancel;

	(void)state;
	start_up(&s);
	standbys("nobody");
	ev_timer_init(&cancel, on_cancel, 0.1, 0.1);
	ev_timer_start(s.loop, &cancel);
	warned = job_of(&s, 0);
	after = job_of(&s, 1);
	/* The reload reaches the session when it next starts a statement or later: try until it
	 * did. */
	for (int i = 1; i < 100 && warned.error.status != PG_NOT_DURABLE; i++) {
		char id[16];
		snprintf(id, sizeof(id), "%d", 100 + i);
		warned = job_of(&s, 0);
		after = job_of(&s, 1);
		assert_true(pg_run(s.pg, stmt_add_item, 2, (const char *const[]){id, "x"}, on_batch,
				   &warned));
		assert_true(pg_run(s.pg, stmt_count_items, 0, NULL, on_batch, &after));
		RUN_UNTIL(&s, after.called == 1);
		assert_int_equal(after.error.status, PG_OK);
		assert_int_equal(after.value, i);
	}
	assert_int_equal(warned.error.status, PG_NOT_DURABLE);
	assert_string_equal(warned.error.sqlstate, "01000");
	assert_non_null(strstr(warned.message, "synchronous replication"));
	ev_timer_stop(s.loop, &cancel);
	standbys("");
	sql_run(database.admin, "truncate item");
	stop(&s);
}

/* A server that accepts and then says nothing, and one that waits for its standby for ever. */
static void test_hangs_are_noticed(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t length = sizeof(a);
	int mute = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct seen connecting, waiting;
	struct pg_options o = options_for(&waiting);
	struct job j = job_of(&waiting, 0);
	struct buf url;

	(void)state;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(mute, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(mute, 4), 0);
	assert_int_equal(getsockname(mute, (struct sockaddr *)&a, &length), 0);

	o.statement_timeout_ms = 100;
	start(&waiting, &o);
	RUN_UNTIL(&waiting, waiting.ups == 1);
	standbys("nobody");
	usleep(300000);
	assert_true(pg_run(waiting.pg, stmt_add_item, 2, (const char *const[]){"1", "x"}, on_batch,
			   &j));

	buf_init(&url, 200);
	buf_addf(&url, "host=127.0.0.1 port=%d user=u dbname=d", ntohs(a.sin_port));
	o.url = url.data;
	connecting = (struct seen){.loop = waiting.loop};
	o.arg = &connecting;
	connecting.pg = pg_new(waiting.loop, &o);
	RUN_UNTIL(&waiting, j.called == 1 && connecting.downs == 1);
	assert_int_equal(j.error.status, PG_LOST);
	assert_non_null(strstr(j.message, "does not answer"));
	assert_non_null(strstr(connecting.reason, "timeout while connecting"));
	standbys("");
	pg_free(connecting.pg);
	stop(&waiting);
	sql_run(database.admin, "truncate item");
	buf_release(&url);
	close(mute);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_down_before_connected),
		cmocka_unit_test(test_lost_in_flight),
		cmocka_unit_test(test_lost_while_idle),
		cmocka_unit_test(test_free_in_flight),
		cmocka_unit_test(test_cannot_connect),
		cmocka_unit_test_teardown(test_not_durable, no_standbys),
		cmocka_unit_test_teardown(test_hangs_are_noticed, no_standbys),
	};
	return cmocka_run_group_tests_name("pg_loss", tests, setup, teardown);
}
