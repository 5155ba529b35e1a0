-- SPDX-License-Identifier: Apache-2.0
-- /api/scheduler/init: schedulers start with their processes; those who call this to start one learn whether they run.
SELECT 200 AS status, jsonb_build_object('success', true, 'running', s.body -> 'stopped' = 'false',
	'message', CASE WHEN s.body -> 'stopped' = 'false' THEN 'the scheduler runs' ELSE 'the scheduler is stopped' END) AS body
FROM (SELECT scheduler_state() AS body) s
