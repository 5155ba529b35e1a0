/* SPDX-License-Identifier: Apache-2.0 */
/* A row for each account and reason that is being refused, dropped when that has ended. Only known
 * accounts come here, so there are few; beyond the bound the metric alone counts. */
#include "webhook/refusals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/log.h"

#define ROWS_MAX 1024
#define NAME_BYTES 128

struct row {
	struct row *prev, *next;
	char provider[NAME_BYTES];
	char account[NAME_BYTES];
	const char *reason;
	int64_t logged_ms; /* boot clock */
	int64_t unlogged;
};

struct refusals {
	const struct clock *clock;
	struct row *rows;
	size_t count;
};

struct refusals *refusals_new(const struct clock *clock)
{
	struct refusals *r = calloc(1, sizeof(*r));

	if (r)
		r->clock = clock;
	return r;
}

static void log_sum(const struct row *row)
{
	if (row->unlogged > 0)
		log_warn("webhook.refused_more", LOG_STR("provider", row->provider),
			 LOG_STR("account", row->account), LOG_STR("reason", row->reason),
			 LOG_INT("requests", row->unlogged));
}

static void drop(struct refusals *r, struct row *row)
{
	DL_DELETE(r->rows, row);
	r->count--;
	free(row);
}

void refusals_free(struct refusals *r)
{
	if (!r)
		return;
	while (r->rows) {
		log_sum(r->rows);
		drop(r, r->rows);
	}
	free(r);
}

static struct row *find(const struct refusals *r, const struct account *a, const char *reason)
{
	struct row *row;

	DL_FOREACH (r->rows, row) {
		if (row->reason == reason && strcmp(row->account, a->name) == 0)
			return row;
	}
	return NULL;
}

void refusals_add(struct refusals *r, const struct account *a, const char *reason)
{
	struct row *row = find(r, a, reason);

	if (row) {
		row->unlogged++;
		return;
	}
	row = r->count < ROWS_MAX ? calloc(1, sizeof(*row)) : NULL;
	if (!row)
		return;
	snprintf(row->provider, sizeof(row->provider), "%s", a->provider);
	snprintf(row->account, sizeof(row->account), "%s", a->name);
	row->reason = reason;
	row->logged_ms = clock_boot_ms(r->clock);
	DL_APPEND(r->rows, row);
	r->count++;
	log_warn("webhook.refused", LOG_STR("provider", row->provider),
		 LOG_STR("account", row->account), LOG_STR("reason", reason));
}

void refusals_tick(struct refusals *r)
{
	int64_t now = clock_boot_ms(r->clock);
	struct row *row, *next;

	DL_FOREACH_SAFE (r->rows, row, next) {
		if (now - row->logged_ms < REFUSALS_SUM_MS)
			continue;
		log_sum(row);
		if (row->unlogged == 0) {
			drop(r, row);
			continue;
		}
		row->unlogged = 0;
		row->logged_ms = now;
	}
}
