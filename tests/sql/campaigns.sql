-- SPDX-License-Identifier: Apache-2.0
-- Campaigns: how often a contact is called, when its calls are scheduled, and what starting and stopping do to them.
BEGIN;
\ir lib/fixture.psql
\set file producer/sql/seed_campaigns.sql
\ir lib/prepare.psql
\set file producer/sql/switch_campaigns.sql
\ir lib/prepare.psql
\set file producer/sql/reschedule_campaigns.sql
\ir lib/prepare.psql
\set file producer/api/sql/campaign_switch.sql
\ir lib/prepare.psql
\set file producer/api/sql/campaign_progress.sql
\ir lib/prepare.psql
\set file common/sql/apply_results.sql
\ir lib/prepare.psql
SELECT plan(118);

-- A campaign with a lane of its own, open at any hour unless told otherwise.
CREATE FUNCTION fx.campaign(the_name text, the_frequency text, zone text DEFAULT 'America/New_York', attempts integer DEFAULT 3)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	lane bigint := fx.lane(the_name);
	campaign bigint;
BEGIN
	UPDATE lanes SET time_zone = zone WHERE id = lane;
	INSERT INTO campaigns (tenant_id, lane_id, name, frequency, retry_attempts)
	VALUES ('fx', lane, the_name, the_frequency, attempts) RETURNING id INTO campaign;
	RETURN campaign;
END $$;
CREATE FUNCTION fx.contact(the_campaign bigint) RETURNS bigint LANGUAGE sql AS $$
	INSERT INTO campaign_contacts (campaign_id, lead_id) VALUES (the_campaign, fx.lead()) RETURNING id
$$;
CREATE FUNCTION fx.scheduled_call(the_contact bigint) RETURNS bigint LANGUAGE sql AS $$
	SELECT max(id) FROM follow_ups WHERE source = 'campaign' AND source_id = the_contact::text
$$;
-- A call of the contact's scheduled one, made at this time. Answers with its job id.
CREATE FUNCTION fx.called(the_contact bigint, at timestamptz, the_status text DEFAULT 'calling') RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
	job uuid;
BEGIN
	INSERT INTO calls (job_id, tenant_id, follow_up_id, kind, lane_id, lead_id, account_id, provider, phone, attempt, status, worker,
		due_at, claimed_at, posted_at)
	SELECT uuid_v7(), f.tenant_id, f.id, f.kind, f.lane_id, f.lead_id, fx.account(), 'omni', l.phone_e164, 1, the_status, 'w/1', f.due_at,
		at - interval '1 second', at
	FROM follow_ups f JOIN leads l ON l.id = f.lead_id WHERE f.id = fx.scheduled_call(the_contact)
	RETURNING job_id INTO job;
	UPDATE follow_ups SET status = 'completed' WHERE id = fx.scheduled_call(the_contact);
	RETURN job;
