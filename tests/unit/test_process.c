/* SPDX-License-Identifier: Apache-2.0 */
/* The frame of a process from outside: options, exit codes, a clean stop, and the standing routes
 * over HTTP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/metrics.h"
#include "common/process.h"

#define STARTED 100 /* exit code of a child that process_init() let go on */

static char output[65536];

static void read_all(int fd)
{
	size_t n = 0;
	ssize_t got;

	while ((got = read(fd, output + n, sizeof(output) - 1 - n)) > 0 ||
	       (got < 0 && errno == EINTR))
		n += got > 0 ? (size_t)got : 0;
	output[n] = '\0';
}

static void break_loop(void *arg)
{
	ev_break(((struct process *)arg)->loop, EVBREAK_ALL);
}

/* In the child: starts as main.c does; runs if `run`. */
static void be_a_process(enum config_process kind, const char *option,
			 const char *const *environment, bool run)
{
	char *argv[] = {(char[]){"carillon"}, option ? strdup(option) : NULL, NULL};
	struct process p;
	int code;

	clearenv();
	for (; *environment; environment++)
		putenv(strdup(*environment));
	const char *name = kind == CONFIG_PRODUCER ? "producer" : "webhook";
	if (!process_init(&p, name, kind, option ? 2 : 1, argv, &code)) {
		fflush(stdout);
		_exit(code);
	}
	if (run)
		process_run(&p, break_loop, &p);
	else
		fprintf(stderr, "check %d migrate %d", p.check_only, p.migrate_only);
	process_release(&p);
	_exit(STARTED);
}

/* The exit code; `output` gets both streams. With `run`, SIGTERM is sent as soon as the process
 * says something. */
static int run_process(enum config_process kind, const char *option, const char *const *environment,
		       bool run)
{
	int ends[2], status;

	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		be_a_process(kind, option, environment, run);
	}
	close(ends[1]);
	if (run) {
		char first;
		assert_int_equal(read(ends[0], &first, 1), 1);
		kill(child, SIGTERM);
	}
	read_all(ends[0]);
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static const char *const good[] = {"DATABASE_URL=dbname=hidden-word", "KAFKA_BROKERS=x",
				   "LOG_LEVEL=debug", NULL};
static const char *const bad[] = {"TICK_MS=x", NULL};

static void options_end_with_their_exit_code(void **state)
{
	static const struct {
		enum config_process kind;
		const char *option;
		const char *const *environment;
		int code;
		const char *said;
	} rows[] = {
		{CONFIG_PRODUCER, "--help", bad, 0, "\n  --migrate "},
		{CONFIG_PRODUCER, "--help", bad, 0, "Usage: carillon-producer [option]\n"},
		{CONFIG_PRODUCER, "--help", bad, 0, "\n  TICK_MS "},
		{CONFIG_WEBHOOK, "--help", bad, 0, "\n  WEBHOOK_BODY_MAX "},
		{CONFIG_PRODUCER, "--version", bad, 0, "carillon-producer " CARILLON_VERSION "\n"},
		{CONFIG_PRODUCER, "--print-config", good, 0, "DATABASE_URL=********\n"},
		{CONFIG_PRODUCER, "--print-config", bad, 2, "TICK_MS: \"x\" is no whole number"},
		{CONFIG_PRODUCER, NULL, bad, 2,
		 "carillon-producer: the configuration is wrong:\nDATABASE_URL: is unset"},
		{CONFIG_PRODUCER, "--check-config", bad, 2, "KAFKA_BROKERS: is unset"},
		{CONFIG_PRODUCER, "--check-config", good, STARTED, "check 1 migrate 0"},
		{CONFIG_PRODUCER, "--migrate", good, STARTED, "check 0 migrate 1"},
		{CONFIG_PRODUCER, NULL, good, STARTED, "check 0 migrate 0"},
		{CONFIG_WEBHOOK, "--migrate", good, 2,
		 "carillon-webhook: unknown option --migrate; see --help\n"},
		{CONFIG_PRODUCER, "extra", good, 2, "unknown option extra"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int code = run_process(rows[i].kind, rows[i].option, rows[i].environment, false);
		if (code != rows[i].code || !strstr(output, rows[i].said))
			fail_msg("row %zu: exit code %d, said: %s", i, code, output);
		assert_null(strstr(output, "hidden-word"));
	}
}

static void sigterm_stops_it_cleanly(void **state)
{
	(void)state;
	assert_int_equal(run_process(CONFIG_WEBHOOK, NULL, good, true), STARTED);
	assert_non_null(strstr(output, "\"event\":\"process.started\""));
	assert_non_null(strstr(output, "\"listen\":\"127.0.0.1:8081\""));
	assert_non_null(strstr(output, "\"event\":\"process.stopped\""));
}

/* ---- Standing routes ---- */

static bool kafka_is_ready;

static bool is_ready(void *arg)
{
	return *(bool *)arg;
}

static bool always_ready(void *arg)
{
	(void)arg;
	return true;
}

static void on_answer(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)w, (void)revents;
	ev_break(loop, EVBREAK_ONE);
}

