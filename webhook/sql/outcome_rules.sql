-- SPDX-License-Identifier: Apache-2.0
-- All outcome rules, for snapshot_of_rows(). Tenant "" is the rule of everybody.
SELECT coalesce(tenant_id, '') AS tenant, outcome, action, coalesce(next_stage, '') AS next_stage
FROM carillon.outcome_rules
ORDER BY 1, 2
