/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A delimiter is a line end, two dashes and the boundary; its first byte, CR, is nowhere else in
 * it. So a match that fails can begin again only with the byte that failed, and what matched so far
 * is content.
 */
#include "common/multipart.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BOUNDARY_BYTES_MAX 70 /* RFC 2046 */
#define HEADER_BYTES_MAX 4096 /* of one part */

enum state {
	CONTENT,   /* of a part, or what stands before the first */
	DELIMITED, /* behind a delimiter: two dashes end the body, a line end begins a part */
	DASH,	   /* one of them */
	PADDING,   /* blanks up to the line end */
	LINE_END,  /* its CR */
	HEADER,	   /* lines up to an empty one */
	OVER,
};

struct multipart {
	multipart_cb *on_file;
	void *arg;
	char delimiter[4 + BOUNDARY_BYTES_MAX + 1];
	size_t delimiter_bytes;
	size_t matched; /* of the delimiter */
	enum state state;
	bool is_file; /* the part that is being read */
	bool has_file;
	bool failed;
	char header_text[HEADER_BYTES_MAX];
	struct buf header;
};

/* The value of a parameter, quoted or not; false if it is not there. */
static bool find_parameter(const char *text, const char *name, const char **ret_value,
			   size_t *ret_n)
{
	const size_t name_bytes = strlen(name);

	for (const char *s = strchr(text, ';'); s; s = strchr(s, ';')) {
		s += 1 + strspn(s + 1, " \t");
		if (strncasecmp(s, name, name_bytes) != 0 || s[name_bytes] != '=')
			continue;
		s += name_bytes + 1;
		bool quoted = *s == '"';
		s += quoted;
		*ret_value = s;
		*ret_n = strcspn(s, quoted ? "\"" : "; \t");
		return true;
	}
	return false;
}

struct multipart *multipart_new(const char *content_type, multipart_cb *on_file, void *arg)
{
	static const char type[] = "multipart/form-data";
	const char *boundary;
	size_t n;

	if (!content_type || strncasecmp(content_type, type, strlen(type)) != 0 ||
	    !find_parameter(content_type, "boundary", &boundary, &n) || n == 0 ||
	    n > BOUNDARY_BYTES_MAX || memchr(boundary, '\r', n) || memchr(boundary, '\n', n))
		return NULL;
	struct multipart *m = calloc(1, sizeof(*m));
	if (!m)
		abort();
	m->on_file = on_file;
	m->arg = arg;
	struct buf delimiter;
	buf_init_fixed(&delimiter, m->delimiter, sizeof(m->delimiter));
	buf_adds(&delimiter, "\r\n--");
	buf_add(&delimiter, boundary, n);
	m->delimiter_bytes = delimiter.len;
	m->matched = 2; /* the first one may stand at the very beginning */
	buf_init_fixed(&m->header, m->header_text, sizeof(m->header_text));
	return m;
}

void multipart_free(struct multipart *m)
{
	free(m);
}

static bool fail(struct multipart *m, struct buf *error, const char *why)
{
	m->failed = true;
	buf_adds(error, why);
	return false;
}

static bool give(struct multipart *m, const char *bytes, size_t n)
{
	m->failed = m->is_file && n > 0 && !m->on_file(m->arg, bytes, n);
	return !m->failed;
}

/* A part's header is complete. */
static bool begin_part(struct multipart *m, struct buf *error)
{
	static const char disposition[] = "content-disposition:";
	const char *value;
	size_t n;

	m->is_file = false;
	for (char *line = m->header.data, *next; *line; line = next) {
		next = line + strcspn(line, "\r\n");
		bool ends = *next != '\0';
		*next = '\0';
		if (strncasecmp(line, disposition, strlen(disposition)) == 0 &&
		    (find_parameter(line, "filename", &value, &n) ||
		     find_parameter(line, "filename*", &value, &n) ||
		     (find_parameter(line, "name", &value, &n) && n == 4 &&
		      memcmp(value, "file", 4) == 0)))
			m->is_file = true;
		next += ends;
	}
	buf_clear(&m->header);
	m->state = CONTENT;
	if (m->is_file && m->has_file)
		return fail(m, error, "the form has more than one file; send one at a time");
	m->has_file |= m->is_file;
	return true;
}

static bool take_header(struct multipart *m, char b, struct buf *error)
{
	if (b == '\0')
		return fail(m, error, "a NUL byte in the header of a part");
	buf_addc(&m->header, b);
	if (m->header.failed)
		return fail(m, error, "the header of a part is longer than 4 KiB");
	size_t n = m->header.len;
	const char *s = m->header.data;
	if ((n == 2 && memcmp(s, "\r\n", 2) == 0) ||
	    (n >= 4 && memcmp(s + n - 4, "\r\n\r\n", 4) == 0))
		return begin_part(m, error);
	return true;
}

/* Behind a delimiter. */
static bool take_mark(struct multipart *m, char b, struct buf *error)
{
	if (m->state == DELIMITED && b == '-')
		m->state = DASH;
	else if (m->state == DASH && b == '-')
		m->state = OVER;
	else if ((m->state == DELIMITED || m->state == PADDING) && (b == ' ' || b == '\t'))
		m->state = PADDING;
	else if ((m->state == DELIMITED || m->state == PADDING) && b == '\r')
		m->state = LINE_END;
	else if (m->state == LINE_END && b == '\n')
		m->state = HEADER;
	else
		return fail(m, error, "the form's parts are not delimited as its boundary says");
	return true;
}

/* Takes content up to the end of a delimiter or of the bytes; tells how many. */
static size_t take_content(struct multipart *m, const char *s, size_t n)
{
	size_t start = 0, i = 0;

	while (i < n && !m->failed) {
		if (s[i] == m->delimiter[m->matched]) {
			if (m->matched == 0 && !give(m, s + start, i - start))
				break;
			i++;
			start = i;
			if (++m->matched < m->delimiter_bytes)
				continue;
			m->matched = 0;
			m->is_file = false;
			m->state = DELIMITED;
			return i;
		}
		if (m->matched == 0) {
			i++;
			continue;
		}
		size_t was = m->matched;
		m->matched = 0;
		if (!give(m, m->delimiter, was))
			break;
		start = i;
	}
	if (!m->failed && m->matched == 0)
		give(m, s + start, n - start);
	return n;
}

bool multipart_feed(struct multipart *m, const char *bytes, size_t n, struct buf *error)
{
	for (size_t i = 0; i < n && !m->failed;) {
		if (m->state == CONTENT)
			i += take_content(m, bytes + i, n - i);
		else if (m->state == OVER)
			break; /* what stands behind the last part means nothing */
		else if (m->state == HEADER)
			(void)!take_header(m, bytes[i++], error);
		else
			(void)!take_mark(m, bytes[i++], error);
	}
	return !m->failed;
}

bool multipart_finish(struct multipart *m, struct buf *error)
{
	if (m->failed)
		return false;
	if (m->state != OVER)
		return fail(m, error, "the form ends in the middle of a part");
	return m->has_file || fail(m, error, "the form has no file");
}
