-- SPDX-License-Identifier: Apache-2.0
-- The workflow's source, which takes pending calls along their arrows (0010_workflow.sql), what people see of them, and the API.

-- ---- The source: what is due ----------------------------------------------------------------------------------------------

-- Those of a state whose time has come, for this transaction alone: another scheduler passes over them.
CREATE FUNCTION workflow_due(states text[], most bigint) RETURNS uuid[] LANGUAGE sql VOLATILE AS $$
	SELECT coalesce(array_agg(id), '{}') FROM (SELECT p.id FROM carillon.pending_calls p
		WHERE p.next_action_at <= now() AND p.workflow_state = ANY (states) AND p.workflow_state NOT IN ('completed', 'failed')
		ORDER BY p.next_action_at LIMIT most FOR NO KEY UPDATE SKIP LOCKED) d
$$;

-- Who has the number: a lead that is there already, else a new one whom the lead source leaves alone. It is the lead's number that is
-- dialed: one that has another by now is not whom to call.
CREATE FUNCTION workflow_leads(ids uuid[]) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	UPDATE carillon.pending_calls p SET lead_id = NULL FROM carillon.leads l
	WHERE p.id = ANY (ids) AND l.id = p.lead_id AND (l.phone_e164, l.tenant_id) IS DISTINCT FROM (p.phone_e164, p.tenant_id);
	INSERT INTO carillon.leads (tenant_id, phone, first_name, auto_follow_up)
	SELECT DISTINCT ON (p.tenant_id, p.phone_e164) p.tenant_id, p.phone_e164, p.clinic_name, false
	FROM carillon.pending_calls p
	WHERE p.id = ANY (ids) AND p.lead_id IS NULL AND p.phone_e164 IS NOT NULL
	AND NOT EXISTS (SELECT FROM carillon.leads l WHERE l.phone_e164 = p.phone_e164 AND l.tenant_id = p.tenant_id)
	ORDER BY p.tenant_id, p.phone_e164, p.created_at;
	UPDATE carillon.pending_calls p SET lead_id = (SELECT l.id FROM carillon.leads l WHERE l.phone_e164 = p.phone_e164 AND l.tenant_id = p.tenant_id
		ORDER BY l.id LIMIT 1)
	WHERE p.id = ANY (ids) AND p.lead_id IS NULL AND p.phone_e164 IS NOT NULL;
END $$;

-- One that is less sure than WORKFLOW's min_confidence counts as none, whoever wrote it.
CREATE FUNCTION classification_counts(c call_classifications) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (c).is_active AND (c).classification_expires_at > now()
		AND coalesce((c).confidence, 1) >= carillon.workflow_setting('min_confidence')::double precision;
END $$;

-- checking_classification: is there one, and is it still good?
CREATE FUNCTION workflow_look_up(ids uuid[]) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	UPDATE carillon.pending_calls p SET workflow_state = a.next, state_reason = coalesce(c.classification_type, a.event),
		classification_id = c.id, classification_lookup_at = now()
	FROM carillon.pending_calls d
	LEFT JOIN carillon.call_classifications c ON c.phone_e164 = d.phone_e164 AND c.tenant_id = d.tenant_id AND c.is_active
		AND carillon.classification_counts(c)
	JOIN carillon.workflow_arrows a ON a.state = 'checking_classification'
		AND a.event = CASE WHEN c.id IS NULL THEN 'not_classified' ELSE 'classified' END
	WHERE d.id = ANY (ids) AND p.id = d.id AND p.workflow_state = 'checking_classification';
END $$;

-- The number of a next call: above those that there are, of which some may be gone with their lead.
CREATE FUNCTION workflow_next(the_source_id text) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT (coalesce(max(f.occurrence::integer), -1) + 1)::text FROM carillon.follow_ups f WHERE f.source = 'workflow' AND f.source_id = the_source_id
$$;

-- Who makes a tenant's classification calls: CLASSIFY_ACCOUNT those of its own tenant, another's first Twilio account.
CREATE FUNCTION workflow_classify_account(the_tenant text) RETURNS bigint LANGUAGE sql STABLE AS $$
	SELECT a.id FROM carillon.accounts a CROSS JOIN LATERAL (SELECT a.name IS NOT DISTINCT FROM carillon.workflow_setting('classify_account') AS named) n
	WHERE a.tenant_id = the_tenant AND (n.named OR the_tenant <> 'default' AND a.provider = 'twilio' AND a.active)
	ORDER BY n.named DESC, a.id LIMIT 1
$$;

