/* SPDX-License-Identifier: Apache-2.0 */
/* A row of due_checks.sql as the call that is to be looked up. */
#include "common/pg.h"
#include "consumer/reconciler_internal.h"

static void copy_column(const PGresult *rows, int row, const char *name, char *ret_text, size_t n)
{
	pg_copy(rows, row, pg_col(rows, name), ret_text, n);
}

static int64_t time_column(const PGresult *rows, int row, const char *name)
{
	return pg_int_or(rows, row, pg_col(rows, name), MSG_NO_TIME);
}

void check_read(struct check *c, const PGresult *rows, int row)
{
	if (!call_status_parse(pg_text(rows, row, pg_col(rows, "state")), &c->state))
		c->state = CALL_UNKNOWN;
	copy_column(rows, row, "job_id", c->job_id, sizeof(c->job_id));
	copy_column(rows, row, "follow_up_id", c->follow_up_id, sizeof(c->follow_up_id));
	copy_column(rows, row, "tenant", c->tenant, sizeof(c->tenant));
	copy_column(rows, row, "kind", c->kind, sizeof(c->kind));
	copy_column(rows, row, "lead_id", c->lead_id, sizeof(c->lead_id));
	copy_column(rows, row, "phone", c->phone, sizeof(c->phone));
	copy_column(rows, row, "account", c->account, sizeof(c->account));
	copy_column(rows, row, "provider", c->provider, sizeof(c->provider));
	copy_column(rows, row, "worker", c->worker, sizeof(c->worker));
	copy_column(rows, row, "fingerprint", c->fingerprint, sizeof(c->fingerprint));
	copy_column(rows, row, "provider_call_id", c->provider_call_id,
		    sizeof(c->provider_call_id));
	copy_column(rows, row, "others", c->others, sizeof(c->others));
	c->claimed_at = time_column(rows, row, "claimed_at");
	c->lease_until = time_column(rows, row, "lease_until");
	c->posted_at = time_column(rows, row, "posted_at");
	c->dial_by = time_column(rows, row, "dial_by");
	c->absent_at = time_column(rows, row, "absent_at");
	c->recorded_to = time_column(rows, row, "recorded_to");
	c->checks = pg_int(rows, row, pg_col(rows, "checks"));
	c->has_event = pg_bool(rows, row, pg_col(rows, "has_event"));
	c->hang_up = pg_bool(rows, row, pg_col(rows, "hang_up"));
}
