/* SPDX-License-Identifier: Apache-2.0 */
/* The migration runner: order, atomicity, changed files, a newer database, several at once. */
#include "producer/migrate.h"

#include <pthread.h>

#include "tests/unit/database.h"

enum { FIRST, SECOND, THIRD, BROKEN, ENDS_ITSELF, FILES };
static const char *const names[FILES] = {
	"0001_first.sql",  "0002_second.sql",	   "0003_third.sql",
	"0003_broken.sql", "0003_ends_itself.sql",
};
static struct embedded_file files[FILES];
static char *applied_sql;
static char *future_sql;
static struct database database;
static struct migrate_report report;
static char reason[1024];

static struct embedded_file load(const char *name)
{
	char path[200];

	snprintf(path, sizeof(path), "tests/unit/migrations/%s", name);
	char *text = source_file(path);
	return (struct embedded_file){name, (unsigned char *)text, strlen(text)};
}

static char *text_of(struct embedded_file file)
{
	return (char *)file.data;
}

static int setup(void **state)
{
	(void)state;
	database_init(&database, "migrate");
	for (size_t i = 0; i < FILES; i++)
		files[i] = load(names[i]);
	applied_sql = text_of(load("applied.sql"));
	future_sql = text_of(load("future.sql"));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < FILES; i++)
		free(text_of(files[i]));
	free(applied_sql);
	free(future_sql);
	database_release(&database);
	return 0;
}

static int empty_database(void **state)
{
	(void)state;
	sql_run(database.admin, "set client_min_messages = warning");
	sql_run(database.admin, "drop schema if exists carillon cascade");
	return 0;
}

/* The outcome is in `report` and `reason`. */
static int migrate(const struct embedded_file *list, size_t n)
{
	struct buf error;

	buf_init_fixed(&error, reason, sizeof(reason));
	return migrate_run_files(database.url.data, list, n, &report, &error);
}

static void assert_value(const char *sql, const char *expected)
{
	char *got = sql_value(database.admin, sql);

	assert_string_equal(got, expected);
	free(got);
}

static void test_in_order_and_once(void **state)
{
	(void)state;
	assert_int_equal(migrate(files, 1), 0);
	assert_int_equal(report.applied, 1);
	assert_int_equal(report.version, 1);
	assert_true(report.took_ms >= 300);
	assert_int_equal(migrate(files, 3), 0);
	assert_int_equal(report.applied, 2);
	assert_int_equal(report.version, 3);
	assert_false(report.newer);
	assert_value(applied_sql, "1=0001_first.sql 2=0002_second.sql 3=0003_third.sql");
	assert_value("table one", "1");
	assert_int_equal(migrate(files, 3), 0);
	assert_int_equal(report.applied, 0);
	assert_int_equal(report.version, 3);
	assert_string_equal(reason, "");
}

/* One that fails is undone as a whole; those before it stay. */
static void test_failure(void **state)
{
	struct embedded_file list[] = {files[FIRST], files[SECOND], files[BROKEN]};

	(void)state;
	assert_int_equal(migrate(list, 3), -1);
	assert_string_equal(reason,
			    "0003_broken.sql:4: column \"no_such_column\" does not exist (42703)");
	assert_int_equal(report.applied, 2);
	assert_value(applied_sql, "1=0001_first.sql 2=0002_second.sql");
	/* The table that it had made is not there. */
	assert_int_equal(migrate(files, 3), 0);
	assert_int_equal(report.applied, 1);
}

static void test_own_transaction_is_refused(void **state)
{
	struct embedded_file list[] = {files[FIRST], files[SECOND], files[ENDS_ITSELF]};

	(void)state;
	assert_int_equal(migrate(list, 3), -1);
	assert_string_equal(reason, "0003_ends_itself.sql: ends its transaction itself");
	assert_value(applied_sql, "1=0001_first.sql 2=0002_second.sql");
}

static void test_changed_file(void **state)
{
	struct embedded_file list[] = {files[FIRST], files[SECOND], files[THIRD]};
	char *changed = strdup(text_of(files[FIRST]));

	(void)state;
	assert_int_equal(migrate(files, 2), 0);
	changed[strlen(changed) - 1] = ' ';
	list[0].data = (unsigned char *)changed;
	assert_int_equal(migrate(list, 3), -1);
	assert_non_null(strstr(reason, "0001_first.sql was changed after it was applied"));
	assert_int_equal(report.applied, 0);
	assert_value(applied_sql, "1=0001_first.sql 2=0002_second.sql");
	free(changed);
}

