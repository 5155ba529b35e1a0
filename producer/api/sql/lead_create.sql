-- SPDX-License-Identifier: Apache-2.0
-- POST leads: one of the request's tenant. A phone that can't be dialed is kept as it is given: phone_e164 is null then, and the
-- lead is skipped with its reason. $1 a JSON object
WITH given AS MATERIALIZED (
	SELECT whole_numbers($1::jsonb) AS g
), bad AS MATERIALIZED (
	SELECT left(m.key, 100) AS field, p.detail FROM given CROSS JOIN LATERAL jsonb_each(g) m CROSS JOIN LATERAL (SELECT lead_problem(m.key, m.value) AS detail) p
	WHERE p.detail IS NOT NULL
), taken AS MATERIALIZED (
	SELECT id FROM leads WHERE tenant_id = request_tenant() AND external_id = (SELECT g ->> 'external_id' FROM given)
), made AS (
	INSERT INTO leads (tenant_id, external_id, first_name, last_name, phone, state, list_id, time_zone, stage, call_date, auto_follow_up,
		paused, raw_payload)
	SELECT n.tenant_id, n.external_id, n.first_name, n.last_name, n.phone, n.state, n.list_id, n.time_zone, n.stage, n.call_date,
		n.auto_follow_up, n.paused, n.raw_payload
	FROM given CROSS JOIN LATERAL lead_with(lead_blank(), CASE WHEN NOT EXISTS (SELECT FROM bad) THEN g ELSE '{}' END) n
	WHERE NOT EXISTS (SELECT FROM bad) AND NOT EXISTS (SELECT FROM taken)
	RETURNING leads
)
SELECT CASE WHEN EXISTS (SELECT FROM bad) THEN 422 WHEN EXISTS (SELECT FROM taken) THEN 409 ELSE 201 END AS status,
	CASE WHEN EXISTS (SELECT FROM bad) THEN problems((SELECT jsonb_agg(jsonb_build_object('field', field, 'detail', detail)) FROM bad))
		WHEN EXISTS (SELECT FROM taken) THEN problem(409, format('external_id: lead %s has it', (SELECT id FROM taken)))
			|| jsonb_build_object('id', (SELECT id FROM taken))
		ELSE (SELECT lead_record(leads) FROM made) END AS body
