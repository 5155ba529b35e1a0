-- SPDX-License-Identifier: Apache-2.0
-- Workflow calls: a pending call is looked up, its number classified if nobody has, and its task call made.
--
-- What moves a pending call is an event; where it moves is workflow_arrows' to say. On the way in each state sets what belongs to it
-- (pending_calls_enter), whoever changes it. The calls themselves are follow-ups of kind classify and task in the lane `workflow`, so
-- that all gates hold for them; a pending call is classifying or calling while its follow-up is dialed or the call is under way.

-- What the environment says (setup_workflow.sql).
INSERT INTO settings (key, value) VALUES ('workflow', '{"retry_minutes": 30, "wait_seconds": 30, "min_confidence": 0.6, "unclear": "fail",
	"ttl_days": 30, "stuck_minutes": 10, "classify_account": null}');

CREATE FUNCTION workflow_setting(name text) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT value ->> name FROM carillon.settings WHERE key = 'workflow'
$$;

-- ---- Who or what answers a number --------------------------------------------------------------------------------------

CREATE TABLE call_classifications (
	id                        uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	tenant_id                 text NOT NULL DEFAULT request_tenant() REFERENCES tenants,
	phone_number              text NOT NULL,        -- as given
	phone_e164                text,                 -- kept by trigger
	classification_type       text NOT NULL CHECK (classification_type IN ('human', 'ivr_only', 'ivr_then_human')),
	is_active                 boolean NOT NULL DEFAULT true,
	classification_expires_at timestamptz NOT NULL DEFAULT now() + interval '30 days',
	confidence                double precision CHECK (confidence BETWEEN 0 AND 1),
	menu_path                 jsonb,
	source                    text NOT NULL DEFAULT 'sql',
	job_id                    uuid,                 -- of the call that it was heard on
	ordinal                   bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
	created_at                timestamptz NOT NULL DEFAULT now(),
	updated_at                timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX call_classifications_active ON call_classifications (phone_e164, tenant_id) WHERE is_active;

-- The newest one counts: it takes the place of the one before.
CREATE FUNCTION call_classifications_fill() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.phone_e164 := carillon.normalize_phone(NEW.phone_number);
	NEW.updated_at := now();
	IF NEW.is_active THEN
		UPDATE carillon.call_classifications c SET is_active = false
		WHERE c.phone_e164 = NEW.phone_e164 AND c.tenant_id = NEW.tenant_id AND c.is_active AND c.id <> NEW.id;
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER call_classifications_fill BEFORE INSERT OR UPDATE ON call_classifications
	FOR EACH ROW EXECUTE FUNCTION call_classifications_fill();

-- ---- Pending calls -----------------------------------------------------------------------------------------------------

CREATE TABLE workflow_arrows (   -- the same as common/tbl/workflow_arrow.h
	state   text NOT NULL,
	event   text NOT NULL,
	next    text NOT NULL,
	action  text NOT NULL,
	comment text NOT NULL,
	PRIMARY KEY (state, event)
);
INSERT INTO workflow_arrows VALUES
	('new', 'begun', 'checking_classification', 'look_up', 'a scheduler has taken it up'),
	('new', 'given_up', 'failed', 'none', 'cancelled, or its number can''t be called'),
	('checking_classification', 'classified', 'ready_to_call', 'queue_task_call', 'who answers its number is known'),
	('checking_classification', 'not_classified', 'needs_classification', 'queue_classification_call', 'nobody has classified its number, or that is too long ago'),
	('checking_classification', 'given_up', 'failed', 'none', 'cancelled, or its number can''t be called'),
	('needs_classification', 'dialed', 'classifying', 'await_classifier', 'its number''s one classification call is made'),
	('needs_classification', 'given_up', 'failed', 'none', 'cancelled, or a gate holds it for good'),
	('classifying', 'ivr', 'classification_pending', 'wait', 'a machine answered; the task call follows'),
	('classifying', 'other_human', 'classification_pending', 'wait', 'a person answered the call that spoke for another pending call'),
	('classifying', 'human', 'calling', 'await_end', 'a person answered: the conversation goes on as the task call'),
	('classifying', 'human_done', 'completed', 'none', 'a person answered, and the conversation is over'),
	('classifying', 'unclear', 'classification_failed', 'none', 'nobody could say who answered'),
	('classifying', 'attempt_failed', 'retry_pending', 'back_off', 'proved over without an answer'),
	('classifying', 'stuck', 'retry_pending', 'back_off', 'too long in this state; proved over, or never dialed'),
	('classifying', 'not_dialed', 'needs_classification', 'await_dispatch', 'the provider has no room now; nothing was dialed'),
	('classifying', 'given_up', 'failed', 'none', 'cancelled, do-not-call, or undetermined'),
	('classification_pending', 'waited', 'ready_to_call', 'queue_task_call', 'CLASSIFICATION_WAIT_SECONDS are over'),
	('classification_pending', 'given_up', 'failed', 'none', 'cancelled'),
	('ready_to_call', 'dialed', 'calling', 'await_end', 'the task call is made'),
	('ready_to_call', 'given_up', 'failed', 'none', 'cancelled, or a gate holds it for good'),
	('calling', 'succeeded', 'completed', 'none', 'the call has done its task'),
	('calling', 'attempt_failed', 'retry_pending', 'back_off', 'the call is over and has not done its task'),
	('calling', 'stuck', 'retry_pending', 'back_off', 'too long in this state; proved over, or never dialed'),
	('calling', 'not_dialed', 'ready_to_call', 'await_dispatch', 'the provider has no room now; nothing was dialed'),
	('calling', 'given_up', 'failed', 'none', 'cancelled, do-not-call, or undetermined'),
	('retry_pending', 'retried', 'ready_to_call', 'queue_task_call', 'its time has come, and who answers is known'),
	('retry_pending', 'reclassified', 'checking_classification', 'look_up', 'its time has come, and who answers is not known'),
	('retry_pending', 'given_up', 'failed', 'none', 'max_retries are used up, or cancelled'),
	('classification_failed', 'replayed', 'checking_classification', 'look_up', 'an operator has it tried again'),
	('classification_failed', 'given_up', 'failed', 'none', 'cancelled'),
	('failed', 'replayed', 'checking_classification', 'look_up', 'an operator has it tried again');

CREATE TABLE pending_calls (
	id                       uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	tenant_id                text NOT NULL DEFAULT request_tenant() REFERENCES tenants,
	lead_id                  bigint REFERENCES leads ON DELETE SET NULL,   -- whom the number belongs to; made when it is first called
	exam_id                  text,
	employee_name            text,
	employee_dob             date,
	phone                    text,                  -- as given
	phone_e164               text,                  -- kept by trigger; null: none that can be dialed
	clinic_name              text,
	appointment_time         timestamptz,
	workflow_state           text NOT NULL DEFAULT 'new' CONSTRAINT valid_workflow_state CHECK (workflow_state IN ('new',
	                             'checking_classification', 'needs_classification', 'classifying', 'classification_pending',
	                             'ready_to_call', 'calling', 'retry_pending', 'completed', 'failed', 'classification_failed')),
	state_since              timestamptz NOT NULL DEFAULT now(),
	state_reason             text,                  -- why it came to its state
	classification_id        uuid REFERENCES call_classifications ON DELETE SET NULL,
	classification_lookup_at timestamptz,
	ivr_classified_at        timestamptz,
	retry_count              integer NOT NULL DEFAULT 0 CHECK (retry_count >= 0),
	max_retries              integer NOT NULL DEFAULT 3 CHECK (max_retries >= 0),
	next_action_at           timestamptz DEFAULT now(),   -- null: an event is awaited
	last_attempt_at          timestamptz,
	last_error               text,
	workflow_metadata        jsonb NOT NULL DEFAULT '{}',
	failed_at                timestamptz,
	failure_reason           text,
	follow_up_id             bigint REFERENCES follow_ups ON DELETE SET NULL,   -- by which it is, or is to be, dialed
	version                  integer NOT NULL DEFAULT 1,
	ordinal                  bigint GENERATED ALWAYS AS IDENTITY UNIQUE,   -- by which lists go on
	created_at               timestamptz NOT NULL DEFAULT now(),
	updated_at               timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX idx_pending_calls_scheduler ON pending_calls (next_action_at, workflow_state)
	WHERE workflow_state NOT IN ('completed', 'failed');
CREATE INDEX pending_calls_follow_up ON pending_calls (follow_up_id) WHERE follow_up_id IS NOT NULL;
CREATE INDEX pending_calls_number ON pending_calls (phone_e164, tenant_id) WHERE workflow_state IN ('needs_classification', 'classifying');
CREATE INDEX pending_calls_state ON pending_calls (workflow_state, state_since);
CREATE INDEX pending_calls_lead ON pending_calls (lead_id);

-- For which pending call a follow-up speaks. A classification call serves all of its number, and is made with the data of one.
CREATE TABLE workflow_calls (
	follow_up_id    bigint PRIMARY KEY REFERENCES follow_ups ON DELETE CASCADE,
	pending_call_id uuid NOT NULL REFERENCES pending_calls ON DELETE CASCADE
);
CREATE INDEX workflow_calls_pending_call ON workflow_calls (pending_call_id);

-- Twice as long with each retry, a little apart from others, within the lane's hours. One that has used up its retries need not wait.
CREATE FUNCTION workflow_retry_at(p pending_calls) RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
	SELECT CASE WHEN (p).retry_count >= (p).max_retries THEN now()
		ELSE coalesce(carillon.next_opening(b.at, (SELECT id FROM carillon.lanes n WHERE n.tenant_id = (p).tenant_id AND n.name = 'workflow'),
			'{}', NULL, NULL), b.at) END
	FROM (SELECT now() + carillon.workflow_setting('retry_minutes')::double precision * 2 ^ least((p).retry_count, 10) * (1 + random() / 10)
		* interval '1 minute' AS at) b
$$;

-- Who changes pending calls in this transaction: a process says so, a person is known by the name of the session.
CREATE FUNCTION workflow_actor() RETURNS text LANGUAGE sql STABLE AS $$
	SELECT coalesce(nullif(current_setting('carillon.actor', true), ''), session_user::text)
$$;

-- One way into each state. What the statement itself sets of time and error stays as it says.
CREATE FUNCTION pending_calls_enter() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	the_event text;
	timed boolean;
BEGIN
	NEW.phone_e164 := carillon.normalize_phone(NEW.phone);
	IF TG_OP = 'INSERT' THEN
		RETURN NEW;
	END IF;
	NEW.version := OLD.version + 1;
	NEW.updated_at := now();
	IF NEW.workflow_state = OLD.workflow_state THEN
		IF NEW.follow_up_id IS NULL AND OLD.follow_up_id IS NOT NULL AND NEW.workflow_state IN ('needs_classification', 'ready_to_call') THEN
			NEW.next_action_at := now();   -- its follow-up is gone
		END IF;
		RETURN NEW;
	END IF;
	SELECT a.event INTO the_event FROM carillon.workflow_arrows a WHERE a.state = OLD.workflow_state AND a.next = NEW.workflow_state
	ORDER BY a.event LIMIT 1;
	IF the_event IS NULL THEN
		RAISE EXCEPTION 'pending call %: there is no arrow % -> %', OLD.id, OLD.workflow_state, NEW.workflow_state
			USING ERRCODE = 'check_violation', TABLE = 'pending_calls', CONSTRAINT = 'workflow_arrows',
			HINT = format('From %s it moves to: %s.', OLD.workflow_state, coalesce((SELECT string_agg(DISTINCT a.next, ', ' ORDER BY a.next)
				FROM carillon.workflow_arrows a WHERE a.state = OLD.workflow_state), 'nowhere'));
	END IF;
	IF NEW.state_reason IS NOT DISTINCT FROM OLD.state_reason THEN
		NEW.state_reason := the_event;
	END IF;
	NEW.state_since := now();
	IF NEW.workflow_state IN ('checking_classification', 'classification_pending', 'retry_pending', 'completed', 'classification_failed')
		OR NEW.workflow_state = 'failed' AND NEW.state_reason <> 'undetermined' THEN   -- an operator may still decide about that one's
		NEW.follow_up_id := NULL;
	END IF;
	IF NEW.workflow_state IN ('retry_pending', 'failed', 'classification_failed') AND NEW.last_error IS NOT DISTINCT FROM OLD.last_error THEN
		NEW.last_error := NEW.state_reason;
	END IF;
	timed := NEW.next_action_at IS DISTINCT FROM OLD.next_action_at;
	CASE NEW.workflow_state
	WHEN 'checking_classification' THEN
		NEW.classification_lookup_at := now();
		NEW.failed_at := NULL;
		NEW.failure_reason := NULL;
	WHEN 'classification_pending' THEN
		NEW.ivr_classified_at := now();
	WHEN 'classifying', 'calling' THEN
		NEW.last_attempt_at := now();
	WHEN 'failed' THEN
		NEW.failed_at := now();
		NEW.failure_reason := CASE WHEN NEW.failure_reason IS NOT DISTINCT FROM OLD.failure_reason THEN NEW.state_reason ELSE NEW.failure_reason END;
	ELSE NULL;
	END CASE;
	IF NOT timed THEN
		NEW.next_action_at := CASE NEW.workflow_state
			WHEN 'checking_classification' THEN now()
			WHEN 'needs_classification' THEN CASE WHEN NEW.follow_up_id IS NULL THEN now() END
			WHEN 'classification_pending' THEN now() + carillon.workflow_setting('wait_seconds')::double precision * interval '1 second'
			WHEN 'ready_to_call' THEN CASE WHEN NEW.follow_up_id IS NULL THEN now() END
			WHEN 'retry_pending' THEN carillon.workflow_retry_at(NEW) END;
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER pending_calls_enter BEFORE INSERT OR UPDATE ON pending_calls FOR EACH ROW EXECUTE FUNCTION pending_calls_enter();

-- The history; and a scheduler that may sleep is told of what others have changed.
CREATE FUNCTION pending_calls_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		INSERT INTO carillon.transitions (entity, entity_id, to_state, reason, actor)
		VALUES ('pending_call', NEW.id::text, NEW.workflow_state, 'created', carillon.workflow_actor());
	ELSE
		INSERT INTO carillon.transitions (entity, entity_id, from_state, to_state, reason, actor, event_id)
		VALUES ('pending_call', NEW.id::text, OLD.workflow_state, NEW.workflow_state, NEW.state_reason, carillon.workflow_actor(),
			nullif(current_setting('carillon.event_id', true), ''));
	END IF;
	IF carillon.workflow_actor() <> 'workflow' AND NEW.next_action_at <= now() + interval '1 second' THEN
		PERFORM pg_notify('carillon_due', '');
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER pending_calls_made AFTER INSERT ON pending_calls FOR EACH ROW EXECUTE FUNCTION pending_calls_note();
CREATE TRIGGER pending_calls_moved AFTER UPDATE ON pending_calls FOR EACH ROW
	WHEN (OLD.workflow_state <> NEW.workflow_state) EXECUTE FUNCTION pending_calls_note();

-- A pending call has left its follow-up: what nobody waits for is not dialed, and if others wait it is made for the oldest of them.
CREATE FUNCTION pending_calls_leave() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	heir uuid := (SELECT p.id FROM carillon.pending_calls p WHERE p.follow_up_id = OLD.follow_up_id AND p.id <> OLD.id
		ORDER BY p.created_at, p.id LIMIT 1);
BEGIN
	IF heir IS NULL THEN
		UPDATE carillon.follow_ups f SET status = 'cancelled', reason = 'workflow', gate = NULL, next_look_at = NULL, lease_until = NULL
		WHERE f.id = OLD.follow_up_id AND f.status IN ('pending', 'queued');
	ELSIF TG_OP = 'DELETE' THEN   -- its row has gone with it
		INSERT INTO carillon.workflow_calls (follow_up_id, pending_call_id) VALUES (OLD.follow_up_id, heir) ON CONFLICT DO NOTHING;
	ELSE
		UPDATE carillon.workflow_calls w SET pending_call_id = heir FROM carillon.follow_ups f
		WHERE w.follow_up_id = OLD.follow_up_id AND w.pending_call_id = OLD.id AND f.id = w.follow_up_id AND f.status IN ('pending', 'queued');
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER pending_calls_left AFTER UPDATE OF workflow_state, follow_up_id ON pending_calls FOR EACH ROW
	WHEN (OLD.follow_up_id IS NOT NULL AND NEW.follow_up_id IS DISTINCT FROM OLD.follow_up_id) EXECUTE FUNCTION pending_calls_leave();
CREATE TRIGGER pending_calls_removed AFTER DELETE ON pending_calls FOR EACH ROW
	WHEN (OLD.follow_up_id IS NOT NULL) EXECUTE FUNCTION pending_calls_leave();

-- The event happens to these, of which only those move whose state knows it: an illegal arrow is never tried. Whoever calls this
-- holds their locks.
CREATE FUNCTION workflow_move(ids uuid[], the_event text, the_reason text DEFAULT NULL, the_classification uuid DEFAULT NULL)
RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	moved bigint;
BEGIN
	UPDATE carillon.pending_calls p SET workflow_state = a.next, state_reason = coalesce(the_reason, the_event),
		classification_id = coalesce(the_classification, p.classification_id)
	FROM carillon.workflow_arrows a
	WHERE p.id = ANY (ids) AND a.state = p.workflow_state AND a.event = the_event;
	GET DIAGNOSTICS moved = ROW_COUNT;
	RETURN moved;
END $$;

-- ---- What the calls do to them -----------------------------------------------------------------------------------------

-- The pending calls of a follow-up, locked after it, as everywhere.
CREATE FUNCTION workflow_members(the_follow_up bigint, states text[]) RETURNS uuid[] LANGUAGE sql VOLATILE AS $$
	SELECT coalesce(array_agg(id), '{}') FROM (SELECT p.id FROM carillon.pending_calls p
		WHERE p.follow_up_id = the_follow_up AND p.workflow_state = ANY (states) ORDER BY p.id FOR NO KEY UPDATE) m
$$;

CREATE FUNCTION workflow_follow_up_moved() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	members uuid[] := carillon.workflow_members(NEW.id, '{needs_classification,classifying,ready_to_call,calling,failed}');
BEGIN
	IF members = '{}' THEN
		RETURN NULL;
	END IF;
	PERFORM set_config('carillon.actor', 'dispatch', true);
	IF NEW.status = 'dialing' OR NEW.status = 'cancelled' AND NEW.reason = 'call_found' THEN
		PERFORM carillon.workflow_move(members, 'dialed');
	ELSIF NEW.status = 'pending' AND OLD.status = 'undetermined' THEN   -- an operator: nothing was dialed
		PERFORM carillon.workflow_move(members, 'replayed', 'an operator: nothing was dialed');
	ELSIF NEW.status = 'pending' AND OLD.status = 'dialing' THEN
		PERFORM carillon.workflow_move(members, CASE WHEN NEW.attempts > OLD.attempts THEN 'attempt_failed' ELSE 'not_dialed' END,
			coalesce(NEW.last_error, 'not dialed'));
	ELSIF NEW.status IN ('skipped', 'failed', 'undetermined') OR NEW.status = 'cancelled' AND NEW.reason = 'operator' THEN
		PERFORM carillon.workflow_move(members, 'given_up', CASE NEW.reason WHEN 'operator' THEN 'cancelled' ELSE coalesce(NEW.reason, NEW.status) END);
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER workflow_follow_up_moved AFTER UPDATE OF status ON follow_ups FOR EACH ROW
	WHEN (NEW.source = 'workflow' AND OLD.status <> NEW.status) EXECUTE FUNCTION workflow_follow_up_moved();

-- Did the conversation do what it was for? The provider's own evaluation wins. Of a classification call that became the conversation
-- it is enough that it came to its end.
CREATE FUNCTION workflow_succeeded(c calls) RETURNS boolean LANGUAGE sql STABLE AS $$
	SELECT coalesce((c).success, CASE (c).kind WHEN 'classify' THEN (c).status = 'completed'
		ELSE carillon.call_succeeded((c).tenant_id, (c).outcome, NULL, (c).callback_at) END)
$$;

-- The call of these is over: what it means for those that are calling. Those whose number it should classify still wait for the
-- classifier's word, unless nobody and nothing was reached.
CREATE FUNCTION workflow_call_over(c calls, members uuid[]) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	rule text := carillon.outcome_action((c).tenant_id, (c).outcome);
	reason text := lower((c).outcome);
	callback timestamptz := CASE WHEN rule = 'callback' AND (c).callback_at < now() + interval '90 days' THEN (c).callback_at END;
	silent boolean := (c).kind = 'classify' AND carillon.outcome_is_failure((c).outcome);
BEGIN
	IF rule IN ('stop', 'suppress') AND (c).success IS NOT TRUE THEN
		PERFORM carillon.workflow_move(members, 'given_up', reason);
	ELSE
		IF callback IS NULL AND carillon.workflow_succeeded(c) THEN
			PERFORM carillon.workflow_move(members, 'succeeded', reason);
		ELSE
			PERFORM carillon.workflow_move(ARRAY(SELECT p.id FROM carillon.pending_calls p WHERE p.id = ANY (members)
				AND (p.workflow_state = 'calling' OR silent)), 'attempt_failed', reason);
			UPDATE carillon.pending_calls p SET next_action_at = callback
			WHERE p.id = ANY (members) AND p.workflow_state = 'retry_pending' AND callback > now();
		END IF;
		UPDATE carillon.pending_calls p SET next_action_at = now() + carillon.workflow_setting('wait_seconds')::double precision * interval '1 second'
		WHERE p.id = ANY (members) AND p.workflow_state = 'classifying';
	END IF;
END $$;

CREATE FUNCTION workflow_call_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM FROM carillon.follow_ups f WHERE f.id = NEW.follow_up_id FOR NO KEY UPDATE;
	PERFORM set_config('carillon.actor', 'recorder', true);
	PERFORM carillon.workflow_call_over(NEW, carillon.workflow_members(NEW.follow_up_id, '{classifying,calling}'));
	-- One that failed because its call could not be proved stays so, but whoever decides about it should know.
	UPDATE carillon.pending_calls p SET last_error = 'its call was found: ' || lower(NEW.outcome)
	WHERE p.follow_up_id = NEW.follow_up_id AND p.workflow_state = 'failed' AND NEW.resolution IS NULL;
	-- Others that waited for this number's end need not wait for their next look.
	UPDATE carillon.follow_ups f SET next_look_at = greatest(f.due_at, now())
	WHERE f.lead_id = NEW.lead_id AND f.status = 'pending' AND f.gate = 'live' AND f.next_look_at > now();
	IF FOUND THEN
		PERFORM pg_notify('carillon_due', '');
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER workflow_call_ended AFTER UPDATE OF outcome ON calls FOR EACH ROW
	WHEN (NEW.kind IN ('classify', 'task') AND OLD.outcome IS NULL AND NEW.outcome IS NOT NULL) EXECUTE FUNCTION workflow_call_ended();

-- ---- The classifier's word ----------------------------------------------------------------------------------------------

-- NULL where the text is no JSON.
CREATE FUNCTION json_of(given text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN given::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
	RETURN NULL;
END $$;

-- Keeps who answers a number. Answers with the row's id.
CREATE FUNCTION classification_put(the_tenant text, the_phone text, the_type text, the_confidence double precision, path jsonb, the_source text,
	the_job uuid, expires_at timestamptz DEFAULT NULL) RETURNS uuid LANGUAGE sql VOLATILE AS $$
	INSERT INTO carillon.call_classifications (tenant_id, phone_number, classification_type, confidence, menu_path, source, job_id, classification_expires_at)
	VALUES (the_tenant, the_phone, the_type, the_confidence, path, the_source, the_job,
		coalesce(expires_at, now() + carillon.workflow_setting('ttl_days')::integer * interval '1 day'))
	RETURNING id
$$;

-- A person answered. The conversation is that of the pending call whose data the call was made with; it may be over already. For the
-- others of the number it is known now who answers.
CREATE FUNCTION workflow_human(members uuid[], speaks_for uuid, c calls, classification uuid) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	PERFORM carillon.workflow_move(array_remove(members, speaks_for), 'other_human', 'human', classification);
	IF (c).outcome IS NULL THEN
		PERFORM carillon.workflow_move(ARRAY[speaks_for], 'human', 'human', classification);
	ELSE
		PERFORM carillon.workflow_move(ARRAY[speaks_for], CASE WHEN carillon.workflow_succeeded(c) THEN 'human_done' ELSE 'attempt_failed' END,
			lower((c).outcome), classification);
	END IF;
END $$;

-- Those that wait for their number's classification call need none any more, whoever knows who answers. One that a scheduler has in
-- hand is left to it: it looks for itself.
CREATE FUNCTION call_classifications_known() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE carillon.pending_calls p SET follow_up_id = NULL, next_action_at = now()
	WHERE p.id = ANY (ARRAY(SELECT o.id FROM carillon.pending_calls o WHERE o.phone_e164 = NEW.phone_e164 AND o.tenant_id = NEW.tenant_id
		AND o.workflow_state = 'needs_classification' ORDER BY o.id FOR NO KEY UPDATE SKIP LOCKED));
	IF FOUND THEN
		PERFORM pg_notify('carillon_due', '');
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER call_classifications_known AFTER INSERT ON call_classifications FOR EACH ROW WHEN (NEW.is_active)
	EXECUTE FUNCTION call_classifications_known();

-- What a classifier says of a call, of a pending call, or of a number: kept if it is sure enough, and all pending calls that wait for
-- it move. Answers with what becomes of the message: `parked` where the call it names is not known yet.
CREATE FUNCTION workflow_classified(the_event text, the_tenant text, the_job uuid, the_id text, the_phone text, the_type text, detail jsonb, by_whom text)
RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	c carillon.calls;
	pending carillon.pending_calls;
	the_follow_up bigint;
	e164 text;
	classification uuid;
	members uuid[];
	confidence double precision := CASE WHEN jsonb_typeof(detail -> 'confidence') = 'number' THEN (detail ->> 'confidence')::double precision END;
	sure boolean := the_type IN ('human', 'ivr_only', 'ivr_then_human')
		AND coalesce(confidence, 1) >= carillon.workflow_setting('min_confidence')::double precision;
BEGIN
	SELECT * INTO c FROM carillon.calls k WHERE k.job_id = the_job AND k.tenant_id = the_tenant;
	SELECT * INTO pending FROM carillon.pending_calls p WHERE p.tenant_id = the_tenant
		AND p.id = carillon.query_uuid(the_id);
	e164 := coalesce(c.phone, pending.phone_e164, carillon.normalize_phone(the_phone));
	IF e164 IS NULL THEN
		RETURN 'history';
	END IF;
	the_follow_up := coalesce(c.follow_up_id, pending.follow_up_id, (SELECT p.follow_up_id FROM carillon.pending_calls p
		WHERE p.phone_e164 = e164 AND p.tenant_id = the_tenant AND p.workflow_state = 'classifying' LIMIT 1));
	PERFORM FROM carillon.follow_ups f WHERE f.id = the_follow_up FOR NO KEY UPDATE;
	IF c.job_id IS NULL THEN
		SELECT k.* INTO c FROM carillon.follow_ups f JOIN carillon.calls k ON k.job_id = f.job_id WHERE f.id = the_follow_up;
	ELSE   -- as it is now that nobody else moves it
		SELECT * INTO c FROM carillon.calls k WHERE k.job_id = c.job_id;
	END IF;
	PERFORM set_config('carillon.actor', 'classifier', true), set_config('carillon.event_id', the_event, true);
	IF sure THEN
		classification := carillon.classification_put(the_tenant, e164, the_type, least(greatest(confidence, 0), 1), nullif(detail -> 'menu_path', 'null'), by_whom, c.job_id);
	END IF;
	members := carillon.workflow_members(the_follow_up, '{classifying}');
	UPDATE carillon.pending_calls p SET workflow_metadata = p.workflow_metadata || jsonb_strip_nulls(jsonb_build_object(
		'classification_completed_at', now(), 'classification_type', the_type, 'confidence', confidence))
	WHERE p.id = ANY (members);
	IF NOT sure THEN
		PERFORM carillon.workflow_move(members, CASE carillon.workflow_setting('unclear') WHEN 'retry' THEN 'attempt_failed' ELSE 'unclear' END,
			CASE WHEN the_type IN ('human', 'ivr_only', 'ivr_then_human') THEN 'low confidence' ELSE 'classification unknown' END);
	ELSIF the_type = 'human' THEN
		PERFORM carillon.workflow_human(members, CASE WHEN pending.id = ANY (members) THEN pending.id
			ELSE (SELECT w.pending_call_id FROM carillon.workflow_calls w WHERE w.follow_up_id = the_follow_up) END, c, classification);
	ELSE
		PERFORM carillon.workflow_move(members, 'ivr', the_type, classification);
	END IF;
	PERFORM set_config('carillon.event_id', '', true);
	RETURN 'applied';
END $$;

-- ---- The source: what is due ----------------------------------------------------------------------------------------------

-- Those of a state whose time has come, for this transaction alone: another scheduler passes over them.
CREATE FUNCTION workflow_due(states text[], most bigint) RETURNS uuid[] LANGUAGE sql VOLATILE AS $$
	SELECT coalesce(array_agg(id), '{}') FROM (SELECT p.id FROM carillon.pending_calls p
		WHERE p.next_action_at <= now() AND p.workflow_state = ANY (states) AND p.workflow_state NOT IN ('completed', 'failed')
		ORDER BY p.next_action_at LIMIT most FOR NO KEY UPDATE SKIP LOCKED) d
$$;

-- Who has the number: a lead that is there already, else a new one whom the lead source leaves alone.
CREATE FUNCTION workflow_leads(ids uuid[]) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	INSERT INTO carillon.leads (tenant_id, phone, first_name, auto_follow_up)
	SELECT DISTINCT ON (p.tenant_id, p.phone_e164) p.tenant_id, p.phone_e164, p.clinic_name, false
	FROM carillon.pending_calls p
	WHERE p.id = ANY (ids) AND p.lead_id IS NULL AND p.phone_e164 IS NOT NULL
	AND NOT EXISTS (SELECT FROM carillon.leads l WHERE l.phone_e164 = p.phone_e164 AND l.tenant_id = p.tenant_id)
	ORDER BY p.tenant_id, p.phone_e164, p.created_at;
	UPDATE carillon.pending_calls p SET lead_id = (SELECT l.id FROM carillon.leads l WHERE l.phone_e164 = p.phone_e164 AND l.tenant_id = p.tenant_id
		ORDER BY l.id LIMIT 1)
	WHERE p.id = ANY (ids) AND p.lead_id IS NULL;
END $$;

-- checking_classification: is there one, and is it still good?
CREATE FUNCTION workflow_look_up(ids uuid[]) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	UPDATE carillon.pending_calls p SET workflow_state = a.next, state_reason = coalesce(c.classification_type, a.event),
		classification_id = c.id, classification_lookup_at = now()
	FROM carillon.pending_calls d
	LEFT JOIN carillon.call_classifications c ON c.phone_e164 = d.phone_e164 AND c.tenant_id = d.tenant_id AND c.is_active
		AND c.classification_expires_at > now()
	JOIN carillon.workflow_arrows a ON a.state = 'checking_classification'
		AND a.event = CASE WHEN c.id IS NULL THEN 'not_classified' ELSE 'classified' END
	WHERE d.id = ANY (ids) AND p.id = d.id AND p.workflow_state = 'checking_classification';
END $$;

-- needs_classification: one call for a number, whoever asks first. A number's classification calls are numbered: of two schedulers that
-- would make the same one, the second waits for the first and makes none; its pending calls join at the next look.
CREATE FUNCTION workflow_classify(ids uuid[]) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	made bigint;
BEGIN
	UPDATE carillon.pending_calls p SET next_action_at = now() + interval '1 minute', last_error = 'there is no account for classification calls'
	WHERE p.id = ANY (ids) AND NOT EXISTS (SELECT FROM carillon.accounts a WHERE a.name = carillon.workflow_setting('classify_account') AND a.tenant_id = p.tenant_id);
	-- Those that wait already, or are being classified: to be joined while nobody moves them.
	PERFORM FROM carillon.follow_ups f WHERE f.id IN (SELECT o.follow_up_id FROM carillon.pending_calls p JOIN carillon.pending_calls o
		ON o.phone_e164 = p.phone_e164 AND o.tenant_id = p.tenant_id AND o.workflow_state IN ('needs_classification', 'classifying')
		WHERE p.id = ANY (ids)) ORDER BY f.id FOR NO KEY UPDATE;
	-- Those whose number was classified since they were looked up go on by the same arrows, without a call.
	PERFORM carillon.workflow_move(ARRAY[k.id], 'dialed', 'classified meanwhile'), carillon.workflow_move(ARRAY[k.id],
		CASE k.classification_type WHEN 'human' THEN 'other_human' ELSE 'ivr' END, k.classification_type, k.classification)
	FROM (SELECT p.id, c.id AS classification, c.classification_type FROM carillon.pending_calls p JOIN carillon.call_classifications c
		ON c.phone_e164 = p.phone_e164 AND c.tenant_id = p.tenant_id AND c.is_active AND c.classification_expires_at > now()
		WHERE p.id = ANY (ids) AND p.follow_up_id IS NULL ORDER BY p.id) k;
	ids := ARRAY(SELECT p.id FROM carillon.pending_calls p WHERE p.id = ANY (ids) AND p.workflow_state = 'needs_classification');
	WITH wanted AS MATERIALIZED (
		SELECT DISTINCT ON (p.tenant_id, p.phone_e164) p.id, p.tenant_id, p.phone_e164, p.lead_id, n.id AS lane_id, a.id AS account_id
		FROM carillon.pending_calls p JOIN carillon.lanes n ON n.tenant_id = p.tenant_id AND n.name = 'workflow'
		JOIN carillon.accounts a ON a.name = carillon.workflow_setting('classify_account') AND a.tenant_id = p.tenant_id
		WHERE p.id = ANY (ids) AND NOT EXISTS (SELECT FROM carillon.pending_calls o WHERE o.phone_e164 = p.phone_e164 AND o.tenant_id = p.tenant_id
			AND o.workflow_state IN ('needs_classification', 'classifying') AND o.follow_up_id IS NOT NULL)
		ORDER BY p.tenant_id, p.phone_e164, p.created_at, p.id
	), queued AS (
		INSERT INTO carillon.follow_ups (tenant_id, lead_id, kind, lane_id, account_id, source, source_id, occurrence, due_at, next_look_at)
		SELECT w.tenant_id, w.lead_id, 'classify', w.lane_id, w.account_id, 'workflow', w.tenant_id || ' ' || w.phone_e164, (SELECT count(*)
			FROM carillon.follow_ups f WHERE f.source = 'workflow' AND f.source_id = w.tenant_id || ' ' || w.phone_e164)::text, now(), now()
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
		SELECT p.tenant_id, p.lead_id, 'task', n.id, 'workflow', p.id::text, (SELECT count(*) FROM carillon.workflow_calls w
			WHERE w.pending_call_id = p.id)::text, now(), now()
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

-- classifying: the call is over, and the classifier has said nothing since.
CREATE FUNCTION workflow_unclear(most bigint) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	the_follow_up bigint;
	moved bigint := 0;
BEGIN
	FOR the_follow_up IN
		SELECT f.id FROM carillon.follow_ups f JOIN carillon.calls c ON c.job_id = f.job_id
		WHERE f.id = ANY (ARRAY(SELECT DISTINCT p.follow_up_id FROM carillon.pending_calls p
			WHERE p.next_action_at <= now() AND p.workflow_state = 'classifying' AND p.follow_up_id IS NOT NULL LIMIT most))
		AND c.outcome IS NOT NULL FOR NO KEY UPDATE OF f SKIP LOCKED
	LOOP
		moved := moved + carillon.workflow_move(carillon.workflow_members(the_follow_up, '{classifying}'),
			CASE carillon.workflow_setting('unclear') WHEN 'retry' THEN 'attempt_failed' ELSE 'unclear' END, 'no classification');
	END LOOP;
	RETURN moved;
END $$;

-- One step: each event for all whose time has come for it. In this order, so that a new one whose number is known is in the queue after
-- one step. `looked` is the most that one of them took.
CREATE FUNCTION workflow_step(most bigint) RETURNS TABLE (seeded bigint, looked bigint, ids uuid[]) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	due uuid[];
BEGIN
	PERFORM carillon.workflow_unclear(most);
	ids := carillon.workflow_due('{classification_pending}', most);
	looked := cardinality(ids);
	PERFORM carillon.workflow_move(ids, 'waited');

	due := carillon.workflow_due('{retry_pending}', most);
	looked := greatest(looked, cardinality(due));
	ids := ids || due;
	PERFORM carillon.workflow_move(ARRAY(SELECT p.id FROM carillon.pending_calls p WHERE p.id = ANY (due) AND p.retry_count >= p.max_retries),
		'given_up', 'Max retries exceeded');
	UPDATE carillon.pending_calls p SET retry_count = p.retry_count + 1 WHERE p.id = ANY (due) AND p.workflow_state = 'retry_pending';
	PERFORM carillon.workflow_move(ARRAY(SELECT p.id FROM carillon.pending_calls p JOIN carillon.call_classifications c ON c.id = p.classification_id
		AND c.is_active AND c.classification_expires_at > now() AND c.phone_e164 = p.phone_e164 AND c.tenant_id = p.tenant_id
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
	members := CASE WHEN (p).follow_up_id IS NULL THEN ARRAY[(p).id] ELSE carillon.workflow_members((p).follow_up_id, '{classifying,calling}') END;
	SELECT k.* INTO c FROM carillon.follow_ups f JOIN carillon.calls k ON k.job_id = f.job_id WHERE f.id = (p).follow_up_id;
	IF c.status = 'undetermined' THEN
		moved := carillon.workflow_move(members, 'given_up', 'undetermined');
	ELSIF EXISTS (SELECT FROM carillon.live v WHERE v.job_id = c.job_id) THEN
		UPDATE carillon.live v SET next_check_at = least(v.next_check_at, now()) WHERE v.job_id = c.job_id AND v.state <> 'undetermined';
		UPDATE carillon.pending_calls m SET next_action_at = now() + interval '1 minute' WHERE m.id = ANY (members);
		asked := 1;
	ELSIF c.outcome IS NOT NULL AND (p).workflow_state = 'classifying' THEN   -- workflow_unclear's
		UPDATE carillon.pending_calls m SET next_action_at = now() WHERE m.id = ANY (members);
	ELSE
		moved := carillon.workflow_move(members, 'stuck', CASE WHEN c.job_id IS NULL THEN 'stuck: never dialed'
			WHEN c.status IN ('rejected', 'not_dialed') THEN 'stuck: not dialed' ELSE 'stuck: the call is over' END);
	END IF;
END $$;

CREATE FUNCTION workflow_sweep(most bigint) RETURNS TABLE (asked bigint, moved bigint) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	p carillon.pending_calls;
	done record;
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
	-- What waits for a follow-up that is none of the queue's, or for nothing at all.
	UPDATE carillon.pending_calls w SET next_action_at = now(), follow_up_id = NULL
	WHERE w.id = ANY (ARRAY(SELECT q.id FROM carillon.pending_calls q LEFT JOIN carillon.follow_ups f ON f.id = q.follow_up_id
		WHERE q.workflow_state IN ('new', 'checking_classification', 'needs_classification', 'classification_pending', 'ready_to_call', 'retry_pending')
		AND q.next_action_at IS NULL AND (f.id IS NULL OR f.status NOT IN ('pending', 'queued', 'dialing'))
		ORDER BY q.id LIMIT most FOR NO KEY UPDATE OF q SKIP LOCKED));
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
OR p.workflow_state NOT IN ('completed', 'failed', 'classification_failed', 'classifying', 'calling') AND p.next_action_at < now() - interval '1 hour';

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
	LEFT JOIN carillon.call_classifications c ON c.id = p.classification_id
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
		UPDATE carillon.pending_calls o SET next_action_at = now() WHERE o.id = p.id AND o.follow_up_id IS NULL AND o.workflow_state <> 'retry_pending';
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
GRANT SELECT, INSERT, UPDATE, DELETE ON pending_calls, call_classifications, workflow_calls, workflow_runs TO carillon_producer;
GRANT SELECT, UPDATE ON pending_calls, workflow_calls TO carillon_consumer;
GRANT SELECT, INSERT, UPDATE ON call_classifications TO carillon_consumer;
GRANT SELECT ON workflow_arrows TO carillon_producer, carillon_consumer, carillon_readonly;
GRANT SELECT ON pending_calls, call_classifications, workflow_calls, workflow_runs TO carillon_readonly;
GRANT SELECT ON scheduler_dashboard, stuck_calls, call_sessions, scheduler_runs TO carillon_producer, carillon_readonly;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA carillon TO carillon_producer, carillon_consumer, carillon_readonly;
