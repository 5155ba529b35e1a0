-- SPDX-License-Identifier: Apache-2.0
-- The gates: each alone, their order, and that explain and claim read the same ones.
BEGIN;
\ir lib/fixture.psql
SELECT plan(74);

UPDATE settings SET value = '{"start": "08:00", "end": "21:00"}' WHERE key = 'lead_window';
SELECT '2026-06-17 15:00Z' AS noon \gset
SELECT fx.lane('gates') AS lane, fx.lane('beside') AS beside \gset
UPDATE lanes SET window_start = '09:00', window_end = '17:00', days = '{1,2,3,4,5}', time_zone = 'America/New_York', use_lead_window = true
WHERE id = :lane;
SELECT fx.lead('+12125550101', 'America/New_York') AS lead \gset
SELECT fx.follow_up(:lead, :lane) AS f \gset

-- Does the gate hold the follow-up once the change is made? The change is undone.
CREATE FUNCTION fx.with(change text, the_follow_up bigint, at timestamptz) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hold text;
BEGIN
	BEGIN
		EXECUTE change;
		hold := fx.hold(the_follow_up, at);
		RAISE SQLSTATE 'FX000';
	EXCEPTION WHEN SQLSTATE 'FX000' THEN
		RETURN hold;
	END;
END $$;

SELECT is(fx.hold(:f, :'noon'), 'open', 'nothing holds it to begin with');

-- ---- Each alone, and its edge ------------------------------------------------------------------------------------

