-- SPDX-License-Identifier: Apache-2.0
-- POST /api/holidays and PUT /api/holidays/{day}: nobody of the tenant is called on that day. $1 day, $2 {"day", "name"}
WITH given AS MATERIALIZED (
	SELECT $2::jsonb || CASE WHEN $1::text IS NULL THEN '{}' ELSE jsonb_build_object('day', $1::text) END AS members
), bad AS MATERIALIZED (
	SELECT left(m.key, 100) AS field, p.detail FROM given CROSS JOIN LATERAL jsonb_each(members) m
	CROSS JOIN LATERAL (SELECT holiday_problem(m.key, m.value) AS detail) p WHERE p.detail IS NOT NULL
	UNION ALL
	SELECT 'day', 'missing' FROM given WHERE NOT members ? 'day'
	UNION ALL
	SELECT 'day', 'not that of the path' WHERE $1::text IS NOT NULL AND $2::jsonb ->> 'day' <> $1
), put AS (
	INSERT INTO holidays (tenant_id, day, name)
	SELECT request_tenant(), calendar_day(members ->> 'day'), coalesce(members ->> 'name', '') FROM given
	WHERE NOT EXISTS (SELECT FROM bad)
	ON CONFLICT (tenant_id, day) DO UPDATE SET name = excluded.name
	RETURNING holidays
)
SELECT CASE WHEN EXISTS (SELECT FROM bad) THEN 422 ELSE 200 END AS status,
	coalesce((SELECT holiday_record(holidays) FROM put),
		(SELECT problems(jsonb_agg(jsonb_build_object('field', field, 'detail', detail))) FROM bad HAVING count(*) > 0)) AS body
