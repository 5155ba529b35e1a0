-- SPDX-License-Identifier: Apache-2.0
-- PATCH /api/lanes/{id}: what is named changes; a campaign's lane changes with its campaign. $1 id, $2 a JSON object
SELECT status, body FROM lane_change(query_id($1::text), $2::jsonb)
