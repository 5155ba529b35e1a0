-- SPDX-License-Identifier: Apache-2.0
-- DELETE /api/session: its cookie opens nothing any more, in every producer within about a second. Those that are over by themselves
-- need not be remembered. $1 id in hexadecimal digits, $2 when it would have been over, in milliseconds
WITH over AS (
	DELETE FROM ended_sessions WHERE expires_at < now()
), ended AS (
	INSERT INTO ended_sessions (id, expires_at) VALUES (decode($1::text, 'hex'), from_ms($2::bigint)) ON CONFLICT DO NOTHING
)
SELECT 200 AS status, jsonb_build_object('role', NULL, 'tenant', NULL, 'admin', false, 'csrf', NULL, 'expiresAt', NULL) AS body
