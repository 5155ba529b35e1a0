-- SPDX-License-Identifier: Apache-2.0
-- Uploads whose client or producer went away are given up; rows that nobody asks for any more are removed, a batch at a time, and
-- with the last of them, after some days, the upload. $1 limit, $2 days, $3 seconds without a sign of the client
WITH silent AS (
	UPDATE uploads SET state = 'abandoned', reason = 'the file did not come whole', finished_at = now()
	WHERE id = ANY (ARRAY(SELECT id FROM uploads WHERE state = 'receiving' AND touched_at < now() - $3::integer * interval '1 second'
		LIMIT $1::bigint FOR NO KEY UPDATE SKIP LOCKED))
), expired AS MATERIALIZED (
	SELECT id FROM uploads WHERE finished_at < now() - $2::integer * interval '1 day' ORDER BY finished_at LIMIT 100
), spent AS MATERIALIZED (   -- what is left of one that is done are its rejected rows
	SELECT x.id, r.row FROM (SELECT id, state, false AS expired FROM uploads WHERE NOT tidied AND state IN ('done', 'abandoned', 'failed')
		UNION ALL SELECT id, NULL, true FROM expired) x
	CROSS JOIN LATERAL (SELECT row FROM upload_rows WHERE upload_id = x.id AND (x.expired OR x.state <> 'done')
		UNION ALL SELECT row FROM upload_rows WHERE upload_id = x.id AND x.state = 'done' AND e164 IS NOT NULL LIMIT $1::bigint) r
	LIMIT $1::bigint
), removed AS (
	DELETE FROM upload_rows r USING spent s WHERE r.upload_id = s.id AND r.row = s.row
), tidy AS (
	UPDATE uploads u SET tidied = true WHERE NOT tidied AND state IN ('done', 'abandoned', 'failed') AND (SELECT count(*) FROM spent) < $1::bigint
), gone AS (
	DELETE FROM uploads WHERE id = ANY (ARRAY(SELECT id FROM expired)) AND (SELECT count(*) FROM spent) < $1::bigint
)
SELECT count(*) AS removed FROM spent
