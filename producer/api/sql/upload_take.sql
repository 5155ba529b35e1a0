-- SPDX-License-Identifier: Apache-2.0
-- An upload that nobody has applied a batch of for a while: whose producer ended. $1 who takes it, $2 seconds
UPDATE uploads SET worker = $1, touched_at = now()
WHERE id = (SELECT id FROM uploads WHERE state = 'applying' AND touched_at < now() - $2::integer * interval '1 second'
	ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
RETURNING id AS upload
