-- SPDX-License-Identifier: Apache-2.0
-- GET status: switches, limits and counts, in one pass over the queue.
WITH setting AS MATERIALIZED (SELECT redial_setting() AS s), stats AS (
	SELECT count(*) AS total, count(*) FILTER (WHERE status = 'pending') AS pending,
		count(*) FILTER (WHERE status = 'rescheduled') AS rescheduled, count(*) FILTER (WHERE status = 'completed') AS completed,
		count(*) FILTER (WHERE status = 'max_attempts') AS max_attempts, count(*) FILTER (WHERE status = 'paused') AS paused,
		count(*) FILTER (WHERE redial_is_ready(status, attempts, next_redial_timestamp, (s ->> 'max_attempts')::integer)) AS ready
	FROM redial_queue, setting
)
SELECT 200 AS status, json_build_object('success', true, 'timestamp', iso_utc(now()),
	'status', json_build_object('running', s -> 'running', 'enabled', s -> 'enabled',
		'is_processing', EXISTS (SELECT FROM lanes n WHERE n.name = 'redial' AND (
			EXISTS (SELECT FROM live v WHERE v.lane_id = n.id) OR EXISTS (SELECT FROM claims k WHERE k.lane_id = n.id))),
		'interval_minutes', s -> 'process_interval_minutes', 'redial_interval_minutes', s -> 'redial_interval_minutes',
		'max_attempts', s -> 'max_attempts'),
	'stats', json_build_object('enabled', s -> 'enabled', 'total_records', total, 'pending', pending, 'rescheduled', rescheduled,
		'completed', completed, 'max_attempts', stats.max_attempts, 'paused', paused, 'ready_to_dial', ready,
		'current_month', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM'))) AS body
FROM setting, stats
