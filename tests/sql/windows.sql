-- SPDX-License-Identifier: Apache-2.0
-- Windows in time zones: over midnight, days and holidays, daylight saving, when they close and when they open next.
BEGIN;
\ir lib/fixture.psql
SELECT plan(73);

-- ---- in_window, window_day, window_close ------------------------------------------------------------------------

SELECT is(in_window(t, s, e), expected, format('in_window: %s in %s-%s', t, s, e))
FROM (VALUES
	('09:00'::time, '09:00'::time, '17:00'::time, true), ('08:59:59.999', '09:00', '17:00', false),
	('16:59:59.999', '09:00', '17:00', true), ('17:00', '09:00', '17:00', false),
	('22:00', '22:00', '02:00', true), ('21:59:59', '22:00', '02:00', false), ('00:00', '22:00', '02:00', true),
	('01:59:59', '22:00', '02:00', true), ('02:00', '22:00', '02:00', false),
	('23:59:59.999', '20:00', '24:00', true), ('00:00', '00:00', '24:00', true), ('23:59:59', '00:00', '24:00', true),
	('03:00', NULL, NULL, true)) v (t, s, e, expected);

SELECT is(window_day(l, s, e), expected, format('window_day: %s in %s-%s', l, s, e))
FROM (VALUES
	('2026-06-20 01:59'::timestamp, '22:00'::time, '02:00'::time, '2026-06-19'::date),
	('2026-06-20 02:00', '22:00', '02:00', '2026-06-20'),
	('2026-06-20 00:30', '09:00', '17:00', '2026-06-20'),
	('2026-06-20 00:30', NULL, NULL, '2026-06-20')) v (l, s, e, expected);

SELECT is(window_close(l, s, e, zone), expected, format('window_close: %s in %s-%s %s', l, s, e, zone))
FROM (VALUES
	('2026-06-17 12:00'::timestamp, '09:00'::time, '17:00'::time, 'America/New_York', '2026-06-17 21:00Z'::timestamptz),
	('2026-06-17 23:00', '22:00', '02:00', 'America/New_York', '2026-06-18 06:00Z'),
	('2026-06-18 01:00', '22:00', '02:00', 'America/New_York', '2026-06-18 06:00Z'),
	('2026-06-17 12:00', '09:00', '24:00', 'America/New_York', '2026-06-18 04:00Z'),
	('2026-03-07 23:00', '22:00', '06:00', 'America/New_York', '2026-03-08 10:00Z'),   -- the night is an hour shorter
	('2026-10-31 23:00', '22:00', '06:00', 'America/New_York', '2026-11-01 11:00Z'),   -- and an hour longer
	('2026-06-17 12:00', '00:00', '24:00', 'America/New_York', 'infinity'),
	('2026-06-17 12:00', NULL, NULL, 'UTC', 'infinity')) v (l, s, e, zone, expected);

-- ---- A lane in its zone, over both changes of the clocks ----------------------------------------------------------

SELECT fx.lane('office') AS office, fx.lane('night') AS night \gset
UPDATE lanes SET window_start = '09:00', window_end = '17:00', time_zone = 'America/New_York' WHERE id = :office;
UPDATE lanes SET window_start = '22:00', window_end = '02:00', days = '{5}', time_zone = 'America/New_York' WHERE id = :night;

SELECT is(fx.closed(:office, at), expected, 'office hours, ' || what)
FROM (VALUES
	('2026-03-07 13:59:59Z'::timestamptz, 'window', 'winter: closed before 14:00 UTC'),
	('2026-03-07 14:00Z', 'open', 'winter: open from 14:00 UTC'),
	('2026-03-07 21:59:59Z', 'open', 'winter: open to 22:00 UTC'),
	('2026-03-08 13:00Z', 'open', 'the first day of summer time: open from 13:00 UTC'),
	('2026-03-08 12:59:59Z', 'window', 'the first day of summer time: not before'),
	('2026-03-08 21:00Z', 'window', 'the first day of summer time: closed from 21:00 UTC'),
	('2026-10-31 13:00Z', 'open', 'the last day of summer time: open from 13:00 UTC'),
	('2026-11-01 13:00Z', 'window', 'the first day of winter time: closed at 13:00 UTC'),
	('2026-11-01 14:00Z', 'open', 'the first day of winter time: open from 14:00 UTC')) v (at, expected, what);

