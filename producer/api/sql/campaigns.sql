-- SPDX-License-Identifier: Apache-2.0
-- GET campaigns: those that are not deleted, oldest first. $1 part of a name, $2 active, $3 limit, $4 after
WITH bad AS MATERIALIZED (
	SELECT field, detail FROM (VALUES
		('active', $2::text NOT IN ('true', 'false'), 'true or false'),
		('limit', $3::text IS NOT NULL AND query_limit($3) IS NULL, 'a number from 1 to 1000'),
		('after', $4::text IS NOT NULL AND query_id($4) IS NULL, 'what an answer gave as next')) v (field, is_bad, detail)
	WHERE is_bad
), asked AS MATERIALIZED (
	SELECT query_limit($3) AS most, coalesce(query_id($4), 0) AS after WHERE NOT EXISTS (SELECT FROM bad)
), page AS MATERIALIZED (
	SELECT p.id, p.record FROM asked a CROSS JOIN LATERAL (
		SELECT k.id, campaign_record(k) AS record FROM campaigns k JOIN lanes n ON n.id = k.lane_id
		WHERE k.deleted_at IS NULL AND k.id > a.after AND ($2::text IS NULL OR n.active = ($2 = 'true'))
		AND ($1::text IS NULL OR position(lower($1) IN lower(k.name)) > 0)
		ORDER BY k.id LIMIT a.most + 1) p
), shown AS MATERIALIZED (
	SELECT * FROM page ORDER BY id LIMIT (SELECT most FROM asked)
)
SELECT CASE WHEN EXISTS (SELECT FROM bad) THEN 422 ELSE 200 END AS status, CASE WHEN EXISTS (SELECT FROM bad)
	THEN problems((SELECT jsonb_agg(jsonb_build_object('field', field, 'detail', detail)) FROM bad))
	ELSE jsonb_build_object('campaigns', coalesce((SELECT jsonb_agg(record ORDER BY id) FROM shown), '[]'))
		|| CASE WHEN (SELECT count(*) FROM page) > (SELECT count(*) FROM shown)
			THEN jsonb_build_object('next', (SELECT max(id)::text FROM shown)) ELSE '{}' END END AS body
