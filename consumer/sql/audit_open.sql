-- SPDX-License-Identifier: Apache-2.0
-- The differences that nobody has resolved, as --audit prints them.
SELECT jsonb_build_object('id', d.id, 'account', a.name, 'kind', d.kind, 'provider_call_id', d.provider_call_id, 'job_id', d.job_id,
	'phone', left(d.phone, 3) || repeat('*', greatest(0, length(d.phone) - 5)) || right(d.phone, 2), 'happened_at', iso_utc(d.happened_at),
	'first_seen_at', iso_utc(d.first_seen_at)) AS line
FROM audit_differences d JOIN accounts a ON a.id = d.account_id
WHERE d.resolved_at IS NULL ORDER BY d.id LIMIT 10000
