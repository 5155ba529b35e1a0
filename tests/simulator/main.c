/* SPDX-License-Identifier: Apache-2.0 */
/* carillon-simulator: the providers, for tests, benchmarks and a first look. */
#include <stdio.h>
#include <sys/resource.h>

#include "common/loop.h"
#include "tests/simulator/options.h"
#include "tests/simulator/simulator.h"

static void on_stop(void *arg)
{
	ev_break(((struct simulator *)arg)->loop, EVBREAK_ALL);
}

int main(int argc, char **argv)
{
	static struct simulator s;
	struct loop_signals signals;
	struct rlimit files;
	struct buf error;
	int done = options_parse(&s.o, argc, argv);

	if (done >= 0)
		return done;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	s.loop = ev_default_loop(0);
	loop_signals_init(&signals, s.loop, on_stop, &s);
	buf_init(&error, 2000);
	bool ready = simulator_init(&s, &error);
	if (ready)
		ev_run(s.loop, 0);
	else
		fprintf(stderr, "carillon-simulator: %s\n", error.data);
	simulator_release(&s);
	buf_release(&error);
	loop_signals_release(&signals, s.loop);
	return ready ? 0 : 1;
}
