-- SPDX-License-Identifier: Apache-2.0
-- The audit: which slice is next, what of a provider's list and of the ledger is no pair, and when a difference is resolved.
BEGIN;
\ir lib/fixture.psql
\set file consumer/sql/audit_next.sql
\ir lib/prepare.psql
\set file consumer/sql/audit_compare.sql
\ir lib/prepare.psql
\set file consumer/sql/audit_done.sql
\ir lib/prepare.psql
\set file consumer/sql/audit_state.sql
\ir lib/prepare.psql
SELECT plan(33);

-- ---- The comparison ----

SELECT fx.lane('one') AS lane \gset
UPDATE lanes SET account_id = fx.account('fx-two') WHERE id = :lane;

-- Rows of the provider's list as "ID JOB PHONE MINUTES-AGO"; what is found as "kind id" each, new ones with a star. Of the last hour.
CREATE FUNCTION fx.compare(complete boolean, from_end boolean, rows text[][], fingerprint text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	ids text[]; jobs text[]; phones text[]; times text[];
	answer text[] := '{}';
	i integer;
BEGIN
	FOR i IN 1 .. coalesce(array_length(rows, 1), 0) LOOP
		ids[i] := rows[i][1];
		jobs[i] := rows[i][2];
		phones[i] := rows[i][3];
		times[i] := carillon.to_ms(now() - rows[i][4]::integer * interval '1 minute');
	END LOOP;
	SET LOCAL ROLE carillon_consumer;
	FOR r IN EXECUTE format('EXECUTE audit_compare(%L, %L, %L, %L, %L, 60, %L, %L, %L, %L, %L)', 'fx-two',
		carillon.to_ms(now() - interval '1 hour'), carillon.to_ms(now()), complete, from_end, fingerprint,
		coalesce(ids, '{}'), coalesce(jobs, '{}'), coalesce(phones, '{}'), coalesce(times, '{}')) LOOP
		answer := answer || (r.kind || ' ' || r.provider_call_id || CASE WHEN r.is_new THEN '*' ELSE '' END);
	END LOOP;
	RESET ROLE;
	RETURN coalesce((SELECT string_agg(a, ', ' ORDER BY a) FROM unnest(answer) a), 'nothing');
END $$;

CREATE FUNCTION fx.dialed(the_lane bigint, the_status text, id text) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
	job uuid := fx.call(the_lane, the_status, id);
BEGIN
	UPDATE carillon.calls SET fingerprint = '' WHERE job_id = job;
	IF id IS NOT NULL THEN
		INSERT INTO carillon.provider_calls SELECT account_id, id, job_id FROM carillon.calls WHERE job_id = job
		ON CONFLICT DO NOTHING;
	END IF;
	RETURN job;
END $$;

CREATE FUNCTION fx.open() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM carillon.audit_differences WHERE resolved_at IS NULL $$;

SELECT is(fx.compare(true, false, '{}'), 'nothing', 'nothing here and nothing there');
SELECT fx.dialed(:lane, 'calling', 'p1') AS one, fx.dialed(:lane, 'completed', 'p2') AS two, fx.dialed(:lane, 'not_dialed', NULL) AS absent,
	fx.dialed(:lane, 'unknown', NULL) AS unknown \gset
SELECT is(fx.compare(true, false, ARRAY[ARRAY['p1', :'one', '+12125550101', '1'], ARRAY['p2', :'two', NULL, '1']]), 'nothing', 'equal worlds: no difference');
SELECT is(fx.open(), 0::bigint, 'and none is kept');
SELECT is(fx.compare(true, false, ARRAY[ARRAY['p1', NULL, NULL, '1'], ARRAY['p2', NULL, NULL, '1'], ARRAY['p3', NULL, '+12125550199', '1']]),
	'unknown_call p3*', 'a call that nobody of us made');
SELECT is(fx.compare(true, false, ARRAY[ARRAY['p1', NULL, NULL, '1'], ARRAY['p2', NULL, NULL, '1'], ARRAY['p3', NULL, '+12125550199', '1']]),
	'unknown_call p3', 'is new once');
SELECT is(fx.compare(true, false, ARRAY[ARRAY['p1', NULL, NULL, '1'], ARRAY['p2', NULL, NULL, '1'], ARRAY['p3', NULL, '+12125550199', '90']]),
	'nothing', 'one of another time is another slice''s');
SELECT is(fx.open(), 0::bigint, 'what is found no more is resolved');
SELECT is(fx.compare(true, false, ARRAY[ARRAY['p1', NULL, NULL, '1'], ARRAY['p2', NULL, NULL, '1'], ARRAY['p4', NULL,
	(SELECT phone FROM calls WHERE job_id = :'unknown'), '1']]), 'nothing', 'a call that may be the one of unknown fate is the reconciler''s');
SELECT is(fx.compare(true, false, ARRAY[ARRAY['p1', NULL, NULL, '1'], ARRAY['p2', NULL, NULL, '1'], ARRAY['p5', :'unknown', NULL, '1']]),
	'nothing', 'and so is one that bears its id');
SELECT is(fx.compare(true, false, ARRAY[ARRAY['p1', NULL, NULL, '1'], ARRAY['p2', NULL, NULL, '1'], ARRAY['p6', :'one', NULL, '1']]),
	'second_call p6*', 'two calls of one job');
SELECT is((SELECT job_id FROM audit_differences WHERE provider_call_id = 'p6'), :'one', 'and of which');
SELECT is(fx.compare(true, false, ARRAY[ARRAY['p1', NULL, NULL, '1'], ARRAY['p2', NULL, NULL, '1'], ARRAY['p7', :'absent', NULL, '1']]),
	'denied_call p7*', 'a call that was proved absent');
SELECT is(fx.compare(true, false, ARRAY[ARRAY['p1', NULL, NULL, '1'], ARRAY['p2', NULL, NULL, '1'], ARRAY['p8',
	'01890a5d-ac96-774b-bcce-000000000001', NULL, '1']]), 'unknown_call p8*', 'a job that the ledger does not have');

-- Where rows bear no job id: one more to a number that was dialed then.
SELECT is(fx.compare(true, false, ARRAY[ARRAY['p1', NULL, NULL, '1'], ARRAY['p2', NULL, NULL, '1'],
	ARRAY['p9', NULL, (SELECT phone FROM calls WHERE job_id = :'one'), '4']]), 'second_call p9*', 'two calls to a number at about a time');
SELECT is((SELECT job_id FROM audit_differences WHERE provider_call_id = 'p9'), :'one', 'of the job that was dialed');
SELECT is(fx.compare(true, false, ARRAY[ARRAY['p1', NULL, NULL, '1'], ARRAY['p2', NULL, NULL, '1'],
	ARRAY['p10', NULL, (SELECT phone FROM calls WHERE job_id = :'absent'), '2']]), 'denied_call p10*', 'a call to a number that had been proved not dialed');
SELECT is(fx.compare(true, false, ARRAY[ARRAY['p1', NULL, NULL, '1'], ARRAY['p2', NULL, NULL, '1'],
	ARRAY['p11', NULL, (SELECT phone FROM calls WHERE job_id = :'one'), '40'], ARRAY['log:7', NULL, (SELECT phone FROM calls WHERE job_id = :'one'), '1']]),
	'unknown_call log:7*, unknown_call p11*', 'not at another time, nor under a number of the list''s own');

-- The other way.
SELECT is(fx.compare(true, false, ARRAY[ARRAY['p2', NULL, NULL, '1']]), 'missing_call p1*', 'a call that is only in the ledger');
SELECT is(fx.compare(false, false, ARRAY[ARRAY['p2', NULL, NULL, '1']]), 'nothing', 'is none if the list may lack rows');
SELECT is(fx.open(), 1::bigint, 'and such a list resolves nothing');
SELECT is(fx.compare(true, false, ARRAY[ARRAY['p2', NULL, NULL, '1']], 'others'), 'nothing', 'with other credentials a list says nothing of it');
SELECT is(fx.compare(true, true, ARRAY[ARRAY['p2', NULL, NULL, '1']]), 'nothing', 'where rows come at the end, what goes on is not missed');
UPDATE calls SET ended_at = now() - interval '30 seconds' WHERE job_id = :'two';
SELECT is(fx.compare(true, true, '{}'), 'nothing', 'nor what has just ended');
UPDATE calls SET ended_at = now() - interval '5 minutes' WHERE job_id = :'two';
SELECT is(fx.compare(true, true, '{}'), 'missing_call p2*', 'but what ended long ago');
UPDATE audit_differences SET note = 'removed over there', resolved_at = now() WHERE provider_call_id = 'p2';
SELECT is(fx.compare(true, true, '{}'), 'missing_call p2', 'what somebody has explained');
SELECT is(fx.open(), 0::bigint, 'stays explained');

-- ---- Whose turn it is ----

CREATE FUNCTION fx.next(names text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	answer text := 'none';
BEGIN
	SET LOCAL ROLE carillon_consumer;
	FOR r IN EXECUTE format('EXECUTE audit_next(%L, 3600, 1800, 900)', names) LOOP
		answer := format('%s %s %s', r.account, (r.now_ms - r.from_ms) / 60000, (r.now_ms - r.to_ms) / 60000);
	END LOOP;
	RESET ROLE;
	RETURN answer;
END $$;
CREATE FUNCTION fx.done(minutes_ago integer, complete boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL ROLE carillon_consumer;
	EXECUTE format('EXECUTE audit_done(%L, %L, %L, 3600, 1800)', 'fx-two', carillon.to_ms(now() - minutes_ago * interval '1 minute'), complete);
	RESET ROLE;
END $$;

SELECT is(fx.next('{fx-two}'), 'none', 'the first look only begins the account');
SELECT is(fx.next('{fx-two}'), 'fx-two 90 30', 'an interval back, but for what is young');
SELECT is(fx.next('{fx-two}'), 'none', 'somebody is at it');
SELECT fx.done(30, true);
SELECT is((SELECT next_at - now() FROM audits WHERE account_id = fx.account('fx-two')), interval '1 hour', 'done: again in an interval');
UPDATE audits SET next_at = now(), audited_to = now() - interval '3 days', slice_s = 600 WHERE account_id = fx.account('fx-two');
SELECT is(fx.next('{fx-two}'), 'fx-two 1440 1430', 'left alone for long: a day back, by slices');
SELECT fx.done(1430, false);
SELECT is((SELECT concat_ws(' ', slice_s, next_at - now(), failures) FROM audits WHERE account_id = fx.account('fx-two')), '300 00:05:00 1',
	'a list that is not whole: a shorter slice, later');
UPDATE audits SET next_at = now() WHERE account_id = fx.account('fx-two');
SELECT is(fx.next('{fx-one}'), 'none', 'accounts that we cannot ask are left to others');

SELECT * FROM finish();
ROLLBACK;
