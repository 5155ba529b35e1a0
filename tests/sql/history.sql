-- SPDX-License-Identifier: Apache-2.0
-- The history of calls: what it shows of the ledger and of the queue, in which order, by which filters, and from which indexes; and
-- what an operator decides of one call.
BEGIN;
\ir lib/fixture.psql
\set file producer/api/sql/calls_list.sql
\ir lib/prepare.psql
\set file producer/api/sql/calls_export.sql
\ir lib/prepare.psql
\set file producer/api/sql/call_get.sql
\ir lib/prepare.psql
\set file producer/api/sql/call_cancel.sql
\ir lib/prepare.psql
\set file producer/api/sql/call_hang_up.sql
\ir lib/prepare.psql
\set file consumer/sql/claim_jobs.sql
\ir lib/prepare.psql
\set file consumer/sql/due_checks.sql
\ir lib/prepare.psql
\set file consumer/sql/hang_ups.sql
\ir lib/prepare.psql
SELECT plan(92);

SELECT fx.lane('one') AS one, fx.lane('two') AS two \gset
UPDATE lanes SET account_id = fx.account('fx-two') WHERE id = :two;
INSERT INTO campaigns (tenant_id, lane_id, name) VALUES ('fx', :two, 'Spring, "again"') RETURNING id AS campaign \gset

CREATE FUNCTION fx.ask(command text) RETURNS record LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	SET LOCAL ROLE carillon_producer;
	EXECUTE 'EXECUTE ' || command INTO r;
	RESET ROLE;
	RETURN r;
END $$;
-- Ids of a page, in its order, and where it goes on. Filters by name; `most` and `after` too.
CREATE FUNCTION fx.page(given jsonb DEFAULT '{}') RETURNS TABLE (ids text[], next text, body jsonb) LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	r := fx.ask(format('calls_list(%L, %L, %L, %L, %L, %L, %L, %L)', given ->> 'campaign', given ->> 'status', given ->> 'from', given ->> 'to',
		given ->> 'q', given ->> 'lead_id', coalesce(given ->> 'most', '1000'), given ->> 'after'));
	ids := ARRAY(SELECT c ->> 'id' FROM jsonb_array_elements(r.body -> 'calls') WITH ORDINALITY x (c, n) ORDER BY n);
	next := r.body ->> 'next';
	body := r.body;
	RETURN NEXT;
