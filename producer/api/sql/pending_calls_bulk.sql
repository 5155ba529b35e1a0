-- SPDX-License-Identifier: Apache-2.0
-- POST pending-calls/bulk: many, in one piece. A record with something wrong is left out, with all that is wrong
-- with it. $1 a JSON array, $2 the number of its first record
WITH element AS MATERIALIZED (
	SELECT n + $2::bigint - 1 AS row, CASE jsonb_typeof(e) WHEN 'object' THEN whole_numbers(e) ELSE '{}' END AS members
	FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY a (e, n)
	WHERE $2::bigint = 1 OR jsonb_typeof(e) <> 'null'   -- a blank row of CSV
), bad AS MATERIALIZED (
	SELECT e.row, left(m.key, 100) AS field, masked(m.value) AS value, p.detail
	FROM element e CROSS JOIN LATERAL jsonb_each('{"phone": null}' || e.members) m
	CROSS JOIN LATERAL (SELECT pending_call_problem(m.key, m.value) AS detail OFFSET 0) p
	WHERE p.detail IS NOT NULL
), made AS MATERIALIZED (
	SELECT p.id FROM pending_calls_create(ARRAY(SELECT members FROM element WHERE (row IN (SELECT row FROM bad)) IS NOT TRUE ORDER BY row)) p
)
SELECT 200 AS status, jsonb_build_object('created', (SELECT count(*) FROM made), 'rejected', (SELECT count(DISTINCT row) FROM bad),
	'errors', coalesce((SELECT jsonb_agg(jsonb_build_object('row', row, 'field', field, 'value', value, 'detail', detail) ORDER BY row, field)
		FROM (SELECT * FROM bad ORDER BY row, field LIMIT 10000) w), '[]'),
	'errors_left_out', greatest(0, (SELECT count(*) FROM bad) - 10000)) AS body
