-- SPDX-License-Identifier: Apache-2.0
-- The records of a JSON array, likewise; in the file of rejected rows each is one cell. $1 upload, $2 array
SELECT upload_stage($1::bigint, array_agg(n), array_agg(csv_cell(e::text)),
	array_agg(CASE jsonb_typeof(e) WHEN 'object' THEN e::text ELSE '{}' END),
	array_agg(CASE WHEN jsonb_typeof(e) <> 'object' THEN 'not an object' END)) AS rejected
FROM jsonb_array_elements($2::jsonb) WITH ORDINALITY a (e, n)
