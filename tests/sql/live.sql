-- SPDX-License-Identifier: Apache-2.0
-- What the page shows as it happens: figures, series, a campaign's next windows; and what a tenant gets of it.
BEGIN;
\ir lib/fixture.psql
SELECT plan(29);

-- ---- Figures --------------------------------------------------------------------------------------------------------

CREATE FUNCTION fx.figures(VARIADIC names text[]) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(coalesce((SELECT live_figures() ->> n), '-'), ' ' ORDER BY i) FROM unnest(names) WITH ORDINALITY x (n, i)
$$;
-- Of all that others left in this database nothing is counted.
SELECT bind_tenant('fx') \gset _
SELECT is(fx.figures('waiting', 'due', 'oldestDueSeconds', 'dialing', 'live', 'undetermined', 'doneToday', 'successRateToday', 'stopped'),
	'0 0 - 0 0 0 0 - false', 'nothing is there');
RESET ROLE;
SELECT set_config('carillon.tenant', '', true) \gset _
SELECT fx.lane('open') AS lane, fx.lane('shut') AS shut \gset
UPDATE lanes SET active = false WHERE id = :shut;
SELECT fx.follow_up(fx.lead(), :lane, interval '3 minutes') AS old \gset
SELECT fx.follow_up(fx.lead(), :lane, interval '1 minute', 2), fx.follow_up(fx.lead(), :lane, interval '-1 hour'), fx.follow_up(fx.lead(), :shut, interval '1 hour') \gset _
SELECT fx.call(:lane, s) FROM unnest('{dialing,ringing,unknown,in_progress,undetermined}'::text[]) s \g /dev/null
-- What is over, dialed today: two of four succeeded, one by an outcome that is a rule's and one by its provider's word.
SELECT fx.call(:lane, 'completed', 'p-' || n) AS job FROM generate_series(1, 4) n \g /dev/null
UPDATE calls SET outcome = CASE provider_call_id WHEN 'p-1' THEN 'SALE' ELSE 'HUMAN' END, success = provider_call_id = 'p-2',
	posted_at = greatest(posted_at, live_day()) WHERE provider_call_id LIKE 'p-%';
