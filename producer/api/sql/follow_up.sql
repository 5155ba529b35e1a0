-- SPDX-License-Identifier: Apache-2.0
-- GET follow-ups/{id}. $1 id
SELECT CASE WHEN f.record IS NULL THEN 404 ELSE 200 END AS status, coalesce(f.record, problem(404, 'no such follow-up')) AS body
FROM (SELECT (SELECT follow_up_record(f) FROM follow_ups f WHERE f.id = query_id($1::text)) AS record) f
