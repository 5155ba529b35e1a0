-- SPDX-License-Identifier: Apache-2.0
-- Workflow calls: which arrows there are, what takes them, and that nothing else does.
BEGIN;
\ir lib/fixture.psql
\set file producer/sql/seed_workflow.sql
\ir lib/prepare.psql
\set file producer/sql/workflow_sweep.sql
\ir lib/prepare.psql
\set file producer/sql/setup_workflow.sql
\ir lib/prepare.psql
\set file consumer/sql/claim_jobs.sql
\ir lib/prepare.psql
\set file consumer/sql/workflow_apply.sql
\ir lib/prepare.psql
\set file consumer/sql/mark_undetermined.sql
\ir lib/prepare.psql
\set file common/sql/apply_results.sql
\ir lib/prepare.psql
\set file producer/api/sql/follow_up_cancel.sql
\ir lib/prepare.psql
SELECT * FROM no_plan();

UPDATE settings SET value = value || '{"classify_account": "fx-two"}' WHERE key = 'workflow';
SELECT fx.lane('workflow') AS lane \gset

-- ---- What the tests do -------------------------------------------------------------------------------------------------

CREATE FUNCTION fx.pending(the_phone text DEFAULT fx.phone(), the_state text DEFAULT 'new') RETURNS uuid LANGUAGE sql AS $$
	INSERT INTO carillon.pending_calls (tenant_id, phone, exam_id, employee_name, clinic_name, workflow_state)
	VALUES ('fx', the_phone, 'EX-1', 'Ada Lovelace', 'Clinic', the_state) RETURNING id
$$;
CREATE FUNCTION fx.known(the_phone text, the_type text DEFAULT 'ivr_only') RETURNS uuid LANGUAGE sql AS $$
	SELECT carillon.classification_put('fx', the_phone, the_type, 0.9, '["1"]', 'test', NULL)
$$;
-- A pass of the producer's source.
CREATE FUNCTION fx.run() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	answer record;
BEGIN
	SET LOCAL ROLE carillon_producer;
	EXECUTE 'EXECUTE seed_workflow(1000)' INTO answer;
	RESET ROLE;
	IF answer.error IS NOT NULL THEN
		RAISE EXCEPTION '%', answer.error;
	END IF;
	RETURN answer.seeded;
END $$;
CREATE FUNCTION fx.sweep() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer record;
BEGIN
	SET LOCAL ROLE carillon_producer;
	EXECUTE 'EXECUTE workflow_sweep(1000)' INTO answer;
	RESET ROLE;
	RETURN format('asked %s, moved %s', answer.asked, answer.moved);
END $$;
-- Time passes for a pending call.
CREATE FUNCTION fx.later(the_call uuid, wait interval) RETURNS void LANGUAGE sql AS $$
	UPDATE carillon.pending_calls SET next_action_at = next_action_at - wait, state_since = state_since - wait WHERE id = the_call
$$;
CREATE FUNCTION fx.follow_up_of(the_call uuid) RETURNS bigint LANGUAGE sql AS $$
	SELECT follow_up_id FROM carillon.pending_calls WHERE id = the_call
