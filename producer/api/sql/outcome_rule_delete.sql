-- SPDX-License-Identifier: Apache-2.0
-- DELETE /api/outcome-rules/{outcome}: back to everybody's rule for a tenant, else to a retry. Answers with what holds then.
-- $1 outcome, $2 tenant
WITH gone AS (
	DELETE FROM outcome_rules WHERE outcome = outcome_word($1::text) AND tenant_id IS NOT DISTINCT FROM $2::text RETURNING outcome, tenant_id
)
SELECT CASE WHEN g.outcome IS NULL THEN 404 ELSE 200 END AS status, CASE WHEN g.outcome IS NULL
	THEN problem(404, 'there is no such rule')
	ELSE coalesce((SELECT outcome_rule_shown(r.outcome, r.action, r.next_stage, r.tenant_id, r.updated_at) FROM outcome_rules r
			WHERE r.outcome = g.outcome AND r.tenant_id IS NULL AND g.tenant_id IS NOT NULL),
		outcome_rule_shown(g.outcome, 'retry', NULL, NULL, NULL)) END AS body
FROM (SELECT 1) one LEFT JOIN gone g ON true
