-- SPDX-License-Identifier: Apache-2.0
-- PATCH leads/{id}: what is named changes; members of raw_payload are added to those that are there. $1 id, $2 a JSON object
WITH was AS MATERIALIZED (
	SELECT l AS lead FROM leads l WHERE l.id = query_id($1::text) FOR NO KEY UPDATE
), given AS MATERIALIZED (
	SELECT whole_numbers($2::jsonb) AS g
), bad AS MATERIALIZED (
	SELECT left(m.key, 100) AS field, p.detail FROM given CROSS JOIN LATERAL jsonb_each(g) m CROSS JOIN LATERAL (SELECT lead_problem(m.key, m.value) AS detail) p
	WHERE p.detail IS NOT NULL
), taken AS MATERIALIZED (
	SELECT o.id FROM was JOIN leads o ON o.tenant_id = (was.lead).tenant_id AND o.external_id = (SELECT g ->> 'external_id' FROM given) AND o.id <> (was.lead).id
), verdict AS MATERIALIZED (
	SELECT CASE WHEN NOT EXISTS (SELECT FROM was) THEN 404 WHEN EXISTS (SELECT FROM bad) THEN 422
		WHEN EXISTS (SELECT FROM taken) THEN 409 ELSE 200 END AS status
), new AS MATERIALIZED (
	SELECT n FROM verdict v, was CROSS JOIN LATERAL lead_derived(lead_with(was.lead, CASE v.status WHEN 200 THEN (SELECT g FROM given) ELSE '{}' END)) n WHERE v.status = 200
), changed AS (
	UPDATE leads l SET external_id = (n).external_id, first_name = (n).first_name, last_name = (n).last_name, phone = (n).phone,
		phone_e164 = (n).phone_e164, zones = (n).zones, state = (n).state, list_id = (n).list_id, time_zone = (n).time_zone, stage = (n).stage,
		call_date = (n).call_date, auto_follow_up = (n).auto_follow_up, paused = (n).paused, raw_payload = (n).raw_payload, updated_at = now()
	FROM new, was WHERE l.id = (n).id AND n IS DISTINCT FROM was.lead
	RETURNING l
), noted AS (
	INSERT INTO transitions (entity, entity_id, from_state, to_state, reason, actor)
	SELECT 'lead', (n).id::text, (was.lead).stage, (n).stage, 'changed', 'operator' FROM new, was WHERE (n).stage <> (was.lead).stage
)
SELECT v.status, CASE v.status WHEN 404 THEN problem(404, 'no such lead')
	WHEN 422 THEN problems((SELECT jsonb_agg(jsonb_build_object('field', field, 'detail', detail)) FROM bad))
	WHEN 409 THEN problem(409, format('external_id: lead %s has it', (SELECT id FROM taken))) || jsonb_build_object('id', (SELECT id FROM taken))
	ELSE (SELECT lead_record(l) FROM changed UNION ALL SELECT lead_record(lead) FROM was WHERE NOT EXISTS (SELECT FROM changed)) END AS body
FROM verdict v
