-- SPDX-License-Identifier: Apache-2.0
-- All provider accounts, for account_set_new(). Credentials stay sealed: a process without the key learns nothing.
SELECT id::text AS id, name, tenant_id, provider, active, max_concurrent, encode(credentials, 'hex') AS credentials,
	settings::text AS settings, source
FROM carillon.accounts
ORDER BY name
