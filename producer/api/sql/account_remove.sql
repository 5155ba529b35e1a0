-- SPDX-License-Identifier: Apache-2.0
-- DELETE accounts/{name}: nothing is dialed with it any more, and its credentials are gone. Its name stays that of its calls. $1 name
WITH was AS MATERIALIZED (
	SELECT source FROM accounts WHERE name = $1::text
), removed AS (
	UPDATE accounts SET active = false, credentials = NULL, credential_names = '{}', updated_at = now()
	WHERE name = $1::text AND source = 'api' RETURNING accounts
)
SELECT CASE WHEN EXISTS (SELECT FROM removed) THEN 200 WHEN EXISTS (SELECT FROM was) THEN 409 ELSE 404 END AS status,
	CASE WHEN EXISTS (SELECT FROM removed) THEN (SELECT account_record(accounts) FROM removed)
	WHEN EXISTS (SELECT FROM was) THEN problem(409, 'an account of the environment: it is removed there')
	ELSE problem(404, 'no such account') END AS body
