-- SPDX-License-Identifier: Apache-2.0
-- GET status: switches, limits and counts, by an index of the queue that has what is counted.
WITH setting AS MATERIALIZED (SELECT redial_setting() AS s), counted AS MATERIALIZED (
	SELECT status, count(*) AS n FROM redial_queue GROUP BY status
), ready AS MATERIALIZED (
	SELECT count(*) AS n FROM redial_queue, setting
	WHERE status IN ('pending', 'rescheduled') AND next_redial_timestamp <= now()
	AND redial_is_ready(status, attempts, next_redial_timestamp, (s ->> 'max_attempts')::integer)
), stats AS (
	SELECT coalesce(sum(n), 0) AS total, jsonb_object_agg(status, n) AS of FROM counted
)
SELECT 200 AS status, json_build_object('success', true, 'timestamp', iso_utc(now()),
	'status', json_build_object('running', s -> 'running', 'enabled', s -> 'enabled',
		'is_processing', EXISTS (SELECT FROM lanes n WHERE n.name = 'redial' AND (
			EXISTS (SELECT FROM live v WHERE v.lane_id = n.id) OR EXISTS (SELECT FROM claims k WHERE k.lane_id = n.id))),
		'interval_minutes', s -> 'process_interval_minutes', 'redial_interval_minutes', s -> 'redial_interval_minutes',
		'max_attempts', s -> 'max_attempts'),
	'stats', json_build_object('enabled', s -> 'enabled', 'total_records', total, 'pending', coalesce(of -> 'pending', '0'),
		'rescheduled', coalesce(of -> 'rescheduled', '0'), 'completed', coalesce(of -> 'completed', '0'),
		'max_attempts', coalesce(of -> 'max_attempts', '0'), 'paused', coalesce(of -> 'paused', '0'), 'ready_to_dial', ready.n,
		'current_month', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM'))) AS body
FROM setting, stats, ready
