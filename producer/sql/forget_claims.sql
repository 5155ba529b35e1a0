-- SPDX-License-Identifier: Apache-2.0
-- Claims whose lease is over and whose jobs were all taken have nothing left to tell. $1 limit
WITH forgotten AS (
	DELETE FROM claims WHERE id IN (
		SELECT id FROM claims c
		WHERE lease_until < now() AND NOT EXISTS (SELECT FROM follow_ups f
			WHERE f.status = 'queued' AND f.lane_id = c.lane_id AND f.claim_id = c.id)
		ORDER BY lease_until LIMIT $1::bigint FOR UPDATE SKIP LOCKED)
	RETURNING 1
)
SELECT count(*) AS forgotten FROM forgotten
