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
)
SELECT a.status, a.body
FROM page_answer('suppressions', (SELECT jsonb_agg(to_jsonb(b)) FROM bad b), (SELECT most FROM asked),
	ARRAY(SELECT phone::text FROM page ORDER BY phone), ARRAY(SELECT record FROM page ORDER BY phone)) a
