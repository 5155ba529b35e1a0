-- SPDX-License-Identifier: Apache-2.0
-- POST /api/scheduler/stop and start. $1 stop or start, $2 {"tenant", "reason"}
WITH bad AS MATERIALIZED (
	SELECT left(key, 100) AS field, 'no such member' AS detail FROM jsonb_object_keys($2::jsonb) key WHERE key NOT IN ('tenant', 'reason')
	UNION ALL
	SELECT 'tenant', 'the id of a tenant' WHERE jsonb_typeof($2::jsonb -> 'tenant') NOT IN ('string', 'null')
	UNION ALL
	SELECT 'reason', 'text of up to 2000 characters'
	WHERE jsonb_typeof($2::jsonb -> 'reason') NOT IN ('string', 'null') OR length($2::jsonb ->> 'reason') > 2000
), missing AS MATERIALIZED (
	SELECT WHERE $2::jsonb ->> 'tenant' IS NOT NULL AND NOT EXISTS (SELECT FROM bad)
		AND NOT EXISTS (SELECT FROM tenants WHERE id = $2::jsonb ->> 'tenant')
)
SELECT 200 AS status, scheduler_switch(stops, $2::jsonb ->> 'tenant', $2::jsonb ->> 'reason') AS body
FROM (SELECT $1::text = 'stop' AS stops WHERE NOT EXISTS (SELECT FROM bad) AND NOT EXISTS (SELECT FROM missing)) a
UNION ALL
SELECT 404, problem(404, 'no such tenant') FROM missing
UNION ALL
SELECT 422, problems(jsonb_agg(jsonb_build_object('field', field, 'detail', detail))) FROM bad HAVING count(*) > 0
