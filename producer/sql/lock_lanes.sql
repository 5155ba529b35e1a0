-- SPDX-License-Identifier: Apache-2.0
-- Takes the lanes this pass serves; other producers take the others. The lock holds to the end of the batch, so that
-- claim.sql, the next statement of the same transaction, counts with a fresh snapshot and nobody beside it.
-- $1 token of the pass, $2 serve the lead source's lanes too, $3 serve those only
UPDATE lanes SET claim_token = $1::uuid, served_at = clock_timestamp()
WHERE id IN (
	SELECT id FROM lanes
	WHERE active AND next_at <= now()
	AND CASE WHEN name = 'follow_ups' THEN $2::boolean ELSE NOT $3::boolean END
	ORDER BY served_at LIMIT 256
	FOR UPDATE SKIP LOCKED)
RETURNING id AS lane_id
