-- SPDX-License-Identifier: Apache-2.0
-- POST cleanup: what the retention says, now, of up to 100,000 records; the sweeper does the rest.
WITH cut AS MATERIALIZED (
	SELECT now() - (redial_setting() ->> 'retention_days')::integer * interval '1 day' AS at
), old AS MATERIALIZED (
	SELECT id, status FROM redial_queue WHERE updated_at < (SELECT at FROM cut) AND status IN ('completed', 'max_attempts')
	ORDER BY id LIMIT 100000 FOR UPDATE SKIP LOCKED
), removed AS (
	DELETE FROM redial_queue WHERE id = ANY (ARRAY(SELECT id FROM old)) RETURNING id, status
), noted AS (
	INSERT INTO transitions (entity, entity_id, from_state, to_state, reason, actor)
	SELECT 'redial', id::text, status, 'removed', 'retention', 'operator' FROM removed
)
SELECT 200 AS status, jsonb_build_object('success', true, 'timestamp', iso_utc(now()),
	'message', 'Old records removed', 'removed', (SELECT count(*) FROM removed)) AS body
