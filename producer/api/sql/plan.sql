-- SPDX-License-Identifier: Apache-2.0
-- GET /api/plan: what would be dialed when. $1 hours, $2 campaign
WITH given AS MATERIALIZED (
	SELECT CASE WHEN $1::text IS NULL THEN 24 WHEN $1 ~ '^[1-9][0-9]{0,2}$' THEN $1::integer END AS hours, query_id($2::text) AS campaign
), bad AS MATERIALIZED (
	SELECT v.field, v.detail FROM given g CROSS JOIN LATERAL (VALUES
		('hours', coalesce(g.hours > 168, true), 'a number from 1 to 168'),
		('campaign', $2::text IS NOT NULL AND g.campaign IS NULL, 'the id of a campaign')) v (field, is_bad, detail)
	WHERE v.is_bad
), asked AS MATERIALIZED (
	SELECT g.hours, (SELECT k.lane_id FROM campaigns k WHERE k.id = g.campaign AND k.deleted_at IS NULL) AS lane_id
	FROM given g WHERE NOT EXISTS (SELECT FROM bad)
)
SELECT 200 AS status, plan(hours, lane_id) AS body FROM asked WHERE $2::text IS NULL OR lane_id IS NOT NULL
UNION ALL
SELECT 404, problem(404, 'no such campaign') FROM asked WHERE $2::text IS NOT NULL AND lane_id IS NULL
UNION ALL
SELECT 422, problems(jsonb_agg(jsonb_build_object('field', field, 'detail', detail))) FROM bad HAVING count(*) > 0
