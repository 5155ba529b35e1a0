-- SPDX-License-Identifier: Apache-2.0
-- Takes the live calls that are to be looked up now, for a while: those of unknown fate, those whose worker has fallen silent,
-- those whose end is overdue, and those that an operator wants ended.
-- $1 how many, $2 seconds they are ours
WITH due AS MATERIALIZED (
	SELECT job_id FROM live
	WHERE next_check_at <= now() AND state <> 'undetermined'
	ORDER BY next_check_at LIMIT $1::integer FOR UPDATE SKIP LOCKED
), taken AS (
	UPDATE live v SET next_check_at = now() + $2::integer * interval '1 second', checks = v.checks + 1
	FROM due WHERE v.job_id = due.job_id
	RETURNING v.job_id, v.state, v.lease_until, v.checks, v.absent_at, v.hang_up_at IS NOT NULL AS hang_up
)
SELECT t.job_id, t.state, to_ms(t.lease_until) AS lease_until, t.checks, to_ms(t.absent_at) AS absent_at,
	to_ms(clock_timestamp()) AS now, c.follow_up_id, c.tenant_id AS tenant, c.kind, c.lead_id, c.phone, a.name AS account,
	c.provider, c.fingerprint, c.worker, c.provider_call_id, to_ms(c.claimed_at) AS claimed_at, to_ms(c.posted_at) AS posted_at,
	EXISTS (SELECT FROM call_events e WHERE e.call_job_id = t.job_id) AS has_event, t.hang_up
FROM taken t JOIN calls c USING (job_id) JOIN accounts a ON a.id = c.account_id
