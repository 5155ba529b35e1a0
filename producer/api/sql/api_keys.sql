-- SPDX-License-Identifier: Apache-2.0
-- GET api-keys, the oldest first, revoked ones too. $1 tenant, $2 limit, $3 after
WITH bad AS MATERIALIZED (
	SELECT field, detail FROM (VALUES
		('limit', $2::text IS NOT NULL AND query_limit($2) IS NULL, 'a number from 1 to 1000'),
		('after', $3::text IS NOT NULL AND query_id($3) IS NULL, 'what an answer gave as next')) v (field, is_bad, detail)
	WHERE is_bad
), page AS MATERIALIZED (
	SELECT k.id, api_key_record(k) AS record FROM api_keys k
	WHERE k.id > coalesce(query_id($3), 0) AND ($1::text IS NULL OR k.tenant_id = $1::text) AND NOT EXISTS (SELECT FROM bad)
	ORDER BY k.id LIMIT query_limit($2) + 1
), shown AS MATERIALIZED (
	SELECT * FROM page ORDER BY id LIMIT query_limit($2)
)
SELECT CASE WHEN EXISTS (SELECT FROM bad) THEN 422 ELSE 200 END AS status, CASE WHEN EXISTS (SELECT FROM bad)
	THEN problems((SELECT jsonb_agg(jsonb_build_object('field', field, 'detail', detail)) FROM bad))
	ELSE jsonb_build_object('api_keys', coalesce((SELECT jsonb_agg(record ORDER BY id) FROM shown), '[]'))
		|| CASE WHEN (SELECT count(*) FROM page) > (SELECT count(*) FROM shown)
			THEN jsonb_build_object('next', (SELECT max(id)::text FROM shown)) ELSE '{}' END END AS body