-- needs_classification: one call for a number, whoever asks first. A number's classification calls are numbered: of two schedulers that
-- would make the same one, the second waits for the first and makes none; its pending calls join at the next look.
CREATE FUNCTION workflow_classify(ids uuid[]) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	made bigint;
BEGIN
	UPDATE carillon.pending_calls p SET next_action_at = now() + interval '1 minute', last_error = 'there is no account for classification calls'
	WHERE p.id = ANY (ids) AND carillon.workflow_classify_account(p.tenant_id) IS NULL;
	-- Those that wait already, or are being classified: to be joined while nobody moves them.
	PERFORM FROM carillon.follow_ups f WHERE f.id IN (SELECT o.follow_up_id FROM carillon.pending_calls p JOIN carillon.pending_calls o
		ON o.phone_e164 = p.phone_e164 AND o.tenant_id = p.tenant_id AND o.workflow_state IN ('needs_classification', 'classifying')
		WHERE p.id = ANY (ids)) ORDER BY f.id FOR NO KEY UPDATE;
	-- Those whose number was classified since they were looked up go on by the same arrows, without a call.
	PERFORM carillon.workflow_move(ARRAY[k.id], 'dialed', 'classified meanwhile'), carillon.workflow_move(ARRAY[k.id],
		CASE k.classification_type WHEN 'human' THEN 'other_human' ELSE 'ivr' END, k.classification_type, k.classification)
	FROM (SELECT p.id, c.id AS classification, c.classification_type FROM carillon.pending_calls p JOIN carillon.call_classifications c
		ON c.phone_e164 = p.phone_e164 AND c.tenant_id = p.tenant_id AND c.is_active AND carillon.classification_counts(c)
		WHERE p.id = ANY (ids) AND p.follow_up_id IS NULL ORDER BY p.id) k;
	ids := ARRAY(SELECT p.id FROM carillon.pending_calls p WHERE p.id = ANY (ids) AND p.workflow_state = 'needs_classification');
	WITH wanted AS MATERIALIZED (
		SELECT DISTINCT ON (p.tenant_id, p.phone_e164) p.id, p.tenant_id, p.phone_e164, p.lead_id, n.id AS lane_id, a.id AS account_id
		FROM carillon.pending_calls p JOIN carillon.lanes n ON n.tenant_id = p.tenant_id AND n.name = 'workflow'
		CROSS JOIN LATERAL (SELECT carillon.workflow_classify_account(p.tenant_id) AS id) a
		WHERE p.id = ANY (ids) AND a.id IS NOT NULL AND NOT EXISTS (SELECT FROM carillon.pending_calls o WHERE o.phone_e164 = p.phone_e164 AND o.tenant_id = p.tenant_id
			AND o.workflow_state IN ('needs_classification', 'classifying') AND o.follow_up_id IS NOT NULL)
		ORDER BY p.tenant_id, p.phone_e164, p.created_at, p.id
	), queued AS (
		INSERT INTO carillon.follow_ups (tenant_id, lead_id, kind, lane_id, account_id, source, source_id, occurrence, due_at, next_look_at)
		SELECT w.tenant_id, w.lead_id, 'classify', w.lane_id, w.account_id, 'workflow', w.tenant_id || ' ' || w.phone_e164,
			carillon.workflow_next(w.tenant_id || ' ' || w.phone_e164), now(), now()
		FROM wanted w ORDER BY w.tenant_id, w.phone_e164
		ON CONFLICT (source, source_id, occurrence) DO NOTHING
		RETURNING id, source_id
	), named AS (
		INSERT INTO carillon.workflow_calls (follow_up_id, pending_call_id)
		SELECT q.id, w.id FROM queued q JOIN wanted w ON q.source_id = w.tenant_id || ' ' || w.phone_e164
	)
	UPDATE carillon.pending_calls p SET follow_up_id = q.id, next_action_at = NULL
	FROM queued q JOIN wanted w ON q.source_id = w.tenant_id || ' ' || w.phone_e164
	WHERE p.id = w.id;
	GET DIAGNOSTICS made = ROW_COUNT;
	UPDATE carillon.pending_calls p SET follow_up_id = o.follow_up_id, next_action_at = NULL,
		workflow_state = CASE o.workflow_state WHEN 'classifying' THEN a.next ELSE p.workflow_state END
	FROM carillon.workflow_arrows a, carillon.pending_calls o
	WHERE p.id = ANY (ids) AND p.follow_up_id IS NULL AND p.workflow_state = 'needs_classification'
	AND a.state = p.workflow_state AND a.event = 'dialed'
	AND o.id = (SELECT m.id FROM carillon.pending_calls m WHERE m.phone_e164 = p.phone_e164 AND m.tenant_id = p.tenant_id
		AND m.workflow_state IN ('needs_classification', 'classifying') AND m.follow_up_id IS NOT NULL ORDER BY m.workflow_state LIMIT 1);
	RETURN made;
END $$;

-- ready_to_call: each gets its task call in the queue.
CREATE FUNCTION workflow_call(ids uuid[]) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	made bigint;
BEGIN
	WITH queued AS (
		INSERT INTO carillon.follow_ups (tenant_id, lead_id, kind, lane_id, source, source_id, occurrence, due_at, next_look_at)
		SELECT p.tenant_id, p.lead_id, 'task', n.id, 'workflow', p.id::text, carillon.workflow_next(p.id::text), now(), now()
		FROM carillon.pending_calls p JOIN carillon.lanes n ON n.tenant_id = p.tenant_id AND n.name = 'workflow'
		WHERE p.id = ANY (ids) AND p.follow_up_id IS NULL
		ON CONFLICT (source, source_id, occurrence) DO NOTHING
		RETURNING id, source_id::uuid AS pending_call_id
	), named AS (
		INSERT INTO carillon.workflow_calls (follow_up_id, pending_call_id) SELECT id, pending_call_id FROM queued
	)
	UPDATE carillon.pending_calls p SET follow_up_id = q.id, next_action_at = NULL FROM queued q WHERE p.id = q.pending_call_id;
	GET DIAGNOSTICS made = ROW_COUNT;
	RETURN made;