SELECT is(closes_at, '2026-03-08 21:00Z'::timestamptz, 'a lane tells when it closes')
FROM lane_gates('2026-03-08 13:00Z') WHERE lane_id = :office;

-- ---- Days and holidays; a night belongs to the day it opened on -----------------------------------------------------

INSERT INTO holidays (tenant_id, day) VALUES ('fx', '2026-06-26'), ('other', '2026-06-19');
SELECT is(fx.closed(:night, at), expected, 'Friday nights, ' || what)
FROM (VALUES
	('2026-06-19 22:00 America/New_York'::timestamptz, 'open', 'Friday at ten'),
	('2026-06-20 01:59 America/New_York', 'open', 'Saturday before two is still Friday''s'),
	('2026-06-20 02:00 America/New_York', 'day', 'Saturday at two is over'),
	('2026-06-20 22:00 America/New_York', 'day', 'not Saturday at ten'),
	('2026-06-19 01:00 America/New_York', 'day', 'Friday at one is Thursday''s'),
	('2026-06-19 21:59 America/New_York', 'window', 'Friday before ten'),
	('2026-06-26 22:30 America/New_York', 'holiday', 'the tenant''s holiday'),
	('2026-06-27 01:00 America/New_York', 'holiday', 'a holiday lasts to the end of its night'),
	('2026-07-03 22:30 America/New_York', 'open', 'the Friday after')) v (at, expected, what);

SELECT fx.lane('any') AS any \gset
SELECT is(fx.closed(:any, '2026-06-17 03:00Z'), 'open', 'a lane without window and days is always open');
SELECT is(closes_at, 'infinity'::timestamptz, 'and never closes')
FROM lane_gates('2026-06-17 03:00Z') WHERE lane_id = :any;

SELECT throws_ok(format($$UPDATE lanes SET time_zone = 'Mars/Base' WHERE id = %s$$, :any), '23503', NULL, 'a lane''s zone must be known');
SELECT throws_ok(format($$UPDATE lanes SET window_start = '09:00', window_end = '17:00' WHERE id = %s$$, :any), '23514', NULL,
	'a window needs a zone');
SELECT throws_ok(format($$UPDATE lanes SET days = '{0}', time_zone = 'UTC' WHERE id = %s$$, :any), '23514', NULL, 'days are 1 to 7');

-- ---- next_opening -------------------------------------------------------------------------------------------------

SELECT is(next_opening(at, CASE lane WHEN 'office' THEN :office WHEN 'night' THEN :night ELSE :any END, zones, s, e), expected,
	'next_opening: ' || what)
FROM (VALUES
	('office', '2026-06-17 15:00Z'::timestamptz, '{}'::text[], NULL::time, NULL::time, '2026-06-17 15:00Z'::timestamptz, 'open now: now'),
	('office', '2026-06-17 22:00Z', '{}', NULL, NULL, '2026-06-18 13:00Z', 'the next morning'),
	('office', '2026-03-07 23:00Z', '{}', NULL, NULL, '2026-03-08 13:00Z', 'the morning after the clocks went forward'),
	('office', '2026-10-31 23:00Z', '{}', NULL, NULL, '2026-11-01 14:00Z', 'the morning after the clocks went back'),
	('office', '2026-06-17 13:00Z', '{Pacific/Honolulu}', '08:00', '21:00', '2026-06-17 18:00Z', 'when the lead''s morning begins'),
	('office', '2026-06-17 13:00Z', '{America/New_York,America/Los_Angeles}', '08:00', '21:00', '2026-06-17 15:00Z',
		'when the last of the lead''s zones is open'),
	('night', '2026-06-20 12:00Z', '{}', NULL, NULL, '2026-07-04 02:00Z', 'the next Friday night that is no holiday'),
	('any', '2026-06-17 03:00Z', '{America/New_York}', '08:00', '21:00', '2026-06-17 12:00Z', 'the lead''s window alone'),
	('any', '2026-06-17 03:00Z', '{}', NULL, NULL, '2026-06-17 03:00Z', 'nothing to wait for'))
	v (lane, at, zones, s, e, expected, what);

