-- SPDX-License-Identifier: Apache-2.0
-- The sources: which leads and redial records get a follow-up, once, and what frees them; rows that people insert themselves.
BEGIN;
\ir lib/fixture.psql
\set file producer/sql/seed_leads.sql
\ir lib/prepare.psql
\set file producer/sql/seed_redial.sql
\ir lib/prepare.psql
\set file producer/sql/lift_suppressions.sql
\ir lib/prepare.psql
SELECT plan(48);

SELECT fx.lane('follow_ups') AS lane, fx.lane('redial') AS redial \gset

-- A lead as the lead source looks for; the changes are columns of it.
CREATE FUNCTION fx.seedable(change text DEFAULT 'seeded_at = NULL') RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	lead bigint := fx.lead();
BEGIN
	UPDATE carillon.leads SET auto_follow_up = true WHERE id = lead;
	EXECUTE format('UPDATE carillon.leads SET %s WHERE id = %s', change, lead);
	RETURN lead;
END $$;

CREATE FUNCTION fx.follow_ups_of(lead bigint) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM carillon.follow_ups WHERE lead_id = lead
$$;

-- Other leads are out of the way.
UPDATE leads SET seeded_at = now() WHERE tenant_id <> 'fx';

-- ---- Who is seeded ------------------------------------------------------------------------------------------------

CREATE TEMP TABLE cases AS
SELECT fx.seedable(change) AS lead, expected, what
FROM (VALUES
	('stage = ''new''', 1, 'a new lead'), ('stage = ''contacted''', 1, 'a contacted one without a call'),
	('stage = ''visit_scheduled''', 1, 'one with a visit'), ('stage = ''closed''', 0, 'no closed one'),
	('stage = ''lost''', 0, 'no lost one'), ('stage = ''nurturing''', 0, 'no other stage'),
	('call_date = now()', 0, 'none that was called'), ('phone = NULL', 0, 'none without a phone'),
	('seeded_at = now()', 0, 'none that was looked at'),
	('phone = ''call me''', 1, 'one whose phone is none: skipped later, with its reason'),
	('paused = true', 1, 'a paused one: held')) v (change, expected, what);
INSERT INTO cases SELECT fx.lead(), 0, 'none that must not be followed up';

EXECUTE seed_leads(1000) \gset first_
SELECT is(fx.follow_ups_of(lead), expected::bigint, 'seed_leads: ' || what) FROM cases;
SELECT is(:first_seeded, (SELECT sum(expected)::integer FROM cases), 'seed_leads tells how many');
SELECT results_eq($$SELECT DISTINCT tenant_id, kind, lane_id, source, occurrence, status, priority::integer, due_at = now(), next_look_at = now()
	FROM follow_ups f JOIN cases c ON c.lead = f.lead_id AND f.source_id = c.lead::text$$,
	format('VALUES (''fx'', ''follow_up'', %s::bigint, ''lead'', ''0'', ''pending'', 0, true, true)', :lane), 'a seeded follow-up is due at once');
EXECUTE seed_leads(1000) \gset second_
SELECT is(:second_seeded + :second_looked, 0, 'a second pass finds nothing to look at');

-- ---- What blocks, what frees ----------------------------------------------------------------------------------------

CREATE TEMP TABLE blocks AS
SELECT fx.seedable() AS lead, status, expected
FROM (VALUES ('pending', 1), ('queued', 1), ('dialing', 1), ('completed', 1), ('undetermined', 1), ('failed', 1), ('cancelled', 1),
	('skipped', 2)) v (status, expected);
INSERT INTO follow_ups (tenant_id, lead_id, lane_id, status, source, source_id, occurrence)
SELECT 'fx', lead, :lane, status, 'lead', lead::text, '0' FROM blocks;
EXECUTE seed_leads(1000) \gset third_
SELECT is(fx.follow_ups_of(lead), expected::bigint,
	format('a %s follow-up %s', status, CASE expected WHEN 1 THEN 'blocks another' ELSE 'makes room for another' END)) FROM blocks;
SELECT is(occurrence, '1', 'and that one is the next occurrence') FROM follow_ups JOIN blocks ON lead = lead_id
WHERE blocks.status = 'skipped' AND follow_ups.status = 'pending';

SELECT lead AS skipped FROM blocks WHERE status = 'skipped' \gset
UPDATE follow_ups SET status = 'skipped', reason = 'stage' WHERE lead_id = :skipped;
EXECUTE seed_leads(1000) \gset fourth_
SELECT is(fx.follow_ups_of(:skipped), 2::bigint, 'a skipped one is not made again as long as the lead stays as it is');
UPDATE leads SET stage = 'lost' WHERE id = :skipped;
UPDATE leads SET stage = 'contacted' WHERE id = :skipped;
EXECUTE seed_leads(1000) \gset fifth_
SELECT is(fx.follow_ups_of(:skipped), 3::bigint, 'a lead that is open again is looked at again');

SELECT fx.seedable() AS a, fx.seedable() AS b, fx.seedable() AS c \gset
EXECUTE seed_leads(2) \gset sixth_
SELECT is(:sixth_looked, 2, 'seed_leads looks at no more than the limit');
INSERT INTO leads (tenant_id, phone) VALUES ('other', fx.phone()) RETURNING id AS another \gset
EXECUTE seed_leads(1000) \gset seventh_
SELECT is(fx.follow_ups_of(:another), 1::bigint, 'a new tenant has the lane from the start');