END $$;

-- The classification call of these is over, and no classifier has spoken of it. Somebody may have said meanwhile who answers the number:
-- of another call, unless that word is of this one, so that each has its task call. Else Twilio's word that a person answered counts as
-- a classifier's would; whatever else it takes for the answer says nothing.
CREATE FUNCTION workflow_unheard(members uuid[], c calls) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	k carillon.call_classifications;
	speaks_for uuid := coalesce((SELECT w.pending_call_id FROM carillon.workflow_calls w WHERE w.follow_up_id = (c).follow_up_id), members[1]);
BEGIN
	IF NOT speaks_for = ANY (members) THEN
		speaks_for := NULL;   -- was called off: the conversation was nobody's
	END IF;
	SELECT * INTO k FROM carillon.call_classifications n WHERE n.phone_e164 = (c).phone AND n.tenant_id = (c).tenant_id AND n.is_active
	AND carillon.classification_counts(n);
	IF k.id IS NULL AND carillon.outcome_is_failure((c).outcome) THEN
		PERFORM carillon.workflow_move(members, 'attempt_failed', lower((c).outcome)), carillon.workflow_together(members);
		RETURN cardinality(members);
	ELSIF k.id IS NULL AND (c).provider = 'twilio' AND (c).ended_reason = 'human' THEN
		k.id := carillon.classification_put((c).tenant_id, (c).phone, 'human', NULL, NULL, 'twilio', (c).job_id);
		k.classification_type := 'human';
		k.job_id := (c).job_id;
	END IF;
	IF k.classification_type = 'human' AND k.job_id = (c).job_id THEN
		PERFORM carillon.workflow_human(members, speaks_for, c, k.id);
	ELSIF k.id IS NOT NULL THEN
		PERFORM carillon.workflow_move(members, CASE k.classification_type WHEN 'human' THEN 'other_human' ELSE 'ivr' END, k.classification_type, k.id);
	ELSE
		PERFORM carillon.workflow_move(members, CASE carillon.workflow_setting('unclear') WHEN 'retry' THEN 'attempt_failed' ELSE 'unclear' END,
			'no classification');
		PERFORM carillon.workflow_together(members);
	END IF;
	RETURN cardinality(members);
END $$;

-- classifying: the call is over, and the classifier has said nothing since.
CREATE FUNCTION workflow_unclear(most bigint) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	c carillon.calls;
	moved bigint := 0;
BEGIN
	FOR c IN
		SELECT k.* FROM carillon.follow_ups f JOIN carillon.calls k ON k.job_id = f.job_id
		WHERE f.id = ANY (ARRAY(SELECT DISTINCT p.follow_up_id FROM carillon.pending_calls p
			WHERE p.next_action_at <= now() AND p.workflow_state = 'classifying' AND p.follow_up_id IS NOT NULL LIMIT most))
		AND k.outcome IS NOT NULL FOR NO KEY UPDATE OF f SKIP LOCKED
	LOOP
		moved := moved + carillon.workflow_unheard(carillon.workflow_members(c.follow_up_id, '{classifying}'), c);
	END LOOP;
	RETURN moved;
END $$;

