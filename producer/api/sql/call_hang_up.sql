-- SPDX-License-Identifier: Apache-2.0
-- POST /api/calls/{id}/hangup: a live call is to end. The reconciler tells its provider; that it has ended is known when the provider
-- says so. $1 id
SELECT r.status, r.body FROM call_hang_up(CASE WHEN $1::text ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN $1::text::uuid
	ELSE (SELECT f.job_id FROM follow_ups f WHERE f.id = history_follow_up($1)) END, history_follow_up($1)) r
