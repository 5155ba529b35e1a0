/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system's clocks and randomness behind struct clock, and what is made of them: backoff, UUIDs,
 * ISO times. The calendar is computed here (proleptic Gregorian, UTC) and not by libc, whose
 * conversions consult TZ and take a lock.
 */
#include "common/clock.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define MS_PER_DAY INT64_C(86400000)

static int64_t read_ms(clockid_t id)
{
	struct timespec t;

	if (clock_gettime(id, &t) != 0)
		abort();
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

#ifdef CARILLON_FAILPOINTS
/* Read at each call: a test moves the clock while we run. Where there is no such file, real time.
 */
static int64_t test_offset_ms(void)
{
	const char *path = getenv("CARILLON_CLOCK_OFFSET");
	FILE *f = path ? fopen(path, "re") : NULL;
	char text[32] = "";

	if (!f)
		return 0;
	(void)!fread(text, 1, sizeof(text) - 1, f);
	(void)fclose(f);
	return strtoll(text, NULL, 10) * 1000;
}
#else
static int64_t test_offset_ms(void)
{
	return 0;
}
#endif

static int64_t system_wall_ms(void *arg)
{
	(void)arg;
	return read_ms(CLOCK_REALTIME) + test_offset_ms();
}

static int64_t system_boot_ms(void *arg)
{
	(void)arg;
	return read_ms(CLOCK_BOOTTIME);
}

static void system_random(void *arg, void *ret_bytes, size_t n)
{
	unsigned char *p = ret_bytes;

	(void)arg;
	while (n > 0) {
		ssize_t got = getrandom(p, n, 0);
		if (got < 0) {
			if (errno == EINTR)
				continue;
			abort(); /* ids that repeat would be worse */
		}
		p += got;
		n -= (size_t)got;
	}
}

const struct clock *clock_system(void)
{
	static const struct clock system = {
		.wall_ms = system_wall_ms,
		.boot_ms = system_boot_ms,
		.random = system_random,
	};
	return &system;
}

int64_t clock_wall_ms(const struct clock *c)
{
	return c->wall_ms(c->arg);
}

int64_t clock_boot_ms(const struct clock *c)
{
	return c->boot_ms(c->arg);
}

uint64_t clock_random_below(const struct clock *c, uint64_t bound)
{
	uint64_t v;

	assert(bound > 0);
	/* The 2^64 mod bound lowest values would make small results likelier: draw again. */
	uint64_t unfair = (0 - bound) % bound;
	do
		c->random(c->arg, &v, sizeof(v));
	while (v < unfair);
	return v % bound;
}

int64_t clock_backoff_ms(const struct clock *c, unsigned attempt, int64_t base_ms, int64_t max_ms)
{
	assert(base_ms > 0 && max_ms > 0);
	int64_t delay = base_ms < max_ms ? base_ms : max_ms;
	for (unsigned i = 0; i < attempt && delay < max_ms; i++)
		delay = delay > max_ms / 2 ? max_ms : delay * 2;
	int64_t half = delay / 2;
	return half + (int64_t)clock_random_below(c, (uint64_t)(delay - half) + 1);
}

/* ---- UUIDs ---- */

static void uuid_text(unsigned char u[16], unsigned version, char ret_text[UUID_TEXT_BYTES])
{
	static const char hex[] = "0123456789abcdef";
	char *p = ret_text;

	u[6] = (unsigned char)((u[6] & 0x0f) | version << 4);
	u[8] = (unsigned char)((u[8] & 0x3f) | 0x80);
	for (unsigned i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = hex[u[i] >> 4];
		*p++ = hex[u[i] & 15];
	}
	*p = '\0';
}

void uuid_v7(const struct clock *c, char ret_text[UUID_TEXT_BYTES])
{
	unsigned char u[16];
	uint64_t ms = (uint64_t)clock_wall_ms(c);

	for (unsigned i = 0; i < 6; i++)
		u[i] = (unsigned char)(ms >> (40 - 8 * i));
	c->random(c->arg, u + 6, 10);
	uuid_text(u, 7, ret_text);
}

void uuid_v4(const struct clock *c, char ret_text[UUID_TEXT_BYTES])
{
	unsigned char u[16];

	c->random(c->arg, u, sizeof(u));
	uuid_text(u, 4, ret_text);
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool uuid_valid(const char *text)
{
	if (!text)
		return false;
	for (size_t i = 0; i < UUID_TEXT_BYTES - 1; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash ? text[i] != '-' : !is_hex(text[i]))
			return false; /* the NUL of a short text ends here too */
	}
	return text[UUID_TEXT_BYTES - 1] == '\0';
}

/* ---- Times ---- */

/* Days since 1970-01-01. Years are counted from March, so that the leap day is a year's last. */
static int64_t days_of_date(int64_t year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;

	return y * 365 + y / 4 - y / 100 + y / 400 + day_of_year - 719468;
}

static bool leap_year(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_in_month(int64_t year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return month == 2 && leap_year(year) ? 29 : days[month - 1];
}

/* `digits` decimal digits and what follows them; returns where that ends. */
static char *put_digits(char *to, int v, int digits, char then)
{
	for (int i = digits - 1; i >= 0; i--) {
		to[i] = (char)('0' + v % 10);
		v /= 10;
	}
	to[digits] = then;
	return to + digits + 1;
}

void time_format(int64_t wall_ms, char ret_text[TIME_TEXT_BYTES])
{
	/* Four digits of year have room: 0001-01-01 .. 9999-12-31. */
	const int64_t min_ms = days_of_date(1, 1, 1) * MS_PER_DAY;
	const int64_t max_ms = days_of_date(10000, 1, 1) * MS_PER_DAY - 1;
	int64_t t = wall_ms < min_ms ? min_ms : wall_ms > max_ms ? max_ms : wall_ms;
	int64_t days = t / MS_PER_DAY - (t % MS_PER_DAY < 0);
	int64_t ms = t - days * MS_PER_DAY;

	int64_t year = 1970 + days / 366;
	if (days < 0)
		year = 1969 + days / 365;
	while (days_of_date(year + 1, 1, 1) <= days)
		year++;
	while (days_of_date(year, 1, 1) > days)
		year--;
	int month = 12;
	while (days_of_date(year, month, 1) > days)
		month--;
	int day = (int)(days - days_of_date(year, month, 1)) + 1;

	char *p = ret_text;
	p = put_digits(p, (int)year, 4, '-');
	p = put_digits(p, month, 2, '-');
	p = put_digits(p, day, 2, 'T');
	p = put_digits(p, (int)(ms / 3600000), 2, ':');
	p = put_digits(p, (int)(ms / 60000 % 60), 2, ':');
	p = put_digits(p, (int)(ms / 1000 % 60), 2, '.');
	p = put_digits(p, (int)(ms % 1000), 3, 'Z');
	*p = '\0';
}

/* Reads exactly `digits` decimal digits at *p and steps over them. */
static bool take_number(const char **p, const char *end, int digits, int *ret)
{
	int v = 0;

	if (end - *p < digits)
		return false;
	for (int i = 0; i < digits; i++) {
		char c = (*p)[i];
		if (c < '0' || c > '9')
			return false;
		v = v * 10 + (c - '0');
	}
	*p += digits;
	*ret = v;
	return true;
}

static bool take_char(const char **p, const char *end, const char *any_of)
{
	if (*p == end || **p == '\0' || !strchr(any_of, **p))
		return false;
	(*p)++;
	return true;
}

/* An optional fraction; digits beyond milliseconds are cut. */
static bool take_fraction(const char **p, const char *end, int *ret_ms)
{
	int scale = 100;

	*ret_ms = 0;
	if (!take_char(p, end, "."))
		return true;
	const char *start = *p;
	while (*p < end && **p >= '0' && **p <= '9') {
		*ret_ms += (**p - '0') * scale;
		scale /= 10;
		(*p)++;
	}
	return *p > start;
}

/* "Z", "+hh", "+hhmm" or "+hh:mm". */
static bool take_zone(const char **p, const char *end, int *ret_minutes)
{
	int hours, minutes = 0;

	*ret_minutes = 0;
	if (take_char(p, end, "Zz"))
		return true;
	bool west = *p < end && **p == '-';
	if (!take_char(p, end, "+-") || !take_number(p, end, 2, &hours))
		return false;
	bool colon = take_char(p, end, ":");
	if ((colon || *p < end) && !take_number(p, end, 2, &minutes))
		return false;
	*ret_minutes = (hours * 60 + minutes) * (west ? -1 : 1);
	return hours < 24 && minutes < 60;
}

int time_parse(const char *text, size_t n, int64_t *ret_wall_ms)
{
	const char *p = text, *end = text + n;
	int year, month, day, hour, minute, second, ms, zone_minutes;

	if (!take_number(&p, end, 4, &year) || !take_char(&p, end, "-") ||
	    !take_number(&p, end, 2, &month) || !take_char(&p, end, "-") ||
	    !take_number(&p, end, 2, &day) || !take_char(&p, end, "Tt ") ||
	    !take_number(&p, end, 2, &hour) || !take_char(&p, end, ":") ||
	    !take_number(&p, end, 2, &minute) || !take_char(&p, end, ":") ||
	    !take_number(&p, end, 2, &second) || !take_fraction(&p, end, &ms) ||
	    !take_zone(&p, end, &zone_minutes) || p != end)
		return -1;
	/* 60 is a leap second: the start of the next one. */
	if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) ||
	    hour > 23 || minute > 59 || second > 60)
		return -1;
	int64_t minutes = days_of_date(year, month, day) * 1440 + hour * 60 + minute - zone_minutes;
	*ret_wall_ms = (minutes * 60 + second) * 1000 + ms;
	return 0;
}
