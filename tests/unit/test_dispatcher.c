/* SPDX-License-Identifier: Apache-2.0 */
/* The dispatcher's bookkeeping: states, low-water marks, accounts' shares; and the feed of stops.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/metrics.h"
#include "consumer/dispatch_jobs.h"
#include "consumer/kafka_group.h"
#include "consumer/stop_feed.h"

#define POOL 16

static int make_pool(void **state)
{
	struct job_pool *p = calloc(1, sizeof(*p));

	if (!p || !job_pool_init(p, POOL, NULL))
		return -1;
	*state = p;
	return 0;
}

static int free_pool(void **state)
{
	job_pool_release(*state);
	free(*state);
	return 0;
}

static struct job *take(struct job_pool *p, int32_t partition, int64_t offset)
{
	struct job *j = job_take(p, JOB_WAITING, partition, offset);
	char id[UUID_TEXT_BYTES];

	assert_non_null(j);
	snprintf(id, sizeof(id), "01890a5d-ac96-774b-bc%02d-%012d", (int)partition, (int)offset);
	assert_true(job_identify(p, j, id));
	return j;
}

/* The mark after the decision on `j`, -1 if it did not move. */
static int64_t decide(struct job_pool *p, struct job *j)
{
	int32_t partition = -1;
	int64_t next = -1;

	return job_decide(p, j, &partition, &next) ? next : -1;
}

/* ---- Marks ---- */

static void test_mark_is_contiguous(void **state)
{
	struct job_pool *p = *state;
	struct job *a = take(p, 3, 10), *b = take(p, 3, 11), *c = take(p, 3, 12);

	assert_int_equal(decide(p, b), -1);
	assert_int_equal(decide(p, c), -1);
	assert_int_equal(decide(p, a), 13);
	/* Deciding twice moves nothing. */
	assert_int_equal(decide(p, a), -1);
}

static void test_marks_of_partitions_are_apart(void **state)
{
	struct job_pool *p = *state;
	struct job *a = take(p, 1, 5), *b = take(p, 2, 70), *c = take(p, 1, 6);

	assert_int_equal(decide(p, b), 71);
	assert_int_equal(decide(p, a), 6);
	assert_int_equal(decide(p, c), 7);
}

static void test_skipped_messages(void **state)
{
	struct job_pool *p = *state;
	int64_t next = 0;

	assert_true(job_pool_skip(p, 1, 5, &next));
	assert_int_equal(next, 6);
	struct job *a = take(p, 1, 6);
	assert_false(job_pool_skip(p, 1, 7, &next));
	assert_int_equal(decide(p, a), 8);
}

/* Given up without decision: the mark stays before it for good, whatever follows. */
static void test_forgotten_job_holds_the_mark(void **state)
{
	struct job_pool *p = *state;
	struct job *a = take(p, 1, 5), *b = take(p, 1, 6), *c = take(p, 1, 7);

	job_forget(p, b);
	assert_int_equal(decide(p, a), 6);
	assert_int_equal(decide(p, c), 6);
	assert_int_equal(decide(p, take(p, 1, 8)), 6);
}

static void test_revoke(void **state)
{
	struct job_pool *p = *state;
	struct job *waiting = take(p, 1, 5), *posting = take(p, 1, 6), *lost = take(p, 1, 7);
	struct job *other = take(p, 2, 1);

	job_move(p, posting, JOB_CLAIMING);
	job_move(p, posting, JOB_POSTING);
	lost->lost = true;
	job_pool_revoke(p, 1);
	job_pool_revoke(p, 9);
	assert_int_equal(waiting->state, JOB_FREE);
	/* What is claimed, or may be, goes on, and no offset is stored for it. */
	assert_int_equal(posting->state, JOB_POSTING);
	assert_int_equal(lost->state, JOB_WAITING);
	assert_int_equal(decide(p, posting), -1);
	assert_int_equal(decide(p, other), 2);
	/* Read again from the start by the same owner. */
	assert_int_equal(decide(p, take(p, 1, 3)), 4);
}

/* ---- States ---- */

static void test_pool_is_bounded(void **state)
{
	struct job_pool *p = *state;

	for (int i = 0; i < POOL; i++)
		take(p, 0, i);
	assert_null(job_take(p, JOB_WAITING, 0, POOL));
	assert_int_equal(p->counts[JOB_FREE], 0);
	assert_int_equal(p->counts[JOB_WAITING], POOL);
}

static void test_one_job_an_id(void **state)
{
	struct job_pool *p = *state;
	struct job *a = take(p, 0, 1), *b = job_take(p, JOB_WAITING, 0, 2);

	assert_false(job_identify(p, b, a->job_id));
	assert_ptr_equal(job_find(p, a->job_id), a);
	char id[UUID_TEXT_BYTES];
	memcpy(id, a->job_id, sizeof(id));
	decide(p, a);
	job_free(p, a);
	assert_null(job_find(p, id));
	assert_true(job_identify(p, b, id));
}

