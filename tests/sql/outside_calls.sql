-- SPDX-License-Identifier: Apache-2.0
-- Calls of another dialer: they count as attempts of the same redial record, whatever order their messages come in.
BEGIN;
\ir lib/fixture.psql
\set file consumer/sql/inbox_insert.sql
\ir lib/prepare.psql
\set file consumer/sql/outside_calls.sql
\ir lib/prepare.psql
\set file consumer/sql/inbox_resolve.sql
\ir lib/prepare.psql
\set file consumer/sql/events_apply.sql
\ir lib/prepare.psql
\set file consumer/sql/redial_apply.sql
\ir lib/prepare.psql
\set file consumer/sql/stage_apply.sql
\ir lib/prepare.psql
\set file producer/sql/seed_redial.sql
\ir lib/prepare.psql
SELECT plan(46);

INSERT INTO accounts (tenant_id, name, provider) VALUES ('fx', 'dialer', 'convoso'), ('fx', 'second', 'convoso');
SELECT fx.lane('redial') AS lane \gset

-- The messages of one batch, as the consumer's role applies them.
CREATE TABLE fx.batch (message text, account text, event_id text, provider_id text, lead_id text, phone text, outcome text,
	callback timestamptz, at timestamptz, body jsonb);
CREATE FUNCTION fx.apply(revisits boolean DEFAULT false) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	b record;
	made bigint;
BEGIN
	SELECT array_agg(message) AS messages, array_agg(account) AS accounts, array_agg(event_id) AS events, array_agg('fx'::text) AS tenants,
		array_agg(CASE message WHEN 'event' THEN 'report' END) AS types, array_agg(CASE message WHEN 'event' THEN 5 ELSE 0 END) AS ranks,
		array_agg(provider_id) AS ids, array_agg(NULL::uuid) AS jobs, array_agg(lead_id) AS leads, array_agg(phone) AS phones,
		array_agg(CASE WHEN message <> 'stage' THEN outcome END) AS outcomes, array_agg(NULL::text) AS none, array_agg(NULL::boolean) AS no,
		array_agg(carillon.to_ms(callback)) AS callbacks, array_agg(NULL::integer) AS durations, array_agg(carillon.to_ms(at)) AS times,
		array_agg(body::text) AS bodies, array_agg(NULL::bytea) AS raw INTO b FROM fx.batch;
	SET LOCAL ROLE carillon_consumer;
	EXECUTE format('EXECUTE inbox_insert(%L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L, %L)', b.messages, b.accounts,
		b.events, b.tenants, b.types, b.ranks, b.ids, b.jobs, b.leads, b.phones, b.outcomes, b.none, b.no, b.callbacks, b.durations, b.times,
		b.times, b.bodies, b.raw);
	EXECUTE format('EXECUTE outside_calls(%L, %L, %L, %L)', b.accounts, b.events, revisits, 'convoso ') INTO made;
	EXECUTE format('EXECUTE inbox_resolve(%L, %L, %L, %L, %L)', b.accounts, b.events, '{}'::uuid[], '{}'::text[], revisits);
	EXECUTE 'EXECUTE events_apply(1200)';
	EXECUTE 'EXECUTE redial_apply';
	EXECUTE format('EXECUTE stage_apply(%L, %L)', b.accounts, b.events);
	RESET ROLE;
	DELETE FROM fx.batch;
	RETURN made;
END $$;

