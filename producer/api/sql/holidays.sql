-- SPDX-License-Identifier: Apache-2.0
-- GET /api/holidays of a tenant, by day. $1 from, $2 to
WITH bad AS MATERIALIZED (
	SELECT field, detail FROM (VALUES
		('from', $1::text IS NOT NULL AND calendar_day($1) IS NULL, 'a day, such as 2026-01-01'),
		('to', $2::text IS NOT NULL AND calendar_day($2) IS NULL, 'a day, such as 2026-12-31')) v (field, is_bad, detail)
	WHERE is_bad
)
SELECT 200 AS status, jsonb_build_object('holidays', (SELECT coalesce(jsonb_agg(holiday_record(h) ORDER BY h.day), '[]') FROM holidays h
	WHERE h.tenant_id = request_tenant() AND h.day >= coalesce(calendar_day($1), '-infinity') AND h.day <= coalesce(calendar_day($2), 'infinity'))) AS body
WHERE NOT EXISTS (SELECT FROM bad)
UNION ALL
SELECT 422, problems(jsonb_agg(jsonb_build_object('field', field, 'detail', detail))) FROM bad HAVING count(*) > 0
