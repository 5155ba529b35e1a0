/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame of a process: what main.c does before and after its own work. The loop is libev's
 * default one.
 */
#include "common/process.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/fail_point.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/workflow.h"

#define ERRORS_MAX_BYTES 65536
#define METRICS_MAX_BYTES (4 << 20)
#define HEAPS_MAX 2
#define LARGE_BLOCK_BYTES (256 << 10)

/* ---- Command line ---- */

enum option {
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_CHECK,
	OPTION_PRINT,
	OPTION_MIGRATE,
	OPTION_RESEAL,
	OPTION_AUDIT,
	OPTION_WORKFLOW,
	OPTION_COUNT
};

static const struct {
	const char *name;
	unsigned processes;
	const char *doc;
} options[OPTION_COUNT] = {
	[OPTION_HELP] = {"--help", CONFIG_ALL, "print this and exit"},
	[OPTION_VERSION] = {"--version", CONFIG_ALL, "print the version and exit"},
	[OPTION_CHECK] = {"--check-config", CONFIG_ALL,
			  "test the configuration and every connection, and exit"},
	[OPTION_PRINT] = {"--print-config", CONFIG_ALL,
			  "print the configuration in effect, secrets masked, and exit"},
	[OPTION_MIGRATE] = {"--migrate", CONFIG_PRODUCER,
			    "bring the database's schema up to date and exit"},
	[OPTION_RESEAL] =
		{"--reseal", CONFIG_PRODUCER,
		 "seal all accounts' credentials with the first key of SECRET_KEY and exit"},
	[OPTION_AUDIT] = {"--audit", CONFIG_CONSUMER,
			  "compare the last day of providers' lists with the ledger, and exit"},
	[OPTION_WORKFLOW] = {"--print-workflow=mermaid", CONFIG_PRODUCER,
			     "print the diagram of the workflow's states and exit"},
};

static void print_help(const struct process *p)
{
	printf("Usage: carillon-%s [option]\n\n", p->name);
	for (unsigned i = 0; i < OPTION_COUNT; i++) {
		if (options[i].processes & p->kind)
			printf("  %-24s %s\n", options[i].name, options[i].doc);
	}
	printf("\nExit codes: 0 done, 1 failed while running, 2 wrong configuration or usage.\n\n");
	char program[32];
	snprintf(program, sizeof(program), "carillon-%s", p->name);
	config_print_help(p->kind, program, stdout);
}

/* Sets given[] by option; false, and told, at an unknown one. */
static bool parse_options(const struct process *p, int argc, char **argv, bool given[OPTION_COUNT])
{
	for (int i = 1; i < argc; i++) {
		unsigned o = 0;
		while (o < OPTION_COUNT &&
		       !((options[o].processes & p->kind) && strcmp(argv[i], options[o].name) == 0))
			o++;
		if (o == OPTION_COUNT) {
			fprintf(stderr, "carillon-%s: unknown option %s; see --help\n", p->name,
				argv[i]);
			return false;
		}
		given[o] = true;
	}
	return true;
}

/* ---- Life ---- */

static bool load_configuration(struct process *p)
{
	struct buf errors;

	buf_init(&errors, ERRORS_MAX_BYTES);
	p->cfg = config_load(p->kind, (const char *const *)environ, &errors);
	if (!p->cfg)
		fprintf(stderr, "carillon-%s: the configuration is wrong:\n%s", p->name,
			errors.data);
	buf_release(&errors);
	return p->cfg != NULL;
}

/* The usual limit is far below the permitted one, and below what the settings ask for. */
static void raise_descriptors(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur >= r.rlim_max)
		return;
	r.rlim_cur = r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r) != 0)
		log_warn("process.few_descriptors", LOG_INT("error", errno));
}

/* What a burst took (a provider's lists, a backlog in Kafka) goes back when it is over: large
 * blocks one by one, and there are few heaps that keep holes. */
static void bound_heap(void)
{
	mallopt(M_ARENA_MAX, HEAPS_MAX);
	mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES);
}

static bool start_log_and_loop(struct process *p)
{
	enum log_level level = LOG_LEVEL_INFO;

	if (!log_level_parse(config_str(p->cfg, CONFIG_KEY_LOG_LEVEL), &level))
		return false;
	log_init(p->name, level);
	raise_descriptors();
	bound_heap();
	/* Connections break before the loop runs, too. */
	signal(SIGPIPE, SIG_IGN);
	p->loop = ev_default_loop(EVFLAG_AUTO);
	if (!p->loop)
		log_error("process.no_loop");
	return p->loop != NULL;
}

