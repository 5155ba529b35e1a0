-- SPDX-License-Identifier: Apache-2.0
-- Lanes, holidays and settings over the API's statements, and what a change of them reaches.
BEGIN;
\ir lib/fixture.psql
\set file producer/api/sql/lanes.sql
\ir lib/prepare.psql
\set file producer/api/sql/lane.sql
\ir lib/prepare.psql
\set file producer/api/sql/lane_change.sql
\ir lib/prepare.psql
\set file producer/api/sql/holidays.sql
\ir lib/prepare.psql
\set file producer/api/sql/holiday_put.sql
\ir lib/prepare.psql
\set file producer/api/sql/holiday_remove.sql
\ir lib/prepare.psql
\set file producer/api/sql/settings.sql
\ir lib/prepare.psql
\set file producer/api/sql/settings_change.sql
\ir lib/prepare.psql
\set file producer/sql/pacing.sql
\ir lib/prepare.psql
SELECT plan(40);

-- Status and body of a statement; what a path names of the body, or what is wrong.
CREATE FUNCTION fx.ask(statement text, path text DEFAULT '$') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	status integer;
	body jsonb;
BEGIN
	EXECUTE 'EXECUTE ' || statement INTO status, body;
	RETURN concat_ws(' ', status, CASE WHEN status < 400 THEN jsonb_path_query_array(body, path::jsonpath)::text ELSE coalesce(
		(SELECT string_agg(e ->> 'field', ' ' ORDER BY n) FROM jsonb_array_elements(body -> 'errors') WITH ORDINALITY x (e, n)), body ->> 'detail') END);
END $$;

-- ---- Lanes ----------------------------------------------------------------------------------------------------------------

SELECT fx.lane('hall') AS lane, fx.lane('its') AS its \gset
INSERT INTO campaigns (tenant_id, lane_id, name) VALUES ('fx', :its, 'Its own') RETURNING id AS campaign \gset
SELECT is(fx.ask(format('lane(''%s'')', :lane), '$.name'), '200 ["hall"]', 'a lane is shown');
SELECT is(fx.ask('lane(''0'')'), '404 no such lane', 'one that is not there is not');
SELECT is(fx.ask('lanes(NULL, NULL, NULL)', '$.lanes[*] ? (@.tenant == "fx").name'), '200 ["follow_ups", "redial", "workflow", "hall"]', 'a tenant''s own');
SELECT is(fx.ask('lanes(''true'', NULL, NULL)', '$.lanes[*].campaign ? (@ != null)'), format('200 [%s]', :campaign), 'those of campaigns if they are wanted');
SELECT is(fx.ask('lanes(''true'', ''2'', NULL)', '$.lanes.size()'), '200 [2]', 'a page at a time');
SELECT is(fx.ask('lanes(''maybe'', ''0'', ''x'')'), '422 campaigns limit after', 'all that is wrong with a request');

CREATE FUNCTION fx.change(the_lane bigint, given text, path text DEFAULT '$') RETURNS text LANGUAGE sql AS $$
	SELECT fx.ask(format('lane_change(%L, %L)', the_lane, given), path)
$$;
SELECT is(fx.change(:lane, given, path), expected, given) FROM (VALUES
	('{"window_start": "9:00", "window_end": "24:00", "time_zone": "Asia/Kolkata"}', '$.window_start', '200 ["09:00"]'),
	('{"days": [7, 0, 1, 1]}', '$.days', '200 [[1, 7]]'),
	('{"days": null}', '$.days', '200 [null]'),
	('{"max_concurrent": 5.0, "batch_per_run": 0, "rate_per_second": 0.5, "cap_24h": 1, "cap_7d": 3}', '$.max_concurrent', '200 [5]'),
	('{"account": "fx-two", "use_lead_window": true}', '$.account', '200 ["fx-two"]'),
	('{"account": null}', '$.account', '200 [null]'),
	('{"active": false}', '$.closed', '200 ["lane"]'),
	('{"active": true}', '$.stopped_at', '200 [null]'),
	('{}', '$.rate_per_second', '200 [0.5]'),
	('{"window_start": "25:00", "days": [8], "time_zone": "Mars/Base", "max_concurrent": -1, "rate_per_second": 0, "cap_24h": 0, "active": 1, "account": "nobody",
		"name": "x", "colour": 1}', '$', '422 account active cap_24h colour days max_concurrent name rate_per_second time_zone window_start'),
	('{"window_start": null}', '$', '422 window_end'),
	('{"window_end": "09:00"}', '$', '422 window_end'),
	('{"time_zone": null}', '$', '422 time_zone'),
	('{"window_start": null, "window_end": null, "time_zone": null}', '$.time_zone', '200 [null]')) v (given, path, expected);
