-- SPDX-License-Identifier: Apache-2.0
-- With which credentials these calls are posted: a list read with others proves nothing about them.
-- $1 job ids, $2 worker, $3 account names, $4 their fingerprints
UPDATE calls c SET fingerprint = f.fingerprint
FROM unnest($3::text[], $4::text[]) f (account, fingerprint) JOIN accounts a ON a.name = f.account
WHERE c.job_id = ANY ($1::uuid[]) AND c.worker = $2 AND c.account_id = a.id AND c.status = 'dialing' AND c.fingerprint IS NULL
