-- SPDX-License-Identifier: Apache-2.0
-- PUT config: what is named changes, all of it or nothing. Every member that is unknown or out of bounds is told.
-- $1 a JSON object
WITH given AS MATERIALIZED (
	SELECT key, value, CASE WHEN jsonb_typeof(value) = 'number' AND value::text ~ '^[0-9]{1,9}(\.0{1,9})?$' THEN value::text::numeric::integer END AS n
	FROM jsonb_each($1::jsonb)
), known (key, setting, lowest, highest) AS (VALUES
	('redial_interval_minutes', 'redial_interval_minutes', 1, 10080), ('max_redial_attempts', 'max_attempts', 1, 100),
	('max_attempts', 'max_attempts', 1, 100), ('process_interval_minutes', 'process_interval_minutes', 1, 1440),
	('retention_days', 'retention_days', 1, 3650)
), word AS MATERIALIZED (
	SELECT value ->> 0 AS word, jsonb_typeof(value) = 'string' AND value ->> 0 ~ '^[A-Z0-9_]{1,63}$' AS is_word
	FROM jsonb_array_elements((SELECT CASE WHEN jsonb_typeof(value) = 'array' THEN value ELSE '[]' END FROM given WHERE key = 'success_outcomes'))
), bad AS MATERIALIZED (
	SELECT CASE WHEN g.key IN ('enabled', 'running') THEN CASE WHEN jsonb_typeof(g.value) <> 'boolean' THEN g.key || ': true or false' END
		WHEN g.key = 'success_outcomes' THEN CASE WHEN jsonb_typeof(g.value) <> 'array' OR EXISTS (SELECT FROM word WHERE NOT is_word)
			THEN 'success_outcomes: an array of outcomes such as "SALE" (capitals, digits, underscore)' END
		WHEN k.key IS NULL THEN left(g.key, 100) || ': no such setting'
		WHEN coalesce(g.n NOT BETWEEN k.lowest AND k.highest, true) THEN format('%s: a whole number from %s to %s', g.key, k.lowest, k.highest)
		END AS problem
	FROM given g LEFT JOIN known k USING (key)
	UNION ALL
	SELECT 'max_attempts and max_redial_attempts are the same setting: give one' FROM given
	WHERE key IN ('max_attempts', 'max_redial_attempts') HAVING count(DISTINCT n) > 1
	UNION ALL
	SELECT 'running: a queue that is disabled has no processor' FROM given HAVING bool_or(key = 'running' AND value = 'true')
		AND coalesce((SELECT value FROM given WHERE key = 'enabled'), redial_setting() -> 'enabled') = 'false'
), fine AS MATERIALIZED (
	SELECT NOT EXISTS (SELECT FROM bad WHERE problem IS NOT NULL) AS it
), set AS (
	UPDATE settings s SET updated_at = now(), value = s.value
		|| coalesce((SELECT jsonb_object_agg(key, value) FROM given WHERE key IN ('enabled', 'running')), '{}')
		|| CASE WHEN NOT EXISTS (SELECT FROM given WHERE key = 'running')
			AND (SELECT value FROM given WHERE key = 'enabled') <> s.value -> 'enabled'
			THEN jsonb_build_object('running', (SELECT value FROM given WHERE key = 'enabled')) ELSE '{}' END
		|| coalesce((SELECT jsonb_object_agg(k.setting, g.n) FROM given g JOIN known k USING (key)), '{}')
	WHERE s.key = 'redial' AND (SELECT it FROM fine)
	RETURNING s.value
), dropped AS (
	DELETE FROM outcome_rules WHERE tenant_id IS NULL AND action = 'success' AND (SELECT it FROM fine)
	AND EXISTS (SELECT FROM given WHERE key = 'success_outcomes') AND outcome NOT IN (SELECT word FROM word)
), ruled AS (   -- an outcome that stops, suppresses or agrees on a time ends redialing by itself: its rule stays
	INSERT INTO outcome_rules (outcome, action)
	SELECT DISTINCT word, 'success' FROM word WHERE (SELECT it FROM fine) AND word <> 'CALLBACK'
	ON CONFLICT (coalesce(tenant_id, ''), outcome) DO UPDATE SET action = excluded.action, updated_at = now()
	WHERE outcome_rules.action = 'retry'
), ended AS (   -- a lower limit is reached by those that stand above it
	UPDATE redial_queue r SET status = 'max_attempts', next_redial_timestamp = NULL, updated_at = now()
	FROM (SELECT id, status FROM redial_queue) was
	WHERE r.id = was.id AND (SELECT it FROM fine) AND EXISTS (SELECT FROM given WHERE key IN ('max_attempts', 'max_redial_attempts'))
	AND (r.status = 'pending' AND r.attempts >= (SELECT (value ->> 'max_attempts')::integer FROM set)
		OR r.status = 'rescheduled' AND r.attempts >= 2 * (SELECT (value ->> 'max_attempts')::integer FROM set))
	RETURNING r.id, was.status
), noted AS (
	INSERT INTO transitions (entity, entity_id, from_state, to_state, reason, actor)
	SELECT 'redial', id::text, status, 'max_attempts', 'config', 'operator' FROM ended
)
SELECT CASE WHEN it THEN 200
		-- A conflict with what is set, not with the rest of the request.
		WHEN NOT EXISTS (SELECT FROM given WHERE key = 'enabled')
			AND (SELECT string_agg(problem, '; ') LIKE 'running: a queue%' AND count(*) = 1 FROM bad WHERE problem IS NOT NULL) THEN 409
		ELSE 422 END AS status, CASE WHEN it
	THEN jsonb_build_object('success', true, 'timestamp', iso_utc(now()), 'config', redial_config() || (SELECT value FROM set)
		|| jsonb_build_object('max_redial_attempts', (SELECT value -> 'max_attempts' FROM set))
		|| CASE WHEN EXISTS (SELECT FROM given WHERE key = 'success_outcomes') THEN jsonb_build_object('success_outcomes',
			(SELECT coalesce(jsonb_agg(DISTINCT word), '[]') FROM word WHERE NOT EXISTS (SELECT FROM outcome_rules o
				WHERE o.tenant_id IS NULL AND o.outcome = word AND o.action NOT IN ('success', 'retry')))) ELSE '{}' END)
	ELSE jsonb_build_object('success', false, 'error', (SELECT string_agg(problem, '; ') FROM bad),
		'errors', (SELECT jsonb_agg(problem) FROM bad WHERE problem IS NOT NULL)) END AS body
FROM fine
