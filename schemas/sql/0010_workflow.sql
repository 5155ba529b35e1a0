-- SPDX-License-Identifier: Apache-2.0
-- Workflow calls: a pending call is looked up, its number classified if nobody has, and its task call made.
--
-- What moves a pending call is an event; where it moves is workflow_arrows' to say. On the way in each state sets what belongs to it
-- (pending_calls_enter), whoever changes it. The calls themselves are follow-ups of kind classify and task in the lane `workflow`, so
-- that all gates hold for them; a pending call is classifying or calling while its follow-up is dialed or the call is under way.

-- What the environment says (setup_workflow.sql); and live_minutes, the consumers' MAX_CALL_S and its grace, within which a call that
-- goes on alarms nobody.
INSERT INTO settings (key, value) VALUES ('workflow', '{"retry_minutes": 30, "wait_seconds": 30, "min_confidence": 0.6, "unclear": "fail",
	"ttl_days": 30, "stuck_minutes": 10, "live_minutes": 20, "classify_account": null}');

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
CREATE INDEX call_classifications_phone ON call_classifications (phone_e164, tenant_id);   -- those that count no more too, for lists
CREATE INDEX call_classifications_until ON call_classifications (least(classification_expires_at, CASE WHEN NOT is_active THEN updated_at END));

-- The newest one counts: it takes the place of the one before.
CREATE FUNCTION call_classifications_fill() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.phone_e164 := carillon.normalize_phone(NEW.phone_number);
	NEW.updated_at := now();
	IF NEW.is_active THEN   -- one after the other, or both would be
		PERFORM pg_advisory_xact_lock(hashtextextended(NEW.tenant_id || ' ' || coalesce(NEW.phone_e164, ''), 0));
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
	callback_at              timestamptz,           -- of a retry that the person asked for
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
CREATE INDEX pending_calls_phone ON pending_calls (phone_e164, tenant_id);
-- Where workflow_sweep looks for what waits for nothing.
CREATE INDEX pending_calls_waiting ON pending_calls (id) WHERE next_action_at IS NULL
	AND workflow_state IN ('new', 'checking_classification', 'needs_classification', 'classification_pending', 'ready_to_call', 'retry_pending');
CREATE INDEX pending_calls_state ON pending_calls (workflow_state, state_since) INCLUDE (next_action_at, retry_count);
CREATE INDEX pending_calls_lead ON pending_calls (lead_id);
CREATE INDEX pending_calls_classification ON pending_calls (classification_id) WHERE classification_id IS NOT NULL;

-- For which pending call a follow-up speaks. A classification call serves all of its number, and is made with the data of one.
CREATE TABLE workflow_calls (
	follow_up_id    bigint PRIMARY KEY REFERENCES follow_ups ON DELETE CASCADE,
	pending_call_id uuid NOT NULL REFERENCES pending_calls ON DELETE CASCADE
);
CREATE INDEX workflow_calls_pending_call ON workflow_calls (pending_call_id);

