-- SPDX-License-Identifier: Apache-2.0
-- After a claim whose answer was lost: which of these jobs it made ours. They were not posted: only an answered claim is.
-- Written once more: a claim whose confirmation by the standby was cut off is seen by others all the same, but this commit
-- waits for the standby too, and what the standby has of it comes after the claim.
-- $1 job ids, $2 worker
WITH mine AS MATERIALIZED (
	UPDATE calls SET worker = $2 WHERE job_id = ANY ($1::uuid[]) AND worker = $2 AND status = 'dialing' RETURNING *
)
SELECT c.job_id, 'dial' AS verdict, NULL::text AS gate, c.follow_up_id, c.tenant_id AS tenant, c.kind, c.lead_id, c.phone,
	a.name AS account, c.account_id, c.provider, c.lane_id, l.first_name, l.last_name, l.state,
	CASE WHEN c.kind IN ('classify', 'task') THEN coalesce(l.raw_payload -> 'variables', '{}') || coalesce(workflow_variables(c.follow_up_id), '{}')
		ELSE l.raw_payload -> 'variables' END AS variables, c.attempt, to_ms(c.due_at) AS due_at, to_ms(c.dial_by) AS dial_by,
	k.assistant_id, k.phone_number_id
FROM mine c JOIN leads l ON l.id = c.lead_id JOIN accounts a ON a.id = c.account_id LEFT JOIN campaigns k ON k.lane_id = c.lane_id
