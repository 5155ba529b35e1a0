-- SPDX-License-Identifier: Apache-2.0
-- POST pending-calls: one more. $1 a JSON object
WITH given AS MATERIALIZED (
	SELECT whole_numbers($1::jsonb) AS g
), bad AS MATERIALIZED (
	SELECT left(m.key, 100) AS field, p.detail FROM given CROSS JOIN LATERAL jsonb_each('{"phone": null}' || g) m
	CROSS JOIN LATERAL (SELECT pending_call_problem(m.key, m.value) AS detail) p WHERE p.detail IS NOT NULL
), made AS MATERIALIZED (
	SELECT p FROM pending_calls_create(CASE WHEN EXISTS (SELECT FROM bad) THEN '{}' ELSE ARRAY(SELECT g FROM given) END) p
)
SELECT CASE WHEN EXISTS (SELECT FROM bad) THEN 422 ELSE 201 END AS status,
	CASE WHEN EXISTS (SELECT FROM bad) THEN problems((SELECT jsonb_agg(jsonb_build_object('field', field, 'detail', detail)) FROM bad))
		ELSE (SELECT pending_call_record(p) FROM made) END AS body
