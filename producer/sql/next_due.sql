-- SPDX-License-Identifier: Apache-2.0
-- When the scheduler has something to do next: the earliest look of an open lane, a lane's opening, a redial record's time, a pending
-- call's next action.
-- What was due before the last pass was seen by it, and is held by a limit: it must not hide what another lane has next.
-- In milliseconds from now, by this clock and none else; rounded up, so that it is due by then.
-- $1 milliseconds since that pass began
SELECT ceil(extract(epoch FROM min(at) - now()) * 1000)::bigint AS wait_ms
FROM (
	SELECT greatest(f.next_look_at, n.next_at) AS at
	FROM lanes n CROSS JOIN (VALUES (2), (1), (0)) p (priority)
	CROSS JOIN LATERAL (SELECT next_look_at FROM follow_ups
		WHERE next_look_at IS NOT NULL AND lane_id = n.id AND priority = p.priority ORDER BY next_look_at LIMIT 1) f
	WHERE n.active
	UNION ALL
	(SELECT next_redial_timestamp FROM redial_queue
		WHERE status IN ('pending', 'rescheduled') AND seeded_for IS DISTINCT FROM next_redial_timestamp
		AND next_redial_timestamp > now() - $1::bigint * interval '1 millisecond' ORDER BY next_redial_timestamp LIMIT 1)
	UNION ALL
	(SELECT next_action_at FROM pending_calls WHERE workflow_state NOT IN ('completed', 'failed') AND workflow_state <> 'calling'
		AND next_action_at > now() - $1::bigint * interval '1 millisecond' ORDER BY next_action_at LIMIT 1)
) due
WHERE at > now() - $1::bigint * interval '1 millisecond' AND isfinite(at)
