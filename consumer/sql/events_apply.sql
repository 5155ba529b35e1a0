-- SPDX-License-Identifier: Apache-2.0
-- Folds the events of each call that has new ones, all that were ever stored of it, by rank and then time: the call is what its
-- events together say, whatever order they came in. Calls that are not accepted yet wait. A call that had been proved absent or
-- refused and shows life is taken up again, its successor called off; such calls are the answer. What was refused inside an answer that
-- names a call (Vapi's 201 that has ended already) ends once more by the webhook, for the same reason: that is no life. A call whose end
-- names no outcome waits for the report that does: it stays live, and is looked up if none comes (provider_report_wait).
-- $1 longest call + grace in s
WITH many AS MATERIALIZED (   -- of an array the planner expects a few: what follows is found by key
	SELECT unnest(ARRAY(SELECT DISTINCT call_job_id FROM call_events
		WHERE id = ANY (recorder_batch()) AND state = 'parked' AND call_job_id IS NOT NULL AND message = 'event')) AS job_id
), call AS MATERIALIZED (
	SELECT c.job_id, c.tenant_id, c.phone, c.lane_id, c.account_id, c.follow_up_id, c.lead_id, c.provider, c.status AS was, c.event_rank, c.posted_at,
		CASE WHEN c.status = 'rejected' AND coalesce(c.http_status, 200) BETWEEN 200 AND 299 THEN c.error END AS refused_because,
		c.status IN ('rejected', 'not_dialed') OR c.resolution IS NOT DISTINCT FROM 'close' AND c.status = 'failed' AND c.event_rank = 0 AS given_up
	FROM many JOIN calls c USING (job_id)
	WHERE c.status NOT IN ('dialing', 'unknown', 'undetermined')
	ORDER BY c.job_id FOR NO KEY UPDATE OF c
), fold AS MATERIALIZED (
	SELECT k.*, f.*, k.given_up AND f.shows_life AS came_alive, k.given_up AND NOT f.shows_life AS refused_again, f.ended_at IS NOT NULL AS over,
		CASE WHEN f.ended_at IS NULL THEN (ARRAY['calling', 'ringing', 'in_progress'])[f.rank]
			WHEN outcome_is_failure(f.outcome) THEN 'failed'
			ELSE 'completed' END AS status
	FROM call k CROSS JOIN LATERAL (
		SELECT max(e.rank) AS rank, array_agg(e.id) FILTER (WHERE e.state = 'parked') AS new_ids,
			array_agg(e.rank) FILTER (WHERE e.state = 'parked') AS new_ranks,
			bool_or(k.refused_because IS NULL OR e.type <> 'queued' AND left(e.ended_reason, 255) IS DISTINCT FROM k.refused_because) AS shows_life,
			min(e.occurred_at) FILTER (WHERE e.type IN ('ended', 'report')) AS ended_at,
			(array_agg(e.provider_call_id ORDER BY e.rank DESC, e.occurred_at, e.event_id) FILTER (WHERE e.provider_call_id IS NOT NULL))[1] AS provider_call_id,
			(array_agg(e.outcome ORDER BY e.rank DESC, e.occurred_at, e.event_id) FILTER (WHERE e.outcome IS NOT NULL))[1] AS outcome,
			(array_agg(e.ended_reason ORDER BY e.rank DESC, e.occurred_at, e.event_id) FILTER (WHERE e.ended_reason IS NOT NULL))[1] AS ended_reason,
			(array_agg(e.success ORDER BY e.rank DESC, e.occurred_at, e.event_id) FILTER (WHERE e.success IS NOT NULL))[1] AS success,
			(array_agg(e.callback_at ORDER BY e.rank DESC, e.occurred_at, e.event_id) FILTER (WHERE e.callback_at IS NOT NULL))[1] AS callback_at,
			(array_agg(e.duration_ms ORDER BY e.rank DESC, e.occurred_at, e.event_id) FILTER (WHERE e.duration_ms IS NOT NULL))[1] AS duration_ms,
			(array_agg(e.body ->> 'summary' ORDER BY e.rank DESC, e.occurred_at, e.event_id) FILTER (WHERE e.body ? 'summary'))[1] AS summary,
			(array_agg(e.body ->> 'transcript' ORDER BY e.rank DESC, e.occurred_at, e.event_id) FILTER (WHERE e.body ? 'transcript'))[1] AS transcript,
			(array_agg(e.body ->> 'recording_url' ORDER BY e.rank DESC, e.occurred_at, e.event_id) FILTER (WHERE e.body ? 'recording_url'))[1] AS recording_url,
			(array_agg(e.body ->> 'success_evaluation' ORDER BY e.rank DESC, e.occurred_at, e.event_id) FILTER (WHERE e.body ? 'success_evaluation'))[1] AS success_evaluation,
			(array_agg((e.body ->> 'cost_micros')::bigint ORDER BY e.rank DESC, e.occurred_at, e.event_id) FILTER (WHERE e.body ? 'cost_micros'))[1] AS cost_micros
		FROM call_events e WHERE e.call_job_id = k.job_id AND e.message = 'event') f
), verdict AS MATERIALIZED (
	SELECT * FROM fold
	WHERE CASE WHEN refused_again OR rank < event_rank THEN false WHEN over OR came_alive THEN true ELSE call_rank(status) > call_rank(was) END
), moved AS (
	UPDATE calls c SET status = v.status, event_rank = v.rank,
		provider_call_id = coalesce(c.provider_call_id, CASE WHEN NOT EXISTS (SELECT FROM provider_calls o
			WHERE o.account_id = c.account_id AND o.provider_call_id = v.provider_call_id) THEN v.provider_call_id END),
		outcome = coalesce(v.outcome, CASE WHEN NOT v.came_alive THEN c.outcome END),   -- what was said of one that was given up is not so
		ended_reason = coalesce(v.ended_reason, CASE WHEN NOT v.came_alive THEN c.ended_reason END),
		success = coalesce(v.success, c.success), callback_at = coalesce(v.callback_at, c.callback_at),
		duration_ms = coalesce(v.duration_ms, c.duration_ms), ended_at = coalesce(v.ended_at, CASE WHEN NOT v.came_alive THEN c.ended_at END)
	FROM verdict v WHERE c.job_id = v.job_id
	RETURNING c.account_id, c.provider_call_id, c.job_id
), named AS (
	INSERT INTO provider_calls (account_id, provider_call_id, job_id)
	SELECT account_id, provider_call_id, job_id FROM moved WHERE provider_call_id IS NOT NULL
	ORDER BY account_id, provider_call_id
	ON CONFLICT DO NOTHING
), still_live AS (   -- arrays, no joins: the planner may have seen live while it was empty, and would read it through
	UPDATE live SET state = (ARRAY(SELECT status FROM verdict WHERE NOT over))[
		array_position(ARRAY(SELECT job_id FROM verdict WHERE NOT over), job_id)]
	WHERE job_id = ANY (ARRAY(SELECT job_id FROM verdict WHERE NOT over))
), undecided AS (
	UPDATE live SET next_check_at = least(next_check_at, now() + (ARRAY(SELECT provider_report_wait(provider) FROM verdict WHERE over AND outcome IS NULL))[
		array_position(ARRAY(SELECT job_id FROM verdict WHERE over AND outcome IS NULL), job_id)])
	WHERE job_id = ANY (ARRAY(SELECT job_id FROM verdict WHERE over AND outcome IS NULL))
), freed AS (
	DELETE FROM live WHERE job_id = ANY (ARRAY(SELECT job_id FROM verdict WHERE over AND outcome IS NOT NULL))
), report AS (
	INSERT INTO call_reports (job_id, summary, transcript, recording_url, cost_micros, success_evaluation)
	SELECT f.job_id, f.summary, f.transcript, f.recording_url, f.cost_micros, f.success_evaluation
	FROM fold f
	WHERE coalesce(f.summary, f.transcript, f.recording_url, f.cost_micros::text, f.success_evaluation) IS NOT NULL
	ORDER BY f.job_id
	ON CONFLICT (job_id) DO UPDATE SET summary = coalesce(excluded.summary, call_reports.summary),
		transcript = coalesce(excluded.transcript, call_reports.transcript),
		recording_url = coalesce(excluded.recording_url, call_reports.recording_url),
		cost_micros = coalesce(excluded.cost_micros, call_reports.cost_micros),
		success_evaluation = coalesce(excluded.success_evaluation, call_reports.success_evaluation), updated_at = now()
), marked AS (
	UPDATE call_events e SET state = CASE WHEN n.rank >= n.event_rank AND NOT n.refused_again THEN 'applied' ELSE 'history' END, applied_at = now()
	FROM (SELECT unnest(new_ids) AS id, unnest(new_ranks) AS rank, event_rank, refused_again FROM fold) n WHERE e.id = n.id
), alive AS MATERIALIZED (
	SELECT * FROM verdict WHERE came_alive
), taken_up AS (   -- the phone is in use again
	INSERT INTO live (job_id, tenant_id, phone, lane_id, account_id, follow_up_id, state, lease_until, next_check_at)
	SELECT job_id, tenant_id, phone, lane_id, account_id, follow_up_id, CASE WHEN over THEN 'in_progress' ELSE status END, now(),
		now() + CASE WHEN over THEN provider_report_wait(provider) ELSE $1::integer * interval '1 second' END
	FROM alive WHERE NOT over OR outcome IS NULL
	ORDER BY phone, tenant_id
	ON CONFLICT DO NOTHING
), called_off AS (
	UPDATE follow_ups f SET status = 'cancelled', reason = 'call_found', gate = NULL, lease_until = NULL, next_look_at = NULL
	WHERE f.id = ANY (ARRAY(SELECT follow_up_id FROM alive)) AND (f.status IN ('pending', 'queued') OR f.status = 'cancelled' AND f.reason IN ('paused', 'campaign_stopped'))   -- by key, never the whole queue
	RETURNING f.id
), called AS (   -- and the lead source makes no other
	UPDATE leads l SET call_date = coalesce(l.call_date, a.posted_at, now()), updated_at = now()
	FROM alive a WHERE l.id = a.lead_id
), noted AS (
	INSERT INTO transitions (entity, entity_id, from_state, to_state, reason, actor)
	SELECT 'call', job_id::text, was, status, 'call_found', 'recorder' FROM alive
)
SELECT a.job_id, a.was, a.status, a.follow_up_id, o.id IS NOT NULL AS called_off
FROM alive a LEFT JOIN called_off o ON o.id = a.follow_up_id
