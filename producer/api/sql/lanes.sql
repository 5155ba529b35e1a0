-- SPDX-License-Identifier: Apache-2.0
-- GET /api/lanes, oldest first. $1 tenant, $2 campaigns' too, $3 limit, $4 after
WITH bad AS MATERIALIZED (
	SELECT field, detail FROM (VALUES
		('campaigns', $2::text NOT IN ('true', 'false'), 'true or false'),
		('limit', $3::text IS NOT NULL AND query_limit($3) IS NULL, 'a number from 1 to 1000'),
		('after', $4::text IS NOT NULL AND query_id($4) IS NULL, 'what an answer gave as next')) v (field, is_bad, detail)
	WHERE is_bad
), missing AS MATERIALIZED (
	SELECT WHERE NOT EXISTS (SELECT FROM bad) AND $1::text IS NOT NULL AND NOT EXISTS (SELECT FROM tenants WHERE id = $1)
), asked AS MATERIALIZED (
	SELECT query_limit($3) AS most, coalesce(query_id($4), 0) AS after WHERE NOT EXISTS (SELECT FROM bad)
), page AS MATERIALIZED (
	SELECT p.id, p.record FROM asked a CROSS JOIN LATERAL (
		SELECT n.id, lane_record(n) AS record FROM lanes n
		WHERE n.id > a.after AND ($1::text IS NULL OR n.tenant_id = $1)
		AND ($2::text = 'true' OR NOT EXISTS (SELECT FROM campaigns k WHERE k.lane_id = n.id))
		ORDER BY n.id LIMIT a.most + 1) p
), shown AS MATERIALIZED (
	SELECT * FROM page ORDER BY id LIMIT (SELECT most FROM asked)
)
SELECT CASE WHEN EXISTS (SELECT FROM bad) THEN 422 WHEN EXISTS (SELECT FROM missing) THEN 404 ELSE 200 END AS status, CASE WHEN EXISTS (SELECT FROM bad)
	THEN problems((SELECT jsonb_agg(jsonb_build_object('field', field, 'detail', detail)) FROM bad))
	WHEN EXISTS (SELECT FROM missing) THEN problem(404, 'no such tenant')
	ELSE jsonb_build_object('lanes', coalesce((SELECT jsonb_agg(record ORDER BY id) FROM shown), '[]'))
		|| CASE WHEN (SELECT count(*) FROM page) > (SELECT count(*) FROM shown)
			THEN jsonb_build_object('next', (SELECT max(id)::text FROM shown)) ELSE '{}' END END AS body
