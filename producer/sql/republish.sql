-- SPDX-License-Identifier: Apache-2.0
-- Jobs whose publication was never confirmed, or that nobody took before their lease ended, are published again with the
-- same job id and a doubled lease; the gates are asked first, and what is held goes back to the queue.
-- $1 producer, $2 limit, $3 seconds a publication may take, $4 lease in seconds
WITH stale AS MATERIALIZED (
	SELECT id, lane_id, lease_s FROM claims
	WHERE lease_until < now() OR published_at IS NULL AND claimed_at < now() - $3::integer * interval '1 second'
	ORDER BY id LIMIT 64 FOR UPDATE SKIP LOCKED
), waiting AS MATERIALIZED (
	SELECT f.id, f.job_id, f.claim_id, s.lane_id, s.lease_s
	FROM stale s CROSS JOIN LATERAL (
		SELECT id, job_id, claim_id FROM follow_ups WHERE claim_id = s.id AND status = 'queued'
		LIMIT $2::bigint FOR UPDATE SKIP LOCKED) f
	LIMIT $2::bigint
), lane AS MATERIALIZED (
	SELECT lane_id, g AS verdict FROM lane_gates(now()) g WHERE lane_id = ANY (ARRAY(SELECT lane_id FROM stale))
), checked AS MATERIALIZED (
	SELECT w.job_id, w.lease_s, g.follow_up_id, g.tenant_id, g.lane_id, g.lead_id, g.account_id, g.account, g.kind, g.phone,
		g.attempts, g.due_at, g.dial_by, g.hold, g.zones, g.use_lead_window, g.lead_start, g.lead_end, g.opens_from, g.breaker_until
	FROM waiting w CROSS JOIN LATERAL (
		SELECT x.* FROM lane n CROSS JOIN LATERAL follow_up_gates(w.id, n.verdict, now()) x WHERE n.lane_id = w.lane_id OFFSET 0) g
), claimed AS (
	INSERT INTO claims (lane_id, account_id, producer, jobs, lease_s, lease_until)
	SELECT lane_id, account_id, $1, count(*), least(greatest(max(lease_s), $4::integer) * 2, 3600),
		now() + least(greatest(max(lease_s), $4::integer) * 2, 3600) * interval '1 second'
	FROM checked WHERE hold IS NULL GROUP BY lane_id, account_id
	RETURNING id, lane_id, account_id, lease_until
), queued AS (
	UPDATE follow_ups f SET claim_id = c.id, lease_until = c.lease_until
	FROM checked k JOIN claimed c ON c.lane_id = k.lane_id AND c.account_id = k.account_id
	WHERE k.hold IS NULL AND f.id = k.follow_up_id AND f.status || '' = 'queued' AND f.job_id = k.job_id
	RETURNING f.claim_id, k.*
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
	FROM (SELECT k.*, o.opens_at FROM checked k LEFT JOIN opening o USING (lane_id, zones, use_lead_window, lead_start, lead_end, opens_from)
		WHERE k.hold IS NOT NULL) h
	WHERE f.id = h.follow_up_id AND f.status || '' = 'queued'
	RETURNING f.gate, f.status
), emptied AS (   -- all its jobs were taken, held or moved on
	DELETE FROM claims c USING stale s WHERE c.id = s.id
	AND (SELECT count(*) FROM waiting w WHERE w.claim_id = s.id)
		= (SELECT count(*) FROM follow_ups f WHERE f.claim_id = s.id AND f.status = 'queued')
)
SELECT 'job' AS row, NULL AS gate, 1 AS n, claim_id, job_id, follow_up_id, tenant_id AS tenant, kind, lead_id,
	phone, account, attempts + 1 AS attempt, to_ms(due_at) AS due_at, to_ms(dial_by) AS dial_by
FROM queued
UNION ALL
SELECT CASE status WHEN 'skipped' THEN 'skipped' ELSE 'held' END, gate, count(*),
	NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM held GROUP BY status, gate
