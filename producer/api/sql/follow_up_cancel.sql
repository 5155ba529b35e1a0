-- SPDX-License-Identifier: Apache-2.0
-- POST follow-ups/{id}/cancel: it is not dialed, also where its job is in Kafka: no claim takes it. One that the redial queue
-- made pauses its record, which would wait for it else. $1 id
WITH was AS MATERIALIZED (
	SELECT f AS found FROM follow_ups f WHERE f.id = query_id($1::text) FOR UPDATE
), cancelled AS (
	UPDATE follow_ups f SET status = 'cancelled', reason = CASE f.source WHEN 'redial' THEN 'paused' ELSE 'operator' END,
		gate = NULL, next_look_at = NULL, lease_until = NULL
	FROM was WHERE f.id = (was.found).id AND (was.found).status IN ('pending', 'queued')
	RETURNING f
), record AS MATERIALIZED (
	SELECT r.id, r.status FROM cancelled JOIN redial_queue r ON (f).source = 'redial' AND r.id = query_id((f).source_id)
	WHERE r.status IN ('pending', 'rescheduled') FOR UPDATE OF r
), paused AS (
	UPDATE redial_queue r SET status = 'paused', updated_at = now() FROM record WHERE r.id = record.id
), noted AS (
	INSERT INTO transitions (entity, entity_id, from_state, to_state, reason, actor)
	SELECT 'redial', id::text, status, 'paused', 'follow-up cancelled', 'operator' FROM record
), verdict AS MATERIALIZED (
	SELECT CASE WHEN NOT EXISTS (SELECT FROM was) THEN 404 WHEN (SELECT (found).status FROM was) IN ('pending', 'queued', 'cancelled') THEN 200
		ELSE 409 END AS status
)
SELECT v.status, CASE v.status WHEN 404 THEN problem(404, 'no such follow-up')
	WHEN 409 THEN problem(409, format('the follow-up is %s', (SELECT (found).status FROM was)))
	ELSE (SELECT follow_up_record(f) FROM cancelled UNION ALL SELECT follow_up_record(found) FROM was WHERE NOT EXISTS (SELECT FROM cancelled)) END AS body
FROM verdict v
