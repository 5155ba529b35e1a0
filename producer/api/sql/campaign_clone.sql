-- SPDX-License-Identifier: Apache-2.0
-- POST campaigns/{id}/clone: the same settings, no contacts, stopped; the body may change any. $1 id, $2 a JSON object
WITH original AS MATERIALIZED (
	SELECT k.tenant_id, campaign_record(k) AS record FROM campaigns k WHERE k.id = query_id($1::text) AND k.deleted_at IS NULL
), kept AS MATERIALIZED (
	SELECT o.tenant_id, jsonb_object_agg(m.key, m.value) AS members
	FROM original o CROSS JOIN LATERAL jsonb_each(o.record) m WHERE campaign_blank() ? m.key GROUP BY o.tenant_id
), made AS MATERIALIZED (
	SELECT c.* FROM kept CROSS JOIN LATERAL campaign_create(tenant_id, members
		|| jsonb_build_object('name', left('Copy of ' || (members ->> 'name'), 200), 'isActive', false) || $2::jsonb) c
)
SELECT coalesce((SELECT status FROM made), 404) AS status, coalesce((SELECT body FROM made), problem(404, 'no such campaign')) AS body
