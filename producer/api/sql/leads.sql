-- SPDX-License-Identifier: Apache-2.0
-- GET leads: those that fit, oldest first; `next` is given when there are more, to be asked for as `after`. A phone or a
-- dialer's id is looked up, all else is read along the leads: a page may be shorter than its limit and have a `next`.
-- $1 stage, $2 phone, $3 part of a name, $4 list_id, $5 state, $6 paused, $7 external_id, $8 limit, $9 after
WITH bad AS MATERIALIZED (
	SELECT field, detail FROM (VALUES
		('phone', $2::text IS NOT NULL AND query_phones($2) = '{}', 'a number, such as +12125550101'),
		('paused', $6::text NOT IN ('true', 'false'), 'true or false'),
		('limit', $8::text IS NOT NULL AND query_limit($8) IS NULL, 'a number from 1 to 1000'),
		('after', $9::text IS NOT NULL AND query_id($9) IS NULL, 'what an answer gave as next')) v (field, is_bad, detail)
	WHERE is_bad
), asked AS MATERIALIZED (
	SELECT query_limit($8) AS most, coalesce(query_id($9), 0) AS after, $2::text IS NOT NULL OR $7::text IS NOT NULL AS by_key
	WHERE NOT EXISTS (SELECT FROM bad)
), walked AS MATERIALIZED (
	SELECT w.* FROM asked a CROSS JOIN LATERAL leads_page($1, $3, $4, $5, $6, a.after, a.most + 1) w WHERE NOT a.by_key
), page AS MATERIALIZED (
	SELECT p.id, p.record FROM asked a CROSS JOIN LATERAL (
		(SELECT l.id, lead_record(l) AS record FROM leads l WHERE l.id = ANY (SELECT unnest(ids) FROM walked))
		UNION ALL
		(SELECT l.id, lead_record(l) FROM leads l
		WHERE a.by_key AND l.id = ANY (ARRAY(
				SELECT id FROM leads WHERE $2::text IS NOT NULL AND phone_e164 = ANY (query_phones($2))
				UNION ALL
				SELECT o.id FROM tenants t JOIN leads o ON o.tenant_id = t.id WHERE $2::text IS NULL AND o.external_id = $7::text))
			AND ($7::text IS NULL OR l.external_id = $7) AND l.id > a.after AND lead_fits(l, $1, $3, $4, $5, $6)
		ORDER BY l.id LIMIT a.most + 1)) p
)
SELECT a.status, a.body
FROM page_answer('leads', (SELECT jsonb_agg(to_jsonb(b)) FROM bad b), (SELECT most FROM asked),
	ARRAY(SELECT id::text FROM page ORDER BY id), ARRAY(SELECT record FROM page ORDER BY id), (SELECT read_to::text FROM walked)) a
