-- SPDX-License-Identifier: Apache-2.0
-- Sessions that were ended before their time, by id; the youngest where there are more than a process holds: $1
SELECT encode(id, 'hex') AS id FROM (
	SELECT id FROM ended_sessions WHERE expires_at > now() ORDER BY expires_at DESC LIMIT $1::integer) e
ORDER BY e.id
