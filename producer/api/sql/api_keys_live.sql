-- SPDX-License-Identifier: Apache-2.0
-- The keys that can be used now. The youngest win where there are more than a process holds: $1
SELECT encode(hash, 'hex') AS hash, coalesce(tenant_id, '') AS tenant, role = 'operate' AS may_operate, to_ms(expires_at) AS expires_at
FROM api_keys WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
ORDER BY id DESC LIMIT $1::integer
