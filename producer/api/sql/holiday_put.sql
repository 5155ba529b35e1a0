-- SPDX-License-Identifier: Apache-2.0
-- POST /api/holidays and PUT /api/holidays/{day}: nobody of the tenant is called on that day. $1 tenant, $2 day, $3 {"day", "name"}
WITH given AS MATERIALIZED (
	SELECT $3::jsonb || CASE WHEN $2::text IS NULL THEN '{}' ELSE jsonb_build_object('day', $2::text) END AS members, coalesce($1::text, 'default') AS tenant
), bad AS MATERIALIZED (
	SELECT left(m.key, 100) AS field, p.detail FROM given CROSS JOIN LATERAL jsonb_each(members) m
	CROSS JOIN LATERAL (SELECT holiday_problem(m.key, m.value) AS detail) p WHERE p.detail IS NOT NULL
	UNION ALL
	SELECT 'day', 'missing' FROM given WHERE NOT members ? 'day'
	UNION ALL
	SELECT 'day', 'not that of the path' WHERE $2::text IS NOT NULL AND $3::jsonb ->> 'day' <> $2
), put AS (
	INSERT INTO holidays (tenant_id, day, name)
	SELECT tenant, calendar_day(members ->> 'day'), coalesce(members ->> 'name', '') FROM given
	WHERE NOT EXISTS (SELECT FROM bad) AND EXISTS (SELECT FROM tenants WHERE id = tenant)
	ON CONFLICT (tenant_id, day) DO UPDATE SET name = excluded.name
	RETURNING holidays
)
SELECT CASE WHEN EXISTS (SELECT FROM bad) THEN 422 WHEN EXISTS (SELECT FROM put) THEN 200 ELSE 404 END AS status,
	coalesce((SELECT holiday_record(holidays) FROM put),
		(SELECT problems(jsonb_agg(jsonb_build_object('field', field, 'detail', detail))) FROM bad HAVING count(*) > 0),
		problem(404, 'no such tenant')) AS body
