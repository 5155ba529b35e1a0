-- SPDX-License-Identifier: Apache-2.0
-- For the metrics: of each state of the workflow how many are in it and since when they might have left it, and the changes to it
-- up to the look before, which leaves those time that are numbered already and committed late; and in every row what waits for an operator.
-- $1 the last change counted, $2 the last one there was at the look before
WITH last AS MATERIALIZED (
	SELECT coalesce(max(id), 0) AS id FROM transitions
), changed AS MATERIALIZED (
	SELECT to_state, count(*) AS n FROM transitions
	WHERE id > $1::bigint AND id <= $2::bigint AND entity = 'pending_call' GROUP BY to_state
), operators AS MATERIALIZED (
	SELECT (SELECT count(*) FROM stuck_calls s WHERE NOT EXISTS (   -- a conversation may take longer than a call that is stuck
			SELECT FROM live v JOIN calls c USING (job_id) WHERE v.phone = s.phone_e164 AND v.tenant_id = s.tenant_id
			AND s.workflow_state IN ('classifying', 'calling') AND v.follow_up_id = coalesce(s.follow_up_id, v.follow_up_id)
			AND v.state IN ('calling', 'ringing', 'in_progress')
			AND coalesce(c.posted_at, c.claimed_at) > now() - workflow_setting('live_minutes')::integer * interval '1 minute')) AS stuck, (SELECT count(*) FROM live WHERE state = 'undetermined') AS undetermined,
		(SELECT count(*) FROM (SELECT FROM dead_letters WHERE resolved_at IS NULL LIMIT 100000) d) AS dead_letters
)
SELECT s.state, n.calls, CASE WHEN s.state <> 'completed' THEN greatest(coalesce(extract(epoch FROM now() - n.since), 0), 0) END AS age_seconds,
	coalesce(c.n, 0) AS changes, last.id AS last_id, o.stuck, o.undetermined, o.dead_letters
FROM (SELECT state FROM workflow_arrows UNION SELECT next FROM workflow_arrows) s
CROSS JOIN LATERAL (SELECT CASE WHEN s.state <> 'completed' THEN count(*) END AS calls, min(greatest(w.state_since, w.next_action_at)) AS since
	FROM (SELECT p.state_since, p.next_action_at FROM pending_calls p WHERE p.workflow_state = s.state AND s.state <> 'completed'
		ORDER BY p.state_since LIMIT 100000) w) n
LEFT JOIN changed c ON c.to_state = s.state, last, operators o
ORDER BY s.state
