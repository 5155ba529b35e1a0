/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time and randomness, injected so that leases, backoff and windows can be tested on a virtual
 * clock.
 *
 * Wall time is for what other machines see (messages, logs); `boot_ms` (CLOCK_BOOTTIME) is for
 * leases and deadlines, because it goes on while a machine sleeps and does not jump.
 */
#ifndef CARILLON_CLOCK_H
#define CARILLON_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct clock {
	int64_t (*wall_ms)(void *arg); /* milliseconds since 1970-01-01T00:00:00Z */
	int64_t (*boot_ms)(void *arg); /* milliseconds since boot, suspended time included */
	void (*random)(void *arg, void *ret_bytes, size_t n);
	void *arg;
};

/*
 * The machine's clocks and getrandom(). Never NULL. In a build with fail points (never a Release)
 * wall time is ahead by the seconds that the file named by CARILLON_CLOCK_OFFSET says ("+3600"),
 * which is also libfaketime's format: a test moves programs and database together.
 */
const struct clock *clock_system(void);

int64_t clock_wall_ms(const struct clock *c);
int64_t clock_boot_ms(const struct clock *c);
/* Uniform in [0, bound); bound > 0. */
uint64_t clock_random_below(const struct clock *c, uint64_t bound);
/* Capped exponential backoff with full jitter in its upper half: attempt 0 gives base/2..base. */
int64_t clock_backoff_ms(const struct clock *c, unsigned attempt, int64_t base_ms, int64_t max_ms);

#define UUID_TEXT_BYTES 37 /* 36 characters and a NUL */
/* UUIDv7 (RFC 9562): sorts by time of creation. */
void uuid_v7(const struct clock *c, char ret_text[UUID_TEXT_BYTES]);
/* UUIDv4. */
void uuid_v4(const struct clock *c, char ret_text[UUID_TEXT_BYTES]);
/* True for the 8-4-4-4-12 hexadecimal form. */
bool uuid_valid(const char *text);

#define TIME_TEXT_BYTES 25 /* 2026-01-05T16:20:11.000Z and a NUL */
/* ISO 8601 in UTC with milliseconds. */
void time_format(int64_t wall_ms, char ret_text[TIME_TEXT_BYTES]);
/*
 * Parses RFC 3339 ("Z" or a numeric offset, optional fraction), also with a space for the T and the
 * short offsets that PostgreSQL writes ("+00"). 0 or -1.
 */
int time_parse(const char *text, size_t n, int64_t *ret_wall_ms)
	__attribute__((warn_unused_result));

#endif
