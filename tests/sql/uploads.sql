-- SPDX-License-Identifier: Apache-2.0
-- Uploads of contacts: what is staged and rejected, what a batch makes of the rest, previews, take-overs and what is removed.
BEGIN;
\ir lib/fixture.psql
\set file producer/api/sql/upload_begin.sql
\ir lib/prepare.psql
\set file producer/api/sql/upload_stage.sql
\ir lib/prepare.psql
\set file producer/api/sql/upload_stage_json.sql
\ir lib/prepare.psql
\set file producer/api/sql/upload_staged.sql
\ir lib/prepare.psql
\set file producer/api/sql/upload_apply.sql
\ir lib/prepare.psql
\set file producer/api/sql/upload_abandon.sql
\ir lib/prepare.psql
\set file producer/api/sql/upload_take.sql
\ir lib/prepare.psql
\set file producer/api/sql/upload_rejected.sql
\ir lib/prepare.psql
\set file producer/sql/upload_retention.sql
\ir lib/prepare.psql
\set file producer/sql/seed_campaigns.sql
\ir lib/prepare.psql
SELECT plan(33);

CREATE FUNCTION fx.campaign(the_name text) RETURNS bigint LANGUAGE sql AS $$
	INSERT INTO campaigns (tenant_id, lane_id, name) VALUES ('fx', fx.lane(the_name), the_name) RETURNING id
$$;
SELECT fx.campaign('uploaded') AS campaign \gset
SELECT fx.phone() AS one, fx.phone() AS two, fx.phone() AS three, fx.phone() AS four \gset

-- ---- Staging ----------------------------------------------------------------------------------------------------------

EXECUTE upload_begin('999999', NULL, 'w') \gset none_
SELECT is(:none_status, 404, 'no campaign, no upload');
EXECUTE upload_begin(:'campaign', 'maybe', 'w') \gset none_
SELECT is(:none_status, 422, 'nor with a preview of another word');
EXECUTE upload_begin(:'campaign', 'true', 'w') \gset preview_
EXECUTE upload_begin(:'campaign', NULL, 'w') \gset real_
SELECT is(:preview_status + :real_status, 400, 'begun');
CREATE TEMP TABLE given (row bigint, line text, members text, fault text);
INSERT INTO given VALUES
	(2, '"2"', jsonb_build_object('phone', :'one', 'first_name', 'Ann', 'external_id', 'x', 'variables', '{"a": "1"}'::jsonb), NULL),
	(3, '"3"', '{"phone": "1.5551E+10"}', NULL), (4, '"4"', '{}', NULL), (5, '"5"', '{}', 'a fault'),
	(6, '"6"', jsonb_build_object('phone', :'two', 'time_zone', 'Mars/Base', 'first_name', repeat('x', 201)), NULL),
	(7, '"7"', jsonb_build_object('phone', :'two', 'time_zone', 'Europe/Paris', 'external_id', 'x'), NULL),
	(8, '"8"', jsonb_build_object('phone', :'one', 'first_name', 'Bob'), NULL), (9, '"9"', jsonb_build_object('phone', :'three', '', ''), NULL),
	(10, '"=10"', '{"phone": "911", "colour": 5, "variables": []}', NULL), (11, '"11"', jsonb_build_object('phone', :'three', 'last_name', U&'\FFFD'), NULL);
SELECT array_agg(row)::text AS rows, array_agg(line)::text AS lines, array_agg(members)::text AS members, array_agg(fault)::text AS faults FROM given \gset
EXECUTE upload_stage(:real_upload, :'rows', :'lines', :'members', :'faults') \gset real_
EXECUTE upload_stage(:preview_upload, :'rows', :'lines', :'members', :'faults') \gset preview_
SELECT is(:real_rejected, 7, 'rows that can''t be used are told');
EXECUTE upload_stage(:real_upload, :'rows', :'lines', :'members', :'faults') \gset again_
SELECT is(:again_rejected, 0, 'what is there already is not staged again');
SELECT is((SELECT row(rows, rejected)::text FROM uploads WHERE id = :real_upload), '(10,7)', 'nor counted');
SELECT results_eq(format($$SELECT r.row, p ->> 'column' FROM upload_rows r, jsonb_array_elements(problems) p WHERE upload_id = %s ORDER BY 1, 2$$, :real_upload),
	$$VALUES (3::bigint, 'phone'), (4, 'phone'), (5, NULL), (6, 'first_name'), (6, 'time_zone'), (9, ''), (10, 'colour'), (10, 'phone'), (10, 'variables'), (11, 'last_name')$$,
	'all that is wrong with each');
