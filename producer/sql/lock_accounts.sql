-- SPDX-License-Identifier: Apache-2.0
-- Accounts with a limit, after the lanes and in one order: producers that serve other lanes of an account wait here, so that
-- claim.sql counts its slots with a snapshot that has their claims. $1 token of the pass
SELECT id FROM accounts
WHERE max_concurrent > 0 AND tenant_id IN (SELECT tenant_id FROM lanes WHERE claim_token = $1::uuid)
ORDER BY id FOR NO KEY UPDATE
