-- SPDX-License-Identifier: Apache-2.0
-- GET tenants/{id}. $1 id
SELECT coalesce(max(200), 404) AS status, coalesce((array_agg(tenant_record(t)))[1], problem(404, 'no such tenant')) AS body
FROM tenants t WHERE t.id = $1::text
