-- SPDX-License-Identifier: Apache-2.0
-- POST campaigns/{id}/contacts, before its body is read. $1 id, $2 preview, $3 who receives it
WITH campaign AS MATERIALIZED (
	SELECT k.id, k.tenant_id FROM campaigns k WHERE k.id = query_id($1::text) AND k.deleted_at IS NULL
), begun AS (
	INSERT INTO uploads (tenant_id, campaign_id, preview, worker)
	SELECT tenant_id, id, coalesce($2::text, 'false') = 'true', $3 FROM campaign WHERE coalesce($2::text, 'false') IN ('true', 'false')
	RETURNING id
)
SELECT CASE WHEN NOT EXISTS (SELECT FROM campaign) THEN 404 WHEN NOT EXISTS (SELECT FROM begun) THEN 422 ELSE 200 END AS status,
	CASE WHEN NOT EXISTS (SELECT FROM campaign) THEN problem(404, 'no such campaign')
		WHEN NOT EXISTS (SELECT FROM begun) THEN problems('[{"field": "preview", "detail": "true or false"}]')
		ELSE '{}' END AS body, (SELECT id FROM begun) AS upload
