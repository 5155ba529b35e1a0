-- SPDX-License-Identifier: Apache-2.0
-- Workflow calls: which arrows there are, what takes a call of a known number along them, its retries, and what people see of it all.
BEGIN;
\ir lib/fixture.psql
\ir lib/workflow.psql
SELECT * FROM no_plan();

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
SELECT is(value, '{"retry_minutes": 5, "wait_seconds": 1, "min_confidence": 0.7, "unclear": "retry", "ttl_days": 3, "stuck_minutes": 4, "live_minutes": 20,
	"classify_account": "twilio", "hours": "08:00-18:00", "zone": "America/Chicago"}'::jsonb, 'and the rest is kept') FROM settings WHERE key = 'workflow';

-- No arrow in all this history that is not there.
SELECT is_empty($$SELECT from_state, to_state FROM transitions WHERE entity = 'pending_call' AND from_state IS NOT NULL
	EXCEPT SELECT state, next FROM workflow_arrows$$, 'no illegal arrow was ever taken');

SELECT * FROM finish();
ROLLBACK;
