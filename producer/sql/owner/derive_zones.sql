-- SPDX-License-Identifier: Apache-2.0
-- Leads whose zones follow from a changed table of phone zones, a batch at a time. $1 after this id, $2 limit
WITH looked AS MATERIALIZED (
	SELECT id, lead_zones(time_zone, phone_e164) AS zones FROM leads WHERE id > $1::bigint ORDER BY id LIMIT $2::bigint
), derived AS (
	UPDATE leads l SET zones = k.zones FROM looked k WHERE l.id = k.id AND l.zones <> k.zones
)
SELECT count(*) AS looked, coalesce(max(id), 0) AS last_id FROM looked
