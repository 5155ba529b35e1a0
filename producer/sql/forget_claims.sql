-- SPDX-License-Identifier: Apache-2.0
-- Claims whose jobs were all taken have nothing left to tell; the fewer there are, the sooner the queued ones of a lane or an
-- account are counted. The oldest first: they are the first to be taken. $1 limit
WITH forgotten AS (
	DELETE FROM claims WHERE id = ANY (ARRAY(
		SELECT id FROM claims c
		WHERE (SELECT true FROM follow_ups f WHERE f.claim_id = c.id AND f.status = 'queued' LIMIT 1) IS NULL
		ORDER BY id LIMIT $1::bigint FOR UPDATE SKIP LOCKED))
	RETURNING 1
)
SELECT count(*) AS forgotten FROM forgotten