-- One step: each event for all whose time has come for it. In this order, so that a new one whose number is known is in the queue after
-- one step. `looked` is the most that one of them took.
CREATE FUNCTION workflow_step(most bigint) RETURNS TABLE (seeded bigint, looked bigint, ids uuid[]) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	due uuid[];
BEGIN
	looked := carillon.workflow_unclear(most);
	ids := carillon.workflow_due('{classification_pending}', most);
	looked := greatest(looked, cardinality(ids));
	PERFORM carillon.workflow_move(ids, 'waited');

	due := carillon.workflow_due('{retry_pending}', most);
	looked := greatest(looked, cardinality(due));
	ids := ids || due;
	-- A promised callback is made after the last retry too, as in the redial queue.
	PERFORM carillon.workflow_move(ARRAY(SELECT p.id FROM carillon.pending_calls p WHERE p.id = ANY (due)
		AND p.retry_count >= CASE WHEN p.callback_at IS NULL THEN p.max_retries ELSE greatest(2 * p.max_retries, 1) END),
		'given_up', 'Max retries exceeded');
	UPDATE carillon.pending_calls p SET retry_count = p.retry_count + 1 WHERE p.id = ANY (due) AND p.workflow_state = 'retry_pending';
	PERFORM carillon.workflow_move(ARRAY(SELECT p.id FROM carillon.pending_calls p JOIN carillon.call_classifications c ON c.id = p.classification_id
		AND c.is_active AND carillon.classification_counts(c) AND c.phone_e164 = p.phone_e164 AND c.tenant_id = p.tenant_id
		WHERE p.id = ANY (due) AND p.workflow_state = 'retry_pending'), 'retried');
	PERFORM carillon.workflow_move(due, 'reclassified');

	due := carillon.workflow_due('{new}', most);
	looked := greatest(looked, cardinality(due));
	PERFORM carillon.workflow_move(due, 'begun');

	due := carillon.workflow_due('{checking_classification}', most);
	looked := greatest(looked, cardinality(due));
	ids := ids || due;
	PERFORM carillon.workflow_move(ARRAY(SELECT p.id FROM carillon.pending_calls p WHERE p.id = ANY (due)
		AND NOT coalesce(carillon.number_is_dialable(p.phone_e164), false)), 'given_up', 'number');
	PERFORM carillon.workflow_look_up(due);

	due := carillon.workflow_due('{needs_classification,ready_to_call}', most);
	looked := greatest(looked, cardinality(due));
	ids := ids || due;
	-- Its number may have changed since it was checked, and a lead without one would stop the step for all.
	PERFORM carillon.workflow_move(ARRAY(SELECT p.id FROM carillon.pending_calls p WHERE p.id = ANY (due) AND p.follow_up_id IS NULL
		AND NOT coalesce(carillon.number_is_dialable(p.phone_e164), false)), 'given_up', 'number');
	due := ARRAY(SELECT p.id FROM carillon.pending_calls p WHERE p.id = ANY (due) AND p.workflow_state IN ('needs_classification', 'ready_to_call'));
	-- One that has begun anew while its call was not over, or is found to be alive, waits for that.
	PERFORM carillon.workflow_revive(v.follow_up_id, v.job_id) FROM (SELECT DISTINCT v.follow_up_id, v.job_id
		FROM carillon.pending_calls p JOIN carillon.live v ON v.phone = p.phone_e164 AND v.tenant_id = p.tenant_id
		JOIN carillon.follow_ups f ON f.id = v.follow_up_id
		WHERE p.id = ANY (due) AND p.follow_up_id IS NULL AND v.state NOT IN ('dialing', 'undetermined') AND f.source = 'workflow'
		ORDER BY v.follow_up_id) v;
	due := ARRAY(SELECT p.id FROM carillon.pending_calls p WHERE p.id = ANY (due) AND p.workflow_state IN ('needs_classification', 'ready_to_call'));
	PERFORM carillon.workflow_leads(due);
	seeded := carillon.workflow_classify(ARRAY(SELECT p.id FROM carillon.pending_calls p WHERE p.id = ANY (due) AND p.workflow_state = 'needs_classification'))
		+ carillon.workflow_call(ARRAY(SELECT p.id FROM carillon.pending_calls p WHERE p.id = ANY (due) AND p.workflow_state = 'ready_to_call'));
	RETURN NEXT;
END $$;

CREATE TABLE workflow_runs (
	id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	started_at timestamptz NOT NULL,
	ended_at   timestamptz NOT NULL,
	source     text NOT NULL,
	counts     jsonb NOT NULL,
	error      text
);
CREATE INDEX workflow_runs_started ON workflow_runs (started_at);

-- A step, if anything is due, and its record. What fails in it is undone and told, and is due still.
CREATE FUNCTION workflow_run(most bigint, the_source text) RETURNS TABLE (seeded bigint, looked bigint, ids uuid[], error text)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	began timestamptz := clock_timestamp();
BEGIN
	seeded := 0; looked := 0; ids := '{}';
	IF EXISTS (SELECT FROM carillon.pending_calls p WHERE p.next_action_at <= now() AND p.workflow_state NOT IN ('completed', 'failed')
		AND p.workflow_state <> 'calling') THEN
		PERFORM set_config('carillon.actor', 'workflow', true);
		BEGIN
			SELECT s.seeded, s.looked, s.ids INTO seeded, looked, ids FROM carillon.workflow_step(most) s;
		EXCEPTION WHEN OTHERS THEN
			error := SQLSTATE || ': ' || SQLERRM;
		END;
		ids := ARRAY(SELECT DISTINCT unnest(ids));
		INSERT INTO carillon.workflow_runs (started_at, ended_at, source, counts, error)
		SELECT began, clock_timestamp(), the_source, coalesce((SELECT jsonb_object_agg(workflow_state, n) FROM (SELECT p.workflow_state, count(*) AS n
			FROM carillon.pending_calls p WHERE p.id = ANY (workflow_run.ids) GROUP BY 1) c), '{}'), workflow_run.error
		WHERE workflow_run.ids <> '{}' OR workflow_run.error IS NOT NULL;
	END IF;
	RETURN NEXT;
END $$;

-- ---- Nothing stays where it is ---------------------------------------------------------------------------------------------

-- A classification or task call that takes too long: where a call may be under way its provider is asked, at once; what is over or was
-- never dialed is tried again; what can't be proved ends. Answers with what was asked for and moved.
CREATE FUNCTION workflow_unstick(p pending_calls, OUT asked bigint, OUT moved bigint) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	c carillon.calls;
	members uuid[];
