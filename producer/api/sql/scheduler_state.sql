-- SPDX-License-Identifier: Apache-2.0
-- GET /api/scheduler: is anything stopped, since when and why.
SELECT 200 AS status, scheduler_state() AS body
