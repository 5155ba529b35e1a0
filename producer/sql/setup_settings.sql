-- SPDX-License-Identifier: Apache-2.0
-- Settings that the environment gives: one becomes the environment's when that says other than it did at the start before, so that
-- what people set meanwhile stays. $1 LEAD_WINDOW, $2 UNKNOWN_ZONE, $3 ACCOUNT_QUEUED_MAX
WITH told AS MATERIALIZED (
	SELECT jsonb_build_object('unknown_zone', $2::text, 'account_queued_max', $3::integer, 'lead_window',
		jsonb_build_object('start', split_part($1::text, '-', 1), 'end', split_part($1::text, '-', 2))) AS value
), was AS MATERIALIZED (
	SELECT value FROM settings WHERE key = 'environment'
), noted AS (
	INSERT INTO settings (key, value) SELECT 'environment', value FROM told
	ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = now() WHERE settings.value <> excluded.value
)
INSERT INTO settings (key, value)
SELECT n.key, n.value FROM told CROSS JOIN LATERAL jsonb_each(told.value) n
WHERE n.value IS DISTINCT FROM (SELECT value -> n.key FROM was)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = now() WHERE settings.value <> excluded.value
