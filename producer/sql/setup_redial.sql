-- SPDX-License-Identifier: Apache-2.0
-- The environment's redial settings, at the first start alone: from then on the database's are the truth. What CALLBACK
-- means depends on whether a time was agreed, so its rule stays.
-- $1 enabled, $2 interval in minutes, $3 most attempts, $4 process interval in minutes, $5 retention in days,
-- $6 success outcomes, separated by commas
WITH first_start AS (
	INSERT INTO settings (key, value) VALUES ('redial_from_environment', 'true')
	ON CONFLICT (key) DO NOTHING RETURNING key
), redial AS (
	UPDATE settings SET updated_at = now(), value = value || jsonb_build_object('enabled', $1::boolean,
		'redial_interval_minutes', $2::integer, 'max_attempts', $3::integer, 'process_interval_minutes', $4::integer,
		'retention_days', $5::integer)
	WHERE key = 'redial' AND EXISTS (SELECT FROM first_start)
), success AS MATERIALIZED (
	SELECT DISTINCT outcome
	FROM (SELECT left(regexp_replace(upper(btrim(word)), '[^A-Z0-9_]', '_', 'g'), 63)
		FROM unnest(string_to_array($6::text, ',')) word) w (outcome)
	WHERE outcome NOT IN ('', 'CALLBACK') AND EXISTS (SELECT FROM first_start)
), dropped AS (
	DELETE FROM outcome_rules WHERE tenant_id IS NULL AND action = 'success'
	AND EXISTS (SELECT FROM first_start) AND outcome NOT IN (SELECT outcome FROM success)
), ruled AS (
	INSERT INTO outcome_rules (outcome, action) SELECT outcome, 'success' FROM success
	ON CONFLICT (coalesce(tenant_id, ''), outcome) DO UPDATE SET action = excluded.action, updated_at = now()
	WHERE outcome_rules.action = 'retry'
)
SELECT count(*) AS first FROM first_start
