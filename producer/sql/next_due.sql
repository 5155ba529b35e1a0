-- SPDX-License-Identifier: Apache-2.0
-- When the scheduler has something to do next: the earliest look of an open lane, a lane's opening, a redial record's time.
SELECT to_ms(min(at)) AS next_at, coalesce(min(at) <= now(), false) AS due_now
FROM (
	SELECT greatest(f.next_look_at, n.next_at) AS at
	FROM lanes n CROSS JOIN (VALUES (2), (1), (0)) p (priority)
	CROSS JOIN LATERAL (SELECT next_look_at FROM follow_ups
		WHERE status = 'pending' AND lane_id = n.id AND priority = p.priority ORDER BY next_look_at LIMIT 1) f
	WHERE n.active
	UNION ALL
	(SELECT next_redial_timestamp FROM redial_queue WHERE status IN ('pending', 'rescheduled')
		AND next_redial_timestamp > now() ORDER BY next_redial_timestamp LIMIT 1)
) due
