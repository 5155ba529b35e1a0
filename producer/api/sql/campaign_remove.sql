-- SPDX-License-Identifier: Apache-2.0
-- DELETE campaigns/{id}: stopped for good and no longer listed; its calls stay in the history. $1 id
WITH removed AS (
	UPDATE campaigns SET deleted_at = now(), updated_at = now(), changing = true, change_at = '-infinity'
	WHERE id = query_id($1::text) AND deleted_at IS NULL RETURNING id, lane_id
), closed AS (
	UPDATE lanes n SET active = false FROM removed r WHERE n.id = r.lane_id AND n.active
), noted AS (
	INSERT INTO transitions (entity, entity_id, to_state, actor) SELECT 'campaign', id::text, 'deleted', 'operator' FROM removed
)
SELECT CASE WHEN EXISTS (SELECT FROM removed) THEN 200 ELSE 404 END AS status,
	coalesce((SELECT jsonb_build_object('id', id, 'deleted', true) FROM removed), problem(404, 'no such campaign')) AS body
