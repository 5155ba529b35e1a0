-- SPDX-License-Identifier: Apache-2.0
-- GET tenants, by id; `next` is given when there are more, to be asked for as `after`. $1 limit, $2 after
WITH bad AS MATERIALIZED (
	SELECT 'limit' AS field, 'a number from 1 to 1000' AS detail WHERE $1::text IS NOT NULL AND query_limit($1) IS NULL
), page AS MATERIALIZED (
	SELECT t.id, tenant_record(t) AS record FROM tenants t WHERE t.id > coalesce($2::text, '') AND NOT EXISTS (SELECT FROM bad)
	ORDER BY t.id LIMIT query_limit($1) + 1
)
SELECT a.status, a.body
FROM page_answer('tenants', (SELECT jsonb_agg(to_jsonb(b)) FROM bad b), query_limit($1),
	ARRAY(SELECT id::text FROM page ORDER BY id), ARRAY(SELECT record FROM page ORDER BY id)) a
