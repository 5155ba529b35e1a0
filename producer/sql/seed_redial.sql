-- SPDX-License-Identifier: Apache-2.0
-- The redial source: records whose time has come get a follow-up in the redial lane, one for each time to dial at, and one
-- after the other.
-- $1 limit
WITH ready AS MATERIALIZED (
	SELECT r.id, r.tenant_id, r.lead_ref, n.id AS lane_id, r.next_redial_timestamp,
		r.attempts || ':' || to_ms(r.next_redial_timestamp) AS occurrence
	FROM redial_queue r JOIN lanes n ON n.tenant_id = r.tenant_id AND n.name = 'redial'
	WHERE r.status IN ('pending', 'rescheduled') AND r.seeded_for IS DISTINCT FROM r.next_redial_timestamp
	AND r.next_redial_timestamp <= now() AND r.lead_ref IS NOT NULL
	AND (SELECT redial_runs())
	AND redial_is_ready(r.status, r.attempts, r.next_redial_timestamp, (SELECT (redial_setting() ->> 'max_attempts')::integer))
	AND (SELECT true FROM follow_ups f WHERE f.source = 'redial' AND f.source_id = r.id::text
		AND f.status IN ('pending', 'queued', 'dialing') LIMIT 1) IS NULL
	ORDER BY r.next_redial_timestamp LIMIT $1::bigint FOR NO KEY UPDATE OF r SKIP LOCKED
), noted AS (
	UPDATE redial_queue r SET seeded_for = k.next_redial_timestamp FROM ready k WHERE r.id = k.id
), seeded AS (
	INSERT INTO follow_ups (tenant_id, lead_id, kind, lane_id, source, source_id, occurrence, due_at, next_look_at)
	SELECT k.tenant_id, k.lead_ref, 'redial', k.lane_id, 'redial', k.id::text, k.occurrence, k.next_redial_timestamp, k.next_redial_timestamp
	FROM ready k
	-- One that was called off when its record was paused is taken up again with it.
	ON CONFLICT (source, source_id, occurrence) DO UPDATE SET status = 'pending', reason = NULL, job_id = NULL, claim_id = NULL,
		next_look_at = excluded.next_look_at
	WHERE follow_ups.status = 'cancelled' AND follow_ups.reason = 'paused'
	RETURNING 1
)
SELECT count(*) AS seeded FROM seeded
