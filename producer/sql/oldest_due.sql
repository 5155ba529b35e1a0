-- SPDX-License-Identifier: Apache-2.0
-- For how long the oldest follow-up of an open lane has waited to be looked at: the scheduler's backlog in time. And whether all
-- wait for an operator, since PostgreSQL failed over.
SELECT coalesce(extract(epoch FROM now() - min(f.next_look_at)), 0) AS age_seconds, timeline_changed() AS timeline_changed
FROM lanes n JOIN lane_gates(now()) g ON g.lane_id = n.id AND g.closed IS NULL
CROSS JOIN (VALUES (2), (1), (0)) p (priority)
CROSS JOIN LATERAL (SELECT next_look_at FROM follow_ups
	WHERE lane_id = n.id AND priority = p.priority AND next_look_at <= now()
	ORDER BY next_look_at LIMIT 1) f
