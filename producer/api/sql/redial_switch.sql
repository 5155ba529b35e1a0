-- SPDX-License-Identifier: Apache-2.0
-- POST enable, disable, start, stop. A queue that is disabled has no processor to start. $1 which
WITH was AS MATERIALIZED (
	SELECT value FROM settings WHERE key = 'redial' FOR UPDATE
), refused AS MATERIALIZED (
	SELECT $1::text = 'start' AND NOT (value ->> 'enabled')::boolean AS it FROM was
), changed AS (
	UPDATE settings SET updated_at = now(), value = settings.value || CASE $1::text WHEN 'enable' THEN '{"enabled": true, "running": true}'::jsonb
		WHEN 'disable' THEN '{"enabled": false, "running": false}' WHEN 'start' THEN '{"running": true}' ELSE '{"running": false}' END
	FROM was WHERE settings.key = 'redial' AND NOT (SELECT it FROM refused)
	RETURNING settings.value
)
SELECT CASE WHEN it THEN 409 ELSE 200 END AS status, CASE WHEN it
	THEN jsonb_build_object('success', false, 'error', 'the redial queue is disabled: enable it first')
	ELSE jsonb_build_object('success', true, 'timestamp', iso_utc(now()), 'message', 'Redial queue '
		|| CASE $1::text WHEN 'enable' THEN 'enabled' WHEN 'disable' THEN 'disabled' WHEN 'start' THEN 'processor started' ELSE 'processor stopped' END,
		'status', (SELECT jsonb_build_object('enabled', value -> 'enabled', 'running', value -> 'running') FROM changed)) END AS body
FROM refused
