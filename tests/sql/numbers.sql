-- SPDX-License-Identifier: Apache-2.0
-- Numbers: normalizing by the shared vectors, what may be dialed, the zones of a number's block.
BEGIN;
\ir lib/fixture.psql

CREATE TEMP TABLE vectors (input text, status text, e164 text);
\set vectors `grep -v '^#' :'root'/tests/vectors/phone.tsv | base64 -w0`
INSERT INTO vectors
SELECT coalesce(('"' || split_part(line, E'\t', 1) || '"')::jsonb #>> '{}', ''), split_part(line, E'\t', 2), nullif(split_part(line, E'\t', 3), '')
FROM regexp_split_to_table(convert_from(decode(:'vectors', 'base64'), 'UTF8'), E'\n') line WHERE line <> '';

SELECT plan(37 + (SELECT count(*)::integer FROM vectors));

-- ---- Normalizing ---------------------------------------------------------------------------------------------------

SELECT cmp_ok(count(*), '>', 80::bigint, 'the vectors were read') FROM vectors;
SELECT is(normalize_phone(input), e164, format('normalize_phone: %s is %s', to_json(input), status)) FROM vectors;
SELECT is(normalize_phone(NULL), NULL, 'normalize_phone: nothing is no number');
SELECT is_empty($$SELECT input FROM vectors WHERE (status = 'ok') <> (e164 IS NOT NULL)$$, 'the vectors agree with themselves');
SELECT is_empty($$SELECT n FROM (SELECT normalize_phone(input) AS n FROM vectors) v WHERE n !~ '^\+[1-9][0-9]{6,14}$'$$,
	'what comes out has the shape of E.164');
SELECT is_empty($$SELECT e164 FROM vectors WHERE normalize_phone(e164) <> e164$$, 'normalizing twice is normalizing once');

-- ---- What is never dialed ------------------------------------------------------------------------------------------

SELECT is(number_is_dialable(e164), expected, format('number_is_dialable: %s, %s', e164, what))
FROM (VALUES
	('+12025550101', true, 'a plain number'), ('+15551234567', true, 'no harsher than needed'), ('+18005550101', true, 'toll-free'),
	('+442079460000', true, 'another country'), ('+19005550101', false, '900'), ('+12029760101', false, '976 exchange'),
	('+19115550101', false, 'N11 area'), ('+12119115501', false, 'N11 twice'), ('+12024110101', false, 'N11 exchange'),
	('+12029110101', false, 'emergency exchange'), ('+12021110101', true, '111 is no service code'), (NULL, false, 'none'))
	v (e164, expected, what);

-- ---- Zones of a number's block ---------------------------------------------------------------------------------------

SELECT cmp_ok(count(*), '>', 1000::bigint, 'the table of zones is loaded') FROM phone_zones;
SELECT set_eq(format('SELECT unnest(phone_zone_names(%L))', e164), zones, format('phone_zone_names: %s, %s', e164, what))
FROM (VALUES
	('+12025550101', ARRAY['America/New_York'], 'one zone'),
	('+16055550101', ARRAY['America/Denver', 'America/North_Dakota/Center'], 'an area of two zones'),
	('+442079460000', ARRAY['Europe/Guernsey', 'Europe/Isle_of_Man', 'Europe/Jersey', 'Europe/London'], 'a country''s'),
	('+18005550101', '{}', 'toll-free: unknown'), ('+15551234567', '{}', 'no such area: unknown, not all of North America'))
	v (e164, zones, what);

INSERT INTO phone_zones VALUES ('1202555', '{America/Denver}'), ('4420', '{Europe/Paris}');
SELECT is(phone_zone_names('+12025550101'), '{America/Denver}', 'phone_zone_names: in North America the longest prefix');
SELECT cardinality(phone_zone_names('+442079460000')) AS zones_of_44 \gset
SELECT is(:zones_of_44, 4, 'phone_zone_names: elsewhere the country''s');

SELECT is(lead_zones('America/Chicago', '+12025550101'), '{America/Chicago}', 'lead_zones: its own zone wins');
SELECT is(lead_zones('', '+12125550101'), '{America/New_York}', 'lead_zones: an empty zone is none');
SELECT is(lead_zones('Mars/Base', '+12125550101'), '{}', 'lead_zones: a bad zone is unknown, not the number''s');
INSERT INTO phone_zones VALUES ('1213555', '{Nowhere/Land}');
SELECT is(lead_zones(NULL, '+12135550101'), '{}', 'lead_zones: a zone that the server does not know is unknown');
DELETE FROM phone_zones WHERE prefix = '1213555';
SELECT is(lead_zones(NULL, NULL), '{}', 'lead_zones: nothing known');

-- ---- Leads keep both ---------------------------------------------------------------------------------------------------

INSERT INTO leads (phone) VALUES ('(212) 555-0123 x4') RETURNING id AS lead \gset
SELECT results_eq(format('SELECT phone, phone_e164, zones FROM leads WHERE id = %s', :lead),
	$$VALUES ('(212) 555-0123 x4', '+12125550123', '{America/New_York}'::text[])$$, 'an inserted lead has number and zones');
UPDATE leads SET phone = '213-555-1123' WHERE id = :lead;
SELECT is(phone_e164, '+12135551123', 'a changed phone changes the number') FROM leads WHERE id = :lead;
SELECT is(zones, '{America/Los_Angeles}', 'and the zones') FROM leads WHERE id = :lead;
UPDATE leads SET time_zone = 'Asia/Tokyo' WHERE id = :lead;
SELECT is(zones, '{Asia/Tokyo}', 'a zone of its own replaces them') FROM leads WHERE id = :lead;
UPDATE leads SET phone = 'none' WHERE id = :lead;
SELECT is(phone_e164, NULL, 'a phone that is none leaves no number') FROM leads WHERE id = :lead;

-- A new table of zones is followed by the leads.
\set file producer/sql/owner/derive_zones.sql
\ir lib/prepare.psql
UPDATE leads SET time_zone = NULL, phone = '+12125550123' WHERE id = :lead;
UPDATE phone_zones SET zones = '{America/Halifax}' WHERE prefix = '1212';
CREATE TEMP TABLE derived AS EXECUTE derive_zones(:lead - 1, 10);
SELECT is(last_id, :lead::bigint, 'derive_zones tells how far it came') FROM derived;
SELECT is(zones, '{America/Halifax}', 'derive_zones follows a new table') FROM leads WHERE id = :lead;

SELECT * FROM finish();
ROLLBACK;
