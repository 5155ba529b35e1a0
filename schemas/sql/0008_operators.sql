-- SPDX-License-Identifier: Apache-2.0
-- What people decide: the fate of calls that could not be proved, dead letters, the stop switch. These functions are in
-- PL/pgSQL where a lock must be held before what it guards is read: each of their statements sees all that is committed by then.

-- A call in the history's words. What was refused or not dialed is scheduled again, unless the refusal is for good.
CREATE FUNCTION call_word(status text, refusal text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE status WHEN 'dialing' THEN 'calling' WHEN 'ringing' THEN 'calling' WHEN 'not_dialed' THEN 'scheduled'
		WHEN 'rejected' THEN CASE WHEN refusal IN ('number', 'configuration') THEN 'failed' ELSE 'scheduled' END ELSE status END
$$;

CREATE FUNCTION call_message(c calls) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT CASE (c).status
		WHEN 'dialing' THEN 'The request to the provider is on its way.'
		WHEN 'unknown' THEN 'Whether the provider took the call is being looked up.'
		WHEN 'undetermined' THEN 'Whether it was dialed could not be proved: an operator decides.'
		WHEN 'calling' THEN 'The provider took the call.'
		WHEN 'ringing' THEN 'It rings.'
		WHEN 'in_progress' THEN 'It was answered.'
		WHEN 'rejected' THEN CASE WHEN (c).refusal IN ('number', 'configuration') THEN 'Refused by the provider for good' ELSE 'Refused by the provider and put back' END
			|| coalesce(': ' || (c).error, '') || '.'
		WHEN 'not_dialed' THEN 'Nothing was dialed, and it was put back' || coalesce(': ' || (c).error, '') || '.'
		ELSE concat('Over', CASE WHEN (c).duration_ms > 0 THEN format(' after %s s', round((c).duration_ms / 1000.0)) END,
			': ' || (c).outcome, ' (' || (c).ended_reason || ')', '.') END
$$;

-- Calls and scheduled calls (0015_history.sql) have the same members. In PL/pgSQL, as all that is asked for each row of a page: one in SQL
-- is planned at each call.
CREATE FUNCTION call_record(c calls) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT jsonb_build_object('id', (c).job_id, 'status', carillon.call_word((c).status, (c).refusal), 'ledgerStatus', (c).status,
			'message', carillon.call_message(c), 'timestamp', carillon.iso_utc((c).claimed_at), 'scheduledTime', carillon.iso_utc((c).due_at),
			'nextLookAt', NULL, 'tenant', (c).tenant_id, 'kind', (c).kind, 'contactId', (c).lead_id, 'contactName', l.name, 'phone', (c).phone,
			'campaignId', k.id, 'campaignName', k.name, 'followUpId', (c).follow_up_id, 'attempt', (c).attempt, 'gate', NULL, 'reason', NULL)
		|| jsonb_build_object('provider', (c).provider, 'account', (SELECT a.name FROM carillon.accounts a WHERE a.id = (c).account_id),
			'providerCallId', (c).provider_call_id, 'dialedAt', carillon.iso_utc((c).posted_at), 'acceptedAt', carillon.iso_utc((c).answered_at),
			'endedAt', carillon.iso_utc((c).ended_at), 'httpStatus', (c).http_status, 'refusal', (c).refusal, 'error', (c).error,
			'outcome', (c).outcome, 'endedReason', (c).ended_reason, 'success', (c).success, 'callbackAt', carillon.iso_utc((c).callback_at),
			'durationSeconds', round((c).duration_ms / 1000.0, 1), 'resolution', (c).resolution)
	FROM (VALUES (1)) one (row)
	LEFT JOIN LATERAL (SELECT nullif(concat_ws(' ', first_name, last_name), '') AS name FROM carillon.leads WHERE id = (c).lead_id) l ON true
	LEFT JOIN LATERAL (SELECT id, name FROM carillon.campaigns WHERE lane_id = (c).lane_id AND (c).kind = 'campaign') k ON true);
END $$;

CREATE FUNCTION event_record(e call_events) RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT jsonb_build_object('eventId', (e).event_id, 'message', (e).message, 'type', (e).type, 'state', (e).state,
		'providerCallId', (e).provider_call_id, 'outcome', (e).outcome, 'endedReason', (e).ended_reason,
		'occurredAt', carillon.iso_utc((e).occurred_at), 'recordedAt', carillon.iso_utc((e).recorded_at))
$$;

