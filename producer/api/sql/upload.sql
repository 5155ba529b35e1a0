-- SPDX-License-Identifier: Apache-2.0
-- GET campaigns/{id}/uploads/{upload}: how far it is, and what came of it. $1 campaign, $2 upload
WITH found AS (
	SELECT upload_record(u) AS record FROM uploads u WHERE u.id = query_id($2::text) AND u.campaign_id = query_id($1::text)
)
SELECT CASE WHEN EXISTS (SELECT FROM found) THEN 200 ELSE 404 END AS status,
	coalesce((SELECT record FROM found), problem(404, 'no such upload')) AS body
