-- SPDX-License-Identifier: Apache-2.0
-- POST /api/calls/{job_id}/resolve: an operator decides what could not be proved.
-- $1 job id, $2 {"decision": "close" | "redial", "note"}
WITH bad AS MATERIALIZED (
	SELECT left(key, 100) AS field, 'no such member' AS detail FROM jsonb_object_keys($2::jsonb) key WHERE key NOT IN ('decision', 'note')
	UNION ALL
	SELECT 'decision', '"close" (it was dialed, or is to be taken so) or "redial" (nothing was dialed)'
	WHERE coalesce($2::jsonb -> 'decision', 'null') NOT IN ('"close"', '"redial"')
	UNION ALL
	SELECT 'note', 'text of up to 2000 characters'
	WHERE jsonb_typeof($2::jsonb -> 'note') NOT IN ('string', 'null') OR length($2::jsonb ->> 'note') > 2000
)
SELECT r.status, r.body FROM (SELECT CASE WHEN $1::text ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN $1::text::uuid END AS job_id
	WHERE NOT EXISTS (SELECT FROM bad)) a
CROSS JOIN LATERAL resolve_call(a.job_id, $2::jsonb ->> 'decision', $2::jsonb ->> 'note') r
UNION ALL
SELECT 422, problems(jsonb_agg(jsonb_build_object('field', field, 'detail', detail))) FROM bad HAVING count(*) > 0
