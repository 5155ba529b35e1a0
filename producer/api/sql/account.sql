-- SPDX-License-Identifier: Apache-2.0
-- GET accounts/{name}. $1 name
SELECT coalesce(max(200), 404) AS status, coalesce((array_agg(account_record(a)))[1], problem(404, 'no such account')) AS body
FROM accounts a WHERE a.name = $1::text
