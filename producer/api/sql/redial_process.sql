-- SPDX-License-Identifier: Apache-2.0
-- POST process: the scheduler looks at the queue now instead of at its next tick.
WITH setting AS MATERIALIZED (
	SELECT redial_setting() AS s
), woken AS MATERIALIZED (
	SELECT pg_notify('carillon_due', '') FROM setting WHERE s @> '{"enabled": true, "running": true}'
)
SELECT CASE WHEN EXISTS (SELECT FROM woken) THEN 200 ELSE 409 END AS status, CASE WHEN EXISTS (SELECT FROM woken)
	THEN jsonb_build_object('success', true, 'timestamp', iso_utc(now()), 'message', 'Redial queue is being processed',
		'ready_to_dial', (SELECT count(*) FROM redial_queue r, setting
			WHERE r.status IN ('pending', 'rescheduled') AND r.next_redial_timestamp <= now()
			AND redial_is_ready(r.status, r.attempts, r.next_redial_timestamp, (s ->> 'max_attempts')::integer)))
	ELSE jsonb_build_object('success', false, 'error', CASE WHEN (SELECT (s ->> 'enabled')::boolean FROM setting)
		THEN 'the processor is stopped: start it first' ELSE 'the redial queue is disabled: enable it first' END) END AS body
