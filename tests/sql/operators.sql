-- SPDX-License-Identifier: Apache-2.0
-- What people decide: undetermined calls, dead letters, the stop switch; and what comes after a decision.
BEGIN;
\ir lib/fixture.psql
\set file producer/api/sql/call_resolve.sql
\ir lib/prepare.psql
\set file producer/api/sql/call_get.sql
\ir lib/prepare.psql
\set file producer/api/sql/calls_list.sql
\ir lib/prepare.psql
\set file producer/api/sql/dead_letters_claim.sql
\ir lib/prepare.psql
\set file producer/api/sql/dead_letters_replayed.sql
\ir lib/prepare.psql
\set file producer/api/sql/dead_letter_discard.sql
\ir lib/prepare.psql
\set file producer/api/sql/scheduler_switch.sql
\ir lib/prepare.psql
\set file consumer/sql/results_facts.sql
\ir lib/prepare.psql
\set file common/sql/apply_results.sql
\ir lib/prepare.psql
\set file consumer/sql/mark_undetermined.sql
\ir lib/prepare.psql
\set file consumer/sql/events_apply.sql
\ir lib/prepare.psql
\set file consumer/sql/inbox_resolve.sql
\ir lib/prepare.psql
SELECT plan(72);

SELECT fx.lane('one') AS lane \gset

