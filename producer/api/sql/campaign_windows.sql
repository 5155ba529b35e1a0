-- SPDX-License-Identifier: Apache-2.0
-- GET campaigns/{id}/windows: the next seven. $1 id
SELECT coalesce(max(200), 404) AS status,
	coalesce((array_agg(jsonb_build_object('windows', campaign_windows(k.lane_id, 7))))[1], problem(404, 'no such campaign')) AS body
FROM campaigns k WHERE k.id = query_id($1::text) AND k.deleted_at IS NULL
