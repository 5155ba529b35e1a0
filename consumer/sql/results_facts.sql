-- SPDX-License-Identifier: Apache-2.0
-- Facts of an accepted result that came after the call's own events: these have moved the call on already, so that
-- apply_results.sql leaves it alone.
-- $1 job ids, $2 results, $3 provider call ids, $4 HTTP statuses, $5 posted_at, $6 answered_at
WITH late AS (
	UPDATE calls c SET provider_call_id = coalesce(c.provider_call_id, g.provider_call_id), http_status = g.http_status,
		posted_at = from_ms(g.posted_ms), answered_at = from_ms(g.answered_ms)
	FROM (SELECT DISTINCT ON (job_id) * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[])
			r (job_id, result, provider_call_id, http_status, posted_ms, answered_ms)
		WHERE result = 'accepted' AND posted_ms IS NOT NULL ORDER BY job_id, posted_ms) g
	WHERE c.job_id = g.job_id AND c.posted_at IS NULL AND c.status IN ('calling', 'ringing', 'in_progress', 'completed', 'failed')
	RETURNING c.account_id, c.provider_call_id, c.job_id
)
INSERT INTO provider_calls (account_id, provider_call_id, job_id)
SELECT account_id, provider_call_id, job_id FROM late WHERE provider_call_id IS NOT NULL
ORDER BY account_id, provider_call_id
ON CONFLICT DO NOTHING
