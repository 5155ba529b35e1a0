/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lead's variables on their way to the agent. PostgreSQL gives them as jsonb's text: valid, and
 * in each object a name once, shorter ones first. Text of this form is gone through and copied as
 * it is, but for the spaces around it. Any other, and numbers and escapes that jansson would write
 * in another way, goes through jansson, so that what is sent is the same by either way.
 */
#include "consumer/providers/adapter.h"

#include <string.h>

#include "common/json.h"

#define VARIABLES_MAX_BYTES (32u << 10)
#define PLAIN_DEPTH_MAX 16
#define PLAIN_DIGITS_MAX 18
#define RUNS_MAX 256

struct span {
	const char *at;
	size_t n;
};

/* Those of ours that a lead's own variable takes the place of. */
enum own { OWN_NAME, OWN_FIRST_NAME, OWN_LAST_NAME, OWN_COUNT };
static const char *const own_names[OWN_COUNT] = {"name", "first_name", "last_name"};

/* ---- Plain text ---- */

struct scan {
	const char *at, *end;
	const char *begun; /* the run that is to be sent; NULL: none of it is */
	struct span runs[RUNS_MAX];
	size_t count; /* more than there is room for: the rest is lost */
};

static bool take_value(struct scan *s, unsigned depth);

static void add_run(struct scan *s, const char *at, size_t n)
{
	if (s->count < RUNS_MAX)
		s->runs[s->count] = (struct span){at, n};
	s->count++;
}

static void end_run(struct scan *s)
{
	if (s->begun)
		add_run(s, s->begun, (size_t)(s->at - s->begun));
}

static void skip_spaces(struct scan *s)
{
	if (s->at == s->end || *s->at != ' ')
		return;
	end_run(s);
	while (s->at < s->end && *s->at == ' ')
		s->at++;
	if (s->begun)
		s->begun = s->at;
}

static bool take_char(struct scan *s, char c)
{
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

/* Bytes of the character at s->at, which is not plain, if jansson writes it as it reads it; else 0.
 */
static size_t unchanged(const struct scan *s)
{
	size_t left = (size_t)(s->end - s->at);

	if (left < 2 || (unsigned char)*s->at < 0x20)
		return 0;
	if (*s->at == '\\')
		return s->at[1] && strchr("\"\\bfnrt", s->at[1]) ? 2 : 0;
	return utf8_sequence(s->at, left);
}

static bool take_string(struct scan *s)
{
	size_t n = 0;

	if (!take_char(s, '"'))
		return false;
	do {
		s->at += n;
		s->at += json_plain_bytes(s->at, (size_t)(s->end - s->at));
		if (take_char(s, '"'))
			return true;
		n = unchanged(s);
	} while (n > 0);
	return false;
}

/* A name behind `last` in jsonb's order, and its colon. Only of ASCII, without escapes. */
static bool take_name(struct scan *s, struct span *last)
{
	if (!take_char(s, '"'))
		return false;
	struct span name = {s->at, json_plain_bytes(s->at, (size_t)(s->end - s->at))};
	s->at += name.n;
	if (last->at &&
	    (name.n < last->n || (name.n == last->n && memcmp(name.at, last->at, name.n) <= 0)))
		return false;
	*last = name;
	return take_char(s, '"') && take_char(s, ':');
}

/* A whole number that fits any reader's. */
static bool take_number(struct scan *s)
{
	bool negative = take_char(s, '-');
	const char *start = s->at;

	while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
		s->at++;
	size_t digits = (size_t)(s->at - start);
	if (digits == 0 || digits > PLAIN_DIGITS_MAX || (*start == '0' && (digits > 1 || negative)))
		return false;
	return s->at == s->end || !strchr(".eE", *s->at);
}

static bool take_word(struct scan *s, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0)
		return false;
	s->at += n;
	return true;
}

/* What follows an element: the end of all, or the next one. */
static bool goes_on(struct scan *s)
{
	bool more = take_char(s, ',');

	if (more)
		skip_spaces(s);
	return more;
}

static bool take_object(struct scan *s, unsigned depth)
{
	struct span last = {NULL, 0};

	if (take_char(s, '}'))
		return true;
	do {
		if (!take_name(s, &last))
			return false;
		skip_spaces(s);
		if (!take_value(s, depth))
			return false;
	} while (goes_on(s));
	return take_char(s, '}');
}

