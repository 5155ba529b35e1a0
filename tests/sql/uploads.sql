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
SELECT plan(39);

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

-- ---- Contacts that were done with -----------------------------------------------------------------------------------------

CREATE FUNCTION fx.upload(the_campaign bigint, is_preview boolean, rows jsonb) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	the_upload bigint;
BEGIN
	INSERT INTO uploads (tenant_id, campaign_id, preview, worker) VALUES ('fx', the_campaign, is_preview, 'w') RETURNING id INTO the_upload;
	PERFORM upload_stage(the_upload, array_agg(n + 1), array_agg(n::text), array_agg(r::text), array_agg(NULL::text)) FROM jsonb_array_elements(rows) WITH ORDINALITY e (r, n);
	UPDATE uploads SET state = 'applying' WHERE id = the_upload;
	WHILE (SELECT state FROM uploads WHERE id = the_upload) = 'applying' LOOP PERFORM upload_apply(the_upload, 'w', 100); END LOOP;
	RETURN the_upload;
END $$;
SELECT fx.campaign('again') AS again \gset
CREATE TEMP TABLE again (what text, status text, reason text, outcome text, lead bigint);
INSERT INTO again SELECT v.*, fx.lead() FROM (VALUES ('called off', 'cancelled', 'operator', NULL), ('of the campaign', 'cancelled', 'campaign_stopped', NULL),
	('settings', 'failed', 'configuration', NULL), ('number', 'failed', 'number', NULL), ('suppressed', 'skipped', 'suppressed', NULL), ('waits', 'pending', NULL, NULL),
	('reached', 'completed', NULL, 'SALE'), ('missed', 'completed', NULL, 'NO_ANSWER'), ('talks', 'completed', NULL, NULL)) v;
INSERT INTO campaign_contacts (campaign_id, lead_id) SELECT :again, lead FROM again;
EXECUTE seed_campaigns(100) \gset again_
UPDATE follow_ups f SET status = a.status, reason = a.reason FROM again a WHERE f.lead_id = a.lead;
INSERT INTO calls (job_id, tenant_id, follow_up_id, kind, lane_id, lead_id, account_id, provider, phone, attempt, status, worker, due_at, outcome)
SELECT uuid_v7(), 'fx', f.id, 'campaign', f.lane_id, l.id, fx.account(), 'omni', l.phone_e164, 1, CASE WHEN a.outcome IS NULL THEN 'calling' ELSE 'completed' END, 'w/1', now(), a.outcome
FROM again a JOIN follow_ups f ON f.lead_id = a.lead JOIN leads l ON l.id = a.lead WHERE a.status = 'completed';
SELECT jsonb_agg(jsonb_build_object('phone', phone_e164)) AS rows FROM leads JOIN again ON lead = id \gset again_
CREATE FUNCTION fx.again() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT what FROM again JOIN campaign_contacts c ON c.lead_id = lead WHERE schedule_at IS NOT NULL ORDER BY what
$$;
SELECT fx.upload(:again, true, :'again_rows') \gset
SELECT is_empty('SELECT fx.again()', 'a preview calls nobody');
SELECT fx.upload(:again, false, :'again_rows') AS id \gset again_
SELECT results_eq('SELECT fx.again()', $$VALUES ('called off'), ('missed'), ('settings'), ('suppressed')$$,
	'a contact that waits for no call is called again, unless it was reached or its number is refused');
SELECT is((SELECT row(created, updated, duplicates)::text FROM uploads WHERE id = :again_id), '(0,0,9)', 'it is no other contact for that');
UPDATE campaigns SET frequency = 'daily' WHERE id = :again;
UPDATE campaign_contacts SET schedule_at = NULL WHERE campaign_id = :again;
UPDATE calls SET outcome = 'DO_NOT_CALL' WHERE outcome = 'NO_ANSWER';
SELECT fx.upload(:again, false, :'again_rows') \gset
SELECT results_eq('SELECT fx.again()', $$VALUES ('called off'), ('reached'), ('settings'), ('suppressed')$$, 'of one that recurs those that want to be called');

-- Somebody else makes a lead of the same external_id while a batch is under way.
SELECT fx.phone() AS five, fx.phone() AS six \gset
CREATE FUNCTION fx.meanwhile() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO leads (tenant_id, phone, external_id) VALUES ('fx', '+12125550199', 'taken');
	RETURN NEW;
END $$;
CREATE TRIGGER meanwhile BEFORE INSERT ON leads FOR EACH ROW WHEN (NEW.external_id = 'taken' AND NEW.phone <> '+12125550199') EXECUTE FUNCTION fx.meanwhile();
SELECT jsonb_build_array(jsonb_build_object('phone', :'five', 'external_id', 'taken'), jsonb_build_object('phone', :'six', 'external_id', 'free')) AS rows \gset taken_
SELECT throws_ok(format('SELECT fx.upload(%s, false, %L)', :again, :'taken_rows'), '40001', NULL, 'the batch is tried again, for nobody is left out');
DROP TRIGGER meanwhile ON leads;
INSERT INTO leads (tenant_id, phone, external_id) VALUES ('fx', '+12125550199', 'taken');
SELECT fx.upload(:again, false, :'taken_rows') AS id \gset taken_
SELECT results_eq(format('SELECT external_id FROM leads JOIN campaign_contacts c ON c.lead_id = leads.id WHERE phone_e164 IN (%L, %L) AND c.campaign_id = %s ORDER BY 1', :'five', :'six', :again),
	$$VALUES ('free'), (NULL)$$, 'and is a contact then, without an id that is another''s');

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
