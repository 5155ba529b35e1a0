-- SPDX-License-Identifier: Apache-2.0
-- PostgreSQL on another timeline than the one that was confirmed: nothing is claimed or sent until everything is started again.
BEGIN;
\ir lib/fixture.psql
SELECT plan(19);
\set file consumer/sql/stop_feed.sql
\ir lib/prepare.psql
\set file producer/sql/oldest_due.sql
\ir lib/prepare.psql
\set file producer/sql/stopped.sql
\ir lib/prepare.psql

SELECT fx.lane('follow_ups') AS lane \gset
SELECT fx.follow_up(fx.lead(), :lane) AS f \gset

SELECT matches(timeline(), '^[0-9A-F]{8}$', 'a timeline is eight digits');
SELECT is(value #>> '{}', timeline(), 'the one of the migration is confirmed') FROM settings WHERE key = 'timeline';
SELECT is(timeline_changed(), false, 'nothing has changed');
SELECT is(verdict, 'pass', 'no gate holds') FROM gates(:f, now()) WHERE gate = 'stopped';

UPDATE settings SET value = '"FFFFFFFE"' WHERE key = 'timeline';
SELECT is(timeline_changed(), true, 'after a failover it has');
SELECT is(verdict || ' ' || (facts ->> 'timeline'), 'hold changed', 'a gate holds, and says why') FROM gates(:f, now()) WHERE gate = 'stopped';
SELECT is(bool_and(stopped), true, 'of all lanes') FROM lane_gates(now());
EXECUTE stopped \gset
SELECT is(:'stopped'::text, 't', 'the scheduler is stopped');
CREATE TEMP TABLE fed AS EXECUTE stop_feed(60, '{}');
SELECT is(count(*), 1::bigint, 'what is claimed already is told') FROM fed WHERE what = 'all' AND at_ms IS NULL;
EXECUTE oldest_due \gset
SELECT is(:'timeline_changed'::text, 't', 'and measured');
SELECT is(state ->> 'stopped', 'true', 'operators see it') FROM scheduler_state() state;
SELECT matches(state ->> 'reason', 'another timeline', 'and why') FROM scheduler_state() state;
SET LOCAL ROLE carillon_tenant;
SELECT set_config('carillon.tenant', 'fx', true) \gset
SELECT is(timeline_changed(), true, 'a tenant sees it as well');
RESET ROLE;
SELECT set_config('carillon.tenant', '', true) \gset

SELECT is(scheduler_switch(false, 'fx', NULL, NULL) ->> 'stopped', 'true', 'a tenant''s start does not confirm it');
SELECT is(scheduler_switch(true, NULL, NULL, 'both') ->> 'stopped', 'true', 'nor does a stop');
SELECT is(timeline_changed(), true, 'it is as it was');
SELECT is(state ->> 'stopped' || ' ' || (state ->> 'changed'), 'false true', 'a start of everything does') FROM scheduler_switch(false, NULL, NULL, 'compared') state;
SELECT is(timeline_changed(), false, 'this timeline is confirmed');
SELECT is(note, 'compared', 'with the operator''s note') FROM transitions WHERE entity = 'scheduler' ORDER BY id DESC LIMIT 1;

SELECT * FROM finish();
ROLLBACK;
