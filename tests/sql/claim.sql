-- SPDX-License-Identifier: Apache-2.0
-- The producer's claim and what belongs to it: lanes locked, limits kept, held rows put off, jobs published again.
BEGIN;
\ir lib/fixture.psql
\set file producer/sql/lock_lanes.sql
\ir lib/prepare.psql
\set file producer/sql/lock_accounts.sql
\ir lib/prepare.psql
\set file producer/sql/claim.sql
\ir lib/prepare.psql
\set file producer/sql/confirm_claims.sql
\ir lib/prepare.psql
\set file producer/sql/republish.sql
\ir lib/prepare.psql
\set file producer/sql/forget_claims.sql
\ir lib/prepare.psql
\set file producer/sql/look_again.sql
\ir lib/prepare.psql
\set file producer/sql/next_due.sql
\ir lib/prepare.psql
\set file producer/sql/oldest_due.sql
\ir lib/prepare.psql
\set file producer/sql/stopped.sql
\ir lib/prepare.psql
\set file producer/sql/pacing.sql
\ir lib/prepare.psql
\set file producer/sql/pacing_seen.sql
\ir lib/prepare.psql
SELECT plan(132);

CREATE TYPE fx.claimed AS ("row" text, gate text, n bigint, claim_id bigint, job_id uuid, follow_up_id bigint, tenant text, kind text,
	lead_id bigint, phone text, account text, attempt integer, due_at bigint, dial_by bigint);

-- One pass of a producer, as its role: locks the lanes it serves, then claims.
CREATE FUNCTION fx.claim(most integer DEFAULT 1000, own boolean DEFAULT true, only_own boolean DEFAULT false) RETURNS SETOF fx.claimed
LANGUAGE plpgsql AS $$
DECLARE
	token uuid := gen_random_uuid();
BEGIN
	SET LOCAL ROLE carillon_producer;
	EXECUTE format('EXECUTE lock_lanes(%L, %L, %L)', token, own, only_own);
	EXECUTE format('EXECUTE lock_accounts(%L)', token);
	RETURN QUERY EXECUTE format('EXECUTE claim(%L, %L, %s, 300)', token, 'producer', most);
	RESET ROLE;
END $$;

CREATE FUNCTION fx.republish(most integer DEFAULT 1000) RETURNS SETOF fx.claimed LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL ROLE carillon_producer;
	RETURN QUERY EXECUTE format('EXECUTE republish(%L, %s, 10, 300)', 'producer', most);
	RESET ROLE;
END $$;