SELECT fx.call(:lane, 'failed', 'f-1'), fx.call(:lane, 'rejected', 'r-1'), fx.call(:lane, 'completed', 'o-1') \gset _
UPDATE calls SET kind = 'outside' WHERE provider_call_id = 'o-1';
UPDATE calls SET posted_at = live_day() - interval '1 second' WHERE provider_call_id = 'f-1';
SELECT bind_tenant('fx') \gset _
SELECT is(fx.figures('waiting', 'due', 'oldestDueSeconds'), '5 3 180', 'what waits, and of open lanes what is due');
SELECT is(fx.figures('dialing', 'live', 'undetermined'), '3 1 1', 'what is live, by its states');
SELECT is(fx.figures('doneToday', 'successRateToday'), '4 0.5000', 'what was dialed today and is over; not what was refused, nor others'' calls');
SELECT is(live_figures() #>> '{breakers,0,account}', 'fx-one', 'its own accounts');
RESET ROLE;
SELECT set_config('carillon.tenant', '', true) \gset _
SELECT is((SELECT array_agg(b ->> 'state') FROM jsonb_array_elements(live_figures() -> 'breakers') b WHERE b ->> 'account' LIKE 'fx-%'), '{closed,closed}', 'no breaker is open');
UPDATE accounts SET breaker_until = now() + interval '1 minute', breaker_reason = '401' WHERE name = 'fx-one';
UPDATE accounts SET breaker_until = now() - interval '10 seconds' WHERE name = 'fx-two';
SELECT is((SELECT array_agg(b ->> 'state') FROM jsonb_array_elements(live_figures() -> 'breakers') b WHERE b ->> 'account' LIKE 'fx-%'), '{open,half_open}',
	'one refuses, another is tried again');
SELECT ok((live_figures() ->> 'waiting')::bigint >= 4, 'who sees all tenants sees this one''s, too');
UPDATE tenants SET stopped_at = now() WHERE id = 'other';
SELECT is(fx.figures('stopped'), 'false', 'a tenant''s stop is not everybody''s');
SELECT bind_tenant('other') \gset _
SELECT is(fx.figures('stopped', 'waiting', 'due', 'dialing', 'doneToday'), 'true 0 0 0 0', 'it is that tenant''s; and nothing of fx is shown');
RESET ROLE;
SELECT set_config('carillon.tenant', '', true) \gset _
UPDATE settings SET value = 'true' WHERE key = 'stopped';
SELECT is(fx.figures('stopped'), 'true', 'the kill switch stops all');
UPDATE settings SET value = 'false' WHERE key = 'stopped';
UPDATE settings SET value = '"another"' WHERE key = 'timeline';
SELECT is(fx.figures('stopped'), 'true', 'as does another timeline');
UPDATE settings SET value = to_jsonb(timeline()) WHERE key = 'timeline';
UPDATE settings SET value = 'true' WHERE key = 'stopped';

-- ---- The system -----------------------------------------------------------------------------------------------------

INSERT INTO dead_letters (topic, partition, "offset", reason) VALUES ('fx', 0, 1, 'no message');
DELETE FROM processes;
INSERT INTO processes (name, instance, seen_at, lag, stopped_at, stop_ms) VALUES ('consumer', 'a/1', now() - interval '2.5 seconds', '{"record": 5, "dispatch": 1}', now() - interval '1 hour', 250),
	('consumer', 'b/1', now(), '{"record": 2}', now() - interval '1 hour', 900), ('consumer', 'c/1', now() - interval '1 minute', '{"record": 100}', now() - interval '2 hours', 9000);
SELECT is(live_system() -> 'lag', '{"record": 7, "dispatch": 1}', 'messages behind, of those that live');
SELECT is(live_system() -> 'processes' -> 0, '{"name": "consumer", "instance": "a/1", "seenSecondsAgo": 2}', 'when each was heard of');
SELECT is(jsonb_array_length(live_system() -> 'processes'), 3, 'those that are silent, too');
SELECT is(live_system() -> 'missing', '["producer", "webhook"]', 'and kinds of which none runs');
SELECT is(live_system() ->> 'lastStopSeconds', NULL, 'a former stop''s time is not this one''s');
UPDATE processes SET stopped_at = (SELECT updated_at FROM settings WHERE key = 'stopped') WHERE instance = 'b/1';
SELECT is(live_system() ->> 'lastStopSeconds', NULL, 'one that dispatches has not measured it');
UPDATE processes SET stopped_at = (SELECT updated_at FROM settings WHERE key = 'stopped') WHERE instance = 'a/1';
SELECT is(live_system() ->> 'lastStopSeconds', '0.900', 'the longest that a consumer went on after it');
UPDATE settings SET value = 'false', updated_at = now() + interval '1 second' WHERE key = 'stopped';
SELECT is(live_system() ->> 'lastStopSeconds', '0.900', 'and after the start');
SELECT is((live_system() ->> 'deadLetters')::integer >= 1, true, 'dead letters');
SELECT bind_tenant('fx') \gset _
SELECT is(live_system(), '{"deadLetters": 0, "processes": [], "missing": [], "lag": {}, "lastStopSeconds": null}', 'nothing of it for a tenant');
SELECT throws_ok('SELECT FROM processes', '42501', NULL, 'nor by itself');
RESET ROLE;
SELECT set_config('carillon.tenant', '', true) \gset _

-- ---- Series ---------------------------------------------------------------------------------------------------------

SELECT bind_tenant('fx') \gset _
SELECT is((SELECT jsonb_array_length(live_series('hour') -> 't') || ' ' || jsonb_array_length(live_series('day') -> 'dispatched')), '61 289', 'an hour of minutes, a day of five');
SELECT is((SELECT sum(x::integer) FROM jsonb_array_elements_text(live_series('day') -> 'answered') x), 4::bigint, 'the calls of a day that were answered');
SELECT is((SELECT sum(x::integer) FROM jsonb_array_elements_text(live_series('day') -> 'succeeded') x), 2::bigint, 'and succeeded');
RESET ROLE;
SELECT set_config('carillon.tenant', '', true) \gset _

-- ---- A campaign's windows -------------------------------------------------------------------------------------------

SELECT is(campaign_windows(:lane, 7), jsonb_build_array(jsonb_build_object('start', iso_utc(now()), 'end', NULL)), 'without hours it is open, and does not close');
UPDATE lanes SET window_start = '22:00', window_end = '02:00', days = '{1,3}', time_zone = 'America/New_York' WHERE id = :lane;
SELECT is((SELECT array_agg(DISTINCT extract(isodow FROM ((w ->> 'end')::timestamptz AT TIME ZONE 'America/New_York'))::integer) FROM jsonb_array_elements(campaign_windows(:lane, 7)) w), '{2,4}',
	'over midnight, of its days');
UPDATE lanes SET days = '{}' WHERE id = :lane;
SELECT is(campaign_windows(:lane, 7), '[]', 'of no day, there is none');

SELECT * FROM finish();
ROLLBACK;
