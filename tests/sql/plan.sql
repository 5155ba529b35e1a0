-- SPDX-License-Identifier: Apache-2.0
-- The plan against the gates asked at every half hour; pace; bounds.
BEGIN;
\ir lib/fixture.psql
\set file producer/api/sql/plan.sql
\ir lib/prepare.psql
SELECT plan(28);

UPDATE settings SET value = '{"start": "08:00", "end": "21:00"}' WHERE key = 'lead_window';
CREATE FUNCTION fx.campaign(the_name text, the_frequency text, attempts integer DEFAULT 3) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	lane bigint := fx.lane(the_name);
BEGIN
	UPDATE lanes SET time_zone = 'America/New_York', window_start = '09:00', window_end = '17:00' WHERE id = lane;
	INSERT INTO campaigns (tenant_id, lane_id, name, frequency, retry_attempts) VALUES ('fx', lane, the_name, the_frequency, attempts);
	RETURN lane;
END $$;
CREATE FUNCTION fx.dialed(the_follow_up bigint, at timestamptz, the_outcome text DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
	INSERT INTO calls (job_id, tenant_id, follow_up_id, kind, lane_id, lead_id, account_id, provider, phone, attempt, status, worker, due_at, claimed_at, posted_at, outcome)
	SELECT uuid_v7(), f.tenant_id, f.id, f.kind, f.lane_id, f.lead_id, fx.account(), 'omni', l.phone_e164, 1, 'completed', 'w/1', f.due_at, at, at, the_outcome
	FROM follow_ups f JOIN leads l ON l.id = f.lead_id WHERE f.id = the_follow_up
$$;

-- ---- A mix of lanes, zones and states ------------------------------------------------------------------------------------

CREATE TEMP TABLE lane AS SELECT name, fx.lane(name) AS id FROM unnest('{leads,hours,night,kolkata,capped}'::text[]) name;
INSERT INTO lane VALUES ('daily', fx.campaign('daily', 'daily')), ('none', fx.campaign('none', 'none', 2));
UPDATE lanes SET use_lead_window = name IN ('leads', 'kolkata', 'daily'), cap_24h = CASE name WHEN 'capped' THEN 1 END,
	time_zone = CASE name WHEN 'night' THEN 'Australia/Lord_Howe' WHEN 'kolkata' THEN 'Asia/Kolkata' WHEN 'leads' THEN NULL ELSE 'America/New_York' END,
	window_start = CASE name WHEN 'night' THEN '22:00'::time WHEN 'kolkata' THEN '09:30' WHEN 'leads' THEN NULL WHEN 'capped' THEN NULL ELSE '09:00' END,
	window_end = CASE name WHEN 'night' THEN '02:00'::time WHEN 'kolkata' THEN '18:00' WHEN 'leads' THEN NULL WHEN 'capped' THEN NULL ELSE '17:00' END,
	days = CASE name WHEN 'hours' THEN '{1,2,3,4,5}'::smallint[] WHEN 'night' THEN '{2,4,6,7}' END
WHERE id IN (SELECT id FROM lane);
INSERT INTO holidays (tenant_id, day) VALUES ('fx', (now() AT TIME ZONE 'America/New_York')::date + 1);

CREATE TEMP TABLE one AS SELECT row_number() OVER () AS i, n.name, n.id AS lane_id, fx.lead(fx.phone(), zone) AS lead_id
FROM lane n, unnest(ARRAY['America/New_York', 'America/Los_Angeles', 'Asia/Kolkata', 'Europe/London', 'Australia/Lord_Howe', NULL, 'Bad/Zone', 'UTC']) zone, generate_series(1, 4);
ALTER TABLE one ADD id bigint;
-- Due before now, or on a later half hour, when every change of these lanes comes.
UPDATE one SET id = fx.follow_up(lead_id, lane_id, now() - CASE WHEN i % 4 < 2 THEN now() - interval '5 minutes'
	ELSE date_trunc('hour', now()) + (i % 7) * interval '4.5 hours' END);
UPDATE leads SET stage = 'closed' FROM one WHERE leads.id = lead_id AND i % 23 = 0;
UPDATE leads SET paused = true FROM one WHERE leads.id = lead_id AND i % 29 = 0;
INSERT INTO suppressions (tenant_id, phone, expires_at) SELECT 'fx', phone_e164, CASE WHEN i % 62 = 0 THEN now() + interval '1 year' END
FROM one JOIN leads ON leads.id = lead_id WHERE i % 31 = 0;
-- Numbers that were called: today, yesterday, as often as they may be, with success.
SELECT count(fx.dialed(id, date_trunc('hour', now()) - (i % 5) * interval '7.5 hours', CASE WHEN i % 3 = 0 THEN 'SALE' ELSE 'NO_ANSWER' END))
FROM one WHERE name IN ('daily', 'none', 'capped') AND i % 3 < 2 \gset
SELECT count(fx.dialed(id, date_trunc('hour', now()) - interval '3 days', 'NO_ANSWER')) FROM one WHERE name IN ('daily', 'none') AND i % 6 = 1 \gset
-- Held ones are not planned for their next look, which is only another try.
UPDATE follow_ups f SET gate = 'window', next_look_at = now() + interval '9 hours' FROM one WHERE f.id = one.id AND i % 5 = 0 AND f.due_at < now();
SELECT fx.call((SELECT id FROM lane WHERE name = 'leads'), 'calling') AS live \gset
INSERT INTO one (i, name, lane_id, lead_id, id) SELECT 0, 'leads', c.lane_id, c.lead_id, fx.follow_up(c.lead_id, c.lane_id) FROM calls c WHERE c.job_id = :'live';

-- The gates, at each half hour and when it is due: what holds it then, and when nothing does any more.
CREATE TEMP TABLE asked AS
SELECT one.id, one.lane_id, t.at, coalesce(hold_gate(g.hold, CASE WHEN g.hold = 'lead_window' THEN next_opening(t.at, g.lane_id, g.zones, g.lead_start, g.lead_end) END), 'open') AS gate
FROM (SELECT DISTINCT at FROM (SELECT date_trunc('hour', now()) + n * interval '30 minutes' AS at FROM generate_series(0, 72) n
		UNION ALL SELECT greatest(f.due_at, now()) FROM one JOIN follow_ups f USING (id)) a WHERE at BETWEEN now() AND now() + interval '36 hours') t
CROSS JOIN LATERAL follow_up_gates(t.at) g JOIN one ON one.id = g.follow_up_id JOIN follow_ups f ON f.id = one.id WHERE t.at >= f.due_at;
CREATE TEMP TABLE brute AS
SELECT id, lane_id, (array_agg(gate ORDER BY at))[1] AS gate, min(at) FILTER (WHERE gate = 'open') AS dialed_at FROM asked GROUP BY id, lane_id;
SELECT ok(count(*) > 200 AND count(DISTINCT gate) > 8 AND count(DISTINCT dialed_at) >= 6, 'the gates say many different things') FROM brute;

CREATE TEMP TABLE planned AS SELECT l.* FROM jsonb_path_query(plan(36, NULL), '$.lanes[*]') j CROSS JOIN LATERAL (SELECT j AS body, j ->> 'lane' AS name) l;
SELECT results_eq(format($$SELECT h ->> 'at', (h ->> 'calls')::bigint FROM planned, jsonb_array_elements(body -> 'hours') h WHERE name = %L$$, name),
	format($$SELECT iso_utc(at), count(*) FROM (SELECT greatest(date_trunc('hour', dialed_at), now()) AS at FROM brute WHERE lane_id = %s AND dialed_at < now() + interval '36 hours') b GROUP BY at ORDER BY at$$, id),
	format('%s: as many an hour as the gates let through', name)) FROM lane ORDER BY name;
SELECT set_eq(format($$SELECT h ->> 'gate', (h ->> 'calls')::bigint FROM planned, jsonb_array_elements(body -> 'held') h WHERE name = %L$$, name),
	format($$SELECT gate, count(*) FROM brute WHERE lane_id = %s AND gate <> 'open' GROUP BY gate$$, id), format('%s: held by the gates that hold', name)) FROM lane ORDER BY name;
SELECT is(sum((body ->> 'waiting')::bigint), (SELECT count(*) FROM one)::numeric, 'none is forgotten') FROM planned;

-- ---- Pace -----------------------------------------------------------------------------------------------------------------

DELETE FROM holidays;
SELECT fx.lane('pace') AS pace \gset
SELECT count(fx.due(:pace, 250)) \gset
CREATE FUNCTION fx.hours(the_lane bigint, hours integer, change text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'UPDATE lanes SET ' || change || ' WHERE id = ' || the_lane;
	RETURN (SELECT concat_ws(' ', l ->> 'limited_by', round((l ->> 'calls_per_hour')::numeric), 'of', l ->> 'waiting', 'later', l ->> 'later')
		FROM jsonb_path_query(plan(hours, the_lane), '$.lanes[*]') l);
END $$;
SELECT is(fx.hours(:pace, 24, 'max_concurrent = 0'), 'of 250 later 0', 'without limits all at once');
SELECT is(fx.hours(:pace, 24, 'rate_per_second = 100 / 3600.0'), 'rate 100 of 250 later 0', 'a rate spreads them over hours');
-- The first hour has what is left of it.
SELECT is((SELECT array_agg((h ->> 'calls')::integer) FROM jsonb_path_query(plan(24, :pace), '$.lanes[0].hours[*]') h),
	(SELECT array_agg((n - before)::integer ORDER BY k) FROM (SELECT k, least(floor(100 * (part + k) + 1e-6), 250) AS n,
			CASE WHEN k = 0 THEN 0 ELSE least(floor(100 * (part + k - 1) + 1e-6), 250) END AS before
		FROM (SELECT 1 - extract(epoch FROM now() - date_trunc('hour', now())) / 3600 AS part) p, generate_series(0, 3) k) s WHERE n > before),
	'each as many as it has room for');
SELECT is(fx.hours(:pace, 1, 'rate_per_second = NULL, max_concurrent = 1'), 'concurrency 60 of 250 later 190',
	'a slot is a call a minute while nothing is known of calls');
INSERT INTO calls (job_id, tenant_id, kind, lane_id, lead_id, account_id, provider, phone, attempt, status, worker, due_at, claimed_at, ended_at)
SELECT uuid_v7(), 'fx', 'follow_up', :pace, 1, fx.account(), 'omni', '+12125550190', 1, 'completed', 'w/1', now(), now() - interval '30 seconds', now() FROM generate_series(1, 3);
SELECT is(fx.hours(:pace, 24, 'max_concurrent = 2'), 'concurrency 240 of 250 later 0', 'then as long as those were');
UPDATE accounts SET max_concurrent = 4 WHERE id = fx.account();
SELECT fx.lane('beside') AS beside \gset
CREATE TEMP TABLE elsewhere AS SELECT id, account_id FROM lanes WHERE id NOT IN (:pace, :beside);
UPDATE lanes SET account_id = NULL FROM elsewhere WHERE lanes.id = elsewhere.id;
SELECT is(fx.hours(:pace, 24, 'max_concurrent = 0'), 'account 480 of 250 later 0', 'an account''s slots are its only lane''s');
SELECT count(fx.due(:beside, 5)) \gset
SELECT is(fx.hours(:pace, 24, 'max_concurrent = 0'), 'account 240 of 250 later 0', 'or are shared with another that has something waiting');
DELETE FROM follow_ups WHERE lane_id = :beside;
UPDATE lanes SET account_id = elsewhere.account_id FROM elsewhere WHERE lanes.id = elsewhere.id;
UPDATE accounts SET max_concurrent = 0 WHERE id = fx.account();
SELECT is(plan_run(2, 3, '{10,0,0,10,0,0}', '{1,0,1,1,1,1}', 6), '{6,6,6}', 'what does not fit goes on when it is open to it');
SELECT is(plan_run(1, 4, '{2,0,0,0}', '{1,1,1,1}', 0.5), '{0,1,0,1}', 'less than one call an hour');

-- ---- Redials that are to come ---------------------------------------------------------------------------------------------

UPDATE lanes SET active = true, account_id = fx.account(), window_start = '11:00', window_end = '20:00', max_concurrent = 0 WHERE tenant_id = 'fx' AND name = 'redial' RETURNING id AS redial \gset
CREATE TEMP TABLE record AS SELECT fx.lead() AS lead_id, v.*
FROM (VALUES ('pending', 1, now() + interval '1 day'), ('rescheduled', 2, now() - interval '1 minute'), ('paused', 1, now()), ('max_attempts', 4, now()),
	('pending', 1, now() + interval '9 days')) v (status, attempts, next_at);
INSERT INTO redial_queue (tenant_id, lead_id, phone_number, lead_ref, attempts, next_redial_timestamp, status)
SELECT 'fx', lead_id, l.phone, lead_id, attempts, next_at, status FROM record JOIN leads l ON l.id = lead_id;
SELECT results_eq(format('SELECT (l ->> ''waiting'')::integer, h ->> ''at'' FROM jsonb_path_query(plan(72, %s), ''$.lanes[*]'') l, jsonb_array_elements(l -> ''hours'') h', :redial),
	format('SELECT 2, iso_utc(greatest(date_trunc(''hour'', next_opening(t, %s, ''{}'', NULL, NULL)), now())) FROM (VALUES (now()), (date_trunc(''minute'', now() + interval ''1 day 59.999 seconds''))) v (t) ORDER BY t', :redial),
	'those that are to be dialed, when their time has come and the queue''s hours are open');

-- ---- Bounds and words -----------------------------------------------------------------------------------------------------

SELECT is(plan(24, NULL, 2, 1000) ->> 'lanes_left_out', (SELECT count(*) - 1 FROM lanes n WHERE EXISTS (SELECT FROM follow_ups f WHERE f.lane_id = n.id AND next_look_at IS NOT NULL))::text,
	'of too many lanes some are left out, and counted');
SELECT ok((plan(24, (SELECT id FROM lane WHERE name = 'daily'), 1, 5) ->> 'looked_at_one_in')::integer > 1, 'of too many known numbers a share is looked at, and said');

SELECT * FROM finish();
ROLLBACK;