static void test_returned_jobs_go_first(void **state)
{
	struct job_pool *p = *state;
	struct job *a = take(p, 0, 1), *b = take(p, 0, 2);

	job_move(p, a, JOB_CLAIMING);
	assert_ptr_equal(p->lists[JOB_WAITING], b);
	job_return(p, a);
	assert_ptr_equal(p->lists[JOB_WAITING], a);
	assert_ptr_equal(a->next, b);
}

static void test_shares_of_accounts(void **state)
{
	struct job_pool *p = *state;
	struct job *a = take(p, 0, 1), *b = take(p, 0, 2), *c = take(p, 0, 3);

	job_set_use(p, a, "one", 1000);
	job_set_use(p, b, "one", 2000);
	assert_false(job_pool_is_shared(p, 2000));
	job_set_use(p, c, "two", 3000);
	assert_true(job_pool_is_shared(p, 3000) && job_pool_is_shared(p, 62999));
	assert_false(job_pool_is_shared(p, 63000));
	assert_ptr_equal(a->use, b->use);
	assert_int_equal(a->use->waiting, 2);
	job_move(p, a, JOB_CLAIMING);
	job_move(p, a, JOB_POSTING);
	assert_true(a->use->waiting == 1 && a->use->active == 1);
	struct account_use *use = a->use;
	job_move(p, a, JOB_REPORTING);
	assert_true(use->waiting == 1 && use->active == 0);
	decide(p, a);
	job_free(p, a);
	decide(p, b);
	job_free(p, b);
	assert_true(use->waiting == 0 && use->active == 0);
}

/* ---- Stops ---- */

struct feed {
	struct ev_loop *loop;
	struct stop_feed *f;
	int64_t now_ms;
	struct clock clock;
};

static int64_t feed_now(void *arg)
{
	return *(const int64_t *)arg;
}

static int make_feed(void **state)
{
	struct feed *t = calloc(1, sizeof(*t));

	t->loop = ev_loop_new(0);
	t->now_ms = 1000000;
	t->clock = (struct clock){.boot_ms = feed_now, .arg = &t->now_ms};
	t->f = stop_feed_new(t->loop, NULL, 60, &t->clock);
	*state = t;
	return t->f ? 0 : -1;
}

static int free_feed(void **state)
{
	struct feed *t = *state;

	stop_feed_free(t->f);
	ev_loop_destroy(t->loop);
	free(t);
	return 0;
}

struct stop_row {
	const char *what, *tenant, *key;
	const char *at_ms, *age_ms;
};

/* Answered now to a read that was asked so long ago. */
static void read_rows_late(struct feed *t, const struct stop_row *rows, int n, int64_t late_ms)
{
	PGresAttDesc columns[] = {{.name = (char *)"what"},
				  {.name = (char *)"tenant"},
				  {.name = (char *)"key"},
				  {.name = (char *)"at_ms"},
				  {.name = (char *)"age_ms"}};
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);

	assert_true(PQsetResultAttrs(res, 5, columns));
	for (int i = 0; i < n; i++) {
		const char *texts[] = {rows[i].what, rows[i].tenant, rows[i].key, rows[i].at_ms,
				       rows[i].age_ms};
		for (int c = 0; c < 5; c++)
			assert_true(PQsetvalue(res, i, c, (char *)texts[c],
					       texts[c] ? (int)strlen(texts[c]) : -1));
	}
	stop_feed_take(t->f, t->now_ms - late_ms, res);
	PQclear(res);
}

static void read_rows(struct feed *t, const struct stop_row *rows, int n)
{
	read_rows_late(t, rows, n, 0);
}

static void assert_held(struct feed *t, const char *gate)
{
	const struct stop_scope scope = {.tenant = "acme",
					 .lane_id = "7",
					 .account = "vapi",
					 .phone = "+12025550101",
					 .lead_id = "5"};
	const char *held = stop_feed_holds(t->f, &scope);

	if (gate) {
		assert_non_null(held);
		assert_string_equal(held, gate);
	} else {
		assert_null(held);
	}
}

static void test_feed_must_be_fresh(void **state)
{
	struct feed *t = *state;

	assert_false(stop_feed_is_fresh(t->f));
	assert_held(t, "stop_feed");
	read_rows(t, NULL, 0);
	assert_held(t, NULL);
	t->now_ms += STOP_FEED_MAX_AGE_MS;
	assert_held(t, NULL);
	t->now_ms++;
	assert_held(t, "stop_feed");
	read_rows(t, NULL, 0);
	assert_held(t, NULL);
}

/* A stop may have been committed right after the question. */
static void test_feed_is_as_old_as_its_question(void **state)
{
	struct feed *t = *state;

	read_rows_late(t, NULL, 0, STOP_FEED_MAX_AGE_MS - 10);
	assert_held(t, NULL);
	t->now_ms += 11;
	assert_held(t, "stop_feed");
}

