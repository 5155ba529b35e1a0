/* SPDX-License-Identifier: Apache-2.0 */
/*
 * struct buf - a byte buffer that grows up to a bound given at init.
 *
 * Invariants: `data` is never NULL after buf_init() and data[len] is always NUL, so the content can
 * be passed as a C string when it holds none itself. A buffer that would pass its bound, or finds
 * no memory, drops the append, sets `failed` and refuses all later appends: build a whole message,
 * then check once.
 */
#ifndef CARILLON_BUF_H
#define CARILLON_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
	char *data;
	size_t len;
	size_t cap;
	size_t max_bytes; /* bound of len */
	bool failed;
	bool fixed; /* `data` is the caller's storage */
};

/* Allocates nothing until the first append. */
void buf_init(struct buf *b, size_t max_bytes);
/* Works in the caller's `n` bytes (n > 0, NUL included) and never allocates. */
void buf_init_fixed(struct buf *b, char *storage, size_t n);
/* Frees the storage; the buffer must be initialised again before use. Takes NULL. */
void buf_release(struct buf *b);
/* Empties, keeps the storage, clears `failed`. */
void buf_clear(struct buf *b);

void buf_add(struct buf *b, const void *bytes, size_t n);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vaddf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* A JSON string literal with its quotes; bytes that are not UTF-8 become U+FFFD. */
void buf_add_json_string(struct buf *b, const char *s, size_t n);
/* Percent-encodes all but RFC 3986 unreserved characters. */
void buf_add_url(struct buf *b, const char *s, size_t n);

/* Hands the NUL-terminated storage to the caller, who frees it; the buffer is empty again.
 * NULL if the buffer failed or there is no memory. */
char *buf_detach(struct buf *b);

/* How many bytes at the start of s a JSON string shows as they are and are printable ASCII. */
size_t json_plain_bytes(const char *s, size_t n);

/* Length of the well-formed UTF-8 sequence at s (1..4, within n bytes), 0 if there is none. */
size_t utf8_sequence(const char *s, size_t n);
/* The longest prefix of s, at most max_bytes, that splits no UTF-8 sequence. */
size_t utf8_prefix(const char *s, size_t n, size_t max_bytes);

#endif
