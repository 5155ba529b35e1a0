/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a PostgreSQL server, whose wall clock is then ahead by the seconds that the file
 * named by CARILLON_CLOCK_OFFSET says ("+3600"), as is the processes' own (common/clock.h).
 *
 * Not libfaketime: PostgreSQL asks for the time in its signal handlers, where libfaketime opens a
 * stream and allocates; the heap is broken or the server hangs, once in some hundred thousand
 * statements. Here is nothing that a signal handler may not do.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const char *path;

/* A copy: PostgreSQL writes its title over the environment. */
__attribute__((constructor)) static void find_path(void)
{
	const char *named = getenv("CARILLON_CLOCK_OFFSET");

	path = named ? strdup(named) : NULL;
}

/* Read at each call: a test moves the clock while the server runs. A wrong time would fail tests
 * that are right: no file, no server. */
static time_t ahead_s(void)
{
	char text[24];
	int saved = errno;
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : -1;

	if (n < 2)
		abort();
	(void)close(fd);
	errno = saved;
	time_t seconds = 0;
	for (ssize_t i = 1; i < n && text[i] >= '0' && text[i] <= '9'; i++)
		seconds = seconds * 10 + (text[i] - '0');
	return text[0] == '-' ? -seconds : seconds;
}

int clock_gettime(clockid_t id, struct timespec *ret_time)
{
	int error = (int)syscall(SYS_clock_gettime, id, ret_time);

	if (error == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		ret_time->tv_sec += ahead_s();
	return error;
}

int gettimeofday(struct timeval *restrict ret_time, void *restrict zone)
{
	struct timespec t;

	(void)zone;
	(void)clock_gettime(CLOCK_REALTIME, &t);
	*ret_time = (struct timeval){.tv_sec = t.tv_sec, .tv_usec = t.tv_nsec / 1000};
	return 0;
}

time_t time(time_t *ret_time)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	if (ret_time)
		*ret_time = t.tv_sec;
	return t.tv_sec;
}
