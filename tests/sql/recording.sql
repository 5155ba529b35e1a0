-- SPDX-License-Identifier: Apache-2.0
-- The recorder: messages come in once, find their call, move it forward alone, and one decision of a call counts.
BEGIN;
\ir lib/fixture.psql
\set file consumer/sql/inbox_insert.sql
\ir lib/prepare.psql
\set file consumer/sql/inbox_resolve.sql
\ir lib/prepare.psql
\set file consumer/sql/inbox_parked.sql
\ir lib/prepare.psql
\set file consumer/sql/events_apply.sql
\ir lib/prepare.psql
\set file consumer/sql/redial_apply.sql
\ir lib/prepare.psql
\set file consumer/sql/stage_apply.sql
\ir lib/prepare.psql
\set file consumer/sql/offsets_load.sql
\ir lib/prepare.psql
\set file consumer/sql/offsets_read.sql
\ir lib/prepare.psql
\set file consumer/sql/offset_advance.sql
\ir lib/prepare.psql
\set file consumer/sql/dead_letters_insert.sql
\ir lib/prepare.psql
\set file producer/sql/mark_orphans.sql
\ir lib/prepare.psql
SELECT plan(105);

SELECT fx.lane('one') AS lane, fx.lane('two') AS two \gset
UPDATE lanes SET account_id = fx.account('fx-two') WHERE id = :two;

-- One message into the inbox, as the consumer's role.
CREATE FUNCTION fx.receive(message text, event_id text, job uuid DEFAULT NULL, type text DEFAULT NULL, rank integer DEFAULT 0,
	provider_id text DEFAULT NULL, phone text DEFAULT NULL, outcome text DEFAULT NULL, body jsonb DEFAULT '{}', callback timestamptz DEFAULT NULL,
	at timestamptz DEFAULT now(), account text DEFAULT 'fx-one', tenant text DEFAULT 'fx') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL ROLE carillon_consumer;
	EXECUTE format('EXECUTE inbox_insert(%L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L)', ARRAY[message], ARRAY[account],
		ARRAY[event_id], ARRAY[tenant], ARRAY[type], ARRAY[rank], ARRAY[provider_id], ARRAY[job], ARRAY[NULL::text], ARRAY[phone], ARRAY[outcome],
		ARRAY[NULL::text], ARRAY[NULL::boolean], ARRAY[carillon.to_ms(callback)], ARRAY[NULL::integer], ARRAY[carillon.to_ms(at)],
		ARRAY[carillon.to_ms(at)], ARRAY[body::text], ARRAY[NULL::bytea]);
	RESET ROLE;
END $$;

