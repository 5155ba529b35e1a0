-- SPDX-License-Identifier: Apache-2.0
-- GET /api/live: what every stream of a tenant, or of all, is told next.
SELECT live_figures() || (s - '{processes,lag}'::text[]) AS body, s ->> 'processes' AS processes, s ->> 'lag' AS lag
FROM (SELECT live_system() AS s OFFSET 0) x
