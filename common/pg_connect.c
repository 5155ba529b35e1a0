/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How every connection to PostgreSQL is set up, asynchronous or not: the session's settings travel
 * in the start-up packet, so that no statement can run before them.
 */
#include <string.h>

#include "common/pg_internal.h"

#define OPTIONS_BYTES 1024
/*
 * Every statement is prepared, reaches its rows by index and handles sets whose size the planner
 * can't know: one plan made from indexes, whatever the statistics say, serves an empty table and
 * ten million rows. To an empty table all its indexes are alike, so pg.c has plans made anew while
 * tables grow. JIT would compile for longer than the statements run.
 */
#define PLANNING                                                                                   \
	" -c jit=off -c plan_cache_mode=force_generic_plan"                                        \
	" -c enable_seqscan=off -c enable_mergejoin=off"

#define PARAMS_MAX 16 /* room for `defaults`, ours and the end */

struct param {
	const char *keyword;
	const char *value;
};

/* A peer that vanished is noticed within a minute. They stand before the URL, which wins. */
static const struct param defaults[] = {
	{"keepalives", "1"},
	{"keepalives_idle", "20"},
	{"keepalives_interval", "10"},
	{"keepalives_count", "3"},
	{"tcp_user_timeout", "30000"},
	{"connect_timeout", "10"},
	{"target_session_attrs", "read-write"},
};

/* Our settings, then those of the URL, which win. False if the URL can't be read. */
static bool session_options(const char *url, int statement_timeout_ms, struct buf *options)
{
	PQconninfoOption *parsed = PQconninfoParse(url, NULL);

	if (!parsed)
		return false;
	buf_adds(options, "-c search_path=carillon,public -c timezone=UTC" PLANNING);
	if (statement_timeout_ms > 0)
		buf_addf(options, " -c statement_timeout=%d", statement_timeout_ms);
	for (const PQconninfoOption *p = parsed; p->keyword; p++) {
		if (strcmp(p->keyword, "options") == 0 && p->val && *p->val)
			buf_addf(options, " %s", p->val);
	}
	PQconninfoFree(parsed);
	return !options->failed;
}

static PGconn *start(const char *url, const char *application_name, int statement_timeout_ms,
		     bool blocking)
{
	const char *keywords[PARAMS_MAX];
	const char *values[PARAMS_MAX];
	char text[OPTIONS_BYTES];
	struct buf options;
	size_t n = 0;

	buf_init_fixed(&options, text, sizeof(text));
	if (!session_options(url, statement_timeout_ms, &options))
		return NULL;
	_Static_assert(sizeof(defaults) / sizeof(defaults[0]) + 5 <= PARAMS_MAX, "no room");
	for (; n < sizeof(defaults) / sizeof(defaults[0]); n++) {
		keywords[n] = defaults[n].keyword;
		values[n] = defaults[n].value;
	}
	const struct param ours[] = {
		{"dbname", url},
		{"fallback_application_name", application_name},
		{"client_encoding", "UTF8"},
		{"options", options.data},
		{NULL, NULL},
	};
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++, n++) {
		keywords[n] = ours[i].keyword;
		values[n] = ours[i].value;
	}
	if (blocking)
		return PQconnectdbParams(keywords, values, 1);
	return PQconnectStartParams(keywords, values, 1);
}

PGconn *pg_connect_start(const char *url, const char *application_name, int statement_timeout_ms)
{
	return start(url, application_name, statement_timeout_ms, false);
}

static void ignore_notice(void *arg, const PGresult *res)
{
	(void)arg;
	(void)res;
}

PGconn *pg_connect_blocking(const char *url, const char *application_name, struct buf *error)
{
	PGconn *conn = start(url, application_name, 0, true);
	char line[PG_REASON_BYTES];

	if (!conn) {
		/* libpq's own words would quote the URL, with its password. */
		buf_adds(error, "the database URL can't be read");
		return NULL;
	}
	if (PQstatus(conn) != CONNECTION_OK) {
		pg_first_line(line, PQerrorMessage(conn));
		buf_adds(error, line);
		PQfinish(conn);
		return NULL;
	}
	PQsetNoticeReceiver(conn, ignore_notice, NULL);
	return conn;
}