-- Finds the calls of these events. Answers with the calls that were proved.
CREATE FUNCTION fx.resolve(VARIADIC event_ids text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	answer text;
BEGIN
	SET LOCAL ROLE carillon_consumer;
	FOR r IN EXECUTE format('EXECUTE inbox_resolve(%L, %L, %L, %L, false)',
		(SELECT array_agg(account ORDER BY event_id) FROM carillon.call_events WHERE event_id = ANY (event_ids)),
		(SELECT array_agg(event_id ORDER BY event_id) FROM carillon.call_events WHERE event_id = ANY (event_ids)), '{}'::uuid[], '{}'::text[]) LOOP
		answer := concat_ws(',', answer, r.job_id || coalesce('=' || r.provider_call_id, ''));
	END LOOP;
	RESET ROLE;
	RETURN coalesce(answer, 'none');
END $$;

-- What one batch of the recorder does with these events, but for its results and offsets. Answers with what came alive.
CREATE FUNCTION fx.apply(VARIADIC event_ids text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	answer text;
BEGIN
	PERFORM fx.resolve(VARIADIC event_ids);
	SET LOCAL ROLE carillon_consumer;
	FOR r IN EXECUTE 'EXECUTE events_apply(1200)' LOOP
		answer := concat_ws(',', answer, concat_ws(' ', r.was, r.status, CASE WHEN r.called_off THEN 'called off' END));
	END LOOP;
	EXECUTE 'EXECUTE redial_apply';
	EXECUTE format('EXECUTE stage_apply(%L, %L)',
		(SELECT array_agg(account ORDER BY event_id) FROM carillon.call_events WHERE event_id = ANY (event_ids)),
		(SELECT array_agg(event_id ORDER BY event_id) FROM carillon.call_events WHERE event_id = ANY (event_ids)));
	RESET ROLE;
	RETURN coalesce(answer, 'none');
END $$;

CREATE FUNCTION fx.status_of(job uuid) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', c.status, c.outcome, CASE WHEN v.job_id IS NOT NULL THEN 'live ' || v.state END)
	FROM carillon.calls c LEFT JOIN carillon.live v ON v.job_id = c.job_id WHERE c.job_id = job
$$;
CREATE FUNCTION fx.event_state(the_event text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(state, ',') FROM carillon.call_events WHERE event_id = the_event
$$;
CREATE FUNCTION fx.call_of(the_event text) RETURNS uuid LANGUAGE sql AS $$
	SELECT call_job_id FROM carillon.call_events WHERE event_id = the_event
$$;
CREATE FUNCTION fx.phone_of(job uuid) RETURNS text LANGUAGE sql AS $$
	SELECT phone FROM carillon.calls WHERE job_id = job
$$;

-- ---- The inbox ---------------------------------------------------------------------------------------------------------

SELECT fx.call(:lane, 'calling', 'p-1') AS job \gset
SELECT fx.receive('event', 'e-1', :'job', 'ringing', 2), fx.receive('event', 'e-1', :'job', 'report', 5, outcome => 'SALE') \g /dev/null
SELECT results_eq('SELECT type, outcome FROM call_events WHERE event_id = ''e-1''', $$VALUES ('ringing', NULL)$$, 'a copy of a message vanishes');
SELECT fx.receive('event', 'e-1', NULL, 'ringing', 2, account => 'fx-two') \g /dev/null
SELECT is((SELECT count(*) FROM call_events WHERE event_id = 'e-1'), 2::bigint, 'the same id of another account is another message');
DELETE FROM call_events WHERE account = 'fx-two';
SELECT is(fx.call_of('e-1'), :'job'::uuid, 'with our job id it has its call at once');
SELECT fx.receive('event', 'e-2', gen_random_uuid()), fx.receive('event', 'e-3', :'job', account => 'fx-two'),
	fx.receive('event', 'e-4', :'job', tenant => 'other') \g /dev/null
SELECT is(fx.call_of('e-2'), NULL, 'a job id that nobody knows has none');
SELECT is(fx.call_of('e-3'), NULL, 'nor has another account''s');
SELECT is(fx.call_of('e-4'), NULL, 'nor another tenant''s');
SELECT fx.receive('event', 'e-5', :'job', account => '', tenant => 'other'), fx.receive('event', 'e-6', :'job', account => '') \g /dev/null
SELECT is(fx.call_of('e-5'), NULL, 'nor another tenant''s, where no account is named');
SELECT is(fx.call_of('e-6'), :'job'::uuid, 'its own tenant''s has');
DELETE FROM call_events WHERE account = '';
EXECUTE inbox_parked \gset
SELECT is(:parked, 4, 'inbox_parked counts what waits');

-- Who asks not to be called is on the list, whether or not the call is found.
SELECT fx.receive('redial', 'dnc-1', NULL, phone => '(212) 555-0177', outcome => 'DO_NOT_CALL', body => '{"action": "stop", "suppress": true}') \g /dev/null
SELECT results_eq('SELECT tenant_id, phone, reason, source, expires_at FROM suppressions',
	$$VALUES ('fx', '+12125550177', 'DO_NOT_CALL', 'call', NULL::timestamptz)$$, 'a wish not to be called binds at once');
UPDATE suppressions SET expires_at = now() + interval '1 day', reason = 'mine';
SELECT fx.receive('redial', 'dnc-2', NULL, phone => '+12125550177', outcome => 'DO_NOT_CALL', body => '{"action": "stop", "suppress": true}') \g /dev/null
SELECT results_eq('SELECT reason, expires_at FROM suppressions', $$VALUES ('mine', NULL::timestamptz)$$, 'and makes a passing one last');
SELECT fx.receive('redial', 'dnc-3', NULL, phone => '+12125550178', outcome => 'SALE', body => '{"action": "complete"}') \g /dev/null
SELECT is((SELECT count(*) FROM suppressions), 1::bigint, 'another decision suppresses nothing');

-- ---- Which call is meant ------------------------------------------------------------------------------------------------------

SELECT fx.receive('event', 'r-1', NULL, 'ringing', 2, 'p-1'), fx.receive('event', 'r-2', NULL, 'ringing', 2, 'p-1', account => 'fx-two') \g /dev/null
SELECT is(fx.resolve('r-1', 'r-2'), 'none', 'an accepted call needs no proof');
SELECT is(fx.call_of('r-1'), :'job'::uuid, 'the account''s provider call id finds the call');
SELECT is(fx.call_of('r-2'), NULL, 'another account''s does not');

SELECT fx.call(:lane, 'unknown') AS unknown \gset
SELECT fx.receive('event', 'r-3', NULL, 'ringing', 2, 'p-2', fx.phone_of(:'unknown')) \g /dev/null
SELECT is(fx.resolve('r-3'), :'unknown' || '=p-2', 'the phone finds the only call it can be, and proves it');
SELECT is(fx.call_of('r-3'), :'unknown'::uuid, 'the message knows its call');
SELECT fx.call(:lane, 'calling') AS calling \gset
SELECT fx.receive('event', 'r-4', NULL, 'ringing', 2, NULL, fx.phone_of(:'calling'), account => 'fx-two') \g /dev/null
SELECT fx.resolve('r-4') \g /dev/null
SELECT is(fx.call_of('r-4'), NULL, 'not a call of another account');
SELECT fx.receive('event', 'r-5', NULL, 'ringing', 2, NULL, fx.phone_of(:'calling'), at => now() - interval '2 minutes') \g /dev/null
SELECT fx.resolve('r-5') \g /dev/null
SELECT is(fx.call_of('r-5'), NULL, 'not a call that was claimed after it');
SELECT fx.receive('event', 'r-6', NULL, 'ringing', 2, 'p-77', fx.phone_of(:'job')) \g /dev/null
SELECT fx.resolve('r-6') \g /dev/null
SELECT is(fx.call_of('r-6'), NULL, 'not a call that has another provider call id');
SELECT fx.receive('event', 'r-7', gen_random_uuid(), 'ringing', 2, NULL, fx.phone_of(:'calling')) \g /dev/null
SELECT fx.resolve('r-7') \g /dev/null
SELECT is(fx.call_of('r-7'), NULL, 'a foreign job id is never overruled by the phone');

CREATE FUNCTION fx.second_call(job uuid, the_status text) RETURNS uuid LANGUAGE sql AS $$
	INSERT INTO carillon.calls (job_id, tenant_id, follow_up_id, kind, lane_id, lead_id, account_id, provider, phone, attempt, status, worker, due_at, claimed_at)
	SELECT carillon.uuid_v7(), tenant_id, follow_up_id, kind, lane_id, lead_id, account_id, provider, phone, 2, the_status, worker, due_at, claimed_at
	FROM carillon.calls WHERE job_id = job RETURNING job_id
$$;
CREATE FUNCTION fx.found_beside(the_status text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	job uuid := fx.call((SELECT id FROM carillon.lanes WHERE name = 'one' AND tenant_id = 'fx'), 'calling');
BEGIN
	PERFORM fx.second_call(job, the_status);
	PERFORM fx.receive('event', 'beside-' || the_status, NULL, 'ringing', 2, NULL, fx.phone_of(job));
	PERFORM fx.resolve('beside-' || the_status);
	RETURN fx.call_of('beside-' || the_status) IS NOT NULL;
END $$;
SELECT is(fx.found_beside(status), expected, format('by phone beside a second call that is %s: %s', status, CASE WHEN expected THEN 'found' ELSE 'ambiguous' END))
FROM (VALUES ('unknown', false), ('undetermined', false), ('not_dialed', false), ('calling', false), ('completed', true), ('rejected', true)) v (status, expected);

SELECT fx.call(:lane, 'unknown') AS twice \gset
SELECT fx.receive('event', 'r-8', NULL, 'ringing', 2, 'p-8', fx.phone_of(:'twice')), fx.receive('event', 'r-9', NULL, 'ringing', 2, 'p-9', fx.phone_of(:'twice')) \g /dev/null
SELECT is(fx.resolve('r-8', 'r-9'), 'none', 'two provider ids for one call by phone: neither is believed');

-- ---- Forward only --------------------------------------------------------------------------------------------------------------

DELETE FROM call_events;
DELETE FROM live WHERE job_id IN (:'twice', :'unknown');
SELECT fx.call(:lane, 'calling', 'p-10') AS job \gset
SELECT fx.receive('event', 'f-1', :'job', 'in_progress', 3) \g /dev/null
SELECT fx.apply('f-1') \g /dev/null
SELECT is(fx.status_of(:'job'), 'in_progress live in_progress', 'an event moves the call on');
SELECT is(fx.event_state('f-1'), 'applied', 'and is applied');
SELECT fx.receive('event', 'f-2', :'job', 'ringing', 2) \g /dev/null
SELECT fx.apply('f-2') \g /dev/null
SELECT is(fx.status_of(:'job'), 'in_progress live in_progress', 'a late one of a lower rank does not move it back');
SELECT is(fx.event_state('f-2'), 'history', 'and is history');
SELECT fx.receive('event', 'f-3', :'job', 'ended', 4, outcome => 'HUMAN', at => now() - interval '5 seconds') \g /dev/null
SELECT fx.apply('f-3') \g /dev/null
SELECT is(fx.status_of(:'job'), 'completed HUMAN', 'an end ends it, and frees the phone');
SELECT is(ended_at, from_ms(to_ms(now() - interval '5 seconds')), 'at the time it was') FROM calls WHERE job_id = :'job';
SELECT fx.receive('event', 'f-4', :'job', 'report', 5, outcome => 'SALE', body => '{"summary": "sold", "cost_micros": 1200}') \g /dev/null
SELECT fx.apply('f-4') \g /dev/null
SELECT is(fx.status_of(:'job'), 'completed SALE', 'the report knows better');
SELECT results_eq(format('SELECT summary, transcript, cost_micros FROM call_reports WHERE job_id = %L', :'job'), $$VALUES ('sold', NULL, 1200::bigint)$$,
	'and is kept');
SELECT fx.receive('event', 'f-5', :'job', 'ended', 4, outcome => 'FAILED', body => '{"transcript": "hello"}') \g /dev/null
SELECT fx.apply('f-5') \g /dev/null
SELECT is(fx.status_of(:'job'), 'completed SALE', 'a second end changes nothing');
SELECT results_eq(format('SELECT summary, transcript FROM call_reports WHERE job_id = %L', :'job'), $$VALUES ('sold', 'hello')$$, 'but adds what it alone tells');

CREATE FUNCTION fx.end_with(the_outcome text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	job uuid := fx.call((SELECT id FROM carillon.lanes WHERE name = 'one' AND tenant_id = 'fx'), 'ringing');
BEGIN
	PERFORM fx.receive('event', 'end-' || the_outcome, job, 'ended', 4, outcome => the_outcome);
	PERFORM fx.apply('end-' || the_outcome);
	RETURN fx.status_of(job);
END $$;
SELECT is(fx.end_with(outcome), status || ' ' || outcome, format('%s is a call that %s', outcome, status))
FROM (VALUES ('NO_ANSWER', 'failed'), ('BUSY', 'failed'), ('FAILED', 'failed'), ('VOICEMAIL', 'completed'), ('TRANSFERRED', 'completed')) v (outcome, status);

-- What moved a call may be known no more: looked up, or its events removed.
SELECT fx.call(:lane, 'completed', 'p-11') AS looked_up, fx.call(:lane, 'completed', 'p-12') AS aged \gset
UPDATE calls SET outcome = 'SALE', event_rank = CASE job_id WHEN :'aged' THEN 5 ELSE 0 END WHERE job_id IN (:'looked_up', :'aged');
SELECT fx.receive('event', 'f-6', :'looked_up', 'ringing', 2), fx.receive('event', 'f-7', :'aged', 'ended', 4, outcome => 'FAILED') \g /dev/null
SELECT fx.apply('f-6', 'f-7') \g /dev/null
SELECT is(fx.status_of(:'looked_up'), 'completed SALE', 'a call that is over by a look-up does not ring again');
SELECT is(fx.status_of(:'aged') || ' ' || fx.event_state('f-7'), 'completed SALE history', 'nor does a lower end change what a higher one said');

-- An end without an outcome leaves the call live until it is looked up: soon, where no report follows.
CREATE FUNCTION fx.silent_end(the_provider text) RETURNS interval LANGUAGE plpgsql AS $$
DECLARE
	job uuid := fx.call((SELECT id FROM carillon.lanes WHERE name = 'one' AND tenant_id = 'fx'), 'ringing');
BEGIN
	UPDATE calls SET provider = the_provider WHERE job_id = job;
	PERFORM fx.receive('event', 'silent-' || the_provider, job, 'ended', 4);
	PERFORM fx.apply('silent-' || the_provider);
	RETURN (SELECT next_check_at - now() FROM live WHERE job_id = job);
END $$;
SELECT is(fx.silent_end('vapi'), interval '1 minute', 'a call whose report may be on its way is looked up after a minute');
SELECT is(fx.silent_end('twilio'), interval '3 seconds', 'one whose record has it all at once');

-- One that an operator closed, and that is alive: what closing said of it is not so.
SELECT fx.call(:lane, 'undetermined') AS closed \gset
SELECT resolve_call(:'closed', 'close', NULL) \g /dev/null
SELECT fx.receive('event', 'closed-1', :'closed', 'ringing', 2) \g /dev/null
SELECT fx.apply('closed-1') \g /dev/null
SELECT results_eq(format('SELECT status, outcome, ended_reason, ended_at FROM calls WHERE job_id = %L', :'closed'),
	$$VALUES ('ringing', NULL, NULL, NULL::timestamptz)$$, 'a closed call that rings has no outcome yet');

-- Before its result the call is not ours to move: the event waits.
SELECT fx.call(:lane, 'dialing') AS early \gset
SELECT fx.receive('event', 'w-1', :'early', 'ended', 4, 'p-20', outcome => 'HUMAN') \g /dev/null
SELECT is(fx.resolve('w-1'), :'early' || '=p-20', 'an event with our job id proves a dialing call');
SELECT is(fx.apply('w-1') || ' ' || fx.status_of(:'early') || ' ' || fx.event_state('w-1'), 'none dialing live dialing parked', 'but waits until the call is accepted');
UPDATE calls SET status = 'calling' WHERE job_id = :'early';
SELECT fx.apply('w-1') \g /dev/null
SELECT is(fx.status_of(:'early'), 'completed HUMAN', 'and is applied then');
SELECT is(provider_call_id, 'p-20', 'with the provider''s call id') FROM calls WHERE job_id = :'early';

-- ---- In whatever order they come -----------------------------------------------------------------------------------------------

-- Applies the events one by one in the given order, or all at once; answers with all that is left of the call. It is undone.
CREATE FUNCTION fx.in_order(the_order integer[], at_once boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	job uuid;
	i integer;
	answer text;
BEGIN
	BEGIN
		job := fx.call((SELECT id FROM carillon.lanes WHERE name = 'one' AND tenant_id = 'fx'), 'calling', 'p-order');
		FOREACH i IN ARRAY the_order LOOP
			PERFORM fx.receive('event', 'o-' || i, job, (ARRAY['ringing', 'in_progress', 'ended', 'report'])[i], i + 1,
				outcome => (ARRAY[NULL, NULL, 'FAILED', 'SALE'])[i], at => now() - (5 - i) * interval '1 second',
				body => (ARRAY['{}', '{}', '{"summary": "short"}', '{"summary": "long", "transcript": "all"}'])[i]::jsonb);
			IF NOT at_once THEN
				PERFORM fx.apply('o-' || i);
			END IF;
		END LOOP;
		IF at_once THEN
			PERFORM fx.apply('o-1', 'o-2', 'o-3', 'o-4');
		END IF;
		SELECT concat_ws(' ', fx.status_of(job), event_rank, ended_at, summary, transcript) INTO answer
		FROM carillon.calls JOIN carillon.call_reports USING (job_id) WHERE job_id = job;
		RAISE SQLSTATE 'FX000';
	EXCEPTION WHEN SQLSTATE 'FX000' THEN
		RETURN answer;
	END;
END $$;
CREATE TEMP TABLE orders AS
SELECT DISTINCT fx.in_order(ARRAY[a, b, c, d], at_once) AS answer
FROM generate_series(1, 4) a, generate_series(1, 4) b, generate_series(1, 4) c, generate_series(1, 4) d, (VALUES (false), (true)) v (at_once)
WHERE a <> b AND a <> c AND a <> d AND b <> c AND b <> d AND c <> d;
SELECT results_eq('SELECT answer FROM orders', $$SELECT 'completed SALE 5 ' || from_ms(to_ms(now() - interval '2 seconds')) || ' long all'$$,
	'four events in all 24 orders, one by one or at once, leave the same call');

-- ---- A call that was proved absent and shows life ----------------------------------------------------------------------------------

SELECT fx.call(:lane, 'not_dialed') AS absent \gset
SELECT fx.queued(follow_up_id) FROM calls WHERE job_id = :'absent' \g /dev/null
SELECT fx.receive('event', 'a-1', :'absent', 'ringing', 2, 'p-30') \g /dev/null
SELECT is(fx.apply('a-1'), 'not_dialed ringing called off', 'it is told, for the alarm');
SELECT is(fx.status_of(:'absent'), 'ringing live ringing', 'it is taken up again and holds its phone');
SELECT is(fx.state(follow_up_id), 'cancelled because of call_found', 'its successor is called off') FROM calls WHERE job_id = :'absent';
SELECT isnt(call_date, NULL, 'the lead counts as called') FROM leads WHERE id = (SELECT lead_id FROM calls WHERE job_id = :'absent');

-- ---- A call that was refused inside the answer that names it, and ends by the webhook as well ------------------------------------------

SELECT fx.call(:lane, 'rejected') AS refused \gset
UPDATE calls SET http_status = 201, refusal = 'backpressure', error = 'call.start.error-subscription-concurrency-limit-reached' WHERE job_id = :'refused';
SELECT fx.receive('redial', 'again-1#redial', :'refused', outcome => 'FAILED', body => '{"action": "schedule"}') \g /dev/null
SELECT is(fx.apply('again-1#redial'), 'none', 'a decision on it waits for its end');
SELECT is(state, 'parked', 'parked') FROM call_events WHERE event_id = 'again-1#redial';
SELECT fx.receive('event', 'again-0', :'refused', 'queued', 1, 'p-31') \g /dev/null
SELECT fx.receive('event', 'again-1', :'refused', 'ended', 4, 'p-31', outcome => 'FAILED') \g /dev/null
UPDATE call_events SET ended_reason = 'call.start.error-subscription-concurrency-limit-reached' WHERE event_id = 'again-1';
SELECT is(fx.apply('again-0', 'again-1', 'again-1#redial'), 'none', 'its end for that reason is the refusal once more');
SELECT is(fx.status_of(:'refused'), 'rejected', 'it stays refused');
SELECT is(fx.state(follow_up_id), 'pending', 'its follow-up waits for its next try') FROM calls WHERE job_id = :'refused';
SELECT is(string_agg(DISTINCT state, ','), 'history', 'all of it is history') FROM call_events WHERE call_job_id = :'refused';
SELECT is(decided_at, NULL, 'and no dial of the redial queue') FROM calls WHERE job_id = :'refused';
SELECT fx.receive('event', 'again-2', :'refused', 'report', 5, 'p-31', outcome => 'SALE') \g /dev/null
SELECT is(fx.apply('again-2'), 'rejected completed called off', 'an end for another reason shows life');

-- ---- Decisions: one a call ---------------------------------------------------------------------------------------------------------

-- A decision on a call; at so many minutes from now.
CREATE FUNCTION fx.decide(job uuid, event_id text, action text, outcome text DEFAULT 'NO_ANSWER', minutes double precision DEFAULT 0, callback timestamptz DEFAULT NULL,
	more jsonb DEFAULT '{}') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM fx.receive('redial', event_id, job, outcome => outcome, body => jsonb_build_object('action', action) || more, callback => callback,
		at => now() + minutes * interval '1 minute');
	PERFORM fx.apply(event_id);
END $$;
CREATE FUNCTION fx.redial_of(job uuid) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce((SELECT concat_ws(' ', q.status, q.attempts, array_to_string(q.outcomes, ','),
		round(extract(epoch FROM q.next_redial_timestamp - now()) / 60)::integer)
		FROM carillon.redial_queue q JOIN carillon.calls c ON c.lead_id = q.lead_ref WHERE c.job_id = job), 'none')
$$;
-- The lead's next call, as long over as the given one's status says.
CREATE FUNCTION fx.next_call(job uuid, provider_id text) RETURNS uuid LANGUAGE sql AS $$
	INSERT INTO carillon.calls (job_id, tenant_id, follow_up_id, kind, lane_id, lead_id, account_id, provider, phone, attempt, status, worker, due_at,
		claimed_at, provider_call_id)
	SELECT carillon.uuid_v7(), tenant_id, follow_up_id, 'redial', lane_id, lead_id, account_id, provider, phone, attempt, 'completed', worker, due_at,
		claimed_at, provider_id
	FROM carillon.calls WHERE job_id = job RETURNING job_id
$$;

SELECT fx.call(:lane, 'completed', 'p-40') AS job \gset
UPDATE leads SET external_id = 'L-1', first_name = 'Ada' WHERE id = (SELECT lead_id FROM calls WHERE job_id = :'job');
SELECT fx.decide(:'job', 'd-1', 'schedule') \g /dev/null
SELECT is(fx.redial_of(:'job'), 'pending 1 NO_ANSWER 30', 'no answer: the lead is dialed again after the interval');
SELECT results_eq('SELECT tenant_id, lead_id, first_name, last_outcome, last_call_id, scheduled_callback_time FROM redial_queue',
	$$VALUES ('fx', 'L-1', 'Ada', 'NO_ANSWER', 'p-40', NULL::timestamptz)$$, 'under the dialer''s own id of the lead');
SELECT results_eq('SELECT from_state, to_state, reason, event_id FROM transitions WHERE entity = ''redial''', $$VALUES (NULL, 'pending', 'NO_ANSWER', 'd-1')$$,
	'the change is kept');
SELECT fx.decide(:'job', 'd-2', 'complete', 'SALE') \g /dev/null
SELECT is(fx.redial_of(:'job'), 'pending 1 NO_ANSWER 30', 'a second decision of the call changes nothing');
SELECT is(fx.event_state('d-1') || ' ' || fx.event_state('d-2'), 'applied history', 'the first is applied, the second is history');

SELECT fx.next_call(:'job', 'p-41') AS second \gset
SELECT fx.decide(:'second', 'd-3', 'schedule', 'VOICEMAIL', 40) \g /dev/null
SELECT is(fx.redial_of(:'job'), 'pending 2 NO_ANSWER,VOICEMAIL 70', 'the next call''s decision counts another dial');
SELECT fx.next_call(:'job', 'p-42') AS third \gset
SELECT fx.decide(:'third', 'd-4', 'callback', 'CALLBACK', 80, now() + interval '5 hours') \g /dev/null
SELECT is(fx.redial_of(:'job'), 'rescheduled 3 NO_ANSWER,VOICEMAIL,CALLBACK 300', 'an agreed callback is dialed at its time');
SELECT fx.next_call(:'job', 'p-43') AS fourth \gset
SELECT fx.decide(:'fourth', 'd-5', 'schedule', 'BUSY', 310) \g /dev/null
SELECT is(fx.redial_of(:'job'), 'max_attempts 4 NO_ANSWER,VOICEMAIL,CALLBACK,BUSY', 'after four dials no more');
SELECT fx.next_call(:'job', 'p-44') AS fifth \gset
SELECT fx.decide(:'fifth', 'd-6', 'callback', 'CALLBACK', 320, now() + interval '9 hours') \g /dev/null
SELECT is(fx.redial_of(:'job'), 'rescheduled 5 NO_ANSWER,VOICEMAIL,CALLBACK,BUSY,CALLBACK 540', 'but a callback agreed upon later is kept');
SELECT fx.next_call(:'job', 'p-45') AS sixth \gset
SELECT fx.decide(:'sixth', 'd-7', 'complete', 'SALE', 550) \g /dev/null
SELECT alike(fx.redial_of(:'job'), 'completed 6 %SALE', 'success completes it');
SELECT fx.next_call(:'job', 'p-46') AS seventh \gset
SELECT fx.decide(:'seventh', 'd-8', 'schedule', 'NO_ANSWER', 560) \g /dev/null
SELECT alike(fx.redial_of(:'job'), 'completed 7 %', 'and for good');

SELECT fx.call(:lane, 'completed', 'p-50') AS job \gset
SELECT fx.decide(:'job', 'd-10', 'complete', 'SALE') \g /dev/null
SELECT is(fx.redial_of(:'job'), 'none', 'success at the first call makes no record');
SELECT fx.call(:lane, 'completed', 'p-51') AS job \gset
SELECT fx.decide(:'job', 'd-11', 'callback', 'CALLBACK') \g /dev/null
SELECT is(fx.redial_of(:'job'), 'pending 1 CALLBACK 30', 'a callback without a time is a redial');
SELECT fx.call(:lane, 'completed', 'p-53') AS job \gset
SELECT fx.decide(:'job', 'dc-1', 'callback', 'CALLBACK', 0, now() - interval '2 years') \g /dev/null
SELECT is(fx.redial_of(:'job'), 'pending 1 CALLBACK 30', 'nor is one at a time that is over agreed upon');
SELECT fx.decide(fx.next_call(:'job', 'p-54'), 'dc-2', 'callback', 'CALLBACK', 60, now() - interval '2 years') \g /dev/null
SELECT is(fx.redial_of(:'job'), 'pending 2 CALLBACK,CALLBACK 90', 'said again, it is the next redial');
SELECT fx.decide(fx.next_call(:'job', 'p-55'), 'dc-3', 'callback', 'CALLBACK', 100, now() + interval '180 years') \g /dev/null
SELECT is(fx.redial_of(:'job'), 'pending 3 CALLBACK,CALLBACK,CALLBACK 130', 'nor one that nobody lives to see');
SELECT fx.call(:lane, 'completed', 'p-52', 'campaign') AS job \gset
SELECT fx.decide(:'job', 'd-12', 'schedule') \g /dev/null
SELECT is(fx.redial_of(:'job'), 'none', 'a campaign''s call feeds no redial queue');
SELECT isnt((SELECT decided_at FROM calls WHERE job_id = :'job'), NULL, 'but it is decided');
SELECT fx.call(:lane, 'unknown') AS job \gset
SELECT fx.decide(:'job', 'd-13', 'schedule') \g /dev/null
SELECT is(fx.event_state('d-13') || ' ' || fx.redial_of(:'job'), 'parked none', 'a decision on a call that is not proved waits');
SELECT fx.call(:lane, 'completed', 'p-53') AS job \gset
SELECT fx.decide(:'job', 'd-14', 'schedule') \g /dev/null
UPDATE redial_queue SET status = 'paused' WHERE last_call_id = 'p-53';
SELECT fx.decide(fx.next_call(:'job', 'p-54'), 'd-15', 'schedule', 'BUSY', 10) \g /dev/null
SELECT alike(fx.redial_of(:'job'), 'paused 2 %', 'a paused record stays paused, its dials count');
-- A record that another dialer has moved on: an older end of ours counts its dial and no more.
SELECT fx.call(:lane, 'completed', 'p-56') AS job \gset
SELECT fx.decide(:'job', 'd-17', 'schedule') \g /dev/null
UPDATE redial_queue SET status = 'rescheduled', last_call_timestamp = now() + interval '1 hour', next_redial_timestamp = now() + interval '2 hours'
WHERE last_call_id = 'p-56';
SELECT fx.decide(fx.next_call(:'job', 'p-57'), 'd-18', 'schedule', 'BUSY', 10) \g /dev/null
SELECT is(fx.redial_of(:'job'), 'rescheduled 2 NO_ANSWER,BUSY 120', 'an end older than the record''s last leaves status and time');
SELECT fx.call(:lane, 'completed', 'p-55') AS job \gset
SELECT fx.decide(:'job', 'd-16', 'stop', 'DO_NOT_CALL', more => '{"suppress": true}') \g /dev/null
SELECT is((SELECT count(*) FROM suppressions WHERE phone = fx.phone_of(:'job')), 1::bigint, 'do-not-call without a phone in the message suppresses the call''s number');

-- Three calls' decisions in every order leave one record.
CREATE FUNCTION fx.decisions_in_order(the_order integer[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	jobs uuid[] := ARRAY[fx.call((SELECT id FROM carillon.lanes WHERE name = 'one' AND tenant_id = 'fx'), 'completed', 'p-order-1')];
	i integer;
	answer text;
BEGIN
	jobs := jobs || fx.next_call(jobs[1], 'p-order-2') || fx.next_call(jobs[1], 'p-order-3');
	BEGIN
		FOREACH i IN ARRAY the_order LOOP
			PERFORM fx.decide(jobs[i], 'do-' || i, (ARRAY['schedule', 'callback', 'schedule'])[i], (ARRAY['NO_ANSWER', 'CALLBACK', 'BUSY'])[i], i * 10,
				CASE i WHEN 2 THEN now() + interval '1 day' END);
		END LOOP;
		SELECT fx.redial_of(jobs[1]) || ' ' || last_call_id || ' ' || last_outcome || ' ' || last_call_timestamp || ' ' || created_at INTO answer
		FROM carillon.redial_queue q JOIN carillon.calls c ON c.lead_id = q.lead_ref AND c.job_id = jobs[1];
		RAISE SQLSTATE 'FX001';
	EXCEPTION WHEN SQLSTATE 'FX001' THEN
		DELETE FROM carillon.calls WHERE job_id = ANY (jobs);
		RETURN answer;
	END;
END $$;
CREATE TEMP TABLE decision_orders AS
SELECT DISTINCT fx.decisions_in_order(ARRAY[a, b, c]) AS answer
FROM generate_series(1, 3) a, generate_series(1, 3) b, generate_series(1, 3) c WHERE a <> b AND a <> c AND b <> c;
SELECT results_eq('SELECT answer FROM decision_orders', $$SELECT 'pending 3 NO_ANSWER,CALLBACK,BUSY 60 p-order-3 BUSY '
	|| from_ms(to_ms(now() + interval '30 minutes')) || ' ' || from_ms(to_ms(now() + interval '10 minutes'))$$,
	'three decisions in all six orders leave the same record');

-- ---- Stages -----------------------------------------------------------------------------------------------------------------------------

SELECT fx.call(:lane, 'completed', 'p-60') AS job \gset
SELECT lead_id AS lead FROM calls WHERE job_id = :'job' \gset
CREATE FUNCTION fx.stage(job uuid, event_id text, stage text, seconds integer, of_lead bigint DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM fx.receive('stage', event_id, job, body => jsonb_strip_nulls(jsonb_build_object('entity', 'lead', 'to', stage, 'reason', 'rule', 'id', of_lead::text)),
		at => now() + seconds * interval '1 second');
	PERFORM fx.apply(event_id);
	RETURN fx.event_state(event_id);
END $$;
SELECT is(fx.stage(:'job', 's-1', 'visit_scheduled', 10), 'applied', 'a stage message is applied');
SELECT is(stage, 'visit_scheduled', 'and moves the lead') FROM leads WHERE id = :lead;
SELECT results_eq(format('SELECT from_state, to_state, reason, actor, event_id FROM transitions WHERE entity = ''lead'' AND entity_id = %L', :'lead'),
	$$VALUES ('new', 'visit_scheduled', 'rule', 'recorder', 's-1')$$, 'the change is kept');
SELECT is(fx.stage(:'job', 's-2', 'lost', 5), 'history', 'an older one is history');
SELECT is(stage, 'visit_scheduled', 'and moves nothing') FROM leads WHERE id = :lead;
SELECT is(fx.stage(NULL, 's-3', 'closed', 20, :lead), 'applied', 'a message that speaks of no call finds the lead by its id');
SELECT is(stage, 'closed', 'and moves it') FROM leads WHERE id = :lead;

-- ---- Offsets, dead letters, orphans ---------------------------------------------------------------------------------------------------------

CREATE TEMP TABLE loaded AS EXECUTE offsets_load('{fx.a,fx.b}', '{0,3}');
SELECT bag_eq('SELECT * FROM loaded', $$VALUES ('fx.a', 0, 0::bigint), ('fx.b', 3, 0)$$, 'a partition never read begins at its start');
EXECUTE offset_advance('{fx.a,fx.b}', '{0,3}', '{0,0}', '{7,9}') \g /dev/null
CREATE TEMP TABLE reloaded AS EXECUTE offsets_load('{fx.a,fx.b}', '{0,3}');
SELECT bag_eq('SELECT * FROM reloaded', $$VALUES ('fx.a', 0, 7::bigint), ('fx.b', 3, 9)$$, 'offsets move on together');
SELECT throws_ok('EXECUTE offset_advance(''{fx.a,fx.b}'', ''{0,3}'', ''{0,9}'', ''{8,10}'')', '22012', NULL, 'a partition that another has moved undoes the batch');
SELECT results_eq('SELECT next FROM applied_offsets WHERE topic LIKE ''fx.%'' ORDER BY topic', $$VALUES (7::bigint), (9)$$, 'all of it');
SELECT throws_ok('EXECUTE offset_advance(''{fx.c}'', ''{0}'', ''{0}'', ''{1}'')', '22012', NULL, 'as does a partition that is not ours');

DELETE FROM live;
EXECUTE offsets_read('{fx.a}', '{0}', '{7}', '{5000}') \gset told_
SELECT is(:told_now, to_ms(now()), 'the time for the next note is told');
SELECT is(max(read_to), '-infinity', 'up to when all is applied is not noted while nobody waits for it') FROM applied_offsets WHERE topic LIKE 'fx.%';
SELECT fx.call(:lane, 'unknown') AS waited_for \gset
UPDATE live SET lease_until = now();
EXECUTE offsets_read('{fx.a,fx.b}', '{0,3}', '{7,10}', '{5000,6000}') \g /dev/null
SELECT bag_eq('SELECT topic, read_to FROM applied_offsets WHERE topic LIKE ''fx.%''', $$VALUES ('fx.a', from_ms(5000)), ('fx.b', '-infinity')$$,
	'but of a call whose worker can no more speak; never of what is not applied here');
DELETE FROM live;

EXECUTE dead_letters_insert('{fx.a,fx.a}', '{0,0}', '{5,5}', '{k,k}', '{first,second}', '{"\\x00","\\x01"}', '{[],[]}');
SELECT results_eq('SELECT topic, "offset", reason, value FROM dead_letters', $$VALUES ('fx.a', 5::bigint, 'first', '\x00'::bytea)$$, 'a dead letter is kept once, as it came');

DELETE FROM call_events;
SELECT fx.receive('event', 'x-' || n, NULL, 'ringing', 2) FROM generate_series(1, 3) n \g /dev/null
UPDATE call_events SET recorded_at = now() - interval '2 hours' WHERE event_id <> 'x-3';
UPDATE call_events SET state = 'applied' WHERE event_id = 'x-2';
EXECUTE mark_orphans(3600, 100) \gset
SELECT results_eq('SELECT event_id, state FROM call_events ORDER BY 1', $$VALUES ('x-1', 'orphan'), ('x-2', 'applied'), ('x-3', 'parked')$$,
	'an event that has waited too long for its call is an orphan');

SELECT * FROM finish();
ROLLBACK;
