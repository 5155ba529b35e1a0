/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The types of configuration values: between config.c (rows, loading, output) and config_types.c
 * (how a text of each type is checked).
 */
#ifndef CARILLON_CONFIG_TYPES_H
#define CARILLON_CONFIG_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

enum config_type {
	CONFIG_TYPE_STR,
	CONFIG_TYPE_INT,
	CONFIG_TYPE_BOOL,
	CONFIG_TYPE_URL,
	CONFIG_TYPE_HOSTPORT,
	CONFIG_TYPE_BROKERS,
	CONFIG_TYPE_PGURL,
	CONFIG_TYPE_WINDOW,
	CONFIG_TYPE_HEX64,
	CONFIG_TYPE_FILE,
	CONFIG_TYPE_PATH,
	CONFIG_TYPE_PHONE,
	CONFIG_TYPE_WHSEC,
	CONFIG_TYPE_WORD,
	CONFIG_TYPE_FIELDS,
	CONFIG_TYPE_FRACTION,
	CONFIG_TYPE_ZONE,
	CONFIG_TYPE_ENUM,
	CONFIG_TYPE_LIST,
	CONFIG_TYPE_COUNT
};

enum config_flag {
	CONFIG_FLAG_NONE = 0,
	CONFIG_FLAG_REQUIRED = 1,
	CONFIG_FLAG_SECRET = 2,
	CONFIG_FLAG_HTTPS = 4
};

struct config_row {
	const char *name;
	enum config_type type;
	const char *detail; /* INT: unit; ENUM and LIST: the words, separated by | */
	const char *dflt;
	int64_t min, max;
	unsigned flags;	    /* of enum config_flag */
	unsigned processes; /* of enum config_process */
	const char *doc;
};

/*
 * Checks a text against its row; for INT and BOOL *ret_num is the value. Otherwise false, and "what
 * is wrong; what to set" is appended to `error`.
 */
bool config_check(const struct config_row *row, const char *text, int64_t *ret_num,
		  struct buf *error);

/* Whether a checked HOSTPORT means this machine alone. */
bool config_hostport_is_loopback(const char *hostport);
/* Whether `word` is among the words of `list`, which `separator` parts. */
bool config_word_in(const char *list, char separator, const char *word, size_t n);

#endif