bool process_init(struct process *p, const char *name, enum config_process kind, int argc,
		  char **argv, int *ret_exit_code)
{
	bool given[OPTION_COUNT] = {false};

	*p = (struct process){.name = name, .kind = kind};
	*ret_exit_code = 0;
	if (!parse_options(p, argc, argv, given)) {
		*ret_exit_code = 2;
		return false;
	}
	if (given[OPTION_HELP]) {
		print_help(p);
		return false;
	}
	if (given[OPTION_WORKFLOW]) {
		workflow_print_mermaid(stdout);
		return false;
	}
	if (given[OPTION_VERSION]) {
		printf("carillon-%s %s\n", name, CARILLON_VERSION);
		return false;
	}
	if (!load_configuration(p)) {
		*ret_exit_code = 2;
		return false;
	}
	if (given[OPTION_PRINT]) {
		config_print(p->cfg, stdout);
		process_release(p);
		return false;
	}
	p->check_only = given[OPTION_CHECK];
	p->migrate_only = given[OPTION_MIGRATE];
	p->reseal_only = given[OPTION_RESEAL];
	p->audit_only = given[OPTION_AUDIT];
	if (!start_log_and_loop(p)) {
		process_release(p);
		*ret_exit_code = 1;
		return false;
	}
	return true;
}

void process_run(struct process *p, void (*on_stop)(void *), void *arg)
{
	int64_t watchdog_ms = config_int(p->cfg, CONFIG_KEY_WATCHDOG_MS);

	loop_signals_init(&p->signals, p->loop, on_stop, arg);
	/* Only now: migrations and first connections may take longer than a turn of the loop. */
	p->watchdog = loop_watchdog_new(p->loop, watchdog_ms);
	if (!p->watchdog)
		log_warn("process.no_watchdog");
	log_info("process.started", LOG_STR("version", CARILLON_VERSION),
		 LOG_STR("listen", config_str(p->cfg, CONFIG_KEY_LISTEN)));
	ev_run(p->loop, 0);
	log_info("process.stopped");
	loop_signals_release(&p->signals, p->loop);
}

void process_release(struct process *p)
{
	fail_point(FAIL_LEAVING);
	loop_watchdog_free(p->watchdog);
	p->watchdog = NULL;
	if (p->loop)
		ev_loop_destroy(p->loop);
	p->loop = NULL;
	config_free(p->cfg);
	p->cfg = NULL;
}

/* ---- Standing routes ---- */

static const char *served_name;
static const struct readiness *served_checks;

void process_set_readiness(const char *process_name, const struct readiness *checks)
{
	served_name = process_name;
	served_checks = checks;
}

void handle_healthz(void *arg, struct http_exchange *x)
{
	static const char answer[] = "{\"status\":\"ok\"}";

	(void)arg;
	http_respond(x, 200, "application/json", answer, sizeof(answer) - 1);
}

void handle_readyz(void *arg, struct http_exchange *x)
{
	struct buf missing, answer;

	(void)arg;
	buf_init(&missing, 4096);
	buf_init(&answer, 8192);
	for (const struct readiness *r = served_checks; r && r->name; r++) {
		if (r->ready(r->arg))
			continue;
		if (missing.len > 0)
			buf_addc(&missing, ',');
		buf_add_json_string(&missing, r->name, strlen(r->name));
	}
	bool ready = missing.len == 0;
	buf_addf(&answer, "{\"status\":\"%s\",\"missing\":[%s]}", ready ? "ready" : "not ready",
		 missing.data);
	http_respond(x, ready ? 200 : 503, "application/json", answer.data, answer.len);
	buf_release(&missing);
	buf_release(&answer);
}

void handle_metrics(void *arg, struct http_exchange *x)
{
	struct buf text;

	(void)arg;
	buf_init(&text, METRICS_MAX_BYTES);
	metrics_print(served_name ? served_name : "carillon", &text);
	if (text.failed)
		http_respond_problem(x, 500, "the metrics do not fit");
	else
		http_respond(x, 200, "text/plain; version=0.0.4; charset=utf-8", text.data,
			     text.len);
	buf_release(&text);
}
