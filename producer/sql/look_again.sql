-- SPDX-License-Identifier: Apache-2.0
-- Follow-ups that a window, a zone or a cap holds are looked at now, a batch at a time. $1 after this id, $2 limit
WITH held AS (
	SELECT id FROM follow_ups
	WHERE id > $1::bigint AND status = 'pending'
	AND gate IN ('day', 'holiday', 'window', 'zone', 'lead_window', 'no_common_window', 'frequency', 'cap')
	ORDER BY id LIMIT $2::bigint FOR UPDATE
), looked AS (
	UPDATE follow_ups f SET next_look_at = greatest(f.due_at, now()) FROM held WHERE f.id = held.id
	RETURNING f.id
)
SELECT count(*) AS looked, coalesce(max(id), 0) AS last_id FROM looked
