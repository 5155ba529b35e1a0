-- SPDX-License-Identifier: Apache-2.0
-- DELETE leads/{id}: with its follow-ups and redial records, so that a job in Kafka finds nothing to claim. A call that is
-- being dialed goes on, and the ledger keeps all calls. The follow-ups are locked first, as results are applied in that order.
-- $1 id
WITH lead AS MATERIALIZED (
	SELECT query_id($1::text) AS id
), follow_up AS MATERIALIZED (
	SELECT id, status FROM follow_ups WHERE lead_id = (SELECT id FROM lead) ORDER BY id FOR UPDATE
), record AS MATERIALIZED (
	SELECT id, status FROM redial_queue WHERE lead_ref = (SELECT id FROM lead) ORDER BY id FOR UPDATE
), unrecorded AS (
	DELETE FROM redial_queue WHERE id = ANY (ARRAY(SELECT id FROM record))
), removed AS (
	DELETE FROM leads WHERE id = (SELECT id FROM lead) AND (SELECT count(*) FROM follow_up) + (SELECT count(*) FROM record) >= 0
	RETURNING id, stage
), noted AS (
	INSERT INTO transitions (entity, entity_id, from_state, to_state, reason, actor)
	SELECT 'lead', id::text, stage, 'removed', (SELECT 'open follow-ups: ' || string_agg(id || ' ' || status, ', ' ORDER BY id) FROM follow_up
		WHERE status IN ('pending', 'queued', 'dialing')), 'operator' FROM removed
	UNION ALL
	SELECT 'redial', id::text, status, 'removed', 'lead removed', 'operator' FROM record
)
SELECT CASE WHEN EXISTS (SELECT FROM removed) THEN 200 ELSE 404 END AS status,
	coalesce((SELECT jsonb_build_object('id', id, 'removed', true,
		'follow_ups', (SELECT count(*) FROM follow_up), 'redial_records', (SELECT count(*) FROM record)) FROM removed),
		problem(404, 'no such lead')) AS body
