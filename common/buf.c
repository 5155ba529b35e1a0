/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One growing buffer for everything that is built from parts: messages, JSON, URLs, log lines. The
 * bound is part of it, so that no caller can forget it, and failure is sticky, so that callers
 * check once.
 */
#include "common/buf.h"

#include <assert.h>
#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST_BYTES 64
#define EACH_BYTE UINT64_C(0x0101010101010101)

/* What `data` points to before the first append. Nothing but a NUL is ever written here. */
static char nothing[1];

void buf_init(struct buf *b, size_t max_bytes)
{
	assert(max_bytes < SIZE_MAX);
	*b = (struct buf){.data = nothing, .max_bytes = max_bytes};
}

void buf_init_fixed(struct buf *b, char *storage, size_t n)
{
	assert(n > 0);
	storage[0] = '\0';
	*b = (struct buf){.data = storage, .cap = n, .max_bytes = n - 1, .fixed = true};
}

void buf_release(struct buf *b)
{
	if (!b)
		return;
	if (b->cap > 0 && !b->fixed)
		free(b->data);
	*b = (struct buf){.data = nothing};
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->failed = false;
	b->data[0] = '\0';
}

static bool buf_grow(struct buf *b, size_t needed)
{
	size_t cap = b->cap ? b->cap : BUF_FIRST_BYTES;
	while (cap < needed)
		cap = cap > SIZE_MAX / 2 ? needed : cap * 2;
	if (cap > b->max_bytes + 1)
		cap = b->max_bytes + 1;
	char *data = realloc(b->cap ? b->data : NULL, cap);
	if (!data) {
		b->failed = true;
		return false;
	}
	b->data = data;
	b->cap = cap;
	return true;
}

/* Room for n more bytes and the NUL. */
static inline bool buf_reserve(struct buf *b, size_t n)
{
	if (b->failed)
		return false;
	if (n > b->max_bytes - b->len) {
		b->failed = true;
		return false;
	}
	size_t needed = b->len + n + 1;
	return needed <= b->cap || buf_grow(b, needed);
}

void buf_add(struct buf *b, const void *bytes, size_t n)
{
	if (!buf_reserve(b, n))
		return;
	if (n > 0)
		memcpy(b->data + b->len, bytes, n);
	b->len += n;
	b->data[b->len] = '\0';
}

void buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_addc(struct buf *b, char c)
{
	if (!buf_reserve(b, 1))
		return;
	b->data[b->len++] = c;
	b->data[b->len] = '\0';
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(b, fmt, ap);
	va_end(ap);
}

void buf_vaddf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	size_t room = b->cap - b->len;

	if (b->failed)
		return;
	va_copy(again, ap);
	int n = vsnprintf(b->cap ? b->data + b->len : NULL, room, fmt, ap);
	if (n < 0) {
		b->failed = true;
	} else if ((size_t)n < room && (size_t)n <= b->max_bytes - b->len) {
		b->len += (size_t)n;
	} else if (buf_reserve(b, (size_t)n)) {
		vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	/* A text that did not fit has overwritten the NUL. */
	b->data[b->len] = '\0';
	va_end(again);
}

/* ---- UTF-8 ---- */

/* Well-formed sequences of several bytes by RFC 3629: first byte's range, length, range of the
 * second byte. */
static const struct {
	unsigned char first, last, length, second_min, second_max;
} utf8_rows[] = {
	{0xc2, 0xdf, 2, 0x80, 0xbf}, {0xe0, 0xe0, 3, 0xa0, 0xbf}, {0xe1, 0xec, 3, 0x80, 0xbf},
	{0xed, 0xed, 3, 0x80, 0x9f}, {0xee, 0xef, 3, 0x80, 0xbf}, {0xf0, 0xf0, 4, 0x90, 0xbf},
	{0xf1, 0xf3, 4, 0x80, 0xbf}, {0xf4, 0xf4, 4, 0x80, 0x8f},
};

size_t utf8_sequence(const char *s, size_t n)
{
	const unsigned char *u = (const unsigned char *)s;

	if (n == 0)
		return 0;
	if (u[0] < 0x80)
		return 1;
	for (size_t i = 0; i < sizeof(utf8_rows) / sizeof(utf8_rows[0]); i++) {
		size_t length = utf8_rows[i].length;
		if (u[0] < utf8_rows[i].first || u[0] > utf8_rows[i].last)
			continue;
		if (length > n)
			return 0;
		if (u[1] < utf8_rows[i].second_min || u[1] > utf8_rows[i].second_max)
			return 0;
		for (size_t k = 2; k < length; k++) {
			if ((u[k] & 0xc0) != 0x80)
				return 0;
		}
		return length;
	}
	return 0;
}