SELECT is(fx.change(:its, '{"max_concurrent": 1}'), format('409 the lane is a campaign''s: change that (PATCH /api/campaigns/%s)', :campaign), 'a campaign''s lane is its own');
SELECT is(fx.change(0, '{}'), '404 no such lane', 'there must be one to change');

SET LOCAL carillon.tenant = 'fx';
-- ---- Holidays -------------------------------------------------------------------------------------------------------------

SELECT day, now() AS before FROM (SELECT (now() AT TIME ZONE 'UTC')::date::text AS day) d \gset
EXECUTE pacing \gset first_
UPDATE lanes SET next_at = now() + interval '5 minutes', time_zone = 'UTC' WHERE id = :lane;
SELECT is(fx.ask(format('holiday_put(NULL, ''{"day": "%s", "name": "Fest"}'')', :'day'), '$.name'), '200 ["Fest"]', 'a day becomes a holiday');
SELECT is(fx.closed(:lane, now()), 'holiday', 'and closes the tenant''s lanes');
SELECT is(next_at, '-infinity'::timestamptz, 'which are looked at again') FROM lanes WHERE id = :lane;
EXECUTE pacing \gset then_
SELECT isnt(:'first_current'::text, :'then_current'::text, 'as is what they hold');
SELECT is((SELECT rescheduling FROM campaigns WHERE id = :campaign), true, 'and the times of its campaigns'' calls');
SELECT is(fx.ask(format('holiday_put(''%s'', ''{}'')', :'day'), '$.name'), '200 [""]', 'by its path too, again and again');
SELECT is(fx.ask('holidays(NULL, NULL)', '$.holidays[*].day'), format('200 ["%s"]', :'day'), 'it is shown');
SELECT is(fx.ask('holidays(''2999-01-01'', ''2999-12-31'')', '$.holidays.size()'), '200 [0]', 'within the days that are asked for');
SELECT is(fx.ask('holidays(''2026-02-30'', ''soon'')'), '422 from to', 'days are of the calendar');
SELECT is(fx.ask('holiday_put(NULL, ''{"day": "2027-02-29", "name": 7, "colour": 1}'')'), '422 day name colour', 'so is a holiday');
SELECT is(fx.ask('holiday_put(''2027-02-28'', ''{"day": "2027-03-01"}'')'), '422 day', 'the day is that of the path');
UPDATE campaigns SET rescheduling = false;
UPDATE lanes SET next_at = now() + interval '5 minutes' WHERE id = :lane;
SELECT is(fx.ask(format('holiday_remove(''%s'')', :'day'), '$.removed'), '200 [true]', 'it can be none again');
SELECT is(fx.closed(:lane, now()) || ' ' || (SELECT rescheduling FROM campaigns WHERE id = :campaign), 'open true', 'which opens the lanes and moves the calls');
SELECT is(fx.ask(format('holiday_remove(''%s'')', :'day')), '404 no such holiday', 'once');

-- ---- Settings -------------------------------------------------------------------------------------------------------------

SELECT is(fx.ask('settings', '$.settings.keyvalue().key'), '200 ["redial", "stopped", "lead_window", "unknown_zone"]', 'what people may know');
SELECT is(fx.ask('settings_change(''{"lead_window": {"start": "9:00", "end": "20:30"}, "unknown_zone": "lane"}'')', '$.settings.*.value ? (@.start == "09:00" || @ == "lane")'),
	'200 [{"end": "20:30", "start": "09:00"}, "lane"]', 'and change');
SELECT is(fx.ask('settings', '$.settings.lead_window.lasts'), '200 ["until a producer starts with another LEAD_WINDOW"]', 'for as long as that lasts');
SELECT is(fx.ask('settings_change(''{"lead_window": {"start": "20:00", "end": "08:00"}, "unknown_zone": "open", "stopped": true, "pacing": 1}'')'),
	'422 lead_window pacing stopped unknown_zone', 'all that is wrong with a change');

SELECT * FROM finish();
ROLLBACK;
