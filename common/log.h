/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON lines on stderr, one event a line:
 *   {"at":"2026-01-05T16:20:11.000Z","level":"warn","process":"consumer","event":"call.unknown","job_id":"...","error":"..."}
 *
 * `event` is a stable dotted word that operators search for; the rest are fields. Only processes
 * log; common/ returns errors. A line is at most 8 KiB: long values are cut and marked "...[cut]".
 * Phones pass through LOG_PHONE, which keeps the last two digits; a secret never becomes a field.
 */
#ifndef CARILLON_LOG_H
#define CARILLON_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

enum log_kind { LOG_KIND_STR, LOG_KIND_INT, LOG_KIND_DOUBLE, LOG_KIND_BOOL, LOG_KIND_PHONE };

struct log_field {
	const char *name;
	enum log_kind kind;
	const char *str; /* NULL: the field is left out */
	int64_t num;
	double real;
};

#define LOG_STR(n, v) ((struct log_field){.name = (n), .kind = LOG_KIND_STR, .str = (v)})
#define LOG_INT(n, v) ((struct log_field){.name = (n), .kind = LOG_KIND_INT, .num = (int64_t)(v)})
#define LOG_DOUBLE(n, v) ((struct log_field){.name = (n), .kind = LOG_KIND_DOUBLE, .real = (v)})
#define LOG_BOOL(n, v) ((struct log_field){.name = (n), .kind = LOG_KIND_BOOL, .num = (v) ? 1 : 0})
#define LOG_PHONE(n, v) ((struct log_field){.name = (n), .kind = LOG_KIND_PHONE, .str = (v)})

/* `process` is kept by reference. */
void log_init(const char *process, enum log_level level);
bool log_level_parse(const char *text, enum log_level *ret_level);
bool log_enabled(enum log_level level);

void log_write(enum log_level level, const char *event, const struct log_field *fields, unsigned n);

#define LOG_AT(level, event, ...)                                                                  \
	do {                                                                                       \
		const struct log_field log_fields_[] = {LOG_STR(0, 0), ##__VA_ARGS__};             \
		log_write(level, event, log_fields_ + 1,                                           \
			  sizeof(log_fields_) / sizeof(log_fields_[0]) - 1);                       \
	} while (0)
#define log_debug(event, ...) LOG_AT(LOG_LEVEL_DEBUG, event, ##__VA_ARGS__)
#define log_info(event, ...) LOG_AT(LOG_LEVEL_INFO, event, ##__VA_ARGS__)
#define log_warn(event, ...) LOG_AT(LOG_LEVEL_WARN, event, ##__VA_ARGS__)
#define log_error(event, ...) LOG_AT(LOG_LEVEL_ERROR, event, ##__VA_ARGS__)

#endif
