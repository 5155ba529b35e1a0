-- SPDX-License-Identifier: Apache-2.0
-- GET /api/lanes, oldest first. $1 campaigns' too, $2 limit, $3 after
WITH bad AS MATERIALIZED (
	SELECT field, detail FROM (VALUES
		('campaigns', $1::text NOT IN ('true', 'false'), 'true or false'),
		('limit', $2::text IS NOT NULL AND query_limit($2) IS NULL, 'a number from 1 to 1000'),
		('after', $3::text IS NOT NULL AND query_id($3) IS NULL, 'what an answer gave as next')) v (field, is_bad, detail)
	WHERE is_bad
), asked AS MATERIALIZED (
	SELECT query_limit($2) AS most, coalesce(query_id($3), 0) AS after WHERE NOT EXISTS (SELECT FROM bad)
), page AS MATERIALIZED (
	SELECT p.id, p.record FROM asked a CROSS JOIN LATERAL (
		SELECT n.id, lane_record(n) AS record FROM lanes n
		WHERE n.id > a.after
		AND ($1::text = 'true' OR NOT EXISTS (SELECT FROM campaigns k WHERE k.lane_id = n.id))
		ORDER BY n.id LIMIT a.most + 1) p
)
SELECT a.status, a.body
FROM page_answer('lanes', (SELECT jsonb_agg(to_jsonb(b)) FROM bad b), (SELECT most FROM asked),
	ARRAY(SELECT id::text FROM page ORDER BY id), ARRAY(SELECT record FROM page ORDER BY id)) a
