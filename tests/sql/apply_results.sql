-- SPDX-License-Identifier: Apache-2.0
-- What a dispatch result does to ledger, live row, follow-up, lead and account; the second time it does nothing.
BEGIN;
\ir lib/fixture.psql
\set file common/sql/apply_results.sql
\ir lib/prepare.psql
\set file consumer/sql/results_facts.sql
\ir lib/prepare.psql
SELECT plan(64);

-- Applies one result as the consumer's role. Backoff from 60 s to 3600 s, an accepted call is looked up after 1200 s, an unknown after 10 s.
CREATE FUNCTION fx.apply(job uuid, result text, refusal text DEFAULT NULL, provider_id text DEFAULT NULL, retry_at timestamptz DEFAULT NULL,
	posted timestamptz DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	answer text;
BEGIN
	SET LOCAL ROLE carillon_consumer;
	FOR r IN EXECUTE format('EXECUTE apply_results(%L, %L, %L, %L, %L, %L, %L, %L, %L, 60, 3600, 1200, 10)', ARRAY[job], ARRAY[result],
		ARRAY[refusal], ARRAY[provider_id], ARRAY[200], ARRAY[CASE WHEN result <> 'accepted' THEN 'an error' END],
		ARRAY[carillon.to_ms(posted)], ARRAY[carillon.to_ms(now())], ARRAY[carillon.to_ms(retry_at)]) LOOP
		answer := concat_ws(',', answer, r.status);
	END LOOP;
	RESET ROLE;
	RETURN coalesce(answer, 'nothing');
END $$;

-- Seconds until the follow-up of a job is looked at again.
CREATE FUNCTION fx.wait_of(job uuid) RETURNS double precision LANGUAGE sql AS $$
	SELECT extract(epoch FROM f.next_look_at - now())::double precision
	FROM carillon.follow_ups f JOIN carillon.calls c ON c.follow_up_id = f.id WHERE c.job_id = job
$$;
CREATE FUNCTION fx.follow_up_of(job uuid) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', f.status, f.attempts, f.reason) FROM carillon.follow_ups f JOIN carillon.calls c ON c.follow_up_id = f.id WHERE c.job_id = job
$$;
CREATE FUNCTION fx.is_live(job uuid) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce((SELECT state FROM carillon.live WHERE job_id = job), 'no')
$$;

SELECT fx.lane('one') AS lane \gset
SELECT now() - interval '3 seconds' AS posted \gset

-- ---- Accepted --------------------------------------------------------------------------------------------------------

SELECT fx.call(:lane, 'dialing') AS job \gset
SELECT is(fx.apply(:'job', 'accepted', NULL, 'p-1', NULL, :'posted'), 'calling', 'accepted: the call is calling');
SELECT results_eq(format('SELECT status, provider_call_id, http_status, refusal, error, posted_at, answered_at FROM calls WHERE job_id = %L', :'job'),
	format('VALUES (''calling'', ''p-1'', 200, NULL, NULL, from_ms(to_ms(%L)), from_ms(to_ms(now())))', :'posted'), 'with the provider''s id and the times');
SELECT results_eq(format('SELECT f.status, f.completed_at, f.attempts, f.lease_until FROM follow_ups f JOIN calls USING (job_id) WHERE job_id = %L', :'job'),
	format('VALUES (''completed'', from_ms(to_ms(%L)), 1, NULL::timestamptz)', :'posted'), 'the follow-up is completed');
SELECT results_eq(format('SELECT state, next_check_at FROM live WHERE job_id = %L', :'job'), $$VALUES ('calling', now() + interval '1200 seconds')$$,
	'the call stays live, to be looked up when it ought to be over');
SELECT results_eq(format('SELECT stage, call_date FROM leads WHERE id = (SELECT lead_id FROM calls WHERE job_id = %L)', :'job'),
	format('VALUES (''contacted'', from_ms(to_ms(%L)))', :'posted'), 'a new lead is contacted');
SELECT is(l.raw_payload -> 'dispatch' ->> k, v, 'raw_payload.dispatch.' || k)
FROM calls c JOIN leads l ON l.id = c.lead_id, (VALUES ('status', 'completed'), ('job_id', :'job'), ('provider', 'omni'), ('provider_call_id', 'p-1'),
	('attempts', '1'), ('last_error', NULL)) e (k, v) WHERE c.job_id = :'job';
SELECT is(l.raw_payload -> 'dispatch' ? 'dispatched_at', true, 'raw_payload.dispatch.dispatched_at')
FROM calls c JOIN leads l ON l.id = c.lead_id WHERE c.job_id = :'job';
SELECT results_eq(format('SELECT from_state, to_state, reason, actor, event_id FROM transitions
	WHERE entity = ''lead'' AND entity_id = (SELECT lead_id::text FROM calls WHERE job_id = %L)', :'job'),
	format('VALUES (''new'', ''contacted'', ''dispatched'', ''recorder'', %L)', :'job'), 'the change of stage is kept');

CREATE TEMP TABLE before AS SELECT to_jsonb(c) AS call, to_jsonb(f) AS follow_up, to_jsonb(l) AS lead, to_jsonb(v) AS live
FROM calls c JOIN follow_ups f ON f.id = c.follow_up_id JOIN leads l ON l.id = c.lead_id JOIN live v ON v.job_id = c.job_id WHERE c.job_id = :'job';
SELECT is(fx.apply(:'job', 'accepted', NULL, 'p-1', NULL, :'posted'), 'nothing', 'the same result again changes nothing');
SELECT is(fx.apply(:'job', result, 'retry'), 'nothing', format('nor does %s after it', result)) FROM unnest(ARRAY['refused', 'not_sent', 'unknown']) result;
SELECT results_eq(format('SELECT to_jsonb(c), to_jsonb(f), to_jsonb(l), to_jsonb(v) FROM calls c JOIN follow_ups f ON f.id = c.follow_up_id
	JOIN leads l ON l.id = c.lead_id JOIN live v ON v.job_id = c.job_id WHERE c.job_id = %L', :'job'), 'SELECT * FROM before', 'no row has changed');

SELECT is(job_id, :'job', 'the provider''s id leads to the call') FROM provider_calls WHERE provider_call_id = 'p-1';
SELECT fx.call(:lane, 'dialing') AS twin \gset
SELECT is(fx.apply(:'twin', 'accepted', NULL, 'p-1'), 'calling', 'a call that is given an id which another has is accepted all the same');
SELECT is(job_id, :'job', 'the id stays with the first') FROM provider_calls WHERE provider_call_id = 'p-1';

SELECT fx.call(:lane, 'dialing') AS job \gset
UPDATE leads SET stage = 'visit_scheduled', raw_payload = '{"dispatch": {"mine": 1}, "other": 2}' WHERE id = (SELECT lead_id FROM calls WHERE job_id = :'job');
SELECT fx.apply(:'job', 'accepted', NULL, 'p-2') \g /dev/null
SELECT results_eq(format('SELECT stage, raw_payload #>> ''{dispatch,mine}'', raw_payload ->> ''other'', call_date FROM leads
	WHERE id = (SELECT lead_id FROM calls WHERE job_id = %L)', :'job'), $$VALUES ('visit_scheduled', '1', '2', now())$$,
	'another stage, and what else the payload has, stays');
SELECT is((SELECT count(*) FROM transitions WHERE event_id = :'job'), 0::bigint, 'without a change of stage no transition');

-- ---- Refused -----------------------------------------------------------------------------------------------------------

SELECT fx.call(:lane, 'dialing') AS job \gset
SELECT is(fx.apply(:'job', 'refused', 'retry'), 'rejected', 'refused: the call is rejected');
SELECT is(fx.follow_up_of(:'job'), 'pending 1', 'the follow-up waits, the attempt counts');
SELECT is(fx.is_live(:'job'), 'no', 'the phone is free');
SELECT ok(fx.wait_of(:'job') BETWEEN 30 AND 60, 'with a first backoff');
SELECT results_eq(format('SELECT l.stage, l.call_date, l.raw_payload #>> ''{dispatch,status}'', l.raw_payload #>> ''{dispatch,last_error}'' FROM leads l
	JOIN calls c ON c.lead_id = l.id WHERE job_id = %L', :'job'), $$VALUES ('new', NULL::timestamptz, 'pending', 'an error')$$, 'the lead was not reached');

SELECT fx.call(:lane, 'dialing') AS job \gset
UPDATE follow_ups SET attempts = 3 WHERE job_id = :'job';
SELECT fx.apply(:'job', 'refused', 'retry') \g /dev/null
SELECT ok(fx.wait_of(:'job') BETWEEN 240 AND 480, 'the backoff doubles');
SELECT fx.call(:lane, 'dialing') AS job \gset
UPDATE follow_ups SET attempts = 1000 WHERE job_id = :'job';
SELECT fx.apply(:'job', 'refused', 'retry') \g /dev/null
SELECT ok(fx.wait_of(:'job') BETWEEN 1800 AND 3600, 'up to the longest');

SELECT fx.call(:lane, 'dialing') AS job \gset
SELECT fx.apply(:'job', 'refused', 'busy', NULL, now() + interval '90 seconds') \g /dev/null
SELECT is(fx.follow_up_of(:'job'), 'pending 0', 'backpressure is no attempt');
SELECT is(round(fx.wait_of(:'job')::numeric), 90::numeric, 'and is tried again when the provider says');
SELECT fx.call(:lane, 'dialing') AS job \gset
SELECT fx.apply(:'job', 'refused', 'busy', NULL, now() + interval '9 days') \g /dev/null
SELECT is(fx.wait_of(:'job'), 3600::double precision, 'but not later than the longest backoff');

SELECT fx.call(:lane, 'dialing') AS job \gset
SELECT fx.apply(:'job', 'refused', 'number') \g /dev/null
SELECT is(fx.follow_up_of(:'job'), 'failed 1 number', 'a number refused for good: failed');
SELECT fx.call(:lane, 'dialing') AS job \gset
SELECT fx.apply(:'job', 'refused', 'configuration') \g /dev/null
SELECT is(fx.follow_up_of(:'job'), 'failed 1 configuration', 'a configuration refused for good: failed');
SELECT is(fx.is_live(:'job'), 'no', 'the phone is free');

SELECT fx.call(:lane, 'dialing') AS job \gset
SELECT is((SELECT breaker_until FROM accounts WHERE name = 'fx-one'), NULL, 'no breaker was opened so far');
SELECT fx.apply(:'job', 'refused', 'account') \g /dev/null
SELECT is(fx.follow_up_of(:'job'), 'pending 0', 'an account refused is no attempt');
SELECT results_eq($$SELECT name, breaker_until, breaker_reason FROM accounts WHERE tenant_id = 'fx' ORDER BY 1$$,
	$$VALUES ('fx-one', now() + interval '1 minute', 'an error'), ('fx-two', NULL, NULL)$$, 'it opens the account''s breaker, and no other');
UPDATE accounts SET breaker_until = NULL;

-- ---- Not sent ------------------------------------------------------------------------------------------------------------

SELECT fx.call(:lane, 'dialing') AS job \gset
SELECT is(fx.apply(:'job', 'not_sent'), 'not_dialed', 'not sent: the call is not dialed');
SELECT is(fx.follow_up_of(:'job'), 'pending 0', 'the attempt does not count');
SELECT ok(fx.wait_of(:'job') BETWEEN 5 AND 10 AND fx.is_live(:'job') = 'no', 'it is tried again soon');

-- ---- Unknown ---------------------------------------------------------------------------------------------------------------

SELECT fx.call(:lane, 'dialing') AS job \gset
SELECT is(fx.apply(:'job', 'unknown'), 'unknown', 'unknown: so is the call');
SELECT is(fx.follow_up_of(:'job'), 'dialing 0', 'the follow-up is not given back');
SELECT results_eq(format('SELECT state, next_check_at FROM live WHERE job_id = %L', :'job'), $$VALUES ('unknown', now() + interval '10 seconds')$$,
	'the phone stays held until the look-up');
SELECT is(fx.apply(:'job', 'unknown'), 'nothing', 'unknown twice changes nothing');
SELECT is(fx.apply(:'job', 'accepted', NULL, 'p-3'), 'calling', 'a later proof of the call resolves it');
SELECT is(fx.follow_up_of(:'job'), 'completed 1', 'and completes the follow-up');
-- The wait of one that was not sent so often before.
CREATE FUNCTION fx.wait_after(times integer, the_lane bigint) RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
	job uuid := fx.call(the_lane, 'dialing');
BEGIN
	INSERT INTO carillon.calls (job_id, tenant_id, follow_up_id, kind, lane_id, lead_id, account_id, provider, phone, attempt, status, worker, due_at, claimed_at)
	SELECT carillon.uuid_v7(), tenant_id, follow_up_id, kind, lane_id, lead_id, account_id, provider, phone, attempt, 'not_dialed', worker, due_at, claimed_at
	FROM carillon.calls, generate_series(1, times) WHERE job_id = job;
	PERFORM fx.apply(job, 'not_sent');
	RETURN fx.wait_of(job);
END $$;
SELECT ok(fx.wait_after(2, :lane) BETWEEN 20 AND 40, 'the third time it waits longer');
SELECT ok(fx.wait_after(90, :lane) BETWEEN 60 AND 120, 'but never longer than two minutes');
SELECT fx.call(:lane, 'unknown') AS job \gset
SELECT is(fx.apply(:'job', 'not_sent'), 'not_dialed', 'a later proof of absence resolves it too');
SELECT is(fx.follow_up_of(:'job') || ', live: ' || fx.is_live(:'job'), 'pending 0, live: no', 'and gives the follow-up back');
SELECT fx.call(:lane, 'undetermined') AS job \gset
SELECT is(fx.apply(:'job', 'accepted', NULL, 'p-4'), 'calling', 'a late result resolves an undetermined call');
SELECT is(fx.follow_up_of(:'job'), 'completed 1', 'and its follow-up');

-- ---- Many at once --------------------------------------------------------------------------------------------------------------

SELECT fx.call(:lane, 'dialing') AS a, fx.call(:lane, 'dialing') AS b, gen_random_uuid() AS nobody \gset
CREATE TEMP TABLE many AS EXECUTE apply_results(ARRAY[:'a', :'b', :'a', :'nobody']::uuid[], '{unknown,refused,accepted,accepted}', '{NULL,retry,NULL,NULL}',
	'{NULL,NULL,p-5,p-6}', '{NULL,429,201,201}', '{reset,no,NULL,NULL}', '{NULL,NULL,NULL,NULL}', '{NULL,NULL,NULL,NULL}', '{NULL,NULL,NULL,NULL}',
	60, 3600, 1200, 10);
SELECT bag_eq('SELECT job_id, status FROM many', format('VALUES (%L::uuid, ''calling''), (%L, ''rejected'')', :'a', :'b'),
	'of two results for a job the accepted one counts, and a job without a call is nobody''s');

-- ---- A follow-up that moved on -----------------------------------------------------------------------------------------------------

SELECT fx.call(:lane, 'dialing') AS job \gset
UPDATE follow_ups SET job_id = gen_random_uuid() WHERE job_id = :'job';
SELECT fx.apply(:'job', 'refused', 'number') \g /dev/null
SELECT is(fx.follow_up_of(:'job'), 'dialing 0', 'a result moves only the follow-up of its own job');
SELECT fx.call(:lane, 'dialing', NULL, 'task') AS job \gset
SELECT fx.apply(:'job', 'accepted', NULL, 'p-7') \g /dev/null
SELECT is(stage, 'new', 'a call of the workflow is none of the lead''s stage') FROM leads WHERE id = (SELECT lead_id FROM calls WHERE job_id = :'job');

-- A redial whose record was paused, ended or removed while it was being dialed, and that was not dialed after all.
CREATE FUNCTION fx.redial_of(job uuid, record_status text) RETURNS void LANGUAGE sql AS $$
	WITH record AS (
		INSERT INTO redial_queue (tenant_id, lead_id, phone_number, status) SELECT 'fx', lead_id::text, phone, record_status FROM calls WHERE job_id = job
		RETURNING id
	)
	UPDATE follow_ups f SET source = 'redial', source_id = CASE record_status WHEN 'max_attempts' THEN '0' ELSE record.id::text END FROM record WHERE f.job_id = job
$$;
CREATE TEMP TABLE redials AS SELECT fx.call(:lane, 'dialing', NULL, 'redial') AS job, * FROM (VALUES
	('pending', 'not_sent', 'pending'), ('paused', 'not_sent', 'cancelled because of paused'),
	('completed', 'refused', 'cancelled because of completed'), ('max_attempts', 'not_sent', 'cancelled because of removed')) v (record, result, expected);
SELECT count(fx.redial_of(job, record)) FROM redials \g /dev/null
SELECT count(fx.apply(job, result, CASE result WHEN 'refused' THEN 'retry' END)) FROM redials \g /dev/null
SELECT is(split_part(fx.state(f.id), ' live', 1), expected, format('not dialed after all, its record %s', CASE record WHEN 'max_attempts' THEN 'removed' ELSE record END))
FROM redials r JOIN calls c ON c.job_id = r.job JOIN follow_ups f ON f.id = c.follow_up_id;

-- ---- Facts that come after the events ------------------------------------------------------------------------------------------------

SELECT fx.call(:lane, 'in_progress') AS job \gset
EXECUTE results_facts(ARRAY[:'job']::uuid[], '{accepted}', '{p-8}', '{201}', ARRAY[to_ms(:'posted')], ARRAY[to_ms(now())], 1200);
SELECT results_eq(format('SELECT status, provider_call_id, http_status, posted_at FROM calls WHERE job_id = %L', :'job'),
	format('VALUES (''in_progress'', ''p-8'', 201, from_ms(to_ms(%L)))', :'posted'), 'results_facts adds what the result knows, and moves nothing');
EXECUTE results_facts(ARRAY[:'job']::uuid[], '{accepted}', '{p-9}', '{500}', ARRAY[to_ms(now())], ARRAY[to_ms(now())], 1200);
SELECT is(provider_call_id || ' ' || http_status, 'p-8 201', 'once') FROM calls WHERE job_id = :'job';
SELECT fx.call(:lane, 'dialing') AS job \gset
EXECUTE results_facts(ARRAY[:'job']::uuid[], '{accepted}', '{p-9}', '{201}', ARRAY[to_ms(now())], ARRAY[to_ms(now())], 1200);
SELECT is(provider_call_id, NULL, 'not while it is dialing') FROM calls WHERE job_id = :'job';

SELECT * FROM finish();
ROLLBACK;
