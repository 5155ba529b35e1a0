-- SPDX-License-Identifier: Apache-2.0
-- PUT classifications/{phone}: who answers this number, as a person knows it, in place of what was known. $1 phone, $2 a JSON object
WITH bad AS MATERIALIZED (
	SELECT left(m.key, 100) AS field, p.detail FROM jsonb_each('{"classification": null}' || $2::jsonb) m
	CROSS JOIN LATERAL (SELECT classification_problem(m.key, m.value) AS detail) p WHERE p.detail IS NOT NULL
	UNION ALL
	SELECT 'phone', 'no phone number, such as +12125550101' WHERE (query_phones($1::text))[1] IS NULL OR normalize_phone((query_phones($1::text))[1]) IS NULL
), made AS MATERIALIZED (
	SELECT classification_put(request_tenant(), (query_phones($1::text))[1], $2::jsonb ->> 'classification', ($2::jsonb ->> 'confidence')::double precision,
		nullif($2::jsonb -> 'menu_path', 'null'), 'operator', NULL, iso_time($2::jsonb ->> 'expires_at')) AS id
	WHERE NOT EXISTS (SELECT FROM bad)
)
SELECT CASE WHEN EXISTS (SELECT FROM bad) THEN 422 ELSE 200 END AS status,
	CASE WHEN EXISTS (SELECT FROM bad) THEN problems((SELECT jsonb_agg(jsonb_build_object('field', field, 'detail', detail)) FROM bad))
		ELSE jsonb_build_object('id', (SELECT id FROM made), 'phone_e164', (query_phones($1::text))[1], 'classification_type', $2::jsonb ->> 'classification') END AS body
