-- SPDX-License-Identifier: Apache-2.0
-- The workflow source: pending calls whose time has come take their next arrow, and get their classification or task call. $1 limit
SELECT seeded, looked, error FROM workflow_run($1::bigint, 'scheduler')