BEGIN
	asked := 0; moved := 0;
	PERFORM FROM carillon.follow_ups f WHERE f.id = (p).follow_up_id FOR NO KEY UPDATE;
	IF (p).follow_up_id IS NULL THEN   -- gone with its lead: the ledger still has what it dialed
		members := ARRAY(SELECT o.id FROM carillon.pending_calls o WHERE o.id = (p).id AND o.follow_up_id IS NULL AND o.version = (p).version FOR NO KEY UPDATE);
		SELECT k.* INTO c FROM carillon.calls k WHERE k.phone = (p).phone_e164 AND k.tenant_id = (p).tenant_id
		AND k.kind = ANY (CASE (p).workflow_state WHEN 'classifying' THEN '{classify}'::text[] ELSE '{task,classify}' END)
		AND (k.claimed_at >= (p).last_attempt_at - interval '1 second'
			OR (p).workflow_state = 'classifying' AND EXISTS (SELECT FROM carillon.live v WHERE v.job_id = k.job_id))   -- one that it joined
		AND NOT EXISTS (SELECT FROM carillon.workflow_calls w WHERE w.follow_up_id = k.follow_up_id AND w.pending_call_id <> (p).id)   -- another's
		ORDER BY k.claimed_at LIMIT 1;
	ELSE
		members := carillon.workflow_members((p).follow_up_id, '{classifying,calling}');
		SELECT k.* INTO c FROM carillon.follow_ups f JOIN carillon.calls k ON k.job_id = f.job_id WHERE f.id = (p).follow_up_id;
	END IF;
	IF c.status = 'undetermined' THEN
		moved := carillon.workflow_move(members, 'given_up', 'undetermined');
	ELSIF EXISTS (SELECT FROM carillon.live v WHERE v.job_id = c.job_id) THEN
		UPDATE carillon.live v SET next_check_at = least(v.next_check_at, now()) WHERE v.job_id = c.job_id AND v.state <> 'undetermined';
		UPDATE carillon.pending_calls m SET next_action_at = now() + interval '1 minute' WHERE m.id = ANY (members);
		asked := 1;
	ELSIF c.outcome IS NOT NULL AND (p).follow_up_id IS NULL THEN   -- nobody has told it of the end
		PERFORM carillon.workflow_call_over(c, members);
		PERFORM carillon.workflow_unheard(ARRAY(SELECT m.id FROM carillon.pending_calls m WHERE m.id = ANY (members) AND m.workflow_state = 'classifying'), c);
		moved := cardinality(members);
	ELSIF c.outcome IS NOT NULL AND (p).workflow_state = 'classifying' THEN   -- workflow_unclear's
		UPDATE carillon.pending_calls m SET next_action_at = now() WHERE m.id = ANY (members);
	ELSE
		moved := carillon.workflow_move(members, 'stuck', CASE WHEN c.job_id IS NULL THEN 'stuck: never dialed'
			WHEN c.status IN ('rejected', 'not_dialed') THEN 'stuck: not dialed' ELSE 'stuck: the call is over' END);
	END IF;
END $$;

-- So many of those that wait for an event, from this id on and around.
CREATE FUNCTION workflow_waiting(start uuid, most bigint) RETURNS uuid[] LANGUAGE sql STABLE AS $$
	SELECT ARRAY((SELECT q.id FROM carillon.pending_calls q WHERE q.id >= start AND q.next_action_at IS NULL
			AND q.workflow_state IN ('new', 'checking_classification', 'needs_classification', 'classification_pending', 'ready_to_call', 'retry_pending')
			ORDER BY q.id LIMIT most)
		UNION ALL
		(SELECT q.id FROM carillon.pending_calls q WHERE q.id < start AND q.next_action_at IS NULL
			AND q.workflow_state IN ('new', 'checking_classification', 'needs_classification', 'classification_pending', 'ready_to_call', 'retry_pending')
			ORDER BY q.id LIMIT most)
		LIMIT most)
$$;

CREATE FUNCTION workflow_sweep(most bigint) RETURNS TABLE (asked bigint, moved bigint) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	p carillon.pending_calls;
	done record;
	waiting uuid[] := carillon.workflow_waiting(gen_random_uuid(), most);
BEGIN
	asked := 0; moved := 0;
	PERFORM set_config('carillon.actor', 'sweeper', true);
	FOR p IN SELECT DISTINCT ON (coalesce(d.follow_up_id::text, d.id::text)) d.* FROM (SELECT * FROM carillon.pending_calls
			WHERE workflow_state IN ('classifying', 'calling')
			AND state_since < now() - carillon.workflow_setting('stuck_minutes')::integer * interval '1 minute'
			AND coalesce(next_action_at, '-infinity') <= now() ORDER BY state_since LIMIT most) d
	LOOP
		SELECT * INTO done FROM carillon.workflow_unstick(p);
		asked := asked + done.asked;
		moved := moved + done.moved;
	END LOOP;
	-- What waits for a follow-up that is none of the queue's, or for nothing at all. Of many, some at each turn, from anywhere on.
	UPDATE carillon.pending_calls w SET next_action_at = now(), follow_up_id = NULL
	WHERE w.id = ANY (ARRAY(SELECT q.id FROM carillon.pending_calls q LEFT JOIN carillon.follow_ups f ON f.id = q.follow_up_id
		WHERE q.id = ANY (waiting) AND q.next_action_at IS NULL
		AND (f.id IS NULL OR f.status NOT IN ('pending', 'queued', 'dialing'))
		ORDER BY q.id FOR NO KEY UPDATE OF q SKIP LOCKED));
	DELETE FROM carillon.workflow_runs r WHERE r.started_at < now() - interval '7 days';
	RETURN NEXT;
END $$;

-- ---- What people look at ----------------------------------------------------------------------------------------------------

CREATE VIEW scheduler_dashboard WITH (security_invoker = true) AS
SELECT workflow_state, count(*) AS count, min(next_action_at) AS next_action, avg(retry_count) AS avg_retries
FROM pending_calls WHERE workflow_state NOT IN ('completed', 'failed') GROUP BY workflow_state;

