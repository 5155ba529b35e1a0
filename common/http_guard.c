/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stricter than any RFC asks a server to be: nobody who talks to us honestly sends a header that
 * needs interpretation, so whatever does is answered with 400 and the connection closed.
 */
#include "common/http_guard.h"

#include <string.h>
#include <strings.h>

#define CONTENT_LENGTH_MAX_DIGITS 18

static void refuse(struct http_guard *g, const char *reason)
{
	if (!g->reason)
		g->reason = reason;
}

/* RFC 9110 tchar. */
static bool is_token(const char *s, size_t n)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < n; i++) {
		char c = s[i];
		bool alphanumeric =
			(c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		if (!alphanumeric && (c == '\0' || !strchr(marks, c)))
			return false;
	}
	return n > 0;
}

static bool is_target(const char *s)
{
	if (s[0] != '/' && strcmp(s, "*") != 0)
		return false;
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || (unsigned char)*s >= 0x7f)
			return false;
	return true;
}

/* Bytes from 0x80 are allowed, as RFC 9110's obs-text. */
static bool is_field_value(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (((unsigned char)s[i] < ' ' && s[i] != '\t') || s[i] == 0x7f)
			return false;
	return true;
}

void http_guard_init(struct http_guard *g, const char *method, const char *target,
		     const char *version)
{
	*g = (struct http_guard){.http_1_1 = strcmp(version, "HTTP/1.1") == 0};
	if (!g->http_1_1 && strcmp(version, "HTTP/1.0") != 0)
		refuse(g, "Unknown HTTP version");
	if (!is_token(method, strlen(method)))
		refuse(g, "Malformed method");
	if (!is_target(target))
		refuse(g, "Malformed request target");
}

static bool same_name(const char *name, size_t n, const char *wanted)
{
	return n == strlen(wanted) && strncasecmp(name, wanted, n) == 0;
}

static void take_content_length(struct http_guard *g, const char *value, size_t n)
{
	g->content_lengths++;
	if (n == 0 || n > CONTENT_LENGTH_MAX_DIGITS) {
		refuse(g, "Malformed Content-Length");
		return;
	}
	g->content_length = 0;
	for (size_t i = 0; i < n; i++) {
		if (value[i] < '0' || value[i] > '9') {
			refuse(g, "Malformed Content-Length");
			return;
		}
		g->content_length = g->content_length * 10 + (uint64_t)(value[i] - '0');
	}
}

void http_guard_field(struct http_guard *g, const char *name, size_t name_bytes, const char *value,
		      size_t value_bytes)
{
	g->fields++;
	if (!is_token(name, name_bytes))
		refuse(g, "Malformed header name");
	if (!is_field_value(value, value_bytes))
		refuse(g, "Control character in a header");
	if (same_name(name, name_bytes, "Content-Length")) {
		take_content_length(g, value, value_bytes);
	} else if (same_name(name, name_bytes, "Transfer-Encoding")) {
		g->transfer_encodings++;
		if (!same_name(value, value_bytes, "chunked"))
			refuse(g, "Unknown Transfer-Encoding");
	} else if (same_name(name, name_bytes, "Host")) {
		g->hosts++;
	}
}

/* Length of the text at s, which must end with a NUL before `end`; (size_t)-1 if it does not. */
static size_t text_length(const char *s, const char *end)
{
	const char *nul = s < end ? memchr(s, '\0', (size_t)(end - s)) : NULL;

	return nul ? (size_t)(nul - s) : (size_t)-1;
}

/* Two NULs, once CR and LF, at s. */
static bool line_end(const char *s, const char *end)
{
	return end - s >= 2 && s[0] == '\0' && s[1] == '\0';
}

void http_guard_block(struct http_guard *g, const char *block, size_t bytes, size_t fields)
{
	const char *end = block + bytes;
	const char *s = block;

	if (!line_end(block, end)) {
		refuse(g, "Malformed line end");
		return;
	}
	s += 2;
	while (!line_end(s, end)) {
		size_t name_bytes = text_length(s, end);
		if (name_bytes == (size_t)-1) {
			refuse(g, "Malformed header");
			return;
		}
		const char *value = s + name_bytes + 1;
		while (value < end && (*value == ' ' || *value == '\t'))
			value++;
		size_t value_bytes = text_length(value, end);
		if (value_bytes == (size_t)-1 || !line_end(value + value_bytes, end)) {
			refuse(g, "Malformed line end");
			return;
		}
		http_guard_field(g, s, name_bytes, value, value_bytes);
		s = value + value_bytes + 2;
	}
	if (s + 2 != end || g->fields != fields)
		refuse(g, "Malformed header");
}

const char *http_guard_verdict(struct http_guard *g, bool *ret_has_body,
			       uint64_t *ret_content_length)
{
	if (g->content_lengths > 1)
		refuse(g, "More than one Content-Length");
	if (g->transfer_encodings > 1)
		refuse(g, "More than one Transfer-Encoding");
	if (g->content_lengths > 0 && g->transfer_encodings > 0)
		refuse(g, "Content-Length with Transfer-Encoding");
	if (g->transfer_encodings > 0 && !g->http_1_1)
		refuse(g, "Transfer-Encoding before HTTP/1.1");
	if (g->hosts > 1 || (g->http_1_1 && g->hosts == 0))
		refuse(g, "Host must be given exactly once");
	if (!g->reason) {
		*ret_has_body = g->content_length > 0 || g->transfer_encodings > 0;
		*ret_content_length = g->transfer_encodings > 0 ? UINT64_MAX : g->content_length;
	}
	return g->reason;
}
