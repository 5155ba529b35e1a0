-- SPDX-License-Identifier: Apache-2.0
-- For the metrics and the end of --audit: open differences, and how far behind the account is that is audited least.
-- $1 accounts that this process can ask, $2 s that a call is left alone
SELECT (SELECT count(*) FROM audit_differences WHERE resolved_at IS NULL) AS open,
	coalesce(extract(epoch FROM max(now() - coalesce(u.audited_to, a.created_at))), 0)::bigint - $2::integer AS behind_s,
	count(*) FILTER (WHERE u.failures > 0) AS failing
FROM accounts a LEFT JOIN audits u ON u.account_id = a.id
WHERE a.active AND a.name = ANY ($1::text[])
