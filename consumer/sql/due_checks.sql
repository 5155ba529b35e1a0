-- SPDX-License-Identifier: Apache-2.0
-- Takes the live calls that are to be looked up now, for a while: those of unknown fate, those whose worker has fallen silent,
-- those whose end is overdue, those that may wait at their provider when their window closes, and those that an operator wants ended. With each of unknown fate come the provider's ids of the latest
-- other calls to its phone: such a row of the provider's list is not it.
-- $1 how many, $2 seconds they are ours, $3 who we are, $4 topics that tell of calls
WITH due AS MATERIALIZED (
	SELECT job_id FROM live
	WHERE next_check_at <= now() AND state <> 'undetermined'
	ORDER BY next_check_at LIMIT $1::integer FOR UPDATE SKIP LOCKED
), taken AS (
	UPDATE live v SET next_check_at = now() + $2::integer * interval '1 second', checks = v.checks + 1, checker = $3
	FROM due WHERE v.job_id = due.job_id
	RETURNING v.job_id, v.state, v.lease_until, v.checks, v.absent_at, v.hang_up_at IS NOT NULL AS hang_up
)
SELECT t.job_id, t.state, to_ms(t.lease_until) AS lease_until, t.checks, to_ms(t.absent_at) AS absent_at,
	to_ms(clock_timestamp()) AS now, to_ms((SELECT min(read_to) FROM applied_offsets WHERE topic = ANY ($4::text[]))) AS recorded_to, c.follow_up_id, c.tenant_id AS tenant, c.kind, c.lead_id, c.phone, a.name AS account,
	c.provider, c.fingerprint, c.worker, c.provider_call_id, to_ms(c.claimed_at) AS claimed_at, to_ms(c.posted_at) AS posted_at, to_ms(c.dial_by) AS dial_by,
	EXISTS (SELECT FROM call_events e WHERE e.call_job_id = t.job_id) AS has_event, t.hang_up,
	CASE WHEN c.provider_call_id IS NULL THEN (SELECT string_agg(o.provider_call_id, E'\n')
		FROM (SELECT o.provider_call_id FROM calls o
			WHERE o.phone = c.phone AND o.provider = c.provider AND o.job_id <> c.job_id AND o.provider_call_id IS NOT NULL
				AND o.claimed_at > c.claimed_at - interval '1 day'
			ORDER BY o.claimed_at DESC LIMIT 15) o) END AS others
FROM taken t JOIN calls c USING (job_id) JOIN accounts a ON a.id = c.account_id
