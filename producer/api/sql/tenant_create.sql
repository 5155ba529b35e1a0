-- SPDX-License-Identifier: Apache-2.0
-- POST tenants: with lanes of its own, which have no account yet. $1 {"id", "name"}
WITH bad AS MATERIALIZED (
	SELECT left(m.key, 100) AS field, CASE m.key WHEN 'id' THEN '1 to 63 small letters, digits, underscores and hyphens'
		WHEN 'name' THEN 'text of 1 to 200 characters' ELSE 'no such field' END AS detail
	FROM jsonb_each('{"id": null}' || $1::jsonb) m
	WHERE CASE m.key WHEN 'id' THEN jsonb_typeof(m.value) <> 'string' OR m.value #>> '{}' !~ '^[a-z0-9][a-z0-9_-]{0,62}$'
		WHEN 'name' THEN jsonb_typeof(m.value) <> 'string' OR length(m.value #>> '{}') NOT BETWEEN 1 AND 200 ELSE true END
), made AS (
	INSERT INTO tenants (id, name) SELECT $1::jsonb ->> 'id', coalesce($1::jsonb ->> 'name', $1::jsonb ->> 'id')
	WHERE NOT EXISTS (SELECT FROM bad)
	ON CONFLICT DO NOTHING
	RETURNING tenants
), verdict AS MATERIALIZED (
	SELECT CASE WHEN EXISTS (SELECT FROM bad) THEN 422 WHEN EXISTS (SELECT FROM made) THEN 201 ELSE 409 END AS status
)
SELECT v.status, CASE v.status WHEN 201 THEN (SELECT tenant_record(tenants) FROM made)
	WHEN 409 THEN problem(409, 'there is a tenant of this id')
	ELSE problems((SELECT jsonb_agg(jsonb_build_object('field', field, 'detail', detail)) FROM bad)) END AS body
FROM verdict v