CREATE FUNCTION transition_record(t transitions) RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT jsonb_build_object('entity', (t).entity, 'id', (t).entity_id, 'from', (t).from_state, 'to', (t).to_state,
		'reason', (t).reason, 'note', (t).note, 'actor', (t).actor, 'event_id', (t).event_id, 'at', carillon.iso_utc((t).at))
$$;

-- ---- Undetermined calls -------------------------------------------------------------------------------------------------

-- What the decision does to the follow-up of the call. `redial` is a proof of absence by a person: pending again, the attempt
-- not counted; one whose redial record has been ended, paused or removed meanwhile goes the way of that record.
CREATE FUNCTION resolve_follow_up(c calls, decision text) RETURNS void LANGUAGE sql VOLATILE AS $$
	UPDATE carillon.follow_ups f SET lease_until = NULL, gate = NULL, attempts = f.attempts + (decision = 'close')::integer,
		last_error = CASE decision WHEN 'close' THEN 'closed by an operator' ELSE 'an operator: nothing was dialed' END,
		status = CASE WHEN decision = 'close' THEN 'completed' WHEN r.runs THEN 'pending' ELSE 'cancelled' END,
		reason = CASE WHEN decision = 'close' THEN 'closed' WHEN NOT r.runs THEN coalesce(r.status, 'removed') END,
		completed_at = CASE WHEN decision = 'close' THEN coalesce((c).posted_at, (c).claimed_at) END,
		next_look_at = CASE WHEN decision = 'redial' AND r.runs THEN now() + (1 + random()) * interval '1 second' END
	FROM (SELECT q.status, o.source <> 'redial' OR coalesce(q.status IN ('pending', 'rescheduled'), false) AS runs
		FROM carillon.follow_ups o LEFT JOIN carillon.redial_queue q ON o.source = 'redial' AND q.id::text = o.source_id
		WHERE o.id = (c).follow_up_id) r
	WHERE f.id = (c).follow_up_id AND f.job_id = (c).job_id AND f.status = 'undetermined'
$$;

-- `close`: taken as dialed and over; what its end would have decided is nothing, so its redial record ends with it.
CREATE FUNCTION close_redial_record(c calls) RETURNS void LANGUAGE sql VOLATILE AS $$
	WITH record AS (
		SELECT q.id, q.status FROM carillon.follow_ups f JOIN carillon.redial_queue q ON q.id::text = f.source_id
		WHERE f.id = (c).follow_up_id AND f.source = 'redial' AND q.status IN ('pending', 'rescheduled') FOR UPDATE OF q
	), ended AS (
		UPDATE carillon.redial_queue q SET status = 'completed', next_redial_timestamp = NULL, updated_at = now()
		FROM record r WHERE q.id = r.id
	)
	INSERT INTO carillon.transitions (entity, entity_id, from_state, to_state, reason, actor)
	SELECT 'redial', id::text, status, 'completed', 'closed', 'operator' FROM record
$$;

-- The decision counts once: again it changes nothing, another one is refused. Results, events and look-ups lock the call too, so
-- whichever comes second finds what the first did; an event that has found its call but is not applied yet forbids a decision.
-- After it, a sign of life takes the call up again (results_facts.sql, events_apply.sql).
CREATE FUNCTION resolve_call(the_job uuid, decision text, the_note text) RETURNS TABLE (status integer, body jsonb) LANGUAGE plpgsql AS $$
DECLARE
	c carillon.calls;
	changes boolean;
