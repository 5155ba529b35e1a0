-- SPDX-License-Identifier: Apache-2.0
-- Accepted results of calls that apply_results.sql leaves alone. Where the call's own events have moved it on already, the result
-- adds its facts. Where it had been given up (proved absent, refused, or resolved by an operator) it is a sign of life: the call
-- is taken up again and its successor called off; such calls are the answer.
-- $1 job ids, $2 results, $3 provider call ids, $4 HTTP statuses, $5 posted_at, $6 answered_at, $7 longest call + grace in s
WITH given AS MATERIALIZED (
	SELECT DISTINCT ON (job_id) *
	FROM unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[])
		r (job_id, result, provider_call_id, http_status, posted_ms, answered_ms)
	WHERE result = 'accepted' ORDER BY job_id, posted_ms
), call AS MATERIALIZED (
	SELECT g.*, c.status AS was, c.tenant_id, c.phone, c.lane_id, c.account_id, c.follow_up_id, c.lead_id, c.claimed_at,
		c.status IN ('rejected', 'not_dialed') OR c.resolution IS NOT DISTINCT FROM 'close' AND c.status = 'failed' AND c.event_rank = 0 AS given_up
	FROM given g JOIN calls c USING (job_id)
	WHERE c.status IN ('calling', 'ringing', 'in_progress', 'completed', 'failed', 'rejected', 'not_dialed')
	AND (c.posted_at IS NULL OR c.status IN ('rejected', 'not_dialed') OR c.resolution = 'close')   -- few of a batch
	ORDER BY c.job_id FOR NO KEY UPDATE OF c
), late AS (
	UPDATE calls c SET provider_call_id = coalesce(c.provider_call_id, k.provider_call_id), http_status = k.http_status,
		posted_at = from_ms(k.posted_ms), answered_at = from_ms(k.answered_ms), status = CASE WHEN k.given_up THEN 'calling' ELSE c.status END,
		outcome = CASE WHEN k.given_up THEN NULL ELSE c.outcome END, ended_at = CASE WHEN k.given_up THEN NULL ELSE c.ended_at END,
		ended_reason = CASE WHEN k.given_up THEN NULL ELSE c.ended_reason END,
		error = CASE WHEN k.given_up THEN NULL ELSE c.error END
	FROM call k WHERE c.job_id = k.job_id AND (k.given_up OR k.posted_ms IS NOT NULL AND c.posted_at IS NULL)
	RETURNING c.account_id, c.provider_call_id, c.job_id
), named AS (
	INSERT INTO provider_calls (account_id, provider_call_id, job_id)
	SELECT account_id, provider_call_id, job_id FROM late WHERE provider_call_id IS NOT NULL
	ORDER BY account_id, provider_call_id
	ON CONFLICT DO NOTHING
), alive AS MATERIALIZED (
	SELECT * FROM call WHERE given_up
), taken_up AS (   -- the phone is in use again
	INSERT INTO live (job_id, tenant_id, phone, lane_id, account_id, follow_up_id, state, lease_until, next_check_at)
	SELECT job_id, tenant_id, phone, lane_id, account_id, follow_up_id, 'calling', now(), now() + $7::integer * interval '1 second'
	FROM alive ORDER BY phone, tenant_id
	ON CONFLICT DO NOTHING
), called_off AS (
	UPDATE follow_ups f SET status = 'cancelled', reason = 'call_found', gate = NULL, lease_until = NULL, next_look_at = NULL
	WHERE f.id = ANY (ARRAY(SELECT follow_up_id FROM alive)) AND (f.status IN ('pending', 'queued') OR f.status = 'cancelled' AND f.reason IN ('paused', 'campaign_stopped'))
	RETURNING f.id
), called AS (   -- and the lead source makes no other
	UPDATE leads l SET call_date = coalesce(from_ms(a.posted_ms), l.call_date, a.claimed_at), updated_at = now()
	FROM alive a WHERE l.id = a.lead_id
), noted AS (
	INSERT INTO transitions (entity, entity_id, from_state, to_state, reason, actor)
	SELECT 'call', job_id::text, was, 'calling', 'call_found', 'recorder' FROM alive
)
SELECT a.job_id, a.was, 'calling' AS status, a.follow_up_id, o.id IS NOT NULL AS called_off
FROM alive a LEFT JOIN called_off o ON o.id = a.follow_up_id
