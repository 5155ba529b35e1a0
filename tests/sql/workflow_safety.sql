-- SPDX-License-Identifier: Apache-2.0
-- Workflow calls when people and accidents come between: nobody is rung whom nobody wants called, none twice, none at another's number,
-- and what is wrong with one row is nothing to the others.
BEGIN;
\ir lib/fixture.psql
\ir lib/workflow.psql
\set file producer/sql/workflow_counts.sql
\ir lib/prepare.psql
SELECT plan(96);

-- One that is being dialed.
CREATE FUNCTION fx.dialing() RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
	p uuid := fx.ready();
BEGIN
	PERFORM fx.dial(p);
	RETURN p;
END $$;
CREATE FUNCTION fx.cancel(p uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL ROLE carillon_producer;
	PERFORM carillon.pending_call_cancel(p::text);
	RESET ROLE;
END $$;
CREATE FUNCTION fx.replay(p uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL ROLE carillon_producer;
	PERFORM carillon.pending_calls_replay(ARRAY[p]);
	RESET ROLE;
END $$;
CREATE FUNCTION fx.look(f bigint) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', fx.state(f), 'looked at ' || next_look_at) FROM carillon.follow_ups WHERE id = f
$$;

-- ---- Called off while it is dialed ---------------------------------------------------------------------------------------------

SELECT fx.dialing() AS p \gset
SELECT fx.follow_up_of(:'p') AS f, fx.job(:'p') AS job \gset
SELECT fx.cancel(:'p');
SELECT is(fx.state(:f), 'dialing', 'a call that is being dialed can''t be taken back');
SELECT fx.result(:'job', 'not_sent');
SELECT is(fx.look(:f), 'cancelled because of workflow', 'not sent after all: it is not sent again');
SELECT is(fx.at(:'p'), 'failed: cancelled', 'cancelled is cancelled');
SELECT fx.dialing() AS p \gset
SELECT fx.follow_up_of(:'p') AS f, fx.job(:'p') AS job \gset
SELECT fx.cancel(:'p');
SELECT fx.result(:'job', 'refused', 'retry');
SELECT is(fx.look(:f), 'cancelled because of workflow', 'refused: the same');
SELECT fx.dialing() AS p \gset
SELECT fx.follow_up_of(:'p') AS f, fx.job(:'p') AS job \gset
SELECT fx.result(:'job', 'unknown');
SELECT fx.cancel(:'p');
SELECT fx.result(:'job', 'not_sent');
SELECT is(fx.look(:f), 'cancelled because of workflow', 'proved absent: the same');
SELECT fx.dialing() AS p \gset
SELECT fx.follow_up_of(:'p') AS f, fx.job(:'p') AS job \gset
SELECT fx.cancel(:'p');
SELECT fx.result(:'job', 'accepted');
SELECT is(fx.state(:f), 'completed', 'one that was made is made');

-- Of two that share a classification call the one it was made for is called off.
SELECT fx.phone() AS phone \gset
SELECT fx.pending(:'phone') AS p \gset
UPDATE pending_calls SET created_at = created_at - interval '1 minute' WHERE id = :'p';
SELECT fx.run();
SELECT fx.pending(:'phone') AS q \gset
SELECT fx.run();
SELECT fx.follow_up_of(:'p') AS f \gset
SELECT fx.dial(:'p');
SELECT fx.job(:'p') AS job \gset
SELECT fx.cancel(:'p');
SELECT fx.result(:'job', 'not_sent');
SELECT is(fx.state(:f), 'pending', 'the other one still wants it');
SELECT is(pending_call_id, :'q'::uuid, 'and it is made with the data of that one') FROM workflow_calls WHERE follow_up_id = :f;

-- Replayed while nobody knows of its call: one of the two calls is made.
SELECT fx.dialing() AS p \gset
SELECT fx.follow_up_of(:'p') AS f, fx.job(:'p') AS job \gset
SELECT fx.result(:'job', 'unknown');
EXECUTE mark_undetermined(ARRAY[:'job']::uuid[]) \g /dev/null
SELECT fx.replay(:'p');
SELECT fx.run();
SELECT is(fx.at(:'p'), 'ready_to_call: ivr_only', 'replayed while its call is undetermined');
SELECT is(fx.state(:f), 'undetermined because of undetermined', 'which an operator has to decide about');
SELECT status FROM resolve_call(:'job', 'redial', NULL) \g /dev/null
SELECT is(fx.look(:f), 'cancelled because of workflow', 'nothing was dialed: nor will it be');
SELECT isnt(fx.follow_up_of(:'p'), :f::bigint, 'for it has another');
SELECT is(fx.dial(:'p'), 'dial', 'which is made');

-- ---- A call that was given up is alive after all ------------------------------------------------------------------------------------------

CREATE FUNCTION fx.alive(job uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL ROLE carillon_consumer;
	UPDATE carillon.calls SET status = 'calling' WHERE job_id = job;
	INSERT INTO carillon.live (job_id, tenant_id, phone, lane_id, account_id, follow_up_id, state, lease_until, next_check_at)
	SELECT job_id, tenant_id, phone, lane_id, account_id, follow_up_id, 'calling', now(), now() + interval '1 hour' FROM carillon.calls WHERE job_id = job;
	UPDATE carillon.follow_ups f SET status = 'cancelled', reason = 'call_found', gate = NULL, lease_until = NULL, next_look_at = NULL
	FROM carillon.calls c WHERE c.job_id = job AND f.id = c.follow_up_id AND f.status IN ('pending', 'queued');
	RESET ROLE;
END $$;
-- One whose call could not be proved, which began anew, and of whose call an operator said that nothing was dialed.
CREATE FUNCTION fx.begun_anew(run boolean) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
	p uuid := fx.dialing();
	job uuid := fx.job(p);
BEGIN
	PERFORM fx.result(job, 'unknown');
	SET LOCAL ROLE carillon_consumer;
	EXECUTE format('EXECUTE mark_undetermined(%L)', ARRAY[job]);
	RESET ROLE;
	PERFORM fx.replay(p), CASE WHEN run THEN fx.run() END, carillon.resolve_call(job, 'redial', NULL);
	RETURN p;
END $$;

SELECT fx.begun_anew(true) AS p \gset
SELECT fx.follow_up_of(:'p') AS second, min(f.id) AS f, min(c.job_id::text) AS job FROM follow_ups f LEFT JOIN calls c ON c.follow_up_id = f.id
WHERE f.source_id = :'p' \gset
SELECT isnt(:f::bigint, :second::bigint, 'it waits with another follow-up');
SELECT fx.alive(:'job');
SELECT is(fx.at(:'p'), 'calling: dialed', 'the first call is its call');
SELECT is(fx.follow_up_of(:'p'), :f::bigint, 'with the first follow-up');
SELECT is(fx.state(:second), 'cancelled because of workflow', 'the second is not made');
SELECT fx.ended(:'job', 'SALE', true);
SELECT is(fx.at(:'p'), 'completed: sale', 'and the end of the first counts');

SELECT fx.begun_anew(true) AS p \gset
SELECT fx.follow_up_of(:'p') AS second, min(c.job_id::text) AS job FROM follow_ups f LEFT JOIN calls c ON c.follow_up_id = f.id WHERE f.source_id = :'p' \gset
SELECT fx.ended(:'job', 'SALE', true);
SELECT is(fx.at(:'p') || ', ' || fx.state(:second), 'completed: sale, cancelled because of workflow', 'also one that is over when it is found');

SELECT fx.begun_anew(false) AS p \gset
SELECT min(c.job_id::text) AS job FROM follow_ups f JOIN calls c ON c.follow_up_id = f.id WHERE f.source_id = :'p' \gset
SELECT fx.alive(:'job');
SELECT fx.run();
SELECT is(fx.at(:'p'), 'calling: dialed', 'and one that is found before it waits again');
SELECT is(count(*), 1::bigint, 'without another follow-up') FROM follow_ups WHERE source_id = :'p';

-- Proved absent, claimed again, and then found.
SELECT fx.dialing() AS p \gset
SELECT fx.follow_up_of(:'p') AS f, fx.job(:'p') AS job \gset
SELECT fx.result(:'job', 'not_sent');
SELECT fx.queued(:f) \g /dev/null
SELECT fx.alive(:'job');
SELECT is(fx.at(:'p') || ', ' || (SELECT job_id = :'job' FROM follow_ups WHERE id = :f), 'calling: dialed, true', 'its follow-up is that of the call that was found');
SELECT fx.later(:'p', '11 minutes');
SELECT is(fx.sweep(), 'asked 1, moved 0', 'so that it is not taken for stuck');

-- A classification call that goes on is that of who begins anew, unless its classifier has said already that nobody can say.
SELECT fx.classifying() AS p \gset
SELECT fx.follow_up_of(:'p') AS f, phone_e164 AS phone FROM pending_calls WHERE id = :'p' \gset
SELECT fx.said('unknown', fx.job(:'p')) \g /dev/null
SELECT fx.pending(:'phone') AS newcomer \gset
SELECT fx.replay(:'p');
SELECT fx.run();
SELECT is(fx.at(:'p') || ', ' || fx.at(:'newcomer'), 'needs_classification: not_classified, needs_classification: not_classified',
	'who has heard it waits for another call, and so does a newcomer');
SELECT ok(fx.follow_up_of(:'p') = fx.follow_up_of(:'newcomer') AND fx.follow_up_of(:'p') <> :f, 'the same one');

-- One that is over, which the scheduler saw alive still: its end counts for those that join it.
SELECT fx.classifying() AS p \gset
SELECT fx.follow_up_of(:'p') AS f, fx.job(:'p') AS job, phone_e164 AS phone FROM pending_calls WHERE id = :'p' \gset
SELECT fx.ended(:'job', 'BUSY');
SELECT fx.pending(:'phone', 'needs_classification') AS newcomer \gset
SELECT workflow_revive(:f, :'job');
SELECT is(fx.at(:'newcomer'), 'retry_pending: busy', 'nobody answered it');

-- A follow-up that was called off by hand.
SELECT fx.ready() AS p \gset
UPDATE follow_ups SET status = 'cancelled' WHERE id = fx.follow_up_of(:'p');
SELECT is(fx.at(:'p'), 'failed: cancelled', 'stays called off');

-- What only a person can help is listed.
SELECT fx.ready() AS p \gset
UPDATE follow_ups SET gate = 'credentials' WHERE id = fx.follow_up_of(:'p');
SELECT fx.later(:'p', '30 minutes');
SELECT is(count(*), 0::bigint, 'not at once') FROM stuck_calls WHERE id = :'p';
SELECT fx.later(:'p', '31 minutes');
SELECT is(count(*), 1::bigint, 'one that waits for an account for an hour') FROM stuck_calls WHERE id = :'p';

-- A callback is kept whichever comes first, the end or the word of who answered.
SELECT fx.classifying() AS p \gset
SELECT fx.job(:'p') AS job \gset
SELECT fx.ended(:'job', 'CALLBACK', NULL, now() + interval '3 hours');
SELECT fx.said('human', :'job') \g /dev/null
SELECT is(workflow_state || callback_at::text, 'retry_pending' || (now() + interval '3 hours')::text, 'called back when that was asked for') FROM pending_calls WHERE id = :'p';

-- One that is not sure enough is none.
SELECT fx.phone() AS phone \gset
INSERT INTO call_classifications (tenant_id, phone_number, classification_type, confidence) VALUES ('fx', :'phone', 'ivr_only', 0.2);
SELECT fx.pending(:'phone') AS p \gset
SELECT fx.run();
SELECT is(workflow_state, 'needs_classification', 'whoever wrote it') FROM pending_calls WHERE id = :'p';

-- ---- Its lead is removed during its call --------------------------------------------------------------------------------------------

CREATE FUNCTION fx.orphan(p uuid) RETURNS void LANGUAGE sql AS $$
	DELETE FROM carillon.leads WHERE id = (SELECT lead_id FROM carillon.pending_calls WHERE id = p)
$$;
CREATE FUNCTION fx.job_of(p uuid) RETURNS uuid LANGUAGE sql AS $$
	SELECT c.job_id FROM carillon.calls c JOIN carillon.pending_calls o ON o.phone_e164 = c.phone AND o.tenant_id = c.tenant_id WHERE o.id = p
$$;
SELECT fx.calling() AS p \gset
SELECT fx.orphan(:'p');
SELECT is(fx.follow_up_of(:'p'), NULL::bigint, 'its follow-up goes with its lead');
SELECT fx.later(:'p', '11 minutes');
UPDATE live SET next_check_at = now() + interval '10 minutes' WHERE job_id = fx.job_of(:'p');
SELECT is(fx.sweep(), 'asked 1, moved 0', 'but the call is under way');
SELECT is(next_check_at, now(), 'its provider is asked') FROM live WHERE job_id = fx.job_of(:'p');
SELECT is(fx.at(:'p'), 'calling: dialed', 'and it waits for the end');
SELECT fx.ended(fx.job_of(:'p'), 'SALE', true);
SELECT fx.later(:'p', '1 minute');
SELECT fx.sweep();
SELECT is(fx.at(:'p'), 'completed: sale', 'which counts as any');
SELECT fx.calling() AS p \gset
SELECT fx.orphan(:'p');
SELECT fx.ended(fx.job_of(:'p'), 'DO_NOT_CALL');
SELECT fx.later(:'p', '11 minutes');
SELECT fx.sweep();
SELECT is(fx.at(:'p'), 'failed: do_not_call', 'whoever asks not to be called is not called again');
SELECT fx.dialing() AS p \gset
SELECT fx.orphan(:'p');
SELECT fx.result(fx.job_of(:'p'), 'unknown');
SELECT fx.job_of(:'p') AS job \gset
EXECUTE mark_undetermined(ARRAY[:'job']::uuid[]) \g /dev/null
SELECT fx.later(:'p', '11 minutes');
SELECT fx.sweep();
SELECT is(fx.at(:'p'), 'failed: undetermined', 'what nobody can prove is not dialed again');
SELECT fx.dialing() AS p \gset
SELECT fx.orphan(:'p');
SELECT fx.result(fx.job_of(:'p'), 'not_sent');
SELECT fx.later(:'p', '11 minutes');
SELECT fx.sweep();
SELECT is(fx.at(:'p'), 'retry_pending: stuck: not dialed', 'what was not sent is tried again');
SELECT fx.classifying() AS p \gset
SELECT fx.orphan(:'p');
SELECT fx.said('ivr_only', fx.job_of(:'p')) \g /dev/null
SELECT fx.ended(fx.job_of(:'p'), 'VOICEMAIL');
SELECT fx.later(:'p', '11 minutes');
SELECT fx.sweep();
SELECT is(fx.at(:'p'), 'classification_pending: ivr_only', 'what the classifier said of a call without a follow-up is used');
SELECT fx.classifying() AS p \gset
SELECT fx.said('human', fx.job(:'p')) \g /dev/null
SELECT fx.orphan(:'p');
SELECT fx.ended(fx.job_of(:'p'), 'HUMAN');
UPDATE calls SET claimed_at = claimed_at - interval '5 minutes' WHERE job_id = fx.job_of(:'p');   -- it was classified for so long
UPDATE pending_calls SET last_attempt_at = last_attempt_at - interval '5 minutes' WHERE id = :'p';
SELECT fx.later(:'p', '11 minutes');
SELECT fx.sweep();
SELECT is(fx.at(:'p'), 'completed: succeeded', 'the conversation is that of the classification call');
SELECT fx.classifying() AS p \gset
SELECT fx.orphan(:'p');
SELECT fx.ended(fx.job_of(:'p'), 'VOICEMAIL');
SELECT fx.later(:'p', '11 minutes');
SELECT fx.sweep();
SELECT is(fx.at(:'p'), 'classification_failed: no classification', 'and without a word there is none');
SELECT fx.calling() AS p \gset
UPDATE pending_calls SET follow_up_id = NULL, last_attempt_at = now() + interval '1 hour' WHERE id = :'p';
SELECT fx.later(:'p', '11 minutes');
SELECT fx.sweep();
SELECT is(fx.at(:'p'), 'retry_pending: stuck: never dialed', 'an earlier call is not its own');

-- ---- Whose number is rung ---------------------------------------------------------------------------------------------------------

CREATE FUNCTION fx.to_ring(p uuid) RETURNS text LANGUAGE sql AS $$
	SELECT l.phone_e164 FROM carillon.pending_calls o JOIN carillon.follow_ups f ON f.id = o.follow_up_id JOIN carillon.leads l ON l.id = f.lead_id WHERE o.id = p
$$;
SELECT fx.ready() AS p \gset
SELECT fx.phone() AS other, phone_e164 AS phone FROM pending_calls WHERE id = :'p' \gset
SELECT fx.follow_up_of(:'p') AS f \gset
UPDATE leads SET phone = :'other' WHERE id = (SELECT lead_id FROM pending_calls WHERE id = :'p');
SELECT is(fx.look(:f), 'cancelled because of workflow', 'a lead that has another number is not rung for it');
SELECT is(fx.run(), 1::bigint, 'its pending call is linked again');
SELECT is(fx.to_ring(:'p'), :'phone', 'to whom its own number belongs');
SELECT fx.phone() AS phone \gset
SELECT fx.pending(:'phone') AS p \gset
SELECT fx.run();
SELECT fx.queued(fx.follow_up_of(:'p'));
UPDATE leads SET phone = fx.phone() WHERE id = (SELECT lead_id FROM pending_calls WHERE id = :'p');
SELECT fx.run();
SELECT is(fx.to_ring(:'p'), :'phone', 'so is a classification call that is queued');
SELECT fx.calling() AS p \gset
SELECT fx.follow_up_of(:'p') AS f, phone_e164 AS phone FROM pending_calls WHERE id = :'p' \gset
UPDATE leads SET phone = fx.phone() WHERE id = (SELECT lead_id FROM pending_calls WHERE id = :'p');
SELECT is(fx.follow_up_of(:'p'), :f::bigint, 'a call that is under way is under way');
SELECT fx.ended(fx.job(:'p'), 'BUSY');
SELECT fx.later(:'p', '1 hour');
SELECT fx.run();
SELECT is(fx.to_ring(:'p'), :'phone', 'its retry rings its own number');
SELECT fx.ready() AS p \gset
SELECT fx.follow_up_of(:'p') AS f, fx.phone() AS other \gset
UPDATE pending_calls SET phone = :'other' WHERE id = :'p';
SELECT results_eq(format('SELECT lead_id, classification_id, follow_up_id, next_action_at FROM pending_calls WHERE id = %L', :'p'),
	'VALUES (NULL::bigint, NULL::uuid, NULL::bigint, now())', 'a pending call with another number is another''s');
SELECT is(fx.look(:f), 'cancelled because of workflow', 'its call to the one before is not made');
SELECT fx.run();
SELECT is(fx.to_ring(:'p'), :'other', 'but one to this one');
UPDATE leads SET phone = format('(%s) 555-%s', substr(:'other', 3, 3), right(:'other', 4)) WHERE phone_e164 = :'other';
SELECT isnt(fx.follow_up_of(:'p'), NULL::bigint, 'the same number in other words is the same');

-- ---- A row without a number ------------------------------------------------------------------------------------------------------------

SELECT fx.pending() AS p \gset
SELECT fx.ready() AS q \gset
UPDATE pending_calls SET phone = NULL WHERE id = :'q';
SELECT fx.pending('+19005550100', 'needs_classification') AS r \gset
SELECT fx.pending(NULL, 'ready_to_call') AS s \gset
SELECT fx.run();
SELECT is(fx.at(:'p'), 'needs_classification: not_classified', 'others go on');
SELECT is(fx.at(x), 'failed: number', 'and it fails') FROM unnest(ARRAY[:'q', :'r', :'s']::uuid[]) x;

-- ---- Nobody classifies -----------------------------------------------------------------------------------------------------------------

UPDATE settings SET value = value || '{"classify_account": "nobody"}' WHERE key = 'workflow';
SELECT fx.pending() AS p \gset
SELECT fx.run();
SELECT is_empty(format('SELECT 1 FROM stuck_calls WHERE id = %L', :'p'), 'without an account it waits');
UPDATE pending_calls SET state_since = now() - interval '61 minutes' WHERE id = :'p';
SELECT results_eq(format('SELECT minutes_in_state FROM stuck_calls WHERE id = %L', :'p'), 'VALUES (61::bigint)', 'and after an hour somebody is told');
UPDATE settings SET value = value || '{"classify_account": "fx-two"}' WHERE key = 'workflow';
SELECT fx.later(:'p', '2 minutes');
SELECT fx.run();
SELECT is_empty(format('SELECT 1 FROM stuck_calls WHERE id = %L', :'p'), 'until its call is in the queue');

-- ---- Who answers is known otherwise ------------------------------------------------------------------------------------------------------

-- Over, and no classifier has spoken.
CREATE FUNCTION fx.unheard(p uuid, the_outcome text DEFAULT 'HUMAN') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM fx.ended(fx.job(p), the_outcome), fx.later(p, '31 seconds'), fx.run();
END $$;
SELECT fx.classifying() AS p \gset
SELECT fx.known(phone_e164, 'ivr_then_human') FROM pending_calls WHERE id = :'p' \g /dev/null
SELECT fx.unheard(:'p');
SELECT is(fx.at(:'p'), 'classification_pending: ivr_then_human', 'somebody put a classification while the call ran');
SELECT isnt(classification_id, NULL::uuid, 'which is used') FROM pending_calls WHERE id = :'p';
SELECT fx.classifying() AS p \gset
SELECT fx.known(phone_e164, 'human') FROM pending_calls WHERE id = :'p' \g /dev/null
SELECT fx.unheard(:'p');
SELECT is(fx.at(:'p'), 'classification_pending: human', 'a person by hearsay: the task call is still to be made');
SELECT fx.classifying() AS p \gset
SELECT fx.known(phone_e164) FROM pending_calls WHERE id = :'p' \g /dev/null
UPDATE call_classifications SET classification_expires_at = now() WHERE phone_e164 = (SELECT phone_e164 FROM pending_calls WHERE id = :'p');
SELECT fx.unheard(:'p');
SELECT is(fx.at(:'p'), 'classification_failed: no classification', 'one that has expired is none');

-- Twilio tells who answered as the reason of the end.
CREATE FUNCTION fx.detected(the_phone text, answered_by text, the_outcome text DEFAULT 'HUMAN', the_provider text DEFAULT 'twilio') RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
	p uuid := fx.classifying(the_phone);
BEGIN
	UPDATE carillon.calls SET provider = the_provider, ended_reason = answered_by WHERE job_id = fx.job(p);
	PERFORM fx.unheard(p, the_outcome);
	RETURN p;
END $$;
SELECT fx.phone() AS phone \gset
SELECT fx.classifying(:'phone') AS p \gset
SELECT fx.pending(:'phone') FROM generate_series(1, 3) \g /dev/null
SELECT fx.run();
UPDATE calls SET provider = 'twilio', ended_reason = 'human' WHERE job_id = fx.job(:'p');
SELECT fx.unheard(:'p');
SELECT results_eq(format('SELECT fx.at(id), count(*) FROM pending_calls WHERE phone_e164 = %L GROUP BY 1 ORDER BY 1', :'phone'),
	$$VALUES ('classification_pending: human', 3::bigint), ('completed: human', 1::bigint)$$, 'a person was detected: the conversation was that of one');
SELECT results_eq(format('SELECT classification_type, source FROM call_classifications WHERE phone_e164 = %L', :'phone'), $$VALUES ('human', 'twilio')$$,
	'that is known of the number');
SELECT is(count(*), 3::bigint, 'to its other calls') FROM pending_calls p JOIN call_classifications c ON c.id = p.classification_id
WHERE p.phone_e164 = :'phone' AND p.workflow_state = 'classification_pending';
SELECT is(fx.at(fx.detected(fx.phone(), 'human')), 'completed: human', 'a person was detected: the conversation is over');
SELECT is(fx.at(fx.detected(fx.phone(), 'human', 'FAILED')), 'retry_pending: failed', 'one that broke off is tried again');
SELECT is(fx.at(fx.detected(fx.phone(), 'machine_start', 'VOICEMAIL')), 'classification_failed: no classification', 'a machine may have a menu or none');
SELECT is(fx.at(fx.detected(fx.phone(), 'unknown')), 'classification_failed: no classification', 'unknown is unknown');
SELECT is(fx.at(fx.detected(fx.phone(), 'completed')), 'classification_failed: no classification', 'the end alone says nothing');
SELECT is(fx.at(fx.detected(fx.phone(), 'human', 'HUMAN', 'vapi')), 'classification_failed: no classification', 'a word of Twilio''s alone');

-- ---- Of one number ---------------------------------------------------------------------------------------------------------------------

SELECT fx.phone() AS phone \gset
SELECT fx.classifying(:'phone') AS p \gset
SELECT fx.pending(:'phone') FROM generate_series(1, 4) \g /dev/null
SELECT fx.run();
UPDATE pending_calls SET retry_count = 1 WHERE id = :'p';
SELECT fx.ended(fx.job(:'p'), 'NO_ANSWER');
SELECT results_eq(format('SELECT workflow_state, count(*), count(DISTINCT next_action_at) FROM pending_calls WHERE phone_e164 = %L GROUP BY 1', :'phone'),
	$$VALUES ('retry_pending', 5::bigint, 1::bigint)$$, 'those that wait for one call are tried again together, whatever they have behind them');
SELECT fx.later(id, '1 hour') FROM pending_calls WHERE phone_e164 = :'phone' \g /dev/null
SELECT is(fx.run(), 1::bigint, 'with one call');
CREATE TEMP TABLE apart AS SELECT fx.calling() AS id FROM generate_series(1, 5);
SELECT fx.ended(fx.job(id), 'BUSY') FROM apart \g /dev/null
SELECT isnt(count(DISTINCT next_action_at), 1::bigint, 'those of different numbers apart') FROM pending_calls WHERE id IN (SELECT id FROM apart);

-- The call is told what is known when it is made.
SELECT fx.ready() AS p \gset
SELECT fx.known(phone_e164, 'human') FROM pending_calls WHERE id = :'p' \g /dev/null
SELECT is(workflow_variables(fx.follow_up_of(:'p')) ->> 'classification_type', 'human', 'a newer word than the one it waited with');
UPDATE call_classifications SET classification_expires_at = now() WHERE is_active;
SELECT is(workflow_variables(fx.follow_up_of(:'p')) ? 'classification_type', false, 'or none');

-- ---- Callbacks ---------------------------------------------------------------------------------------------------------------------------

-- The person asks to be called back, and is.
CREATE FUNCTION fx.called_back(p uuid) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM fx.ended(fx.job(p), 'CALLBACK', NULL, now() + interval '3 hours');
	PERFORM fx.later(p, '3 hours'), fx.run();
	RETURN fx.at(p);
END $$;
SELECT fx.calling() AS p \gset
UPDATE pending_calls SET max_retries = 1, retry_count = 1 WHERE id = :'p';
SELECT is(fx.called_back(:'p'), 'ready_to_call: retried', 'a promised callback is made after the last retry too');
SELECT is(callback_at, NULL::timestamptz, 'once') FROM pending_calls WHERE id = :'p';
SELECT fx.called(:'p') \g /dev/null
SELECT is(fx.called_back(:'p'), 'failed: Max retries exceeded', 'up to twice as often');
SELECT fx.calling() AS p \gset
UPDATE pending_calls SET max_retries = 0 WHERE id = :'p';
SELECT is(fx.called_back(:'p'), 'ready_to_call: retried', 'and at least once');
SELECT fx.called(:'p') \g /dev/null
SELECT fx.ended(fx.job(:'p'), 'BUSY');
SELECT fx.run();
SELECT is(fx.at(:'p'), 'failed: Max retries exceeded', 'a callback that nobody takes is over');

-- ---- The sweep takes some at a time ----------------------------------------------------------------------------------------------------

DELETE FROM pending_calls;
INSERT INTO pending_calls (id, tenant_id, phone, next_action_at) SELECT format('00000000-0000-4000-8000-00000000000%s', n)::uuid, 'fx', '+12125550101', NULL FROM generate_series(1, 5) n;
SELECT is(workflow_waiting('00000000-0000-4000-8000-000000000003', 2), '{00000000-0000-4000-8000-000000000003,00000000-0000-4000-8000-000000000004}'::uuid[], 'so many');
SELECT is(workflow_waiting('00000000-0000-4000-8000-000000000005', 2), '{00000000-0000-4000-8000-000000000005,00000000-0000-4000-8000-000000000001}'::uuid[], 'after the last the first');
SELECT is(cardinality(workflow_waiting(gen_random_uuid(), 100)), 5, 'all, if they are few');
SELECT fx.sweep();
SELECT is(count(*), 5::bigint, 'each that waits for nothing is looked at') FROM pending_calls WHERE next_action_at = now();
SELECT has_index('carillon', 'pending_calls', 'pending_calls_phone', ARRAY['phone_e164', 'tenant_id'], 'lists by phone have an index');
SELECT has_index('carillon', 'call_classifications', 'call_classifications_phone', ARRAY['phone_e164', 'tenant_id'], 'so have those of classifications');

-- ---- What the alarms count ------------------------------------------------------------------------------------------------------------------

DELETE FROM pending_calls;
CREATE FUNCTION fx.counted(the_state text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	FOR r IN EXECUTE 'EXECUTE workflow_counts(0, 0)' LOOP
		IF r.state = the_state THEN
			RETURN format('%s for %s s, %s stuck', r.calls, round(r.age_seconds), r.stuck);
		END IF;
	END LOOP;
END $$;
SELECT fx.pending() AS p \gset
UPDATE pending_calls SET state_since = now() - interval '2 hours', next_action_at = now() + interval '1 hour' WHERE id = :'p';
SELECT is(fx.counted('new'), '1 for 0 s, 0 stuck', 'one that is to wait is not late');
UPDATE pending_calls SET next_action_at = now() - interval '20 minutes' WHERE id = :'p';
SELECT is(fx.counted('new'), '1 for 1200 s, 0 stuck', 'late is what its time has passed');
DELETE FROM pending_calls;
SELECT fx.calling() AS p \gset
SELECT fx.later(:'p', '11 minutes');
UPDATE calls SET posted_at = now() - interval '11 minutes' WHERE job_id = fx.job(:'p');
SELECT is(count(*), 1::bigint, 'a long call is looked into') FROM stuck_calls WHERE id = :'p';
SELECT is(fx.counted('calling'), '1 for 660 s, 0 stuck', 'but alarms nobody');
UPDATE calls SET posted_at = now() - interval '21 minutes' WHERE job_id = fx.job(:'p');
SELECT is(fx.counted('calling'), '1 for 660 s, 1 stuck', 'one that is longer than a call can be does');
UPDATE calls SET posted_at = now() - interval '11 minutes' WHERE job_id = fx.job(:'p');
UPDATE live SET state = 'unknown' WHERE job_id = fx.job(:'p');
SELECT is(fx.counted('calling'), '1 for 660 s, 1 stuck', 'and so does one of which nobody knows');

-- No arrow in all this history that is not there.
SELECT is_empty($$SELECT from_state, to_state FROM transitions WHERE entity = 'pending_call' AND from_state IS NOT NULL
	EXCEPT SELECT state, next FROM workflow_arrows$$, 'no illegal arrow was ever taken');

SELECT * FROM finish();
ROLLBACK;
