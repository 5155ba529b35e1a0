-- SPDX-License-Identifier: Apache-2.0
-- Redial records older than the retention: final ones go, open ones are closed and go a retention later. $1 limit
WITH cut AS MATERIALIZED (
	SELECT now() - (redial_setting() ->> 'retention_days')::integer * interval '1 day' AS at
), old AS MATERIALIZED (
	SELECT id, status FROM redial_queue WHERE updated_at < (SELECT at FROM cut)
	ORDER BY id LIMIT $1::bigint FOR UPDATE SKIP LOCKED
), removed AS (
	DELETE FROM redial_queue WHERE id = ANY (ARRAY(SELECT id FROM old WHERE status IN ('completed', 'max_attempts')))
	RETURNING id, status
), closed AS (
	UPDATE redial_queue SET status = 'completed', next_redial_timestamp = NULL, updated_at = now()
	WHERE id = ANY (ARRAY(SELECT id FROM old WHERE status NOT IN ('completed', 'max_attempts')))
	RETURNING id
), noted AS (
	INSERT INTO transitions (entity, entity_id, from_state, to_state, reason, actor)
	SELECT 'redial', id::text, status, 'removed', 'retention', 'producer' FROM removed
	UNION ALL
	SELECT 'redial', c.id::text, o.status, 'completed', 'retention', 'producer' FROM closed c JOIN old o USING (id)
)
SELECT (SELECT count(*) FROM removed) AS removed, (SELECT count(*) FROM closed) AS closed
