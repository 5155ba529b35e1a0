-- SPDX-License-Identifier: Apache-2.0
-- GET /api/lanes/{id}. $1 id
SELECT coalesce(max(200), 404) AS status, coalesce((array_agg(lane_record(n)))[1], problem(404, 'no such lane')) AS body
FROM lanes n WHERE n.id = query_id($1::text)
