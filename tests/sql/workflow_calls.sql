-- SPDX-License-Identifier: Apache-2.0
-- Workflow calls: how a number is classified, what dispatch does to a pending call, who calls it off, and that none stays where it is.
BEGIN;
\ir lib/fixture.psql
\ir lib/workflow.psql
SELECT * FROM no_plan();

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

-- A tenant without an account of that name has its own.
SELECT fx.pending() AS p \gset
UPDATE pending_calls SET tenant_id = 'other' WHERE id = :'p';
SELECT fx.run();
SELECT is(last_error, 'there is no account for classification calls', 'another tenant''s account is not used') FROM pending_calls WHERE id = :'p';
INSERT INTO accounts (tenant_id, name, provider) VALUES ('other', 'other-twilio', 'twilio');
SELECT fx.later(:'p', '2 minutes');
SELECT fx.run();
SELECT is(a.name, 'other-twilio', 'but the tenant''s own') FROM follow_ups f JOIN accounts a ON a.id = f.account_id WHERE f.id = fx.follow_up_of(:'p');
DELETE FROM pending_calls WHERE id = :'p';

-- ---- What dispatch says ---------------------------------------------------------------------------------------------------------

CREATE FUNCTION fx.after_result(p uuid, the_result text, refusal text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM fx.dial(p);
	PERFORM fx.result(fx.job(p), the_result, refusal);
	RETURN concat_ws(', ', fx.at(p), 'follow-up ' || (SELECT f.status FROM carillon.follow_ups f JOIN carillon.calls c ON c.follow_up_id = f.id WHERE c.job_id = fx.job(p)));
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

-- ---- A number's leads come and go -------------------------------------------------------------------------------------------------

-- The first lead of a number has its first classification call, and takes it along when it is removed.
SELECT fx.classifying() AS p \gset
SELECT phone_e164 AS phone, lead_id AS lead FROM pending_calls WHERE id = :'p' \gset
SELECT fx.ended(fx.job(:'p'), 'NO_ANSWER');
INSERT INTO leads (tenant_id, phone, auto_follow_up) VALUES ('fx', :'phone', false) RETURNING id AS other_lead \gset
UPDATE pending_calls SET lead_id = :other_lead WHERE id = :'p';
SELECT fx.later(:'p', '1 hour');
SELECT fx.run();
SELECT fx.called(:'p') AS job \gset
SELECT fx.ended(:'job', 'NO_ANSWER');
DELETE FROM leads WHERE id = :lead;
SELECT fx.later(:'p', '3 hours');
SELECT is(fx.run(), 1::bigint, 'a further call is made, whichever of those before are gone');
SELECT results_eq(format('SELECT occurrence FROM follow_ups WHERE source_id = ''fx '' || %L ORDER BY id', :'phone'), $$VALUES ('1'), ('2')$$, 'and has a number of its own');

-- ---- Retention --------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION fx.retain(most integer DEFAULT 100) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	answer bigint;
BEGIN
	SET LOCAL ROLE carillon_producer;
	EXECUTE format('EXECUTE workflow_retention(%s, 30)', most) INTO answer;
	RESET ROLE;
	RETURN answer;
END $$;
DELETE FROM pending_calls;
DELETE FROM call_classifications;
CREATE TEMP TABLE kept AS SELECT s.state, days, fx.pending(fx.phone(), s.state) AS id FROM states s, (VALUES (29), (31)) d (days);
ALTER TABLE pending_calls DISABLE TRIGGER USER;
UPDATE pending_calls p SET state_since = now() - k.days * interval '1 day' FROM kept k WHERE k.id = p.id;
ALTER TABLE pending_calls ENABLE TRIGGER USER;
SELECT fx.ready() AS p \gset
SELECT fx.dial(:'p');
SELECT fx.result(fx.job(:'p'), 'unknown');
SELECT fx.job(:'p') AS job \gset
EXECUTE mark_undetermined(ARRAY[:'job']::uuid[]) \g /dev/null
ALTER TABLE pending_calls DISABLE TRIGGER USER;
UPDATE pending_calls SET state_since = now() - interval '31 days' WHERE id = :'p';
ALTER TABLE pending_calls ENABLE TRIGGER USER;
SELECT fx.phone() AS phone \gset
SELECT fx.known(:'phone', x)
FROM unnest('{human,ivr_only,ivr_then_human}'::text[]) x \g /dev/null
INSERT INTO call_classifications (tenant_id, phone_number, classification_type, source) SELECT 'fx', fx.phone(), 'human', x FROM unnest('{long gone,just gone,good,referred to}'::text[]) x;
ALTER TABLE call_classifications DISABLE TRIGGER USER;
UPDATE call_classifications SET updated_at = now() - interval '31 days' WHERE phone_e164 = :'phone' AND classification_type = 'human';   -- was replaced then
UPDATE call_classifications SET classification_expires_at = now() - interval '31 days' WHERE source IN ('long gone', 'referred to');
UPDATE call_classifications SET classification_expires_at = now() - interval '29 days' WHERE source = 'just gone';
ALTER TABLE call_classifications ENABLE TRIGGER USER;
UPDATE pending_calls SET classification_id = (SELECT id FROM call_classifications WHERE source = 'referred to')
WHERE id = (SELECT id FROM kept WHERE state = 'retry_pending' AND days = 31);
SELECT is(fx.retain(2), 2::bigint, 'a batch at a time');
SELECT is(fx.retain(2), 1::bigint, 'until there are no more');
SELECT is(fx.retain(2), 0::bigint, 'what is over is removed');
SELECT set_eq('SELECT state, days FROM kept WHERE id NOT IN (SELECT id FROM pending_calls)',
	$$VALUES ('completed', 31), ('failed', 31), ('classification_failed', 31)$$, 'once it is old enough');
SELECT is(fx.at(:'p'), 'failed: undetermined', 'but not what an operator has yet to decide about');
SELECT set_eq(format($$SELECT classification_type, source FROM call_classifications WHERE source <> 'test' OR phone_e164 = %L$$, :'phone'),
	$$VALUES ('ivr_only', 'test'), ('ivr_then_human', 'test'), ('human', 'just gone'), ('human', 'good'), ('human', 'referred to')$$,
	'classifications that count no more follow, while nobody refers to them');

-- No arrow in all this history that is not there.
SELECT is_empty($$SELECT from_state, to_state FROM transitions WHERE entity = 'pending_call' AND from_state IS NOT NULL
	EXCEPT SELECT state, next FROM workflow_arrows$$, 'no illegal arrow was ever taken');

SELECT * FROM finish();
ROLLBACK;
