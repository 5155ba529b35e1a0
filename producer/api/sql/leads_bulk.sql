-- SPDX-License-Identifier: Apache-2.0
-- POST leads/bulk: leads of the request's tenant in one piece. One with the external_id of a lead changes what it names of that;
-- others are new. A record with something wrong is left out, with all that is wrong with it.
-- $1 a JSON array, $2 the number of its first record
WITH element AS MATERIALIZED (
	SELECT n + $2::bigint - 1 AS row, e, CASE jsonb_typeof(e) WHEN 'object' THEN whole_numbers(e) ELSE '{}' END AS members
	FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY a (e, n)
	WHERE $2::bigint = 1 OR jsonb_typeof(e) <> 'null'   -- a blank row of CSV
), keyed AS (
	SELECT row, members -> 'external_id' AS key, first_value(row) OVER (PARTITION BY members ->> 'external_id' ORDER BY row) AS first
	FROM element WHERE members ->> 'external_id' <> ''
), bad AS MATERIALIZED (
	SELECT row, '' AS field, NULL AS value, 'not an object with a field of a lead' AS detail FROM element WHERE members = '{}'
	UNION ALL
	SELECT e.row, left(m.key, 100), masked(m.value), p.detail
	FROM element e CROSS JOIN LATERAL jsonb_each(e.members) m CROSS JOIN LATERAL (SELECT lead_problem(m.key, m.value) AS detail OFFSET 0) p
	WHERE p.detail IS NOT NULL
	UNION ALL
	SELECT row, 'external_id', masked(key), format('row %s has it already', first) FROM keyed WHERE row <> first
), given AS MATERIALIZED (
	SELECT row, members, members ->> 'external_id' AS external_id FROM element WHERE (row IN (SELECT row FROM bad)) IS NOT TRUE
), existing AS MATERIALIZED (
	SELECT g.row, g.members, l FROM given g JOIN leads l ON l.tenant_id = request_tenant() AND l.external_id = g.external_id
	ORDER BY l.id FOR NO KEY UPDATE OF l
), changing AS MATERIALIZED (
	SELECT x.row, x.l AS was, n FROM existing x CROSS JOIN LATERAL lead_with(x.l, x.members) n WHERE n IS DISTINCT FROM x.l
), changed AS (
	UPDATE leads l SET first_name = (c.n).first_name, last_name = (c.n).last_name, phone = (c.n).phone, state = (c.n).state, list_id = (c.n).list_id, time_zone = (c.n).time_zone, stage = (c.n).stage,
		call_date = (c.n).call_date, auto_follow_up = (c.n).auto_follow_up, paused = (c.n).paused, raw_payload = (c.n).raw_payload,
		updated_at = now()
	FROM changing c WHERE l.id = (c.was).id
), noted AS (
	INSERT INTO transitions (entity, entity_id, from_state, to_state, reason, actor)
	SELECT 'lead', (was).id::text, (was).stage, (n).stage, 'changed', 'operator' FROM changing WHERE (n).stage <> (was).stage
), making AS MATERIALIZED (
	SELECT g.row, g.external_id, n FROM given g CROSS JOIN LATERAL lead_with(lead_blank(), g.members) n
	WHERE (g.row IN (SELECT row FROM existing)) IS NOT TRUE
), made AS (
	INSERT INTO leads (tenant_id, external_id, first_name, last_name, phone, state, list_id, time_zone, stage, call_date, auto_follow_up, paused, raw_payload)
	SELECT (n).tenant_id, (n).external_id, (n).first_name, (n).last_name, (n).phone, (n).state, (n).list_id, (n).time_zone, (n).stage, (n).call_date,
		(n).auto_follow_up, (n).paused, (n).raw_payload
	FROM making ORDER BY row
	ON CONFLICT (tenant_id, external_id) DO NOTHING
	RETURNING external_id, phone_e164
), wrong AS MATERIALIZED (
	SELECT * FROM bad
	UNION ALL
	SELECT row, 'external_id', masked(to_jsonb(external_id)), 'another request made this lead at the same moment; send it again'
	FROM making WHERE external_id IS NOT NULL AND (external_id IN (SELECT external_id FROM made)) IS NOT TRUE
)
SELECT 200 AS status, jsonb_build_object('created', (SELECT count(*) FROM made), 'updated', (SELECT count(*) FROM changing),
	'unchanged', (SELECT count(*) FROM existing) - (SELECT count(*) FROM changing), 'rejected', (SELECT count(DISTINCT row) FROM wrong),
	-- Taken all the same: they are skipped, and say so.
	'not_dialable', (SELECT count(*) FROM (SELECT phone_e164 FROM made UNION ALL SELECT normalize_phone((n).phone) FROM changing) t
		WHERE NOT number_is_dialable(phone_e164)),
	'errors', coalesce((SELECT jsonb_agg(jsonb_build_object('row', row, 'field', field, 'value', value, 'detail', detail) ORDER BY row, field)
		FROM (SELECT * FROM wrong ORDER BY row, field LIMIT 10000) w), '[]'),
	'errors_left_out', greatest(0, (SELECT count(*) FROM wrong) - 10000)) AS body
