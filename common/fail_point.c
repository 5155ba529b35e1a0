/* SPDX-License-Identifier: Apache-2.0 */
/* Reads CARILLON_FAIL_POINT at the first passing of any point, and counts from then on. */
#include "common/fail_point.h"

#ifdef CARILLON_FAILPOINTS
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OF_BYTES 48

enum action { ACTION_NONE, ACTION_KILL, ACTION_PAUSE, ACTION_ERROR, ACTION_TIMEOUT };

static const struct {
	const char *text, *actions;
} points[FAIL_POINT_COUNT] = {
#define FAIL_POINT(name, text, processes, actions, when) [FAIL_##name] = {text, actions},
#include "common/tbl/fail_point.h"
#undef FAIL_POINT
};

static struct {
	enum action action;
	long left;	   /* passings */
	char of[OF_BYTES]; /* "": any */
} plan[FAIL_POINT_COUNT];

static void refuse(const char *text)
{
	dprintf(STDERR_FILENO,
		"CARILLON_FAIL_POINT: %s is not POINT[:OF][=ACTION][@N] of a known point\n", text);
	_exit(2);
}

static enum action action_of(const char *actions, const char *text, size_t n)
{
	static const char *const words[] = {[ACTION_KILL] = "kill ",
					    [ACTION_PAUSE] = "pause ",
					    [ACTION_ERROR] = "error ",
					    [ACTION_TIMEOUT] = "timeout "};

	for (enum action a = ACTION_KILL; a <= ACTION_TIMEOUT; a++) {
		if (strlen(words[a]) == n + 1 && strncmp(words[a], text, n) == 0 &&
		    strstr(actions, words[a]))
			return a;
	}
	return ACTION_NONE;
}

/* One `POINT[:OF][=ACTION][@N]`. */
static void read_one(const char *text)
{
	size_t name = strcspn(text, ":=@");
	const char *of = text[name] == ':' ? text + name + 1 : "";
	size_t of_bytes = strcspn(of, "=@");
	const char *equals = strchr(text, '=');
	const char *action = equals ? equals + 1 : "kill";
	const char *at = strchr(text, '@');
	char *end = NULL;
	long n = at ? strtol(at + 1, &end, 10) : 1;

	for (size_t p = 0; p < FAIL_POINT_COUNT; p++) {
		if (strlen(points[p].text) != name || strncmp(points[p].text, text, name) != 0)
			continue;
		plan[p].action = action_of(points[p].actions, action, strcspn(action, "@"));
		plan[p].left = n;
		if (plan[p].action == ACTION_NONE || n <= 0 || (at && *end != '\0') ||
		    of_bytes >= OF_BYTES || (text[name] == ':' && of_bytes == 0))
			break;
		memcpy(plan[p].of, of, of_bytes);
		plan[p].of[of_bytes] = '\0';
		return;
	}
	refuse(text);
}

static void read_plan(void)
{
	static bool ready;

	if (ready)
		return;
	ready = true;
	const char *given = getenv("CARILLON_FAIL_POINT");
	char *text = given ? strdup(given) : NULL, *rest = text;

	for (char *one; rest && (one = strsep(&rest, ","));)
		read_one(one);
	free(text);
}

/* Whether `part` is all of a name, or whole words of it between dots. */
static bool is_of(const char *name, const char *part)
{
	size_t n = strlen(part);

	for (const char *at = name; (at = strstr(at, part)); at++) {
		if ((at == name || at[-1] == '.') && (at[n] == '\0' || at[n] == '.'))
			return true;
	}
	return false;
}

static bool pass(enum fail_point p, bool fits)
{
	if (plan[p].action == ACTION_NONE || !fits || --plan[p].left > 0)
		return false;
	enum action action = plan[p].action;
	plan[p].action = ACTION_NONE;
	dprintf(STDERR_FILENO, "{\"event\":\"fail_point\",\"point\":\"%s\"}\n", points[p].text);
	if (action == ACTION_KILL)
		raise(SIGKILL);
	else if (action == ACTION_PAUSE)
		raise(SIGSTOP);
	return action == ACTION_ERROR || action == ACTION_TIMEOUT;
}

bool fail_point(enum fail_point p)
{
	read_plan();
	return pass(p, plan[p].of[0] == '\0');
}

bool fail_point_of(enum fail_point p, const char *of)
{
	read_plan();
	return pass(p, plan[p].of[0] == '\0' || is_of(of, plan[p].of));
}

unsigned fail_point_bits(const char *of)
{
	unsigned bits = 0;

	read_plan();
	for (unsigned p = 0; p < FAIL_POINT_COUNT; p++) {
		if (plan[p].of[0] != '\0' && is_of(of, plan[p].of))
			bits |= 1U << p;
	}
	return bits;
}

bool fail_point_in(enum fail_point p, unsigned bits)
{
	read_plan();
	return pass(p, plan[p].of[0] == '\0' || (bits & 1U << p) != 0);
}
#endif
