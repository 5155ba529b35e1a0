-- SPDX-License-Identifier: Apache-2.0
-- For the metrics: of each state of the workflow how many are in it and since when, and the changes to it since the last look; and in
-- every row what waits for an operator. $1 the last change seen; -1: none yet
WITH last AS MATERIALIZED (
	SELECT coalesce(max(id), 0) AS id FROM transitions
), changed AS MATERIALIZED (
	SELECT to_state, count(*) AS n FROM transitions
	WHERE $1::bigint >= 0 AND id > $1::bigint AND id <= (SELECT id FROM last) AND entity = 'pending_call' GROUP BY to_state
), operators AS MATERIALIZED (
	SELECT (SELECT count(*) FROM stuck_calls) AS stuck, (SELECT count(*) FROM live WHERE state = 'undetermined') AS undetermined,
		(SELECT count(*) FROM (SELECT FROM dead_letters WHERE resolved_at IS NULL LIMIT 100000) d) AS dead_letters
)
SELECT s.state, CASE WHEN s.state <> 'completed' THEN (SELECT count(*) FROM (SELECT FROM pending_calls p WHERE p.workflow_state = s.state LIMIT 100000) c) END AS calls,
	CASE WHEN s.state <> 'completed' THEN coalesce(extract(epoch FROM now() - (SELECT min(p.state_since) FROM pending_calls p WHERE p.workflow_state = s.state)), 0) END AS age_seconds,
	coalesce(c.n, 0) AS changes, last.id AS last_id, o.stuck, o.undetermined, o.dead_letters
FROM (SELECT state FROM workflow_arrows UNION SELECT next FROM workflow_arrows) s LEFT JOIN changed c ON c.to_state = s.state, last, operators o
ORDER BY s.state
