-- SPDX-License-Identifier: Apache-2.0
-- Lanes of the default tenant without an account get the environment's; others are left alone, and told apart.
-- $1 lanes, $2 accounts
WITH wanted AS MATERIALIZED (
	SELECT n.id, n.name, n.account_id, w.account, a.id AS wanted_id
	FROM unnest($1::text[], $2::text[]) w (lane, account)
	JOIN lanes n ON n.tenant_id = 'default' AND n.name = w.lane
	LEFT JOIN accounts a ON a.tenant_id = 'default' AND a.name = w.account
), filled AS (
	UPDATE lanes n SET account_id = w.wanted_id
	FROM wanted w WHERE n.id = w.id AND n.account_id IS NULL AND w.wanted_id IS NOT NULL
)
SELECT name AS lane, account, wanted_id IS NULL AS missing,
	account_id IS NOT NULL AND account_id IS DISTINCT FROM wanted_id AS other
FROM wanted
