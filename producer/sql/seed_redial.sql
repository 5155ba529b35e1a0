-- SPDX-License-Identifier: Apache-2.0
-- The redial source: records whose time has come get a follow-up in the redial lane, one for each dial to make.
-- $1 limit
WITH ready AS (
	SELECT r.id, r.tenant_id, r.lead_ref, r.attempts, r.next_redial_timestamp
	FROM redial_queue r
	WHERE r.status IN ('pending', 'rescheduled') AND r.next_redial_timestamp <= now() AND r.lead_ref IS NOT NULL
	AND (SELECT value @> '{"enabled": true, "running": true}' FROM settings WHERE key = 'redial')
	AND NOT EXISTS (SELECT FROM follow_ups f WHERE f.source = 'redial' AND f.source_id = r.id::text
		AND f.occurrence = r.attempts || ':' || to_ms(r.next_redial_timestamp))
	ORDER BY r.next_redial_timestamp LIMIT $1::bigint
), seeded AS (
	INSERT INTO follow_ups (tenant_id, lead_id, kind, lane_id, source, source_id, occurrence, due_at, next_look_at)
	SELECT r.tenant_id, r.lead_ref, 'redial', n.id, 'redial', r.id::text,
		r.attempts || ':' || to_ms(r.next_redial_timestamp), r.next_redial_timestamp, r.next_redial_timestamp
	FROM ready r JOIN lanes n ON n.tenant_id = r.tenant_id AND n.name = 'redial'
	ON CONFLICT (source, source_id, occurrence) DO NOTHING
	RETURNING 1
)
SELECT count(*) AS seeded FROM seeded