BEGIN
	SELECT * INTO c FROM carillon.calls k WHERE k.job_id = the_job FOR NO KEY UPDATE;
	changes := c.resolution IS NULL;
	IF c.job_id IS NULL THEN
		RETURN QUERY SELECT 404, carillon.problem(404, 'no such call');
		RETURN;
	ELSIF c.resolution <> decision THEN
		RETURN QUERY SELECT 409, carillon.problem(409, format('the call is resolved already: %s', c.resolution));
		RETURN;
	ELSIF changes AND c.status <> 'undetermined' THEN
		RETURN QUERY SELECT 409, carillon.problem(409, format('the call is %s: only an undetermined one can be resolved', c.status));
		RETURN;
	ELSIF changes AND EXISTS (SELECT FROM carillon.call_events e WHERE e.call_job_id = the_job) THEN
		RETURN QUERY SELECT 409, carillon.problem(409, 'its provider has just spoken of the call, which resolves it');
		RETURN;
	END IF;
	IF changes THEN
		IF decision = 'close' THEN
			UPDATE carillon.calls k SET status = 'failed', outcome = 'UNKNOWN', ended_reason = 'closed', ended_at = now(),
				decided_at = coalesce(k.decided_at, now()), resolution = decision WHERE k.job_id = the_job;
			PERFORM carillon.close_redial_record(c);
		ELSE
			UPDATE carillon.calls k SET status = 'not_dialed', error = 'an operator: nothing was dialed', resolution = decision
			WHERE k.job_id = the_job;
		END IF;
		DELETE FROM carillon.live v WHERE v.job_id = the_job;
		PERFORM carillon.resolve_follow_up(c, decision);
		UPDATE carillon.leads l SET updated_at = now(),
			call_date = CASE decision WHEN 'close' THEN coalesce(c.posted_at, c.claimed_at) ELSE l.call_date END,
			raw_payload = l.raw_payload || jsonb_build_object('dispatch', coalesce(l.raw_payload -> 'dispatch', '{}')
				|| jsonb_build_object('status', CASE decision WHEN 'close' THEN 'completed' ELSE 'pending' END, 'job_id', the_job,
					'provider', c.provider, 'attempts', c.attempt - (decision = 'redial')::integer,
					'last_error', CASE decision WHEN 'close' THEN 'closed by an operator' ELSE 'an operator: nothing was dialed' END))
		WHERE l.id = c.lead_id AND c.kind IN ('follow_up', 'redial');
		INSERT INTO carillon.transitions (entity, entity_id, from_state, to_state, reason, note, actor)
		SELECT 'call', the_job::text, c.status, k.status, decision, the_note, 'operator' FROM carillon.calls k WHERE k.job_id = the_job;
		PERFORM pg_notify('carillon_due', '');
	END IF;
	RETURN QUERY SELECT 200, jsonb_build_object('decision', decision, 'changed', changes, 'call', carillon.call_record(k),
		'followUpStatus', (SELECT f.status FROM carillon.follow_ups f WHERE f.id = k.follow_up_id))
		FROM carillon.calls k WHERE k.job_id = the_job;
END $$;

-- ---- The stop switch ----------------------------------------------------------------------------------------------------

-- What is stopped, and why: the note of the last decision, if that was the one that stands. Of campaigns, those stopped last.
CREATE FUNCTION scheduler_state() RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT jsonb_build_object('stopped', s.stopped OR s.moved, 'since', CASE WHEN s.stopped THEN carillon.iso_utc(s.updated_at) END,
		'reason', CASE WHEN s.moved THEN 'PostgreSQL is on another timeline: what it committed last may be lost. A start confirms that this was looked into.'
			WHEN s.stopped THEN (SELECT CASE t.to_state WHEN 'stopped' THEN t.note END FROM carillon.transitions t
			WHERE t.entity = 'scheduler' AND t.entity_id = 'all' ORDER BY t.id DESC LIMIT 1) END,
		'tenants', (SELECT coalesce(jsonb_agg(jsonb_build_object('tenant', n.id, 'stopped', n.stopped_at IS NOT NULL,
				'since', carillon.iso_utc(n.stopped_at), 'reason', n.stop_reason) ORDER BY n.id), '[]') FROM carillon.tenants n),
		'campaigns', (SELECT coalesce(jsonb_agg(jsonb_build_object('campaign', c.id, 'name', c.name, 'tenant', c.tenant_id,
				'since', carillon.iso_utc(c.stopped_at), 'reason', (SELECT CASE t.to_state WHEN 'stopped' THEN t.note END FROM carillon.transitions t
					WHERE t.entity = 'campaign' AND t.entity_id = c.id::text ORDER BY t.id DESC LIMIT 1)) ORDER BY c.stopped_at DESC, c.id), '[]')
			FROM (SELECT k.id, k.name, k.tenant_id, n.stopped_at FROM carillon.lanes n JOIN carillon.campaigns k ON k.lane_id = n.id
				WHERE n.stopped_at IS NOT NULL AND k.deleted_at IS NULL ORDER BY n.stopped_at DESC LIMIT 100) c),
		'campaigns_stopped', (SELECT count(*) FROM carillon.lanes n JOIN carillon.campaigns k ON k.lane_id = n.id
			WHERE n.stopped_at IS NOT NULL AND k.deleted_at IS NULL),
		'lanes', (SELECT coalesce(jsonb_agg(jsonb_build_object('lane', n.id, 'name', n.name, 'tenant', n.tenant_id,
				'since', carillon.iso_utc(n.stopped_at)) ORDER BY n.id), '[]')
			FROM carillon.lanes n WHERE n.stopped_at IS NOT NULL AND NOT EXISTS (SELECT FROM carillon.campaigns k WHERE k.lane_id = n.id)))
	FROM (SELECT coalesce((SELECT value = 'true' FROM carillon.settings WHERE key = 'stopped'), false) AS stopped,
		(SELECT updated_at FROM carillon.settings WHERE key = 'stopped') AS updated_at, carillon.timeline_changed() AS moved) s
