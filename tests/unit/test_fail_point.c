/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/fail_point.h"

#ifdef CARILLON_FAILPOINTS

/* Passes `point` so often in a child that has this plan; its exit code is how many passings said
 * "failed". Negative: the signal that ended or stopped it. */
static int pass(const char *plan, enum fail_point point, int times)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		int failed = 0;
		close(STDERR_FILENO);
		if (plan)
			setenv("CARILLON_FAIL_POINT", plan, 1);
		else
			unsetenv("CARILLON_FAIL_POINT");
		for (int i = 0; i < times; i++)
			failed += i % 2 ? fail_point_of(point, "t1.calls.event.v1")
					: fail_point_in(point, fail_point_bits("claim"));
		_exit(100 + failed);
	}
	assert_int_equal(waitpid(child, &status, WUNTRACED), child);
	if (WIFSTOPPED(status)) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		return -SIGSTOP;
	}
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void strikes_at_the_passing_that_was_named(void **state)
{
	(void)state;
	assert_int_equal(pass(NULL, FAIL_PG_DONE, 5), 100);
	assert_int_equal(pass("pg.done", FAIL_PG_DONE, 1), -SIGKILL);
	assert_int_equal(pass("pg.done", FAIL_PG_SENT, 5), 100);
	assert_int_equal(pass("pg.done=kill@3", FAIL_PG_DONE, 2), 100);
	assert_int_equal(pass("pg.done=kill@3", FAIL_PG_DONE, 3), -SIGKILL);
	assert_int_equal(pass("pg.done=pause@2", FAIL_PG_DONE, 2), -SIGSTOP);
}

static void tells_of_a_failure_once(void **state)
{
	(void)state;
	assert_int_equal(pass("pg.done=timeout", FAIL_PG_DONE, 5), 101);
	assert_int_equal(pass("http.answered=timeout@2,pg.done=timeout@5", FAIL_PG_DONE, 9), 101);
	assert_int_equal(pass("pg.sending=error@9", FAIL_PG_SENDING, 9), 101);
}

/* Of the passings every second is about an event, the others about a claim. */
static void strikes_only_at_what_was_named(void **state)
{
	(void)state;
	assert_int_equal(pass("pg.done:claim=kill@2", FAIL_PG_DONE, 2), 100);
	assert_int_equal(pass("pg.done:claim=kill@2", FAIL_PG_DONE, 3), -SIGKILL);
	assert_int_equal(pass("pg.done:calls.event@2", FAIL_PG_DONE, 3), 100);
	assert_int_equal(pass("pg.done:calls.event@2", FAIL_PG_DONE, 4), -SIGKILL);
	assert_int_equal(pass("pg.done:event=timeout", FAIL_PG_DONE, 2), 101);
	assert_int_equal(pass("pg.done:even,pg.sent:claims", FAIL_PG_DONE, 9), 100);
	assert_int_equal(pass("pg.done:claim,pg.sent", FAIL_PG_SENT, 1), -SIGKILL);
}

static void refuses_what_it_does_not_know(void **state)
{
	static const char *const bad[] = {
		"",	    "pg.dome",	"pg.done=slap",	 "pg.done@0", "pg.done@x",    "pg.done@2x",
		"pg.done=", "pg.done,", "pg.done=error", "pg.done:",  "pg.done:=kill"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(pass(bad[i], FAIL_PG_DONE, 1), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strikes_at_the_passing_that_was_named),
		cmocka_unit_test(tells_of_a_failure_once),
		cmocka_unit_test(strikes_only_at_what_was_named),
		cmocka_unit_test(refuses_what_it_does_not_know),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void is_nothing(void **state)
{
	(void)state;
	setenv("CARILLON_FAIL_POINT", "pg.done", 1);
	assert_false(fail_point(FAIL_PG_DONE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(is_nothing)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
