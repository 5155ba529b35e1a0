-- SPDX-License-Identifier: Apache-2.0
-- POST campaigns/{id}/contacts: people to call, known by their number: one that a lead has is that lead. A record with something
-- wrong is left out, with all that is wrong with it; ?preview=true says what would happen.
-- $1 id, $2 a JSON array, $3 the number of its first record, $4 preview
WITH campaign AS MATERIALIZED (
	SELECT k.id, k.tenant_id FROM campaigns k WHERE k.id = query_id($1::text) AND k.deleted_at IS NULL
), element AS MATERIALIZED (
	SELECT n + $3::bigint - 1 AS row, e, CASE jsonb_typeof(e) WHEN 'object' THEN e ELSE '{}' END AS members
	FROM jsonb_array_elements($2::jsonb) WITH ORDINALITY a (e, n)
	WHERE ($3::bigint = 1 OR jsonb_typeof(e) <> 'null') AND EXISTS (SELECT FROM campaign)   -- a blank row of CSV
), given AS MATERIALIZED (
	SELECT row, members, normalize_phone(members ->> 'phone') AS e164 FROM element
), bad AS MATERIALIZED (
	SELECT g.row, left(m.key, 100) AS field, masked(m.value) AS value, p.detail
	FROM given g CROSS JOIN LATERAL jsonb_each(g.members) m
	CROSS JOIN LATERAL (SELECT CASE WHEN m.key IN ('phone', 'first_name', 'last_name', 'state', 'time_zone', 'variables', 'external_id', 'list_id', '')
		THEN lead_problem(m.key, m.value) ELSE 'no such field of a contact' END AS detail OFFSET 0) p
	WHERE p.detail IS NOT NULL
	UNION ALL
	SELECT row, 'phone', masked(members -> 'phone'), CASE WHEN coalesce(members ->> 'phone', '') = '' THEN 'missing'
		ELSE 'no number that can be called, such as +12125550101' END
	FROM given WHERE NOT coalesce(number_is_dialable(e164), false) AND phone_problem(coalesce(members ->> 'phone', '')) IS NULL
), good AS MATERIALIZED (
	SELECT g.*, row_number() OVER (PARTITION BY e164 ORDER BY row) AS nth FROM given g WHERE (g.row IN (SELECT row FROM bad)) IS NOT TRUE
), person AS MATERIALIZED (   -- the first row of each number
	SELECT g.row, g.members - 'external_id' AS members, CASE WHEN row_number() OVER (PARTITION BY g.members ->> 'external_id' ORDER BY g.row) = 1 THEN g.members ->> 'external_id' END AS external_id, g.e164, l.id AS lead_id
	FROM good g LEFT JOIN LATERAL (SELECT o.id FROM leads o WHERE o.phone_e164 = g.e164 AND o.tenant_id = (SELECT tenant_id FROM campaign)
		ORDER BY o.id LIMIT 1) l ON true
	WHERE g.nth = 1
), known AS MATERIALIZED (
	SELECT p.lead_id FROM person p JOIN campaign_contacts c ON c.lead_id = p.lead_id AND c.campaign_id = (SELECT id FROM campaign)
), changing AS MATERIALIZED (
	SELECT l AS was, n FROM person p JOIN leads l ON l.id = p.lead_id CROSS JOIN LATERAL lead_with(l, (p.members - 'phone')
		|| CASE WHEN p.members ? 'variables' THEN jsonb_build_object('variables', coalesce(l.raw_payload -> 'variables', '{}') || (p.members -> 'variables'))
			ELSE '{}' END) n
	WHERE n IS DISTINCT FROM l
), changed AS (
	UPDATE leads l SET first_name = (c.n).first_name, last_name = (c.n).last_name, state = (c.n).state, list_id = (c.n).list_id,
		time_zone = (c.n).time_zone, zones = (c.n).zones, raw_payload = (c.n).raw_payload, updated_at = now()
	FROM changing c WHERE l.id = (c.was).id AND coalesce($4::text, 'false') = 'false'
), made AS (
	INSERT INTO leads (tenant_id, external_id, first_name, last_name, phone, state, list_id, time_zone, auto_follow_up, raw_payload)
	SELECT (SELECT tenant_id FROM campaign), CASE WHEN NOT EXISTS (SELECT FROM leads o WHERE o.tenant_id = (SELECT tenant_id FROM campaign)
			AND o.external_id = p.external_id) THEN p.external_id END,
		(n).first_name, (n).last_name, (n).phone, (n).state, (n).list_id, (n).time_zone, false, (n).raw_payload
	FROM person p CROSS JOIN LATERAL lead_with(lead_blank(), p.members) n
	WHERE p.lead_id IS NULL AND coalesce($4::text, 'false') = 'false' ORDER BY p.row
	ON CONFLICT (tenant_id, external_id) DO NOTHING
	RETURNING id
), joined AS (
	INSERT INTO campaign_contacts (campaign_id, lead_id)
	SELECT (SELECT id FROM campaign), id FROM (SELECT id FROM made UNION ALL SELECT lead_id FROM person
		WHERE lead_id IS NOT NULL AND coalesce($4::text, 'false') = 'false' AND (lead_id IN (SELECT lead_id FROM known)) IS NOT TRUE) x
	ON CONFLICT (campaign_id, lead_id) DO NOTHING
	RETURNING 1
), counts AS MATERIALIZED (
	SELECT (SELECT count(*) FROM person) AS people, (SELECT count(*) FROM known) AS known,
		(SELECT count(*) FROM changing c WHERE ((c.was).id IN (SELECT lead_id FROM known)) IS TRUE) AS updated, (SELECT count(*) FROM good) AS good
)
SELECT CASE WHEN NOT EXISTS (SELECT FROM campaign) THEN 404 WHEN $4::text NOT IN ('true', 'false') THEN 422 ELSE 200 END AS status,
	CASE WHEN NOT EXISTS (SELECT FROM campaign) THEN problem(404, 'no such campaign')
	WHEN $4::text NOT IN ('true', 'false') THEN problems('[{"field": "preview", "detail": "true or false"}]')
	ELSE jsonb_build_object('preview', coalesce($4::text = 'true', false), 'created', people - known, 'updated', updated,
		'duplicates', good - (people - known) - updated, 'rejected', (SELECT count(DISTINCT row) FROM bad),
		'rejectedRows', coalesce((SELECT jsonb_agg(jsonb_build_object('row', row, 'column', field, 'value', value, 'reason', detail) ORDER BY row, field)
			FROM (SELECT * FROM bad ORDER BY row, field LIMIT 100) b), '[]')) END AS body
FROM counts
