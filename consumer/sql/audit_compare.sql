-- SPDX-License-Identifier: Apache-2.0
-- A slice of an account's calls at its provider against the ledger. Of the provider's calls each must be one that the ledger knows,
-- or could be one of unproved fate; two of a job are one too many, and one of a job that was given up contradicts a proof. A row without
-- a job id is taken for one of the job that was dialed to that number at about that time; not under a log's own number, which none of our
-- calls has. Of the
-- ledger's calls each that has the provider's id must be in the list, if that is complete. A difference that is found no more is
-- resolved; the answer is what is found now.
-- $1 account, $2 from and $3 to (ms), $4 the list is complete, $5 its rows come when a call is over, $6 s until a row shows,
-- $7 fingerprint of the credentials it was read with, $8 provider call ids, $9 job ids, $10 phones, $11 times (ms)
WITH here AS MATERIALIZED (
	SELECT a.id AS account_id, a.tenant_id, from_ms($2::bigint) AS from_at, from_ms($3::bigint) AS to_at FROM accounts a WHERE a.name = $1
), listed AS MATERIALIZED (
	SELECT DISTINCT ON (provider_call_id) provider_call_id, job_id, phone, from_ms(created_ms) AS created_at
	FROM unnest($8::text[], $9::uuid[], $10::text[], $11::bigint[]) r (provider_call_id, job_id, phone, created_ms)
	ORDER BY provider_call_id
), unnamed AS MATERIALIZED (   -- no call of ours bears the id
	SELECT s.*, h.account_id, h.tenant_id FROM listed s CROSS JOIN here h
	WHERE (s.created_at IS NULL OR s.created_at >= h.from_at AND s.created_at < h.to_at)
		AND NOT EXISTS (SELECT FROM provider_calls p WHERE p.account_id = h.account_id AND p.provider_call_id = s.provider_call_id)
), strange AS (
	SELECT CASE WHEN coalesce(c.provider_call_id, n.provider_call_id) <> u.provider_call_id THEN 'second_call'
			WHEN coalesce(c.status, n.status) IN ('rejected', 'not_dialed') THEN 'denied_call' ELSE 'unknown_call' END AS kind,
		u.provider_call_id, coalesce(c.job_id, n.job_id) AS job_id, u.phone, coalesce(u.created_at, now()) AS happened_at
	FROM unnamed u LEFT JOIN calls c ON c.job_id = u.job_id AND c.account_id = u.account_id
	LEFT JOIN LATERAL (SELECT o.job_id, o.status, o.provider_call_id FROM calls o
		WHERE u.job_id IS NULL AND u.provider_call_id NOT LIKE 'log:%' AND o.phone = u.phone AND o.account_id = u.account_id AND o.kind <> 'outside'
			AND o.claimed_at BETWEEN u.created_at - interval '15 minutes' AND u.created_at + interval '15 minutes'
		ORDER BY abs(extract(epoch FROM o.claimed_at - u.created_at)) LIMIT 1) n ON true
	WHERE c.job_id IS NOT NULL AND (c.provider_call_id <> u.provider_call_id OR c.status IN ('rejected', 'not_dialed'))
		OR c.job_id IS NULL AND NOT EXISTS (SELECT FROM calls o WHERE u.job_id IS NULL AND o.phone = u.phone
			AND o.account_id = u.account_id AND o.provider_call_id IS NULL AND o.status IN ('dialing', 'unknown', 'undetermined'))
), missing AS (
	SELECT 'missing_call' AS kind, c.provider_call_id, c.job_id, c.phone, c.claimed_at AS happened_at
	FROM here h JOIN calls c ON c.claimed_at >= h.from_at AND c.claimed_at < h.to_at AND c.account_id = h.account_id
	WHERE $4::boolean AND c.provider_call_id IS NOT NULL AND c.kind <> 'outside' AND c.fingerprint IS NOT DISTINCT FROM $7
		AND c.status IN ('calling', 'ringing', 'in_progress', 'completed', 'failed')
		AND (NOT $5::boolean OR c.ended_at < now() - $6::integer * interval '1 second')
		AND c.provider_call_id NOT IN (SELECT provider_call_id FROM listed)
), found AS MATERIALIZED (
	SELECT * FROM strange UNION ALL SELECT * FROM missing
), kept AS (
	INSERT INTO audit_differences (account_id, tenant_id, kind, provider_call_id, job_id, phone, happened_at)
	SELECT h.account_id, h.tenant_id, f.kind, f.provider_call_id, f.job_id, f.phone, f.happened_at FROM found f CROSS JOIN here h
	ORDER BY f.provider_call_id, f.kind
	ON CONFLICT (account_id, provider_call_id, kind) DO UPDATE SET last_seen_at = now(),
		resolved_at = CASE WHEN audit_differences.note IS NOT NULL THEN audit_differences.resolved_at END
	RETURNING kind, provider_call_id, job_id, phone, happened_at, resolved_at IS NULL AND xmax = 0 AS is_new   -- a row that was there has an updater
), gone AS (
	UPDATE audit_differences d SET resolved_at = now() FROM here h
	WHERE $4::boolean AND d.account_id = h.account_id AND d.resolved_at IS NULL AND d.happened_at >= h.from_at AND d.happened_at < h.to_at
		AND NOT EXISTS (SELECT FROM found f WHERE f.kind = d.kind AND f.provider_call_id = d.provider_call_id)
)
SELECT kind, provider_call_id, job_id, phone, to_ms(happened_at) AS happened_ms, is_new FROM kept
