-- SPDX-License-Identifier: Apache-2.0
-- GET /api/calls: those that fit, the youngest first; `next` is to be asked for as `after`. Live calls, undetermined ones among
-- them, are found by the small table of what holds a phone.
-- $1 status, $2 lead id, $3 limit, $4 after
WITH bad AS MATERIALIZED (
	SELECT field, detail FROM (VALUES
		($1::text NOT IN ('dialing', 'unknown', 'calling', 'ringing', 'in_progress', 'completed', 'failed', 'rejected', 'not_dialed',
			'undetermined'), 'status', 'dialing, unknown, calling, ringing, in_progress, completed, failed, rejected, not_dialed or undetermined'),
		($2::text !~ '^[0-9]{1,18}$', 'lead_id', 'a number'),
		($3::text IS NOT NULL AND query_limit($3) IS NULL, 'limit', 'a number from 1 to 1000'),
		($4::text !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$', 'after', 'what an answer gave as next')) v (is_bad, field, detail)
	WHERE is_bad
), asked AS MATERIALIZED (
	SELECT query_limit($3) AS most, $2::text::bigint AS lead_id,
		coalesce($4::text::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff') AS before,
		$1::text IN ('dialing', 'unknown', 'calling', 'ringing', 'in_progress', 'undetermined') IS TRUE AND $2::text IS NULL AS live_alone
	WHERE NOT EXISTS (SELECT FROM bad)
), page AS MATERIALIZED (
	(SELECT c AS call, c.job_id FROM asked a JOIN calls c ON c.lead_id = a.lead_id
	 WHERE ($1::text IS NULL OR c.status = $1::text) AND c.job_id < a.before
	 ORDER BY c.job_id DESC LIMIT (SELECT most + 1 FROM asked))
	UNION ALL
	(SELECT c, c.job_id FROM live v JOIN calls c USING (job_id)
	 WHERE (SELECT live_alone FROM asked) AND c.status = $1::text AND v.job_id < (SELECT before FROM asked)
	 ORDER BY v.job_id DESC LIMIT (SELECT most + 1 FROM asked))
	UNION ALL
	(SELECT c, c.job_id FROM calls c
	 WHERE (SELECT NOT live_alone AND lead_id IS NULL FROM asked) AND ($1::text IS NULL OR c.status = $1::text)
		AND c.job_id < (SELECT before FROM asked)
	 ORDER BY c.job_id DESC LIMIT (SELECT most + 1 FROM asked))
), shown AS MATERIALIZED (
	SELECT * FROM page ORDER BY job_id DESC LIMIT (SELECT most FROM asked)
)
SELECT 200 AS status, jsonb_build_object('calls', (SELECT coalesce(jsonb_agg(call_record(call) ORDER BY job_id DESC), '[]') FROM shown),
	'next', CASE WHEN (SELECT count(*) FROM page) > (SELECT count(*) FROM shown) THEN (SELECT min(job_id::text) FROM shown) END) AS body
FROM asked
UNION ALL
SELECT 422, problems(jsonb_agg(jsonb_build_object('field', field, 'detail', detail))) FROM bad HAVING count(*) > 0
