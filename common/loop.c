/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals as loop events, and the watchdog: a thread that sees a counter which only a turning loop
 * moves. It ends the process by abort(), so that a core shows where the loop stood; leases and
 * offsets do the rest.
 */
#include "common/loop.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- Signals ---- */

static void on_signal(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct loop_signals *s = w->data;

	(void)loop, (void)revents;
	if (s->stopping)
		return;
	s->stopping = true;
	s->on_stop(s->arg);
}

void loop_signals_init(struct loop_signals *s, struct ev_loop *loop, void (*on_stop)(void *),
		       void *arg)
{
	*s = (struct loop_signals){.on_stop = on_stop, .arg = arg};
	signal(SIGPIPE, SIG_IGN);
	ev_signal_init(&s->term, on_signal, SIGTERM);
	ev_signal_init(&s->intr, on_signal, SIGINT);
	s->term.data = s;
	s->intr.data = s;
	ev_signal_start(loop, &s->term);
	ev_signal_start(loop, &s->intr);
}

void loop_signals_release(struct loop_signals *s, struct ev_loop *loop)
{
	ev_signal_stop(loop, &s->term);
	ev_signal_stop(loop, &s->intr);
}

/* ---- Watchdog ---- */

struct loop_watchdog {
	struct ev_loop *loop;
	ev_timer feeder;
	atomic_uint fed;
	int64_t limit_ms;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	bool ending; /* under the mutex */
};

static void feed(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct loop_watchdog *dog = w->data;

	(void)loop, (void)revents;
	atomic_fetch_add_explicit(&dog->fed, 1, memory_order_relaxed);
}

static void die(void)
{
	static const char last_words[] = "watchdog: the event loop hangs, aborting\n";

	if (write(STDERR_FILENO, last_words, sizeof(last_words) - 1) < 0)
		abort(); /* as below: there is nobody left to tell */
	abort();
}

/* The clock stands still while the machine sleeps, so that a resume is no hang. */
static struct timespec after_ms(int64_t ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	int64_t ns = t.tv_nsec + ms % 1000 * 1000000;
	t.tv_sec += ms / 1000 + ns / 1000000000;
	t.tv_nsec = ns % 1000000000;
	return t;
}

static void *watch(void *arg)
{
	struct loop_watchdog *dog = arg;

	pthread_mutex_lock(&dog->mutex);
	while (!dog->ending) {
		unsigned before = atomic_load_explicit(&dog->fed, memory_order_relaxed);
		struct timespec until = after_ms(dog->limit_ms);
		int waited = 0;
		while (!dog->ending && waited == 0)
			waited = pthread_cond_timedwait(&dog->wake, &dog->mutex, &until);
		if (!dog->ending && atomic_load_explicit(&dog->fed, memory_order_relaxed) == before)
			die();
	}
	pthread_mutex_unlock(&dog->mutex);
	return NULL;
}

/* The thread takes no signals: they are the loop's. */
static int start_thread(struct loop_watchdog *dog)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int status = pthread_create(&dog->thread, NULL, watch, dog);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return status;
}

struct loop_watchdog *loop_watchdog_new(struct ev_loop *loop, int64_t limit_ms)
{
	struct loop_watchdog *dog = calloc(1, sizeof(*dog));
	pthread_condattr_t monotonic;

	assert(limit_ms > 0);
	if (!dog)
		return NULL;
	dog->loop = loop;
	dog->limit_ms = limit_ms;
	pthread_mutex_init(&dog->mutex, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&dog->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (start_thread(dog) != 0) {
		pthread_cond_destroy(&dog->wake);
		pthread_mutex_destroy(&dog->mutex);
		free(dog);
		return NULL;
	}
	double every_s = (double)limit_ms / 1000 / 4;
	ev_timer_init(&dog->feeder, feed, every_s, every_s);
	dog->feeder.data = dog;
	ev_timer_start(loop, &dog->feeder);
	ev_unref(loop); /* the timer alone does not keep a loop running */
	return dog;
}

void loop_watchdog_free(struct loop_watchdog *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->mutex);
	w->ending = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->mutex);
	pthread_join(w->thread, NULL);
	ev_ref(w->loop);
	ev_timer_stop(w->loop, &w->feeder);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->mutex);
	free(w);
}
