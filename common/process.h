/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the three main.c have in common: options, configuration, loop, the standing routes and a
 * clean stop.
 *
 *   --help --version --check-config --print-config (and, of the
 *   producer alone, --migrate, --reseal and --print-workflow=mermaid)
 *
 * Exit codes: 0 done, 1 failed while running, 2 wrong configuration or usage.
 */
#ifndef CARILLON_PROCESS_H
#define CARILLON_PROCESS_H

#include <ev.h>

#include "common/config.h"
#include "common/http_server.h"
#include "common/loop.h"

struct process {
	const char *name; /* "producer" */
	enum config_process kind;
	struct config *cfg;
	struct ev_loop *loop;
	struct loop_signals signals;
	struct loop_watchdog *watchdog;
	bool migrate_only; /* --migrate was given */
	bool reseal_only;  /* --reseal was given */
	bool check_only;   /* --check-config was given */
	bool audit_only;   /* --audit was given */
};

/*
 * Parses the command line, loads the configuration, starts the log and the loop. Returns false when
 * the process is to end now with *ret_exit_code (help printed, configuration wrong, ...).
 */
bool process_init(struct process *p, const char *name, enum config_process kind, int argc,
		  char **argv, int *ret_exit_code);
/* Runs the loop until the first SIGTERM or SIGINT; `on_stop` starts the drain and breaks the loop
 * when done. */
void process_run(struct process *p, void (*on_stop)(void *), void *arg);
void process_release(struct process *p);

/* ---- Standing routes: /healthz (the loop turns), /readyz (dependencies), /metrics ---- */
struct readiness {
	const char *name; /* "postgres", "kafka", "accounts" */
	bool (*ready)(void *arg);
	void *arg;
};
/* `checks` must outlive the server; entries with NULL name end the list. */
void process_set_readiness(const char *process_name, const struct readiness *checks);
void handle_healthz(void *arg, struct http_exchange *x);
void handle_readyz(void *arg,
		   struct http_exchange *x); /* 200, or 503 with the names that are not */
void handle_metrics(void *arg, struct http_exchange *x);

#endif
