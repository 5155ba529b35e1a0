-- SPDX-License-Identifier: Apache-2.0
-- POST campaigns/{id}/start and stop, as often as one likes: the lane opens or closes at once, for jobs in Kafka too; scheduled
-- calls are cancelled, or taken up again, in batches behind it. $1 start or stop, $2 id
WITH campaign AS MATERIALIZED (
	SELECT k.id, k.lane_id, n.active FROM campaigns k JOIN lanes n ON n.id = k.lane_id
	WHERE k.id = query_id($2::text) AND k.deleted_at IS NULL FOR NO KEY UPDATE OF k, n
), waiting AS MATERIALIZED (
	SELECT count(*) AS calls FROM follow_ups f WHERE f.source = 'campaign' AND f.lane_id = (SELECT lane_id FROM campaign)
	AND CASE $1::text WHEN 'stop' THEN f.status IN ('pending', 'queued') ELSE f.status = 'cancelled' AND f.reason = 'campaign_stopped' END
), switched AS (
	UPDATE lanes n SET active = $1::text = 'start' FROM campaign c WHERE n.id = c.lane_id AND c.active <> ($1::text = 'start')
	RETURNING c.id
), noted AS (
	INSERT INTO transitions (entity, entity_id, from_state, to_state, actor)
	SELECT 'campaign', id::text, CASE $1::text WHEN 'start' THEN 'stopped' ELSE 'active' END,
		CASE $1::text WHEN 'start' THEN 'active' ELSE 'stopped' END, 'operator' FROM switched
)
SELECT CASE WHEN EXISTS (SELECT FROM campaign) THEN 200 ELSE 404 END AS status, CASE WHEN EXISTS (SELECT FROM campaign)
	THEN jsonb_build_object('id', (SELECT id FROM campaign), 'isActive', $1::text = 'start',
		CASE $1::text WHEN 'start' THEN 'resumed' ELSE 'cancelled' END, (SELECT calls FROM waiting))
	ELSE problem(404, 'no such campaign') END AS body
