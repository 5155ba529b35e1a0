-- SPDX-License-Identifier: Apache-2.0
-- GET /api/scheduler/dashboard: the states of what is not over, what is stuck, the ends of a day, and the last runs.
SELECT 200 AS status, jsonb_build_object(
	'states', (SELECT coalesce(jsonb_agg(jsonb_build_object('workflow_state', d.workflow_state, 'count', d.count, 'next_action', iso_utc(d.next_action),
		'avg_retries', round(d.avg_retries, 2), 'oldest', iso_utc((SELECT min(p.state_since) FROM pending_calls p WHERE p.workflow_state = d.workflow_state)))
		ORDER BY d.workflow_state), '[]') FROM scheduler_dashboard d),
	'stuck', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', s.id, 'workflow_state', s.workflow_state, 'state_since', iso_utc(s.state_since),
		'minutes_in_state', s.minutes_in_state, 'last_error', s.last_error, 'follow_up_id', s.follow_up_id) ORDER BY s.state_since), '[]')
		FROM (SELECT * FROM stuck_calls ORDER BY state_since LIMIT 100) s),
	'last_day', (SELECT jsonb_build_object('completed', count(*) FILTER (WHERE p.workflow_state = 'completed'), 'failed', count(*) FILTER (WHERE p.workflow_state = 'failed'))
		FROM pending_calls p WHERE p.workflow_state IN ('completed', 'failed') AND p.state_since > now() - interval '1 day'),
	'runs', (SELECT coalesce(jsonb_agg(jsonb_build_object('start', iso_utc(r.start), 'end', iso_utc(r."end"), 'source', r.source, 'counts', r.counts, 'error', r.error)
		ORDER BY r.id DESC), '[]') FROM (SELECT * FROM scheduler_runs ORDER BY id DESC LIMIT 20) r)) AS body
