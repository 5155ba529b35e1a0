-- SPDX-License-Identifier: Apache-2.0
-- POST suppressions/import: a list of numbers, or of objects as for one. What is suppressed already stays so until the later of
-- both ends. A record with something wrong is left out, with all that is wrong with it.
-- $1 a JSON array, $2 the number of its first record
WITH element AS MATERIALIZED (
	SELECT n + $2::bigint - 1 AS row, CASE jsonb_typeof(e) WHEN 'object' THEN whole_numbers(e) WHEN 'string' THEN jsonb_build_object('phone', e) ELSE '{}' END AS members
	FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY a (e, n)
	WHERE $2::bigint = 1 OR jsonb_typeof(e) <> 'null'   -- a blank row of CSV
), numbered AS MATERIALIZED (
	SELECT row, members, normalize_phone(members ->> 'phone') AS e164 FROM element
), bad AS MATERIALIZED (
	SELECT e.row, left(m.key, 100) AS field, masked(m.value) AS value, p.detail
	FROM numbered e CROSS JOIN LATERAL jsonb_each('{"phone": null}' || e.members) m
	CROSS JOIN LATERAL (SELECT suppression_problem(m.key, m.value, e.e164) AS detail OFFSET 0) p
	WHERE p.detail IS NOT NULL
), good AS MATERIALIZED (
	SELECT row, e164 AS phone, coalesce(members ->> 'reason', '') AS reason, iso_time(members ->> 'expires_at') AS expires_at
	FROM numbered WHERE (row IN (SELECT row FROM bad)) IS NOT TRUE
), given AS (
	SELECT phone, (array_agg(reason ORDER BY row DESC) FILTER (WHERE reason <> ''))[1] AS reason,
		CASE WHEN bool_and(expires_at IS NOT NULL) THEN max(expires_at) END AS expires_at
	FROM good GROUP BY phone
), made AS (
	INSERT INTO suppressions AS s (tenant_id, phone, reason, source, expires_at)
	SELECT request_tenant(), phone, coalesce(reason, ''), 'import', expires_at FROM given ORDER BY phone
	ON CONFLICT (phone, tenant_id) DO UPDATE SET created_at = CASE WHEN s.expires_at <= now() THEN now() ELSE s.created_at END,
		expires_at = CASE WHEN s.expires_at IS NOT NULL AND excluded.expires_at IS NOT NULL THEN greatest(s.expires_at, excluded.expires_at) END,
		reason = CASE excluded.reason WHEN '' THEN s.reason ELSE excluded.reason END
	RETURNING s.xmax = 0 AS is_new
)
SELECT 200 AS status, jsonb_build_object('created', (SELECT count(*) FROM made WHERE is_new), 'renewed', (SELECT count(*) FROM made WHERE NOT is_new),
	'duplicates', (SELECT count(*) FROM good) - (SELECT count(*) FROM made), 'rejected', (SELECT count(DISTINCT row) FROM bad),
	'errors', coalesce((SELECT jsonb_agg(jsonb_build_object('row', row, 'field', field, 'value', value, 'detail', detail) ORDER BY row, field)
		FROM (SELECT * FROM bad ORDER BY row, field LIMIT 10000) w), '[]'),
	'errors_left_out', greatest(0, (SELECT count(*) FROM bad) - 10000)) AS body