-- Twice as long with each retry, a little apart from other numbers' and within the lane's hours: those of one number stay together, for
-- they share a classification call. One that has used up its retries need not wait.
CREATE FUNCTION workflow_retry_at(p pending_calls) RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
	SELECT CASE WHEN (p).retry_count >= (p).max_retries THEN now()
		ELSE coalesce(carillon.next_opening(b.at, (SELECT id FROM carillon.lanes n WHERE n.tenant_id = (p).tenant_id AND n.name = 'workflow'),
			'{}', NULL, NULL), b.at) END
	FROM (SELECT now() + carillon.workflow_setting('retry_minutes')::double precision * 2 ^ least((p).retry_count, 10)
		* (1 + (hashtext(concat_ws(' ', coalesce((p).phone_e164, (p).id::text), (p).retry_count)) & 1023) / 10240.0::double precision)
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
	IF NEW.phone_e164 IS DISTINCT FROM OLD.phone_e164 THEN   -- what is known of the number before says nothing of this one
		NEW.lead_id := NULL;
		NEW.classification_id := NULL;
		IF NEW.workflow_state IN ('needs_classification', 'ready_to_call') THEN
			NEW.follow_up_id := NULL;   -- it would ring that one
		END IF;
	END IF;
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
	NEW.callback_at := NULL;
	CASE NEW.workflow_state
	WHEN 'checking_classification' THEN
		NEW.classification_lookup_at := now();
		NEW.failed_at := NULL;
		NEW.failure_reason := NULL;
	WHEN 'classification_pending' THEN
		NEW.ivr_classified_at := now();
	WHEN 'classifying', 'calling' THEN
		IF OLD.workflow_state <> 'classifying' THEN   -- else it is the same call still
			NEW.last_attempt_at := now();
		END IF;
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
CREATE TRIGGER pending_calls_left AFTER UPDATE OF workflow_state, follow_up_id, phone ON pending_calls FOR EACH ROW
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
	heir uuid;
BEGIN
	IF members <> '{}' THEN
		PERFORM set_config('carillon.actor', 'dispatch', true);
		IF NEW.status = 'dialing' OR NEW.status = 'cancelled' AND NEW.reason = 'call_found' THEN
			PERFORM carillon.workflow_move(members, 'dialed');
		ELSIF NEW.status = 'pending' AND OLD.status = 'undetermined' THEN   -- an operator: nothing was dialed
			PERFORM carillon.workflow_move(members, 'replayed', 'an operator: nothing was dialed');
		ELSIF NEW.status = 'pending' AND OLD.status = 'dialing' THEN
			PERFORM carillon.workflow_move(members, CASE WHEN NEW.attempts > OLD.attempts THEN 'attempt_failed' ELSE 'not_dialed' END,
				coalesce(NEW.last_error, 'not dialed'));
		ELSIF NEW.status IN ('skipped', 'failed', 'undetermined') OR NEW.status = 'cancelled' AND NEW.reason IS DISTINCT FROM 'workflow' THEN
			PERFORM carillon.workflow_move(members, 'given_up', CASE NEW.reason WHEN 'operator' THEN 'cancelled' ELSE coalesce(NEW.reason, NEW.status) END);
		END IF;
	END IF;
	-- Not dialed after all, and those that it was for may have left it meanwhile, called off or begun anew.
	IF NEW.status = 'pending' AND OLD.status IN ('dialing', 'undetermined') THEN
		heir := (SELECT p.id FROM carillon.pending_calls p WHERE p.follow_up_id = NEW.id AND p.workflow_state IN ('needs_classification', 'ready_to_call')
			ORDER BY p.created_at, p.id LIMIT 1);
		UPDATE carillon.follow_ups f SET status = 'cancelled', reason = 'workflow', gate = NULL, next_look_at = NULL, lease_until = NULL
		WHERE heir IS NULL AND f.id = NEW.id AND f.status = 'pending';
		UPDATE carillon.workflow_calls w SET pending_call_id = heir WHERE heir IS NOT NULL AND w.follow_up_id = NEW.id
		AND NOT EXISTS (SELECT FROM carillon.pending_calls p WHERE p.id = w.pending_call_id AND p.follow_up_id = NEW.id);
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER workflow_follow_up_moved AFTER UPDATE OF status ON follow_ups FOR EACH ROW
	WHEN (NEW.source = 'workflow' AND OLD.status <> NEW.status) EXECUTE FUNCTION workflow_follow_up_moved();

-- A call that was given up, or whose pending call has begun anew, is alive after all: it is the call of those that wait for another
-- like it, which is not made (pending_calls_leave). A classification call of which nobody could say who answered is nobody's any more.
CREATE FUNCTION workflow_revive(the_follow_up bigint, job uuid) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	f carillon.follow_ups;
	c carillon.calls;
	ids uuid[];
BEGIN
	SELECT * INTO f FROM carillon.follow_ups o WHERE o.id = the_follow_up AND o.source = 'workflow';
	IF NOT FOUND THEN
		RETURN;
	END IF;
	ids := ARRAY(SELECT p.id FROM carillon.pending_calls p WHERE p.id = carillon.query_uuid(f.source_id) AND p.workflow_state = 'ready_to_call'
		UNION ALL
		SELECT p.id FROM carillon.calls k JOIN carillon.pending_calls p ON p.phone_e164 = k.phone AND p.tenant_id = k.tenant_id
		WHERE k.job_id = job AND k.kind = 'classify' AND p.workflow_state = 'needs_classification');
	PERFORM FROM carillon.follow_ups o WHERE o.id = f.id OR o.id IN (SELECT p.follow_up_id FROM carillon.pending_calls p WHERE p.id = ANY (ids))
		ORDER BY o.id FOR NO KEY UPDATE;
	-- Nobody moves the call now: it may have had its word, or its end, since it was found.
	SELECT * INTO c FROM carillon.calls k WHERE k.job_id = job;
	IF EXISTS (SELECT FROM carillon.pending_calls o WHERE c.kind = 'classify' AND o.phone_e164 = c.phone AND o.tenant_id = c.tenant_id
		AND o.workflow_metadata ->> 'classification_job_id' = job::text) THEN
		RETURN;
	END IF;
	UPDATE carillon.follow_ups o SET job_id = job WHERE o.id = f.id AND o.job_id IS DISTINCT FROM job;   -- it may have had a later one
	ids := ARRAY(SELECT p.id FROM carillon.pending_calls p LEFT JOIN carillon.follow_ups o ON o.id = p.follow_up_id WHERE p.id = ANY (ids)
		AND p.workflow_state IN ('ready_to_call', 'needs_classification') AND p.follow_up_id IS DISTINCT FROM f.id
		AND (o.id IS NULL OR o.status IN ('pending', 'queued')) ORDER BY p.id FOR NO KEY UPDATE OF p);
	UPDATE carillon.pending_calls p SET follow_up_id = f.id, next_action_at = NULL WHERE p.id = ANY (ids);
	PERFORM carillon.workflow_move(ids, 'dialed');
	IF c.outcome IS NOT NULL THEN
		PERFORM carillon.workflow_call_over(c, ids);
	END IF;
END $$;

CREATE FUNCTION workflow_call_found() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('carillon.actor', 'recorder', true);
	PERFORM carillon.workflow_revive(NEW.follow_up_id, NEW.job_id);
	RETURN NULL;
END $$;
CREATE TRIGGER workflow_call_found AFTER INSERT ON live FOR EACH ROW
	WHEN (NEW.state <> 'dialing') EXECUTE FUNCTION workflow_call_found();   -- a claim's is dialing

-- A lead has another number now: calls of the one before that wait in the queue would ring it.
CREATE FUNCTION workflow_lead_renumbered() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	waiting bigint[] := ARRAY(SELECT f.id FROM carillon.follow_ups f WHERE f.lead_id = NEW.id AND f.source = 'workflow' AND f.status IN ('pending', 'queued')
		ORDER BY f.id FOR NO KEY UPDATE);
BEGIN
	UPDATE carillon.pending_calls p SET follow_up_id = NULL
	WHERE p.id = ANY (ARRAY(SELECT o.id FROM carillon.pending_calls o WHERE o.follow_up_id = ANY (waiting)
		AND o.workflow_state IN ('needs_classification', 'ready_to_call') AND o.phone_e164 IS DISTINCT FROM NEW.phone_e164
		ORDER BY o.id FOR NO KEY UPDATE));
	IF FOUND THEN
		PERFORM pg_notify('carillon_due', '');
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER workflow_lead_renumbered AFTER UPDATE ON leads FOR EACH ROW
	WHEN (OLD.phone_e164 IS DISTINCT FROM NEW.phone_e164) EXECUTE FUNCTION workflow_lead_renumbered();

-- Did the conversation do what it was for? The provider's own evaluation wins. Of a classification call that became the conversation
-- it is enough that it came to its end.
CREATE FUNCTION workflow_succeeded(c calls) RETURNS boolean LANGUAGE sql STABLE AS $$
	SELECT coalesce((c).success, CASE (c).kind WHEN 'classify' THEN (c).status = 'completed'
		ELSE carillon.call_succeeded((c).tenant_id, (c).outcome, NULL, (c).callback_at) END)
$$;

-- Those that shared a classification call share the next one too, however many they have behind them: all come back with the first.
CREATE FUNCTION workflow_together(members uuid[]) RETURNS void LANGUAGE sql VOLATILE AS $$
	UPDATE carillon.pending_calls p SET next_action_at = d.first FROM (SELECT min(o.next_action_at) AS first FROM carillon.pending_calls o
		WHERE o.id = ANY (members) AND o.workflow_state = 'retry_pending' AND o.retry_count < o.max_retries AND o.callback_at IS NULL) d
	WHERE p.id = ANY (members) AND p.workflow_state = 'retry_pending' AND p.retry_count < p.max_retries AND p.callback_at IS NULL
	AND p.next_action_at > d.first
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
			IF (c).kind = 'classify' THEN
				PERFORM carillon.workflow_together(members);
			END IF;
			UPDATE carillon.pending_calls p SET next_action_at = callback, callback_at = callback
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
	IF OLD.status IN ('not_dialed', 'undetermined') AND NEW.resolution IS DISTINCT FROM 'close' THEN   -- found, and over already
		PERFORM carillon.workflow_revive(NEW.follow_up_id, NEW.job_id);
	END IF;
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
	IF (c).outcome IS NOT NULL AND (c).callback_at IS NULL AND carillon.workflow_succeeded(c) THEN
		PERFORM carillon.workflow_move(ARRAY[speaks_for], 'human_done', lower((c).outcome), classification);
	ELSE
		PERFORM carillon.workflow_move(ARRAY[speaks_for], 'human', CASE WHEN (c).outcome IS NULL THEN 'human' ELSE 'a person answered' END, classification);
		IF (c).outcome IS NOT NULL THEN
			PERFORM carillon.workflow_call_over(c, ARRAY[speaks_for]);
		END IF;
	END IF;
END $$;

-- Those that wait for their number's classification call need none any more, whoever knows who answers. One that a scheduler has in
-- hand is left to it, for it looks for itself; and one whose call a dispatcher has in hand is dialed.
CREATE FUNCTION call_classifications_known() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	waiting bigint[] := ARRAY(SELECT f.id FROM carillon.follow_ups f WHERE f.id IN (SELECT o.follow_up_id FROM carillon.pending_calls o
		WHERE o.phone_e164 = NEW.phone_e164 AND o.tenant_id = NEW.tenant_id AND o.workflow_state = 'needs_classification')
		ORDER BY f.id FOR NO KEY UPDATE SKIP LOCKED);
BEGIN
	UPDATE carillon.pending_calls p SET follow_up_id = NULL, next_action_at = now()
	WHERE p.id = ANY (ARRAY(SELECT o.id FROM carillon.pending_calls o WHERE o.phone_e164 = NEW.phone_e164 AND o.tenant_id = NEW.tenant_id
		AND o.workflow_state = 'needs_classification' AND (o.follow_up_id IS NULL OR o.follow_up_id = ANY (waiting))
		ORDER BY o.id FOR NO KEY UPDATE SKIP LOCKED));
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
		classification := carillon.classification_put(the_tenant, e164, the_type, CASE WHEN confidence IS NOT NULL THEN least(greatest(confidence, 0), 1) END, nullif(detail -> 'menu_path', 'null'), by_whom, c.job_id);
	END IF;
	members := carillon.workflow_members(the_follow_up, '{classifying}');
	UPDATE carillon.pending_calls p SET workflow_metadata = p.workflow_metadata || jsonb_strip_nulls(jsonb_build_object(
		'classification_completed_at', now(), 'classification_type', the_type, 'confidence', confidence, 'classification_job_id', c.job_id))
	WHERE p.id = ANY (members);
	IF NOT sure THEN
		PERFORM carillon.workflow_move(members, CASE carillon.workflow_setting('unclear') WHEN 'retry' THEN 'attempt_failed' ELSE 'unclear' END,
			CASE WHEN the_type IN ('human', 'ivr_only', 'ivr_then_human') THEN 'low confidence' ELSE 'classification unknown' END);
		PERFORM carillon.workflow_together(members);
	ELSIF the_type = 'human' THEN
		PERFORM carillon.workflow_human(members, CASE WHEN pending.id = ANY (members) THEN pending.id
			ELSE (SELECT w.pending_call_id FROM carillon.workflow_calls w WHERE w.follow_up_id = the_follow_up) END, c, classification);
	ELSE
		PERFORM carillon.workflow_move(members, 'ivr', the_type, classification);
	END IF;
	PERFORM set_config('carillon.event_id', '', true);
	RETURN 'applied';
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA carillon FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON pending_calls, call_classifications, workflow_calls TO carillon_producer;
GRANT SELECT, UPDATE ON pending_calls, workflow_calls TO carillon_consumer;
GRANT SELECT, INSERT, UPDATE ON call_classifications TO carillon_consumer;
GRANT SELECT ON workflow_arrows TO carillon_producer, carillon_consumer, carillon_readonly;
GRANT SELECT ON pending_calls, call_classifications, workflow_calls TO carillon_readonly;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA carillon TO carillon_producer, carillon_consumer, carillon_readonly;
