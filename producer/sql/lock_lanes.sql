-- SPDX-License-Identifier: Apache-2.0
-- Takes the lanes this pass serves; other producers take the others. The lock holds to the end of the batch, so that
-- claim.sql, a later statement of the same transaction, counts with a fresh snapshot and nobody beside it. Not FOR UPDATE: a
-- lane would be passed over for as long as anybody's open transaction has added a follow-up to it. A request looks at closed
-- lanes before their time too, to say what holds their follow-ups.
-- $1 token of the pass, $2 serve the lead source's lanes too, $3 serve those only
UPDATE lanes SET claim_token = $1::uuid, served_at = clock_timestamp()
WHERE id = ANY (ARRAY(   -- once: as a join, the locking sub-select could be run again for every lane
	SELECT id FROM lanes
	WHERE active AND (next_at <= now() OR $3::boolean)
	AND CASE WHEN name = 'follow_ups' THEN $2::boolean ELSE NOT $3::boolean END
	ORDER BY served_at LIMIT 256
	FOR NO KEY UPDATE SKIP LOCKED))
RETURNING id AS lane_id