$$;

-- Stops or starts everything, a tenant, or a campaign, whose own switch that is. Triggers tell all processes. What stands already
-- stays as it is, its time and reason too. A start has what the stop held looked at now; one of everything confirms the timeline.
CREATE FUNCTION scheduler_switch(stops boolean, the_tenant text, the_campaign bigint, the_reason text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	changed boolean;
BEGIN
	IF the_campaign IS NOT NULL THEN
		changed := coalesce(carillon.campaign_turn(the_campaign, NOT stops, the_reason), false);
		RETURN jsonb_build_object('changed', changed) || carillon.scheduler_state();
	END IF;
	the_tenant := coalesce(the_tenant, carillon.bound_tenant());   -- a tenant stops itself, not everybody
	IF the_tenant IS NULL THEN
		INSERT INTO carillon.settings AS s (key, value) VALUES ('stopped', to_jsonb(stops))
		ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = now() WHERE s.value <> excluded.value;
		changed := FOUND;
		UPDATE carillon.settings SET value = to_jsonb(carillon.timeline()), updated_at = now()
		WHERE key = 'timeline' AND NOT stops AND carillon.timeline_changed();
		changed := changed OR FOUND;
	ELSE
		UPDATE carillon.tenants SET stopped_at = CASE WHEN stops THEN now() END, stop_reason = CASE WHEN stops THEN the_reason END
		WHERE id = the_tenant AND (stopped_at IS NOT NULL) <> stops;
		changed := FOUND;
	END IF;
	IF changed THEN
		INSERT INTO carillon.transitions (entity, entity_id, from_state, to_state, reason, note, actor)
		SELECT CASE WHEN the_tenant IS NULL THEN 'scheduler' ELSE 'tenant' END, coalesce(the_tenant, 'all'),
			CASE WHEN stops THEN 'running' ELSE 'stopped' END, CASE WHEN stops THEN 'stopped' ELSE 'running' END,
			CASE WHEN stops THEN 'stop' ELSE 'start' END, the_reason, 'operator';
	END IF;
	IF changed AND NOT stops THEN
		UPDATE carillon.follow_ups SET next_look_at = greatest(due_at, now())
		WHERE id = ANY (ARRAY(SELECT h.id FROM carillon.lanes n CROSS JOIN (VALUES (0), (1), (2)) p (priority)
			CROSS JOIN LATERAL (SELECT id FROM carillon.follow_ups   -- as far ahead as look_again_at() puts one off
				WHERE lane_id = n.id AND priority = p.priority AND next_look_at > now()
				AND next_look_at <= now() + interval '31 seconds' AND gate = 'stopped'
				LIMIT 1000 FOR UPDATE SKIP LOCKED) h
			WHERE the_tenant IS NULL OR n.tenant_id = the_tenant));
		PERFORM pg_notify('carillon_due', '');
	END IF;
	RETURN jsonb_build_object('changed', changed) || carillon.scheduler_state();
END $$;

-- ---- Dead letters -------------------------------------------------------------------------------------------------------

-- NULL where the bytes are no text.
CREATE FUNCTION text_of(bytes bytea) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN convert_from(bytes, 'UTF8');
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
	RETURN NULL;
END $$;

-- One read from a topic goes there again; a provider's callback never was a message.
CREATE FUNCTION dead_letter_is_message(topic text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
	SELECT topic NOT LIKE '%-dlt'
$$;

CREATE FUNCTION dead_letter_record(d dead_letters) RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT jsonb_build_object('id', (d).id, 'topic', (d).topic, 'partition', (d).partition, 'offset', (d)."offset",
		'key', carillon.text_of((d).key), 'reason', (d).reason, 'bytes', coalesce(octet_length((d).value), 0),
		'replayable', carillon.dead_letter_is_message((d).topic), 'replays', (d).replays,
		'account', (SELECT h ->> 1 FROM jsonb_array_elements((d).headers) h WHERE h ->> 0 = 'x-dlt-account' LIMIT 1),
		'replay_of', (SELECT h ->> 1 FROM jsonb_array_elements((d).headers) h WHERE h ->> 0 = 'x-replay-of' LIMIT 1)::bigint,
		'resolution', (d).resolution, 'resolved_at', carillon.iso_utc((d).resolved_at), 'created_at', carillon.iso_utc((d).created_at))
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA carillon FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA carillon TO carillon_producer, carillon_consumer, carillon_readonly;