END $$;
CREATE FUNCTION fx.ids(given jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
	SELECT array_to_string(ids, ' ') FROM fx.page(given)
$$;
-- The names that this test gave to calls and follow-ups.
CREATE TABLE fx.named (id text PRIMARY KEY, name text);
CREATE FUNCTION fx.names(given jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(coalesce(m.name, p.id), ' ' ORDER BY p.n), '') FROM fx.page(given) g CROSS JOIN unnest(g.ids) WITH ORDINALITY p (id, n)
	LEFT JOIN fx.named m ON m.id = p.id
$$;
CREATE FUNCTION fx.answer(command text) RETURNS text LANGUAGE sql AS $$
	SELECT status || coalesce(' ' || (body ->> 'detail'), ' ' || (body ->> 'status'), '') FROM fx.ask(command) r (status integer, body jsonb)
$$;

-- A call of each state, one an hour, the last one the youngest; then what is in the queue alone.
CREATE FUNCTION fx.aged(job uuid, the_name text, age interval) RETURNS void LANGUAGE sql AS $$
	UPDATE carillon.calls SET claimed_at = now() - age WHERE job_id = job;
	UPDATE carillon.ended_calls SET at = now() - age WHERE job_id = job;
	INSERT INTO fx.named VALUES (job::text, the_name);
$$;
SELECT fx.aged(fx.call(:one, s, 'p-' || s), s, n * interval '1 hour')
FROM unnest('{completed,failed,rejected,not_dialed,dialing,unknown,undetermined,calling,ringing,in_progress}'::text[]) WITH ORDINALITY x (s, n) \g /dev/null
SELECT fx.aged(fx.call(:two, 'completed', 'c-1', 'campaign'), 'campaign', interval '90 minutes') \g /dev/null
-- Refused for good: its follow-up has failed.
SELECT fx.call(:two, 'dialing', NULL, 'campaign') AS job \gset
UPDATE calls SET status = 'rejected', refusal = 'number', error = 'no such number' WHERE job_id = :'job';
DELETE FROM live WHERE job_id = :'job';
UPDATE follow_ups SET status = 'failed', reason = 'number' WHERE job_id = :'job';
SELECT fx.aged(:'job', 'refused', interval '30 minutes') \g /dev/null
-- What was put back has a follow-up that waits, with its job's id; those of this test are put aside.
UPDATE follow_ups SET status = 'completed', next_look_at = NULL WHERE status IN ('pending', 'queued');

CREATE FUNCTION fx.waits(the_lane bigint, the_name text, age interval) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	f bigint := fx.follow_up(fx.lead(), the_lane, interval '-1 day');
BEGIN
	UPDATE carillon.follow_ups SET created_at = now() - age, kind = CASE WHEN EXISTS (SELECT FROM carillon.campaigns k WHERE k.lane_id = the_lane) THEN 'campaign' ELSE kind END
	WHERE id = f;
	INSERT INTO fx.named VALUES ('s' || f, the_name);
	RETURN f;
END $$;
SELECT fx.waits(:one, 'pending', '15 minutes') AS pending, fx.waits(:two, 'held', '150 minutes') AS held, fx.waits(:one, 'queued', '20 minutes') AS queued,
	fx.waits(:one, 'cancelled', '40 minutes') AS cancelled, fx.waits(:two, 'skipped', '50 minutes') AS skipped \gset
UPDATE follow_ups SET gate = 'lead_window', last_error = 'HTTP 500' WHERE id = :held;
UPDATE follow_ups SET next_look_at = NULL WHERE id = :queued;
SELECT fx.queued(:queued) AS queued_job \gset
UPDATE follow_ups SET next_look_at = NULL, status = 'cancelled', reason = 'campaign_stopped' WHERE id = :cancelled;
UPDATE follow_ups SET next_look_at = NULL, status = 'skipped', reason = 'suppressed' WHERE id = :skipped;

-- ---- Words ------------------------------------------------------------------------------------------------------------

SELECT is(fx.names(), 'pending queued refused cancelled skipped completed campaign failed held dialing unknown undetermined calling ringing in_progress',
	'one list, the youngest first; what was put back is shown as what it is again');
SELECT is(fx.names(jsonb_build_object('status', word)), shown, 'status ' || word) FROM (VALUES
	('scheduled', 'pending queued held'), ('calling', 'dialing calling ringing'), ('in_progress', 'in_progress'), ('completed', 'completed campaign'),
	('failed', 'refused failed'), ('cancelled', 'cancelled skipped'), ('unknown', 'unknown'), ('undetermined', 'undetermined'), ('dialing', 'dialing'),
	('ringing', 'ringing'), ('rejected', 'refused rejected'), ('not_dialed', 'not_dialed')) v (word, shown);

SELECT results_eq(format($$SELECT m.name, c ->> 'status', c ->> 'message' FROM fx.page() p CROSS JOIN jsonb_array_elements(p.body -> 'calls') c
	JOIN fx.named m ON m.id = c ->> 'id' WHERE m.name NOT IN ('dialing', 'unknown', 'undetermined', 'calling', 'ringing', 'campaign') ORDER BY 1$$), $$VALUES
	('cancelled', 'cancelled', 'Called off: its campaign was stopped.'), ('completed', 'completed', 'Over.'), ('failed', 'failed', 'Over.'),
	('held', 'scheduled', 'Held: outside the hours in one of the lead''s possible zones; the last try: HTTP 500.'),
	('in_progress', 'in_progress', 'It was answered.'), ('pending', 'scheduled', 'Waits for its time.'), ('queued', 'scheduled', 'On its way to be dialed.'),
	('refused', 'failed', 'Refused by the provider for good: no such number.'), ('skipped', 'cancelled', 'Not dialed: on the do-not-call list.')$$,
	'each says in a sentence how it stands');
SELECT is((SELECT jsonb_object_agg(key, NULL) FROM jsonb_each((SELECT call_record(c) FROM calls c LIMIT 1))),
	(SELECT jsonb_object_agg(key, NULL) FROM jsonb_each((SELECT scheduled_record(f) FROM follow_ups f WHERE f.id = :pending))), 'both kinds have the same members');
SELECT is((SELECT string_agg(c ->> 'id', ' ') FROM fx.page() p CROSS JOIN jsonb_array_elements(p.body -> 'calls') c WHERE NOT c ?& '{status,message,timestamp,scheduledTime,contactId,campaignId}'), NULL,
	'the guide''s members are there');

-- Its gates are those of common/tbl.
CREATE TEMP TABLE gate (name text, text text);
\set rows `cd :'root'/common/tbl && sed -n "s/^TABLE_ROW([A-Z_]*, \"\([a-z_]*\)\", [01], \"\(.*\)\")$/\1|\2/p" gate.h`
INSERT INTO gate SELECT split_part(line, '|', 1), split_part(line, '|', 2) FROM string_to_table(:'rows', E'\n') line;
SELECT is_empty($$SELECT name, text, gate_message(name) FROM gate WHERE name NOT IN ('follow_up', 'due') AND gate_message(name) IS DISTINCT FROM text$$, 'gates are told in the words of gate.h');
SELECT cmp_ok(count(*), '>', 20::bigint, 'which were read') FROM gate;
\set rows `cd :'root'/common/tbl && sed -n "s/^TABLE_ROW([A-Z_]*, \"\([a-z_]*\)\".*/\1/p" hang_up.h`
SELECT bag_eq($$SELECT p FROM unnest('{omni,vapi,bland,convoso,twilio}'::text[]) p WHERE provider_hangs_up(p)$$, format('SELECT string_to_table(%L, E''\n'')', :'rows'),
	'providers that end a call are those of hang_up.h');
\set rows `cd :'root'/common/tbl && sed -n "s/^TABLE_ROW([A-Z_]*, \"\([a-z_]*\)\".*/\1/p" call_off.h`
SELECT bag_eq($$SELECT p FROM unnest('{omni,vapi,bland,convoso,twilio}'::text[]) p WHERE provider_calls_off(p)$$, format('SELECT string_to_table(%L, E''\n'')', :'rows'),
	'those that keep calls waiting are those of call_off.h');

-- ---- Filters ------------------------------------------------------------------------------------------------------------

SELECT is(fx.names(jsonb_build_object('campaign', :campaign)), 'refused skipped campaign held', 'a campaign''s');
SELECT is(fx.names(jsonb_build_object('campaign', :campaign, 'status', 'scheduled')), 'held', 'with a status');
SELECT is(fx.names('{"campaign": "999999"}'), '', 'of a campaign that there is not');
SELECT is(fx.names(jsonb_build_object('from', iso_utc(now() - interval '100 minutes'), 'to', iso_utc(now() - interval '30 minutes'))),
	'cancelled skipped completed campaign', 'from and up to, which is not in it');
SELECT is(fx.names(jsonb_build_object('from', to_char(now() AT TIME ZONE 'UTC' - interval '2 days', 'YYYY-MM-DD'), 'to', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD'))), fx.names(), 'days are whole, the last one too');
SELECT is(fx.names(jsonb_build_object('to', to_char(now() AT TIME ZONE 'UTC' - interval '2 days', 'YYYY-MM-DD'))), '', 'and others are not');

SELECT lead_id AS lead FROM calls WHERE job_id = :'job' \gset
UPDATE leads SET first_name = 'Ann-Sophie', last_name = 'O''100%_x' WHERE id = :lead;
SELECT fx.follow_up(:lead, :one, '-1 day') AS more \gset
INSERT INTO fx.named VALUES ('s' || :more, 'more');
SELECT is(fx.names(jsonb_build_object('lead_id', :lead)), 'more refused', 'all of a contact, the queue''s too');
SELECT is(fx.names(jsonb_build_object('lead_id', :lead, 'status', 'failed')), 'refused', 'with a status');
SELECT is(fx.names(jsonb_build_object('q', q)), shown, 'q ' || q) FROM (VALUES ('sophie', 'more refused'), ('SOPH', 'more refused'), ('ie o', 'more refused'), ('100%_', 'more refused'),
	('0%_', 'more refused'), ('1%_', ''), ('0_', ''), ('zzz', '')) v (q, shown);
SELECT phone AS number FROM calls WHERE job_id = :'job' \gset
SELECT is(fx.names(jsonb_build_object('q', q)), 'more refused', 'its number: ' || q)
FROM unnest(ARRAY[:'number', substr(:'number', 2), '(' || substr(:'number', 3, 3) || ') ' || substr(:'number', 6, 3) || '-' || substr(:'number', 9), substr(:'number', 7)]) q;
SELECT is(fx.names(jsonb_build_object('q', 'sophie', 'campaign', :campaign)), 'refused', 'a name and a campaign');

-- A search that fits more than it looks up, and few of the youngest: the page is short and says where it goes on.
INSERT INTO leads (tenant_id, first_name, last_name, auto_follow_up) SELECT 'fx', 'Common', 'Name ' || i, false FROM generate_series(1, 3100) i;
WITH made AS (
	INSERT INTO follow_ups (tenant_id, lead_id, lane_id, due_at, created_at)
	SELECT 'fx', CASE WHEN i % 1000 = 0 THEN (SELECT max(id) FROM leads) ELSE :lead END, :one, now() + interval '1 day', now() - interval '10 days' - i * interval '1 second'
	FROM generate_series(1, 6000) i RETURNING id, created_at)
SELECT count(*) FROM made \g /dev/null
SELECT is(cardinality(ids), 4, 'a search reads on for a while') FROM fx.page('{"q": "common n"}');
SELECT isnt(next, NULL, 'and no longer') FROM fx.page('{"q": "common n"}');
SELECT is(cardinality(o.ids), 2, 'the rest is what comes after') FROM fx.page('{"q": "common n"}') p CROSS JOIN fx.page(jsonb_build_object('q', 'common n', 'after', p.next)) o;
DELETE FROM follow_ups WHERE created_at < now() - interval '9 days';

-- ---- Pages ----------------------------------------------------------------------------------------------------------------

CREATE FUNCTION fx.walk(given jsonb, most integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	all_ids text[] := '{}';
	p record;
	after text;
BEGIN
	FOR i IN 1..100 LOOP
		SELECT * INTO p FROM fx.page(given || jsonb_build_object('most', most, 'after', after));
		all_ids := all_ids || p.ids;
		after := p.next;
		EXIT WHEN after IS NULL;
	END LOOP;
	RETURN array_to_string(all_ids, ' ');
END $$;
-- Many of one moment, calls and follow-ups.
SELECT fx.aged(fx.call(CASE WHEN i % 2 = 0 THEN :one ELSE :two END, CASE WHEN i % 3 = 0 THEN 'failed' ELSE 'completed' END, 'same-' || i), 'same-' || i, '3 days') FROM generate_series(1, 12) i \g /dev/null
UPDATE follow_ups SET status = 'completed', next_look_at = NULL WHERE status IN ('pending', 'queued') AND created_at = now();
SELECT fx.waits(CASE WHEN i % 2 = 0 THEN :one ELSE :two END, 'also-' || i, '3 days') FROM generate_series(1, 12) i \g /dev/null
SELECT is(fx.walk(f, n), fx.ids(f), format('pages of %s, %s: nothing twice, nothing left out', n, f))
FROM unnest('{1,2,5,7}'::integer[]) n CROSS JOIN unnest(ARRAY['{}', '{"status": "completed"}', '{"status": "scheduled"}']::jsonb[]) f;
SELECT fx.page('{"most": 5}') AS page, (fx.page('{"most": 5}')).next AS next \gset
SELECT fx.aged(fx.call(:one, 'completed', 'later'), 'later', '0') \g /dev/null
SELECT is(fx.ids(jsonb_build_object('after', :'next', 'most', 5)), (SELECT array_to_string(ids[7:11], ' ') FROM fx.page()), 'what is added meanwhile moves nothing');

SELECT is((SELECT count(*) FROM fx.ask(format('calls_list(%L, NULL, NULL, NULL, NULL, NULL, NULL, %L)', 'x', 'y')) r (status integer, body jsonb) WHERE status = 422 AND jsonb_array_length(body -> 'errors') = 2), 1::bigint,
	'all that is wrong is told');

-- A call that is taken up again, and one that ends otherwise, are in the list once.
SELECT fx.call(:one, 'not_dialed') AS again \gset
UPDATE calls SET status = 'calling' WHERE job_id = :'again';
INSERT INTO live (job_id, tenant_id, phone, lane_id, account_id, follow_up_id, state, lease_until, next_check_at)
SELECT job_id, tenant_id, phone, lane_id, account_id, follow_up_id, 'calling', now(), now() FROM calls WHERE job_id = :'again';
SELECT is((SELECT count(*) FROM ended_calls WHERE job_id = :'again'), 0::bigint, 'a call that goes on after all has not ended');
UPDATE calls SET status = 'failed' WHERE job_id = :'again';
UPDATE calls SET status = 'completed' WHERE job_id = :'again';
SELECT is((SELECT string_agg(status, ' ') FROM ended_calls WHERE job_id = :'again'), 'completed', 'and ends as it ended last');

-- ---- CSV ------------------------------------------------------------------------------------------------------------------

SELECT is(csv_cell(given), cell, format('a cell of %s', given)) FROM (VALUES ('=1+1', '''=1+1'), ('+1-2', '''+1-2'), ('-2', '''-2'), ('@SUM(A1)', '''@SUM(A1)'), (E'\t=1', E'''\t=1'),
	('+12125550101', '+12125550101'), ('a,b', '"a,b"'), ('say "x"', '"say ""x"""'), (NULL, ''), (E'two\nlines', E'"two\nlines"')) v (given, cell);
SELECT is((SELECT (regexp_split_to_array(body, E'\r\n'))[2] LIKE '%,"Spring, ""again""",%' FROM fx.ask(format('calls_export(%L, %L, NULL, NULL, NULL, NULL, NULL, NULL, NULL)', :campaign, 'failed')) r (status integer, body text, more text)), true, 'a row');

-- ---- Decisions ----------------------------------------------------------------------------------------------------------------

SELECT is(fx.answer(format('call_cancel(%L)', 's' || :queued)), '200 cancelled', 'a scheduled call is called off, its job in Kafka or not');
SELECT is(fx.state(:queued), 'cancelled because of operator', 'by its follow-up');
SET LOCAL ROLE carillon_consumer;
PREPARE claim_of AS SELECT 1;
DEALLOCATE claim_of;
CREATE TEMP TABLE claimed ON COMMIT DROP AS EXECUTE claim_jobs(ARRAY[:'queued_job']::uuid[], ARRAY[:queued]::bigint[], 'worker/1', 60, 60, '{fx-one}', '{f}', false);
RESET ROLE;
SELECT is((SELECT verdict FROM claimed), 'not_ours', 'no dispatcher gets it');
SELECT is(fx.answer(format('call_cancel(%L)', 's' || :queued)), '200 cancelled', 'again it changes nothing');
SELECT is(fx.answer(format('call_cancel(%L)', id)), '409 ' || detail, 'not called off: ' || name)
FROM fx.named JOIN (VALUES ('completed', 'the call is over'), ('calling', 'the call is being dialed or goes on: POST .../hangup ends one where its provider can'),
	('skipped', 'it is not scheduled any more: its follow-up is skipped')) v (the_name, detail) ON the_name = name;
SELECT is(fx.answer('call_cancel(''s99999999'')'), '404 no such call', 'no such call');

SELECT is(fx.answer(format('call_hang_up(%L)', id)), answer, 'hung up: ' || name)
FROM fx.named JOIN (VALUES ('completed', '409 the call is over'), ('calling', '409 omni can''t end a call: it ends by itself'),
	('pending', '409 the call is not dialed yet: POST .../cancel calls it off')) v (the_name, answer) ON the_name = name;
SELECT fx.call(:two, 'in_progress', 'vapi-1') AS talk \gset
SELECT is(fx.answer(format('call_hang_up(%L)', :'talk')), '202 in_progress', 'a live one is, by its provider');
SELECT is(fx.answer(format('call_hang_up(%L)', :'talk')), '202 in_progress', 'once more');
SELECT is((SELECT string_agg(reason, ' ') FROM transitions WHERE entity_id = :'talk'), 'hang_up', 'is the same wish');
SET LOCAL ROLE carillon_consumer;
CREATE TEMP TABLE due ON COMMIT DROP AS EXECUTE due_checks(10, 60, 'worker/1', '{}');
EXECUTE hang_ups(ARRAY[:'talk']::uuid[], '{hang_up}', '{failed}', '{no answer}', 2);
RESET ROLE;
SELECT is((SELECT hang_up FROM due WHERE job_id = :'talk'), true, 'the reconciler is told at once');
SELECT is((SELECT hang_up_tries || ' ' || (hang_up_at IS NOT NULL) FROM live WHERE job_id = :'talk'), '1 true', 'a try that failed is repeated');
SET LOCAL ROLE carillon_consumer;
EXECUTE hang_ups(ARRAY[:'talk']::uuid[], '{hang_up}', '{failed}', '{no answer}', 2);
RESET ROLE;
SELECT is((SELECT hang_up_at FROM live WHERE job_id = :'talk'), NULL, 'so often');
SELECT is((SELECT string_agg(concat_ws('/', t ->> 'what', t ->> 'detail'), ' ' ORDER BY n) FROM fx.ask(format('call_get(%L)', :'talk')) r (status integer, body jsonb),
	jsonb_array_elements(body -> 'timeline') WITH ORDINALITY x (t, n) WHERE t ->> 'what' LIKE 'call %'),
	'call in_progress/hang_up call in_progress/hang_up_failed: no answer; tried again call in_progress/hang_up_failed: no answer', 'the call''s timeline tells of it');
SELECT is(fx.answer(format('call_get(%L)', 's' || :pending)), '200 scheduled', 'a scheduled call has its page too');
SELECT is(fx.answer('call_get(''s99999999'')'), '404 no such call', 'one that is none has not');

-- ---- Indexes --------------------------------------------------------------------------------------------------------------------

-- Nothing reads a large table through, whatever the planner believes of its size.
SET LOCAL enable_seqscan = off;   -- as the processes' connections have it (common/pg_connect.c)
CREATE FUNCTION fx.reads() RETURNS bigint LANGUAGE sql AS $$
	SELECT sum(pg_stat_get_xact_numscans(c.oid))::bigint FROM pg_class c WHERE c.relname IN ('calls', 'follow_ups', 'leads', 'ended_calls') AND c.relkind = 'r'
$$;
SELECT fx.reads() AS before \gset
SELECT fx.ids(jsonb_build_object('q', 'sophie')), fx.ids(), fx.ids(jsonb_build_object('lead_id', :lead)), fx.ids(jsonb_build_object('campaign', :campaign, 'status', 'failed')) \g /dev/null
SELECT is(fx.reads() - :before, 0::bigint, 'no table of calls, follow-ups or leads is read through');

SELECT * FROM finish();
ROLLBACK;
