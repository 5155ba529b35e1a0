/* SPDX-License-Identifier: Apache-2.0 */
/* Reads CARILLON_FAIL_POINT at the first passing of any point, and counts from then on. */
#include "common/fail_point.h"

#ifdef CARILLON_FAILPOINTS
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum action { ACTION_NONE, ACTION_KILL, ACTION_PAUSE, ACTION_ERROR };

static const struct {
	const char *text, *actions;
} points[FAIL_POINT_COUNT] = {
#define FAIL_POINT(name, text, processes, actions, when) [FAIL_##name] = {text, actions},
#include "common/tbl/fail_point.h"
#undef FAIL_POINT
};

static struct {
	enum action action;
	long left; /* passings */
} plan[FAIL_POINT_COUNT];

static void refuse(const char *text)
{
	dprintf(STDERR_FILENO,
		"CARILLON_FAIL_POINT: %s is not POINT[=ACTION][@N] of a known point\n", text);
	_exit(2);
}

static enum action action_of(const char *actions, const char *text, size_t n)
{
	static const char *const words[] = {
		[ACTION_KILL] = "kill ", [ACTION_PAUSE] = "pause ", [ACTION_ERROR] = "error "};

	for (enum action a = ACTION_KILL; a <= ACTION_ERROR; a++) {
		if (strlen(words[a]) == n + 1 && strncmp(words[a], text, n) == 0 &&
		    strstr(actions, words[a]))
			return a;
	}
	return ACTION_NONE;
}

/* One `POINT[=ACTION][@N]`. */
static void read_one(const char *text)
{
	size_t name = strcspn(text, "=@");
	const char *action = text[name] == '=' ? text + name + 1 : "kill";
	const char *at = strchr(text, '@');
	char *end = NULL;
	long n = at ? strtol(at + 1, &end, 10) : 1;

	for (size_t p = 0; p < FAIL_POINT_COUNT; p++) {
		if (strlen(points[p].text) != name || strncmp(points[p].text, text, name) != 0)
			continue;
		plan[p].action = action_of(points[p].actions, action, strcspn(action, "@"));
		plan[p].left = n;
		if (plan[p].action != ACTION_NONE && n > 0 && (!at || *end == '\0'))
			return;
	}
	refuse(text);
}

static void read_plan(void)
{
	const char *given = getenv("CARILLON_FAIL_POINT");
	char *text = given ? strdup(given) : NULL, *rest = text;

	for (char *one; rest && (one = strsep(&rest, ","));)
		read_one(one);
	free(text);
}

bool fail_point(enum fail_point p)
{
	static bool ready;

	if (!ready)
		read_plan();
	ready = true;
	if (plan[p].action == ACTION_NONE || --plan[p].left > 0)
		return false;
	enum action action = plan[p].action;
	plan[p].action = ACTION_NONE;
	dprintf(STDERR_FILENO, "{\"event\":\"fail_point\",\"point\":\"%s\"}\n", points[p].text);
	if (action == ACTION_KILL)
		raise(SIGKILL);
	else if (action == ACTION_PAUSE)
		raise(SIGSTOP);
	return action == ACTION_ERROR;
}
#endif
