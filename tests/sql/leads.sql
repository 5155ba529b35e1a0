-- SPDX-License-Identifier: Apache-2.0
-- What the API of leads, follow-ups and suppressions makes of values; the limits that explain tells; a long do-not-call list.
BEGIN;
\ir lib/fixture.psql
\set file consumer/sql/stop_feed.sql
\ir lib/prepare.psql
\set file producer/api/sql/leads_bulk.sql
\ir lib/prepare.psql
SELECT plan(93);

-- ---- Values ---------------------------------------------------------------------------------------------------------

SELECT is(iso_time(given), expected::timestamptz, coalesce(given, 'nothing') || ' as a time')
FROM (VALUES ('2026-03-01T15:00:00Z', '2026-03-01 15:00Z'), ('2026-03-01 15:00Z', '2026-03-01 15:00Z'), ('2026-03-01T15:00:00.25-05:00', '2026-03-01 20:00:00.25Z'),
	('2026-03-01T15:00:00+0530', '2026-03-01 09:30Z'), ('2026-02-29T15:00:00Z', NULL), ('2026-03-01T25:00:00Z', NULL), ('2026-03-01T15:00:00', NULL),
	('2026-03-01', NULL), ('now', NULL), ('infinity', NULL), ('', NULL), ('2026-03-01T15:00:00+24:00', NULL), ('2026-03-01T15:00:00+23:60', NULL), ('2026-03-01T15:00:00-23:59', '2026-03-02 14:59Z'),
	('2026-03-01T15:00:00.0123456789Z', '2026-03-01 15:00:00.012346Z'), ('0000-01-01T00:00:00Z', NULL), (NULL, NULL)) v (given, expected);
SELECT is(query_time('2026-03-01T15:00:00 02:00'), '2026-03-01 13:00Z', 'a blank before an offset is a plus');
SELECT is(json_id(given), expected::bigint, format('%s as an id', coalesce(given::text, 'nothing')))
FROM (VALUES ('7'::jsonb, 7), ('7.00', 7), ('"7"', 7), ('7.5', NULL), ('-1', NULL), ('true', NULL)) v (given, expected);
SELECT is(whole_numbers(given)::text, expected, format('%s with whole numbers', given))
FROM (VALUES ('{"a": 5.0, "b": "5.0", "c": 5.50}'::jsonb, '{"a": 5, "b": "5.0", "c": 5.5}'), ('{"a": [5.0, {"b": 5.0}]}', '{"a": [5.0, {"b": 5.0}]}'),
	('{"a": 123456789012345678.0}', '{"a": 123456789012345678}'), ('{}', '{}')) v (given, expected);
SELECT is(query_phones(given), expected::text[], format('"%s" as a number that is asked for', given))
FROM (VALUES ('+12125550101', '{+12125550101,+12125550101}'), (' 12125550101', '{+12125550101,+12125550101}'), ('2125550101', '{+12125550101,+2125550101}'),
	('442079460101', '{+442079460101}'), ('none', '{}'), ('', '{}')) v (given, expected);
SELECT is(query_limit(given), expected, format('%L as a page''s length', given))
FROM (VALUES (NULL, 100), ('1', 1), ('999', 999), ('1000', 1000), ('1001', NULL), ('0', NULL), ('-1', NULL), ('', NULL), ('10000000000', NULL)) v (given, expected);
SELECT is(masked(given), expected, format('%s as an answer shows it', given))
FROM (VALUES ('"+12125550101"'::jsonb, '+*********01'), ('7', '7'), ('{"phone": "2125550101"}', '{"phone": "********01"}'), ('null', NULL)) v (given, expected);

SELECT is(lead_problem(field, given) IS NOT NULL, bad, format('%s: %s is %s', field, left(given::text, 30), CASE WHEN bad THEN 'refused' ELSE 'taken' END))
FROM (VALUES ('external_id', '"A-1"'::jsonb, false), ('external_id', '17', false), ('external_id', 'null', false), ('external_id', '""', true),
	('external_id', '1.5', true), ('phone', '""', false), ('phone', '"call me"', false), ('phone', '"1.5551E+10"', true), ('phone', '"1,5551e10"', true),
	('phone', '{}', true), ('first_name', '"Ann"', false), ('first_name', '1', true), ('last_name', to_jsonb(U&'a\FFFD'::text), true),
	('state', to_jsonb(repeat('x', 201)), true), ('time_zone', '"America/New_York"', false), ('time_zone', '"Mars/Base"', true), ('time_zone', 'null', false),
	('stage', '"visit_scheduled"', false), ('stage', '"Closed"', true), ('stage', 'null', true), ('call_date', 'null', false), ('call_date', '"today"', true),
	('paused', 'true', false), ('paused', '"true"', true), ('variables', '{"a": 1}', false), ('variables', '[]', true), ('raw_payload', '{"dispatch": {}}', true),
	('raw_payload', '{"source": "x"}', false), ('tenant_id', '"other"', true), ('zones', '[]', true), ('id', '1', true), ('', '"x"', true)) v (field, given, bad);

-- ---- A lead that changes keeps what is not named ----------------------------------------------------------------------

INSERT INTO leads (external_id, first_name, phone, raw_payload) VALUES ('fx-1', 'Ann', '+12125550101', '{"dispatch": {"status": "completed"}, "a": 1}');
CREATE TEMP TABLE bulk AS EXECUTE leads_bulk('[{"external_id": "fx-1", "last_name": "Lee", "variables": {"car": "Saab"}, "raw_payload": {"a": 2}}]', '1');
SELECT results_eq('SELECT first_name, last_name, phone_e164, raw_payload FROM leads WHERE external_id = ''fx-1''',
	$$VALUES ('Ann', 'Lee', '+12125550101', '{"dispatch": {"status": "completed"}, "a": 2, "variables": {"car": "Saab"}}'::jsonb)$$, 'what a record names is set, the rest stays');

