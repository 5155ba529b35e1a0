-- SPDX-License-Identifier: Apache-2.0
-- GET classifications: those that fit, oldest first; active is one that counts now. $1 phone, $2 active, $3 limit, $4 after
WITH bad AS MATERIALIZED (
	SELECT field, detail FROM (VALUES
		('phone', $1::text IS NOT NULL AND query_phones($1) = '{}', 'a number, such as +12125550101'),
		('active', $2::text NOT IN ('true', 'false'), 'true or false'),
		('limit', $3::text IS NOT NULL AND query_limit($3) IS NULL, 'a number from 1 to 1000'),
		('after', $4::text IS NOT NULL AND query_id($4) IS NULL, 'what an answer gave as next')) v (field, is_bad, detail)
	WHERE is_bad
), asked AS MATERIALIZED (
	SELECT query_limit($3) AS most, coalesce(query_id($4), 0) AS after WHERE NOT EXISTS (SELECT FROM bad)
), page AS MATERIALIZED (
	SELECT p.* FROM asked a CROSS JOIN LATERAL (
		SELECT c.ordinal, classification_record(c) AS record FROM call_classifications c
		WHERE c.ordinal > a.after AND ($1::text IS NULL OR c.phone_e164 = ANY (query_phones($1)))
		AND ($2::text IS NULL OR (c.is_active AND c.classification_expires_at > now()) = ($2 = 'true'))
		ORDER BY c.ordinal LIMIT a.most + 1) p
), shown AS MATERIALIZED (
	SELECT * FROM page ORDER BY ordinal LIMIT (SELECT most FROM asked)
)
SELECT CASE WHEN EXISTS (SELECT FROM bad) THEN 422 ELSE 200 END AS status, CASE WHEN EXISTS (SELECT FROM bad)
	THEN problems((SELECT jsonb_agg(jsonb_build_object('field', field, 'detail', detail)) FROM bad))
	ELSE jsonb_build_object('classifications', coalesce((SELECT jsonb_agg(record ORDER BY ordinal) FROM shown), '[]'))
		|| CASE WHEN (SELECT count(*) FROM page) > (SELECT count(*) FROM shown)
			THEN jsonb_build_object('next', (SELECT max(ordinal)::text FROM shown)) ELSE '{}' END END AS body
