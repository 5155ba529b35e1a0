-- SPDX-License-Identifier: Apache-2.0
-- GET campaigns/{id}/uploads/{upload}/rejected, in parts: all rejected rows as CSV, as they were given, behind what is wrong with
-- them: to be mended and sent again. $1 campaign, $2 upload, $3 the row that the part before this one ended with, null for the first
WITH found AS MATERIALIZED (
	SELECT u.id, u.header FROM uploads u
	WHERE u.id = query_id($2::text) AND u.campaign_id = query_id($1::text) AND u.state IN ('applying', 'done')
), page AS MATERIALIZED (
	SELECT r.row, concat_ws(',', csv_cell(r.row::text), csv_cell((SELECT string_agg(concat_ws(': ', p ->> 'column', p ->> 'reason'), '; ')
		FROM jsonb_array_elements(r.problems) p)), nullif(r.line, '')) AS line
	FROM found f CROSS JOIN LATERAL (SELECT row, line, problems FROM upload_rows
		WHERE upload_id = f.id AND problems IS NOT NULL AND row > coalesce($3::text, '0')::bigint ORDER BY row LIMIT 1000) r
)
SELECT 404 AS status, problem(404, 'no such upload, or nothing of it is kept')::text AS body, NULL AS more
WHERE NOT EXISTS (SELECT FROM found)
UNION ALL
SELECT 200, CASE WHEN $3::text IS NULL THEN (SELECT '"Rejected row","Rejected because",' || header || E'\r\n' FROM found) ELSE '' END
		|| coalesce(string_agg(line || E'\r\n', '' ORDER BY row), ''),
	CASE WHEN count(*) = 1000 THEN max(row)::text END
FROM page HAVING EXISTS (SELECT FROM found)