SELECT matches((SELECT problems -> 0 ->> 'reason' FROM upload_rows WHERE upload_id = :real_upload AND row = 3), 'as text', 'a number that a spreadsheet has shortened');
SELECT is((SELECT count(*) FROM upload_rows WHERE upload_id = :real_upload AND (e164 IS NULL) <> (problems IS NOT NULL)), 0::bigint, 'good rows have their number, and no other has');

-- ---- Applying -----------------------------------------------------------------------------------------------------------

EXECUTE upload_apply(:real_upload, 'w', 100) \gset early_
SELECT is(:'early_state'::text, 'receiving', 'nothing is applied of a file that is not whole');
EXECUTE upload_staged(:preview_upload, '"h"') \gset staged_
EXECUTE upload_staged(:real_upload, '"h"') \gset staged_
SELECT is(:staged_status, 202, 'whole');
EXECUTE upload_staged(:real_upload, '"h"') \gset staged_
SELECT is(:staged_status, 409, 'once');
EXECUTE upload_apply(:preview_upload, 'w', 4) \gset preview_
EXECUTE upload_apply(:preview_upload, 'w', 100) \gset preview_
SELECT is(:'preview_state'::text, 'applying', 'a batch at a time');
EXECUTE upload_apply(:preview_upload, 'w', 100) \gset preview_
SELECT is(:'preview_body'::jsonb - '{rejectedRows,createdAt,finishedAt}'::text[], jsonb_build_object('upload', :preview_upload, 'campaignId', :campaign, 'preview', true,
	'state', 'done', 'reason', NULL, 'rows', 10, 'created', 2, 'updated', 0, 'duplicates', 1, 'rejected', 7,
	'rejectedUrl', format('/api/campaigns/%s/uploads/%s/rejected', :campaign, :preview_upload)), 'what would happen');
SELECT is((SELECT count(*) FROM leads WHERE tenant_id = 'fx'), 0::bigint, 'and nothing did');
SELECT fx.lead(:'two') AS lead \gset
EXECUTE upload_apply(:real_upload, 'w', 6) \gset real_
EXECUTE upload_apply(:real_upload, 'w', 6) \gset real_
EXECUTE upload_apply(:real_upload, 'w', 6) \gset real_
EXECUTE upload_apply(:real_upload, 'w', 6) \gset done_
SELECT is(:'real_body'::jsonb, :'done_body'::jsonb, 'done is done');
SELECT is((SELECT row(created, updated, duplicates, rejected)::text FROM uploads WHERE id = :real_upload), '(2,0,1,7)', 'the same counts');
SELECT results_eq($$SELECT phone_e164, first_name, time_zone, external_id, raw_payload -> 'variables' FROM leads WHERE tenant_id = 'fx' ORDER BY phone_e164$$,
	format($$VALUES (%L, 'Ann', NULL, 'x', '{"a": "1"}'::jsonb), (%L, NULL, 'Europe/Paris', NULL, NULL)$$, :'one', :'two'),
	'the first good row of a number counts, across batches; a number that a lead has is that lead');
SELECT is((SELECT count(*) FROM campaign_contacts WHERE campaign_id = :campaign), 2::bigint, 'both are contacts');

EXECUTE upload_begin(:'campaign', NULL, 'w') \gset json_
EXECUTE upload_stage_json(:json_upload, jsonb_build_array(jsonb_build_object('phone', :'one', 'variables', '{"b": "2"}'::jsonb), 5, jsonb_build_object('phone', :'two'),
	jsonb_build_object('phone', :'four'))) \gset json_
EXECUTE upload_staged(:json_upload, '"record"') \gset staged_
EXECUTE upload_apply(:json_upload, 'w', 100) \gset json_
EXECUTE upload_apply(:json_upload, 'w', 100) \gset json_
SELECT is((SELECT row(created, updated, duplicates, rejected)::text FROM uploads WHERE id = :json_upload), '(1,1,1,1)', 'JSON: one new, one changed, one the same');
SELECT is((SELECT raw_payload -> 'variables' FROM leads WHERE phone_e164 = :'one'), '{"a": "1", "b": "2"}', 'variables are added to');

-- ---- The file of rejected rows --------------------------------------------------------------------------------------------