static bool take_array(struct scan *s, unsigned depth)
{
	if (take_char(s, ']'))
		return true;
	do {
		if (!take_value(s, depth))
			return false;
	} while (goes_on(s));
	return take_char(s, ']');
}

static bool take_value(struct scan *s, unsigned depth)
{
	if (s->at == s->end || depth == PLAIN_DEPTH_MAX)
		return false;
	switch (*s->at) {
	case '"':
		return take_string(s);
	case '{':
		s->at++;
		return take_object(s, depth + 1);
	case '[':
		s->at++;
		return take_array(s, depth + 1);
	case 't':
		return take_word(s, "true");
	case 'f':
		return take_word(s, "false");
	case 'n':
		return take_word(s, "null");
	default:
		return take_number(s);
	}
}

/* ---- The variables ---- */

static bool is_named(const struct span *name, const char *text)
{
	return strlen(text) == name->n && memcmp(name->at, text, name->n) == 0;
}

/* Ours goes before the lead's own. */
static bool is_ours(const struct span *name)
{
	return is_named(name, "customer_name") || is_named(name, "job_id") ||
	       is_named(name, "lead_id");
}

/* Goes through an object in plain text, and leaves its members in runs, each with a comma before
 * it; false: it is not plain, or in too many pieces. */
static bool scan_members(struct scan *s, bool *ret_has)
{
	struct span name = {NULL, 0};

	if (!take_char(s, '{'))
		return false;
	if (take_char(s, '}'))
		return s->at == s->end;
	do {
		s->begun = s->at;
		if (!take_name(s, &name))
			return false;
		if (is_ours(&name))
			s->begun = NULL;
		else
			add_run(s, ",", 1);
		for (size_t i = 0; i < OWN_COUNT; i++)
			ret_has[i] = ret_has[i] || is_named(&name, own_names[i]);
		skip_spaces(s);
		if (!take_value(s, 0))
			return false;
		end_run(s);
		s->begun = NULL;
	} while (goes_on(s));
	return take_char(s, '}') && s->at == s->end && s->count <= RUNS_MAX;
}

static void add_runs(struct buf *b, const struct scan *s)
{
	for (size_t i = 0; i < s->count; i++)
		buf_add(b, s->runs[i].at, s->runs[i].n);
}

static void add_parsed(struct buf *b, const json_t *variables)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)variables, key, value) {
		struct span name = {key, strlen(key)};
		if (is_ours(&name))
			continue;
		buf_addc(b, ',');
		buf_add_json_string(b, key, name.n);
		buf_addc(b, ':');
		json_write(value, b);
	}
}

static void add_names(struct buf *b, const struct dial *d, const bool *has)
{
	char name[256];

	customer_name(d, sizeof(name) - 1, name, sizeof(name));
	const char *const own[OWN_COUNT] = {name, d->first_name, d->last_name};
	if (*name)
		add_member(b, "customer_name", name, false);
	for (size_t i = 0; i < OWN_COUNT; i++) {
		if (own[i] && *own[i] && !has[i])
			add_member(b, own_names[i], own[i], false);
	}
}

void add_variables(struct buf *b, const struct dial *d)
{
	_cleanup_json_ json_t *parsed = NULL;
	const char *text = d->variables ? d->variables : "";
	size_t n = strlen(text);
	bool has[OWN_COUNT] = {false};
	char ignored_text[128];
	struct buf ignored;

	struct scan s;
	s.at = text;
	s.end = text + n;
	s.begun = NULL;
	s.count = 0; /* of the runs, which are not set before */
	bool plain = n <= VARIABLES_MAX_BYTES && scan_members(&s, has);
	if (!plain) {
		buf_init_fixed(&ignored, ignored_text, sizeof(ignored_text));
		parsed = json_parse(text, n, VARIABLES_MAX_BYTES, &ignored);
		for (size_t i = 0; i < OWN_COUNT; i++)
			has[i] = json_object_get(parsed, own_names[i]) != NULL;
	}
	add_member(b, "job_id", d->job_id, true);
	add_member(b, "lead_id", d->lead_id, false);
	add_names(b, d, has);
	if (plain)
		add_runs(b, &s);
	else
		add_parsed(b, parsed);
}