END $$;
CREATE FUNCTION fx.ended(job uuid, the_outcome text, callback timestamptz DEFAULT NULL, succeeded boolean DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
	UPDATE calls SET status = 'completed', outcome = the_outcome, callback_at = callback, success = succeeded WHERE job_id = job
$$;
-- When the next call is scheduled for; null if none is.
CREATE FUNCTION fx.next_call(the_contact bigint) RETURNS timestamptz LANGUAGE sql AS $$
	SELECT due_at FROM follow_ups WHERE source = 'campaign' AND source_id = the_contact::text AND status = 'pending'
$$;

-- ---- How often ------------------------------------------------------------------------------------------------------

CREATE TEMP TABLE often AS
SELECT v.*, fx.campaign('often ' || row_number() OVER (), frequency, zone) AS campaign FROM (VALUES
	('daily', 'America/New_York', '2026-06-17 13:00Z'::timestamptz, '2026-06-17 20:00Z'::timestamptz, 'frequency', 'the same day'),
	('daily', 'America/New_York', '2026-06-17 13:00Z', '2026-06-18 03:59:59Z', 'frequency', 'to the last second of it'),
	('daily', 'America/New_York', '2026-06-17 13:00Z', '2026-06-18 04:00Z', 'open', 'the next day begins at midnight there'),
	('daily', 'America/New_York', '2026-06-18 03:30Z', '2026-06-18 13:00Z', 'open', 'a call late in the evening is yesterday''s'),
	('daily', 'America/New_York', '2026-11-01 04:30Z', '2026-11-02 04:45Z', 'frequency', 'a day of 25 hours'),
	('daily', 'America/New_York', '2026-11-01 04:30Z', '2026-11-02 05:00Z', 'open', 'and its end'),
	('daily', 'America/New_York', '2027-03-14 05:30Z', '2027-03-15 03:30Z', 'frequency', 'a day of 23 hours'),
	('daily', 'America/New_York', '2027-03-14 05:30Z', '2027-03-15 04:00Z', 'open', 'and its end'),
	('daily', 'Australia/Lord_Howe', '2026-10-03 14:00Z', '2026-10-04 12:59Z', 'frequency', 'a day that is half an hour shorter'),
	('daily', 'Australia/Lord_Howe', '2026-10-03 14:00Z', '2026-10-04 13:00Z', 'open', 'and its end'),
	('daily', 'Asia/Kolkata', '2026-06-17 13:00Z', '2026-06-17 18:29Z', 'frequency', 'a zone of half hours'),
	('daily', 'Asia/Kolkata', '2026-06-17 13:00Z', '2026-06-17 18:30Z', 'open', 'and its midnight'),
	('custom', 'America/New_York', '2026-06-17 13:00Z', '2026-06-17 20:00Z', 'frequency', 'custom is once a day too'),
	('custom', 'America/New_York', '2026-06-17 13:00Z', '2026-06-18 13:00Z', 'open', 'on each of its days'),
	('none', 'America/New_York', '2026-06-17 13:00Z', '2026-06-17 20:00Z', 'frequency', 'without a frequency at most once a day'),
	('none', 'America/New_York', '2026-06-17 13:00Z', '2026-06-18 13:00Z', 'open', 'and again, until it has its attempts'),
	('weekly', 'America/New_York', '2026-06-15 13:00Z', '2026-06-21 13:00Z', 'frequency', 'Monday''s call is Sunday''s week'),
	('weekly', 'America/New_York', '2026-06-15 13:00Z', '2026-06-22 03:59Z', 'frequency', 'to its last minute'),
	('weekly', 'America/New_York', '2026-06-15 13:00Z', '2026-06-22 04:00Z', 'open', 'weeks begin on Monday'),
	('weekly', 'America/New_York', '2026-06-21 13:00Z', '2026-06-22 13:00Z', 'open', 'Sunday''s call was last week''s'),
	('weekly', 'America/New_York', '2026-12-30 13:00Z', '2027-01-03 13:00Z', 'frequency', 'over the end of a year'))
	v (frequency, zone, called_at, at, expected, what);
ALTER TABLE often ADD contact bigint;
UPDATE often SET contact = fx.contact(campaign);
EXECUTE seed_campaigns(1000) \gset all_
SELECT is(:all_seeded, (SELECT count(*)::integer FROM often), 'each contact gets one scheduled call');
SELECT count(fx.called(contact, called_at)) FROM often \gset
UPDATE follow_ups SET status = 'pending' WHERE source = 'campaign';
SELECT is(fx.hold(fx.scheduled_call(contact), at), expected, format('%s in %s: %s', frequency, zone, what)) FROM often;

SELECT contact AS daily, campaign AS daily_campaign FROM often WHERE frequency = 'daily' ORDER BY contact LIMIT 1 \gset
SELECT fx.scheduled_call(:daily) AS f \gset
SELECT is(opens_at, '2026-06-18 04:00Z'::timestamptz, 'it opens when the next day begins') FROM gates(:f, '2026-06-17 20:00Z') WHERE gate = 'frequency';
UPDATE lanes SET window_start = '09:00', window_end = '17:00' FROM campaigns k WHERE k.id = :daily_campaign AND lanes.id = k.lane_id;
SELECT is(opens_at, '2026-06-18 13:00Z'::timestamptz, 'or with the window of that day') FROM gates(:f, '2026-06-17 20:00Z') WHERE gate = 'frequency';
UPDATE lanes SET window_start = NULL, window_end = NULL FROM campaigns k WHERE k.id = :daily_campaign AND lanes.id = k.lane_id;
UPDATE calls SET status = v.status FROM (VALUES ('rejected')) v (status) WHERE follow_up_id = :f;
SELECT is(fx.hold(:f, '2026-06-17 20:00Z'), 'open', 'a refused call was none');
UPDATE calls SET status = 'not_dialed' WHERE follow_up_id = :f;
SELECT is(fx.hold(:f, '2026-06-17 20:00Z'), 'open', 'nor was one that was not dialed');
UPDATE calls SET status = 'unknown' WHERE follow_up_id = :f;
SELECT is(fx.hold(:f, '2026-06-17 20:00Z'), 'frequency', 'one that may have been made counts');
UPDATE calls SET lane_id = (SELECT id FROM lanes WHERE tenant_id = 'fx' AND name = 'often 2') WHERE follow_up_id = :f;
SELECT is(fx.hold(:f, '2026-06-17 20:00Z'), 'open', 'another campaign''s call is its own');

SELECT fx.campaign('over midnight', 'weekly') AS campaign \gset
UPDATE lanes SET window_start = '22:00', window_end = '02:00', days = '{1,7}' FROM campaigns k WHERE k.id = :campaign AND lanes.id = k.lane_id;
SELECT fx.contact(:campaign) AS contact \gset
EXECUTE seed_campaigns(1000) \gset night_
SELECT fx.called(:contact, '2026-06-22 03:10Z') \gset night_
UPDATE follow_ups SET status = 'pending' WHERE id = fx.scheduled_call(:contact);
SELECT is(fx.hold(fx.scheduled_call(:contact), at), expected, 'over midnight: ' || what) FROM (VALUES
	('2026-06-22 03:30Z'::timestamptz, 'frequency', 'called on Sunday at ten past eleven'),
	('2026-06-22 04:10Z', 'frequency', 'Monday begins, in the same run'), ('2026-06-23 02:00Z', 'open', 'Monday''s own run')) v (at, expected, what);
SELECT is(opens_at, '2026-06-23 02:00Z'::timestamptz, 'which it opens with') FROM gates(fx.scheduled_call(:contact), '2026-06-22 04:10Z') WHERE gate = 'frequency';
SELECT fx.campaign('over midnight 2', 'daily') AS daily \gset
UPDATE lanes SET window_start = '22:00', window_end = '02:00', days = '{6,7}' FROM campaigns k WHERE k.id = :daily AND lanes.id = k.lane_id;
SELECT fx.contact(:daily) AS contact \gset
EXECUTE seed_campaigns(1000) \gset night_
SELECT fx.called(:contact, '2026-06-21 04:30Z') \gset night_
UPDATE follow_ups SET status = 'pending' WHERE id = fx.scheduled_call(:contact);
SELECT is(fx.hold(fx.scheduled_call(:contact), at), expected, 'after midnight: ' || what) FROM (VALUES
	('2026-06-21 05:00Z'::timestamptz, 'frequency', 'called on Sunday in Saturday''s run'),
	('2026-06-22 02:30Z', 'frequency', 'still Sunday in Sunday''s run'), ('2026-06-22 04:10Z', 'open', 'Monday in Sunday''s run')) v (at, expected, what);
UPDATE lanes SET window_start = NULL, window_end = NULL FROM campaigns k WHERE k.id = :campaign AND lanes.id = k.lane_id;
SELECT is(closes_at, '2026-06-23 04:00Z'::timestamptz, 'a day closes a lane without hours')
FROM lane_gates('2026-06-23 03:59:59Z') g JOIN campaigns k USING (lane_id) WHERE k.id = :campaign;

-- ---- How many times ---------------------------------------------------------------------------------------------------

SELECT fx.campaign('limit', 'none', 'America/New_York', 2) AS campaign \gset
SELECT fx.contact(:campaign) AS contact \gset
EXECUTE seed_campaigns(1000) \gset seed_
SELECT fx.called(:contact, '2026-06-15 13:00Z') AS first, fx.called(:contact, '2026-06-16 13:00Z') AS second \gset
UPDATE follow_ups SET status = 'pending' WHERE id = fx.scheduled_call(:contact);
SELECT is(fx.hold(fx.scheduled_call(:contact), '2026-06-17 13:00Z'), 'retry_limit', 'a contact that had its attempts is not called again');
UPDATE campaigns SET retry_attempts = 3 WHERE id = :campaign;
SELECT is(fx.hold(fx.scheduled_call(:contact), '2026-06-17 13:00Z'), 'open', 'until there are more');
UPDATE calls SET outcome = 'SALE' WHERE job_id = :'first';
SELECT is(fx.hold(fx.scheduled_call(:contact), '2026-06-17 13:00Z'), 'retry_limit', 'nor one that was reached with success');
UPDATE calls SET outcome = NULL, success = true WHERE job_id = :'first';
SELECT is(fx.hold(fx.scheduled_call(:contact), '2026-06-17 13:00Z'), 'retry_limit', 'as its provider says');
UPDATE campaigns SET frequency = 'daily' WHERE id = :campaign;
SELECT is(fx.hold(fx.scheduled_call(:contact), '2026-06-17 13:00Z'), 'open', 'a recurring campaign starts afresh each day');

-- ---- When calls are scheduled -----------------------------------------------------------------------------------------

SELECT (date_trunc('day', now() AT TIME ZONE 'America/New_York') + interval '1 day') AT TIME ZONE 'America/New_York' AS tomorrow,
	now() AT TIME ZONE 'America/New_York' AS local, date_trunc('week', now() AT TIME ZONE 'America/New_York') AS week \gset
CREATE FUNCTION fx.local(at timestamp) RETURNS timestamptz LANGUAGE sql AS $$ SELECT at AT TIME ZONE 'America/New_York' $$;

SELECT fx.campaign('daily', 'daily') AS campaign \gset
SELECT fx.contact(:campaign) AS contact \gset
EXECUTE seed_campaigns(1000) \gset seed_
SELECT is(fx.next_call(:contact), now(), 'a contact''s first call is scheduled for now in an open window');
EXECUTE seed_campaigns(1000) \gset again_
SELECT is(:again_seeded, 0, 'and once');
SELECT results_eq(format('SELECT tenant_id, kind, source, source_id, occurrence FROM follow_ups WHERE id = fx.scheduled_call(%s)', :contact),
	format('VALUES (''fx'', ''campaign'', ''campaign'', ''%s'', ''1'')', :contact), 'as the campaign''s');
SELECT fx.called(:contact, now()) AS job \gset
EXECUTE seed_campaigns(1000) \gset live_
SELECT is(fx.next_call(:contact), NULL, 'no other while the call lasts');
SELECT fx.ended(:'job', 'SALE') \gset
EXECUTE seed_campaigns(1000) \gset next_
SELECT is(fx.next_call(:contact), :'tomorrow'::timestamptz, 'a daily one is followed by tomorrow''s, success or not');
UPDATE calls SET outcome = 'NO_ANSWER' WHERE job_id = :'job';
EXECUTE seed_campaigns(1000) \gset next_
SELECT is((SELECT count(*) FROM follow_ups WHERE source = 'campaign' AND source_id = :'contact'), 2::bigint, 'once, whatever is told later');

-- Each row: frequency, attempts, outcome, success, callback in hours, days until the next (null: none).
CREATE TEMP TABLE ends AS
SELECT v.*, fx.contact(fx.campaign('ends ' || row_number() OVER (), frequency, 'America/New_York', attempts)) AS contact FROM (VALUES
	('none', 3, 'NO_ANSWER', NULL, NULL, 1, 'a campaign without a frequency tries again the next day'),
	('none', 1, 'NO_ANSWER', NULL, NULL, NULL, 'but not after its last attempt'),
	('none', 3, 'SALE', NULL, NULL, NULL, 'nor after a success'),
	('none', 3, 'HUMAN', true, NULL, NULL, 'nor after what its provider calls one'),
	('none', 3, 'NOT_INTERESTED', NULL, NULL, NULL, 'nor when nobody is interested'),
	('none', 3, 'CALLBACK', NULL, 100, NULL, 'an agreed time is kept'),
	('none', 3, 'CALLBACK', NULL, NULL, NULL, 'one that was not agreed on is a success'),
	('daily', 1, 'NO_ANSWER', NULL, NULL, 1, 'attempts are a day''s in a daily one'),
	('daily', 3, 'DO_NOT_CALL', NULL, NULL, NULL, 'who wants no more calls gets none'))
	v (frequency, attempts, outcome, success, callback_h, days, what);
EXECUTE seed_campaigns(1000) \gset ends_
SELECT count(fx.ended(fx.called(contact, now()), outcome, now() + callback_h * interval '1 hour', success)) FROM ends \gset
EXECUTE seed_campaigns(1000) \gset ends_
SELECT is(fx.next_call(contact), CASE WHEN callback_h IS NOT NULL THEN now() + callback_h * interval '1 hour'
	WHEN days IS NOT NULL THEN fx.local(date_trunc('day', :'local'::timestamp) + days * interval '1 day') END, what) FROM ends;

SELECT fx.campaign('weekly', 'weekly') AS campaign \gset
UPDATE lanes SET days = '{3}', window_start = '10:00', window_end = '14:00' FROM campaigns k WHERE k.id = :campaign AND lanes.id = k.lane_id;
SELECT fx.contact(:campaign) AS contact \gset
EXECUTE seed_campaigns(1000) \gset weekly_
SELECT is(extract(isodow FROM fx.next_call(:contact) AT TIME ZONE 'America/New_York'), 3::numeric, 'a weekly call is scheduled for a day of its campaign');
SELECT ok((fx.next_call(:contact) AT TIME ZONE 'America/New_York')::time BETWEEN '10:00' AND '14:00', 'within its window');
SELECT fx.called(:contact, now()) AS job \gset
SELECT fx.ended(:'job', 'NO_ANSWER') \gset
EXECUTE seed_campaigns(1000) \gset weekly_
SELECT is(fx.next_call(:contact), fx.local(:'week'::timestamp + interval '9 days 10 hours'), 'and followed by next week''s');

-- ---- Stop and start ---------------------------------------------------------------------------------------------------

SELECT fx.campaign('switched', 'daily') AS campaign \gset
SELECT lane_id AS lane FROM campaigns WHERE id = :campaign \gset
CREATE TEMP TABLE switched AS SELECT fx.contact(:campaign) AS contact FROM generate_series(1, 6);
EXECUTE seed_campaigns(1000) \gset switched_
CREATE TEMP TABLE calls_of AS SELECT fx.scheduled_call(contact) AS id, row_number() OVER (ORDER BY contact) AS n FROM switched;
SELECT fx.queued(id) FROM calls_of WHERE n = 2 \gset
UPDATE follow_ups f SET status = v.status, reason = v.reason FROM calls_of c JOIN (VALUES (3, 'dialing', NULL),
	(4, 'completed', NULL), (5, 'cancelled', 'operator')) v (n, status, reason) USING (n) WHERE f.id = c.id;
EXECUTE switch_campaigns(5000) \gset idle_
SELECT is(:idle_switched, 0, 'nothing to do while nobody switches');
UPDATE lanes SET active = false WHERE id = :lane;
SELECT is(fx.hold((SELECT id FROM calls_of WHERE n = 1)), 'lane', 'a stop holds at once');
SELECT is((SELECT changing FROM campaigns WHERE id = :campaign), true, 'its calls are to follow');
EXECUTE switch_campaigns(2) \gset some_
SELECT is(:some_switched, 2, 'a batch at a time');
EXECUTE switch_campaigns(2) \gset some_
EXECUTE switch_campaigns(2) \gset none_
SELECT results_eq('SELECT concat_ws('' '', status, reason) FROM calls_of JOIN follow_ups USING (id) ORDER BY n',
	$$VALUES ('cancelled campaign_stopped'), ('cancelled campaign_stopped'), ('dialing'), ('completed'), ('cancelled operator'),
		('cancelled campaign_stopped')$$, 'what is scheduled or queued is cancelled, nothing else');
SELECT is((SELECT changing FROM campaigns WHERE id = :campaign), false, 'and that is all');
SELECT fx.contact(:campaign) AS late \gset
EXECUTE seed_campaigns(1000) \gset late_
SELECT is(fx.state(fx.scheduled_call(:late)), 'cancelled because of campaign_stopped', 'a contact that comes meanwhile waits with them');
UPDATE lanes SET active = true WHERE id = :lane;
EXECUTE switch_campaigns(5000) \gset start_
SELECT results_eq('SELECT concat_ws('' '', status, reason) FROM calls_of JOIN follow_ups USING (id) ORDER BY n',
	$$VALUES ('pending'), ('pending'), ('dialing'), ('completed'), ('cancelled operator'), ('pending')$$, 'a start takes up exactly those');
SELECT is(fx.state(fx.scheduled_call(:late)), 'pending', 'and the late one');
SELECT is((SELECT count(*) FROM follow_ups WHERE lane_id = :lane AND (status = 'pending') <> (next_look_at IS NOT NULL)), 0::bigint,
	'each has its time, and no other has');
UPDATE campaigns SET deleted_at = now() WHERE id = :campaign;
UPDATE lanes SET active = false WHERE id = :lane;
EXECUTE switch_campaigns(5000) \gset gone_
UPDATE lanes SET active = true WHERE id = :lane;
EXECUTE switch_campaigns(5000) \gset gone_
SELECT is((SELECT count(*) FROM follow_ups WHERE lane_id = :lane AND status = 'pending'), 0::bigint, 'a deleted campaign does not come back');

-- What a dispatcher held when the stop went through comes back to wait; the campaign is looked at until none can.
UPDATE campaigns SET changing = false;
SELECT fx.campaign('held', 'daily') AS campaign \gset
SELECT lane_id AS lane FROM campaigns WHERE id = :campaign \gset
CREATE TEMP TABLE held AS SELECT fx.contact(:campaign) AS contact FROM generate_series(1, 3);
EXECUTE seed_campaigns(1000) \gset held_
SELECT min(fx.scheduled_call(contact)) AS dialed, max(fx.scheduled_call(contact)) AS sent FROM held \gset
UPDATE follow_ups SET status = 'dialing', next_look_at = NULL WHERE id IN (:dialed, :sent);
INSERT INTO live (job_id, tenant_id, phone, lane_id, account_id, follow_up_id, state, lease_until, next_check_at)
SELECT uuid_v7(), 'fx', fx.phone(), :lane, fx.account(), f, state, now(), now() FROM (VALUES (:dialed, 'dialing'), (:sent, 'calling')) v (f, state);
UPDATE lanes SET active = false WHERE id = :lane;
EXECUTE switch_campaigns(5000) \gset held_
EXECUTE switch_campaigns(5000) \gset held_
SELECT is((SELECT changing FROM campaigns WHERE id = :campaign), true, 'a stop is not through while a dispatcher holds one of its calls');
EXECUTE switch_campaigns(5000) \gset wait_
SELECT is(:wait_switched, 0, 'which is not asked for all the time');
UPDATE follow_ups SET status = 'pending' WHERE id = :dialed;
DELETE FROM live WHERE follow_up_id = :dialed;
UPDATE campaigns SET change_at = now() WHERE id = :campaign;
EXECUTE switch_campaigns(5000) \gset back_
UPDATE campaigns SET change_at = now() WHERE id = :campaign;
EXECUTE switch_campaigns(5000) \gset back_
SELECT is(fx.state(:dialed), 'cancelled because of campaign_stopped', 'one that comes back is cancelled as the others were');
SELECT is((SELECT changing FROM campaigns WHERE id = :campaign), false, 'then it is through, whatever is talked about still');

-- A stop and a start read what they move, not what the campaign ever called.
SELECT fx.campaign('old', 'daily') AS campaign \gset
SELECT lane_id AS lane FROM campaigns WHERE id = :campaign \gset
SELECT count(fx.contact(:campaign)) FROM generate_series(1, 9) n \gset old_
EXECUTE seed_campaigns(1000) \gset old_
CREATE TEMP TABLE old_calls AS SELECT row_number() OVER (ORDER BY id) AS n, id FROM follow_ups WHERE lane_id = :lane;
UPDATE follow_ups f SET status = CASE WHEN n < 4 THEN 'completed' ELSE 'cancelled' END, reason = CASE WHEN n >= 4 THEN 'operator' END
FROM old_calls o WHERE o.n < 7 AND f.id = o.id;
SELECT fx.queued(id) FROM old_calls WHERE n = 9 \gset
EXECUTE campaign_switch('stop', :'campaign') \gset old_
SELECT is(:'old_body'::jsonb, jsonb_build_object('id', :campaign, 'isActive', false, 'cancelled', 3), 'a stop says what it calls off: what waits, and what is queued');
EXECUTE switch_campaigns(3) \gset old_
SELECT is((SELECT count(*) FROM follow_ups WHERE lane_id = :lane AND reason = 'campaign_stopped'), 3::bigint, 'its first batch has it, whatever the campaign called before');
UPDATE campaigns SET changing = false;
EXECUTE campaign_switch('start', :'campaign') \gset old_
SELECT is(:'old_body'::jsonb, jsonb_build_object('id', :campaign, 'isActive', true, 'resumed', 3), 'a start what it takes up');
EXECUTE switch_campaigns(3) \gset old_
SELECT is((SELECT count(*) FROM follow_ups WHERE lane_id = :lane AND status = 'pending'), 3::bigint, 'and so is its first, whatever was called off before');
CREATE FUNCTION fx.indexes(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	plan text := '';
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || statement LOOP
		plan := plan || line || E'\n';
	END LOOP;
	RETURN (SELECT string_agg(DISTINCT m[1], ' ' ORDER BY m[1]) FROM regexp_matches(plan, '(?:Scan using|Index Scan on|Seq Scan on) (follow_ups\w*)', 'g') m);
END $$;
SET LOCAL enable_seqscan = off;
SELECT matches(fx.indexes('EXECUTE campaign_switch(''stop'', ''1'')'), '^follow_ups_claim follow_ups_(pending|scheduled)$', 'a stop counts by the indexes of what waits');
SELECT is(fx.indexes('EXECUTE campaign_switch(''start'', ''1'')'), 'follow_ups_stopped', 'a start by that of what was called off');
SET LOCAL enable_seqscan = on;
-- Many at once take turns.
CREATE TEMP TABLE turns AS SELECT n, fx.campaign('turns ' || n, 'daily') AS campaign FROM generate_series(1, 2) n;
SELECT count(fx.contact(campaign)) FROM turns, generate_series(1, 6) \gset turns_
EXECUTE seed_campaigns(1000) \gset turns_
UPDATE campaigns SET changing = false;
UPDATE lanes SET active = false WHERE id IN (SELECT lane_id FROM campaigns JOIN turns ON campaign = campaigns.id);
UPDATE campaigns SET change_at = now() - interval '1 second' WHERE id = (SELECT campaign FROM turns WHERE n = 2);
EXECUTE switch_campaigns(3) \gset turns_
EXECUTE switch_campaigns(3) \gset turns_
SELECT is((SELECT array_agg(n) FROM (SELECT count(*) AS n FROM follow_ups WHERE reason = 'campaign_stopped' AND lane_id IN (SELECT lane_id FROM campaigns JOIN turns ON campaign = campaigns.id)
	GROUP BY lane_id) t), '{3,3}', 'a small campaign is stopped beside a huge one');
UPDATE campaigns SET changing = false;

-- ---- Where it stands -----------------------------------------------------------------------------------------------------

SELECT fx.campaign('progress', 'daily') AS campaign \gset
SELECT lane_id AS lane FROM campaigns WHERE id = :campaign \gset
CREATE TEMP TABLE stands AS SELECT n, fx.contact(:campaign) AS contact FROM generate_series(1, 16) n;
EXECUTE seed_campaigns(1000) \gset stands_
SELECT count(fx.ended(fx.called(contact, now() - interval '1 hour'), 'SALE')) FROM stands WHERE n <= 3 \gset stands_
SELECT fx.called(contact, now() - interval '1 hour') AS job FROM stands WHERE n = 4 \gset failed_
UPDATE calls SET status = 'failed', outcome = 'NO_ANSWER' WHERE job_id = :'failed_job';
UPDATE follow_ups f SET status = v.status, reason = v.reason
FROM (VALUES (5, 'failed', 'number'), (6, 'cancelled', 'campaign_stopped'), (7, 'cancelled', 'operator'), (8, 'skipped', 'suppressed'), (9, 'skipped', 'suppressed'),
	(10, 'skipped', 'stage')) v (n, status, reason) JOIN stands USING (n) WHERE f.id = fx.scheduled_call(contact);
SELECT fx.queued(fx.scheduled_call(contact)) FROM stands WHERE n = 11 \gset stands_
CREATE FUNCTION fx.reads(the_table text) RETURNS bigint LANGUAGE sql AS $$
	SELECT coalesce(seq_scan, 0) + coalesce(idx_scan, 0) FROM pg_stat_xact_user_tables WHERE relname = the_table AND schemaname = 'carillon'
$$;
SELECT fx.reads('calls') AS before \gset
EXECUTE campaign_progress(:'campaign') \gset stands_
SELECT is(fx.reads('calls') - :before, 0::bigint, 'calls that ended long ago are counted without being looked up');
SELECT is(:'stands_body'::jsonb, '{"contacts": 16, "scheduled": 6, "calling": 0, "inProgress": 0, "completed": 3, "failed": 2, "cancelled": 2, "undetermined": 0,
	"skipped": {"suppressed": 2, "stage": 1}, "callsPerMinute": 0.0, "eta": null}', 'what ended, what was called off, and what waits');
CREATE TEMP TABLE talks AS SELECT n, s.status, fx.called(contact, now() - interval '1 minute', s.status) AS job
FROM stands JOIN (VALUES (12, 'ringing'), (13, 'in_progress'), (14, 'undetermined'), (15, 'dialing')) s (n, status) USING (n);
INSERT INTO live (job_id, tenant_id, phone, lane_id, account_id, follow_up_id, state, lease_until, next_check_at)
SELECT c.job_id, 'fx', c.phone, c.lane_id, c.account_id, c.follow_up_id, c.status, now(), now() FROM calls c JOIN talks t ON t.job = c.job_id;
SELECT count(fx.ended(fx.called(contact, now() - interval '1 minute'), 'SALE')) FROM stands WHERE n = 16 \gset stands_
EXECUTE campaign_progress(:'campaign') \gset stands_
SELECT is(:'stands_body'::jsonb - 'eta', '{"contacts": 16, "scheduled": 1, "calling": 2, "inProgress": 1, "completed": 4, "failed": 2, "cancelled": 2, "undetermined": 1,
	"skipped": {"suppressed": 2, "stage": 1}, "callsPerMinute": 4.0}', 'and what goes on');
SELECT is((:'stands_body'::jsonb ->> 'eta')::timestamptz, iso_utc(now() + interval '15 seconds')::timestamptz, 'the rest at the pace since the first of the last ten minutes');
UPDATE follow_ups SET status = 'pending', job_id = NULL, claim_id = NULL, lease_until = NULL, due_at = now() + interval '2 days'
WHERE id = (SELECT fx.scheduled_call(contact) FROM stands WHERE n = 11);
EXECUTE campaign_progress(:'campaign') \gset stands_
SELECT is(:'stands_body'::jsonb ->> 'eta', NULL, 'what waits for another day is none of this one''s rest');
SELECT bind_tenant('fx') \gset
EXECUTE campaign_progress(:'campaign') \gset own_
EXECUTE campaign_switch('stop', :'campaign') \gset own_stop_
EXECUTE campaign_switch('start', :'campaign') \gset own_start_
RESET ROLE;
SELECT is(:'own_body'::jsonb, :'stands_body'::jsonb, 'a tenant reads the same of its own');
SELECT is(:'own_stop_body'::jsonb ->> 'cancelled', '1', 'and stops it itself');

-- ---- What does not end a recurrence --------------------------------------------------------------------------------------

UPDATE campaigns SET rescheduling = false;
CREATE TEMP TABLE missed AS SELECT v.*, fx.contact(fx.campaign('missed ' || what, frequency)) AS contact FROM (VALUES ('daily', 'settings'), ('daily', 'number'), ('none', 'once'))
	v (frequency, what);
CREATE FUNCTION fx.missed(the_what text) RETURNS bigint LANGUAGE sql AS $$ SELECT contact FROM missed WHERE what = the_what $$;
EXECUTE seed_campaigns(1000) \gset missed_
CREATE FUNCTION fx.dialing(the_contact bigint) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
	queued uuid := fx.queued(fx.scheduled_call(the_contact));
	job uuid := fx.called(the_contact, now(), 'dialing');
BEGIN
	UPDATE follow_ups SET status = 'dialing', job_id = job WHERE id = fx.scheduled_call(the_contact);
	RETURN job;
END $$;
SELECT fx.dialing(fx.missed('settings')) AS settings, fx.dialing(fx.missed('number')) AS number, fx.dialing(fx.missed('once')) AS once \gset
SET LOCAL ROLE carillon_consumer;
EXECUTE apply_results(ARRAY[:'settings', :'number', :'once']::uuid[], '{refused,refused,refused}', '{configuration,number,configuration}',
	'{NULL,NULL,NULL}', '{400,400,400}', '{e,e,e}', '{NULL,NULL,NULL}', '{NULL,NULL,NULL}', '{NULL,NULL,NULL}', 10, 3600, 7200, 30) \g /dev/null
RESET ROLE;
EXECUTE seed_campaigns(1000) \gset missed_
SELECT results_eq('SELECT what, fx.next_call(contact) FROM missed ORDER BY what',
	format('VALUES (''number'', NULL), (''once'', NULL), (''settings'', %L::timestamptz)', :'tomorrow'), 'a refusal because of settings is followed by the next cycle''s call, one of the number is not');
CREATE FUNCTION fx.rescheduled() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	WHILE campaign_reschedule(2) > 0 LOOP NULL; END LOOP;
	PERFORM campaign_schedule(ARRAY(SELECT id FROM campaign_contacts WHERE schedule_at IS NOT NULL));
END $$;
CREATE FUNCTION fx.refused_again(the_contact bigint) RETURNS void LANGUAGE sql AS $$
	UPDATE follow_ups SET status = 'failed', reason = 'configuration', next_look_at = NULL WHERE id = fx.scheduled_call(the_contact)
$$;
UPDATE campaigns SET assistant_id = 'another' WHERE id IN (SELECT campaign_id FROM campaign_contacts JOIN missed ON contact = id);
SELECT fx.rescheduled() \gset
SELECT results_eq('SELECT what, fx.next_call(contact) FROM missed ORDER BY what',
	'VALUES (''number'', NULL), (''once'', now()), (''settings'', now())', 'when the settings change it is called at once');
SELECT fx.refused_again(fx.missed('once')) \gset
UPDATE lanes SET account_id = fx.account('fx-two') WHERE id = (SELECT lane_id FROM follow_ups WHERE id = fx.scheduled_call(fx.missed('once')));
SELECT fx.rescheduled() \gset
SELECT is(fx.next_call(fx.missed('once')), now(), 'so it is with another account');
SELECT fx.refused_again(fx.missed('once')) \gset
UPDATE accounts SET settings = '{"assistant_id": "mended"}' WHERE id = fx.account('fx-two');
SELECT fx.rescheduled() \gset
SELECT is(fx.next_call(fx.missed('once')), now(), 'or other settings of the account');

SELECT fx.campaign('called off', 'daily') AS campaign \gset
SELECT lane_id AS lane FROM campaigns WHERE id = :campaign \gset
SELECT fx.contact(:campaign) AS contact \gset
EXECUTE seed_campaigns(1000) \gset off_
SELECT status AS cancelled FROM follow_up_cancel(fx.scheduled_call(:contact)) \gset
EXECUTE seed_campaigns(1000) \gset off_
SELECT is(fx.next_call(:contact), :'tomorrow'::timestamptz, 'an operator calls off one call, not those of the next days');
UPDATE lanes SET window_start = '10:00', window_end = '16:00' WHERE id = :lane;
SELECT fx.rescheduled() \gset
SELECT is(fx.next_call(:contact), fx.local(:'local'::timestamp::date + interval '1 day 10 hours'), 'which new hours do not bring back');
SELECT status AS cancelled FROM follow_up_cancel(fx.scheduled_call(:contact)) \gset
EXECUTE seed_campaigns(1000) \gset off_
SELECT is(fx.next_call(:contact), fx.local(:'local'::timestamp::date + interval '2 days 10 hours'), 'tomorrow''s call is followed by that of the day after');

UPDATE lanes SET priority = 1 WHERE id = :lane;
SELECT fx.rescheduled() \gset
SELECT is(priority, 1::smallint, 'a campaign''s priority is that of the calls that are scheduled') FROM follow_ups WHERE id = fx.scheduled_call(:contact);
UPDATE follow_ups SET priority = 2 WHERE id = fx.scheduled_call(:contact);
UPDATE lanes SET priority = 0 WHERE id = :lane;
SELECT fx.rescheduled() \gset
SELECT is(priority, 2::smallint, 'but not of one that somebody wants first') FROM follow_ups WHERE id = fx.scheduled_call(:contact);

-- ---- All that is wrong at once ----------------------------------------------------------------------------------------

SELECT is((SELECT string_agg(p ->> 'field', ' ' ORDER BY p ->> 'field') FROM jsonb_array_elements(campaign_problems('fx', campaign_blank(), given::jsonb)) p), fields, what)
FROM (VALUES ('{"name": "x", "scheduleFrequency": "weekly", "retryAttempts": 0}', 'retryAttempts scheduleDays timeZone', 'a member by itself, and what is missing'),
	('{"name": "x", "startTime": "soon", "endTime": "10:00", "timeZone": "UTC"}', 'startTime', 'nothing follows from one that is wrong'),
	('{"scheduleFrequency": "weekly"}', 'name scheduleDays timeZone', 'without a name')) v (given, fields, what);

-- ---- Hours and rules that change --------------------------------------------------------------------------------------

SELECT fx.rescheduled() \gset
-- Tomorrow's calls, and some that are due.
SELECT fx.campaign('hours', 'daily') AS campaign \gset
SELECT lane_id AS lane FROM campaigns WHERE id = :campaign \gset
CREATE TEMP TABLE moved AS SELECT fx.contact(:campaign) AS contact FROM generate_series(1, 5);
EXECUTE seed_campaigns(1000) \gset moved_
SELECT count(fx.ended(fx.called(contact, now()), 'NO_ANSWER')) FROM (SELECT contact FROM moved ORDER BY contact LIMIT 3) m \gset
EXECUTE seed_campaigns(1000) \gset moved_
CREATE FUNCTION fx.times(the_lane bigint) RETURNS text[] LANGUAGE sql AS $$
	SELECT array_agg(CASE WHEN due_at <= now() THEN 'due' ELSE to_char(due_at AT TIME ZONE 'America/New_York', 'HH24:MI') || ' in '
		|| (due_at AT TIME ZONE 'America/New_York')::date - (now() AT TIME ZONE 'America/New_York')::date END ORDER BY id) FROM follow_ups WHERE lane_id = the_lane AND status = 'pending'
$$;
SELECT is(fx.times(:lane), '{due,due,00:00 in 1,00:00 in 1,00:00 in 1}', 'calls are scheduled for the next day''s opening');
UPDATE lanes SET window_start = '10:00', window_end = '16:00' WHERE id = :lane;
SELECT is(fx.times(:lane), '{due,due,00:00 in 1,00:00 in 1,00:00 in 1}', 'a new window');
SELECT fx.rescheduled() \gset
SELECT is(fx.times(:lane), '{due,due,10:00 in 1,10:00 in 1,10:00 in 1}', 'moves them to where it opens; what is due its gates hold');
UPDATE lanes SET window_start = '08:30' WHERE id = :lane;
SELECT fx.rescheduled() \gset
SELECT is(fx.times(:lane), '{due,due,08:30 in 1,08:30 in 1,08:30 in 1}', 'a wider one to an earlier opening');
SELECT is((SELECT count(*) FROM follow_ups WHERE lane_id = :lane AND status = 'pending' AND due_at > now() AND next_look_at <> due_at), 0::bigint, 'each is looked at then');
INSERT INTO holidays (tenant_id, day) SELECT 'fx', (now() AT TIME ZONE 'America/New_York')::date + 1;
SELECT fx.rescheduled() \gset
SELECT is(fx.times(:lane), '{due,due,08:30 in 2,08:30 in 2,08:30 in 2}', 'a holiday moves them too');
DELETE FROM holidays;
SELECT fx.rescheduled() \gset
SELECT is(fx.times(:lane), '{due,due,08:30 in 1,08:30 in 1,08:30 in 1}', 'and one that is none any more');
UPDATE lanes SET days = ARRAY[extract(isodow FROM (now() AT TIME ZONE 'America/New_York')::date + 4)::smallint] WHERE id = :lane;
SELECT fx.rescheduled() \gset
SELECT is(fx.times(:lane), '{due,due,08:30 in 4,08:30 in 4,08:30 in 4}', 'so do days');
UPDATE lanes SET days = NULL, active = false WHERE id = :lane;
EXECUTE switch_campaigns(5000) \gset moved_
EXECUTE switch_campaigns(5000) \gset moved_
SELECT fx.rescheduled() \gset
UPDATE lanes SET active = true WHERE id = :lane;
EXECUTE switch_campaigns(5000) \gset moved_
SELECT is(fx.times(:lane), '{due,due,08:30 in 1,08:30 in 1,08:30 in 1}', 'and what changes while it is stopped');
UPDATE campaigns SET frequency = 'weekly' WHERE id = :campaign;
SELECT fx.rescheduled() \gset
SELECT is((SELECT array_agg(DISTINCT due_at) FROM follow_ups WHERE lane_id = :lane AND status = 'pending' AND due_at > now()),
	ARRAY[fx.local(:'week'::timestamp + interval '7 days 8.5 hours')], 'a weekly campaign has its next call in the next week');

-- Contacts that were done with: called once and not reached, once with success, three times, never.
SELECT fx.campaign('attempts', 'none', 'America/New_York', 1) AS campaign \gset
CREATE TEMP TABLE done AS SELECT what, fx.contact(:campaign) AS contact FROM unnest('{missed,reached,refused,talking}'::text[]) what;
EXECUTE seed_campaigns(1000) \gset done_
CREATE FUNCTION fx.done(the_what text) RETURNS bigint LANGUAGE sql AS $$ SELECT contact FROM done WHERE what = the_what $$;
SELECT fx.ended(fx.called(fx.done('missed'), now()), 'NO_ANSWER'), fx.ended(fx.called(fx.done('reached'), now()), 'SALE'),
	fx.ended(fx.called(fx.done('refused'), now()), 'DO_NOT_CALL'), fx.called(fx.done('talking'), now()) \gset
EXECUTE seed_campaigns(1000) \gset done_
SELECT is((SELECT count(*) FROM follow_ups f JOIN campaigns k USING (lane_id) WHERE k.id = :campaign AND f.status = 'pending'), 0::bigint, 'after the last attempt there is no other call');
UPDATE campaigns SET retry_attempts = 3 WHERE id = :campaign;
SELECT fx.rescheduled() \gset
SELECT results_eq(format('SELECT what, fx.next_call(contact) FROM done JOIN campaign_contacts c ON c.id = contact WHERE fx.next_call(contact) IS NOT NULL'),
	format('VALUES (''missed'', %L::timestamptz)', :'tomorrow'), 'more attempts take up those that were not reached, on the next day');
SELECT fx.rescheduled() \gset
SELECT is((SELECT max(scheduled) FROM campaign_contacts WHERE id = fx.done('missed')), 2, 'once');
UPDATE follow_ups SET status = 'skipped', reason = 'retry_limit' WHERE id = fx.scheduled_call(fx.done('missed'));
UPDATE campaigns SET retry_attempts = 4 WHERE id = :campaign;
SELECT fx.rescheduled() \gset
SELECT is(fx.next_call(fx.done('missed')), :'tomorrow'::timestamptz, 'and those that the limit had skipped');
UPDATE campaigns SET frequency = 'daily' WHERE id = :campaign;
SELECT fx.rescheduled() \gset
SELECT results_eq('SELECT what FROM done WHERE fx.next_call(contact) IS NOT NULL ORDER BY what', $$VALUES ('missed'), ('reached')$$,
	'a campaign that recurs calls all again that want to be called');

-- What the frequency holds is looked at again behind the request, which may be one of a million contacts.
SELECT fx.campaign('held by frequency', 'weekly') AS campaign \gset
SELECT fx.contact(:campaign) AS contact \gset
EXECUTE seed_campaigns(1000) \gset by_
SELECT now() + interval '3 days' AS held_until \gset
UPDATE follow_ups SET gate = 'frequency', next_look_at = :'held_until' WHERE id = fx.scheduled_call(:contact);
CREATE FUNCTION fx.looked_at(the_contact bigint) RETURNS timestamptz LANGUAGE sql AS $$ SELECT next_look_at FROM follow_ups WHERE id = fx.scheduled_call(the_contact) $$;
UPDATE campaigns SET frequency = 'daily' WHERE id = :campaign;
SELECT is(fx.looked_at(:contact), :'held_until'::timestamptz, 'a request with another frequency touches no call');
SELECT fx.rescheduled() \gset
SELECT is(fx.looked_at(:contact), now(), 'its batches look at what the frequency held again');

CREATE TEMP TABLE locked (name text);
CREATE FUNCTION fx.locked() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO locked VALUES (TG_TABLE_NAME); RETURN NULL; END $$;
CREATE TRIGGER locked BEFORE UPDATE ON lanes FOR EACH STATEMENT EXECUTE FUNCTION fx.locked();
CREATE TRIGGER locked BEFORE UPDATE ON campaigns FOR EACH STATEMENT EXECUTE FUNCTION fx.locked();
INSERT INTO holidays (tenant_id, day) VALUES ('fx', '2020-01-01');
SELECT results_eq('SELECT name FROM locked', $$VALUES ('campaigns'), ('lanes')$$, 'a holiday locks campaigns before lanes, as all others do');

SELECT * FROM finish();
ROLLBACK;
