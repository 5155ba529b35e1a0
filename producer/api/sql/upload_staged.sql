-- SPDX-License-Identifier: Apache-2.0
-- The whole file is here: from now on its rows are applied, whether the client waits or not. $1 upload, $2 header as CSV
WITH staged AS (
	UPDATE uploads SET state = 'applying', header = $2, touched_at = now() WHERE id = $1::bigint AND state = 'receiving' RETURNING id
)
SELECT CASE WHEN EXISTS (SELECT FROM staged) THEN 202 ELSE 409 END AS status,
	coalesce((SELECT jsonb_build_object('upload', id) FROM staged), problem(409, 'the upload was given up')) AS body
