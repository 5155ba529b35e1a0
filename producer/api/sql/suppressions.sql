-- SPDX-License-Identifier: Apache-2.0
-- GET suppressions of the request's tenant, by number; `next` is given when there are more, to be asked for as `after`.
-- $1 phone, $2 limit, $3 after
WITH bad AS MATERIALIZED (
	SELECT field, detail FROM (VALUES
		('phone', $1::text IS NOT NULL AND query_phones($1) = '{}', 'a number, such as +12125550101'),
		('limit', $2::text IS NOT NULL AND query_limit($2) IS NULL, 'a number from 1 to 1000'),
		('after', $3::text IS NOT NULL AND query_phones($3) = '{}', 'what an answer gave as next')) v (field, is_bad, detail)
	WHERE is_bad
), asked AS MATERIALIZED (
	SELECT query_limit($2) AS most, coalesce('+' || regexp_replace($3::text, '[^0-9]', '', 'g'), '') AS after WHERE NOT EXISTS (SELECT FROM bad)
), page AS MATERIALIZED (
	SELECT p.* FROM asked a CROSS JOIN LATERAL (
		SELECT s.phone, suppression_record(s) AS record FROM suppressions s
		WHERE s.tenant_id = request_tenant() AND s.phone > a.after AND ($1::text IS NULL OR s.phone = ANY (query_phones($1)))
		ORDER BY s.phone LIMIT a.most + 1) p
), shown AS MATERIALIZED (
	SELECT * FROM page ORDER BY phone LIMIT (SELECT most FROM asked)
)
SELECT CASE WHEN EXISTS (SELECT FROM bad) THEN 422 ELSE 200 END AS status, CASE WHEN EXISTS (SELECT FROM bad)
	THEN problems((SELECT jsonb_agg(jsonb_build_object('field', field, 'detail', detail)) FROM bad))
	ELSE jsonb_build_object('suppressions', coalesce((SELECT jsonb_agg(record ORDER BY phone) FROM shown), '[]'))
		|| CASE WHEN (SELECT count(*) FROM page) > (SELECT count(*) FROM shown)
			THEN jsonb_build_object('next', (SELECT max(phone) FROM shown)) ELSE '{}' END END AS body
