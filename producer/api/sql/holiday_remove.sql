-- SPDX-License-Identifier: Apache-2.0
-- DELETE /api/holidays/{day}. $1 day
WITH removed AS (
	DELETE FROM holidays h WHERE h.tenant_id = request_tenant() AND h.day = calendar_day($1::text) RETURNING h
)
SELECT CASE WHEN EXISTS (SELECT FROM removed) THEN 200 ELSE 404 END AS status,
	coalesce((SELECT holiday_record(h) || '{"removed": true}' FROM removed), problem(404, 'no such holiday')) AS body