-- Status and, of a refusal, its detail; else the member asked for.
CREATE FUNCTION fx.ask(command text, member text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	SET LOCAL ROLE carillon_producer;
	EXECUTE 'EXECUTE ' || command INTO r;
	RESET ROLE;
	RETURN r.status || coalesce(' ' || CASE WHEN r.status >= 400 THEN r.body ->> 'detail' ELSE r.body #>> string_to_array(member, '.') END, '');
END $$;
CREATE FUNCTION fx.resolve(job uuid, decision text, member text DEFAULT 'changed') RETURNS text LANGUAGE sql AS $$
	SELECT fx.ask(format('call_resolve(%L, %L)', job, jsonb_build_object('decision', decision, 'note', 'why')), member)
$$;
-- A result as the recorder applies it. Answers with what came alive.
CREATE FUNCTION fx.result(job uuid, word text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	answer text;
BEGIN
	SET LOCAL ROLE carillon_consumer;
	EXECUTE format('EXECUTE apply_results(%L, %L, ''{NULL}'', ''{late}'', ''{200}'', ''{NULL}'', %L, %L, ''{NULL}'', 1, 60, 1200, 5)',
		ARRAY[job], ARRAY[word], ARRAY[carillon.to_ms(now())], ARRAY[carillon.to_ms(now())]);
	FOR r IN EXECUTE format('EXECUTE results_facts(%L, %L, ''{late}'', ''{200}'', %L, %L, 1200)',
		ARRAY[job], ARRAY[word], ARRAY[carillon.to_ms(now())], ARRAY[carillon.to_ms(now())]) LOOP
		answer := concat_ws(' ', r.was, r.status, CASE WHEN r.called_off THEN 'called off' END);
	END LOOP;
	RESET ROLE;
	RETURN coalesce(answer, 'none');
END $$;
CREATE FUNCTION fx.call_state(job uuid) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', c.status, c.outcome, 'live ' || v.state, f.status, f.reason)
	FROM carillon.calls c JOIN carillon.follow_ups f ON f.id = c.follow_up_id LEFT JOIN carillon.live v ON v.job_id = c.job_id WHERE c.job_id = job
$$;

-- ---- One decision -------------------------------------------------------------------------------------------------------------

SELECT fx.call(:lane, 'undetermined') AS job \gset
SELECT is(fx.resolve(:'job', 'redial'), '200 true', 'an undetermined call is resolved');
SELECT is(fx.call_state(:'job'), 'not_dialed pending', 'redial: nothing was dialed, the follow-up is pending and the phone free');
SELECT is(attempts, 0, 'its attempt does not count') FROM follow_ups WHERE job_id = :'job';
SELECT cmp_ok(next_look_at, '>', now(), 'and it is not dialed in the same breath') FROM follow_ups WHERE job_id = :'job';
SELECT is(fx.resolve(:'job', 'redial'), '200 false', 'again it changes nothing');
SELECT is(fx.resolve(:'job', 'close'), '409 the call is resolved already: redial', 'another decision is refused');
SELECT is(count(*), 1::bigint, 'one decision is kept') FROM transitions WHERE entity = 'call' AND entity_id = :'job';

SELECT fx.call(:lane, 'undetermined') AS job \gset
SELECT is(fx.resolve(:'job', 'close', 'call.status'), '200 failed', 'close: over');
SELECT is(fx.call_state(:'job'), 'failed UNKNOWN completed closed', 'its follow-up is final and the phone free');
SELECT isnt(decided_at, NULL, 'and it decides nothing any more') FROM calls WHERE job_id = :'job';
SELECT is(attempts, 1, 'it counts as an attempt') FROM follow_ups WHERE job_id = :'job';
SELECT is(fx.resolve(:'job', 'redial'), '409 the call is resolved already: close', 'and can''t be dialed again');

SELECT is(fx.resolve(fx.call(:lane, s), 'redial'), format('409 the call is %s: only an undetermined one can be resolved', s), s || ' is none of an operator''s business')
FROM unnest('{dialing,unknown,calling,in_progress,completed,rejected,not_dialed}'::text[]) s;
SELECT is(fx.resolve(gen_random_uuid(), 'close'), '404 no such call', 'no such call');
SELECT is(fx.ask(format('call_resolve(%L, %L)', fx.call(:lane, 'undetermined'), '{"decision": "maybe", "colour": 1}')), '422 2 values can''t be used', 'all that is wrong');

-- Its follow-up has moved on without it: the decision frees the phone and leaves the follow-up alone.
SELECT fx.call(:lane, 'undetermined') AS job \gset
UPDATE follow_ups SET status = 'cancelled', reason = 'operator' WHERE job_id = :'job';
SELECT is(fx.resolve(:'job', 'redial', 'followUpStatus'), '200 cancelled', 'a cancelled follow-up stays cancelled');
SELECT is(fx.call_state(:'job'), 'not_dialed cancelled operator', 'and the phone is free');

-- ---- An event that has found its call forbids a decision ------------------------------------------------------------------------

SELECT fx.call(:lane, 'undetermined') AS job \gset
INSERT INTO call_events (message, account, event_id, tenant_id, type, rank, job_id, call_job_id, occurred_at)
VALUES ('event', 'fx-one', 'found', 'fx', 'ringing', 2, :'job', :'job', now());
SELECT is(fx.resolve(:'job', 'redial'), '409 its provider has just spoken of the call, which resolves it', 'between an event and its application');
SELECT is(fx.result(:'job', 'accepted'), 'none', 'the proof');
SELECT is(fx.call_state(:'job'), 'calling live calling completed', 'resolves it');

-- ---- A result that comes after the decision ----------------------------------------------------------------------------------------

SELECT fx.call(:lane, 'undetermined') AS job \gset
SELECT fx.resolve(:'job', 'redial') AS _ \gset
SELECT is(fx.result(:'job', 'unknown'), 'none', 'another unknown result');
SELECT is(fx.call_state(:'job'), 'not_dialed pending', 'changes nothing');
SELECT is(fx.result(:'job', 'accepted'), 'not_dialed calling called off', 'an accepted one takes the call up');
SELECT is(fx.call_state(:'job'), 'calling live calling cancelled call_found', 'calls the successor off and holds the phone');
SELECT is(fx.result(:'job', 'accepted'), 'none', 'once');
SELECT is(fx.resolve(:'job', 'redial'), '200 false', 'the decision can''t be repeated into effect');
SELECT is(fx.call_state(:'job'), 'calling live calling cancelled call_found', 'nothing has moved');

-- The successor is queued under its own job: called off before its claim.
SELECT fx.call(:lane, 'undetermined') AS job \gset
SELECT fx.resolve(:'job', 'redial') AS _, (SELECT id FROM follow_ups WHERE job_id = :'job') AS follow_up \gset
SELECT fx.queued(:follow_up) AS successor \gset
SELECT is(fx.result(:'job', 'accepted'), 'not_dialed calling called off', 'a queued successor is called off');
SELECT is(status, 'cancelled', 'so its claim finds nothing to dial') FROM follow_ups WHERE id = :follow_up AND job_id = :'successor';
-- It is being dialed: too late, and that is said.
SELECT fx.call(:lane, 'undetermined') AS job \gset
SELECT fx.resolve(:'job', 'redial') AS _, (SELECT id FROM follow_ups WHERE job_id = :'job') AS follow_up \gset
SELECT fx.queued(:follow_up) AS successor \gset
UPDATE follow_ups SET status = 'dialing' WHERE id = :follow_up;
SELECT is(fx.result(:'job', 'accepted'), 'not_dialed calling', 'a successor that is being dialed goes on, and the answer says so');
INSERT INTO calls (job_id, tenant_id, follow_up_id, kind, lane_id, lead_id, account_id, provider, phone, attempt, status, worker, due_at)
SELECT :'successor', tenant_id, follow_up_id, kind, lane_id, lead_id, account_id, provider, phone, 2, 'dialing', 'w', due_at FROM calls WHERE job_id = :'job';
SELECT is(fx.result(:'successor', 'unknown'), 'none', 'it may have been dialed');
SELECT is(fx.call_state(:'successor'), 'unknown dialing', 'nothing is decided then');
SELECT is(fx.result(:'successor', 'not_sent'), 'none', 'it was not');
SELECT is(fx.call_state(:'successor'), 'not_dialed cancelled call_found', 'none follows the one that was found');

SELECT fx.call(:lane, 'undetermined') AS job \gset
SELECT fx.resolve(:'job', 'close') AS _ \gset
SELECT is(fx.result(:'job', 'accepted'), 'failed calling', 'a closed call is taken up as well');
SELECT is(fx.call_state(:'job'), 'calling live calling completed closed', 'and its follow-up stays final');

-- ---- The reconciler says what it looked for ------------------------------------------------------------------------------------------

SELECT fx.call(:lane, 'unknown') AS job \gset
UPDATE live SET checks = 5 WHERE job_id = :'job';
EXECUTE mark_undetermined(ARRAY[:'job']::uuid[]) \g /dev/null
SELECT results_eq(format('SELECT from_state, to_state, note, actor FROM transitions WHERE entity = ''call'' AND entity_id = %L', :'job'),
	$$VALUES ('unknown', 'undetermined', '5 look-ups', 'reconciler')$$, 'an undetermined call says how often it was looked for');

-- What came for its number and found no call is shown, of this account and after its claim alone.
INSERT INTO call_events (message, account, event_id, tenant_id, type, rank, phone, state, recorded_at)
SELECT 'event', v.account, v.event_id, 'fx', 'report', 5, c.phone, v.state, c.claimed_at + v.late FROM calls c, (VALUES
	('fx-one', 'p-parked', 'parked', interval '1 minute'), ('fx-one', 'p-orphan', 'orphan', '1 hour'), ('fx-two', 'p-other', 'orphan', '1 hour'),
	('fx-one', 'p-early', 'orphan', '-1 minute'), ('fx-one', 'p-history', 'history', '1 minute')) v (account, event_id, state, late)
WHERE c.job_id = :'job';
SET LOCAL ROLE carillon_producer;
CREATE TEMP TABLE got ON COMMIT DROP AS EXECUTE call_get(:'job');
RESET ROLE;
SELECT is(array_to_string(ARRAY(SELECT jsonb_path_query(body, '$.possibleEvents[*].eventId') #>> '{}' FROM got), ' '), 'p-parked p-orphan',
	'events that may be this call''s are evidence');
SELECT is((SELECT body #>> '{lookUps,made}' FROM got), '5', 'and so are the look-ups');

-- ---- Dead letters -------------------------------------------------------------------------------------------------------------------------

INSERT INTO dead_letters (topic, partition, "offset", reason, value)
SELECT CASE n WHEN 5 THEN 'fx.a-dlt' ELSE 'fx.a' END, 0, n, 'r', '\x00'::bytea FROM generate_series(1, 5) n;
SELECT min(id) AS first, max(id) AS callback FROM dead_letters \gset
CREATE FUNCTION fx.claim(body jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	SET LOCAL ROLE carillon_producer;
	EXECUTE format('CREATE TEMP TABLE claimed ON COMMIT DROP AS EXECUTE dead_letters_claim(%L)', body);
	SELECT concat_ws(' ', max(c.status), string_agg((c.id - (SELECT min(d.id) FROM carillon.dead_letters d))::text, ',' ORDER BY c.id)) INTO answer FROM claimed c;
	DROP TABLE claimed;
	RESET ROLE;
	RETURN answer;
END $$;
SELECT is(fx.claim('{"all": true, "dry_run": true}'), '200 0,1,2,3', 'a dry run sees all that are messages');
SELECT is(fx.claim('{"all": true}'), '200 0,1,2,3', 'and takes none');
SELECT is(fx.claim('{"all": true}'), '200', 'what is being replayed nobody else takes');
SELECT is(fx.ask(format('dead_letter_discard(%s, ''{}'')', :first)), '409 it is being replayed', 'nor discards');
UPDATE dead_letters SET replaying_until = now() - interval '1 second' WHERE id = :first;
SELECT is(fx.claim(jsonb_build_object('ids', jsonb_build_array(:first, :first + 1))), '200 0', 'until its time is over');
EXECUTE dead_letters_replayed(ARRAY[:first]::bigint[], ARRAY[:first + 1]::bigint[]);
SELECT is(fx.claim(jsonb_build_object('ids', jsonb_build_array(:first, :first + 1))), '200 1', 'what failed can be replayed again, what is done can''t');
SELECT is(fx.claim(jsonb_build_object('again', true, 'ids', jsonb_build_array(:first))), '200 0', 'unless it is asked for again');
SELECT is(fx.claim(jsonb_build_object('ids', jsonb_build_array(:callback))), '422', 'a callback is no message');
SELECT is(fx.claim(jsonb_build_object('ids', jsonb_build_array(0))), '404', 'no such letter');
SELECT is(count(*), 1::bigint, 'a replay is kept') FROM transitions WHERE entity = 'dead_letter' AND to_state = 'replayed';

-- ---- The stop switch ------------------------------------------------------------------------------------------------------------------------

SELECT fx.follow_up(fx.lead(), :lane) AS held \gset
UPDATE follow_ups SET gate = 'stopped', next_look_at = now() + interval '20 seconds' WHERE id = :held;
SELECT is(fx.ask('scheduler_switch(''stop'', ''{"tenant": "fx", "reason": "x"}'')', 'changed'), '200 true', 'a tenant is stopped');
SELECT is(fx.closed(:lane, now()), 'stopped', 'which closes its lanes');
SELECT is(fx.ask('scheduler_switch(''stop'', ''{"tenant": "fx", "reason": "y"}'')', 'changed'), '200 false', 'once');
SELECT is(fx.ask('scheduler_switch(''start'', ''{"tenant": "fx"}'')', 'changed'), '200 true', 'and started');
SELECT is(next_look_at, now(), 'what it held is looked at now') FROM follow_ups WHERE id = :held;

SELECT fx.lane('a campaign') AS its_lane \gset
INSERT INTO campaigns (tenant_id, lane_id, name) VALUES ('fx', :its_lane, 'A campaign') RETURNING id AS campaign \gset
SELECT is(fx.ask(format('scheduler_switch(%L, %L)', word, given), 'changed'), expected, what)
FROM (VALUES
	('stop', format('{"campaign": %s, "reason": "noise"}', :campaign), '200 true', 'a campaign is stopped'),
	('stop', format('{"campaign": "%s", "tenant": "fx"}', :campaign), '200 false', 'once'),
	('stop', format('{"campaign": %s, "tenant": "other"}', :campaign), '404 no such campaign', 'not as another tenant''s'),
	('stop', '{"campaign": 0}', '404 no such campaign', 'nor one that is not there'),
	('stop', '{"campaign": "one"}', '422 campaign: the id of a campaign', 'an id is a number')) v (word, given, expected, what);
SELECT is(fx.closed(:its_lane, now()), 'lane', 'its lane is closed');
SELECT is(c - 'since', jsonb_build_object('campaign', :campaign, 'name', 'A campaign', 'tenant', 'fx', 'reason', 'noise'), 'it is shown with the reason')
FROM jsonb_path_query(scheduler_state(), '$.campaigns[*]') c;
SELECT is(scheduler_state() -> 'campaigns_stopped', '1', 'and counted');
UPDATE lanes SET active = false WHERE id = :lane;
SELECT is(jsonb_path_query_array(scheduler_state(), '$.lanes[*].lane'), jsonb_build_array(:lane), 'so is a lane that is no campaign''s');
SELECT is(fx.ask(format('scheduler_switch(''start'', ''{"campaign": %s}'')', :campaign), 'changed'), '200 true', 'and started again');
SELECT is(scheduler_state() -> 'campaigns', '[]', 'then nothing is shown');
SELECT results_eq(format('SELECT to_state, reason, note FROM transitions WHERE entity = ''campaign'' AND entity_id = ''%s'' ORDER BY id', :campaign),
	$$VALUES ('stopped', 'stop', 'noise'), ('active', 'start', NULL)$$, 'both are kept');

SELECT * FROM finish();
ROLLBACK;
