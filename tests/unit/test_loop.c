/* SPDX-License-Identifier: Apache-2.0 */
/* Signals stop once; the watchdog ends a process whose loop hangs, and no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/loop.h"

/* How a child ends that runs this, its stderr unseen. */
static int end_of_child(void (*run)(void))
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		int nowhere = open("/dev/null", O_WRONLY);
		dup2(nowhere, STDERR_FILENO);
		run();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void stop_loop(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)w, (void)revents;
	ev_break(loop, EVBREAK_ALL);
}

static void run_for(struct ev_loop *loop, double seconds)
{
	ev_timer t;

	ev_timer_init(&t, stop_loop, seconds, 0);
	ev_timer_start(loop, &t);
	ev_run(loop, 0);
	ev_timer_stop(loop, &t);
}

static void count_stop(void *arg)
{
	++*(int *)arg;
}

static void signals_stop_once_and_sigpipe_is_harmless(void **state)
{
	struct ev_loop *loop = ev_default_loop(0);
	struct loop_signals s;
	int stops = 0, ends[2];

	(void)state;
	loop_signals_init(&s, loop, count_stop, &stops);
	assert_int_equal(pipe(ends), 0);
	close(ends[0]);
	assert_int_equal(write(ends[1], "x", 1), -1);
	close(ends[1]);
	run_for(loop, 0.01);
	assert_int_equal(stops, 0);
	kill(getpid(), SIGTERM);
	run_for(loop, 0.05);
	assert_int_equal(stops, 1);
	assert_true(s.stopping);
	kill(getpid(), SIGINT);
	kill(getpid(), SIGTERM);
	run_for(loop, 0.05);
	assert_int_equal(stops, 1);
	loop_signals_release(&s, loop);
}

static void turn_under_watch(void)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct loop_watchdog *dog = loop_watchdog_new(loop, 50);

	if (!dog)
		_exit(3);
	run_for(loop, 0.4);
	loop_watchdog_free(dog);
	/* No thread is left that could bite. */
	nanosleep(&(struct timespec){.tv_nsec = 150000000}, NULL);
	ev_loop_destroy(loop);
}

static void hang(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop, (void)w, (void)revents;
	sleep(10);
	_exit(4);
}

static void hang_under_watch(void)
{
	struct ev_loop *loop = ev_loop_new(0);
	ev_timer t;

	signal(SIGABRT, SIG_DFL);
	if (!loop_watchdog_new(loop, 50))
		_exit(3);
	ev_timer_init(&t, hang, 0.1, 0);
	ev_timer_start(loop, &t);
	ev_run(loop, 0);
}

static void a_turning_loop_lives(void **state)
{
	(void)state;
	int status = end_of_child(turn_under_watch);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_hanging_loop_is_ended(void **state)
{
	(void)state;
	int status = end_of_child(hang_under_watch);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void the_watchdog_keeps_no_loop_running(void **state)
{
	struct ev_loop *loop = ev_loop_new(0);
	struct loop_watchdog *dog = loop_watchdog_new(loop, 60000);

	(void)state;
	assert_non_null(dog);
	ev_run(loop, 0); /* returns: nothing else is going on */
	loop_watchdog_free(dog);
	loop_watchdog_free(NULL);
	ev_loop_destroy(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signals_stop_once_and_sigpipe_is_harmless),
		cmocka_unit_test(a_turning_loop_lives),
		cmocka_unit_test(a_hanging_loop_is_ended),
		cmocka_unit_test(the_watchdog_keeps_no_loop_running),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
