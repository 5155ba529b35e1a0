-- SPDX-License-Identifier: Apache-2.0
-- POST api-keys: the key itself is in this answer and nowhere else. A process holds 4,096 keys that can be used.
-- $1 {"name", "role", "tenant", "expires_at"}
WITH given AS MATERIALIZED (
	SELECT $1::jsonb AS g, 'carillon_' || encode(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()), 'hex') AS key
), bad AS MATERIALIZED (
	SELECT left(m.key, 100) AS field, p.detail FROM given CROSS JOIN LATERAL jsonb_each('{"name": null, "role": null}' || g) m
	CROSS JOIN LATERAL (SELECT jsonb_typeof(m.value) AS kind, m.value #>> '{}' AS word) v
	CROSS JOIN LATERAL (SELECT CASE m.key
		WHEN 'name' THEN CASE WHEN kind <> 'string' OR length(word) NOT BETWEEN 1 AND 200 THEN 'text of 1 to 200 characters that tells whose it is' END
		WHEN 'role' THEN CASE WHEN kind <> 'string' OR word NOT IN ('read', 'operate') THEN 'read or operate' END
		WHEN 'tenant' THEN CASE WHEN kind <> 'null' AND (kind <> 'string' OR NOT EXISTS (SELECT FROM tenants t WHERE t.id = word))
			THEN 'the id of a tenant; null for a key to all' END
		WHEN 'expires_at' THEN CASE WHEN kind <> 'null' AND (kind <> 'string' OR iso_time(word) IS NULL)
			THEN 'a time with its offset, such as 2027-01-01T00:00:00Z; null: never'
			WHEN iso_time(word) <= now() THEN 'in the future' END
		ELSE 'no such field' END AS detail OFFSET 0) p
	WHERE p.detail IS NOT NULL
), verdict AS MATERIALIZED (
	SELECT CASE WHEN EXISTS (SELECT FROM bad) THEN 422
		WHEN (SELECT count(*) FROM api_keys WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())) >= 4096 THEN 409
		ELSE 201 END AS status
), made AS (
	INSERT INTO api_keys (tenant_id, name, role, hash, expires_at)
	SELECT g ->> 'tenant', g ->> 'name', g ->> 'role', sha256(convert_to(key, 'UTF8')), iso_time(g ->> 'expires_at')
	FROM given, verdict WHERE status = 201
	RETURNING api_keys
)
SELECT v.status, CASE v.status WHEN 201 THEN (SELECT api_key_record(api_keys) FROM made) || jsonb_build_object('key', (SELECT key FROM given))
	WHEN 409 THEN problem(409, 'there are 4096 keys; revoke one first')
	ELSE problems((SELECT jsonb_agg(jsonb_build_object('field', field, 'detail', detail)) FROM bad)) END AS body
FROM verdict v
