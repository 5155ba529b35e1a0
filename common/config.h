/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration: environment variables described by one table (tbl/config.h).
 *
 * A row gives name, type, default, bounds, secrecy, which processes read it and its meaning; from
 * it come parsing, --help, --print-config and the checks. config_load() reads them all and reports
 * every problem at once, naming the variable and the fix, before any connection is made.
 */
#ifndef CARILLON_CONFIG_H
#define CARILLON_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "common/buf.h"

enum config_process {
	CONFIG_PRODUCER = 1,
	CONFIG_CONSUMER = 2,
	CONFIG_WEBHOOK = 4,
	CONFIG_DIALERS =
		3, /* producer and consumer: what dialing needs and the webhook must not know */
	CONFIG_EVENTS =
		5, /* producer and webhook: providers' events, which the consumer verifies not */
	CONFIG_ALL = 7,
};

/* One enumerator a row of tbl/config.h: CONFIG_KEY_DATABASE_URL, CONFIG_KEY_TICK_MS, ... */
enum config_key {
#define CONFIG_ROW(NAME, type, dflt, min, max, flags, processes, doc) CONFIG_KEY_##NAME,
#include "common/tbl/config.h"
#undef CONFIG_ROW
	CONFIG_KEY_COUNT
};

struct config;

/*
 * Reads and checks the environment for one process. On problems appends one line each to `errors`
 * ("NAME: what is wrong; what to set", never a secret's value) and returns NULL; the caller prints
 * them and exits with 2. A variable that is set but empty counts as unset.
 */
struct config *config_load(enum config_process process, const char *const *environment,
			   struct buf *errors);
void config_free(struct config *cfg);

/*
 * Typed reads: the row's type must match and the process must be one that reads it (asserted).
 * config_str() is for all types but INT and BOOL; NULL when unset and without default. config_int()
 * needs a value: ask config_is_set() first where there is no default. Strings live as long as cfg.
 */
const char *config_str(const struct config *cfg, enum config_key key);
int64_t config_int(const struct config *cfg, enum config_key key);
bool config_bool(const struct config *cfg, enum config_key key);
/* Whether a LIST holds the word. */
bool config_list_has(const struct config *cfg, enum config_key key, const char *word);
/* True when the environment gives it (not by default). False for what the process does not read. */
bool config_is_set(const struct config *cfg, enum config_key key);
/* The text of any row: given, else default, else (or if the process does not read it) NULL. */
const char *config_text(const struct config *cfg, enum config_key key);

/* For --help: every variable the process reads, its default with unit, and its meaning. */
void config_print_help(enum config_process process, const char *program, FILE *out);
/* --print-config: NAME=value, secrets as "********" when set. */
void config_print(const struct config *cfg, FILE *out);

#endif
