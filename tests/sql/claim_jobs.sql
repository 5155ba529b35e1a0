-- SPDX-License-Identifier: Apache-2.0
-- The dispatcher's claim: whose a job is, what is held at the last moment, and what follows a claim up to the look-up.
BEGIN;
\ir lib/fixture.psql
\set file consumer/sql/claim_jobs.sql
\ir lib/prepare.psql
\set file consumer/sql/my_dialing.sql
\ir lib/prepare.psql
\set file consumer/sql/stop_feed.sql
\ir lib/prepare.psql
\set file consumer/sql/due_checks.sql
\ir lib/prepare.psql
\set file consumer/sql/check_again.sql
\ir lib/prepare.psql
\set file consumer/sql/take_over.sql
\ir lib/prepare.psql
\set file consumer/sql/mark_undetermined.sql
\ir lib/prepare.psql
\set file consumer/sql/count_unknown.sql
\ir lib/prepare.psql
SELECT plan(89);

CREATE TYPE fx.verdict AS (job_id uuid, verdict text, gate text, follow_up_id bigint, tenant text, kind text, lead_id bigint, phone text,
	account text, account_id bigint, provider text, lane_id bigint, first_name text, last_name text, state text, variables jsonb,
	attempt integer, due_at bigint, dial_by bigint, assistant_id text, phone_number_id text);

-- A worker's claim, as the consumer's role.
CREATE FUNCTION fx.claim(jobs uuid[], follow_ups bigint[], worker text DEFAULT 'worker/1') RETURNS SETOF fx.verdict LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL ROLE carillon_consumer;
	RETURN QUERY EXECUTE format('EXECUTE claim_jobs(%L, %L, %L, 60, 85, ''{fx-two,fx-one}'', ''{xyz,abc}'', %L)', jobs, follow_ups, worker,
		current_setting('fx.asking', true) IS NOT DISTINCT FROM 'true');
	RESET ROLE;
END $$;

CREATE FUNCTION fx.claim(the_follow_up bigint, worker text DEFAULT 'worker/1') RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(concat_ws(' ', verdict, gate), ',') FROM fx.claim((SELECT ARRAY[coalesce(job_id, gen_random_uuid())] FROM carillon.follow_ups
		WHERE id = the_follow_up), ARRAY[the_follow_up], worker)
$$;

SELECT fx.lane('one') AS lane, fx.lane('two') AS two \gset

-- ---- A claim that succeeds ------------------------------------------------------------------------------------------