static void test_each_stop(void **state)
{
	struct feed *t = *state;
	const struct {
		struct stop_row row;
		const char *gate;
	} rows[] = {
		{{"all", "", "", NULL, NULL}, "stopped"},
		{{"tenant", "acme", "", NULL, NULL}, "stopped"},
		{{"tenant", "other", "", NULL, NULL}, NULL},
		{{"lane", "", "7", NULL, NULL}, "lane"},
		{{"lane", "", "77", NULL, NULL}, NULL},
		{{"account", "", "vapi", NULL, NULL}, "credentials"},
		{{"account", "", "omni", NULL, NULL}, NULL},
		{{"phone", "acme", "+12025550101", NULL, NULL}, "suppressed"},
		{{"phone", "other", "+12025550101", NULL, NULL}, NULL},
		{{"phone", "acme", "+12025550102", NULL, NULL}, NULL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		read_rows(t, &rows[i].row, 1);
		assert_held(t, rows[i].gate);
	}
	/* A read replaces the one before. */
	read_rows(t, NULL, 0);
	assert_held(t, NULL);
}

static void assert_measured(const char *scope, int times, const char *sum)
{
	char text[8192], line[128];
	struct buf out;

	assert_int_equal((int)metric_value(METRIC_STOP_TO_LAST_POST, scope), times);
	buf_init_fixed(&out, text, sizeof(text));
	metrics_print("consumer", &out);
	snprintf(line, sizeof(line), "_seconds_sum{process=\"consumer\",scope=\"%s\"} %s\n", scope,
		 sum);
	if (!strstr(text, line))
		fail_msg("no %s in %s", line, text);
}

static void test_how_long_a_stop_is_dialed_past(void **state)
{
	struct feed *t = *state;
	const struct stop_row first = {"lane", "", "7", "5000", "100"};
	const struct stop_row again = {"lane", "", "7", "9000", "50"};
	const struct stop_row others[] = {
		{"all", "", "", "5000", "500"},		{"tenant", "acme", "", "5000", "401"},
		{"tenant", "other", "", "5000", "900"}, {"lane", "", "8", "5000", "60001"},
		{"account", "", "vapi", NULL, NULL},
	};

	metrics_reset();
	/* What was stopped before this process knew anything is not its own. */
	read_rows(t, &first, 1);
	assert_int_equal((int)metric_value(METRIC_STOP_TO_LAST_POST, "lane"), 0);
	read_rows(t, NULL, 0);
	stop_feed_posted(t->f, "acme", "7");
	stop_feed_posted(t->f, "acme", "8");
	t->now_ms += 400;
	/* The stop came after the last POST; later reads tell the same stop. */
	read_rows(t, &first, 1);
	read_rows(t, &first, 1);
	assert_measured("lane", 1, "0");
	/* Its age is that of the question. */
	t->now_ms += 1;
	stop_feed_posted(t->f, "acme", "7");
	t->now_ms += 20;
	read_rows_late(t, &again, 1, 10);
	assert_measured("lane", 2, "0.04");
	read_rows(t, others, 5);
	assert_measured("all", 1, "0.48");
	assert_measured("tenant", 2, "0.381");
	assert_measured("lane", 2, "0.04");
}

/* ---- Names ---- */

static void test_group(void **state)
{
	static const struct {
		const char *prefix, *group;
	} rows[] = {
		{"TOPIC_PREFIX=carillon.", "carillon-record"},
		{"TOPIC_PREFIX=eu.staging.", "eu.staging-record"},
		{"TOPIC_PREFIX=plain", "plain-record"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *environment[] = {"DATABASE_URL=postgresql://u:p@127.0.0.1/d",
					     "KAFKA_BROKERS=127.0.0.1:1", rows[i].prefix, NULL};
		char group[KAFKA_GROUP_BYTES];
		struct buf errors;

		buf_init(&errors, 4096);
		struct config *cfg = config_load(CONFIG_CONSUMER, environment, &errors);
		if (!cfg)
			fail_msg("%s", errors.data);
		kafka_group(cfg, "record", group);
		assert_string_equal(group, rows[i].group);
		config_free(cfg);
		buf_release(&errors);
	}
}

int main(void)
{
#define POOL_TEST(f) cmocka_unit_test_setup_teardown(f, make_pool, free_pool)
#define FEED_TEST(f) cmocka_unit_test_setup_teardown(f, make_feed, free_feed)
	const struct CMUnitTest tests[] = {
		POOL_TEST(test_mark_is_contiguous),
		POOL_TEST(test_marks_of_partitions_are_apart),
		POOL_TEST(test_skipped_messages),
		POOL_TEST(test_forgotten_job_holds_the_mark),
		POOL_TEST(test_revoke),
		POOL_TEST(test_pool_is_bounded),
		POOL_TEST(test_one_job_an_id),
		POOL_TEST(test_returned_jobs_go_first),
		POOL_TEST(test_shares_of_accounts),
		FEED_TEST(test_feed_must_be_fresh),
		FEED_TEST(test_feed_is_as_old_as_its_question),
		FEED_TEST(test_each_stop),
		FEED_TEST(test_how_long_a_stop_is_dialed_past),
		cmocka_unit_test(test_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
