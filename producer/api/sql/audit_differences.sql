-- SPDX-License-Identifier: Apache-2.0
-- GET /api/audit: differences between providers' lists and the ledger, the oldest first; `next` is to be asked for as `after`.
-- $1 account, $2 resolved, $3 limit, $4 after
WITH bad AS MATERIALIZED (
	SELECT field, detail FROM (VALUES
		($2::text NOT IN ('true', 'false'), 'resolved', 'true or false'),
		($3::text IS NOT NULL AND query_limit($3) IS NULL, 'limit', 'a number from 1 to 1000'),
		($4::text !~ '^[0-9]{1,18}$', 'after', 'what an answer gave as next')) v (is_bad, field, detail)
	WHERE is_bad
), asked AS MATERIALIZED (
	SELECT query_limit($3) AS most, coalesce($4::text::bigint, 0) AS after WHERE NOT EXISTS (SELECT FROM bad)
), page AS MATERIALIZED (
	SELECT d AS difference, d.id FROM audit_differences d JOIN accounts a ON a.id = d.account_id
	WHERE d.id > (SELECT after FROM asked) AND ($1::text IS NULL OR a.name = $1::text)
		AND ($2::text IS NULL OR (d.resolved_at IS NOT NULL) = ($2::text = 'true'))
	ORDER BY d.id LIMIT (SELECT most + 1 FROM asked)
), shown AS MATERIALIZED (
	SELECT * FROM page ORDER BY id LIMIT (SELECT most FROM asked)
)
SELECT 200 AS status, jsonb_build_object('differences', (SELECT coalesce(jsonb_agg(audit_record(difference) ORDER BY id), '[]') FROM shown),
	'accounts', (SELECT coalesce(jsonb_agg(jsonb_build_object('account', a.name, 'audited_to', iso_utc(u.audited_to),
		'audited_at', iso_utc(u.audited_at), 'failures', u.failures) ORDER BY a.name), '[]') FROM audits u JOIN accounts a ON a.id = u.account_id),
	'next', CASE WHEN (SELECT count(*) FROM page) > (SELECT count(*) FROM shown) THEN (SELECT max(id)::text FROM shown) END) AS body
FROM asked
UNION ALL
SELECT 422, problems(jsonb_agg(jsonb_build_object('field', field, 'detail', detail))) FROM bad HAVING count(*) > 0