SELECT is(fx.with(change, :f, :'noon'), expected, what)
FROM (VALUES
	('UPDATE leads SET phone = NULL WHERE id = ' || :lead, 'no_phone', 'no phone'),
	('UPDATE leads SET phone = '''' WHERE id = ' || :lead, 'no_phone', 'an empty phone'),
	('UPDATE leads SET phone = ''call me'' WHERE id = ' || :lead, 'number', 'a phone that is none'),
	('UPDATE leads SET phone = ''+19005550101'' WHERE id = ' || :lead, 'number', 'a number never to dial'),
	('UPDATE leads SET stage = ''closed'' WHERE id = ' || :lead, 'stage', 'a closed lead'),
	('UPDATE leads SET stage = ''lost'' WHERE id = ' || :lead, 'stage', 'a lost lead'),
	('UPDATE leads SET stage = ''contacted'' WHERE id = ' || :lead, 'open', 'another stage does not hold'),
	('INSERT INTO suppressions (tenant_id, phone) VALUES (''fx'', ''+12125550101'')', 'suppressed', 'a suppressed number'),
	('INSERT INTO suppressions (tenant_id, phone, expires_at) VALUES (''fx'', ''+12125550101'', ''2026-06-17 15:00:01Z'')', 'suppressed',
		'a suppression that ends in a second'),
	('INSERT INTO suppressions (tenant_id, phone, expires_at) VALUES (''fx'', ''+12125550101'', ''2026-06-17 15:00Z'')', 'open',
		'a suppression that has ended'),
	('INSERT INTO suppressions (tenant_id, phone) VALUES (''other'', ''+12125550101'')', 'open', 'another tenant''s suppression'),
	('INSERT INTO suppressions (tenant_id, phone) VALUES (''fx'', ''+12125550102'')', 'open', 'another number''s suppression'),
	('UPDATE settings SET value = ''true'' WHERE key = ''stopped''', 'stopped', 'everything is stopped'),
	('DELETE FROM settings WHERE key = ''stopped''', 'open', 'a missing switch does not stop'),
	('UPDATE tenants SET stopped_at = now() WHERE id = ''fx''', 'stopped', 'the tenant is stopped'),
	('UPDATE tenants SET stopped_at = now() WHERE id = ''other''', 'open', 'another tenant is stopped'),
	('UPDATE lanes SET active = false WHERE id = ' || :lane, 'lane', 'the lane is off'),
	('UPDATE lanes SET active = false WHERE id = ' || :beside, 'open', 'another lane is off'),
	('UPDATE leads SET paused = true WHERE id = ' || :lead, 'paused', 'the lead is paused'),
	('UPDATE lanes SET account_id = NULL WHERE id = ' || :lane, 'credentials', 'no account'),
	('UPDATE accounts SET active = false WHERE name = ''fx-one''', 'credentials', 'the account is off'),
	('UPDATE accounts SET active = false WHERE name = ''fx-two''', 'open', 'another account is off'),
	('UPDATE accounts SET breaker_until = ''2026-06-17 15:00:01Z'' WHERE name = ''fx-one''', 'breaker', 'the breaker is open'),
	('UPDATE accounts SET breaker_until = ''2026-06-17 15:00Z'' WHERE name = ''fx-one''', 'open', 'the breaker''s time is over'),
	('UPDATE lanes SET days = ''{1,2,4,5,6,7}'' WHERE id = ' || :lane, 'day', 'no Wednesday'),
	('INSERT INTO holidays VALUES (''fx'', ''2026-06-17'')', 'holiday', 'a holiday'),
	('INSERT INTO holidays VALUES (''other'', ''2026-06-17'')', 'open', 'another tenant''s holiday'),
	('UPDATE lanes SET window_end = ''11:00'' WHERE id = ' || :lane, 'window', 'the window has closed'),
	('UPDATE lanes SET window_end = ''11:00:01'' WHERE id = ' || :lane, 'open', 'the window is about to close'),
	('UPDATE leads SET time_zone = ''Mars/Base'' WHERE id = ' || :lead, 'zone', 'a bad zone'),
	('UPDATE leads SET time_zone = NULL, phone = ''+18005550101'' WHERE id = ' || :lead, 'zone', 'a number that tells no zone'),
	('UPDATE leads SET time_zone = ''Pacific/Honolulu'' WHERE id = ' || :lead, 'lead_window', 'five in the morning in Hawaii'),
	('UPDATE leads SET time_zone = ''America/Los_Angeles'' WHERE id = ' || :lead, 'open', 'eight in the morning in California'),
	('UPDATE leads SET time_zone = ''America/Anchorage'' WHERE id = ' || :lead, 'lead_window', 'seven in the morning in Alaska'),
	('UPDATE leads SET time_zone = ''Asia/Karachi'' WHERE id = ' || :lead, 'open', 'eight in the evening in Pakistan'),
	('UPDATE leads SET time_zone = ''Asia/Dhaka'' WHERE id = ' || :lead, 'lead_window', 'nine in the evening in Bangladesh'),
	(format('UPDATE leads SET zones = ''{America/New_York,Pacific/Honolulu}'' WHERE id = %s', :lead), 'lead_window',
		'one of its zones is outside'),
	(format('UPDATE leads SET time_zone = ''Pacific/Honolulu'' WHERE id = %s; UPDATE lanes SET use_lead_window = false WHERE id = %s', :lead, :lane),
		'open', 'a lane without the lead window does not ask for it'),
	(format('UPDATE leads SET time_zone = ''Mars/Base'' WHERE id = %s; UPDATE lanes SET use_lead_window = false WHERE id = %s', :lead, :lane),
		'open', 'nor for the zone')) v (change, expected, what);

-- A number without a zone may use its lane's, if that is permitted, from ten to five.
UPDATE settings SET value = '"lane"' WHERE key = 'unknown_zone';
UPDATE lanes SET window_start = '06:00', window_end = '22:00' WHERE id = :lane;
SELECT is(fx.with('UPDATE leads SET time_zone = NULL, phone = ''+18005550101'' WHERE id = ' || :lead, :f, at), expected,
	'an unknown zone with UNKNOWN_ZONE=lane: ' || what)
FROM (VALUES
	('2026-06-17 13:59Z'::timestamptz, 'lead_window', 'closed before ten'), ('2026-06-17 14:00Z', 'open', 'open at ten'),
	('2026-06-17 20:59Z', 'open', 'open before five'), ('2026-06-17 21:00Z', 'lead_window', 'closed at five')) v (at, expected, what);
