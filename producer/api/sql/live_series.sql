-- SPDX-License-Identifier: Apache-2.0
-- GET /api/live/series. $1 range
SELECT 200 AS status, live_series(coalesce($1::text, 'hour')) AS body WHERE coalesce($1::text, 'hour') IN ('hour', 'day')
UNION ALL
SELECT 422, problems(jsonb_build_array(jsonb_build_object('field', 'range', 'detail', 'hour or day'))) WHERE $1::text NOT IN ('hour', 'day')