EXECUTE upload_rejected(:'campaign', :'real_upload', NULL) \gset file_
SELECT is(string_to_array(:'file_body', E'\r\n'), ARRAY['"Rejected row","Rejected because","h"',
	'3,phone: a spreadsheet has shortened this number; format its column as text and save again,"3"', '4,phone: missing,"4"', '5,a fault,"5"',
	'6,"first_name: at most 200 characters; time_zone: the name of a time zone, such as America/New_York","6"',
	'9,: a value in a column that the header does not name,"9"',
	'10,"colour: no such field of a contact; phone: no number that can be called, such as +12125550101; variables: an object","=10"',
	'11,last_name: not UTF-8; save the file as CSV UTF-8,"11"', ''], 'each row behind its reasons');
EXECUTE upload_rejected(:'campaign', '999999', NULL) \gset file_
SELECT is(:file_status, 404, 'of no upload');
SELECT is(csv_cell('=1"'), '"''=1"""', 'no formula');

-- ---- Who goes away ----------------------------------------------------------------------------------------------------------

EXECUTE upload_begin(:'campaign', NULL, 'w') \gset left_
EXECUTE upload_stage(:left_upload, :'rows', :'lines', :'members', :'faults') \gset left_
EXECUTE upload_abandon(:left_upload, 'gone');
EXECUTE upload_staged(:left_upload, '') \gset left_
SELECT is(:left_status, 409, 'what is abandoned stays so');
EXECUTE upload_begin(:'campaign', NULL, 'w') \gset silent_
UPDATE uploads SET touched_at = now() - interval '3 minutes' WHERE id = :silent_upload;
EXECUTE upload_retention(5000, 7, 120) \gset swept_
SELECT is((SELECT state FROM uploads WHERE id = :silent_upload), 'abandoned', 'and so does what nobody sends any more');
SELECT is((SELECT count(*) FROM upload_rows WHERE problems IS NULL OR upload_id = :left_upload), 0::bigint, 'only rejected rows are kept, of what was applied');
SELECT is((SELECT count(*) FROM upload_rows WHERE upload_id = :real_upload), 7::bigint, 'all of them');
UPDATE uploads SET finished_at = now() - interval '8 days' WHERE id = :real_upload;
EXECUTE upload_retention(5000, 7, 120) \gset swept_
EXECUTE upload_retention(5000, 7, 120) \gset swept_
SELECT is((SELECT count(*) FROM upload_rows WHERE upload_id = :real_upload) + (SELECT count(*) FROM uploads WHERE id = :real_upload), 0::bigint, 'for some days');
EXECUTE upload_begin(:'campaign', NULL, 'w') \gset dead_
EXECUTE upload_stage(:dead_upload, '{2}', '{2}', ARRAY[jsonb_build_object('phone', :'three')::text], '{NULL}') \gset dead_
EXECUTE upload_staged(:dead_upload, '') \gset dead_
SELECT is((SELECT count(*) FROM uploads WHERE touched_at < now() - interval '20 seconds' AND state = 'applying'), 0::bigint, 'nobody else takes what is at work');
UPDATE uploads SET touched_at = now() - interval '21 seconds' WHERE id = :dead_upload;
EXECUTE upload_take('other', 20) \gset taken_
SELECT is(:taken_upload, :dead_upload, 'but what stands still');
UPDATE campaigns SET deleted_at = now() WHERE id = :campaign;
EXECUTE upload_apply(:dead_upload, 'other', 100) \gset dead_
SELECT is(:'dead_state'::text, 'failed', 'a campaign that was deleted gets no contacts');

-- ---- Fair shares --------------------------------------------------------------------------------------------------------------

SELECT fx.campaign('huge') AS huge, fx.campaign('small') AS small \gset
DELETE FROM campaign_contacts;
INSERT INTO campaign_contacts (campaign_id, lead_id, schedule_at) SELECT :huge, fx.lead(), now() - interval '1 hour' FROM generate_series(1, 50);
INSERT INTO campaign_contacts (campaign_id, lead_id) SELECT :small, fx.lead() FROM generate_series(1, 5);
EXECUTE seed_campaigns(20) \gset seed_
SELECT is(array[:seed_seeded, :seed_looked, (SELECT count(*) FROM campaign_contacts WHERE campaign_id = :small AND schedule_at IS NULL)], '{15,20,5}',
	'a small campaign has its share of a pass, and the rest of the huge one the next');

SELECT * FROM finish();
ROLLBACK;
