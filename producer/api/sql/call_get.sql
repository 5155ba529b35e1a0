-- SPDX-License-Identifier: Apache-2.0
-- GET /api/calls/{id}: a call, or with "s" before a follow-up's number one that has none, and all that is known of it: its follow-up and
-- the other tries of it, the look-ups made while it was live, what its provider reported, its events, those that came for its number
-- and found no call, what was decided, and all of that as one timeline. $1 id
WITH call AS MATERIALIZED (   -- a scheduled one may have been dialed meanwhile
	SELECT c.*, c AS row FROM calls c
	WHERE c.job_id = CASE WHEN $1::text ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN $1::text::uuid
		ELSE (SELECT f.job_id FROM follow_ups f WHERE f.id = history_follow_up($1) AND f.status IN ('dialing', 'completed', 'failed', 'undetermined')) END
), follow_up AS MATERIALIZED (
	SELECT f FROM follow_ups f WHERE f.id = coalesce((SELECT follow_up_id FROM call), history_follow_up($1))
), try AS MATERIALIZED (
	SELECT t.c FROM follow_up CROSS JOIN LATERAL (
		SELECT k AS c FROM calls k WHERE k.lead_id = (f).lead_id AND k.follow_up_id = (f).id ORDER BY k.claimed_at DESC LIMIT 100) t
), event AS MATERIALIZED (
	SELECT e.id, e.event_id, e.type, e.occurred_at, e.recorded_at, e.raw, event_record(e) AS record
	FROM call c JOIN call_events e ON e.call_job_id = c.job_id ORDER BY e.id LIMIT 200
), possible AS (   -- by an index each: there are few
	SELECT e FROM call c JOIN call_events e ON e.state = 'parked' AND e.call_job_id IS NULL AND e.recorded_at > c.claimed_at
	WHERE normalize_phone(e.phone) = c.phone
	UNION ALL
	SELECT e FROM call c JOIN call_events e ON e.state = 'orphan' AND e.phone = c.phone AND e.call_job_id IS NULL
), step AS MATERIALIZED (
	SELECT t.id, t.at, t.to_state, t.reason, t.note, t.actor, t.entity, transition_record(t) - 'event_id' || jsonb_build_object('eventId', t.event_id) AS record
	FROM transitions t
	WHERE t.entity = 'call' AND t.entity_id = ANY (ARRAY(SELECT job_id::text FROM call UNION ALL SELECT 's' || (f).id FROM follow_up))
		OR t.entity = 'lead' AND t.entity_id = (SELECT lead_id::text FROM call)
			AND (t.event_id = (SELECT job_id::text FROM call) OR t.event_id IN (SELECT event_id FROM event))
), moment AS MATERIALIZED (   -- of one time: in the order of a call's life
	SELECT (f).created_at AS at, 0 AS stage, 0::bigint AS n, 'scheduled' AS what, NULL AS detail, NULL AS actor FROM follow_up
	UNION ALL SELECT claimed_at, 1, 0, 'claimed', 'attempt ' || attempt, split_part(worker, '/', 1) FROM call
	UNION ALL SELECT posted_at, 2, 0, 'dialed', account.name, NULL FROM call JOIN accounts account ON account.id = account_id WHERE posted_at IS NOT NULL
	UNION ALL SELECT answered_at, 3, 0, 'answer', concat_ws(' ', 'HTTP ' || http_status, coalesce(error, provider_call_id)), NULL FROM call WHERE answered_at IS NOT NULL
	UNION ALL SELECT coalesce(occurred_at, recorded_at), 4, id, 'event', concat_ws(' ', type, record ->> 'outcome', record ->> 'endedReason'), NULL
		FROM event WHERE record ->> 'message' = 'event'
	UNION ALL SELECT at, 5, id, entity || ' ' || to_state, concat_ws(': ', reason, note), actor FROM step
)
SELECT 200 AS status, coalesce((SELECT call_record(c.row) FROM call c), (SELECT scheduled_record(f) FROM follow_up)) || jsonb_build_object(
	'followUp', (SELECT jsonb_build_object('id', (f).id, 'status', (f).status, 'reason', (f).reason, 'gate', (f).gate, 'source', (f).source,
			'attempts', (f).attempts, 'lastError', (f).last_error, 'jobId', (f).job_id, 'dueAt', iso_utc((f).due_at),
			'nextLookAt', CASE WHEN isfinite((f).next_look_at) THEN iso_utc((f).next_look_at) END) FROM follow_up),
	'tries', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', (c).job_id, 'status', (c).status, 'message', call_message(c),
			'timestamp', iso_utc((c).claimed_at)) ORDER BY (c).claimed_at), '[]') FROM try),
	'lookUps', (SELECT jsonb_build_object('made', v.checks, 'firstAbsentAt', iso_utc(v.absent_at),
			'nextAt', CASE WHEN isfinite(v.next_check_at) THEN iso_utc(v.next_check_at) END)
		FROM call c JOIN live v USING (job_id)),
	'hangUp', (SELECT jsonb_build_object('askedAt', iso_utc(v.hang_up_at), 'tries', v.hang_up_tries) FROM call c JOIN live v USING (job_id)
		WHERE v.hang_up_at IS NOT NULL),
	'worker', (SELECT worker FROM call),
	'report', (SELECT jsonb_build_object('summary', r.summary, 'transcript', r.transcript, 'recordingUrl', r.recording_url,
			'cost', r.cost_micros / 1000000.0, 'successEvaluation', r.success_evaluation) FROM call c JOIN call_reports r USING (job_id)),
	'events', (SELECT coalesce(jsonb_agg(record ORDER BY id), '[]') FROM event),
	'possibleEvents', (SELECT coalesce(jsonb_agg(event_record(e) ORDER BY (e).id), '[]') FROM (
		SELECT p.* FROM possible p CROSS JOIN call c WHERE (e).account = (SELECT name FROM accounts WHERE id = c.account_id)
			AND (e).recorded_at > c.claimed_at AND (e).recorded_at < c.claimed_at + interval '1 day' LIMIT 50) p),
	'transitions', (SELECT coalesce(jsonb_agg(record ORDER BY id), '[]') FROM step),
	'timeline', (SELECT jsonb_agg(jsonb_build_object('at', iso_utc(at), 'what', what, 'detail', nullif(detail, ''), 'actor', actor) ORDER BY at, stage, n)
		FROM moment)) AS body
WHERE EXISTS (SELECT FROM call) OR EXISTS (SELECT FROM follow_up)
UNION ALL
SELECT 404, problem(404, 'no such call') WHERE NOT EXISTS (SELECT FROM call) AND NOT EXISTS (SELECT FROM follow_up)
