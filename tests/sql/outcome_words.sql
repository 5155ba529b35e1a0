-- SPDX-License-Identifier: Apache-2.0
-- Words of ends: written as the processes write them, one meaning a tenant, told to everybody; and the zones of accounts' times.
BEGIN;
\ir lib/fixture.psql
\set file common/sql/outcome_words.sql
\ir lib/prepare.psql
\set file webhook/sql/zones.sql
\ir lib/prepare.psql
SELECT plan(24);

SELECT is(outcome_word(given), wanted, 'outcome_word: ' || given)   -- tests/unit/test_rules.c has the same for C
FROM (VALUES ('no-answer', 'NO_ANSWER'), ('  Voicemail -- detected! ', 'VOICEMAIL_DETECTED'), ('SALE', 'SALE'), ('---', ''), ('', ''),
	('call.in-progress.error-x', 'CALL_IN_PROGRESS_ERROR_X'), ('a1__b', 'A1_B'), (E'caf\u00e9 x', 'CAF_X'), (E'\u0131', '')) v (given, wanted);
SELECT is(outcome_word(NULL), NULL, 'outcome_word of nothing');

INSERT INTO outcome_words (tenant_id, provider, word, outcome) VALUES (NULL, 'vapi', 'BUSY', 'SALE'), ('fx', 'vapi', 'BUSY', 'ACA');
SELECT results_eq('EXECUTE outcome_words', $$VALUES ('', 'vapi', 'BUSY', 'SALE'), ('fx', 'vapi', 'BUSY', 'ACA')$$, 'the processes read them all');
SELECT throws_ok($$INSERT INTO outcome_words (provider, word, outcome) VALUES ('vapi', 'BUSY', 'X')$$, '23505', NULL, 'one meaning a word');
SELECT throws_ok($$INSERT INTO outcome_words (provider, word, outcome) VALUES ('vapi', 'busy', 'X')$$, '23514', NULL, 'a word as it is compared');
SELECT throws_ok($$INSERT INTO outcome_words (provider, word, outcome) VALUES ('vapi', repeat('A', 128), 'X')$$, '23514', NULL, 'of 127 bytes at most');
SELECT throws_ok($$INSERT INTO outcome_words (provider, word, outcome) VALUES ('vapi', 'X', repeat('A', 64))$$, '23514', NULL, 'an outcome of 63');
SELECT has_trigger('carillon', 'outcome_words', 'words_changed', 'a change is told');

-- ---- Shown, with what is built in ------------------------------------------------------------------------------------

\set built_in '[{"provider":"vapi","kind":"STATUS","match":"EXACT","word":"BUSY","outcome":"BUSY"},{"provider":"vapi","kind":"STATUS","match":"PREFIX","word":"PIPE","outcome":"FAILED"},{"provider":"*","kind":"SAID","match":"EXACT","word":"SOLD","outcome":"SALE"},null]'
CREATE FUNCTION fx.shown(built_in jsonb, tenant text, provider text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' ', w ->> 'provider', w ->> 'word', w ->> 'match', w ->> 'outcome', coalesce(w ->> 'default', 'none'), w ->> 'tenant')
	FROM jsonb_array_elements(carillon.outcome_words_of(built_in, tenant, provider)) w
$$;
INSERT INTO outcome_words (provider, word, outcome) VALUES ('vapi', 'PIPE', 'ACA'), ('vapi', 'PIPELINE', 'ACA'), ('vapi', 'SOLD', 'X'), ('omni', 'O', 'X');
SELECT bag_eq(format('SELECT * FROM fx.shown(%L, NULL, ''vapi'')', :'built_in'), $$VALUES ('* SOLD exact SALE SALE'), ('vapi BUSY exact SALE BUSY'),
	('vapi PIPE exact ACA FAILED'), ('vapi PIPELINE exact ACA FAILED'), ('vapi SOLD exact X SALE'), ('vapi PIPE prefix FAILED FAILED')$$, 'everybody''s words of a provider');
SELECT bag_eq(format('SELECT * FROM fx.shown(%L, ''fx'', NULL) s WHERE s LIKE ''%%BUSY%%'' OR s LIKE ''omni%%''', :'built_in'),
	$$VALUES ('vapi BUSY exact ACA BUSY fx'), ('omni O exact X none')$$, 'a tenant''s own first');

-- ---- Zones: the offsets are those of PostgreSQL at every hour ----------------------------------------------------------

INSERT INTO accounts (tenant_id, name, provider, settings) SELECT 'fx', 'zone-' || n, 'convoso', jsonb_build_object('time_zone', zone)
FROM (VALUES (1, 'Australia/Lord_Howe'), (2, 'Asia/Kolkata'), (3, 'Nowhere/Land'), (4, 'Africa/Casablanca')) z (n, zone);
SET LOCAL ROLE carillon_webhook;
CREATE TEMP TABLE offsets (name, from_ms, offset_s) AS EXECUTE zones('America/New_York');
RESET ROLE;
SELECT set_eq('SELECT DISTINCT name FROM offsets', $$VALUES ('America/New_York'), ('Australia/Lord_Howe'), ('Asia/Kolkata'), ('Africa/Casablanca')$$,
	'those of the accounts, and the environment''s; what is none has no offsets');
SELECT cmp_ok(count(*), '<', 40::bigint, 'a row a change') FROM offsets;
SELECT is_empty($$SELECT z.name, t FROM (SELECT DISTINCT name FROM offsets) z, generate_series(now() - interval '399 days', now() + interval '399 days', interval '1 hour') t
	WHERE extract(epoch FROM (t AT TIME ZONE z.name) - (t AT TIME ZONE 'UTC')) IS DISTINCT FROM
		(SELECT o.offset_s FROM offsets o WHERE o.name = z.name AND o.from_ms <= to_ms(t) ORDER BY o.from_ms DESC LIMIT 1)$$,
	'each offset from its moment on');
SELECT is((SELECT count(*) FROM offsets WHERE from_ms = 0), 4::bigint, 'and from the beginning');
SELECT results_eq($$SELECT count(*) > 3 FROM offsets WHERE name = 'America/New_York'$$, 'VALUES (true)', 'a year has two changes');
SELECT results_eq($$SELECT count(*) FROM offsets WHERE name = 'Asia/Kolkata'$$, 'VALUES (1::bigint)', 'or none');

SELECT * FROM finish();
ROLLBACK;
