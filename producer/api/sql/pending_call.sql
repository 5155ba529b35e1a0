-- SPDX-License-Identifier: Apache-2.0
-- GET pending-calls/{id}: with its classification, its history, its calls, and what the follow-up waits for by which it is to be
-- called. $1 id
WITH found AS MATERIALIZED (
	SELECT p FROM pending_calls p WHERE p.id = query_uuid($1::text)
)
SELECT 200 AS status, pending_call_record(p) || jsonb_build_object(
	'classification', (SELECT classification_record(c) FROM call_classifications c WHERE c.id = (p).classification_id),
	'follow_up', (SELECT follow_up_record(f) FROM follow_ups f WHERE f.id = (p).follow_up_id),
	'history', (SELECT coalesce(jsonb_agg(transition_record(t) ORDER BY t.id), '[]') FROM transitions t
		WHERE t.entity = 'pending_call' AND t.entity_id = (p).id::text),
	'calls', (SELECT coalesce(jsonb_agg(call_record(c) ORDER BY c.claimed_at), '[]') FROM workflow_calls w
		JOIN calls c ON c.lead_id = (SELECT f.lead_id FROM follow_ups f WHERE f.id = w.follow_up_id) AND c.follow_up_id = w.follow_up_id
		WHERE w.pending_call_id = (p).id)) AS body
FROM found
UNION ALL
SELECT 404, problem(404, 'no such pending call') WHERE NOT EXISTS (SELECT FROM found)
