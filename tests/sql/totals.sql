-- SPDX-License-Identifier: Apache-2.0
-- What is counted once, and looked for by its name: answers that do not grow slower with the history.
BEGIN;
\ir lib/fixture.psql
\set file producer/sql/count_ended.sql
\ir lib/prepare.psql
\set file producer/api/sql/leads.sql
\ir lib/prepare.psql
SELECT plan(20);

-- ---- Ended calls --------------------------------------------------------------------------------------------------------

SELECT fx.lane('one') AS one, fx.lane('two') AS two \gset
CREATE FUNCTION fx.ended(the_lane bigint, the_status text, age interval) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
	job uuid := fx.call(the_lane, 'calling');
BEGIN
	UPDATE carillon.calls SET claimed_at = now() - age WHERE job_id = job;
	SET LOCAL ROLE carillon_consumer;
	UPDATE carillon.calls SET status = the_status WHERE job_id = job;
	RESET ROLE;
	RETURN job;
END $$;
CREATE FUNCTION fx.totals(the_lane bigint) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(format('%s %s', s, carillon.ended_total(the_lane, s)), ', ' ORDER BY s) FROM unnest('{completed,failed}'::text[]) s
$$;
CREATE FUNCTION fx.count(most bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	SET LOCAL ROLE carillon_producer;
	EXECUTE format('EXECUTE count_ended(%s)', most) INTO n;
	RESET ROLE;
	RETURN n;
END $$;

SELECT is(fx.totals(:one), 'completed 0, failed 0', 'none at first');
SELECT fx.ended(:one, 'completed', '10 days'), fx.ended(:one, 'completed', '5 days'), fx.ended(:one, 'failed', '4 days'), fx.ended(:one, 'completed', '1 hour') \g /dev/null
SELECT fx.ended(:two, 'completed', '10 days') AS other \gset
SELECT is(fx.totals(:one), 'completed 3, failed 1', 'none is counted yet');
SELECT isnt(fx.count(1000), 0::bigint, 'those of long ago are counted');
SELECT is((SELECT string_agg(format('%s %s', status, n), ', ' ORDER BY status) FROM ended_totals WHERE lane_id = :one), 'completed 2, failed 1', 'each lane''s own');
SELECT is(fx.totals(:one), 'completed 3, failed 1', 'which changes nothing');
SELECT is(fx.count(1000), 0::bigint, 'once a day');

SELECT fx.ended(:one, 'completed', '9 days') AS late \gset
SELECT is(fx.totals(:one), 'completed 4, failed 1', 'an end that comes late is added');
UPDATE calls SET status = 'failed' WHERE job_id = :'late';
SELECT is(fx.totals(:one), 'completed 3, failed 2', 'what turns out otherwise moves');
UPDATE calls SET status = 'in_progress' WHERE job_id = :'late';
SELECT is(fx.totals(:one), 'completed 3, failed 1', 'what goes on has not ended');
SELECT fx.ended(:one, 'completed', '60 hours') \g /dev/null
SELECT is(fx.totals(:one), 'completed 4, failed 1', 'what is old, but younger than what was counted, counts once');
UPDATE ended_totals SET before = before - interval '5 days' WHERE lane_id = :one;   -- as if that had been long ago
UPDATE ended_totals SET n = (SELECT count(*) FROM ended_calls e WHERE e.lane_id = :one AND e.status = ended_totals.status AND e.at < before) WHERE lane_id = :one;
SELECT is(fx.totals(:one), 'completed 4, failed 1', 'from wherever it was counted to');
SELECT is(fx.count(1), 1::bigint, 'a few at a time');
SELECT is(fx.count(1000), 1::bigint, 'and the rest');
SELECT is(fx.totals(:one) || '; ' || fx.totals(:two), 'completed 4, failed 1; completed 1, failed 0', 'the same as ever');
SELECT is((SELECT count(*) FROM ended_calls e WHERE e.lane_id = :one AND at >= (SELECT min(before) FROM ended_totals WHERE lane_id = :one)), 2::bigint,
	'what is still counted each time is young');

-- ---- Leads by a part of their name --------------------------------------------------------------------------------------

INSERT INTO leads (tenant_id, first_name, last_name, phone, auto_follow_up, stage)
SELECT 'fx', CASE WHEN n % 10 = 0 THEN 'Ann' ELSE 'Bob' END, CASE WHEN n IN (6001, 11500, 11900) THEN 'Quetzal' ELSE 'Smith' END, '+12125550101', false,
	CASE WHEN n = 11500 THEN 'lost' ELSE 'new' END
FROM generate_series(1, 12000) n;
SELECT min(id) - 1 AS base FROM leads WHERE first_name = 'Bob' \gset
CREATE FUNCTION fx.leads(q text, the_stage text, most integer, after bigint, base bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	SET LOCAL ROLE carillon_producer;
	EXECUTE format('EXECUTE leads(%L, NULL, %L, NULL, NULL, NULL, NULL, %L, %L)', the_stage, q, most::text, after::text) INTO r;
	RESET ROLE;
	RETURN (SELECT string_agg(((l ->> 'id')::bigint - base)::text, ' ' ORDER BY n) FROM jsonb_array_elements(r.body -> 'leads') WITH ORDINALITY x (l, n))
		|| coalesce('; next ' || ((r.body ->> 'next')::bigint - base), '');
END $$;
SELECT is(fx.leads('quetzal', NULL, 10, :base, :base), '6001 11500 11900', 'few among many are found');
SELECT is(fx.leads('QUETZ', 'new', 10, :base, :base), '6001 11900', 'which have to fit otherwise, too');
SELECT is(fx.leads('quetzal', NULL, 1, :base + 6001, :base), '11500; next 11500', 'page by page');
SELECT is(fx.leads('ann sm', NULL, 2, :base + 5990, :base), '6000 6010; next 6010', 'what many bear');
SELECT is(fx.leads('smith', 'lost', 10, :base, :base), NULL, 'and what nobody is');

SELECT * FROM finish();
ROLLBACK;
