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
)
SELECT a.status, a.body
FROM page_answer('api_keys', (SELECT jsonb_agg(to_jsonb(b)) FROM bad b), query_limit($2),
	ARRAY(SELECT id::text FROM page ORDER BY id), ARRAY(SELECT record FROM page ORDER BY id)) a
