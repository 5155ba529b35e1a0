-- SPDX-License-Identifier: Apache-2.0
-- The dispatcher's claim: intent is committed by this statement before a byte of the request leaves. A job becomes ours only
-- if its follow-up is still queued under this job id, every gate passes now, the window is open and nobody else is live on the
-- phone. What is held goes back to the queue here and now; every job gets a verdict.
-- Sets inside the statement are compared by hashed sub-selects: the planner takes them for tiny and would loop over joins.
-- $1 job ids, $2 follow-up ids, $3 worker, $4 lease in seconds, $5 seconds until the reconciler may look, $6 account names,
-- $7 fingerprints of the credentials that this worker posts with: a list read with others proves nothing about the call,
-- $8 whether to ask before each entry what is live or in the ledger already. ON CONFLICT costs an eighth of this statement: so it
-- fails as a whole where somebody has entered a number since it began, or a live row is the follow-up's own, and comes again, asking.
WITH job AS MATERIALIZED (
	SELECT * FROM unnest($1::uuid[], $2::bigint[]) j (job_id, follow_up_id)
), mine AS MATERIALIZED (
	SELECT f.*, j.job_id
	FROM (SELECT * FROM job ORDER BY follow_up_id) j CROSS JOIN LATERAL (
		SELECT id, tenant_id, lane_id, lead_id, account_id, kind, attempts, due_at FROM follow_ups WHERE id = j.follow_up_id AND job_id = j.job_id
		AND status || '' = 'queued'   -- by primary key, never by the short-lived entries of the queued index
		FOR UPDATE) f
), lane AS MATERIALIZED (
	SELECT lane_id, g AS verdict FROM lane_gates(now()) g WHERE lane_id = ANY (ARRAY(SELECT lane_id FROM mine))
), checked AS MATERIALIZED (
	SELECT m.job_id, g.follow_up_id, g.tenant_id, g.lane_id, g.lead_id, g.account_id, g.account, g.provider, g.kind, g.phone,
		g.first_name, g.last_name, g.state, g.variables, g.attempts, g.due_at, g.dial_by, g.hold, g.zones, g.use_lead_window,
		g.lead_start, g.lead_end, g.opens_from, g.breaker_until
	FROM mine m CROSS JOIN LATERAL (
		SELECT x.* FROM lane n
		CROSS JOIN LATERAL lead_gates(m.id, m.tenant_id, m.lane_id, m.lead_id, m.account_id, m.kind, m.attempts, m.due_at, n.verdict, now()) x
		WHERE n.lane_id = m.lane_id OFFSET 0) g
), entered AS (
	INSERT INTO live (job_id, tenant_id, phone, lane_id, account_id, follow_up_id, state, lease_until, next_check_at)
	SELECT DISTINCT ON (k.phone, k.tenant_id) k.job_id, k.tenant_id, k.phone, k.lane_id, k.account_id, k.follow_up_id, 'dialing',
		now() + $4::integer * interval '1 second', now() + $5::integer * interval '1 second'
	FROM checked k WHERE k.hold IS NULL AND NOT ($8::boolean AND (EXISTS (SELECT FROM calls c WHERE c.job_id = k.job_id)
		OR EXISTS (SELECT FROM live v WHERE v.phone = k.phone AND v.tenant_id = k.tenant_id)))
	ORDER BY k.phone, k.tenant_id   -- one order for all workers: no deadlock on the phones
	RETURNING job_id
), ledger AS (
	INSERT INTO calls (job_id, tenant_id, follow_up_id, kind, lane_id, lead_id, account_id, provider, phone, attempt, status,
		worker, due_at, dial_by, fingerprint)
	SELECT k.job_id, k.tenant_id, k.follow_up_id, k.kind, k.lane_id, k.lead_id, k.account_id, k.provider, k.phone,
		k.attempts + 1, 'dialing', $3, k.due_at, k.dial_by,
		($7::text[])[array_position($6::text[], k.account)]
	FROM checked k WHERE (k.job_id IN (SELECT job_id FROM entered)) IS TRUE
	RETURNING job_id, follow_up_id
), dialing AS (
	UPDATE follow_ups f SET status = 'dialing' FROM ledger l WHERE f.id = l.follow_up_id
), opening AS (
	SELECT d.*, next_opening(d.opens_from, d.lane_id,
		CASE WHEN d.use_lead_window THEN d.zones ELSE '{}' END, d.lead_start, d.lead_end) AS opens_at
	FROM (SELECT DISTINCT lane_id, zones, use_lead_window, lead_start, lead_end, opens_from FROM checked WHERE hold_opens(hold)) d
), held AS (
	UPDATE follow_ups f SET
		status = CASE WHEN hold_is_final(h.hold) THEN 'skipped' ELSE 'pending' END,
		reason = CASE WHEN hold_is_final(h.hold) THEN h.hold END, gate = hold_gate(h.hold, h.opens_at),
		next_look_at = look_again_at(h.hold, now(), h.opens_at, h.breaker_until),
		job_id = NULL, claim_id = NULL, lease_until = NULL
	FROM (SELECT k.follow_up_id, k.job_id, coalesce(k.hold, 'live') AS hold, k.breaker_until, o.opens_at
		FROM checked k LEFT JOIN opening o USING (lane_id, zones, use_lead_window, lead_start, lead_end, opens_from)
		WHERE k.job_id NOT IN (SELECT job_id FROM ledger)) h
	WHERE f.id = h.follow_up_id
	RETURNING h.job_id, f.id AS follow_up_id, f.gate, f.status
)
SELECT job_id, 'dial' AS verdict, NULL AS gate, follow_up_id, tenant_id AS tenant, kind, lead_id, phone, account, account_id,
	provider, lane_id, first_name, last_name, state,
	CASE WHEN kind IN ('classify', 'task') THEN coalesce(variables, '{}') || coalesce(workflow_variables(follow_up_id), '{}') ELSE variables END AS variables,
	attempts + 1 AS attempt, to_ms(due_at) AS due_at, to_ms(dial_by) AS dial_by,
	CASE kind WHEN 'campaign' THEN (SELECT assistant_id FROM campaigns k WHERE k.lane_id = checked.lane_id) END AS assistant_id,
	CASE kind WHEN 'campaign' THEN (SELECT phone_number_id FROM campaigns k WHERE k.lane_id = checked.lane_id) END AS phone_number_id
FROM checked WHERE (job_id IN (SELECT job_id FROM ledger)) IS TRUE
UNION ALL
SELECT job_id, CASE status WHEN 'skipped' THEN 'skipped' ELSE 'held' END, gate, follow_up_id,
	NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM held
UNION ALL
SELECT job_id, 'not_ours', NULL, follow_up_id,
	NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM job WHERE job_id NOT IN (SELECT job_id FROM mine)
