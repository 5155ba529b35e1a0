/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line is built in a buffer on the stack and written by one write(2), so that lines of several
 * processes on one pipe don't mix and logging needs no memory. Whatever the values are, the line
 * stays valid JSON within LINE_BYTES: values are cut, and what still does not fit is left out and
 * counted.
 */
#include "common/log.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/phone.h"

#define LINE_BYTES 8192
#define TAIL_BYTES 32 /* kept free for ,"fields_left_out":255}\n */
#define VALUE_BYTES 2048
#define CUT_MARK "...[cut]"

static const char *const level_names[] = {
	[LOG_LEVEL_DEBUG] = "debug",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_ERROR] = "error",
};

static const char *log_process = "carillon";
static enum log_level log_least = LOG_LEVEL_INFO;

void log_init(const char *process, enum log_level level)
{
	log_process = process;
	log_least = level;
}

bool log_level_parse(const char *text, enum log_level *ret_level)
{
	for (unsigned i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (strcmp(text, level_names[i]) == 0) {
			*ret_level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

bool log_enabled(enum log_level level)
{
	return level >= log_least;
}

/* A string of at most `max_bytes`, marked where it was cut. */
static void add_string(struct buf *line, const char *s, size_t max_bytes)
{
	size_t n = strlen(s);
	size_t kept = utf8_prefix(s, n, max_bytes);

	buf_add_json_string(line, s, kept);
	if (kept < n && !line->failed) {
		line->len--; /* the closing quote */
		buf_adds(line, CUT_MARK "\"");
	}
}

static void add_value(struct buf *line, const struct log_field *f, size_t max_bytes)
{
	char masked[PHONE_BYTES];

	switch (f->kind) {
	case LOG_KIND_STR:
		add_string(line, f->str, max_bytes);
		break;
	case LOG_KIND_PHONE:
		phone_mask(f->str, masked);
		add_string(line, masked, max_bytes);
		break;
	case LOG_KIND_INT:
		buf_addf(line, "%lld", (long long)f->num);
		break;
	case LOG_KIND_DOUBLE:
		if (isfinite(f->real))
			buf_addf(line, "%.9g", f->real);
		else
			buf_adds(line, "null");
		break;
	case LOG_KIND_BOOL:
		buf_adds(line, f->num ? "true" : "false");
		break;
	}
}

/* False, and the line as before, when the field does not fit even in short. */
static bool add_field(struct buf *line, const struct log_field *f)
{
	size_t start = line->len;

	for (size_t max_bytes = VALUE_BYTES; max_bytes >= 16; max_bytes /= 4) {
		buf_addc(line, ',');
		buf_add_json_string(line, f->name, strlen(f->name));
		buf_addc(line, ':');
		add_value(line, f, max_bytes);
		if (!line->failed)
			return true;
		line->failed = false;
		line->len = start;
		line->data[start] = '\0';
	}
	return false;
}

static void write_line(const char *bytes, size_t n)
{
	int saved = errno;

	while (n > 0) {
		ssize_t done = write(STDERR_FILENO, bytes, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			break; /* nowhere to report that a report can't be written */
		bytes += done;
		n -= (size_t)done;
	}
	errno = saved;
}

void log_write(enum log_level level, const char *event, const struct log_field *fields, unsigned n)
{
	char storage[LINE_BYTES];
	char at[TIME_TEXT_BYTES];
	struct buf line;
	unsigned left_out = 0;

	if (!log_enabled(level))
		return;
	time_format(clock_wall_ms(clock_system()), at);
	buf_init_fixed(&line, storage, sizeof(storage));
	line.max_bytes -= TAIL_BYTES;
	buf_addf(&line, "{\"at\":\"%s\",\"level\":\"%s\",\"process\":", at, level_names[level]);
	add_string(&line, log_process, 64);
	buf_adds(&line, ",\"event\":");
	add_string(&line, event, 128);
	for (unsigned i = 0; i < n; i++) {
		bool text = fields[i].kind == LOG_KIND_STR || fields[i].kind == LOG_KIND_PHONE;
		if (text && !fields[i].str)
			continue;
		if (!add_field(&line, &fields[i]))
			left_out++;
	}
	line.max_bytes += TAIL_BYTES;
	if (left_out)
		buf_addf(&line, ",\"fields_left_out\":%u", left_out);
	buf_adds(&line, "}\n");
	write_line(line.data, line.len);
}
