-- SPDX-License-Identifier: Apache-2.0
-- GET /api/outcome-rules: what outcomes mean, and what words mean which outcome. An outcome without a rule is a retry.
-- $1 the built-in words, $2 tenant; null: what is everybody's
WITH asked AS MATERIALIZED (
	SELECT $2::text IS NULL OR EXISTS (SELECT FROM tenants WHERE id = $2::text) AS exists
), rule AS (
	SELECT DISTINCT ON (outcome) * FROM outcome_rules WHERE tenant_id IS NULL OR tenant_id = $2::text
	ORDER BY outcome, tenant_id NULLS LAST
)
SELECT CASE WHEN exists THEN 200 ELSE 404 END AS status, CASE WHEN exists THEN jsonb_build_object(
		'rules', (SELECT coalesce(jsonb_agg(outcome_rule_shown(outcome, action, next_stage, tenant_id, updated_at) ORDER BY outcome), '[]') FROM rule),
		'otherwise', jsonb_build_object('action', 'retry', 'next_stage', NULL),
		'words', outcome_words_of($1::jsonb, $2::text, NULL))
	ELSE problem(404, 'there is no such tenant') END AS body
FROM asked
