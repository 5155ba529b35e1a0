-- SPDX-License-Identifier: Apache-2.0
-- GET tenants, by id; `next` is given when there are more, to be asked for as `after`. $1 limit, $2 after
WITH bad AS MATERIALIZED (
	SELECT 'limit' AS field, 'a number from 1 to 1000' AS detail WHERE $1::text IS NOT NULL AND query_limit($1) IS NULL
), page AS MATERIALIZED (
	SELECT t.id, tenant_record(t) AS record FROM tenants t WHERE t.id > coalesce($2::text, '') AND NOT EXISTS (SELECT FROM bad)
	ORDER BY t.id LIMIT query_limit($1) + 1
), shown AS MATERIALIZED (
	SELECT * FROM page ORDER BY id LIMIT query_limit($1)
)
SELECT CASE WHEN EXISTS (SELECT FROM bad) THEN 422 ELSE 200 END AS status, CASE WHEN EXISTS (SELECT FROM bad)
	THEN problems((SELECT jsonb_agg(jsonb_build_object('field', field, 'detail', detail)) FROM bad))
	ELSE jsonb_build_object('tenants', coalesce((SELECT jsonb_agg(record ORDER BY id) FROM shown), '[]'))
		|| CASE WHEN (SELECT count(*) FROM page) > (SELECT count(*) FROM shown)
			THEN jsonb_build_object('next', (SELECT max(id) FROM shown)) ELSE '{}' END END AS body
