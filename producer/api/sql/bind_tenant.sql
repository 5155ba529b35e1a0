-- SPDX-License-Identifier: Apache-2.0
-- Before a tenant's own request, in its transaction. $1 tenant
SELECT bind_tenant($1::text)
