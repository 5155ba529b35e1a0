-- SPDX-License-Identifier: Apache-2.0
-- What the environment says of the workflow, at every start. Its hours become those of the default tenant's lane when they are
-- other than they were at the start before: what people set meanwhile stays.
-- $1 retry in minutes, $2 wait after a classification in seconds, $3 least confidence, $4 what follows an unclear classification,
-- $5 days that a classification is good for, $6 minutes after which a call is stuck, $7 account of classification calls, $8 hours, $9 zone
WITH was AS MATERIALIZED (
	SELECT value FROM settings WHERE key = 'workflow'
), told AS (
	UPDATE settings s SET updated_at = now(), value = s.value || n.value
	FROM (SELECT jsonb_build_object('retry_minutes', $1::integer, 'wait_seconds', $2::integer, 'min_confidence', $3::double precision,
		'unclear', $4::text, 'ttl_days', $5::integer, 'stuck_minutes', $6::integer, 'classify_account', $7::text, 'hours', $8::text,
		'zone', $9::text) AS value) n
	WHERE s.key = 'workflow' AND s.value IS DISTINCT FROM s.value || n.value
)
UPDATE lanes n SET window_start = split_part($8::text, '-', 1)::time, window_end = split_part($8::text, '-', 2)::time, time_zone = $9::text
FROM was WHERE n.tenant_id = 'default' AND n.name = 'workflow'
AND (was.value ->> 'hours' IS DISTINCT FROM $8::text OR was.value ->> 'zone' IS DISTINCT FROM $9::text)
