-- SPDX-License-Identifier: Apache-2.0
-- POST /api/calls/{id}/cancel: a scheduled call is not dialed. $1 id
WITH asked AS MATERIALIZED (
	SELECT history_follow_up($1) AS follow_up_id, (SELECT c FROM calls c
		WHERE c.job_id = CASE WHEN $1::text ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN $1::text::uuid END) AS call
)
SELECT CASE WHEN (a.call).job_id IS NOT NULL THEN 409 ELSE c.status END AS status, CASE
	WHEN (a.call).job_id IS NOT NULL THEN problem(409, CASE
		WHEN (a.call).ended_at IS NOT NULL THEN 'the call is over'
		WHEN call_word((a.call).status, (a.call).refusal) = 'scheduled' THEN format('it is scheduled again: cancel s%s', (a.call).follow_up_id)
		WHEN (a.call).status IN ('rejected', 'failed', 'completed') THEN 'the call is over'
		ELSE 'the call is being dialed or goes on: POST .../hangup ends one where its provider can' END)
	WHEN c.status = 404 THEN problem(404, 'no such call')
	WHEN c.status = 409 THEN problem(409, format('it is not scheduled any more: its follow-up is %s%s', (c.entry).status,
		'; its call is ' || CASE WHEN (c.entry).status IN ('dialing', 'completed', 'undetermined') THEN (c.entry).job_id END))
	ELSE scheduled_record(c.entry) END AS body
FROM asked a CROSS JOIN LATERAL follow_up_cancel(a.follow_up_id) c