$$;
-- A dispatcher takes its job. Answers with the verdict.
CREATE FUNCTION fx.dial(the_call uuid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	f bigint := fx.follow_up_of(the_call);
	job uuid := fx.queued(f);
	verdict record;
BEGIN
	SET LOCAL ROLE carillon_consumer;
	EXECUTE format('EXECUTE claim_jobs(%L, %L, ''w/1'', 60, 85, ''{}'', ''{}'')', ARRAY[job], ARRAY[f]) INTO verdict;
	RESET ROLE;
	RETURN concat_ws(' ', verdict.verdict, verdict.gate);
END $$;
CREATE FUNCTION fx.job(the_call uuid) RETURNS uuid LANGUAGE sql AS $$
	SELECT c.job_id FROM carillon.workflow_calls w JOIN carillon.calls c USING (follow_up_id) WHERE w.pending_call_id = the_call
	ORDER BY w.follow_up_id DESC, c.job_id DESC LIMIT 1
$$;
CREATE FUNCTION fx.result(job uuid, the_result text, refusal text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL ROLE carillon_consumer;
	EXECUTE format('EXECUTE apply_results(%L, %L, %L, %L, ''{200}'', ''{said so}'', %L, %L, ''{null}'', 60, 3600, 1200, 5)', ARRAY[job], ARRAY[the_result],
		ARRAY[refusal], ARRAY['call-' || job], ARRAY[carillon.to_ms(now())], ARRAY[carillon.to_ms(now())]);
	RESET ROLE;
END $$;
CREATE FUNCTION fx.ended(job uuid, the_outcome text, succeeded boolean DEFAULT NULL, callback timestamptz DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL ROLE carillon_consumer;
	UPDATE carillon.calls SET status = CASE WHEN carillon.outcome_is_failure(the_outcome) THEN 'failed' ELSE 'completed' END, outcome = the_outcome,
		success = succeeded, callback_at = callback, ended_at = now() WHERE job_id = job;
	DELETE FROM carillon.live WHERE job_id = job;
	RESET ROLE;
END $$;
-- A call of it is made and taken.
CREATE FUNCTION fx.called(the_call uuid) RETURNS uuid LANGUAGE plpgsql AS $$
BEGIN
	IF fx.dial(the_call) <> 'dial' THEN
		RAISE EXCEPTION 'not dialed: %', fx.state(fx.follow_up_of(the_call));
	END IF;
	PERFORM fx.result(fx.job(the_call), 'accepted');
	RETURN fx.job(the_call);
END $$;
-- A classifier's message comes to the recorder.
CREATE SEQUENCE fx.events;
GRANT USAGE ON SEQUENCE fx.events TO PUBLIC;
CREATE FUNCTION fx.said(the_type text, job uuid DEFAULT NULL, the_call text DEFAULT NULL, the_phone text DEFAULT NULL, confidence text DEFAULT '0.9',
	the_event text DEFAULT 'event-' || nextval('fx.events'), sid text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL ROLE carillon_consumer;
	INSERT INTO carillon.call_events (message, account, event_id, tenant_id, job_id, phone, provider_call_id, body)
	VALUES ('stage', '', the_event, 'fx', job, the_phone, sid, jsonb_strip_nulls(jsonb_build_object('entity', 'pending_call', 'id', the_call, 'to', the_type,
		'reason', 'classified', 'detail', format('{"classification": "%s", "confidence": %s, "menu_path": ["1", "3"]}', the_type, confidence))))
	ON CONFLICT DO NOTHING;
	EXECUTE format('EXECUTE workflow_apply(''{""}'', %L, false)', ARRAY[the_event]);
	RESET ROLE;
	RETURN (SELECT e.state FROM carillon.call_events e WHERE e.event_id = the_event);
END $$;
CREATE FUNCTION fx.at(the_call uuid) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(': ', workflow_state, state_reason) FROM carillon.pending_calls WHERE id = the_call
$$;
-- One that is being classified by a call that is under way.
CREATE FUNCTION fx.classifying(the_phone text DEFAULT fx.phone()) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
	p uuid := fx.pending(the_phone);
BEGIN
	PERFORM fx.run(), fx.called(p);
	RETURN p;
END $$;
-- One whose task call is under way.
CREATE FUNCTION fx.calling(the_phone text DEFAULT fx.phone()) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
	p uuid;
BEGIN
	PERFORM fx.known(the_phone);
	p := fx.pending(the_phone);
	PERFORM fx.run(), fx.called(p);
	RETURN p;
END $$;

-- ---- The arrows --------------------------------------------------------------------------------------------------------

CREATE TEMP TABLE c_arrows (state text, event text, next text, action text, comment text);
\set rows `sed -n 's/^ARROW_ROW("\(.*\)")$/\1/p' $CARILLON_ROOT/common/tbl/workflow_arrow.h`
INSERT INTO c_arrows SELECT p[1], p[2], p[3], p[4], p[5] FROM string_to_table(:'rows', E'\n') line, string_to_array(line, '", "') p;
SELECT results_eq('SELECT state, event, next, action, comment FROM workflow_arrows ORDER BY 1, 2', 'SELECT * FROM c_arrows ORDER BY 1, 2', 'the arrows are those of workflow_arrow.h');

-- The guide's diagram and code, and what was added to them.
CREATE TEMP TABLE wanted (state, next) AS VALUES
	('new', 'checking_classification'), ('checking_classification', 'needs_classification'), ('checking_classification', 'ready_to_call'),
	('needs_classification', 'classifying'), ('classifying', 'classification_pending'), ('classifying', 'calling'), ('classifying', 'completed'),
	('classification_pending', 'ready_to_call'), ('ready_to_call', 'calling'), ('calling', 'completed'), ('calling', 'retry_pending'),
	('retry_pending', 'ready_to_call'), ('retry_pending', 'failed'), ('new', 'failed'),
	('checking_classification', 'failed'), ('needs_classification', 'failed'), ('classifying', 'failed'), ('classification_pending', 'failed'),
	('ready_to_call', 'failed'), ('calling', 'failed'), ('classification_failed', 'failed'),
	('classifying', 'classification_failed'), ('classifying', 'retry_pending'), ('classifying', 'needs_classification'),
	('calling', 'ready_to_call'), ('retry_pending', 'checking_classification'), ('classification_failed', 'checking_classification'),
	('failed', 'checking_classification');
SELECT set_eq('SELECT DISTINCT state, next FROM workflow_arrows', 'SELECT * FROM wanted', 'and lead where the guide has them lead');
SELECT is_empty($$SELECT event FROM workflow_arrows GROUP BY event, state HAVING count(DISTINCT next) > 1$$, 'an event leads from a state to one other');

CREATE TEMP TABLE states AS SELECT unnest('{new,checking_classification,needs_classification,classifying,classification_pending,ready_to_call,calling,retry_pending,completed,failed,classification_failed}'::text[]) AS state;
CREATE FUNCTION fx.try(from_state text, to_state text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	p uuid := fx.pending('+12125550199', from_state);
	answer text := 'moves';
BEGIN
	BEGIN
		UPDATE carillon.pending_calls SET workflow_state = to_state WHERE id = p;
		IF NOT EXISTS (SELECT FROM carillon.transitions WHERE entity = 'pending_call' AND entity_id = p::text AND transitions.from_state = try.from_state
			AND transitions.to_state = try.to_state AND actor = session_user) THEN
			answer := 'is not noted';
		END IF;
	EXCEPTION WHEN check_violation THEN
		GET STACKED DIAGNOSTICS answer = MESSAGE_TEXT;
		answer := replace(answer, p::text, 'ID');
	END;
	DELETE FROM carillon.pending_calls WHERE id = p;
	RETURN answer;
END $$;
SELECT is(fx.try(a.state, b.state), CASE WHEN EXISTS (SELECT FROM wanted w WHERE (w.state, w.next) = (a.state, b.state)) THEN 'moves'
	ELSE format('pending call ID: there is no arrow %s -> %s', a.state, b.state) END, a.state || ' -> ' || b.state)
FROM states a, states b WHERE a.state <> b.state;
SELECT throws_like(format('UPDATE pending_calls SET workflow_state = ''dreaming'' WHERE id = %L', fx.pending()), '%no arrow new -> dreaming%', 'no other state');
SELECT throws_ok('INSERT INTO pending_calls (workflow_state) VALUES (''dreaming'')', '23514', NULL, 'neither for a new one');

-- The guide's test row, and what it watches.
INSERT INTO pending_calls (id, exam_id, employee_name, employee_dob, phone, clinic_name, appointment_time, workflow_state, next_action_at)
VALUES (gen_random_uuid(), 'TEST-001', 'Test Patient', '1990-01-01', '+12125550198', 'Test Clinic', NOW() + INTERVAL '1 day', 'new', NOW());
SELECT results_eq($$SELECT tenant_id, workflow_state, retry_count, max_retries, version, phone_e164 FROM pending_calls WHERE exam_id = 'TEST-001'$$,
	$$VALUES ('default', 'new', 0, 3, 1, '+12125550198')$$, 'the guide''s row');
UPDATE pending_calls SET workflow_state = 'checking_classification', classification_lookup_at = now() WHERE exam_id = 'TEST-001';
UPDATE pending_calls SET workflow_state = 'ready_to_call', next_action_at = now() WHERE exam_id = 'TEST-001';
UPDATE pending_calls SET workflow_state = 'calling', last_attempt_at = now() WHERE exam_id = 'TEST-001';
UPDATE pending_calls SET workflow_state = 'retry_pending', next_action_at = now() + interval '30 minutes' WHERE exam_id = 'TEST-001';
SELECT results_eq($$SELECT workflow_state, version, next_action_at FROM pending_calls WHERE exam_id = 'TEST-001'$$,
	$$VALUES ('retry_pending', 5, now() + interval '30 minutes')$$, 'the guide''s updates work as they are, each is a version');
SELECT results_eq($$SELECT from_state, to_state FROM transitions t JOIN pending_calls p ON p.id::text = t.entity_id WHERE p.exam_id = 'TEST-001' ORDER BY t.id$$,
	$$VALUES (NULL, 'new'), ('new', 'checking_classification'), ('checking_classification', 'ready_to_call'), ('ready_to_call', 'calling'), ('calling', 'retry_pending')$$,
	'and each is kept');
SELECT is_empty($$UPDATE pending_calls SET workflow_state = 'failed' WHERE exam_id = 'TEST-001' AND version = 4 RETURNING 1$$, 'who is late by version changes nothing');
DELETE FROM pending_calls WHERE exam_id = 'TEST-001';

DELETE FROM pending_calls;

-- ---- A known number: task call at once -----------------------------------------------------------------------------------

SELECT fx.phone() AS phone \gset
SELECT fx.known(:'phone') AS classification \gset
SELECT fx.pending(:'phone') AS p \gset
SELECT is(fx.run(), 1::bigint, 'one call is queued');
SELECT is(fx.at(:'p'), 'ready_to_call: ivr_only', 'a number that is known needs no classification');
SELECT results_eq(format('SELECT from_state, to_state, reason, actor FROM transitions WHERE entity_id = %L AND from_state IS NOT NULL ORDER BY id', :'p'),
	$$VALUES ('new', 'checking_classification', 'begun', 'workflow'), ('checking_classification', 'ready_to_call', 'ivr_only', 'workflow')$$, 'with its two steps');
SELECT results_eq(format('SELECT f.kind, f.status, f.source, f.lane_id, f.account_id, l.phone, l.auto_follow_up FROM follow_ups f JOIN leads l ON l.id = f.lead_id WHERE f.id = %s',
	fx.follow_up_of(:'p')), format('VALUES (''task'', ''pending'', ''workflow'', %s::bigint, NULL::bigint, %L, false)', :lane, :'phone'),
	'the task call waits in the lane; whoever has the number is a lead that nobody else calls');
SELECT is(fx.run(), 0::bigint, 'no second one');
SELECT is(fx.dial(:'p'), 'dial', 'it is dialed');
SELECT is(fx.at(:'p'), 'calling: dialed', 'then it is calling');
SELECT fx.job(:'p') AS job \gset
SELECT fx.result(:'job', 'accepted');
SELECT is(fx.at(:'p'), 'calling: dialed', 'accepted: it goes on');
SELECT fx.ended(:'job', 'HUMAN', true);
SELECT is(fx.at(:'p'), 'completed: human', 'success completes it');
SELECT results_eq(format('SELECT next_action_at, follow_up_id, retry_count FROM pending_calls WHERE id = %L', :'p'), 'VALUES (NULL::timestamptz, NULL::bigint, 0)', 'nothing is left to do');
SELECT results_eq(format('SELECT kind, outcome, status, pending_call_id FROM call_sessions WHERE pending_call_id = %L', :'p'),
	format('VALUES (''task'', ''HUMAN'', ''completed'', %L::uuid)', :'p'), 'call_sessions shows its call');
SELECT results_eq(format('SELECT v - ''pending_call_id'' FROM workflow_variables((SELECT follow_up_id FROM workflow_calls WHERE pending_call_id = %L)) v', :'p'),
	$$VALUES ('{"exam_id": "EX-1", "employee_name": "Ada Lovelace", "clinic_name": "Clinic", "retry_count": 0, "classification_type": "ivr_only",
		"classification_confidence": 0.9, "menu_path": "[\"1\"]"}'::jsonb)$$, 'the call is told of its pending call and of the classification');

SELECT fx.pending(:'phone') AS p \gset
UPDATE call_classifications SET classification_expires_at = now() WHERE phone_e164 = :'phone';
SELECT fx.run();
SELECT is(fx.at(:'p'), 'needs_classification: not_classified', 'one that has expired is none');
SELECT fx.phone() AS phone \gset
SELECT fx.known(:'phone');
UPDATE call_classifications SET is_active = false WHERE phone_e164 = :'phone';
SELECT fx.pending(:'phone') AS p \gset
SELECT fx.run();
SELECT is(fx.at(:'p'), 'needs_classification: not_classified', 'one that is not active is none');
INSERT INTO call_classifications (tenant_id, phone_number, classification_type) VALUES ('other', :'phone', 'human');
SELECT fx.pending(:'phone') AS q \gset
SELECT fx.run();
SELECT is(fx.at(:'q'), 'needs_classification: not_classified', 'another tenant''s is none');
INSERT INTO call_classifications (tenant_id, phone_number, classification_type) VALUES ('fx', '212-555-0197', 'human'), ('fx', '(212) 555 0197', 'ivr_only');
SELECT fx.pending('+1 212 5550197') AS p \gset
SELECT fx.run();
SELECT is(fx.at(:'p'), 'ready_to_call: ivr_only', 'numbers are compared as numbers, and the newest classification counts');

SELECT fx.pending(NULL) AS p \gset
SELECT fx.run();
SELECT results_eq(format('SELECT workflow_state, failure_reason, failed_at, last_error, next_action_at FROM pending_calls WHERE id = %L', :'p'),
	$$VALUES ('failed', 'number', now(), 'number', NULL::timestamptz)$$, 'without a number it fails, and says so');
SELECT fx.pending('+19005550100') AS p \gset
SELECT fx.run();
SELECT is(fx.at(:'p'), 'failed: number', 'as with one that is never dialed');

-- ---- Retries ---------------------------------------------------------------------------------------------------------------

SELECT fx.calling() AS p \gset
SELECT fx.ended(fx.job(:'p'), 'NO_ANSWER', false);
SELECT is(fx.at(:'p'), 'retry_pending: no_answer', 'without success it is tried again');
SELECT ok(next_action_at BETWEEN now() + interval '30 minutes' AND now() + interval '33 minutes', 'in half an hour') FROM pending_calls WHERE id = :'p';
SELECT fx.run();
SELECT is(fx.at(:'p'), 'retry_pending: no_answer', 'not before');
SELECT fx.later(:'p', '34 minutes');
SELECT fx.run();
SELECT is(fx.at(:'p'), 'ready_to_call: retried', 'its time comes');
SELECT is(retry_count, 1, 'the first retry') FROM pending_calls WHERE id = :'p';
SELECT fx.called(:'p');
SELECT fx.ended(fx.job(:'p'), 'VOICEMAIL', false);
SELECT ok(next_action_at BETWEEN now() + interval '60 minutes' AND now() + interval '66 minutes', 'then in an hour') FROM pending_calls WHERE id = :'p';
SELECT fx.later(:'p', '67 minutes');
SELECT fx.run();
SELECT fx.called(:'p');
SELECT fx.ended(fx.job(:'p'), 'HUMAN', true);
SELECT is(fx.at(:'p'), 'completed: human', 'retried to success');
SELECT is(count(*), 3::bigint, 'with three calls') FROM call_sessions WHERE pending_call_id = :'p';

SELECT fx.calling() AS p \gset
UPDATE pending_calls SET max_retries = 1 WHERE id = :'p';
SELECT fx.ended(fx.job(:'p'), 'BUSY');
SELECT fx.later(:'p', '1 hour');
SELECT fx.run();
SELECT fx.called(:'p');
SELECT fx.ended(fx.job(:'p'), 'BUSY');
SELECT is(fx.at(:'p'), 'retry_pending: busy', 'the last one');
SELECT fx.run();
SELECT results_eq(format('SELECT workflow_state, failure_reason, last_error, failed_at, retry_count FROM pending_calls WHERE id = %L', :'p'),
	$$VALUES ('failed', 'Max retries exceeded', 'Max retries exceeded', now(), 1)$$, 'then it fails at once: retries are exhausted');
UPDATE pending_calls SET workflow_state = 'checking_classification', retry_count = 0 WHERE id = :'p';
SELECT fx.run();
SELECT results_eq(format('SELECT workflow_state, failure_reason, failed_at FROM pending_calls WHERE id = %L', :'p'),
	$$VALUES ('ready_to_call', NULL, NULL::timestamptz)$$, 'one that failed can be replayed');

SELECT fx.calling() AS p \gset
SELECT fx.ended(fx.job(:'p'), 'DO_NOT_CALL', false);
SELECT is(fx.at(:'p'), 'failed: do_not_call', 'who asks not to be called is not called again');
SELECT fx.calling() AS p \gset
SELECT fx.ended(fx.job(:'p'), 'CALLBACK', NULL, now() + interval '3 hours');
SELECT is((SELECT (workflow_state, next_action_at)::text FROM pending_calls WHERE id = :'p'), ('retry_pending', now() + interval '3 hours')::text, 'who asks to be called later is called then');
SELECT fx.calling() AS p \gset
SELECT fx.ended(fx.job(:'p'), 'SALE', false);
SELECT is(fx.at(:'p'), 'retry_pending: sale', 'the provider''s evaluation wins');
SELECT fx.calling() AS p \gset
SELECT fx.ended(fx.job(:'p'), 'TRANSFERRED');
SELECT is(fx.at(:'p'), 'completed: transferred', 'without one the outcome''s rule says it');

-- Inside business hours.
UPDATE lanes SET window_start = (now() AT TIME ZONE 'UTC')::time, window_end = ((now() AT TIME ZONE 'UTC') + interval '10 minutes')::time, time_zone = 'UTC' WHERE id = :lane;
SELECT fx.calling() AS p \gset
SELECT fx.ended(fx.job(:'p'), 'BUSY', false);
SELECT is(next_action_at, date_trunc('second', now()) + (now() - date_trunc('second', now())) + interval '1 day', 'a retry outside of the hours waits for the next opening')
FROM pending_calls WHERE id = :'p';
SELECT fx.lane('workflow') AS lane \gset

-- ---- Classification ----------------------------------------------------------------------------------------------------------

SELECT fx.phone() AS phone \gset
SELECT fx.pending(:'phone') AS p \gset
SELECT fx.pending(:'phone') AS q \gset
UPDATE pending_calls SET created_at = created_at - interval '1 minute' WHERE id = :'p';
SELECT is(fx.run(), 1::bigint, 'two pending calls to a number have one classification call');
SELECT results_eq(format('SELECT f.kind, f.account_id, w.pending_call_id FROM follow_ups f JOIN workflow_calls w ON w.follow_up_id = f.id WHERE f.id = %s', fx.follow_up_of(:'p')),
	format('VALUES (''classify'', %s::bigint, %L::uuid)', fx.account('fx-two'), :'p'), 'by the account of classifications, for the older one');
SELECT is(fx.run(), 0::bigint, 'the other one''s next look');
SELECT is(fx.follow_up_of(:'q'), fx.follow_up_of(:'p'), 'joins it');
SELECT is(fx.at(:'p'), 'needs_classification: not_classified', 'as long as it waits to be dialed it needs one');
SELECT fx.called(:'p') AS job \gset
SELECT is(fx.at(:'q'), 'classifying: dialed', 'both are classified by the one call');
SELECT fx.pending(:'phone') AS r \gset
SELECT fx.run();
SELECT fx.run();
SELECT is(fx.at(:'r'), 'classifying: dialed', 'and one that comes later too') ;
SELECT is(count(*), 1::bigint, 'still one call') FROM calls WHERE phone = :'phone';
SELECT is(fx.said('ivr_only', :'job', the_event => 'twice'), 'applied', 'the classifier says');
SELECT is(fx.at(x), 'classification_pending: ivr_only', 'all of them know') FROM unnest(ARRAY[:'p', :'q', :'r']::uuid[]) x;
SELECT results_eq(format('SELECT classification_type, confidence, menu_path, source, c.job_id, classification_expires_at FROM call_classifications c JOIN pending_calls p
	ON p.classification_id = c.id WHERE p.id = %L', :'q'), format('VALUES (''ivr_only'', 0.9::double precision, ''["1", "3"]''::jsonb, ''classifier'', %L::uuid, now() + interval ''30 days'')', :'job'),
	'it is kept for a month');
SELECT is(event_id, 'twice', 'the history names the event') FROM transitions WHERE entity_id = :'p' AND to_state = 'classification_pending';
SELECT is(fx.said('ivr_only', :'job', the_event => 'twice'), 'applied', 'said twice');
SELECT is(count(*), 1::bigint, 'kept once') FROM call_classifications WHERE phone_e164 = :'phone';
SELECT fx.run();
SELECT is(fx.at(:'p'), 'classification_pending: ivr_only', 'it waits');
SELECT fx.later(x, '31 seconds') FROM unnest(ARRAY[:'p', :'q', :'r']::uuid[]) x;
SELECT is(fx.run(), 3::bigint, 'for half a minute; then each has its task call');
SELECT is(fx.at(:'p'), 'ready_to_call: waited', 'then it is ready');
SELECT is(fx.dial(:'p'), 'held live', 'not while the number is live');
SELECT is(fx.at(:'p'), 'ready_to_call: waited', 'it stays ready');
SELECT ok(bool_and(next_look_at > now()), 'its next look is later') FROM follow_ups WHERE gate = 'live';
SELECT fx.ended(:'job', 'VOICEMAIL');
SELECT ok(bool_and(next_look_at = now()), 'the end of the call that it waited for brings that forward') FROM follow_ups WHERE gate = 'live';
SELECT is(fx.dial(:'p'), 'dial', 'then it is called: the second call');
SELECT is(fx.dial(:'q'), 'held live', 'one after the other');
SELECT is(fx.at(:'r'), 'ready_to_call: waited', 'the end of the classification call is nothing to those that know');

-- While a classification call waits in the queue, somebody knows better.
SELECT fx.phone() AS phone \gset
SELECT fx.pending(:'phone') AS p \gset
SELECT fx.run();
SELECT fx.follow_up_of(:'p') AS f \gset
SELECT fx.known(:'phone', 'human');
SELECT is(fx.state(:f), 'cancelled because of workflow', 'the call is not made');
SELECT is(fx.run(), 0::bigint, 'nor another');
SELECT is(fx.at(:'p'), 'classification_pending: human', 'it goes on with what is known');
SELECT results_eq(format('SELECT to_state, reason FROM transitions WHERE entity_id = %L ORDER BY id DESC LIMIT 2', :'p'),
	$$VALUES ('classification_pending', 'human'), ('classifying', 'classified meanwhile')$$, 'by the arrows that there are');

-- A person answers: the conversation is the task call.
SELECT fx.phone() AS phone \gset
SELECT fx.classifying(:'phone') AS p \gset
SELECT fx.pending(:'phone') AS q \gset
SELECT fx.run();
SELECT is(fx.said('human', NULL, :'p'), 'applied', 'a word on a pending call');
SELECT is(fx.at(:'p'), 'calling: human', 'goes on as the task call');
SELECT is(fx.at(:'q'), 'classification_pending: human', 'another pending call of the number has its own');
SELECT fx.ended(fx.job(:'p'), 'HUMAN');
SELECT is(fx.at(:'p'), 'completed: succeeded', 'which is done when it ends');
SELECT is(count(*), 1::bigint, 'without a second call') FROM call_sessions WHERE pending_call_id = :'p';
SELECT fx.classifying() AS p \gset
SELECT fx.said('human', fx.job(:'p'));
SELECT fx.ended(fx.job(:'p'), 'FAILED');
SELECT is(fx.at(:'p'), 'retry_pending: failed', 'a conversation that broke off is tried again');
SELECT fx.later(:'p', '1 hour');
SELECT fx.run();
SELECT is(fx.at(:'p'), 'ready_to_call: retried', 'by a task call: it is known who answers');
SELECT fx.classifying() AS p \gset
SELECT fx.ended(fx.job(:'p'), 'HUMAN');
SELECT is(fx.at(:'p'), 'classifying: dialed', 'the call ends before the classifier speaks');
SELECT fx.said('human', NULL, NULL, phone_e164) FROM pending_calls WHERE id = :'p' \g /dev/null
SELECT is(fx.at(:'p'), 'completed: human', 'a person, and all said: completed');
SELECT fx.classifying() AS p \gset
SELECT fx.ended(fx.job(:'p'), 'HUMAN', false);
SELECT fx.said('human', fx.job(:'p')) \g /dev/null
SELECT is(fx.at(:'p'), 'retry_pending: human', 'and without success tried again');

-- Nobody knows.
SELECT fx.classifying() AS p \gset
SELECT is(fx.said('unknown', fx.job(:'p')), 'applied', 'unknown');
SELECT results_eq(format('SELECT workflow_state, last_error, next_action_at, classification_id FROM pending_calls WHERE id = %L', :'p'),
	$$VALUES ('classification_failed', 'classification unknown', NULL::timestamptz, NULL::uuid)$$, 'no guess');
SELECT fx.classifying() AS p \gset
SELECT fx.said('ivr_only', fx.job(:'p'), confidence => '0.59') \g /dev/null
SELECT is(fx.at(:'p'), 'classification_failed: low confidence', 'not sure enough');
SELECT is_empty(format('SELECT 1 FROM call_classifications WHERE phone_e164 = %L', (SELECT phone_e164 FROM pending_calls WHERE id = :'p')), 'is not kept');
SELECT fx.classifying() AS p \gset
SELECT fx.said('ivr_only', fx.job(:'p'), confidence => '0.6') \g /dev/null
SELECT is(fx.at(:'p'), 'classification_pending: ivr_only', 'sure enough');
SELECT fx.classifying() AS p \gset
SELECT fx.ended(fx.job(:'p'), 'VOICEMAIL');
SELECT fx.run();
SELECT is(fx.at(:'p'), 'classifying: dialed', 'a classifier may speak a little later');
SELECT fx.later(:'p', '31 seconds');
SELECT fx.run();
SELECT is(fx.at(:'p'), 'classification_failed: no classification', 'but must');
SELECT fx.classifying() AS p \gset
SELECT fx.ended(fx.job(:'p'), 'NO_ANSWER');
SELECT is(fx.at(:'p'), 'retry_pending: no_answer', 'nobody answered: there was nothing to classify');
SELECT fx.later(:'p', '1 hour');
SELECT is(fx.run(), 1::bigint, 'tried again');
SELECT is(fx.at(:'p'), 'needs_classification: not_classified', 'it is looked up again, and classified again');
UPDATE settings SET value = value || '{"unclear": "retry"}' WHERE key = 'workflow';
SELECT fx.classifying() AS p \gset
SELECT fx.said('unknown', fx.job(:'p')) \g /dev/null
SELECT is(fx.at(:'p'), 'retry_pending: classification unknown', 'tried again, where the configuration says so');
UPDATE settings SET value = value || '{"unclear": "fail"}' WHERE key = 'workflow';

-- Messages that fit nothing, and odd ones.
SELECT is(fx.said('human', gen_random_uuid()), 'history', 'a job that we don''t know');
SELECT is(fx.said('human', NULL, 'no-uuid'), 'history', 'no pending call');
SELECT is(fx.said('human', NULL, NULL, 'no number'), 'history', 'no number');
SELECT is(fx.said('ivr_only', NULL, NULL, '+12125550196'), 'applied', 'a number alone');
SELECT is(classification_type, 'ivr_only', 'is kept') FROM call_classifications WHERE phone_e164 = '+12125550196';
SELECT is(fx.said('human', sid => 'CA1'), 'parked', 'of a call whose id nobody knows yet it waits');
SELECT fx.classifying() AS p \gset
SELECT is(fx.said('ivr_only', fx.job(:'p'), confidence => '"high"'), 'applied', 'a confidence that is no number says nothing');
SELECT fx.classifying() AS p \gset
SELECT is(fx.said('ivr_only', fx.job(:'p'), confidence => '7'), 'applied', 'more than sure');
SELECT fx.classifying() AS p \gset
SELECT is(fx.said('ivr_only', fx.job(:'p'), confidence => 'broken'), 'applied', 'a detail that is no JSON says nothing');
SELECT is(fx.at(:'p'), 'classification_pending: ivr_only', 'but the word counts');

-- Without an account it waits, and says why.
UPDATE settings SET value = value || '{"classify_account": "nobody"}' WHERE key = 'workflow';
SELECT fx.pending() AS p \gset
SELECT is(fx.run(), 0::bigint, 'nobody can classify');
SELECT results_eq(format('SELECT workflow_state, last_error, next_action_at FROM pending_calls WHERE id = %L', :'p'),
	$$VALUES ('needs_classification', 'there is no account for classification calls', now() + interval '1 minute')$$, 'no guess, no call by another account');
UPDATE settings SET value = value || '{"classify_account": "fx-two"}' WHERE key = 'workflow';
SELECT fx.later(:'p', '2 minutes');
SELECT is(fx.run(), 1::bigint, 'once there is one, it is made');

-- ---- What dispatch says ---------------------------------------------------------------------------------------------------------

CREATE FUNCTION fx.after_result(p uuid, the_result text, refusal text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM fx.dial(p);
	PERFORM fx.result(fx.job(p), the_result, refusal);
	RETURN concat_ws(', ', fx.at(p), 'follow-up ' || (SELECT f.status FROM carillon.follow_ups f JOIN carillon.calls c ON c.follow_up_id = f.id WHERE c.job_id = fx.job(p)));
END $$;
CREATE FUNCTION fx.ready() RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
	phone text := fx.phone();
	p uuid := fx.pending(phone);
BEGIN
	PERFORM fx.known(phone), fx.run();
	RETURN p;
END $$;
CREATE FUNCTION fx.unknown() RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
	p uuid := fx.pending();
BEGIN
	PERFORM fx.run();
	RETURN p;
END $$;
SELECT is(fx.after_result(fx.ready(), 'not_sent'), 'ready_to_call: said so, follow-up pending', 'not sent: back, and dialed again by the queue');
SELECT is(fx.after_result(fx.ready(), 'refused', 'backpressure'), 'ready_to_call: said so, follow-up pending', 'no room: the same');
SELECT is(fx.after_result(fx.ready(), 'refused', 'retry'), 'retry_pending: said so, follow-up cancelled', 'a refusal that counts is an attempt');
SELECT is(fx.after_result(fx.ready(), 'refused', 'number'), 'failed: number, follow-up failed', 'refused for good: failed');
SELECT is(fx.after_result(fx.unknown(), 'not_sent'), 'needs_classification: said so, follow-up pending', 'a classification call that was not sent');
SELECT is(fx.after_result(fx.unknown(), 'refused', 'configuration'), 'failed: configuration, follow-up failed', 'one that was refused for good');
SELECT is(fx.after_result(fx.ready(), 'unknown'), 'calling: dialed, follow-up dialing', 'an unknown one stays while it is looked for');

SELECT fx.ready() AS p \gset
INSERT INTO suppressions (tenant_id, phone) SELECT 'fx', phone_e164 FROM pending_calls WHERE id = :'p';
SELECT is(fx.dial(:'p'), 'skipped suppressed', 'a gate holds it for good');
SELECT is(fx.at(:'p'), 'failed: suppressed', 'it fails for that reason');

SELECT fx.ready() AS p \gset
SELECT fx.dial(:'p');
SELECT fx.result(fx.job(:'p'), 'unknown');
SELECT fx.follow_up_of(:'p') AS f, fx.job(:'p') AS job \gset
EXECUTE mark_undetermined(ARRAY[:'job']::uuid[]) \g /dev/null
SELECT results_eq(format('SELECT workflow_state, failure_reason FROM pending_calls WHERE id = %L', :'p'), $$VALUES ('failed', 'undetermined')$$, 'without proof it fails, and is not dialed again');
SAVEPOINT undecided;
SELECT fx.result(:'job', 'accepted');
SELECT is(fx.at(:'p'), 'failed: undetermined', 'found after all, it stays as it is');
SELECT fx.ended(:'job', 'SALE', true);
SELECT is(last_error, 'its call was found: sale', 'and says what became of its call') FROM pending_calls WHERE id = :'p';
ROLLBACK TO undecided;
SELECT status FROM resolve_call(:'job', 'redial', NULL) \g /dev/null
SELECT is(fx.at(:'p'), 'checking_classification: an operator: nothing was dialed', 'until an operator proves it');
SELECT is(fx.state(:f), 'cancelled because of workflow', 'by a call of its own');
SELECT fx.run();
SELECT is(fx.dial(:'p'), 'dial', 'which is made');

-- ---- Called off ----------------------------------------------------------------------------------------------------------------

SELECT fx.ready() AS p \gset
SELECT fx.follow_up_of(:'p') AS f \gset
UPDATE pending_calls SET workflow_state = 'failed', state_reason = 'cancelled' WHERE id = :'p';
SELECT is(fx.state(:f), 'cancelled because of workflow', 'what nobody waits for is not dialed');
SELECT fx.ready() AS p \gset
SELECT fx.follow_up_of(:'p') AS f \gset
EXECUTE follow_up_cancel(:f) \g /dev/null
SELECT is(fx.at(:'p'), 'failed: cancelled', 'its follow-up called off by hand: cancelled');
SELECT fx.phone() AS phone \gset
SELECT fx.pending(:'phone') AS p \gset
SELECT fx.run();
SELECT fx.pending(:'phone') AS q \gset
SELECT fx.run();
SELECT fx.follow_up_of(:'q') AS f \gset
UPDATE pending_calls SET workflow_state = 'failed' WHERE id = :'p';
SELECT is(fx.state(:f), 'pending', 'another still waits for it');
SELECT is(pending_call_id, :'q'::uuid, 'and it is made for that one') FROM workflow_calls WHERE follow_up_id = :f;
DELETE FROM pending_calls WHERE id = :'q';
SELECT is(fx.state(:f), 'cancelled because of workflow', 'one that is gone waits for nothing');
SELECT fx.ready() AS p \gset
DELETE FROM leads WHERE id = (SELECT lead_id FROM pending_calls WHERE id = :'p');
SELECT results_eq(format('SELECT follow_up_id, next_action_at FROM pending_calls WHERE id = %L', :'p'), 'VALUES (NULL::bigint, now())', 'its lead removed: it is looked at again');
SELECT is(fx.run(), 1::bigint, 'and has a new one');

-- ---- Nothing is stuck ------------------------------------------------------------------------------------------------------------

SELECT fx.pending(the_state => 'checking_classification') AS p \gset
SELECT fx.run();
SELECT is(fx.at(:'p'), 'needs_classification: not_classified', 'left behind while it was looked up, it goes on');
SELECT fx.calling() AS p \gset
SELECT is(fx.sweep(), 'asked 0, moved 0', 'ten minutes are not too long');
SELECT fx.later(:'p', '11 minutes');
SELECT results_eq('SELECT id, minutes_in_state FROM stuck_calls WHERE tenant_id = ''fx'' AND workflow_state = ''calling''', format('VALUES (%L::uuid, 11::bigint)', :'p'), 'stuck_calls shows it');
UPDATE live SET next_check_at = now() + interval '10 minutes' WHERE job_id = fx.job(:'p');
SELECT is(fx.sweep(), 'asked 1, moved 0', 'a call that may be under way stays');
SELECT is(next_check_at, now(), 'its provider is asked now') FROM live WHERE job_id = fx.job(:'p');
SELECT is(fx.sweep(), 'asked 0, moved 0', 'once a minute');
SELECT fx.later(:'p', '1 minute');
SELECT is(fx.sweep(), 'asked 1, moved 0', 'again');
SELECT fx.ended(fx.job(:'p'), 'UNKNOWN');
SELECT is(fx.at(:'p'), 'retry_pending: unknown', 'its end is found');
SELECT fx.pending(the_state => 'calling') AS p \gset
SELECT fx.later(:'p', '11 minutes');
SELECT is(fx.sweep(), 'asked 0, moved 1', 'what was never dialed');
SELECT is(fx.at(:'p'), 'retry_pending: stuck: never dialed', 'is tried again');
SELECT fx.calling() AS p \gset
ALTER TABLE calls DISABLE TRIGGER workflow_call_ended;
SELECT fx.ended(fx.job(:'p'), 'HUMAN', true);
ALTER TABLE calls ENABLE TRIGGER workflow_call_ended;
SELECT fx.later(:'p', '11 minutes');
SELECT fx.sweep();
SELECT is(fx.at(:'p'), 'retry_pending: stuck: the call is over', 'so is what is over without having been told');
SELECT fx.ready() AS p \gset
UPDATE pending_calls SET follow_up_id = NULL, next_action_at = NULL WHERE id = :'p';
UPDATE pending_calls SET next_action_at = NULL WHERE id = :'p';
SELECT fx.sweep();
SELECT is(next_action_at, now(), 'one that waits for nothing is looked at') FROM pending_calls WHERE id = :'p';

-- ---- Runs, dashboard, settings ------------------------------------------------------------------------------------------------------

SELECT fx.run();
DELETE FROM workflow_runs;
SELECT fx.run();
SELECT is_empty('SELECT 1 FROM scheduler_runs', 'a run that finds nothing is not noted');
SELECT fx.pending() \g /dev/null
SELECT fx.run();
SELECT results_eq('SELECT source, counts, error FROM scheduler_runs', $$VALUES ('scheduler', '{"needs_classification": 1}'::jsonb, NULL)$$, 'one that moves something is');
CREATE FUNCTION fx.broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$;
CREATE TRIGGER broken BEFORE UPDATE ON pending_calls FOR EACH ROW EXECUTE FUNCTION fx.broken();
SELECT fx.pending() AS p \gset
SELECT throws_like('SELECT fx.run()', '%broken%', 'one that fails tells');
DROP TRIGGER broken ON pending_calls;
SELECT fx.run();
SELECT is(fx.at(:'p'), 'needs_classification: not_classified', 'and what it failed for is due still');
SELECT columns_are('carillon', 'scheduler_dashboard', ARRAY['workflow_state', 'count', 'next_action', 'avg_retries']);
SELECT is_empty($$SELECT 1 FROM scheduler_dashboard WHERE workflow_state IN ('completed', 'failed')$$, 'the dashboard shows what is not over');
SELECT results_eq($$SELECT count, avg_retries FROM scheduler_dashboard WHERE workflow_state = 'retry_pending'$$,
	$$SELECT count(*), avg(retry_count) FROM pending_calls WHERE workflow_state = 'retry_pending'$$, 'and its numbers');

EXECUTE setup_workflow(5, 1, 0.7, 'retry', 3, 4, 'twilio', '08:00-18:00', 'America/Chicago');
SELECT results_eq($$SELECT window_start, window_end, time_zone FROM lanes WHERE tenant_id = 'default' AND name = 'workflow'$$,
	$$VALUES ('08:00'::time, '18:00'::time, 'America/Chicago')$$, 'the environment''s hours are the lane''s');
UPDATE lanes SET window_start = '07:00' WHERE tenant_id = 'default' AND name = 'workflow';
EXECUTE setup_workflow(5, 1, 0.7, 'retry', 3, 4, 'twilio', '08:00-18:00', 'America/Chicago');
SELECT is(window_start, '07:00'::time, 'what people set stays') FROM lanes WHERE tenant_id = 'default' AND name = 'workflow';
SELECT is(value, '{"retry_minutes": 5, "wait_seconds": 1, "min_confidence": 0.7, "unclear": "retry", "ttl_days": 3, "stuck_minutes": 4,
	"classify_account": "twilio", "hours": "08:00-18:00", "zone": "America/Chicago"}'::jsonb, 'and the rest is kept') FROM settings WHERE key = 'workflow';

-- No arrow in all this history that is not there.
SELECT is_empty($$SELECT from_state, to_state FROM transitions WHERE entity = 'pending_call' AND from_state IS NOT NULL
	EXCEPT SELECT state, next FROM workflow_arrows$$, 'no illegal arrow was ever taken');

SELECT * FROM finish();
ROLLBACK;
