-- SPDX-License-Identifier: Apache-2.0
-- The words that the tables accept are those of common/tbl, and so are ranks and what is live.
BEGIN;
\ir lib/fixture.psql

-- Rows of a table of C, as word, second and third column.
CREATE TEMP TABLE words (tbl text, word text, second text, third text);
\set rows `cd :'root'/common/tbl && for t in call_status follow_up_status rule_action entity operated; do sed -n "s/^TABLE_ROW([A-Z_0-9]*, \"\([a-z_0-9]*\)\", *\([0-9]*\),* *\([01]*\).*/$t|\1|\2|\3/p" $t.h; done`
INSERT INTO words
SELECT split_part(line, '|', 1), split_part(line, '|', 2), split_part(line, '|', 3), split_part(line, '|', 4) FROM string_to_table(:'rows', E'\n') line;

-- The quoted words of a column's CHECK.
CREATE FUNCTION fx.accepted(the_table text, the_column text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT m[1] FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid AND k.conkey = ARRAY[a.attnum],
		regexp_matches(pg_get_constraintdef(k.oid), '''([a-z_0-9]+)''::text', 'g') m
	WHERE k.conrelid = ('carillon.' || the_table)::regclass AND k.contype = 'c' AND a.attname = the_column
$$;

SELECT plan(9);

SELECT bag_eq(format('SELECT * FROM fx.accepted(%L, %L)', t, c), format('SELECT word FROM words WHERE tbl IN (SELECT string_to_table(%L, '' ''))', tbl), format('%s.%s has the words of %s.h', t, c, tbl))
FROM (VALUES ('calls', 'status', 'call_status'), ('follow_ups', 'status', 'follow_up_status'), ('outcome_rules', 'action', 'rule_action'),
	('transitions', 'entity', 'entity operated')) v (t, c, tbl);
SELECT bag_eq('SELECT * FROM fx.accepted(''live'', ''state'')', $$SELECT word FROM words WHERE tbl = 'call_status' AND third = '1'$$,
	'live.state has the words of the states that are live');
SELECT results_eq($$SELECT word, call_rank(word)::integer FROM words WHERE tbl = 'call_status' ORDER BY 1$$,
	$$SELECT word, second::integer FROM words WHERE tbl = 'call_status' ORDER BY 1$$, 'call_rank has the ranks of call_status.h');
SELECT cmp_ok(count(*), '>=', 10::bigint, 'the states were read') FROM words WHERE tbl = 'call_status';

SELECT is(from_ms(to_ms('2026-06-17 15:00:00.123Z')), '2026-06-17 15:00:00.123Z'::timestamptz, 'milliseconds and back');
SELECT is(to_ms('infinity'), NULL, 'infinity has no milliseconds');

SELECT * FROM finish();
ROLLBACK;
