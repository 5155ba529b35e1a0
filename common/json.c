/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jansson behind bounds. Its own depth limit is 2048, so depth is counted before it sees the text;
 * its errors may quote the document, so only the position and the kind are passed on.
 */
#include "common/json.h"

#include <errno.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEPTH_MAX 64

void json_cleanup(json_t **j)
{
	json_decref(*j);
}

/* Whether arrays and objects nest deeper than DEPTH_MAX; counts what a parser would count, in one
 * pass. */
static bool too_deep(const char *bytes, size_t n)
{
	unsigned depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < n; i++) {
		char c = bytes[i];
		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > DEPTH_MAX)
				return true;
		} else if ((c == '}' || c == ']') && depth > 0) {
			depth--;
		}
	}
	return false;
}

static const struct {
	enum json_error_code code;
	const char *text;
} error_texts[] = {
	{json_error_invalid_utf8, "not UTF-8"},
	{json_error_premature_end_of_input, "ends too early"},
	{json_error_end_of_input_expected, "goes on after its end"},
	{json_error_null_character, "holds a NUL character"},
	{json_error_duplicate_key, "holds a name twice in one object"},
	{json_error_numeric_overflow, "holds a number that is too large"},
};

static const char *error_text(enum json_error_code code)
{
	for (size_t i = 0; i < sizeof(error_texts) / sizeof(error_texts[0]); i++) {
		if (error_texts[i].code == code)
			return error_texts[i].text;
	}
	return "not JSON";
}

json_t *json_parse(const char *bytes, size_t n, size_t max_bytes, struct buf *error)
{
	json_error_t e;

	errno = EINVAL;
	if (n > max_bytes) {
		buf_addf(error, "JSON of %zu bytes, at most %zu are taken", n, max_bytes);
		return NULL;
	}
	if (too_deep(bytes, n)) {
		buf_addf(error, "JSON nested deeper than %d", DEPTH_MAX);
		return NULL;
	}
	json_t *j = json_loadb(bytes, n, JSON_REJECT_DUPLICATES, &e);
	if (j)
		return j;
	/* It has words for all that is wrong with a text. */
	bool no_memory = !e.text[0] || json_error_code(&e) == json_error_out_of_memory;
	errno = no_memory ? ENOMEM : EINVAL;
	if (no_memory)
		buf_adds(error, "no memory");
	else
		buf_addf(error, "bad JSON at byte %d (line %d): %s", e.position, e.line,
			 error_text(json_error_code(&e)));
	return NULL;
}

/* ---- Paths ---- */

json_t *json_path(const json_t *j, const char *path)
{
	const json_t *at = j;

	while (at && *path) {
		size_t n = strcspn(path, ".");
		at = json_object_getn(at, path, n);
		path += n + (path[n] == '.');
	}
	return (json_t *)at;
}

const char *json_path_text(const json_t *j, const char *path)
{
	const char *s = json_string_value(json_path(j, path));

	return s && *s ? s : NULL;
}

/* The shortest of 15 and 17 digits that reads back as the same number. */
static void real_text(double v, char *ret_buf, size_t n)
{
	snprintf(ret_buf, n, "%.15g", v);
	if (strtod(ret_buf, NULL) != v)
		snprintf(ret_buf, n, "%.17g", v);
}

const char *json_path_scalar(const json_t *j, const char *path, char *ret_buf, size_t n)
{
	const json_t *v = json_path(j, path);

	if (json_is_integer(v))
		snprintf(ret_buf, n, "%lld", (long long)json_integer_value(v));
	else if (json_is_real(v))
		real_text(json_real_value(v), ret_buf, n);
	else
		return json_path_text(v, "");
	return ret_buf;
}

bool json_path_int(const json_t *j, const char *path, int64_t *ret)
{
	const json_t *v = json_path(j, path);

	if (json_is_integer(v)) {
		*ret = json_integer_value(v);
		return true;
	}
	/* Some serializers write 42.0; beyond 2^53 a double is no exact integer any more. */
	double real = json_real_value(v);
	if (!json_is_real(v) || fabs(real) > 9007199254740992.0 || real < trunc(real) ||
	    real > trunc(real))
		return false;
	*ret = (int64_t)real;
	return true;
}

bool json_path_double(const json_t *j, const char *path, double *ret)
{
	const json_t *v = json_path(j, path);

	if (!json_is_number(v))
		return false;
	*ret = json_number_value(v);
	return true;
}

bool json_path_bool(const json_t *j, const char *path, bool *ret)
{
	const json_t *v = json_path(j, path);
	const char *text = json_string_value(v);
	bool yes = json_is_true(v) || (text && strcasecmp(text, "true") == 0);

	if (!yes && !json_is_false(v) && !(text && strcasecmp(text, "false") == 0))
		return false;
	*ret = yes;
	return true;
}

bool json_path_is_true(const json_t *j, const char *path)
{
	bool v;

	return json_path_bool(j, path, &v) && v;
}

static int write_part(const char *bytes, size_t n, void *arg)
{
	struct buf *out = arg;

	buf_add(out, bytes, n);
	return out->failed ? -1 : 0;
}

void json_write(const json_t *j, struct buf *out)
{
	if (json_dump_callback(j, write_part, out, JSON_COMPACT | JSON_ENCODE_ANY) != 0)
		out->failed = true;
}