SELECT fx.due(:lane, 1) AS f \gset
UPDATE leads SET first_name = 'Ada', last_name = 'Lovelace', state = 'NY', raw_payload = '{"variables": {"a": 1}}'
WHERE id = (SELECT lead_id FROM follow_ups WHERE id = :f);
UPDATE follow_ups SET attempts = 1 WHERE id = :f;
SELECT fx.queued(:f) AS job \gset
CREATE TEMP TABLE dialed AS SELECT * FROM fx.claim(ARRAY[:'job']::uuid[], ARRAY[:f]::bigint[]);
SELECT results_eq('SELECT job_id, verdict, gate, follow_up_id, tenant, kind, account, provider, lane_id, first_name, last_name, state, variables, attempt
	FROM dialed', format('VALUES (%L::uuid, ''dial'', NULL, %s::bigint, ''fx'', ''follow_up'', ''fx-one'', ''omni'', %s::bigint, ''Ada'', ''Lovelace'',
	''NY'', ''{"a": 1}''::jsonb, 2)', :'job', :f, :lane), 'a queued job becomes ours to dial, with all that the request needs');
SELECT is(fx.state(:f), 'dialing', 'the follow-up is dialing');
SELECT results_eq(format('SELECT tenant_id, follow_up_id, status, worker, attempt, phone, provider, claimed_at, posted_at, fingerprint FROM calls WHERE job_id = %L', :'job'),
	format('SELECT ''fx'', %s::bigint, ''dialing'', ''worker/1'', 2, phone, ''omni'', now(), NULL::timestamptz, ''abc'' FROM dialed', :f),
	'the ledger has it before a byte leaves');
SELECT results_eq(format('SELECT tenant_id, phone, lane_id, account_id, follow_up_id, state, lease_until, next_check_at, checks FROM live WHERE job_id = %L', :'job'),
	format('SELECT ''fx'', phone, %s::bigint, account_id, %s::bigint, ''dialing'', now() + interval ''60 seconds'', now() + interval ''85 seconds'', 0 FROM dialed',
	:lane, :f), 'the live row holds phone, slot and lease');

-- ---- Whose it is not ---------------------------------------------------------------------------------------------------

SELECT is(fx.claim(:f), 'not_ours', 'the same job again, to the same worker: not ours');
SELECT is(fx.claim(:f, 'worker/2'), 'not_ours', 'nor a second worker''s');
SELECT is((SELECT worker FROM calls WHERE job_id = :'job'), 'worker/1', 'the ledger still names the first');
SELECT is((SELECT count(*) FROM calls WHERE follow_up_id = :f), 1::bigint, 'and has one row');

SELECT fx.due(:lane, 1) AS g \gset
SELECT fx.queued(:g) AS old_job \gset
SELECT fx.queued(:g) AS new_job \gset
SELECT is(verdict, 'not_ours', 'a stale job id of a queued follow-up is not ours') FROM fx.claim(ARRAY[:'old_job']::uuid[], ARRAY[:g]::bigint[]);
SELECT is(fx.state(:g), 'queued', 'and the follow-up stays as it is');
SELECT is(verdict, 'not_ours', 'a job of another follow-up is not ours') FROM fx.claim(ARRAY[:'new_job']::uuid[], ARRAY[:f]::bigint[]);
SELECT is(verdict, 'not_ours', 'a follow-up that is gone is not ours') FROM fx.claim(ARRAY[gen_random_uuid()], ARRAY[0]::bigint[]);
UPDATE follow_ups SET lease_until = now() - interval '1 hour' WHERE id = :g;
SELECT is(fx.claim(:g), 'dial', 'a job whose lease ended, not published again yet, is still the one job');
SELECT is(fx.claim(:g, 'worker/2'), 'not_ours', 'its second publication is not');
SELECT fx.due(:lane, 1) AS s \gset
SELECT fx.queued(:s) AS job_s \gset
CREATE FUNCTION fx.claim_when(the_status text, the_follow_up bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	UPDATE carillon.follow_ups SET status = the_status WHERE id = the_follow_up;
	RETURN fx.claim(the_follow_up);
END $$;
SELECT is(fx.claim_when(status, :s), 'not_ours', 'not ours while it is ' || status)
FROM unnest(ARRAY['pending', 'dialing', 'completed', 'skipped', 'cancelled', 'failed', 'undetermined']) status;

-- ---- What is held at the last moment --------------------------------------------------------------------------------------

CREATE FUNCTION fx.claim_after(the_lane bigint, change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	f bigint := fx.follow_up(fx.lead(), the_lane);
	answer text;
BEGIN
	PERFORM fx.queued(f);
	BEGIN
		EXECUTE format(change, f);
		answer := fx.claim(f);
		answer := answer || ': ' || fx.state(f) || CASE WHEN EXISTS (SELECT FROM carillon.calls WHERE follow_up_id = f) THEN ', in the ledger' ELSE '' END
			|| CASE WHEN (SELECT coalesce(job_id::text, claim_id::text, lease_until::text) IS NOT NULL FROM carillon.follow_ups WHERE id = f)
				THEN ', with its job' ELSE '' END;
		RAISE SQLSTATE 'FX000';
	EXCEPTION WHEN SQLSTATE 'FX000' THEN
		RETURN answer;
	END;
END $$;

\set of_lead 'WHERE id = (SELECT lead_id FROM follow_ups WHERE id = %s)'
SELECT is(fx.claim_after(:lane, change), format('skipped %s: skipped %1$s because of %1$s', gate), what)
FROM (VALUES
	('INSERT INTO suppressions (tenant_id, phone) SELECT ''fx'', phone_e164 FROM leads ' || :'of_lead', 'suppressed', 'a lead suppressed since is skipped'),
	('UPDATE leads SET stage = ''lost'' ' || :'of_lead', 'stage', 'a lead lost since is skipped'),
	('UPDATE leads SET phone = ''none'' ' || :'of_lead', 'number', 'a number changed into none is skipped'),
	('UPDATE leads SET phone = NULL ' || :'of_lead', 'no_phone', 'a lead without a phone is skipped')) v (change, gate, what);
SELECT is(fx.claim_after(:lane, change), format('held %s: pending %1$s', gate), what)
FROM (VALUES
	('UPDATE settings SET value = ''true'' WHERE key = ''stopped''', 'stopped', 'stopped since: back to the queue'),
	('UPDATE tenants SET stopped_at = now() WHERE id = ''fx''', 'stopped', 'the tenant stopped since'),
	('UPDATE lanes SET active = false WHERE id = ' || :lane, 'lane', 'the lane off since'),
	('UPDATE leads SET paused = true ' || :'of_lead', 'paused', 'the lead paused since'),
	('UPDATE accounts SET active = false WHERE name = ''fx-one''', 'credentials', 'the account off since'),
	('UPDATE accounts SET breaker_until = now() + interval ''1 minute'' WHERE name = ''fx-one''', 'breaker', 'the breaker open since'),
	('UPDATE lanes SET time_zone = ''UTC'', days = ARRAY[extract(isodow FROM now() + interval ''3 days'')] WHERE id = ' || :lane, 'day', 'not a day of the lane'),
	('INSERT INTO holidays VALUES (''fx'', (now() AT TIME ZONE ''UTC'')::date)', 'holiday', 'a holiday'),
	(format('UPDATE lanes SET time_zone = ''UTC'', window_start = (now() AT TIME ZONE ''UTC'')::time + interval ''1 hour'',
		window_end = (now() AT TIME ZONE ''UTC'')::time + interval ''2 hours'' WHERE id = %s', :lane), 'window', 'the window closed since'),
	(format('UPDATE lanes SET use_lead_window = true WHERE id = %s; UPDATE leads SET time_zone = ''Mars/Base'' %s', :lane, :'of_lead'), 'zone', 'the zone unknown since'),
	('INSERT INTO live (job_id, tenant_id, phone, lane_id, account_id, follow_up_id, state, lease_until, next_check_at)
		SELECT uuid_v7(), ''fx'', phone_e164, 0, 0, 0, ''undetermined'', now(), now() FROM leads ' || :'of_lead', 'live', 'another call on the phone'),
	(format('UPDATE lanes SET cap_24h = 1 WHERE id = %s; INSERT INTO calls (job_id, tenant_id, follow_up_id, kind, lane_id, lead_id, account_id, provider, phone,
		attempt, status, worker, due_at) SELECT uuid_v7(), ''fx'', 0, ''follow_up'', 0, 0, 0, ''omni'', phone_e164, 1, ''completed'', ''w'', now() FROM leads %s',
		:lane, :'of_lead'), 'cap', 'the cap reached since')) v (change, gate, what);

-- A window that closed: the next look is its opening.
SELECT fx.due(:two, 1) AS w \gset
SELECT fx.queued(:w) AS job_w \gset
UPDATE lanes SET time_zone = 'UTC', window_start = (now() AT TIME ZONE 'UTC')::time + interval '1 hour',
	window_end = (now() AT TIME ZONE 'UTC')::time + interval '2 hours' WHERE id = :two;
SELECT fx.claim(:w) \g /dev/null
SELECT is(next_look_at, now() + interval '1 hour', 'held by its window, it waits for the opening') FROM follow_ups WHERE id = :w;
UPDATE lanes SET window_start = NULL, window_end = NULL WHERE id = :two;

UPDATE settings SET value = '{"start": "08:00", "end": "21:00"}' WHERE key = 'lead_window';
UPDATE settings SET value = '"lane"' WHERE key = 'unknown_zone';
UPDATE lanes SET use_lead_window = true, time_zone = fx.evening_zone() WHERE id = :two;
SELECT fx.follow_up(fx.lead('+18005550101', NULL), :two) AS evening \gset
SELECT fx.queued(:evening) \g /dev/null
SELECT is(fx.claim(:evening), 'held lead_window', 'a number whose zone is not known is held past five in the evening');
SELECT is(next_look_at, ((now() AT TIME ZONE time_zone)::date + 1 + time '10:00') AT TIME ZONE time_zone, 'until the next morning at ten')
FROM follow_ups f JOIN lanes n ON n.id = f.lane_id WHERE f.id = :evening;
UPDATE lanes SET use_lead_window = false WHERE id = :two;

-- ---- Many at once: each has its verdict, and one conflict holds that one alone ---------------------------------------------------

SELECT fx.lead() AS shared, fx.due(:lane, 1) AS plain, fx.due(:lane, 1) AS lost \gset
SELECT fx.follow_up(:shared, :lane) AS same_a, fx.follow_up(:shared, :two) AS same_b \gset
UPDATE leads SET stage = 'lost' WHERE id = (SELECT lead_id FROM follow_ups WHERE id = :lost);
SELECT count(fx.queued(id)) FROM follow_ups WHERE id IN (:plain, :lost, :same_a, :same_b) \g /dev/null
CREATE TEMP TABLE batch AS SELECT * FROM fx.claim(
	(SELECT array_agg(job_id ORDER BY id) || gen_random_uuid() FROM follow_ups WHERE id IN (:plain, :lost, :same_a, :same_b)),
	(SELECT array_agg(id ORDER BY id) || 0::bigint FROM follow_ups WHERE id IN (:plain, :lost, :same_a, :same_b)));
SELECT bag_eq('SELECT concat_ws('' '', verdict, gate) FROM batch',
	$$VALUES ('dial'), ('skipped stage'), ('dial'), ('held live'), ('not_ours')$$, 'each job of a batch has one verdict');
SELECT is((SELECT count(*) FROM live v JOIN leads l ON l.phone_e164 = v.phone WHERE l.id = :shared), 1::bigint, 'two jobs to one phone: one call');
SELECT results_eq(format('SELECT next_look_at, job_id FROM follow_ups WHERE id IN (%s, %s) AND status = ''pending''', :same_a, :same_b),
	$$VALUES (now() + interval '15 seconds', NULL::uuid)$$, 'the other waits for its end');
SELECT throws_ok(format('INSERT INTO live (job_id, tenant_id, phone, lane_id, account_id, follow_up_id, state, lease_until, next_check_at)
	SELECT uuid_v7(), tenant_id, phone, 0, 0, 0, ''calling'', now(), now() FROM live WHERE job_id = %L', :'job'), '23505', NULL,
	'the database itself refuses a second live call to a phone');

-- ---- A number that somebody entered since the gates looked ----------------------------------------------------------------------
-- Here by a live row of the same follow-up, which the gates let pass.

SELECT fx.due(:lane, 1) AS met, fx.due(:lane, 1) AS beside, fx.due(:lane, 1) AS known, fx.lead() AS shared \gset
SELECT fx.follow_up(:shared, :lane) AS same_a, fx.follow_up(:shared, :two) AS same_b \gset
SELECT count(fx.queued(id)) FROM follow_ups WHERE id IN (:met, :beside, :known, :same_a, :same_b) \g /dev/null
INSERT INTO live (job_id, tenant_id, phone, lane_id, account_id, follow_up_id, state, lease_until, next_check_at)
SELECT uuid_v7(), 'fx', phone_e164, 0, 0, :met, 'unknown', now(), now() FROM leads WHERE id = (SELECT lead_id FROM follow_ups WHERE id = :met);
INSERT INTO calls (job_id, tenant_id, follow_up_id, kind, lane_id, lead_id, account_id, provider, phone, attempt, status, worker, due_at)
SELECT job_id, 'fx', 0, 'follow_up', 0, 0, 0, 'omni', '+12125550198', 1, 'completed', 'w', now() FROM follow_ups WHERE id = :known;
CREATE FUNCTION fx.claim_five() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' ', j.verdict, j.gate) FROM (SELECT array_agg(job_id ORDER BY id) AS jobs, array_agg(id ORDER BY id) AS ids
		FROM (SELECT * FROM carillon.follow_ups WHERE status = 'queued' ORDER BY id DESC LIMIT 5) f) f CROSS JOIN LATERAL fx.claim(f.jobs, f.ids) j
$$;
SELECT throws_ok('SELECT fx.claim_five()', '23505', NULL, 'a claim that does not ask first fails as a whole');
SELECT is((SELECT count(*) FROM calls WHERE follow_up_id IN (:met, :beside, :known, :same_a, :same_b)), 0::bigint, 'and nothing is ours');
SET fx.asking = true;
SELECT bag_eq('SELECT fx.claim_five()', $$VALUES ('held live'), ('dial'), ('held live'), ('dial'), ('held live')$$,
	'the next one asks, and holds those alone that are live or in the ledger');
SELECT bag_eq(format('SELECT follow_up_id FROM calls WHERE follow_up_id IN (%s, %s, %s)', :met, :beside, :known), ARRAY[:beside]::bigint[], 'the ledger has the one beside them');
SELECT is((SELECT count(*) FROM calls WHERE follow_up_id IN (:same_a, :same_b)), 1::bigint, 'and one of the two to one phone');
SELECT is_empty(format('SELECT FROM live WHERE follow_up_id = %s', :known), 'what the ledger has holds no number');
RESET fx.asking;

-- ---- After a claim whose answer was lost --------------------------------------------------------------------------------------------

CREATE TEMP TABLE mine AS EXECUTE my_dialing(ARRAY[:'job', :'job_s']::uuid[], 'worker/1');
SELECT results_eq('SELECT job_id, verdict, gate, follow_up_id, tenant, kind, lead_id, phone, account, account_id, provider, lane_id, first_name,
		last_name, state, variables, attempt, due_at, dial_by, assistant_id, phone_number_id FROM mine', 'SELECT * FROM dialed', 'my_dialing tells what the claim told');
CREATE TEMP TABLE others AS EXECUTE my_dialing(ARRAY[:'job']::uuid[], 'worker/2');
SELECT is_empty('SELECT * FROM others', 'and nothing of another worker''s');

SELECT is(fingerprint, 'abc', 'it is stamped with the credentials of its account') FROM calls WHERE job_id = :'job';

-- ---- What stops a claimed call before its first byte ------------------------------------------------------------------------------------

CREATE FUNCTION fx.feed(change text DEFAULT 'SELECT') RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	found text[];
	r record;
BEGIN
	BEGIN
		EXECUTE change;
		SET LOCAL ROLE carillon_consumer;
		FOR r IN EXECUTE 'EXECUTE stop_feed(120, ''{}'')' LOOP
			found := found || concat_ws(' ', r.what, nullif(r.tenant, ''), nullif(r.key, ''));
		END LOOP;
		RESET ROLE;
		RAISE SQLSTATE 'FX000';
	EXCEPTION WHEN SQLSTATE 'FX000' THEN
		RETURN coalesce(found, '{}');
	END;
END $$;
SELECT fx.lane('dialing') AS dialing, fx.lane('waiting') AS waiting, fx.lane('idle') AS idle \gset
SELECT fx.call(:dialing, 'dialing'), fx.queued(fx.due(:waiting, 1)) \g /dev/null
SELECT is(fx.feed(change), expected, 'stop_feed: ' || what)
FROM (VALUES
	('SELECT', '{}'::text[], 'nothing'),
	('UPDATE settings SET value = ''true'' WHERE key = ''stopped''', '{all}', 'the kill switch'),
	('UPDATE tenants SET stopped_at = now() WHERE id = ''fx''', '{tenant fx}', 'a tenant'),
	('UPDATE accounts SET active = false WHERE name = ''fx-two''', '{account fx-two}', 'an account'),
	('UPDATE lanes SET active = false WHERE id = ' || :dialing, ARRAY['lane ' || :dialing], 'a lane with a claimed call'),
	('UPDATE lanes SET active = false WHERE id = ' || :waiting, ARRAY['lane ' || :waiting], 'a lane with a job that may be claimed just now'),
	('UPDATE lanes SET active = false WHERE id = ' || :idle, ARRAY['lane ' || :idle], 'a lane that stopped lately'),
	('UPDATE lanes SET active = false WHERE id = ' || :idle || '; UPDATE lanes SET stopped_at = now() - interval ''61 seconds'' WHERE id = ' || :idle,
		'{}', 'not a lane with nothing to dial'),
	('INSERT INTO suppressions (tenant_id, phone) VALUES (''fx'', ''+12125550199'')', '{phone fx +12125550199}', 'a number'),
	('INSERT INTO suppressions (tenant_id, phone, created_at) VALUES (''fx'', ''+12125550199'', now() - interval ''3 minutes'')', '{}',
		'not one that every claim still unsent has seen')) v (change, expected, what);

SELECT fx.call(:dialing, 'dialing') AS first, fx.call(:dialing, 'dialing') AS second, fx.call(:dialing, 'dialing') AS third,
	fx.call(:dialing, 'dialing') AS other \gset
UPDATE leads l SET paused = c.job_id IN (:'first', :'other'), stage = CASE c.job_id WHEN :'second' THEN 'lost' ELSE 'new' END
FROM calls c WHERE c.lead_id = l.id AND c.job_id IN (:'first', :'second', :'third', :'other');
CREATE TEMP TABLE fed AS EXECUTE stop_feed(120, ARRAY[:'first', :'second', :'third', gen_random_uuid()]::uuid[]);
SELECT set_eq('SELECT what, tenant, key FROM fed', format($$SELECT v.what, '', c.lead_id::text
	FROM calls c JOIN (VALUES (%L::uuid, 'paused'), (%L, 'stage')) v (job_id, what) USING (job_id)$$, :'first', :'second'),
	'leads of calls that wait for their first byte');
DROP TABLE fed;

UPDATE lanes SET active = false WHERE id = :dialing;
UPDATE lanes SET stopped_at = now() - interval '1.5 seconds' WHERE id = :dialing;
CREATE TEMP TABLE fed AS EXECUTE stop_feed(120, '{}');
SELECT is(at_ms, to_ms(now() - interval '1.5 seconds'), 'it tells when the lane stopped') FROM fed WHERE what = 'lane';
SELECT ok(age_ms BETWEEN 1500 AND 60000, 'and how long ago that was when it was read') FROM fed WHERE what = 'lane';
UPDATE lanes SET max_concurrent = 7 WHERE id = :dialing;
SELECT is(stopped_at, now() - interval '1.5 seconds', 'which stays while it is not active') FROM lanes WHERE id = :dialing;
UPDATE lanes SET active = true WHERE id = :dialing;
SELECT is(stopped_at, NULL, 'and is forgotten with its start') FROM lanes WHERE id = :dialing;

-- ---- What the reconciler takes -------------------------------------------------------------------------------------------------------------

DELETE FROM live;
SELECT fx.call(:lane, 'unknown') AS unknown, fx.call(:lane, 'calling', 'p-1') AS overdue, fx.call(:lane, 'dialing') AS early,
	fx.call(:lane, 'undetermined') AS undetermined \gset
UPDATE live SET next_check_at = now() - interval '1 second' WHERE job_id <> :'early';
UPDATE live SET next_check_at = now() - interval '2 seconds' WHERE job_id = :'overdue';
INSERT INTO applied_offsets (topic, partition, next, read_to) VALUES ('fx.result', 0, 1, from_ms(3000)), ('fx.result', 1, 1, from_ms(2000)),
	('fx.event', 0, 1, from_ms(4000)), ('fx.other', 0, 1, from_ms(1000));
CREATE TEMP TABLE one AS EXECUTE due_checks(1, 30, 'looker/1', '{fx.result,fx.event}');
SELECT is(recorded_to, 2000::bigint, 'what was published by then is applied, in all partitions that tell of calls') FROM one;
UPDATE applied_offsets SET read_to = '-infinity' WHERE topic = 'fx.event';
SELECT results_eq('SELECT job_id, state, checks, provider_call_id, account, worker, has_event FROM one',
	format('VALUES (%L::uuid, ''calling'', 1, ''p-1'', ''fx-one'', ''worker/1'', false)', :'overdue'), 'due_checks takes the one that waited the longest');
CREATE TEMP TABLE rest AS EXECUTE due_checks(100, 30, 'looker/1', '{fx.result,fx.event}');
SELECT results_eq('SELECT job_id, state FROM rest', format('VALUES (%L::uuid, ''unknown'')', :'unknown'),
	'then the others: none before its time, none taken already, none undetermined');
SELECT is(recorded_to, NULL, 'not known if it is not of each') FROM rest;
SELECT is(next_check_at, now() + interval '30 seconds', 'and they are its own for a while') FROM live WHERE job_id = :'unknown';
EXECUTE check_again(ARRAY[:'unknown', :'undetermined']::uuid[], '{45,45}', ARRAY[to_ms(now()), NULL]);
SELECT results_eq(format('SELECT next_check_at, absent_at FROM live WHERE job_id = %L', :'unknown'),
	$$VALUES (now() + interval '45 seconds', from_ms(to_ms(now())))$$, 'check_again: the next look, and since when it is absent');
EXECUTE check_again(ARRAY[:'unknown']::uuid[], '{45}', ARRAY[to_ms(now() + interval '1 hour')]);
SELECT is(absent_at, from_ms(to_ms(now())), 'the first absence stays') FROM live WHERE job_id = :'unknown';
SELECT is(next_check_at, now() - interval '1 second', 'an undetermined call is not looked up') FROM live WHERE job_id = :'undetermined';
EXECUTE take_over('worker/', 'worker/2');
SELECT is(next_check_at, now(), 'take_over: what a former incarnation was dialing is looked up at once') FROM live WHERE job_id = :'early';
SELECT is(next_check_at, now() + interval '45 seconds', 'nothing else') FROM live WHERE job_id = :'unknown';
UPDATE live SET next_check_at = now() + interval '5 minutes' WHERE job_id = :'early';
EXECUTE take_over('worker/', 'worker/1');
SELECT is(next_check_at, now() + interval '5 minutes', 'nor what this incarnation is dialing') FROM live WHERE job_id = :'early';
EXECUTE take_over('work/', 'work/2');
SELECT is(next_check_at, now() + interval '5 minutes', 'nor what another worker is') FROM live WHERE job_id = :'early';
SELECT is(next_check_at, now() + interval '30 seconds', 'nor what is being looked up') FROM live WHERE job_id = :'overdue';
EXECUTE take_over('looker/', 'looker/2');
SELECT is(next_check_at, now(), 'but what a former incarnation was looking up') FROM live WHERE job_id = :'overdue';
SELECT is(next_check_at, now() + interval '45 seconds', 'and did not finish') FROM live WHERE job_id = :'unknown';
EXECUTE count_unknown \gset
SELECT is(:n, 1, 'count_unknown: the unknown one');
UPDATE live SET lease_until = now() - interval '1 ms' WHERE job_id = :'early';
EXECUTE count_unknown \gset
SELECT is(:n, 2, 'and the one whose worker has fallen silent');

EXECUTE mark_undetermined(ARRAY[:'unknown', :'overdue']::uuid[]) \g /dev/null
SELECT is((SELECT status FROM calls WHERE job_id = :'unknown'), 'undetermined', 'mark_undetermined: no proof by the deadline');
SELECT is(fx.state(follow_up_id), 'undetermined because of undetermined', 'its follow-up is not dialed again') FROM calls WHERE job_id = :'unknown';
SELECT results_eq(format('SELECT state, next_check_at FROM live WHERE job_id = %L', :'unknown'), $$VALUES ('undetermined', 'infinity'::timestamptz)$$,
	'the phone stays held');
SELECT is((SELECT status FROM calls WHERE job_id = :'overdue'), 'calling', 'an accepted call is not undetermined');

SELECT * FROM finish();
ROLLBACK;
