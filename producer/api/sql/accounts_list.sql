-- SPDX-License-Identifier: Apache-2.0
-- GET accounts, by name, the environment's too. $1 tenant, $2 provider, $3 limit, $4 after
WITH bad AS MATERIALIZED (
	SELECT field, detail FROM (VALUES
		('provider', $2::text <> ALL (providers()), 'one of ' || array_to_string(providers(), ', ')),
		('limit', $3::text IS NOT NULL AND query_limit($3) IS NULL, 'a number from 1 to 1000')) v (field, is_bad, detail)
	WHERE is_bad
), page AS MATERIALIZED (
	SELECT a.name, account_record(a) AS record FROM accounts a
	WHERE a.name > coalesce($4::text, '') AND ($1::text IS NULL OR a.tenant_id = $1::text) AND ($2::text IS NULL OR a.provider = $2::text)
	AND NOT EXISTS (SELECT FROM bad)
	ORDER BY a.name LIMIT query_limit($3) + 1
)
SELECT a.status, a.body
FROM page_answer('accounts', (SELECT jsonb_agg(to_jsonb(b)) FROM bad b), query_limit($3),
	ARRAY(SELECT name::text FROM page ORDER BY name), ARRAY(SELECT record FROM page ORDER BY name)) a