-- Office hours of New York are 22:00 to 06:00 in Tokyo.
SELECT is(next_opening('2026-06-17 13:00Z', :office, '{Asia/Tokyo}', '08:00', '21:00'), NULL, 'next_opening: no common hours, none');
INSERT INTO holidays (tenant_id, day) SELECT 'fx', d::date FROM generate_series('2026-08-01'::date, '2026-08-16', '1 day') d;
SELECT is(next_opening('2026-08-01 12:00Z', :office, '{}', NULL, NULL), NULL, 'next_opening: nothing within 14 days, none');
SELECT is(next_opening('2026-08-03 12:00Z', :office, '{}', NULL, NULL), NULL, 'next_opening: an hour after the 14 days, none');
SELECT is(next_opening('2026-08-03 14:00Z', :office, '{}', NULL, NULL), '2026-08-17 13:00Z'::timestamptz,
	'next_opening: the 14th day counts');

-- Every third hour around the changes of the clocks: the instant answered is open, and no earlier minute is.
SELECT is_empty(format($$
	SELECT lane, at, o.t FROM unnest(ARRAY[%s, %s]) lane, (
			SELECT generate_series('2026-03-06 00:30Z'::timestamptz, '2026-03-09 23:30Z', '3 hours')
			UNION ALL SELECT generate_series('2026-10-30 00:30Z'::timestamptz, '2026-11-02 23:30Z', '3 hours')) a (at),
		LATERAL (SELECT next_opening(at, lane, '{America/Chicago,America/Denver}', '08:00', '21:00') AS t) o
	WHERE o.t IS NULL OR fx.closed(lane, o.t) <> 'open'
	OR (o.t AT TIME ZONE 'America/Denver')::time NOT BETWEEN '08:00' AND '21:00'
	OR EXISTS (SELECT FROM generate_series(at, o.t - interval '1 minute', '30 minutes') m
		WHERE fx.closed(lane, m) = 'open'
		AND in_window((m AT TIME ZONE 'America/Chicago')::time, '08:00', '21:00')
		AND in_window((m AT TIME ZONE 'America/Denver')::time, '08:00', '21:00'))$$, :office, :any),
	'next_opening is open, and nothing before it is');

-- ---- When a held one is looked at again ----------------------------------------------------------------------------

SELECT is(look_again_at(hold, '2026-06-17 12:00Z', opening, '2026-06-17 12:01Z'), expected::timestamptz,
	format('look_again_at: %s%s', hold, CASE WHEN opening IS NULL THEN ' without an opening' END))
FROM (VALUES
	('window', '2026-06-18 13:00Z'::timestamptz, '2026-06-18 13:00Z'), ('day', '2026-06-18 13:00Z', '2026-06-18 13:00Z'),
	('holiday', '2026-06-18 13:00Z', '2026-06-18 13:00Z'), ('lead_window', '2026-06-18 13:00Z', '2026-06-18 13:00Z'),
	('lead_window', NULL, '2026-06-17 18:00Z'), ('breaker', NULL, '2026-06-17 12:01Z'),
	('live', NULL, '2026-06-17 12:00:15Z'), ('stopped', NULL, '2026-06-17 12:00:30Z'),
	('cap', NULL, '2026-06-17 12:15Z'), ('zone', NULL, '2026-06-17 13:00Z')) v (hold, opening, expected);

SELECT * FROM finish();
ROLLBACK;