size_t utf8_prefix(const char *s, size_t n, size_t max_bytes)
{
	if (n <= max_bytes)
		return n;
	size_t end = max_bytes;
	/* s[end] exists: step back while it continues a sequence, at most over one sequence. */
	while (end > 0 && max_bytes - end < 4 && ((unsigned char)s[end] & 0xc0) == 0x80)
		end--;
	return ((unsigned char)s[end] & 0xc0) == 0x80 ? max_bytes : end;
}

/* ---- Quoting ---- */

static bool is_json_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* The high bit of the bytes of `w` that are `c`, and perhaps of bytes above the lowest of them. */
static uint64_t bytes_equal(uint64_t w, unsigned char c)
{
	uint64_t v = w ^ EACH_BYTE * c;

	return (v - EACH_BYTE) & ~v;
}

size_t json_plain_bytes(const char *s, size_t n)
{
	size_t i = 0;
	uint64_t w;

	for (; n - i >= sizeof(w); i += sizeof(w)) {
		memcpy(&w, s + i, sizeof(w));
		w = le64toh(w); /* the first byte is the lowest */
		uint64_t others = w | (w - EACH_BYTE * 0x20) | bytes_equal(w, '"') |
				  bytes_equal(w, '\\') | bytes_equal(w, 0x7f);
		others &= EACH_BYTE * 0x80;
		if (others != 0)
			return i + (size_t)__builtin_ctzll(others) / 8;
	}
	while (i < n && is_json_plain((unsigned char)s[i]))
		i++;
	return i;
}

static char json_short_escape(unsigned char c)
{
	switch (c) {
	case '"':
	case '\\':
		return (char)c;
	case '\b':
		return 'b';
	case '\f':
		return 'f';
	case '\n':
		return 'n';
	case '\r':
		return 'r';
	case '\t':
		return 't';
	default:
		return '\0';
	}
}

/* The code of a control character at s (C0, DEL and the C1 ones that move terminals), else -1. */
static int control_code(const char *s, size_t length)
{
	unsigned char c = (unsigned char)s[0];

	if (length == 1)
		return c < 0x20 || c == 0x7f ? c : -1;
	if (length == 2 && c == 0xc2 && (unsigned char)s[1] < 0xa0)
		return (unsigned char)s[1];
	return -1;
}

static void add_plain_string(struct buf *b, const char *s, size_t n)
{
	if (!buf_reserve(b, n + 2))
		return;
	char *to = b->data + b->len;
	b->len += n + 2;
	*to++ = '"';
	if (n > 0)
		memcpy(to, s, n);
	memcpy(to + n, "\"", 2);
}

void buf_add_json_string(struct buf *b, const char *s, size_t n)
{
	size_t plain = 0; /* start of the run that needs no change */
	size_t i = json_plain_bytes(s, n);

	if (i == n) {
		add_plain_string(b, s, n);
		return;
	}
	buf_addc(b, '"');
	for (; i < n && !b->failed; i += json_plain_bytes(s + i, n - i)) {
		size_t length = utf8_sequence(s + i, n - i);
		char escape = length == 1 ? json_short_escape((unsigned char)s[i]) : '\0';
		int control = length > 0 ? control_code(s + i, length) : -1;
		if (length > 0 && !escape && control < 0) {
			i += length;
			continue;
		}
		buf_add(b, s + plain, i - plain);
		if (length == 0)
			buf_adds(b, "\xef\xbf\xbd");
		else if (escape)
			buf_add(b, (char[]){'\\', escape}, 2);
		else
			buf_addf(b, "\\u%04x", (unsigned)control);
		i += length ? length : 1;
		plain = i;
	}
	if (!b->failed)
		buf_add(b, s + plain, n - plain);
	buf_addc(b, '"');
}

static bool url_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

void buf_add_url(struct buf *b, const char *s, size_t n)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < n && !b->failed; i++) {
		unsigned char c = (unsigned char)s[i];
		if (url_unreserved(s[i]))
			buf_addc(b, s[i]);
		else
			buf_add(b, (char[]){'%', hex[c >> 4], hex[c & 15]}, 3);
	}
}

char *buf_detach(struct buf *b)
{
	assert(!b->fixed);
	char *text = NULL;
	if (!b->failed) {
		/* An empty buffer owns no storage yet. */
		text = b->cap ? b->data : calloc(1, 1);
	} else if (b->cap) {
		free(b->data);
	}
	buf_init(b, b->max_bytes);
	return text;
}
