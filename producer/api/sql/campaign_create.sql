-- SPDX-License-Identifier: Apache-2.0
-- POST campaigns: of tenant `default`. $1 a JSON object
SELECT status, body FROM campaign_create('default', $1::jsonb)
