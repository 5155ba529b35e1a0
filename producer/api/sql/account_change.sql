-- SPDX-License-Identifier: Apache-2.0
-- PATCH accounts/{name}: what is named changes, of settings each by itself, credentials all together. With other credentials it is
-- tried again, where the provider had refused it.
-- $1 name, $2 the members, credentials' values left out, $3 the sealed credentials in hexadecimal
WITH was AS MATERIALIZED (
	SELECT a AS account FROM accounts a WHERE a.name = $1::text FOR NO KEY UPDATE
), given AS MATERIALIZED (
	SELECT g, account_problems((SELECT (account).provider FROM was), g) AS bad FROM whole_numbers($2::jsonb) g WHERE EXISTS (SELECT FROM was)
), verdict AS MATERIALIZED (
	SELECT CASE WHEN NOT EXISTS (SELECT FROM was) THEN 404 WHEN (SELECT (account).source FROM was) <> 'api' THEN 409
		WHEN (SELECT bad FROM given) IS NOT NULL THEN 422 ELSE 200 END AS status
), changed AS (
	UPDATE accounts a SET active = coalesce((g ->> 'active')::boolean, a.active), max_concurrent = coalesce((g ->> 'max_concurrent')::integer, a.max_concurrent),
		settings = jsonb_strip_nulls(a.settings || coalesce(g -> 'settings', '{}')),
		credentials = CASE WHEN g ? 'credentials' THEN decode($3::text, 'hex') ELSE a.credentials END,
		credential_names = CASE WHEN g ? 'credentials' THEN ARRAY(SELECT key FROM jsonb_each(g -> 'credentials') WHERE value <> 'null' ORDER BY key)
			ELSE a.credential_names END, updated_at = now(),
		breaker_until = CASE WHEN NOT g ? 'credentials' THEN a.breaker_until END, breaker_reason = CASE WHEN NOT g ? 'credentials' THEN a.breaker_reason END
	FROM given, verdict WHERE a.name = $1::text AND status = 200
	RETURNING a
)
SELECT v.status, CASE v.status WHEN 200 THEN (SELECT account_record(a) FROM changed)
	WHEN 404 THEN problem(404, 'no such account')
	WHEN 409 THEN problem(409, 'an account of the environment: it is changed there')
	ELSE problems((SELECT bad FROM given)) END AS body
FROM verdict v