-- ---- Limits in explain --------------------------------------------------------------------------------------------------

SELECT fx.lane('limits') AS lane \gset
SELECT fx.lead() AS lead \gset
SELECT fx.follow_up(:lead, :lane) AS f \gset
CREATE FUNCTION fx.gate(the_follow_up bigint, the_gate text) RETURNS text LANGUAGE sql AS $$
	SELECT verdict || coalesce(' until ' || to_char(opens_at - now(), 'DD HH24:MI'), '') FROM carillon.gates(the_follow_up, now()) WHERE gate = the_gate
$$;
SELECT is(fx.gate(:f, 'concurrency') || fx.gate(:f, 'rate') || fx.gate(:f, 'cap'), 'passpasspass', 'without limits none holds');
UPDATE lanes SET max_concurrent = 1 WHERE id = :lane;
SELECT fx.call(:lane, 'calling') AS job \gset
SELECT is(fx.gate(:f, 'concurrency'), 'hold', 'a full lane holds');
SELECT is(fx.gate((SELECT follow_up_id FROM live WHERE job_id = :'job'), 'concurrency'), 'pass', 'but not the call that fills it');
UPDATE lanes SET max_concurrent = 0 WHERE id = :lane;
UPDATE accounts SET max_concurrent = 1 WHERE name = 'fx-one';
SELECT is(fx.gate(:f, 'concurrency'), 'hold', 'so does a full account');
UPDATE lanes SET rate_per_second = 0.01, tokens = 0, tokens_at = now() WHERE id = :lane;
SELECT is(fx.gate(:f, 'rate'), 'hold until 00 00:01', 'a spent rate holds until its next token');
UPDATE lanes SET cap_24h = 2, cap_7d = 3 WHERE id = :lane;
INSERT INTO calls (job_id, tenant_id, follow_up_id, kind, lane_id, lead_id, account_id, provider, phone, attempt, status, worker, due_at, claimed_at)
SELECT gen_random_uuid(), 'fx', :f, 'follow_up', :lane, :lead, fx.account(), 'omni', phone_e164, 1, 'completed', 'w/1', now(), now() - h * interval '1 hour'
FROM leads, unnest(ARRAY[1, 5]) h WHERE id = :lead;
SELECT is(fx.gate(:f, 'cap'), 'hold until 00 19:00', 'a cap holds until the dial that fills it is a day old');
INSERT INTO calls (job_id, tenant_id, follow_up_id, kind, lane_id, lead_id, account_id, provider, phone, attempt, status, worker, due_at, claimed_at)
SELECT gen_random_uuid(), 'fx', :f, 'follow_up', :lane, :lead, fx.account(), 'omni', phone_e164, 1, 'completed', 'w/1', now(), now() - interval '2 days'
FROM leads WHERE id = :lead;
SELECT is(fx.gate(:f, 'cap'), 'hold until 05 00:00', 'or a week');

-- ---- A page of those that hardly one fits ----------------------------------------------------------------------------------

SELECT max(id) AS m0 FROM leads \gset
INSERT INTO leads (phone, stage) SELECT '+1' || 2125550120 + n, CASE n WHEN 5 THEN 'lost' ELSE 'new' END FROM generate_series(1, 6) n;
SELECT min(id) AS m1, min(id) + 1 AS m2, min(id) + 3 AS m4, min(id) + 4 AS m5, min(id) + 5 AS m6 FROM leads WHERE id > :m0 \gset
SELECT results_eq(format('SELECT * FROM leads_page(''lost'', NULL, NULL, NULL, NULL, %s, 2, %s)', after, walk_max),
	format('SELECT %L::bigint[], %L::bigint', ids, read_to), what)
FROM (VALUES (:m0, 200000, ARRAY[:m5], NULL, 'all are looked through'), (:m0, 2, '{}', :m2, 'of too many, so many, and how far that came'),
	(:m4, 2, ARRAY[:m5], :m6, 'what was found is in the page')) v (after, walk_max, ids, read_to, what);
SELECT is(body, '{"leads": [], "next": "7"}', 'a short page has a next') FROM page_answer('leads', NULL, 10, '{}', '{}', '7');

-- ---- A long do-not-call list ----------------------------------------------------------------------------------------------

SELECT fx.call(:lane, 'dialing') AS dialing_job, fx.queued(fx.follow_up(fx.lead(), :lane)) AS queued_job \gset
SELECT phone AS dialing FROM live WHERE job_id = :'dialing_job' \gset
SELECT phone_e164 AS queued FROM leads l JOIN follow_ups f ON f.lead_id = l.id WHERE f.job_id = :'queued_job' \gset
INSERT INTO suppressions (tenant_id, phone) VALUES ('fx', :'dialing'), ('fx', :'queued'), ('fx', '+12125559999');
CREATE TEMP TABLE few AS EXECUTE stop_feed(360, '{}');
SELECT set_eq('SELECT key FROM few WHERE what = ''phone''', ARRAY[:'dialing', :'queued', '+12125559999'], 'of a few, the dispatchers are told all');
INSERT INTO suppressions (tenant_id, phone) SELECT 'fx', '+1' || 3010000000 + n FROM generate_series(1, 10000) n;
CREATE TEMP TABLE many AS EXECUTE stop_feed(360, '{}');
SELECT set_eq('SELECT key FROM many WHERE what = ''phone''', ARRAY[:'dialing', :'queued'], 'of many, those that a call could be under way to');

SELECT * FROM finish();
ROLLBACK;
