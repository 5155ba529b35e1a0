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
)
SELECT a.status, a.body
FROM page_answer('campaigns', (SELECT jsonb_agg(to_jsonb(b)) FROM bad b), (SELECT most FROM asked),
	ARRAY(SELECT id::text FROM page ORDER BY id), ARRAY(SELECT record FROM page ORDER BY id)) a
