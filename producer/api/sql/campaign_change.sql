-- SPDX-License-Identifier: Apache-2.0
-- PATCH campaigns/{id}: what is named changes; isActive starts and stops it. $1 id, $2 a JSON object
SELECT status, body FROM campaign_change(query_id($1::text), $2::jsonb)
