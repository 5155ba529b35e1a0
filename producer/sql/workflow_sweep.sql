-- SPDX-License-Identifier: Apache-2.0
-- Pending calls that stay in a state for too long. $1 limit
SELECT asked, moved FROM workflow_sweep($1::bigint)