-- Too long in a state that a call should end, or its time long past: nobody looks.
CREATE VIEW stuck_calls WITH (security_invoker = true) AS
SELECT p.*, floor(extract(epoch FROM now() - p.state_since) / 60)::bigint AS minutes_in_state
FROM pending_calls p
WHERE p.workflow_state IN ('classifying', 'calling')
	AND p.state_since < now() - (SELECT (value ->> 'stuck_minutes')::integer FROM settings WHERE key = 'workflow') * interval '1 minute'
OR p.workflow_state NOT IN ('completed', 'failed', 'classification_failed', 'classifying', 'calling') AND p.next_action_at < now() - interval '1 hour'
OR p.workflow_state = 'needs_classification' AND p.follow_up_id IS NULL AND p.state_since < now() - interval '1 hour'   -- nobody makes its call
OR p.workflow_state IN ('needs_classification', 'ready_to_call') AND p.state_since < now() - interval '1 hour'   -- nor this one's, before somebody sees to it
	AND EXISTS (SELECT FROM follow_ups f WHERE f.id = p.follow_up_id AND f.status = 'pending' AND f.gate IN ('credentials', 'paused', 'lane'));

CREATE VIEW call_sessions WITH (security_invoker = true) AS
SELECT c.job_id AS id, w.pending_call_id, c.tenant_id, c.kind, c.phone, c.provider, c.provider_call_id, c.provider_call_id AS call_sid, c.status,
	c.outcome, c.ended_reason, c.success, c.attempt, c.claimed_at AS created_at, c.posted_at AS started_at, c.ended_at, c.duration_ms, c.error
FROM calls c JOIN workflow_calls w ON w.follow_up_id = c.follow_up_id;

CREATE VIEW scheduler_runs WITH (security_invoker = true) AS
SELECT id, started_at AS "start", ended_at AS "end", source, counts, error FROM workflow_runs;

