-- SPDX-License-Identifier: Apache-2.0
-- GET /api/calls/{job_id}: the ledger's row and all that is known of it: its follow-up, the look-ups made while it was live, its
-- events, those that came for its number and found no call, and what was decided. $1 job id
WITH call AS MATERIALIZED (
	SELECT c.*, c AS row FROM calls c
	WHERE c.job_id = CASE WHEN $1::text ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN $1::text::uuid END
), event AS MATERIALIZED (
	SELECT e.id, e.event_id, event_record(e) AS record
	FROM call c JOIN call_events e ON e.call_job_id = c.job_id ORDER BY e.id LIMIT 200
), possible AS (   -- by an index each: there are few
	SELECT e FROM call c JOIN call_events e ON e.state = 'parked' AND e.call_job_id IS NULL AND e.recorded_at > c.claimed_at
	WHERE normalize_phone(e.phone) = c.phone
	UNION ALL
	SELECT e FROM call c JOIN call_events e ON e.state = 'orphan' AND e.phone = c.phone AND e.call_job_id IS NULL
)
SELECT 200 AS status, call_record(c.row) || jsonb_build_object(
	'follow_up', (SELECT jsonb_build_object('id', f.id, 'status', f.status, 'reason', f.reason, 'gate', f.gate, 'source', f.source,
			'attempts', f.attempts, 'last_error', f.last_error, 'job_id', f.job_id, 'due_at', iso_utc(f.due_at),
			'next_look_at', CASE WHEN isfinite(f.next_look_at) THEN iso_utc(f.next_look_at) END)
		FROM follow_ups f WHERE f.id = c.follow_up_id),
	'look_ups', (SELECT jsonb_build_object('made', v.checks, 'first_absent_at', iso_utc(v.absent_at),
			'next_at', CASE WHEN isfinite(v.next_check_at) THEN iso_utc(v.next_check_at) END)
		FROM live v WHERE v.job_id = c.job_id),
	'worker', c.worker,
	'events', (SELECT coalesce(jsonb_agg(record ORDER BY id), '[]') FROM event),
	'possible_events', (SELECT coalesce(jsonb_agg(event_record(e) ORDER BY (e).id), '[]') FROM (
		SELECT * FROM possible WHERE (e).account = (SELECT name FROM accounts WHERE id = c.account_id)
			AND (e).recorded_at > c.claimed_at AND (e).recorded_at < c.claimed_at + interval '1 day' LIMIT 50) p),
	'transitions', (SELECT coalesce(jsonb_agg(transition_record(t) ORDER BY t.id), '[]') FROM transitions t
		WHERE t.entity = 'call' AND t.entity_id = c.job_id::text
			OR t.entity = 'lead' AND t.entity_id = c.lead_id::text
				AND (t.event_id = c.job_id::text OR t.event_id IN (SELECT event_id FROM event)))) AS body
FROM call c
UNION ALL
SELECT 404, problem(404, 'no such call') WHERE NOT EXISTS (SELECT FROM call)
