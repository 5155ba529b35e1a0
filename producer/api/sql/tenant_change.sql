-- SPDX-License-Identifier: Apache-2.0
-- PATCH tenants/{id}: its name; it is stopped and started by the scheduler's switch. $1 id, $2 {"name"}
WITH bad AS MATERIALIZED (
	SELECT left(m.key, 100) AS field, CASE m.key WHEN 'name' THEN 'text of 1 to 200 characters' ELSE 'no such field' END AS detail
	FROM jsonb_each($2::jsonb) m
	WHERE m.key <> 'name' OR jsonb_typeof(m.value) <> 'string' OR length(m.value #>> '{}') NOT BETWEEN 1 AND 200
), changed AS (
	UPDATE tenants SET name = coalesce($2::jsonb ->> 'name', name) WHERE id = $1::text AND NOT EXISTS (SELECT FROM bad)
	RETURNING tenants
), verdict AS MATERIALIZED (
	SELECT CASE WHEN NOT EXISTS (SELECT FROM tenants WHERE id = $1::text) THEN 404 WHEN EXISTS (SELECT FROM bad) THEN 422 ELSE 200 END AS status
)
SELECT v.status, CASE v.status WHEN 200 THEN (SELECT tenant_record(tenants) FROM changed)
	WHEN 404 THEN problem(404, 'no such tenant')
	ELSE problems((SELECT jsonb_agg(jsonb_build_object('field', field, 'detail', detail)) FROM bad)) END AS body
FROM verdict v