/* In the child: one request over a socket, the answer to fd. */
static void ask(unsigned port, const char *path, int fd)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	char bytes[4096];
	ssize_t n;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int s = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(s, (struct sockaddr *)&address, sizeof(address)) != 0)
		_exit(1);
	dprintf(s, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
	while ((n = read(s, bytes, sizeof(bytes))) > 0) {
		if (write(fd, bytes, (size_t)n) != n)
			_exit(1);
	}
	_exit(0);
}

/* `output` gets the whole answer. */
static void get(struct ev_loop *loop, unsigned port, const char *path)
{
	int ends[2], status;
	ev_io answer;

	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		close(ends[0]);
		ask(port, path, ends[1]);
	}
	close(ends[1]);
	ev_io_init(&answer, on_answer, ends[0], EV_READ);
	ev_io_start(loop, &answer);
	ev_run(loop, 0);
	ev_io_stop(loop, &answer);
	/* The rest comes without us: the server has sent its answer in one piece. */
	read_all(ends[0]);
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
}

static void expect(const char *status, const char *body)
{
	if (strncmp(output, status, strlen(status)) != 0 || !strstr(output, body))
		fail_msg("wanted %s and %s, got: %s", status, body, output);
}

static void standing_routes_answer(void **state)
{
	static const struct http_route routes[] = {
		{"GET", "/healthz", handle_healthz, 0},
		{"GET", "/readyz", handle_readyz, 0},
		{"GET", "/metrics", handle_metrics, 0},
	};
	static const struct readiness checks[] = {{"postgres", always_ready, NULL},
						  {"kafka", is_ready, &kafka_is_ready},
						  {NULL, NULL, NULL}};
	const struct http_server_options options = {
		.listen = "127.0.0.1:0",
		.routes = routes,
		.routes_count = 3,
		.max_connections = 16,
		.header_timeout_ms = 5000,
		.request_timeout_ms = 5000,
		.clock = clock_system(),
	};
	struct ev_loop *loop = ev_loop_new(0);
	struct buf error;

	(void)state;
	buf_init(&error, 1000);
	struct http_server *server = http_server_new(loop, &options, &error);
	assert_non_null(server);
	unsigned port = http_server_port(server);
	process_set_readiness("webhook", checks);
	get(loop, port, "/healthz");
	expect("HTTP/1.1 200", "{\"status\":\"ok\"}");
	get(loop, port, "/readyz");
	expect("HTTP/1.1 503", "{\"status\":\"not ready\",\"missing\":[\"kafka\"]}");
	kafka_is_ready = true;
	get(loop, port, "/readyz");
	expect("HTTP/1.1 200", "{\"status\":\"ready\",\"missing\":[]}");
	metrics_reset();
	metric_set(METRIC_KAFKA_READY, NULL, 1);
	get(loop, port, "/metrics");
	expect("HTTP/1.1 200", "\ncarillon_kafka_ready{process=\"webhook\"} 1\n");
	expect("HTTP/1.1 200", "text/plain; version=0.0.4");
	http_server_free(server);
	ev_loop_destroy(loop);
	buf_release(&error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_end_with_their_exit_code),
		cmocka_unit_test(sigterm_stops_it_cleanly),
		cmocka_unit_test(standing_routes_answer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