-- How many jobs a pass makes of what is due; all of it is undone.
CREATE FUNCTION fx.jobs(change text DEFAULT 'SELECT', most integer DEFAULT 1000, the_lane bigint DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	jobs bigint;
BEGIN
	BEGIN
		EXECUTE change;
		SELECT count(*) INTO jobs FROM fx.claim(most) c
		WHERE "row" = 'job' AND (the_lane IS NULL OR the_lane = (SELECT lane_id FROM follow_ups f WHERE f.id = c.follow_up_id));
		RAISE SQLSTATE 'FX000';
	EXCEPTION WHEN SQLSTATE 'FX000' THEN
		RETURN jobs;
	END;
END $$;

SELECT fx.lane('one') AS lane, fx.lane('two') AS two \gset

-- ---- What a claim does --------------------------------------------------------------------------------------------

SELECT fx.due(:lane, 1) AS f \gset
UPDATE follow_ups SET attempts = 2, gate = 'live' WHERE id = :f;
CREATE TEMP TABLE first AS SELECT * FROM fx.claim();
SELECT results_eq('SELECT "row", n, tenant, kind, account, attempt, dial_by FROM first', $$VALUES ('job', 1::bigint, 'fx', 'follow_up', 'fx-one', 3, NULL::bigint)$$,
	'a due follow-up becomes a job');
SELECT results_eq(format('SELECT follow_up_id, lead_id, phone, due_at FROM first'),
	format('SELECT f.id, l.id, l.phone_e164, to_ms(f.due_at) FROM follow_ups f JOIN leads l ON l.id = f.lead_id WHERE f.id = %s', :f), 'with its facts');
SELECT results_eq(format('SELECT status, f.job_id = c.job_id, f.claim_id = c.claim_id, f.lease_until, f.gate FROM follow_ups f, first c WHERE f.id = %s', :f),
	$$VALUES ('queued', true, true, now() + interval '300 seconds', NULL::text)$$, 'the follow-up is queued under that job, with its lease');
SELECT matches(job_id::text, '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab]', 'the job id is a UUIDv7') FROM first;
SELECT cmp_ok(abs(('x' || left(replace(job_id::text, '-', ''), 12))::bit(48)::bigint - to_ms(clock_timestamp())), '<', 60000::bigint,
	'and begins with the time') FROM first;
SELECT results_eq('SELECT lane_id, producer, jobs, lease_s, lease_until, published_at FROM claims WHERE id = (SELECT claim_id FROM first)',
	format('VALUES (%s::bigint, ''producer'', 1, 300, now() + interval ''300 seconds'', NULL::timestamptz)', :lane), 'the claim is kept until it is confirmed');
SELECT is_empty('SELECT * FROM fx.claim()', 'a second pass claims nothing');
SELECT is((SELECT count(*) FROM lanes WHERE claim_token IS NOT NULL), 0::bigint, 'a pass leaves no token behind');
SELECT is(fx.follow_up(fx.lead(), :lane, '-1 second') > 0 AND fx.jobs() = 0, true, 'what is not due yet is not claimed');
SELECT is(fx.jobs('UPDATE follow_ups SET status = ''cancelled''; SELECT fx.due(' || :lane || ', 1)'), 1::bigint, 'nor what is not pending');
DELETE FROM follow_ups WHERE tenant_id = 'fx';

-- ---- Which lanes ------------------------------------------------------------------------------------------------------

SELECT fx.lane('follow_ups') AS source \gset
SELECT fx.due(:lane, 1), fx.due(:source, 1) \gset _
SELECT fx.due(:lane, 1) AS in_one, fx.due(:source, 1) AS in_source \gset
CREATE FUNCTION fx.lanes_locked(own boolean, only_own boolean, change text DEFAULT 'SELECT') RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	token uuid := gen_random_uuid();
	names text[];
BEGIN
	EXECUTE change;
	EXECUTE format('EXECUTE lock_lanes(%L, %L, %L)', token, own, only_own);
	SELECT array_agg(name ORDER BY name) INTO names FROM carillon.lanes WHERE claim_token = token AND tenant_id = 'fx';
	RETURN names;
END $$;
SELECT is(fx.lanes_locked(true, false), '{follow_ups,one,two}', 'lock_lanes takes all active lanes');
SELECT is(fx.lanes_locked(false, false), '{one,two}', 'without the lead source''s, where another schedule drives it');
SELECT is(fx.lanes_locked(true, true), '{follow_ups}', 'or those alone');
SELECT is(fx.lanes_locked(true, false, 'UPDATE lanes SET active = false WHERE id = ' || :two), '{follow_ups,one}', 'no lane that is off');
UPDATE lanes SET active = true WHERE id = :two;
SELECT is(fx.lanes_locked(true, false, 'UPDATE lanes SET next_at = now() + interval ''1 second'' WHERE id = ' || :two), '{follow_ups,one}',
	'no lane that opens later');
UPDATE lanes SET next_at = '-infinity' WHERE id = :two;
SELECT isnt(served_at, '-infinity', 'a lane knows when it was served') FROM lanes WHERE id = :two;
EXECUTE lock_lanes('00000000-0000-4000-8000-000000000001', true, false) \g /dev/null
CREATE TEMP TABLE by_another AS EXECUTE claim('00000000-0000-4000-8000-000000000002', 'producer', 1000, 300);
SELECT is_empty('SELECT * FROM by_another', 'a claim serves the lanes of its own token alone');

-- Another session gets none of the lanes that this one has locked, and does not wait.
CREATE EXTENSION IF NOT EXISTS dblink SCHEMA public;
\getenv url DATABASE_URL
\set lock_lanes `cat :'root'/producer/sql/lock_lanes.sql`
SELECT dblink_connect('beside', :'url') \g /dev/null
SELECT dblink_exec('beside', 'BEGIN; SET LOCAL statement_timeout = ''5s''') \g /dev/null
SELECT dblink_exec('beside', 'PREPARE lock_lanes AS ' || :'lock_lanes') \g /dev/null
SELECT is((SELECT count(*) FROM dblink('beside', 'EXECUTE lock_lanes(gen_random_uuid(), true, false)') t (lane_id bigint)), 0::bigint,
	'a second producer gets none of the locked lanes, and does not wait');
SELECT dblink_exec('beside', 'ROLLBACK') \g /dev/null
SELECT dblink_disconnect('beside') \g /dev/null

UPDATE lanes SET name = 'three' WHERE id = :source;
DELETE FROM follow_ups WHERE tenant_id = 'fx';

-- ---- Limits -------------------------------------------------------------------------------------------------------------

SELECT fx.due(:lane, 10) AS first_due \gset
SELECT is(fx.jobs(), 10::bigint, 'without limits all that is due is claimed');
SELECT is(fx.jobs(most => 4), 4::bigint, 'the pass has a limit over all lanes');
SELECT is(fx.jobs(format('SELECT fx.due(%s, 10)', :two), 4), 4::bigint, 'also with two lanes');
SELECT is(fx.jobs(format('SELECT fx.due(%s, 3)', :two), 4, :two), 2::bigint, 'of which the one that waited less has its half');
SELECT is(fx.jobs(format('SELECT fx.due(%s, 3)', :two), 8, :two), 3::bigint, 'or all it needs');
SELECT is(fx.jobs(format('SELECT fx.due(%s, 3); UPDATE accounts SET max_concurrent = 4 WHERE id = fx.account()', :two), 1000, :two), 2::bigint,
	'the same of an account''s slots');
SELECT is(fx.jobs(format('UPDATE lanes SET batch_per_run = 3 WHERE id = %s', :lane)), 3::bigint, 'the lane''s batch');
SELECT is(fx.jobs(format('UPDATE lanes SET batch_per_run = 3 WHERE id = %s; SELECT fx.due(%s, 10)', :lane, :two)), 13::bigint,
	'another lane''s is its own');
SELECT is(fx.jobs(format('UPDATE lanes SET max_concurrent = 5 WHERE id = %s', :lane)), 5::bigint, 'the lane''s free slots');
SELECT is(fx.jobs(format('UPDATE lanes SET max_concurrent = 5 WHERE id = %s; SELECT fx.call(%1$s, status)
	FROM unnest(ARRAY[''dialing'', ''unknown'', ''undetermined'', ''in_progress'']) status', :lane)), 2::bigint,
	'live calls fill slots; one that stays undetermined only holds its phone');
SELECT is(fx.jobs(format('UPDATE lanes SET max_concurrent = 5 WHERE id = %s; SELECT fx.queued(fx.follow_up(fx.lead(), %1$s)) FROM generate_series(1, 3)', :lane)),
	2::bigint, 'queued jobs fill slots');
SELECT is(fx.jobs(format('UPDATE lanes SET max_concurrent = 2 WHERE id = %s; SELECT fx.call(%1$s, ''calling'') FROM generate_series(1, 3)', :lane)),
	0::bigint, 'no slot below zero');
SELECT is(fx.jobs(format('UPDATE lanes SET max_concurrent = 5 WHERE id = %s; SELECT fx.call(%s, ''calling'') FROM generate_series(1, 3)', :lane, :two)),
	5::bigint, 'other lanes'' calls do not');
SELECT is(fx.jobs(format('UPDATE lanes SET max_concurrent = 5 WHERE id = %s; SELECT fx.call(%1$s, ''completed'') FROM generate_series(1, 3)', :lane)),
	5::bigint, 'calls that are over do not');

SELECT is(fx.jobs(format('UPDATE accounts SET max_concurrent = 6 WHERE name = ''fx-one''; SELECT fx.due(%s, 10)', :two)), 6::bigint,
	'the account''s slots, over all its lanes');
SELECT is(fx.jobs(format('UPDATE accounts SET max_concurrent = 6 WHERE name = ''fx-one''; SELECT fx.call(%s, ''ringing'') FROM generate_series(1, 3);
	SELECT fx.queued(fx.follow_up(fx.lead(), %1$s)) FROM generate_series(1, 2)', :two)), 1::bigint, 'live and queued ones of its other lanes fill them');
SELECT is(fx.jobs(format('UPDATE accounts SET max_concurrent = 2 WHERE name = ''fx-one''; SELECT fx.call(%s, ''calling''); SELECT fx.due(%s, 1)', :lane, :two),
	1000, :two), 1::bigint, 'the one that is free goes to the lane that has fewer, however long the other has waited');
SELECT is(fx.jobs(format('UPDATE accounts SET max_concurrent = 6 WHERE name = ''fx-one'';
	UPDATE follow_ups SET account_id = fx.account(''fx-two'') WHERE id < %s + 2', :first_due)), 8::bigint, 'another account''s do not');
-- A backlog of an account that is full, longer than what a pass looks at.
SELECT is(fx.jobs(format('SELECT fx.due(%1$s, 300); UPDATE follow_ups SET account_id = fx.account(''fx-two'') WHERE lane_id = %1$s;
	UPDATE accounts SET max_concurrent = 2 WHERE name = ''fx-two''; SELECT fx.due(%1$s, 5); UPDATE lanes SET max_concurrent = 20 WHERE id = %1$s', :two),
	1000, :two), 7::bigint, 'the backlog of those with an account of their own, which is full, hides no others');
SELECT is(fx.jobs(format('SELECT fx.due(%1$s, 150, 2); SELECT fx.due(%1$s, 150); UPDATE follow_ups SET account_id = fx.account(''fx-two'') WHERE lane_id = %1$s;
	UPDATE accounts SET max_concurrent = 2 WHERE name = ''fx-two''; SELECT fx.due(%1$s, 5); UPDATE lanes SET max_concurrent = 20 WHERE id = %1$s', :two),
	1000, :two), 7::bigint, 'of whatever priorities');
SELECT is(fx.jobs(format('SELECT fx.due(%1$s, 300); UPDATE follow_ups SET account_id = fx.account(''fx-two'') WHERE lane_id = %1$s;
	UPDATE accounts SET max_concurrent = 2 WHERE name = ''fx-two''; SELECT fx.due(%1$s, 5); UPDATE lanes SET max_concurrent = 6 WHERE id = %1$s', :two),
	1000, :two), 6::bigint, 'nor takes it their places in the lane');
SELECT is(fx.jobs(format('SELECT fx.due(%1$s, 5); UPDATE follow_ups SET account_id = fx.account(''fx-two'') WHERE lane_id = %1$s;
	SELECT fx.due(%1$s, 300); UPDATE accounts SET max_concurrent = 2 WHERE id = fx.account(); UPDATE lanes SET active = false WHERE id = %2$s;
	UPDATE lanes SET max_concurrent = 20 WHERE id = %1$s', :two, :lane), 1000, :two), 7::bigint,
	'nor does the backlog of the lane''s account hide those with their own');
SELECT is(fx.jobs(format('UPDATE accounts SET max_concurrent = 1 WHERE name = ''fx-two''; SELECT fx.call(%1$s, ''calling''); UPDATE live SET account_id = fx.account(''fx-two'');
	UPDATE lanes SET active = false WHERE id = %2$s; SELECT fx.due(%1$s, 1); UPDATE follow_ups SET account_id = fx.account(''fx-two'') WHERE lane_id = %1$s;
	SELECT fx.follow_up((SELECT max(lead_id) FROM follow_ups), %1$s, ''0'')', :two, :lane), 1000, :two), 1::bigint,
	'one that waits for a full account holds back no other of its number');
SELECT is(fx.jobs(format('UPDATE settings SET value = ''6'' WHERE key = ''account_queued_max'';
	SELECT fx.call(%s, ''ringing'') FROM generate_series(1, 3); SELECT fx.queued(fx.follow_up(fx.lead(), %1$s)) FROM generate_series(1, 2)', :two)), 4::bigint,
	'an account without a limit has a bounded queue, which live calls do not fill');
SELECT is(fx.jobs(format('UPDATE settings SET value = ''2'' WHERE key = ''account_queued_max'';
	SELECT fx.queued(fx.follow_up(fx.lead(), %s)) FROM generate_series(1, 3)', :two)), 0::bigint, 'a queue over its bound gets none');
SELECT is(fx.jobs(format('UPDATE settings SET value = ''2'' WHERE key = ''account_queued_max''; UPDATE accounts SET max_concurrent = 6 WHERE name = ''fx-one'';
	SELECT fx.call(%s, ''ringing'') FROM generate_series(1, 3)', :two)), 2::bigint, 'one with a limit has both');
SELECT is(fx.jobs(format('UPDATE settings SET value = %L WHERE key = ''account_queued_max''; UPDATE accounts SET max_concurrent = %s WHERE name = ''fx-one'';
	SELECT fx.queued(fx.follow_up(fx.lead(), %s)) FROM generate_series(1, %s)', bound, most, :two, queued)), jobs, what)
FROM (VALUES ('16', 0, 13, 0::bigint, 'a queue is filled in quarters'), ('16', 0, 12, 4, 'of which there is one'),
	('16', 100, 15, 1, 'not that of an account with a limit'), ('7', 0, 6, 1, 'nor a short one')) c (bound, most, queued, jobs, what);
SELECT is(fx.jobs(format('SELECT fx.due(%1$s, 5); UPDATE follow_ups SET account_id = fx.account(''fx-two'') WHERE lane_id = %1$s;
	UPDATE accounts SET max_concurrent = 2 WHERE name = ''fx-two''; UPDATE lanes SET active = false WHERE id = %2$s;
	SELECT fx.queued(id) FROM (SELECT id FROM follow_ups WHERE lane_id = %1$s ORDER BY id LIMIT 2) q', :two, :lane), 1000, :two), 0::bigint,
	'what an own account has queued already counts');

-- ---- Rate: a bucket of a second's tokens ----------------------------------------------------------------------------------

CREATE FUNCTION fx.rate(per_second float, had float, ago interval) RETURNS bigint LANGUAGE sql AS $$
	SELECT fx.jobs(format('UPDATE lanes SET rate_per_second = %s, tokens = %s, tokens_at = now() - %L::interval WHERE name = ''one''', per_second, had, ago))
$$;
SELECT is(fx.rate(5, 0, '1 second'), 5::bigint, 'a second''s worth');
SELECT is(fx.rate(5, 0, '500 ms'), 2::bigint, 'half a second''s worth, rounded down');
SELECT is(fx.rate(5, 0, '1 hour'), 5::bigint, 'the bucket holds no more than a second''s');
SELECT is(fx.rate(5, 3, '200 ms'), 4::bigint, 'what was left and what came');
SELECT is(fx.rate(0.5, 0, '1 second'), 0::bigint, 'a slow rate waits for a whole token');
SELECT is(fx.rate(0.5, 0, '2 seconds'), 1::bigint, 'and has it in time');
SELECT is(fx.rate(0.5, 0, '1 hour'), 1::bigint, 'one at a time');
UPDATE lanes SET rate_per_second = 5, tokens = 0.5, tokens_at = now() - interval '500 ms', batch_per_run = 2 WHERE id = :lane;
SELECT is(count(*), 2::bigint, 'the lesser of batch and rate') FROM fx.claim() WHERE "row" = 'job';
SELECT is(tokens, 1.0::double precision, 'claims take tokens, the rest stays') FROM lanes WHERE id = :lane;
SELECT is(tokens_at, now(), 'at the time of the pass') FROM lanes WHERE id = :lane;
UPDATE lanes SET rate_per_second = NULL, batch_per_run = 0 WHERE id = :lane;
DELETE FROM follow_ups WHERE tenant_id = 'fx';

-- ---- Order -------------------------------------------------------------------------------------------------------------------

SELECT fx.follow_up(fx.lead(), :lane, '10 minutes', 0) AS bulk_old, fx.follow_up(fx.lead(), :lane, '1 minute', 0) AS bulk,
	fx.follow_up(fx.lead(), :lane, '2 minutes', 1) AS normal, fx.follow_up(fx.lead(), :lane, '1 second', 2) AS manual \gset
CREATE FUNCTION fx.claimed_first(most integer) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
	ids bigint[];
BEGIN
	BEGIN
		SELECT array_agg(follow_up_id ORDER BY follow_up_id) INTO ids FROM fx.claim(most) WHERE "row" = 'job';
		RAISE SQLSTATE 'FX000';
	EXCEPTION WHEN SQLSTATE 'FX000' THEN
		RETURN ids;
	END;
END $$;
SELECT is(fx.claimed_first(1), ARRAY[:manual]::bigint[], 'manual calls come first');
SELECT is(fx.claimed_first(2), ARRAY[:normal, :manual]::bigint[], 'then normal ones');
SELECT is(fx.claimed_first(3), ARRAY[:bulk_old, :normal, :manual]::bigint[], 'then bulk, the oldest first');

-- A manual call is found behind however much bulk that has waited longer.
SELECT fx.due(:lane, 150) AS wall \gset
UPDATE follow_ups SET next_look_at = now() - interval '1 day' WHERE id >= :wall;
SELECT is(fx.claimed_first(1), ARRAY[:manual]::bigint[], 'also before many that have waited longer');
DELETE FROM follow_ups WHERE id >= :wall;

-- One job a phone, the most urgent; the other waits its turn.
SELECT lead_id AS manual_lead FROM follow_ups WHERE id = :manual \gset
SELECT fx.follow_up(:manual_lead, :two, '1 hour', 1) AS same_phone \gset
CREATE TEMP TABLE one_phone AS SELECT * FROM fx.claim();
SELECT is((SELECT count(*) FROM one_phone WHERE follow_up_id IN (:manual, :same_phone)), 1::bigint, 'one job a phone and pass');
SELECT is(fx.state(:manual), 'queued', 'the one of the higher priority');
SELECT is(fx.state(:same_phone), 'pending', 'the other stays');
DELETE FROM follow_ups WHERE tenant_id = 'fx';

-- ---- Held ones ------------------------------------------------------------------------------------------------------------------

SELECT fx.due(:lane, 8) AS h \gset
UPDATE leads SET paused = true WHERE id = (SELECT lead_id FROM follow_ups WHERE id = :h);
UPDATE leads SET stage = 'lost' WHERE id = (SELECT lead_id FROM follow_ups WHERE id = :h + 1);
UPDATE leads SET phone = 'none' WHERE id = (SELECT lead_id FROM follow_ups WHERE id = :h + 2);
INSERT INTO suppressions (tenant_id, phone) SELECT 'fx', phone_e164 FROM leads WHERE id = (SELECT lead_id FROM follow_ups WHERE id = :h + 3);
UPDATE leads SET phone = NULL WHERE id = (SELECT lead_id FROM follow_ups WHERE id = :h + 4);
INSERT INTO live (job_id, tenant_id, phone, lane_id, account_id, follow_up_id, state, lease_until, next_check_at)
SELECT uuid_v7(), 'fx', phone_e164, :two, fx.account(), 0, 'calling', now(), now() FROM leads WHERE id = (SELECT lead_id FROM follow_ups WHERE id = :h + 5);
UPDATE lanes SET batch_per_run = 2 WHERE id = :lane;
CREATE TEMP TABLE held AS SELECT * FROM fx.claim();
SELECT set_eq('SELECT "row", gate, n FROM held WHERE "row" <> ''job''', $$VALUES ('held', 'paused', 1::bigint), ('skipped', 'stage', 1),
	('skipped', 'number', 1), ('skipped', 'suppressed', 1), ('skipped', 'no_phone', 1), ('held', 'live', 1)$$, 'held and skipped ones are counted by gate');
SELECT is((SELECT array_agg(follow_up_id ORDER BY follow_up_id) FROM held WHERE "row" = 'job'), ARRAY[:h + 6, :h + 7]::bigint[],
	'they take no place of the batch');
SELECT is(fx.state(:h), 'pending paused', 'a held one keeps waiting, with its gate');
SELECT is(next_look_at, now() + interval '1 hour', 'and a time at which it is looked at') FROM follow_ups WHERE id = :h;
SELECT is(due_at, now() - interval '8 seconds', 'its due time stays') FROM follow_ups WHERE id = :h;
SELECT is(fx.state(:h + n), 'skipped ' || gate || ' because of ' || gate, 'skipped for good: ' || gate)
FROM (VALUES (1, 'stage'), (2, 'number'), (3, 'suppressed'), (4, 'no_phone')) v (n, gate);
SELECT is_empty('SELECT * FROM fx.claim()', 'the next pass does not look at them again');
UPDATE lanes SET batch_per_run = 0 WHERE id = :lane;
DELETE FROM live WHERE tenant_id = 'fx';
DELETE FROM follow_ups WHERE tenant_id = 'fx';

-- More held ones than a pass looks at are no wall before the others.
SELECT fx.due(:lane, 150) AS wall \gset
UPDATE leads SET paused = true WHERE id IN (SELECT lead_id FROM follow_ups WHERE tenant_id = 'fx');
SELECT fx.follow_up(fx.lead(), :lane, '0') AS behind \gset
UPDATE lanes SET batch_per_run = 1 WHERE id = :lane;
SELECT count(*) FROM fx.claim() \gset pass_
SELECT count(*) FROM fx.claim() \gset pass_
SELECT is(fx.state(:behind), 'queued', 'behind many held ones the next is claimed a pass later');
UPDATE lanes SET batch_per_run = 0 WHERE id = :lane;
DELETE FROM follow_ups WHERE tenant_id = 'fx';

-- Outside the lead's hours: the next opening; without one, a gate of its own. Hours from now are written in a zone's own time.
UPDATE settings SET value = jsonb_build_object('start', to_char(now() AT TIME ZONE 'UTC' + interval '2 hours', 'HH24:MI'),
	'end', to_char(now() AT TIME ZONE 'UTC' + interval '3 hours', 'HH24:MI')) WHERE key = 'lead_window';
UPDATE lanes SET use_lead_window = true WHERE id = :lane;
SELECT fx.due(:lane, 1) AS later, fx.follow_up(fx.lead(fx.phone(), 'Mars/Base'), :lane) AS nowhere \gset
SELECT count(*) FROM fx.claim() \gset pass_
SELECT is(fx.state(:later), 'pending lead_window', 'outside the lead''s hours it waits');
SELECT is(next_look_at, date_trunc('minute', now()) + interval '2 hours', 'for the opening') FROM follow_ups WHERE id = :later;
SELECT is(fx.state(:nowhere), 'pending zone', 'an unknown zone is closed');
UPDATE lanes SET time_zone = 'UTC', window_start = (now() AT TIME ZONE 'UTC')::time - interval '1 hour',
	window_end = (now() AT TIME ZONE 'UTC')::time + interval '1 hour' WHERE id = :lane;
UPDATE follow_ups SET next_look_at = now() WHERE id = :later;
SELECT count(*) FROM fx.claim() \gset pass_
SELECT is(fx.state(:later), 'pending no_common_window', 'hours that never meet are a gate of their own');
SELECT is(next_look_at, now() + interval '6 hours', 'looked at again nevertheless') FROM follow_ups WHERE id = :later;

-- A change of the rules of pacing has all held by them looked at again.
EXECUTE look_again(0, 1) \gset look_
SELECT is(:look_looked, 1, 'look_again goes in batches');
EXECUTE look_again(:look_last_id, 10) \gset look_
SELECT is(:look_looked, 1, 'and on from there');
SELECT is(count(*), 2::bigint, 'look_again: all that zones and windows hold are looked at now') FROM follow_ups
WHERE id IN (:later, :nowhere) AND next_look_at = now();
EXECUTE pacing \gset before_
UPDATE lanes SET served_at = now() WHERE id = :lane;
EXECUTE pacing \gset same_
SELECT is(:'same_current'::text, :'before_current'::text, 'a pass is no change of pacing');
EXECUTE pacing_seen(:'before_current');
EXECUTE pacing \gset seen_
SELECT is(:'seen_seen'::text, :'seen_current', 'it is remembered');
CREATE FUNCTION fx.pacing_after(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	fingerprint text;
BEGIN
	BEGIN
		EXECUTE change;
		EXECUTE 'EXECUTE pacing' INTO fingerprint;
		RAISE SQLSTATE 'FX000';
	EXCEPTION WHEN SQLSTATE 'FX000' THEN
		RETURN fingerprint;
	END;
END $$;
SELECT isnt(fx.pacing_after(change), :'seen_current', 'pacing changes with ' || what)
FROM (VALUES ('UPDATE lanes SET window_end = ''23:59'' WHERE id = ' || :lane, 'a window'), ('UPDATE lanes SET cap_7d = 3 WHERE id = ' || :two, 'a cap'),
	('INSERT INTO holidays VALUES (''fx'', ''2026-06-17'')', 'a holiday'),
	('UPDATE settings SET value = ''"lane"'' WHERE key = ''unknown_zone''', 'a setting')) v (change, what);

-- ---- A closed lane holds its rows without touching them ---------------------------------------------------------------------------

UPDATE lanes SET use_lead_window = false, window_start = (now() AT TIME ZONE 'UTC')::time + interval '1 minute',
	window_end = (now() AT TIME ZONE 'UTC')::time + interval '3 minutes' WHERE id = :lane;
CREATE TEMP TABLE closed AS SELECT * FROM fx.claim();
SELECT results_eq('SELECT "row", gate, n FROM closed', $$VALUES ('held', 'window', 2::bigint)$$, 'a closed lane counts what it holds');
SELECT is(next_look_at, now(), 'and leaves it as it is') FROM follow_ups WHERE id = :later;
SELECT is(next_at, now() + interval '1 minute', 'it is served from its opening on') FROM lanes WHERE id = :lane;
UPDATE lanes SET days = ARRAY[extract(isodow FROM now() + interval '3 days')] WHERE id = :lane;
SELECT is(next_at, '-infinity', 'a changed lane is looked at again') FROM lanes WHERE id = :lane;
SELECT count(*) FROM fx.claim() \gset pass_
SELECT is(next_at, now() + interval '5 minutes', 'but never later than in five minutes') FROM lanes WHERE id = :lane;
UPDATE lanes SET days = NULL, window_start = NULL, window_end = NULL WHERE id = :lane;
UPDATE tenants SET stopped_at = now() WHERE id = 'fx';
SELECT results_eq('SELECT "row", gate, n FROM fx.claim()', $$VALUES ('held', 'stopped', 2::bigint)$$, 'a stopped tenant''s lanes claim nothing');
SELECT is(next_at, '-infinity', 'and are looked at by every pass') FROM lanes WHERE id = :lane;
EXECUTE stopped \gset
SELECT is(:'stopped'::text, 'f', 'stopped: not while another tenant goes on');
UPDATE tenants SET stopped_at = now();
EXECUTE stopped \gset
SELECT is(:'stopped'::text, 't', 'stopped: when all tenants are');
UPDATE tenants SET stopped_at = NULL;
UPDATE settings SET value = 'true' WHERE key = 'stopped';
EXECUTE stopped \gset
SELECT is(:'stopped'::text, 't', 'stopped: by the kill switch');
SELECT is(count(*), 0::bigint, 'the kill switch claims nothing') FROM fx.claim() WHERE "row" = 'job';
UPDATE settings SET value = 'false' WHERE key = 'stopped';
DELETE FROM follow_ups WHERE tenant_id = 'fx';
DELETE FROM claims;

-- ---- Confirmed, published again, forgotten ------------------------------------------------------------------------------------------

SELECT fx.due(:lane, 4) AS r \gset
CREATE TEMP TABLE published AS SELECT * FROM fx.claim();
SELECT min(claim_id) AS claim FROM published \gset
SELECT is_empty('SELECT * FROM fx.republish()', 'a publication under way is left alone');
EXECUTE confirm_claims(ARRAY[:claim]);
UPDATE claims SET claimed_at = now() - interval '1 minute' WHERE id = :claim;
SELECT is_empty('SELECT * FROM fx.republish()', 'a confirmed claim is left alone until its lease ends');

UPDATE claims SET published_at = NULL WHERE id = :claim;
CREATE TEMP TABLE again AS SELECT * FROM fx.republish();
SELECT set_eq('SELECT follow_up_id, job_id, phone, attempt, due_at FROM again', 'SELECT follow_up_id, job_id, phone, attempt, due_at FROM published',
	'what was never confirmed is published again with the same job ids');
SELECT results_eq('SELECT DISTINCT f.status, f.job_id = a.job_id, f.claim_id = a.claim_id, f.lease_until, c.lease_s, c.jobs
	FROM follow_ups f JOIN again a ON a.follow_up_id = f.id JOIN claims c ON c.id = a.claim_id',
	$$VALUES ('queued', true, true, now() + interval '600 seconds', 600, 4)$$, 'under a new claim with a doubled lease');
SELECT is((SELECT count(*) FROM claims WHERE id = :claim), 0::bigint, 'the old claim is gone');

SELECT min(claim_id) AS claim FROM again \gset
UPDATE claims SET published_at = now(), lease_until = now() - interval '1 ms' WHERE id = :claim;
UPDATE follow_ups SET status = 'dialing' WHERE id = :r;
UPDATE leads SET paused = true WHERE id = (SELECT lead_id FROM follow_ups WHERE id = :r + 1);
UPDATE leads SET stage = 'lost' WHERE id = (SELECT lead_id FROM follow_ups WHERE id = :r + 2);
CREATE TEMP TABLE held_back AS SELECT * FROM fx.republish();
SELECT set_eq('SELECT "row", gate, n FROM held_back', $$VALUES ('job', NULL, 1::bigint), ('held', 'paused', 1), ('skipped', 'stage', 1)$$,
	'the gates are asked before a job is published again');
SELECT results_eq(format('SELECT status, gate, job_id, claim_id, lease_until, next_look_at FROM follow_ups WHERE id = %s', :r + 1),
	$$VALUES ('pending', 'paused', NULL::uuid, NULL::bigint, NULL::timestamptz, now() + interval '1 hour')$$, 'what is held goes back to the queue');
SELECT is(fx.state(:r + 2), 'skipped stage because of stage', 'or is skipped');
SELECT is(fx.state(:r), 'dialing', 'a job that was taken is left alone');
SELECT is(jobs, 1, 'its claim counts the jobs that went out') FROM claims WHERE id = (SELECT max(claim_id) FROM held_back);
SELECT is(follow_up_id, :r + 3::bigint, 'the one that nothing holds goes out again') FROM held_back WHERE "row" = 'job';

DELETE FROM follow_ups WHERE tenant_id = 'fx';
SELECT fx.due(:lane, 2) AS g \gset
SELECT min(claim_id) AS claim FROM fx.claim() \gset
UPDATE claims SET lease_s = 3000, lease_until = now() - interval '1 second' WHERE id = :claim;
SELECT is(count(*), 1::bigint, 'republish keeps its limit') FROM fx.republish(1);
SELECT is(lease_until, now() + interval '1 hour', 'no lease is longer than an hour') FROM follow_ups WHERE claim_id > :claim;
SELECT is((SELECT count(*) FROM claims WHERE id = :claim), 1::bigint, 'a claim with jobs left stays');
EXECUTE forget_claims(100) \gset
SELECT is((SELECT count(*) FROM claims WHERE id = :claim), 1::bigint, 'and is not forgotten');
UPDATE follow_ups SET status = 'completed' WHERE claim_id = :claim;
EXECUTE forget_claims(100) \gset
SELECT is(:forgotten, 1, 'one whose jobs were all taken is');
SELECT is((SELECT count(*) FROM claims WHERE id > :claim), 1::bigint, 'one with a queued job stays');
DELETE FROM follow_ups WHERE tenant_id = 'fx';

-- ---- A number whose zone is not known waits for its own narrower hours, not for the lead window ---------------------------------------

UPDATE settings SET value = '{"start": "08:00", "end": "21:00"}' WHERE key = 'lead_window';
UPDATE settings SET value = '"lane"' WHERE key = 'unknown_zone';
UPDATE lanes SET use_lead_window = true, time_zone = fx.evening_zone() WHERE id = :two;
SELECT fx.follow_up(fx.lead('+18005550101', NULL), :two) AS evening \gset
SELECT ((now() AT TIME ZONE time_zone)::date + 1 + time '10:00') AT TIME ZONE time_zone AS morning FROM lanes WHERE id = :two \gset
SELECT count(*) FROM fx.claim() \gset pass_
SELECT is(fx.state(:evening), 'pending lead_window', 'it is held in the evening');
SELECT is(next_look_at, :'morning'::timestamptz, 'until the next morning at ten') FROM follow_ups WHERE id = :evening;
INSERT INTO claims (lane_id, producer, jobs, lease_s, lease_until) VALUES (:two, 'producer', 1, 300, now() - interval '1 second') RETURNING id AS claim \gset
SELECT fx.queued(:evening) \g /dev/null
UPDATE follow_ups SET claim_id = :claim, next_look_at = now() WHERE id = :evening;
SELECT count(*) FROM fx.republish() \gset pass_
SELECT is(next_look_at, :'morning'::timestamptz, 'also when its job was to be published again') FROM follow_ups WHERE id = :evening;
UPDATE settings SET value = '"closed"' WHERE key = 'unknown_zone';
DELETE FROM follow_ups WHERE tenant_id = 'fx';

-- ---- When there is something to do next -------------------------------------------------------------------------------------------------

UPDATE follow_ups SET status = 'cancelled' WHERE status = 'pending';
UPDATE redial_queue SET status = 'paused';
EXECUTE next_due(50) \gset
SELECT ok(NOT :{?wait_ms}, 'next_due: nothing');
SELECT fx.follow_up(fx.lead(), :lane, '-1 hour') AS next \gset
EXECUTE next_due(50) \gset
SELECT is(:wait_ms::bigint, 3600000::bigint, 'next_due: when the next is looked at');
UPDATE lanes SET next_at = now() + interval '2 hours' WHERE id = :lane;
EXECUTE next_due(50) \gset
SELECT is(:wait_ms::bigint, 7200000::bigint, 'next_due: not before its lane opens');
INSERT INTO redial_queue (tenant_id, lead_id, phone_number, next_redial_timestamp, status)
VALUES ('fx', 'next', fx.phone(), now() + interval '90 minutes', 'rescheduled');
EXECUTE next_due(50) \gset
SELECT is(:wait_ms::bigint, 5400000::bigint, 'next_due: a redial record');
UPDATE lanes SET next_at = '-infinity' WHERE id = :lane;
UPDATE follow_ups SET next_look_at = now() - interval '40 seconds' WHERE id = :next;
EXECUTE next_due(50) \gset
UPDATE redial_queue SET seeded_for = next_redial_timestamp WHERE lead_id = 'next';
EXECUTE next_due(50) \gset
SELECT ok(NOT :{?wait_ms}, 'next_due: not what the last pass saw and left, nor a record that has its follow-up');
SELECT fx.follow_up(fx.lead(), :two, '-1 minute') AS other \gset
EXECUTE next_due(50) \gset
SELECT is(:wait_ms::bigint, 60000::bigint, 'next_due: that does not hide what another lane has next');
UPDATE follow_ups SET next_look_at = now() - interval '40 milliseconds' WHERE id = :other;
EXECUTE next_due(50) \gset
SELECT is(:wait_ms::bigint, -40::bigint, 'next_due: at once what fell due since the last pass began');
DELETE FROM follow_ups WHERE id = :other;
EXECUTE oldest_due \gset
SELECT is(:age_seconds::numeric, 40.0::numeric, 'oldest_due: how long it has waited');
UPDATE tenants SET stopped_at = now() WHERE id = 'fx';
EXECUTE oldest_due \gset
SELECT is(:age_seconds::numeric, 0.0::numeric, 'oldest_due: not in a closed lane');
UPDATE tenants SET stopped_at = NULL WHERE id = 'fx';
UPDATE follow_ups SET next_look_at = now() + interval '1 hour' WHERE id = :next;
UPDATE lanes SET active = false WHERE id = :lane;
EXECUTE next_due(50) \gset
SELECT ok(NOT :{?wait_ms}, 'next_due: not for a lane that is off');

SELECT * FROM finish();
ROLLBACK;
