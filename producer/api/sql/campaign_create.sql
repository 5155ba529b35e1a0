-- SPDX-License-Identifier: Apache-2.0
-- POST campaigns: of the request's tenant. $1 a JSON object
SELECT status, body FROM campaign_create(request_tenant(), $1::jsonb)
