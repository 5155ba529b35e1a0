-- SPDX-License-Identifier: Apache-2.0
-- POST /api/scheduler/stop and start. $1 stop or start, $2 {"tenant", "campaign", "reason"}
WITH bad AS MATERIALIZED (
	SELECT left(key, 100) AS field, 'no such member' AS detail FROM jsonb_object_keys($2::jsonb) key
	WHERE key NOT IN ('tenant', 'campaign', 'reason')
	UNION ALL
	SELECT 'tenant', 'the id of a tenant' WHERE jsonb_typeof($2::jsonb -> 'tenant') NOT IN ('string', 'null')
	UNION ALL
	SELECT 'campaign', 'the id of a campaign' WHERE jsonb_typeof($2::jsonb -> 'campaign') <> 'null' AND json_id($2::jsonb -> 'campaign') IS NULL
	UNION ALL
	SELECT 'reason', 'text of up to 2000 characters'
	WHERE jsonb_typeof($2::jsonb -> 'reason') NOT IN ('string', 'null') OR length($2::jsonb ->> 'reason') > 2000
), asked AS MATERIALIZED (
	SELECT $2::jsonb ->> 'tenant' AS tenant, json_id($2::jsonb -> 'campaign') AS campaign WHERE NOT EXISTS (SELECT FROM bad)
), missing AS MATERIALIZED (
	SELECT CASE WHEN campaign IS NULL THEN 'tenant' ELSE 'campaign' END AS what FROM asked
	WHERE campaign IS NOT NULL AND NOT EXISTS (SELECT FROM campaigns k WHERE k.id = campaign AND k.deleted_at IS NULL AND k.tenant_id = coalesce(tenant, k.tenant_id))
	OR campaign IS NULL AND tenant IS NOT NULL AND NOT EXISTS (SELECT FROM tenants WHERE id = tenant)
)
SELECT 200 AS status, scheduler_switch($1::text = 'stop', tenant, campaign, $2::jsonb ->> 'reason') AS body
FROM asked WHERE NOT EXISTS (SELECT FROM missing)
UNION ALL
SELECT 404, problem(404, 'no such ' || what) FROM missing
UNION ALL
SELECT 422, problems(jsonb_agg(jsonb_build_object('field', field, 'detail', detail))) FROM bad HAVING count(*) > 0
