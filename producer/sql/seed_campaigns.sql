-- SPDX-License-Identifier: Apache-2.0
-- The campaign source: contacts that are to be called get their scheduled call, one at a time each. $1 limit
WITH wanted AS MATERIALIZED (
	SELECT id FROM campaign_contacts WHERE schedule_at IS NOT NULL
	ORDER BY schedule_at LIMIT $1::bigint FOR NO KEY UPDATE SKIP LOCKED
)
SELECT campaign_schedule(ARRAY(SELECT id FROM wanted)) AS seeded, (SELECT count(*) FROM wanted) AS looked
