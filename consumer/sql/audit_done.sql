-- SPDX-License-Identifier: Apache-2.0
-- A slice is done, or its list could not be read whole: then a shorter one is tried, in five minutes at first.
-- $1 account, $2 to (ms), $3 the list was complete, $4 interval in s, $5 s that a call is left alone
UPDATE audits u SET
	audited_to = CASE WHEN $3::boolean THEN from_ms($2::bigint) ELSE u.audited_to END,
	audited_at = CASE WHEN $3::boolean THEN now() ELSE u.audited_at END,
	failures = CASE WHEN $3::boolean THEN 0 ELSE u.failures + 1 END,
	slice_s = CASE WHEN $3::boolean THEN least(3600, u.slice_s * 2) ELSE greatest(60, u.slice_s / 2) END,
	next_at = now() + CASE WHEN NOT $3::boolean THEN least(3600, 300 * 2 ^ least(u.failures, 10)) * interval '1 second'
		WHEN from_ms($2::bigint) < now() - ($5::integer + 60) * interval '1 second' THEN interval '0'   -- not caught up yet
		ELSE $4::integer * interval '1 second' END
FROM accounts a WHERE a.id = u.account_id AND a.name = $1