SELECT fx.seedable() AS silenced \gset
EXECUTE seed_leads(1000) \gset silenced_
UPDATE follow_ups SET status = 'skipped', reason = 'suppressed' WHERE lead_id = :silenced;
INSERT INTO suppressions (tenant_id, phone, expires_at) SELECT 'fx', phone_e164, now() FROM leads WHERE id = :silenced;
INSERT INTO suppressions (tenant_id, phone, expires_at) SELECT 'fx', phone_e164, now() + interval '1 s' FROM leads WHERE id = :a;
INSERT INTO suppressions (tenant_id, phone) SELECT 'fx', phone_e164 FROM leads WHERE id = :b;
SET LOCAL ROLE carillon_producer;
EXECUTE lift_suppressions(1000) \gset
RESET ROLE;
SELECT is(:lifted, 1, 'lift_suppressions: those whose time is over');
EXECUTE seed_leads(1000) \gset lifted_
SELECT is(fx.follow_ups_of(:silenced), 2::bigint, 'a lead that was skipped for it is looked at again');

-- ---- Redial ------------------------------------------------------------------------------------------------------------

CREATE TEMP TABLE records AS
SELECT fx.lead() AS lead, * FROM (VALUES
	('pending', interval '-1 second', true, 1, 'a record whose time has come'), ('pending', '0', true, 1, 'at that very time'),
	('pending', '1 second', true, 0, 'not before'), ('rescheduled', '-1 second', true, 1, 'an agreed callback'),
	('completed', '-1 second', true, 0, 'not a completed one'), ('max_attempts', '-1 second', true, 0, 'not after the last attempt'),
	('paused', '-1 second', true, 0, 'not a paused one'), ('pending', '-1 second', false, 0, 'not one without a lead of ours'))
	v (status, wait, linked, expected, what);
INSERT INTO redial_queue (tenant_id, lead_id, phone_number, lead_ref, attempts, next_redial_timestamp, status)
SELECT 'fx', lead::text, fx.phone(), CASE WHEN linked THEN lead END, 1, now() + wait, status FROM records;

UPDATE settings SET value = value || '{"running": false}' WHERE key = 'redial';
EXECUTE seed_redial(1000) \gset stopped_
SELECT is(:stopped_seeded, 0, 'seed_redial: nothing while the processor stands still');
UPDATE settings SET value = value || '{"running": true, "enabled": false}' WHERE key = 'redial';
EXECUTE seed_redial(1000) \gset disabled_
SELECT is(:disabled_seeded, 0, 'seed_redial: nothing while it is disabled');
UPDATE settings SET value = value || '{"enabled": true}' WHERE key = 'redial';
EXECUTE seed_redial(2) \gset limited_
SELECT is(:limited_seeded, 2, 'seed_redial makes no more than the limit');
EXECUTE seed_redial(1000) \gset rest_
SELECT is(fx.follow_ups_of(lead), expected::bigint, 'seed_redial: ' || what) FROM records;
SELECT results_eq($$SELECT DISTINCT f.tenant_id, f.kind, f.lane_id, f.source, f.source_id = q.id::text,
	f.occurrence = '1:' || to_ms(q.next_redial_timestamp), f.due_at = q.next_redial_timestamp
	FROM follow_ups f JOIN redial_queue q ON q.lead_ref = f.lead_id JOIN records r ON r.lead = f.lead_id$$,
	format('VALUES (''fx'', ''redial'', %s::bigint, ''redial'', true, true, true)', :redial), 'a redial is due at the record''s time');
EXECUTE seed_redial(1000) \gset again_
SELECT is(:again_seeded, 0, 'one dial of a record has one follow-up');
SELECT lead AS redialed FROM records WHERE expected = 1 LIMIT 1 \gset
UPDATE redial_queue SET attempts = 2, next_redial_timestamp = now() - interval '1 ms' WHERE lead_ref = :redialed;
EXECUTE seed_redial(1000) \gset next_
SELECT is(fx.follow_ups_of(:redialed), 1::bigint, 'the next dial waits for the one before it');
UPDATE follow_ups SET status = 'completed' WHERE lead_id = :redialed;
EXECUTE seed_redial(1000) \gset next_
SELECT is(fx.follow_ups_of(:redialed), 2::bigint, 'the next dial has its own');
UPDATE follow_ups SET status = 'completed' WHERE lead_id = :redialed;
UPDATE redial_queue SET attempts = 3 WHERE lead_ref = :redialed;
EXECUTE seed_redial(1000) \gset late_
SELECT is(fx.follow_ups_of(:redialed), 2::bigint, 'a dial that is only counted late makes no other');

-- ---- Rows that people insert ----------------------------------------------------------------------------------------------

INSERT INTO follow_ups (lead_id, due_at, status) VALUES (:a, '2026-06-17 15:00Z', 'pending') RETURNING id AS plain \gset
SELECT results_eq(format('SELECT tenant_id, lane_id, kind, source, source_id = id::text, next_look_at = due_at FROM follow_ups WHERE id = %s', :plain),
	format('VALUES (''fx'', %s::bigint, ''follow_up'', ''sql'', true, true)', :lane), 'INSERT INTO follow_ups (lead_id, due_at, status) is enough');
INSERT INTO follow_ups (lead_id, kind) VALUES (:a, 'redial') RETURNING id AS by_kind \gset
SELECT is(lane_id, :redial::bigint, 'the kind tells the lane') FROM follow_ups WHERE id = :by_kind;

SELECT * FROM finish();
ROLLBACK;
