-- SPDX-License-Identifier: Apache-2.0
-- POST campaigns/{id}/start and stop, as often as one likes: the lane opens or closes at once, for jobs in Kafka too; scheduled
-- calls are cancelled, or taken up again, in batches behind it. $1 start or stop, $2 id
WITH campaign AS MATERIALIZED (
	SELECT k.id, k.lane_id FROM campaigns k WHERE k.id = query_id($2::text) AND k.deleted_at IS NULL
), waiting AS MATERIALIZED (   -- counted before anything is locked, up to a million: no count keeps a campaign from its stop
	SELECT count(*) AS calls FROM (SELECT FROM campaign k CROSS JOIN LATERAL campaign_waiting(k.lane_id, $1::text = 'start') LIMIT 1000000) w
), turned AS MATERIALIZED (
	SELECT k.id FROM campaign k CROSS JOIN waiting w WHERE CASE WHEN w.calls >= 0 THEN campaign_turn(k.id, $1::text = 'start', NULL) END IS NOT NULL
)
SELECT CASE WHEN EXISTS (SELECT FROM turned) THEN 200 ELSE 404 END AS status, CASE WHEN EXISTS (SELECT FROM turned)
	THEN jsonb_build_object('id', (SELECT id FROM turned), 'isActive', $1::text = 'start',
		CASE $1::text WHEN 'start' THEN 'resumed' ELSE 'cancelled' END, (SELECT calls FROM waiting))
	ELSE problem(404, 'no such campaign') END AS body