static void test_newer_database(void **state)
{
	(void)state;
	assert_int_equal(migrate(files, 3), 0);
	/* Version N-1. */
	assert_int_equal(migrate(files, 2), 0);
	assert_true(report.newer);
	assert_int_equal(report.applied, 0);
	assert_int_equal(report.version, 3);
	/* But a file of ours that it went past was never applied. */
	assert_int_equal(empty_database(NULL), 0);
	assert_int_equal(migrate(files, 2), 0);
	sql_run(database.admin, future_sql);
	assert_int_equal(migrate(files, 2), 0);
	assert_int_equal(migrate(files, 3), -1);
	assert_non_null(strstr(reason, "0003_third.sql was skipped"));
	/* Nor may one of the database's be missing here. */
	struct embedded_file list[] = {files[FIRST], files[THIRD]};
	assert_int_equal(empty_database(NULL), 0);
	assert_int_equal(migrate(files, 3), 0);
	assert_int_equal(migrate(list, 2), -1);
	assert_non_null(strstr(reason, "0002_second.sql was applied"));
}

static void test_names(void **state)
{
	static const char *const bad[] = {"1_x.sql",	 "0001.sql",   "0001_.sql",  "0001_x.txt",
					  "00001_x.sql", "0000_x.sql", "x0001_x.sql"};
	struct embedded_file list[2];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		list[0] = files[FIRST];
		list[0].name = bad[i];
		assert_int_equal(migrate(list, 1), -1);
		assert_non_null(strstr(reason, bad[i]));
	}
	list[0] = files[FIRST];
	list[1] = files[SECOND];
	list[1].name = "0001_again.sql";
	assert_int_equal(migrate(list, 2), -1);
	assert_non_null(strstr(reason, "0001_again.sql"));
}

/* ---- Several at once ---- */

struct started {
	pthread_t thread;
	struct migrate_report report;
	int rc;
};

static void *migrate_all(void *arg)
{
	struct started *s = arg;
	char text[1024];
	struct buf error;

	buf_init_fixed(&error, text, sizeof(text));
	s->rc = migrate_run_files(database.url.data, files, 3, &s->report, &error);
	return NULL;
}

static void test_runners_wait_for_one_another(void **state)
{
	struct started runners[4];
	int applied = 0;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&runners[i].thread, NULL, migrate_all, &runners[i]),
				 0);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(runners[i].thread, NULL), 0);
		assert_int_equal(runners[i].rc, 0);
		assert_int_equal(runners[i].report.version, 3);
		applied += runners[i].report.applied;
	}
	assert_int_equal(applied, 3);
	assert_value("table one", "1");
}

/* A table in use longer than a migration waits for it: it gives way and comes back. */
static void test_table_in_use(void **state)
{
	struct started runner;

	(void)state;
	assert_int_equal(migrate(files, 1), 0);
	sql_run(database.admin, "begin");
	sql_run(database.admin, "lock table one in access share mode");
	assert_int_equal(pthread_create(&runner.thread, NULL, migrate_all, &runner), 0);
	usleep(3500000);
	sql_run(database.admin, "commit");
	assert_int_equal(pthread_join(runner.thread, NULL), 0);
	assert_int_equal(runner.rc, 0);
	assert_int_equal(runner.report.applied, 2);
	assert_true(runner.report.took_ms >= 3500);
	assert_value(applied_sql, "1=0001_first.sql 2=0002_second.sql 3=0003_third.sql");
}

static void test_no_database(void **state)
{
	struct buf error;

	(void)state;
	buf_init(&error, 1000);
	assert_int_equal(migrate_run_files("postgresql://u:hunter2@127.0.0.1:1/x", files, 1,
					   &report, &error),
			 -1);
	assert_true(error.len > 0);
	assert_null(strstr(error.data, "hunter2"));
	buf_release(&error);
}

/* What is shipped applies, and afterwards a role that may only read finds nothing to do. */
static void test_embedded(void **state)
{
	struct buf error, url;

	(void)state;
	buf_init(&error, 1000);
	if (migrate_run(database.url.data, &report, &error) != 0)
		fail_msg("%s", error.data);
	assert_int_equal(report.applied, embedded_migrations_count);
	buf_init(&url, 4096);
	buf_addf(&url, "%s options='-c role=carillon_producer'", database.url.data);
	if (migrate_run(url.data, &report, &error) != 0)
		fail_msg("%s", error.data);
	assert_int_equal(report.applied, 0);
	buf_release(&url);
	buf_release(&error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_in_order_and_once, empty_database),
		cmocka_unit_test_setup(test_failure, empty_database),
		cmocka_unit_test_setup(test_own_transaction_is_refused, empty_database),
		cmocka_unit_test_setup(test_changed_file, empty_database),
		cmocka_unit_test_setup(test_newer_database, empty_database),
		cmocka_unit_test_setup(test_names, empty_database),
		cmocka_unit_test_setup(test_runners_wait_for_one_another, empty_database),
		cmocka_unit_test_setup(test_table_in_use, empty_database),
		cmocka_unit_test_setup(test_no_database, empty_database),
		cmocka_unit_test_setup(test_embedded, empty_database),
	};
	return cmocka_run_group_tests_name("migrate", tests, setup, teardown);
}
