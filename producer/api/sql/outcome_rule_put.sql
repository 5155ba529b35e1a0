-- SPDX-License-Identifier: Apache-2.0
-- PUT /api/outcome-rules/{outcome}: what the outcome means from now on. $1 outcome, $2 tenant, $3 {"action", "next_stage"}
WITH asked AS MATERIALIZED (
	SELECT outcome_word($1::text) AS outcome, $3::jsonb AS body
), wrong AS MATERIALIZED (
	SELECT field, detail FROM asked a CROSS JOIN LATERAL (
		SELECT 1 AS ord, 'outcome' AS field, 'a word of 1 to 63 letters, digits, underscores, hyphens and spaces' AS detail
			WHERE $1::text !~ '^[A-Za-z0-9][A-Za-z0-9_ -]{0,62}$'
		UNION ALL
		SELECT 3, 'action', 'one of success, retry, callback, stop, suppress'
			WHERE coalesce(jsonb_typeof(a.body -> 'action') <> 'string'
				OR a.body ->> 'action' NOT IN ('success', 'retry', 'callback', 'stop', 'suppress'), true)
		UNION ALL
		SELECT 4, 'next_stage', 'null, or a stage of 1 to 63 letters, digits, underscores and hyphens'
			WHERE coalesce(jsonb_typeof(a.body -> 'next_stage'), 'null') <> 'null'
				AND (jsonb_typeof(a.body -> 'next_stage') <> 'string' OR a.body ->> 'next_stage' !~ '^[A-Za-z0-9_-]{1,63}$')
		UNION ALL
		SELECT 5, left(key, 100), 'no such setting; known are action and next_stage' FROM jsonb_object_keys(a.body) key
			WHERE key NOT IN ('action', 'next_stage')
		UNION ALL
		SELECT 6, 'outcome', 'there are 512 rules; delete one first' WHERE (SELECT count(*) FROM outcome_rules) >= 512
			AND NOT EXISTS (SELECT FROM outcome_rules r WHERE r.outcome = a.outcome AND r.tenant_id IS NOT DISTINCT FROM $2::text)
	) w ORDER BY ord, field
), put AS (
	INSERT INTO outcome_rules (tenant_id, outcome, action, next_stage)
	SELECT $2::text, outcome, body ->> 'action', body ->> 'next_stage' FROM asked WHERE NOT EXISTS (SELECT FROM wrong)
		AND ($2::text IS NULL OR EXISTS (SELECT FROM tenants WHERE id = $2::text))
	ON CONFLICT (coalesce(tenant_id, ''), outcome) DO UPDATE SET action = excluded.action, next_stage = excluded.next_stage, updated_at = now()
	RETURNING *
)
SELECT CASE WHEN EXISTS (SELECT FROM wrong) THEN 422 WHEN EXISTS (SELECT FROM put) THEN 200 ELSE 404 END AS status,
	coalesce((SELECT outcome_rule_shown(outcome, action, next_stage, tenant_id, updated_at) FROM put),
		(SELECT problems(jsonb_agg(jsonb_build_object('field', field, 'detail', detail))) FROM wrong HAVING count(*) > 0),
		problem(404, 'there is no such tenant')) AS body
