/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A path is split before it is decoded, so that an encoded slash stays inside its segment. Tables
 * have some dozen rows: walking them costs less than any index.
 */
#include "common/http_route.h"

#include <assert.h>
#include <string.h>

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool is_utf8(const char *s, size_t n)
{
	size_t length = 0;

	for (size_t i = 0; i < n; i += length) {
		length = utf8_sequence(s + i, n - i);
		if (length == 0)
			return false;
	}
	return true;
}

size_t http_decode(const char *s, size_t n, bool plus, char *ret)
{
	size_t length = 0;

	for (size_t i = 0; i < n; i++) {
		char c = s[i];
		if (c == '%') {
			int high = i + 2 < n ? hex_digit(s[i + 1]) : -1;
			int low = high >= 0 ? hex_digit(s[i + 2]) : -1;
			if (low < 0)
				return (size_t)-1;
			c = (char)(high * 16 + low);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		if (c == '\0')
			return (size_t)-1;
		ret[length++] = c;
	}
	ret[length] = '\0';
	return is_utf8(ret, length) ? length : (size_t)-1;
}

bool http_path_parse(const char *raw, size_t n, char *storage, struct http_path *ret)
{
	char *text = storage;
	char *segments = storage + n + 1;
	const char *end = raw + n;
	size_t at = 1;

	ret->text = text;
	ret->segments = segments;
	ret->count = 0;
	if (n == 0 || raw[0] != '/')
		return false;
	text[0] = '/';
	for (const char *s = raw + 1;;) {
		const char *slash = memchr(s, '/', (size_t)(end - s));
		size_t length =
			http_decode(s, (size_t)((slash ? slash : end) - s), false, text + at);
		if (length == (size_t)-1 || ret->count == HTTP_SEGMENTS_MAX)
			return false;
		ret->offsets[ret->count++] = at;
		memcpy(segments + at, text + at, length + 1);
		at += length;
		if (!slash)
			return true;
		text[at++] = '/';
		s = slash + 1;
	}
}

/* The next segment of a route's path; NULL behind the last. */
static const char *next_segment(const char *pattern, size_t *ret_bytes)
{
	if (*pattern != '/')
		return NULL;
	pattern++;
	*ret_bytes = strcspn(pattern, "/");
	return pattern;
}

static void add_param(struct http_params *p, const char *name, size_t bytes, const char *value)
{
	assert(p->count < HTTP_PARAMS_MAX);
	p->name[p->count] = name;
	p->name_bytes[p->count] = bytes;
	p->value[p->count++] = value;
}

static bool path_fits(const char *pattern, const struct http_path *path, struct http_params *ret)
{
	size_t bytes = 0;
	size_t i = 0;
	const char *want = next_segment(pattern, &bytes);

	ret->count = 0;
	for (; want && i < path->count; want = next_segment(want + bytes, &bytes), i++) {
		const char *got = path->segments + path->offsets[i];
		if (bytes == 1 && want[0] == '*') {
			add_param(ret, want, 1, path->text + path->offsets[i]);
			return true;
		}
		if (bytes > 2 && want[0] == '{') {
			if (*got == '\0')
				return false;
			add_param(ret, want + 1, bytes - 2, got);
		} else if (strncmp(got, want, bytes) != 0 || got[bytes] != '\0') {
			return false;
		}
	}
	return !want && i == path->count;
}

/* Is `method` in "GET,POST"? */
static bool method_listed(const char *methods, const char *method)
{
	size_t n = strlen(method);

	for (const char *m = methods; *m;) {
		size_t length = strcspn(m, ",");
		if (length == n && memcmp(m, method, n) == 0)
			return true;
		m += length + (m[length] == ',');
	}
	return false;
}

static void add_allowed(struct buf *allow, const char *methods)
{
	for (const char *m = methods; *m;) {
		size_t length = strcspn(m, ",");
		if (allow->len > 0)
			buf_adds(allow, ", ");
		buf_add(allow, m, length);
		if (length == 3 && memcmp(m, "GET", 3) == 0)
			buf_adds(allow, ", HEAD");
		m += length + (m[length] == ',');
	}
}

/* Of two patterns that fit one path: whether `a` names a segment where `b` takes any, at the first
 * difference. */
static bool is_plainer(const char *a, const char *b)
{
	for (; *a && *a == *b; a++)
		b++;
	return *a != '*' && (*b == '{' || *b == '*');
}

static const char *plainest(const struct http_route *routes, size_t count,
			    const struct http_path *path, struct http_params *ret)
{
	const char *found = NULL;

	for (size_t i = 0; i < count; i++) {
		if (path_fits(routes[i].path, path, ret) &&
		    (!found || is_plainer(routes[i].path, found)))
			found = routes[i].path;
	}
	return found;
}

const struct http_route *http_route_find(const struct http_route *routes, size_t count,
					 const char *method, const struct http_path *path,
					 struct http_params *ret, struct buf *allow)
{
	const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
	const char *best = plainest(routes, count, path, ret);

	for (size_t i = 0; best && i < count; i++) {
		if (!path_fits(routes[i].path, path, ret) || is_plainer(best, routes[i].path))
			continue;
		if (method_listed(routes[i].methods, wanted))
			return &routes[i];
		add_allowed(allow, routes[i].methods);
	}
	return NULL;
}
