-- SPDX-License-Identifier: Apache-2.0
-- GET /api/holidays of a tenant, by day. $1 tenant, $2 from, $3 to
WITH bad AS MATERIALIZED (
	SELECT field, detail FROM (VALUES
		('from', $2::text IS NOT NULL AND calendar_day($2) IS NULL, 'a day, such as 2026-01-01'),
		('to', $3::text IS NOT NULL AND calendar_day($3) IS NULL, 'a day, such as 2026-12-31')) v (field, is_bad, detail)
	WHERE is_bad
), missing AS MATERIALIZED (
	SELECT WHERE NOT EXISTS (SELECT FROM bad) AND NOT EXISTS (SELECT FROM tenants WHERE id = coalesce($1::text, 'default'))
)
SELECT 200 AS status, jsonb_build_object('holidays', (SELECT coalesce(jsonb_agg(holiday_record(h) ORDER BY h.day), '[]') FROM holidays h
	WHERE h.tenant_id = coalesce($1::text, 'default') AND h.day >= coalesce(calendar_day($2), '-infinity') AND h.day <= coalesce(calendar_day($3), 'infinity'))) AS body
WHERE NOT EXISTS (SELECT FROM bad) AND NOT EXISTS (SELECT FROM missing)
UNION ALL
SELECT 404, problem(404, 'no such tenant') FROM missing
UNION ALL
SELECT 422, problems(jsonb_agg(jsonb_build_object('field', field, 'detail', detail))) FROM bad HAVING count(*) > 0
