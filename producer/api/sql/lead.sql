-- SPDX-License-Identifier: Apache-2.0
-- GET leads/{id}: the lead with its latest follow-ups and its last call. $1 id
WITH lead AS MATERIALIZED (
	SELECT l FROM leads l WHERE l.id = query_id($1::text)
), follow_up AS MATERIALIZED (
	SELECT f.id, f.job_id, follow_up_record(f) AS record FROM follow_ups f
	WHERE f.lead_id = (SELECT (l).id FROM lead) ORDER BY f.id DESC LIMIT 100
), last_call AS (   -- by the number it has, or had when a follow-up was dialed
	SELECT c.* FROM (
		SELECT job_id FROM follow_up WHERE job_id IS NOT NULL
		UNION
		(SELECT c.job_id FROM calls c JOIN lead ON c.phone = (l).phone_e164 AND c.lead_id = (l).id ORDER BY c.claimed_at DESC LIMIT 1)) k
	JOIN calls c USING (job_id) ORDER BY c.claimed_at DESC LIMIT 1
)
SELECT CASE WHEN EXISTS (SELECT FROM lead) THEN 200 ELSE 404 END AS status,
	coalesce((SELECT lead_record(l) || jsonb_build_object(
		'follow_ups', coalesce((SELECT jsonb_agg(record ORDER BY id DESC) FROM follow_up), '[]'),
		'last_call', (SELECT jsonb_build_object('job_id', job_id, 'follow_up_id', follow_up_id, 'kind', kind, 'attempt', attempt,
			'provider', provider, 'provider_call_id', provider_call_id, 'phone', phone, 'status', status, 'outcome', outcome,
			'ended_reason', ended_reason, 'success', success, 'refusal', refusal, 'error', error, 'duration_ms', duration_ms,
			'claimed_at', iso_utc(claimed_at), 'posted_at', iso_utc(posted_at), 'ended_at', iso_utc(ended_at)) FROM last_call)) FROM lead),
		problem(404, 'no such lead')) AS body
