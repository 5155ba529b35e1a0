-- SPDX-License-Identifier: Apache-2.0
-- Takes the account whose audit has been due the longest, and says which time is next: calls that are young are the reconciler's
-- still. An account that was never audited begins an interval back, one that was left alone for long a day back.
-- $1 accounts that this process can ask, $2 interval in s, $3 s that a call is left alone, $4 s that the account is ours
WITH begun AS (
	INSERT INTO audits (account_id, audited_to)
	SELECT id, now() - ($2::integer + $3::integer) * interval '1 second' FROM accounts WHERE name = ANY ($1::text[]) AND active
	ON CONFLICT DO NOTHING
), due AS MATERIALIZED (
	SELECT u.account_id, greatest(u.audited_to, now() - interval '1 day') AS from_at, u.slice_s
	FROM audits u JOIN accounts a ON a.id = u.account_id
	WHERE u.next_at <= now() AND a.active AND a.name = ANY ($1::text[])
		AND u.audited_to < now() - $3::integer * interval '1 second'
	ORDER BY u.next_at LIMIT 1 FOR UPDATE OF u SKIP LOCKED
), taken AS (
	UPDATE audits u SET next_at = now() + $4::integer * interval '1 second' FROM due WHERE u.account_id = due.account_id
)
SELECT a.name AS account, a.provider, to_ms(d.from_at) AS from_ms,
	to_ms(least(d.from_at + d.slice_s * interval '1 second', now() - $3::integer * interval '1 second')) AS to_ms, to_ms(now()) AS now_ms
FROM due d JOIN accounts a ON a.id = d.account_id