SELECT is(fx.with('UPDATE leads SET time_zone = ''Mars/Base'' WHERE id = ' || :lead, :f, :'noon'), 'zone',
	'a bad zone stays closed with UNKNOWN_ZONE=lane');
SELECT is(fx.with(format('UPDATE leads SET time_zone = NULL, phone = ''+18005550101'' WHERE id = %s;
	UPDATE lanes SET time_zone = NULL, window_start = NULL, window_end = NULL, days = NULL WHERE id = %s', :lead, :lane), :f, :'noon'), 'zone',
	'a lane without a zone has none to give');
UPDATE leads SET time_zone = NULL, phone = '+18005550101' WHERE id = :lead;
SELECT is(opens_at, '2026-06-17 14:00Z'::timestamptz, 'it opens when those narrower hours begin')
FROM gates(:f, '2026-06-17 12:30Z') WHERE gate = 'lead_window';
UPDATE leads SET time_zone = 'America/New_York', phone = '+12125550101' WHERE id = :lead;
UPDATE settings SET value = '"closed"' WHERE key = 'unknown_zone';
UPDATE lanes SET window_start = '09:00', window_end = '17:00' WHERE id = :lane;

-- ---- Live calls and caps -------------------------------------------------------------------------------------------

INSERT INTO live (job_id, tenant_id, phone, lane_id, account_id, follow_up_id, state, lease_until, next_check_at)
VALUES (uuid_v7(), 'fx', '+12125550101', :beside, fx.account(), :f + 1000, 'undetermined', now(), now());
SELECT is(fx.hold(:f, :'noon'), 'live', 'another call holds the phone, whatever its state');
UPDATE live SET tenant_id = 'other' WHERE phone = '+12125550101';
SELECT is(fx.hold(:f, :'noon'), 'open', 'another tenant''s call does not');
UPDATE live SET tenant_id = 'fx', follow_up_id = :f WHERE phone = '+12125550101';
SELECT is(fx.hold(:f, :'noon'), 'open', 'nor its own');
DELETE FROM live WHERE phone = '+12125550101';

INSERT INTO calls (job_id, tenant_id, follow_up_id, kind, lane_id, lead_id, account_id, provider, phone, attempt, status, worker, due_at, claimed_at)
SELECT uuid_v7(), 'fx', 0, 'follow_up', :beside, 0, fx.account(), 'omni', '+12125550101', 1, 'completed', 'w', now(), at::timestamptz
FROM unnest(ARRAY['2026-06-17 14:00Z', '2026-06-16 15:00:01Z', '2026-06-16 15:00Z', '2026-06-10 15:00:01Z', '2026-06-10 15:00Z']) at;
INSERT INTO calls (job_id, tenant_id, follow_up_id, kind, lane_id, lead_id, account_id, provider, phone, attempt, status, worker, due_at, claimed_at)
SELECT uuid_v7(), tenant, 0, 'follow_up', :beside, 0, fx.account(), 'omni', '+12125550101', 1, status, 'w', now(), '2026-06-17 14:00Z'
FROM (VALUES ('fx', 'rejected'), ('fx', 'not_dialed'), ('other', 'completed')) v (tenant, status);
SELECT is(fx.with(format('UPDATE lanes SET %s WHERE id = %s', change, :lane), :f, :'noon'), expected, what)
FROM (VALUES
	('cap_24h = 3', 'open', 'two dials in 24 hours are below three'),
	('cap_24h = 2', 'cap', 'two dials in 24 hours reach two, over all lanes'),
	('cap_7d = 5', 'open', 'four dials in 7 days are below five'),
	('cap_7d = 4', 'cap', 'four dials in 7 days reach four'),
	('cap_24h = 9, cap_7d = 4', 'cap', 'either cap holds'),
	('cap_24h = 2, cap_7d = 9', 'cap', 'either cap holds')) v (change, expected, what);

-- ---- Order -----------------------------------------------------------------------------------------------------------

-- Everything is wrong; one thing after the other is put right, and the next holds.
INSERT INTO suppressions (tenant_id, phone) VALUES ('fx', '+12125550101');
INSERT INTO live (job_id, tenant_id, phone, lane_id, account_id, follow_up_id, state, lease_until, next_check_at)
VALUES (uuid_v7(), 'fx', '+12125550101', :beside, fx.account(), :f + 1000, 'calling', now(), now());
INSERT INTO holidays VALUES ('fx', '2026-06-17');
UPDATE tenants SET stopped_at = now() WHERE id = 'fx';
UPDATE accounts SET active = false, breaker_until = 'infinity' WHERE name = 'fx-one';
UPDATE lanes SET active = false, days = '{7}', window_end = '09:01', cap_24h = 1 WHERE id = :lane;
UPDATE leads SET stage = 'lost', phone = NULL, paused = true, time_zone = 'Mars/Base' WHERE id = :lead;

CREATE FUNCTION fx.put_right(the_follow_up bigint, at timestamptz, changes text[]) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	holds text[] := ARRAY[fx.hold(the_follow_up, at)];
	change text;
BEGIN
	FOREACH change IN ARRAY changes LOOP
		EXECUTE change;
		holds := holds || fx.hold(the_follow_up, at);
	END LOOP;
	RETURN holds;
END $$;

CREATE TEMP TABLE explained AS SELECT row_number() OVER () AS n, gate, verdict, opens_at FROM gates(:f, :'noon');
CREATE TEMP TABLE order_of_gates AS SELECT fx.put_right(:f, :'noon', ARRAY[
	'UPDATE leads SET phone = ''+19005550101'' WHERE id = ' || :lead, 'UPDATE leads SET phone = ''+12125550101'' WHERE id = ' || :lead,
	'UPDATE leads SET stage = ''new'' WHERE id = ' || :lead, 'DELETE FROM suppressions WHERE tenant_id = ''fx''',
	'UPDATE tenants SET stopped_at = NULL WHERE id = ''fx''', 'UPDATE lanes SET active = true WHERE id = ' || :lane,
	'UPDATE leads SET paused = false WHERE id = ' || :lead, 'UPDATE accounts SET active = true WHERE name = ''fx-one''',
	'UPDATE accounts SET breaker_until = NULL WHERE name = ''fx-one''', 'UPDATE lanes SET days = NULL WHERE id = ' || :lane,
	'DELETE FROM holidays WHERE tenant_id = ''fx''', 'UPDATE lanes SET window_end = ''17:00'' WHERE id = ' || :lane,
	'UPDATE leads SET time_zone = ''Pacific/Honolulu'' WHERE id = ' || :lead, 'UPDATE leads SET time_zone = NULL WHERE id = ' || :lead,
	'DELETE FROM live WHERE tenant_id = ''fx''', 'UPDATE lanes SET cap_24h = NULL WHERE id = ' || :lane]) AS holds;

SELECT is(holds, '{no_phone,number,stage,suppressed,stopped,lane,paused,credentials,breaker,day,holiday,window,zone,lead_window,live,cap,open}',
	'gates hold in their order') FROM order_of_gates;

-- The order is the table's of C. A gate that only the dispatcher or explain knows is none of a follow-up's.
\set table `sed -n 's/^TABLE_ROW([A-Z_0-9]*, "\([a-z_0-9]*\)", \([01]\),.*/\1 \2/p' :'root'/common/tbl/gate.h | paste -sd,`
CREATE TEMP TABLE gate_table AS
SELECT n, split_part(line, ' ', 1) AS gate, split_part(line, ' ', 2) = '1' AS final
FROM string_to_table(:'table', ',') WITH ORDINALITY t (line, n);
SELECT cmp_ok(count(*), '>=', 17::bigint, 'common/tbl/gate.h was read') FROM gate_table;
SELECT results_eq('SELECT gate FROM explained ORDER BY n',
	$$SELECT gate FROM gate_table WHERE gate NOT IN ('dial_by', 'follow_up', 'due') ORDER BY n$$, 'gates() has the rows of common/tbl/gate.h');
SELECT is_empty('SELECT gate FROM gate_table WHERE hold_is_final(gate) <> final', 'the final ones are the table''s');

-- ---- gates(), for people ---------------------------------------------------------------------------------------------

SELECT is(array_agg(gate ORDER BY n), '{no_phone,number,stage,stopped,lane,paused,credentials,breaker,day,holiday,window,zone}'::text[],
	'gates() tells all that hold, not just the first') FROM explained WHERE verdict = 'hold';
SELECT is_empty(format('SELECT gate FROM gates(%s, %L) WHERE verdict <> ''pass'' OR opens_at IS NOT NULL', :f, :'noon'),
	'nothing holds it any more');

UPDATE lanes SET days = '{1}' WHERE id = :lane;
UPDATE leads SET time_zone = 'Pacific/Honolulu' WHERE id = :lead;
UPDATE accounts SET breaker_until = '2026-06-17 15:01Z' WHERE name = 'fx-one';
SELECT results_eq(format('SELECT gate, opens_at FROM gates(%s, %L) WHERE verdict = ''hold''', :f, :'noon'),
	$$VALUES ('breaker', '2026-06-17 15:01Z'::timestamptz), ('day', '2026-06-22 13:00Z'), ('lead_window', '2026-06-22 18:00Z')$$,
	'gates() tells when each opens: of the windows, when they are open together');
UPDATE leads SET time_zone = 'Asia/Tokyo' WHERE id = :lead;
SELECT is(verdict, 'hold', 'no common hours within 14 days is a gate of its own') FROM gates(:f, :'noon') WHERE gate = 'no_common_window';
UPDATE leads SET stage = 'lost' WHERE id = :lead;
SELECT is(opens_at, NULL, 'a final gate never opens') FROM gates(:f, :'noon') WHERE gate = 'stage';

-- ---- What else the claim reads of it ------------------------------------------------------------------------------------

UPDATE lanes SET days = NULL WHERE id = :lane;
UPDATE leads SET stage = 'new', time_zone = 'America/New_York', raw_payload = '{"variables": {"a": 1}}' WHERE id = :lead;
SELECT is(dial_by, '2026-06-17 21:00Z'::timestamptz, 'dial_by is the lane''s closing, the earlier one')
FROM follow_up_gates(:'noon') WHERE follow_up_id = :f;
UPDATE leads SET time_zone = 'Europe/Berlin' WHERE id = :lead;
SELECT is(dial_by, '2026-06-17 19:00Z'::timestamptz, 'dial_by is the lead''s closing, the earlier one')
FROM follow_up_gates(:'noon') WHERE follow_up_id = :f;
SELECT is(variables, '{"a": 1}'::jsonb, 'the lead''s variables') FROM follow_up_gates(:'noon') WHERE follow_up_id = :f;
SELECT is(account, 'fx-one', 'the lane''s account') FROM follow_up_gates(:'noon') WHERE follow_up_id = :f;
UPDATE follow_ups SET account_id = fx.account('fx-two') WHERE id = :f;
SELECT is(account, 'fx-two', 'its own account, if it has one') FROM follow_up_gates(:'noon') WHERE follow_up_id = :f;

-- ---- What makes the gates look again --------------------------------------------------------------------------------------

UPDATE follow_ups SET next_look_at = now() + interval '1 hour', gate = 'zone' WHERE id = :f;
UPDATE leads SET first_name = 'Ada' WHERE id = :lead;
SELECT is(next_look_at, now() + interval '1 hour', 'a new name changes nothing') FROM follow_ups WHERE id = :f;
UPDATE leads SET time_zone = 'America/Chicago' WHERE id = :lead;
SELECT is(next_look_at, now(), 'a lead that changed: its held follow-ups are looked at') FROM follow_ups WHERE id = :f;
UPDATE follow_ups SET due_at = now() + interval '2 hours' WHERE id = :f;
SELECT is(next_look_at, due_at, 'a new time is the next look') FROM follow_ups WHERE id = :f;
UPDATE leads SET paused = true WHERE id = :lead;
SELECT is(next_look_at, due_at, 'it is not looked at before it is due') FROM follow_ups WHERE id = :f;

SELECT * FROM finish();
ROLLBACK;