-- What a disposition of another dialer's call becomes: an event and a decision.
CREATE FUNCTION fx.told(call text, status text, action text, lead text, phone text, minutes double precision DEFAULT 0, callback timestamptz DEFAULT NULL,
	account text DEFAULT 'dialer', message text DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
	INSERT INTO fx.batch SELECT m, account, format('convoso:%s:%s%s', call, status, CASE m WHEN 'redial' THEN '#redial' ELSE '' END), call, lead,
		phone, status, callback, now() - interval '1 day' + minutes * interval '1 minute',
		CASE m WHEN 'redial' THEN jsonb_build_object('action', action, 'suppress', status = 'DO_NOT_CALL', 'first_name', 'Ada', 'list_id', '7', 'state', 'FL')
			ELSE '{}' END
	FROM unnest(ARRAY['event', 'redial']) m WHERE m = coalesce(message, m)
$$;
-- The same, applied.
CREATE FUNCTION fx.dialed(call text, status text, action text, lead text, phone text, minutes double precision DEFAULT 0, callback timestamptz DEFAULT NULL)
RETURNS bigint LANGUAGE sql AS $$
	SELECT fx.told(call, status, action, lead, phone, minutes, callback);
	SELECT fx.apply();
$$;
CREATE FUNCTION fx.record(lead text, the_phone text) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce((SELECT concat_ws(' ', status, attempts, outcomes, last_outcome) FROM carillon.redial_queue
		WHERE lead_id = lead AND phone_number = the_phone AND tenant_id = 'fx'), 'none')
$$;

-- ---- The first call makes the record, with a lead that we can dial ----------------------------------------------------

SELECT fx.phone() AS p1 \gset
SELECT is(fx.dialed('c-1', 'NO_ANSWER', 'schedule', '900001', :'p1'), 1::bigint, 'a call of another dialer is in the ledger');
SELECT is(fx.record('900001', :'p1'), 'pending 1 {NO_ANSWER} NO_ANSWER', 'it makes the record, as its first attempt');
SELECT results_eq($$SELECT external_id, phone_e164, first_name, list_id, state, auto_follow_up, stage FROM leads WHERE external_id = '900001'$$,
	format('VALUES (%L, %L, %L, %L, %L, false, %L)', '900001', :'p1', 'Ada', '7', 'FL', 'new'), 'its lead is known by the dialer''s id and has no follow-up of its own');
SELECT results_eq($$SELECT q.lead_ref = l.id, q.list_id, q.first_name, q.state, q.last_call_id, q.next_redial_timestamp = q.last_call_timestamp + interval '30 minutes'
	FROM redial_queue q JOIN leads l ON l.external_id = q.lead_id$$, $$VALUES (true, '7', 'Ada', 'FL', 'c-1', true)$$, 'the record can be dialed by us');
SELECT results_eq($$SELECT kind, status, outcome, provider, provider_call_id, follow_up_id, (SELECT name FROM lanes WHERE id = lane_id) FROM calls WHERE provider_call_id = 'c-1'$$,
	$$VALUES ('outside', 'failed', 'NO_ANSWER', 'convoso', 'c-1', NULL::bigint, 'redial')$$, 'the ledger says whose call it was');
SELECT is_empty('SELECT FROM live', 'it holds no phone and no slot');
SELECT results_eq($$SELECT message, state FROM call_events ORDER BY 1$$, $$VALUES ('event', 'applied'), ('redial', 'applied')$$, 'both messages are applied');
EXECUTE seed_redial(10) \gset
SELECT results_eq($$SELECT f.kind, l.external_id FROM follow_ups f JOIN leads l ON l.id = f.lead_id$$, $$VALUES ('redial', '900001')$$, 'and its redial is ours');

-- ---- Copies, other dispositions ----------------------------------------------------------------------------------------

SELECT is(fx.dialed('c-1', 'NO_ANSWER', 'schedule', '900001', :'p1'), 0::bigint, 'the same event again makes no call');
SELECT is(fx.record('900001', :'p1'), 'pending 1 {NO_ANSWER} NO_ANSWER', 'and changes nothing');
SELECT fx.dialed('c-1', 'BUSY', 'schedule', '900001', :'p1') \g /dev/null
SELECT is(fx.record('900001', :'p1'), 'pending 1 {NO_ANSWER} NO_ANSWER', 'a call that is disposed of again is no second attempt');
SELECT fx.dialed('c-1', 'SALE', 'complete', '900001', :'p1') \g /dev/null
SELECT is(fx.record('900001', :'p1'), 'completed 1 {NO_ANSWER,SALE} SALE', 'but ends the record, if the new disposition says so');
SELECT results_eq('SELECT status, reason FROM follow_ups', $$VALUES ('cancelled', 'completed')$$, 'and calls our redial off');
SELECT is((SELECT count(*) FROM calls WHERE kind = 'outside'), 1::bigint, 'it is one call');
SELECT fx.dialed('c-2', 'NO_ANSWER', 'schedule', '900001', :'p1', 10) \g /dev/null
SELECT is(fx.record('900001', :'p1'), 'completed 2 {NO_ANSWER,SALE,NO_ANSWER} NO_ANSWER', 'a dial on a completed record is a fact, its status stays');

-- ---- The same record as our own dials ------------------------------------------------------------------------------------

SELECT fx.call(:lane, 'completed', 'ours-1') AS job \gset
UPDATE leads SET external_id = '900002' WHERE id = (SELECT lead_id FROM calls WHERE job_id = :'job');
SELECT phone AS p2 FROM calls WHERE job_id = :'job' \gset
INSERT INTO fx.batch VALUES ('redial', 'fx-one', 'ours:1#redial', 'ours-1', NULL, :'p2', 'VOICEMAIL', NULL, now() - interval '1 day', '{"action": "schedule"}');
SELECT fx.apply() \g /dev/null
SELECT is(fx.record('900002', :'p2'), 'pending 1 {VOICEMAIL} VOICEMAIL', 'our own dial made the record');
SELECT fx.dialed('c-3', 'NO_ANSWER', 'schedule', '900002', replace(:'p2', '+1', ''), 40) \g /dev/null
SELECT is(fx.record('900002', :'p2'), 'pending 2 {VOICEMAIL,NO_ANSWER} NO_ANSWER', 'the other dialer''s is the next attempt of it');
SELECT is((SELECT count(*) FROM leads WHERE phone_e164 = :'p2'), 1::bigint, 'with the same lead');
SELECT fx.dialed('c-4', 'BUSY', 'schedule', NULL, :'p2', 80) \g /dev/null
SELECT is(fx.record('900002', :'p2'), 'pending 3 {VOICEMAIL,NO_ANSWER,BUSY} BUSY', 'without an id, the only lead with that number is meant');
SELECT fx.dialed('c-5', 'BUSY', 'schedule', '900002', :'p2', 120) \g /dev/null
SELECT is(fx.record('900002', :'p2'), 'max_attempts 4 {VOICEMAIL,NO_ANSWER,BUSY,BUSY} BUSY', 'four dials are four, whoever made them');
SELECT fx.dialed('c-6', 'SALE', 'complete', '900002', :'p2', 160) \g /dev/null
SELECT is(fx.record('900002', :'p2'), 'max_attempts 5 {VOICEMAIL,NO_ANSWER,BUSY,BUSY,SALE} SALE', 'a dial on a record that is used up is a fact');
SELECT fx.dialed('c-7', 'CALLBACK', 'callback', '900002', :'p2', 200, now() + interval '1 day') \g /dev/null
SELECT is(fx.record('900002', :'p2'), 'max_attempts 6 {VOICEMAIL,NO_ANSWER,BUSY,BUSY,SALE,CALLBACK} CALLBACK', 'even one that agreed on a time');
SELECT is((SELECT next_redial_timestamp FROM redial_queue WHERE lead_id = '900002'), NULL, 'nothing is dialed again');

-- ---- Paused; callbacks; success; do not call --------------------------------------------------------------------------

SELECT fx.phone() AS p3 \gset
SELECT fx.dialed('c-10', 'NO_ANSWER', 'schedule', '900003', :'p3') \g /dev/null
UPDATE redial_queue SET status = 'paused' WHERE lead_id = '900003';
SELECT fx.dialed('c-11', 'NO_ANSWER', 'schedule', '900003', :'p3', 10), fx.dialed('c-12', 'SALE', 'complete', '900003', :'p3', 20) \g /dev/null
SELECT is(fx.record('900003', :'p3'), 'paused 3 {NO_ANSWER,NO_ANSWER,SALE} SALE', 'a paused record stays paused');
SELECT fx.phone() AS p4 \gset
SELECT fx.dialed('c-13', 'CALLBACK', 'callback', '900004', :'p4', 0, date_trunc('milliseconds', now() + interval '2 hours')) \g /dev/null
SELECT results_eq($$SELECT status, next_redial_timestamp FROM redial_queue WHERE lead_id = '900004'$$, $$VALUES ('rescheduled', date_trunc('milliseconds', now() + interval '2 hours'))$$,
	'an agreed time is kept by us');
SELECT fx.dialed('c-14', 'TRANSFERRED', 'complete', '900004', :'p4', 10) \g /dev/null
SELECT is(fx.record('900004', :'p4'), 'completed 2 {CALLBACK,TRANSFERRED} TRANSFERRED', 'their success ends it');
SELECT fx.phone() AS p5 \gset
SELECT fx.dialed('c-15', 'TRANSFERRED', 'complete', '900005', :'p5') \g /dev/null
SELECT is(fx.record('900005', :'p5'), 'none', 'a success of a lead without a record makes none');
SELECT fx.dialed('c-16', 'DO_NOT_CALL', 'stop', '900006', :'p5', 5) \g /dev/null
SELECT results_eq(format('SELECT reason, source FROM suppressions WHERE phone = %L', :'p5'), $$VALUES ('DO_NOT_CALL', 'call')$$, 'who asks them not to be called is called by nobody');

-- ---- Numbers and ids that do not fit ------------------------------------------------------------------------------------

SELECT fx.phone() AS p6 \gset
SELECT fx.dialed('c-20', 'NO_ANSWER', 'schedule', '900001', :'p6') \g /dev/null
SELECT is(fx.record('900001', :'p6'), 'pending 1 {NO_ANSWER} NO_ANSWER', 'another number of the same lead is another record');
SELECT results_eq($$SELECT l.phone_e164, l.external_id FROM redial_queue q JOIN leads l ON l.id = q.lead_ref WHERE q.lead_id = '900001' AND q.phone_number = l.phone_e164 ORDER BY l.id$$,
	format('VALUES (%L, %L), (%L, NULL)', :'p1', '900001', :'p6'), 'and each is dialed at its own number');
SELECT fx.dialed('c-21', 'BUSY', 'schedule', '900001', :'p6', 10) \g /dev/null
SELECT is(fx.record('900001', :'p6'), 'pending 2 {NO_ANSWER,BUSY} BUSY', 'which is found again');
SELECT is((SELECT count(*) FROM leads WHERE phone_e164 = :'p6'), 1::bigint, 'with its lead');
SELECT fx.lead(:'p6') \g /dev/null
SELECT is(fx.dialed('c-22', 'BUSY', 'schedule', NULL, :'p6', 20), 0::bigint, 'a number of two leads, without an id: nobody''s');
SELECT is((SELECT count(*) FROM call_events WHERE provider_call_id = 'c-22' AND state = 'parked'), 2::bigint, 'it waits, to be listed');
SELECT fx.phone() AS p7 \gset
SELECT is(fx.dialed('c-23', 'BUSY', 'schedule', NULL, :'p7'), 1::bigint, 'a number that nobody has, without an id');
SELECT is((SELECT count(*) FROM redial_queue q JOIN leads l ON l.id = q.lead_ref AND l.id::text = q.lead_id WHERE l.phone_e164 = :'p7'), 1::bigint, 'is known by ours');
SELECT is(fx.dialed('c-24', 'BUSY', 'schedule', '900009', '12'), 0::bigint, 'what is no number is nobody''s');

-- ---- Caps ---------------------------------------------------------------------------------------------------------------

SELECT fx.phone() AS pa \gset
SELECT fx.lead(:'pa') AS capped \gset
UPDATE lanes SET cap_24h = 1 WHERE id = :lane;
SELECT fx.follow_up(:capped, :lane) AS f \gset
SELECT is(fx.hold(:f), 'open', 'a number that nobody called');
SELECT fx.dialed('c-25', 'DROPPED', 'schedule', NULL, :'pa', 24 * 60 - 5) \g /dev/null
SELECT is(fx.hold(:f), 'cap', 'their dial counts against the number''s cap');
UPDATE lanes SET cap_24h = NULL WHERE id = :lane;
SELECT results_eq($$SELECT status FROM calls WHERE provider_call_id = 'c-25'$$, $$VALUES ('completed')$$, 'somebody was reached');
SELECT fx.dialed('c-26', 'BAD_NUMBER', 'schedule', NULL, :'pa', 24 * 60 - 4) \g /dev/null
SELECT results_eq($$SELECT status FROM calls WHERE provider_call_id = 'c-26'$$, $$VALUES ('failed')$$, 'nobody was reached');

-- ---- Whatever order, in whatever batches ----------------------------------------------------------------------------------

SELECT fx.phone() AS p8 \gset
SELECT fx.told('c-30', 'NO_ANSWER', 'schedule', '900010', :'p8', 0, message => 'event'), fx.apply() \g /dev/null
SELECT is((SELECT state FROM call_events WHERE event_id = 'convoso:c-30:NO_ANSWER'), 'parked', 'an event before its decision waits');
SELECT fx.told('c-30', 'NO_ANSWER', 'schedule', '900010', :'p8', 0, message => 'redial'), fx.apply() \g /dev/null
SELECT is((SELECT state FROM call_events WHERE event_id = 'convoso:c-30:NO_ANSWER'), 'applied', 'and is told when it comes');
SELECT fx.phone() AS p9 \gset
SELECT fx.told('d-3', 'NO_ANSWER', 'schedule', '900011', :'p8', 30), fx.told('d-1', 'BUSY', 'schedule', '900011', :'p8', 10),
	fx.told('d-2', 'VOICEMAIL', 'schedule', '900011', :'p8', 20), fx.told('d-1', 'NO_ANSWER', 'schedule', '900011', :'p8', 10), fx.apply() \g /dev/null
SELECT fx.dialed('e-3', 'NO_ANSWER', 'schedule', '900012', :'p9', 30), fx.dialed('e-1', 'BUSY', 'schedule', '900012', :'p9', 10),
	fx.dialed('e-2', 'VOICEMAIL', 'schedule', '900012', :'p9', 20), fx.dialed('e-1', 'NO_ANSWER', 'schedule', '900012', :'p9', 10) \g /dev/null
SELECT is(fx.record('900011', :'p8'), 'pending 3 {BUSY,VOICEMAIL,NO_ANSWER} NO_ANSWER', 'one batch of several calls');
SELECT is(fx.record('900012', :'p9'), fx.record('900011', :'p8'), 'is the same as one after the other, in another order');

-- ---- Not of another dialer ------------------------------------------------------------------------------------------------

SELECT fx.told('x-1', 'BUSY', 'schedule', '900020', :'p9', account => 'fx-two') \g /dev/null
SELECT is(fx.apply(), 0::bigint, 'a provider that dials for us makes no calls of its own');

SELECT * FROM finish();
ROLLBACK;
