-- SPDX-License-Identifier: Apache-2.0
-- Events that have waited too long for their call are listed as orphans. $1 seconds, $2 limit
WITH marked AS (
	UPDATE call_events SET state = 'orphan'
	WHERE id = ANY (ARRAY(SELECT id FROM call_events
		WHERE state = 'parked' AND recorded_at < now() - $1::integer * interval '1 second'
		ORDER BY recorded_at LIMIT $2::bigint FOR UPDATE SKIP LOCKED))
	RETURNING 1
)
SELECT count(*) AS marked FROM marked
