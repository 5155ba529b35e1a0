-- SPDX-License-Identifier: Apache-2.0
-- What ends mean for the redial queue. The first decision of a call counts, later ones are history; only follow-ups, redials and
-- the calls of other dialers (kind `outside`) feed the queue. A record is what its calls' decisions together say, whatever order they came in: it begins with the first one
-- to dial again, counts every dial since, follows the latest of them, and success or a stop ends it for good. A decision that is
-- older than the record's beginning and not one to dial again is none of its business. What other dialers do counts, but does not
-- change the status of a record that is paused or used up; a call that they dispose of again, as one that ends the record, ends it and
-- counts no second time. inbox_resolve.sql has locked the leads.
WITH many AS MATERIALIZED (   -- of generate_subscripts the planner expects a thousand rows, of all else too few
	SELECT ids[i] AS id FROM (SELECT array_agg(id) AS ids FROM call_events
		WHERE id = ANY (recorder_batch()) AND state = 'parked' AND call_job_id IS NOT NULL AND message = 'redial') w CROSS JOIN generate_subscripts(ids, 1) i
), ready AS MATERIALIZED (
	SELECT r.*, NOT decides AND kind = 'outside' AND action IN ('complete', 'stop') AS corrects
	FROM (SELECT d.*, d.decided_at IS NULL AND d.status <> 'rejected' AND row_number() OVER (PARTITION BY d.job_id ORDER BY d.at, d.event_id) = 1 AS decides
	FROM (SELECT e.id, e.event_id, e.body, e.outcome, f.*,
			c.job_id, c.status, c.kind, c.tenant_id, c.lead_id, c.phone, coalesce(c.provider_call_id, c.job_id::text) AS call_id, c.decided_at
		FROM many JOIN call_events e USING (id) JOIN calls c ON c.job_id = e.call_job_id
		CROSS JOIN LATERAL redial_decision(e) f
		WHERE c.status NOT IN ('dialing', 'unknown', 'undetermined')
		-- Of one that was refused, not before its end is seen: that may show life, or be the refusal once more (events_apply.sql).
		AND (c.status <> 'rejected' OR EXISTS (SELECT FROM call_events o WHERE o.call_job_id = c.job_id AND o.message = 'event'
			AND o.type IN ('ended', 'report') AND o.state = 'history'))) d) r
), decided AS (
	UPDATE calls c SET decided_at = now() FROM ready r WHERE c.job_id = r.job_id AND r.decides
), marked AS (
	UPDATE call_events e SET state = CASE WHEN r.decides OR r.corrects THEN 'applied' ELSE 'history' END, applied_at = now()
	FROM ready r WHERE e.id = r.id
), suppressed AS (   -- an asked-for silence binds even where it comes late
	INSERT INTO suppressions (tenant_id, phone, reason, source)
	SELECT DISTINCT ON (tenant_id, phone) tenant_id, phone, coalesce(outcome, ''), 'call'
	FROM ready WHERE (body ->> 'suppress')::boolean
	ORDER BY tenant_id, phone, outcome
	ON CONFLICT (tenant_id, phone) DO UPDATE SET expires_at = NULL, created_at = now() WHERE suppressions.expires_at IS NOT NULL
), mine AS MATERIALIZED (   -- the new decisions, each with the record it belongs to
	SELECT r.tenant_id, r.lead_id, r.phone, redial_key(l.external_id, l.raw_payload, l.id) AS lead_key, q.id AS record_id, q.created_at,
		r.event_id, r.at, r.action, r.outcome, r.callback_at, r.call_id, r.body, r.job_id, r.corrects, r.kind = 'outside' AS is_outside
	FROM ready r JOIN leads l ON l.id = r.lead_id
	LEFT JOIN redial_queue q ON q.tenant_id = r.tenant_id AND q.lead_id = redial_key(l.external_id, l.raw_payload, l.id)
		AND q.phone_digits = regexp_replace(r.phone, '[^0-9]', '', 'g')
	WHERE (r.decides OR r.corrects) AND r.kind IN ('follow_up', 'redial', 'outside')
), known AS (   -- and those applied before that are younger than one of them
	SELECT k.*, f.*, c.call_id, c.job_id, c.is_outside
	FROM (SELECT tenant_id, lead_id, phone, lead_key, record_id, created_at, min(at) AS oldest_at
		FROM mine GROUP BY tenant_id, lead_id, phone, lead_key, record_id, created_at) k
	CROSS JOIN LATERAL (SELECT coalesce(c.provider_call_id, c.job_id::text) AS call_id, c.job_id, c.kind = 'outside' AS is_outside FROM calls c
		WHERE c.phone = k.phone AND c.lead_id = k.lead_id AND c.tenant_id = k.tenant_id AND c.decided_at IS NOT NULL
			AND c.kind IN ('follow_up', 'redial', 'outside') OFFSET 0) c   -- few calls a phone, few messages a call: in this order
	CROSS JOIN LATERAL (SELECT e.event_id, d.*, e.outcome, e.body
		FROM call_events e CROSS JOIN LATERAL redial_decision(e) d WHERE e.call_job_id = c.job_id AND e.message = 'redial' AND e.state = 'applied' OFFSET 0) f
	WHERE f.at >= k.oldest_at
), placed AS (
	SELECT a.*, NOT is_new AND coalesce(at >= created_at, false) AS counted,   -- in the record as it stands
		least(created_at, min(at) FILTER (WHERE is_new AND action IN ('schedule', 'callback')) OVER record) AS begins_at,
		-- The record that these made was removed, and what is older with it.
		max(at) FILTER (WHERE NOT is_new AND (created_at IS NULL OR at < created_at) AND action IN ('schedule', 'callback'))
			OVER record AS removed_at
	FROM (SELECT tenant_id, lead_id, phone, lead_key, record_id, created_at, event_id, at, action, outcome, callback_at, call_id, body,
			job_id, corrects, is_outside, true AS is_new FROM mine
		UNION ALL
		SELECT tenant_id, lead_id, phone, lead_key, record_id, created_at, event_id, at, action, outcome, callback_at, call_id, body,
			job_id, false, is_outside, false FROM known) a
	WINDOW record AS (PARTITION BY tenant_id, lead_id, phone)
), sums AS (
	SELECT tenant_id, lead_id, phone, lead_key, record_id, min(at) AS begins_at, max(at) AS at,
		count(DISTINCT job_id) FILTER (WHERE NOT counted AND NOT corrects)::integer AS dials, count(*) FILTER (WHERE counted)::integer AS tail,
		coalesce(bool_or(action IN ('complete', 'stop')) FILTER (WHERE NOT counted), false) AS ends,
		coalesce(bool_or(action IN ('complete', 'stop')) FILTER (WHERE NOT counted AND NOT is_outside), false) AS ends_by_us,
		(array_agg(is_outside ORDER BY at DESC, corrects DESC, event_id DESC))[1] AS is_outside,
		array_agg(coalesce(outcome, '') ORDER BY at, corrects, event_id) AS outcomes,
		(array_agg(event_id ORDER BY at DESC, corrects DESC, event_id DESC))[1] AS event_id,
		(array_agg(action ORDER BY at DESC, corrects DESC, event_id DESC))[1] AS action,
		(array_agg(outcome ORDER BY at DESC, corrects DESC, event_id DESC))[1] AS outcome,
		(array_agg(callback_at ORDER BY at DESC, corrects DESC, event_id DESC))[1] AS callback_at,
		(array_agg(call_id ORDER BY at DESC, corrects DESC, event_id DESC))[1] AS call_id,
		(array_agg(body ORDER BY at DESC, corrects DESC, event_id DESC))[1] AS body
	FROM placed WHERE at >= begins_at AND (removed_at IS NULL OR at > removed_at)
	GROUP BY tenant_id, lead_id, phone, lead_key, record_id HAVING bool_or(NOT counted)
), rule AS MATERIALIZED (
	SELECT coalesce(max((value ->> 'max_attempts')::integer), 4) AS max_attempts,
		coalesce(max((value ->> 'redial_interval_minutes')::double precision), 30) * interval '1 minute' AS redial_after
	FROM settings WHERE key = 'redial'
), next AS MATERIALIZED (   -- each record as it will be
	SELECT s.tenant_id, s.lead_id AS lead_ref, s.lead_key, s.phone, s.record_id, q.status AS from_state, s.begins_at,
		s.event_id, s.at, s.outcome, s.callback_at, s.call_id, s.body, a.is_latest, a.attempts,
		coalesce(q.outcomes[:greatest(0, cardinality(q.outcomes) - s.tail)], '{}') || s.outcomes AS outcomes,
		CASE WHEN s.ends_by_us OR q.status = 'completed' OR s.ends AND coalesce(q.status, '') NOT IN ('paused', 'max_attempts') THEN 'completed'
			WHEN q.status = 'paused' THEN 'paused'
			WHEN q.status = 'max_attempts' AND s.is_outside THEN 'max_attempts'
			WHEN NOT a.is_latest AND q.status = 'pending' AND a.attempts >= r.max_attempts THEN 'max_attempts'
			WHEN NOT a.is_latest AND q.status = 'rescheduled' AND a.attempts >= 2 * r.max_attempts THEN 'max_attempts'
			WHEN NOT a.is_latest THEN q.status
			WHEN s.action = 'callback' AND a.attempts < 2 * r.max_attempts THEN 'rescheduled'
			WHEN a.attempts >= r.max_attempts THEN 'max_attempts'
			ELSE 'pending' END AS status,
		CASE s.action WHEN 'callback' THEN s.callback_at ELSE s.at + r.redial_after END AS next_at
	FROM sums s LEFT JOIN redial_queue q ON q.id = s.record_id
	CROSS JOIN rule r
	CROSS JOIN LATERAL (SELECT coalesce(s.at >= q.last_call_timestamp, true) AS is_latest, coalesce(q.attempts, 0) + s.dials AS attempts) a
), updated AS (
	-- What somebody did to the record meanwhile stands: `q` is the row as it is now.
	UPDATE redial_queue q SET attempts = n.attempts, created_at = least(q.created_at, n.begins_at),
		status = CASE WHEN q.status IN ('paused', 'completed') AND n.status <> 'completed' THEN q.status ELSE n.status END,
		outcomes = n.outcomes[greatest(1, cardinality(n.outcomes) - 49):],
		last_call_timestamp = greatest(q.last_call_timestamp, n.at),
		last_outcome = CASE WHEN n.is_latest THEN n.outcome ELSE q.last_outcome END,
		last_call_id = CASE WHEN n.is_latest THEN n.call_id ELSE q.last_call_id END,
		scheduled_callback_time = CASE WHEN n.is_latest THEN n.callback_at ELSE q.scheduled_callback_time END,
		next_redial_timestamp = CASE WHEN n.status IN ('completed', 'max_attempts') OR q.status = 'completed' THEN NULL
			WHEN n.is_latest THEN n.next_at ELSE q.next_redial_timestamp END,
		lead_ref = n.lead_ref, list_id = coalesce(n.body ->> 'list_id', q.list_id),
		first_name = coalesce(n.body ->> 'first_name', q.first_name), last_name = coalesce(n.body ->> 'last_name', q.last_name),
		state = coalesce(n.body ->> 'state', q.state), updated_at = now()
	FROM next n WHERE q.id = n.record_id
	RETURNING q.id, n.from_state, q.status, n.outcome, n.event_id
), inserted AS (
	INSERT INTO redial_queue (tenant_id, lead_id, phone_number, lead_ref, list_id, first_name, last_name, state, attempts, status,
		created_at, outcomes, last_call_timestamp, last_outcome, last_call_id, scheduled_callback_time, next_redial_timestamp)
	SELECT n.tenant_id, n.lead_key, n.phone, n.lead_ref, coalesce(n.body ->> 'list_id', l.list_id),
		coalesce(n.body ->> 'first_name', l.first_name), coalesce(n.body ->> 'last_name', l.last_name),
		coalesce(n.body ->> 'state', l.state), n.attempts, n.status, n.begins_at,
		n.outcomes[greatest(1, cardinality(n.outcomes) - 49):], n.at, n.outcome, n.call_id, n.callback_at,
		CASE WHEN n.status IN ('pending', 'rescheduled') THEN n.next_at END
	FROM next n JOIN leads l ON l.id = n.lead_ref
	WHERE n.record_id IS NULL
	ORDER BY n.tenant_id, n.lead_key, n.phone
	RETURNING id, tenant_id, lead_id, phone_number, status, last_outcome
), noted AS (
	INSERT INTO transitions (entity, entity_id, from_state, to_state, reason, actor, event_id)
	SELECT 'redial', id::text, from_state, status, coalesce(outcome, ''), 'recorder', event_id
	FROM updated WHERE from_state <> status
	UNION ALL
	SELECT 'redial', id::text, NULL, status, coalesce(last_outcome, ''), 'recorder',   -- a map: a join would be a nested loop
		(SELECT jsonb_object_agg(tenant_id || ' ' || phone || ' ' || lead_key, event_id) FROM next)
			->> (tenant_id || ' ' || phone_number || ' ' || lead_id)
	FROM inserted
)
SELECT count(*) FILTER (WHERE decides) AS decided FROM ready
