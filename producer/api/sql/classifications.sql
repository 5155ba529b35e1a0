-- SPDX-License-Identifier: Apache-2.0
-- GET classifications: those that fit, oldest first, of one phone by its index; active is one that counts now. $1 phone, $2 active, $3 limit, $4 after
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
		(SELECT c.ordinal, classification_record(c) AS record FROM call_classifications c
		WHERE $1::text IS NULL AND c.ordinal > a.after
		AND ($2::text IS NULL OR classification_counts(c) = ($2 = 'true'))
		ORDER BY c.ordinal LIMIT a.most + 1)
		UNION ALL
		(SELECT c.ordinal, classification_record(c) FROM call_classifications c
		WHERE c.ordinal = ANY (ARRAY(SELECT o.ordinal FROM call_classifications o WHERE $1::text IS NOT NULL AND o.phone_e164 = ANY (query_phones($1))))
		AND c.ordinal > a.after AND ($2::text IS NULL OR classification_counts(c) = ($2 = 'true'))
		ORDER BY c.ordinal LIMIT a.most + 1)) p
)
SELECT a.status, a.body
FROM page_answer('classifications', (SELECT jsonb_agg(to_jsonb(b)) FROM bad b), (SELECT most FROM asked),
	ARRAY(SELECT ordinal::text FROM page ORDER BY ordinal), ARRAY(SELECT record FROM page ORDER BY ordinal)) a
