-- SPDX-License-Identifier: Apache-2.0
-- POST accounts. $1 the account, its credentials' values left out, $2 the sealed credentials in hexadecimal, null: none
WITH given AS MATERIALIZED (
	SELECT g, account_problems(NULL, g) AS bad FROM whole_numbers($1::jsonb) g
), made AS (
	INSERT INTO accounts (tenant_id, name, provider, active, max_concurrent, settings, credentials, credential_names)
	SELECT coalesce(g ->> 'tenant', request_tenant()), g ->> 'name', g ->> 'provider', coalesce((g ->> 'active')::boolean, true),
		coalesce((g ->> 'max_concurrent')::integer, 0), jsonb_strip_nulls(coalesce(g -> 'settings', '{}')), decode($2::text, 'hex'),
		ARRAY(SELECT key FROM jsonb_each(coalesce(g -> 'credentials', '{}')) WHERE value <> 'null' ORDER BY key)
	FROM given WHERE bad IS NULL
	ON CONFLICT (name) DO NOTHING
	RETURNING accounts
)
SELECT CASE WHEN bad IS NOT NULL THEN 422 WHEN EXISTS (SELECT FROM made) THEN 201 ELSE 409 END AS status,
	CASE WHEN bad IS NOT NULL THEN problems(bad)
	ELSE coalesce((SELECT account_record(accounts) FROM made), problem(409, 'there is an account of this name')) END AS body
FROM given