-- What a call is told of the pending call that it is made for, besides the lead's own variables.
CREATE FUNCTION workflow_variables(the_follow_up bigint) RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT jsonb_strip_nulls(jsonb_build_object('pending_call_id', p.id, 'exam_id', p.exam_id, 'employee_name', p.employee_name,
		'employee_dob', p.employee_dob, 'clinic_name', p.clinic_name, 'appointment_time', carillon.iso_utc(p.appointment_time),
		'retry_count', p.retry_count, 'classification_type', c.classification_type, 'classification_confidence', c.confidence,
		'menu_path', CASE jsonb_typeof(c.menu_path) WHEN 'string' THEN c.menu_path #>> '{}' ELSE c.menu_path::text END))
	FROM carillon.workflow_calls w JOIN carillon.pending_calls p ON p.id = w.pending_call_id
	LEFT JOIN LATERAL (SELECT k.* FROM carillon.call_classifications k   -- as it is known now: the call may have waited since yesterday
		WHERE k.phone_e164 = p.phone_e164 AND k.tenant_id = p.tenant_id AND k.is_active AND carillon.classification_counts(k)) c ON true
	WHERE w.follow_up_id = the_follow_up
$$;

-- ---- The API ----------------------------------------------------------------------------------------------------------------

CREATE FUNCTION pending_call_record(p pending_calls) RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT jsonb_build_object('id', (p).id, 'tenant', (p).tenant_id, 'lead_id', (p).lead_id, 'exam_id', (p).exam_id,
		'employee_name', (p).employee_name, 'employee_dob', (p).employee_dob, 'phone', (p).phone, 'phone_e164', (p).phone_e164,
		'clinic_name', (p).clinic_name, 'appointment_time', carillon.iso_utc((p).appointment_time), 'workflow_state', (p).workflow_state,
		'state_since', carillon.iso_utc((p).state_since), 'state_reason', (p).state_reason, 'classification_id', (p).classification_id,
		'classification_lookup_at', carillon.iso_utc((p).classification_lookup_at), 'ivr_classified_at', carillon.iso_utc((p).ivr_classified_at),
		'retry_count', (p).retry_count, 'max_retries', (p).max_retries, 'next_action_at', carillon.iso_utc((p).next_action_at),
		'last_attempt_at', carillon.iso_utc((p).last_attempt_at), 'last_error', (p).last_error, 'workflow_metadata', (p).workflow_metadata,
		'failed_at', carillon.iso_utc((p).failed_at), 'failure_reason', (p).failure_reason, 'follow_up_id', (p).follow_up_id,
		'version', (p).version, 'created_at', carillon.iso_utc((p).created_at), 'updated_at', carillon.iso_utc((p).updated_at))
$$;

CREATE FUNCTION classification_record(c call_classifications) RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT jsonb_build_object('id', (c).id, 'tenant', (c).tenant_id, 'phone_number', (c).phone_number, 'phone_e164', (c).phone_e164,
		'classification_type', (c).classification_type, 'is_active', (c).is_active,
		'classification_expires_at', carillon.iso_utc((c).classification_expires_at), 'confidence', (c).confidence,
		'menu_path', (c).menu_path, 'source', (c).source, 'job_id', (c).job_id, 'created_at', carillon.iso_utc((c).created_at),
		'updated_at', carillon.iso_utc((c).updated_at))
$$;

-- A day of the calendar as ISO 8601 has it; null: it is none.
CREATE FUNCTION iso_date(given text) RETURNS date LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN CASE WHEN given ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' THEN given::date END;
EXCEPTION WHEN data_exception THEN
	RETURN NULL;
END $$;

-- What is wrong with a member of a pending call; null: nothing.
CREATE FUNCTION pending_call_problem(field text, given jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	kind text := coalesce(jsonb_typeof(given), 'null');
	word text := given #>> '{}';
BEGIN
	RETURN CASE
		WHEN field = 'phone' THEN
			CASE WHEN kind = 'null' OR word = '' THEN 'missing' WHEN kind NOT IN ('string', 'number') THEN 'text'
				ELSE coalesce(carillon.phone_problem(word), CASE WHEN carillon.normalize_phone(word) IS NULL
					THEN 'no number that can be called, such as +12125550101' END) END
		WHEN field = 'exam_id' THEN
			CASE WHEN kind = 'null' THEN NULL WHEN kind = 'number' AND word !~ '^[0-9]{1,18}([.]0+)?$' OR kind NOT IN ('string', 'number') THEN 'text, or a whole number'
				ELSE carillon.text_problem(word, 200) END
		WHEN field IN ('employee_name', 'clinic_name') THEN
			CASE WHEN kind = 'null' THEN NULL WHEN kind <> 'string' THEN 'text' ELSE carillon.text_problem(word, 200) END
		WHEN field = 'employee_dob' THEN
			CASE WHEN kind <> 'null' AND (kind <> 'string' OR carillon.iso_date(word) IS NULL) THEN 'a day, such as 1990-01-31' END
		WHEN field IN ('appointment_time', 'next_action_at') THEN
			CASE WHEN kind <> 'null' AND (kind <> 'string' OR carillon.iso_time(word) IS NULL) THEN 'a time with its offset, such as 2026-03-01T15:00:00Z' END
		WHEN field = 'max_retries' THEN
			CASE WHEN kind <> 'null' AND CASE kind WHEN 'number' THEN NOT carillon.whole_number(given, 0, 99) WHEN 'string' THEN word !~ '^[0-9]{1,2}$' ELSE true END
				THEN 'a whole number from 0 to 99' END
		WHEN field = 'workflow_metadata' THEN
			CASE WHEN kind NOT IN ('null', 'object') THEN 'an object' ELSE carillon.text_problem(word, 16384) END
		WHEN field = '' THEN 'a value in a column that the header does not name'
		ELSE 'no such field' END;
END $$;

-- New ones of tenant `default`, of records in which nothing is wrong.
CREATE FUNCTION pending_calls_create(given jsonb[]) RETURNS SETOF pending_calls LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	PERFORM set_config('carillon.actor', 'operator', true);
	RETURN QUERY INSERT INTO carillon.pending_calls (phone, exam_id, employee_name, employee_dob, clinic_name, appointment_time, max_retries,
		next_action_at, workflow_metadata)
	SELECT g ->> 'phone', g ->> 'exam_id', g ->> 'employee_name', carillon.iso_date(g ->> 'employee_dob'), g ->> 'clinic_name',
		carillon.iso_time(g ->> 'appointment_time'), coalesce((g ->> 'max_retries')::numeric::integer, 3),
		coalesce(carillon.iso_time(g ->> 'next_action_at'), now()), CASE jsonb_typeof(g -> 'workflow_metadata') WHEN 'object' THEN g -> 'workflow_metadata' ELSE '{}' END
	FROM unnest(given) g
	RETURNING *;
END $$;

-- It is not called any more: at once if its call waits; a call that is under way can't be taken back, but leads to nothing.
CREATE FUNCTION pending_call_cancel(given text) RETURNS TABLE (status integer, body jsonb) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	p carillon.pending_calls;
BEGIN
	PERFORM set_config('carillon.actor', 'operator', true);
	PERFORM FROM carillon.follow_ups f WHERE f.id = (SELECT o.follow_up_id FROM carillon.pending_calls o WHERE o.id = carillon.query_uuid(given)) FOR NO KEY UPDATE;
	SELECT * INTO p FROM carillon.pending_calls o WHERE o.id = carillon.query_uuid(given) FOR NO KEY UPDATE;
	IF p.id IS NULL THEN
		RETURN QUERY SELECT 404, carillon.problem(404, 'no such pending call');
	ELSIF carillon.workflow_move(ARRAY[p.id], 'given_up', 'cancelled') = 0 AND (p.workflow_state, p.failure_reason) IS DISTINCT FROM ('failed', 'cancelled') THEN
		RETURN QUERY SELECT 409, carillon.problem(409, format('the pending call is %s', p.workflow_state));
	ELSE
		RETURN QUERY SELECT 200, carillon.pending_call_record(o) FROM carillon.pending_calls o WHERE o.id = p.id;
	END IF;
END $$;

-- Those that ended without success begin anew, with all their retries. Answers with how many.
CREATE FUNCTION pending_calls_replay(ids uuid[]) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	PERFORM set_config('carillon.actor', 'operator', true);
	UPDATE carillon.pending_calls p SET retry_count = 0 WHERE p.id = ANY (ARRAY(SELECT o.id FROM carillon.pending_calls o
		WHERE o.id = ANY (ids) AND o.workflow_state IN ('failed', 'classification_failed') ORDER BY o.id FOR NO KEY UPDATE));
	RETURN carillon.workflow_move(ids, 'replayed');
END $$;

-- One of these, or one that waits for its retry: now.
CREATE FUNCTION pending_call_retry(given text) RETURNS TABLE (status integer, body jsonb) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	p carillon.pending_calls;
BEGIN
	SELECT * INTO p FROM carillon.pending_calls o WHERE o.id = carillon.query_uuid(given) FOR NO KEY UPDATE;
	IF p.id IS NULL THEN
		RETURN QUERY SELECT 404, carillon.problem(404, 'no such pending call');
	ELSIF p.workflow_state = 'retry_pending' THEN
		UPDATE carillon.pending_calls o SET next_action_at = now() WHERE o.id = p.id;
		PERFORM pg_notify('carillon_due', '');
	ELSIF carillon.pending_calls_replay(ARRAY[p.id]) = 0 THEN
		RETURN QUERY SELECT 409, carillon.problem(409, format('the pending call is %s: only one that failed, or waits for its retry, can be tried again', p.workflow_state));
		RETURN;
	END IF;
	RETURN QUERY SELECT 200, carillon.pending_call_record(o) FROM carillon.pending_calls o WHERE o.id = p.id;
END $$;

-- A scheduler's run on request, with what became of each that it looked at.
CREATE FUNCTION workflow_run_now() RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	r record;
BEGIN
	SELECT * INTO r FROM carillon.workflow_run(1000, 'api');
	RETURN jsonb_build_object('processed', cardinality(r.ids), 'queued', r.seeded, 'error', r.error, 'results', coalesce((SELECT jsonb_agg(jsonb_build_object(
		'id', p.id, 'status', p.workflow_state, 'reason', p.state_reason, 'retry_count', p.retry_count, 'next_action_at', carillon.iso_utc(p.next_action_at)) ORDER BY p.ordinal)
		FROM carillon.pending_calls p WHERE p.id = ANY (r.ids)), '[]'));
END $$;

-- The guide's function: this one's next call is to be made, now.
CREATE FUNCTION pre_classify_call(given jsonb) RETURNS TABLE (status integer, body jsonb) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	p carillon.pending_calls;
BEGIN
	IF coalesce(given ->> 'pending_call_id', '') = '' THEN
		RETURN QUERY SELECT 422, carillon.problems('[{"field": "pending_call_id", "detail": "missing"}]');
		RETURN;
	END IF;
	SELECT * INTO p FROM carillon.pending_calls o WHERE o.id = carillon.query_uuid(given ->> 'pending_call_id') FOR NO KEY UPDATE;
	IF p.id IS NULL THEN
		RETURN QUERY SELECT 404, carillon.problem(404, 'no such pending call');
	ELSIF p.workflow_state IN ('classifying', 'calling', 'completed', 'failed', 'classification_failed') THEN
		RETURN QUERY SELECT 409, carillon.problem(409, format('the pending call is %s', p.workflow_state));
	ELSE
		UPDATE carillon.pending_calls o SET next_action_at = now() WHERE o.id = p.id AND o.follow_up_id IS NULL;
		PERFORM carillon.workflow_run(1000, 'api');
		PERFORM pg_notify('carillon_due', '');
		RETURN QUERY SELECT 200, carillon.pending_call_record(o) FROM carillon.pending_calls o WHERE o.id = p.id;
	END IF;
END $$;

-- What is wrong with a member of a classification; null: nothing.
CREATE FUNCTION classification_problem(field text, given jsonb) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
	kind text := coalesce(jsonb_typeof(given), 'null');
	word text := given #>> '{}';
BEGIN
	RETURN CASE
		WHEN field = 'classification' THEN CASE WHEN coalesce(word NOT IN ('human', 'ivr_only', 'ivr_then_human'), true) THEN 'human, ivr_only or ivr_then_human' END
		WHEN field = 'confidence' THEN CASE WHEN kind = 'null' THEN NULL WHEN kind <> 'number' OR word::numeric NOT BETWEEN 0 AND 1 THEN 'a number from 0 to 1' END
		WHEN field = 'menu_path' THEN
			CASE WHEN kind = 'null' THEN NULL WHEN kind NOT IN ('string', 'array') OR kind = 'array' AND (jsonb_array_length(given) > 20
					OR EXISTS (SELECT FROM jsonb_array_elements(given) e WHERE jsonb_typeof(e) <> 'string' OR length(e #>> '{}') > 40))
				THEN 'text, or an array of up to 20 words of up to 40 characters' ELSE carillon.text_problem(word, CASE kind WHEN 'array' THEN 2000 ELSE 300 END) END
		WHEN field = 'expires_at' THEN
			CASE WHEN kind = 'null' THEN NULL WHEN kind <> 'string' OR carillon.iso_time(word) IS NULL THEN 'a time with its offset, such as 2027-01-01T00:00:00Z'
				WHEN carillon.iso_time(word) <= now() THEN 'in the future' END
		ELSE 'no such field' END;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA carillon FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON workflow_runs TO carillon_producer;
GRANT SELECT ON workflow_runs TO carillon_readonly;
GRANT SELECT ON scheduler_dashboard, stuck_calls, call_sessions, scheduler_runs TO carillon_producer, carillon_readonly;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA carillon TO carillon_producer, carillon_consumer, carillon_readonly;
