-- SPDX-License-Identifier: Apache-2.0
-- The last day of these accounts is to be audited again, now.
-- $1 accounts
INSERT INTO audits (account_id, audited_to)
SELECT id, now() - interval '1 day' FROM accounts WHERE name = ANY ($1::text[]) AND active
ON CONFLICT (account_id) DO UPDATE SET audited_to = excluded.audited_to, next_at = now(), failures = 0
