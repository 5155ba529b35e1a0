-- SPDX-License-Identifier: Apache-2.0
-- Tenants apart: whatever a statement of tenant `other` says, nothing of tenant fx is read, changed, removed or added to, in any
-- table that the role may touch, and each of those has rows of fx, so that a policy that is missing shows.
BEGIN;
\ir lib/fixture.psql
SELECT no_plan();

-- ---- Something of fx in each table ----------------------------------------------------------------------------------

SELECT fx.lane('follow_ups') AS lane \gset
SELECT fx.lead() AS lead \gset
SELECT fx.call(:lane, 'calling', 'provider-1') AS job \gset
SELECT fx.call(:lane, 'undetermined') AS undetermined \gset
SELECT fx.follow_up(:lead, :lane) AS follow_up \gset
INSERT INTO campaigns (tenant_id, lane_id, name) VALUES ('fx', fx.lane('campaign'), 'Its') RETURNING id AS campaign \gset
INSERT INTO campaign_contacts (campaign_id, lead_id) VALUES (:campaign, :lead);
INSERT INTO call_reports (job_id, summary) VALUES (:'job', 'said');
INSERT INTO call_events (message, account, event_id, tenant_id) VALUES ('event', 'fx-one', 'e-1', 'fx');
INSERT INTO redial_queue (tenant_id, lead_id, phone_number, status) VALUES ('fx', 'r-1', '+12125550198', 'paused');
INSERT INTO redial_removed (tenant_id, lead_id, phone_digits) VALUES ('fx', 'r-2', '12125550199');
INSERT INTO suppressions (tenant_id, phone) VALUES ('fx', '+12125550197');
INSERT INTO ended_calls (lane_id, status, at, job_id, lead_id) VALUES (:'lane', 'completed', now(), :'job', 1);
INSERT INTO ended_totals (lane_id, status) VALUES (:'lane', 'completed');
INSERT INTO call_classifications (tenant_id, phone_number, classification_type) VALUES ('fx', '+12125550196', 'human');
INSERT INTO pending_calls (tenant_id, phone) VALUES ('fx', '+12125550196') RETURNING id AS pending_call \gset
INSERT INTO workflow_calls (follow_up_id, pending_call_id) VALUES (:'follow_up', :'pending_call');
INSERT INTO uploads (tenant_id, campaign_id, preview, worker) VALUES ('fx', :'campaign', false, 'w') RETURNING id AS upload \gset
INSERT INTO upload_rows (upload_id, row, line, members) VALUES (:'upload', 2, 'x', '{}');
INSERT INTO holidays (tenant_id, day) VALUES ('fx', '2026-12-25');
INSERT INTO outcome_rules (tenant_id, outcome, action) VALUES ('fx', 'MAYBE', 'retry');
INSERT INTO transitions (entity, entity_id, to_state, actor, tenant_id) VALUES ('tenant', 'fx', 'stopped', 'operator', 'fx');
INSERT INTO transitions (entity, entity_id, to_state, actor)
SELECT v.*, 'x', 'recorder' FROM (VALUES ('lead', :'lead'), ('call', :'job'), ('campaign', :'campaign'),
	('redial', (SELECT max(id)::text FROM redial_queue)), ('pending_call', :'pending_call'), ('scheduler', 'all'), ('dead_letter', '1')) v;

-- ---- Who asks -------------------------------------------------------------------------------------------------------

-- As a tenant's request: the rows that the command reads or writes, undone; else the SQLSTATE and the reason.
CREATE FUNCTION fx.as_tenant(the_tenant text, command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
	said text;
BEGIN
	BEGIN
		PERFORM carillon.bind_tenant(the_tenant);
		EXECUTE command;
		GET DIAGNOSTICS n = ROW_COUNT;
		RAISE SQLSTATE 'FX000';
	EXCEPTION WHEN SQLSTATE 'FX000' THEN
		said := n::text;
	WHEN OTHERS THEN
		said := SQLSTATE || ' ' || SQLERRM;
	END;
	RETURN said;
END $$;

-- What of a table tenant `other` sees: its own row, its own lanes, and what is everybody's.
CREATE TEMP TABLE seen ("table", by_other) AS VALUES ('tenants', 1), ('lanes', 3), ('time_zones', NULL), ('phone_zones', NULL),
	('settings', 7), ('workflow_arrows', (SELECT count(*)::integer FROM workflow_arrows)), ('outcome_rules', (SELECT count(*)::integer FROM outcome_rules WHERE tenant_id IS NULL));

CREATE TEMP TABLE may AS
SELECT c.relname::text COLLATE "default" AS "table",
	c.relrowsecurity OR c.relkind = 'v' AND coalesce('security_invoker=true' = ANY (c.reloptions), false) AS guarded,   -- a view reads as its owner else
	(SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
		AND has_column_privilege('carillon_tenant', c.oid, a.attnum, 'SELECT')) AS reads,
	(SELECT string_agg(format('%1$I = t.%1$I', a.attname), ', ') FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
		AND a.attidentity = '' AND a.attgenerated = '' AND has_column_privilege('carillon_tenant', c.oid, a.attnum, 'UPDATE')) AS updates,
	(SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
		AND a.attgenerated = '') AS written,
	has_table_privilege('carillon_tenant', c.oid, 'INSERT') AS inserts, has_table_privilege('carillon_tenant', c.oid, 'DELETE') AS deletes,
	EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id') AS has_tenant
FROM pg_class c WHERE c.relnamespace = 'carillon'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
AND has_any_column_privilege('carillon_tenant', c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')
	OR c.relnamespace = 'carillon'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND has_table_privilege('carillon_tenant', c.oid, 'DELETE, TRUNCATE, TRIGGER');

SELECT cmp_ok(count(*), '>', 15::bigint, 'there is something to ask for') FROM may;
SELECT is_empty('SELECT "table" FROM may WHERE NOT guarded AND "table" NOT IN (''time_zones'', ''phone_zones'')', 'each table but the world''s has policies, and each view keeps to them');
SELECT is_empty($$SELECT relname FROM pg_class WHERE relnamespace = 'carillon'::regnamespace AND relkind IN ('r', 'p') AND NOT relrowsecurity
	AND relname NOT IN ('time_zones', 'phone_zones', 'schema_migrations')$$, 'one that nobody thought of would be none of theirs');

-- ---- Read -----------------------------------------------------------------------------------------------------------

SELECT matches(fx.as_tenant('fx', format('SELECT %s FROM carillon.%I', reads, "table")), '^[1-9][0-9]*$', "table" || ': fx has rows') FROM may;
SELECT is(fx.as_tenant('other', format('SELECT %s FROM carillon.%I', reads, "table")), coalesce(s.by_other, 0)::text, "table" || ': other sees none of them')
FROM may LEFT JOIN seen s USING ("table") WHERE "table" NOT IN ('time_zones', 'phone_zones');
SELECT is(fx.as_tenant('fx', 'SELECT FROM carillon.transitions'), '7', 'transitions: its own decisions, and what became of what is its own');
SELECT is(fx.as_tenant('fx', 'SELECT credentials FROM carillon.accounts'), '42501 permission denied for table accounts', 'credentials are not read');

-- ---- Change ---------------------------------------------------------------------------------------------------------

SELECT is(fx.as_tenant('other', format('UPDATE carillon.%I t SET %s', "table", updates)), coalesce(s.by_other, 0)::text, "table" || ': other changes none of them')
FROM may LEFT JOIN seen s USING ("table") WHERE updates IS NOT NULL;
SELECT is(fx.as_tenant('other', format('DELETE FROM carillon.%I', "table")), coalesce(s.by_other, 0)::text, "table" || ': other removes none of them')
FROM may LEFT JOIN seen s USING ("table") WHERE deletes;
SELECT alike(fx.as_tenant('fx', format('UPDATE carillon.%I SET tenant_id = ''other''', "table")), '42501 new row violates row-level security policy%', "table" || ': nothing is given away')
FROM may WHERE updates IS NOT NULL AND has_tenant;

-- A row of fx, as it is, is no row that `other` may add.
DO $$
DECLARE t record;
BEGIN
	FOR t IN SELECT * FROM may WHERE inserts LOOP
		EXECUTE format('CREATE TEMP TABLE row_of_%s AS SELECT t.* FROM carillon.%1$I t %s LIMIT 1', t."table",
			CASE WHEN t.has_tenant THEN 'WHERE tenant_id = ''fx''' ELSE '' END);
		EXECUTE format('GRANT SELECT ON row_of_%s TO carillon_tenant', t."table");
	END LOOP;
END $$;
SELECT alike(fx.as_tenant('other', format('INSERT INTO carillon.%I (%s) OVERRIDING SYSTEM VALUE SELECT %2$s FROM row_of_%1$s', "table", written)),
	'42501 new row violates row-level security policy%', "table" || ': other adds none')
FROM may WHERE inserts;
SELECT alike(fx.as_tenant('other', command), '42501 new row violates row-level security policy%', 'not ' || what) FROM (VALUES
	(format('INSERT INTO follow_ups (tenant_id, lead_id, lane_id) SELECT ''other'', %s, id FROM lanes WHERE name = ''follow_ups''', :'lead'), 'a call to another''s lead'),
	('UPDATE lanes SET account_id = ' || fx.account(), 'by another''s account'),
	(format('INSERT INTO campaigns (tenant_id, lane_id, name) VALUES (''other'', %s, ''Mine'')', :'lane'), 'in another''s lane')) v (command, what);

-- ---- What the API's functions do ------------------------------------------------------------------------------------

SELECT is(fx.as_tenant('other', command), expected, what) FROM (VALUES
	(format('SELECT FROM gates(%s, now())', :'follow_up'), '0', 'gates of another''s follow-up are none'),
	(format('SELECT FROM resolve_call(%L, ''close'', NULL) WHERE status = 404', :'undetermined'), '1', 'another''s call is not there to be resolved'),
	(format('SELECT FROM campaign_change(%s, ''{"name": "Mine"}'') WHERE status = 404', :'campaign'), '1', 'nor a campaign to be changed'),
	(format('SELECT FROM follow_up_create(%s, %s, now(), 1)', :'lead', :'lane'), '0', 'nor a lead to be called'),
	('SELECT FROM redial_retain(100, ''x'')', '42501 permission denied for table redial_removed', 'nor is the retention a tenant''s'),
	('SELECT FROM scheduler_switch(true, ''fx'', NULL, NULL) s WHERE s -> ''changed'' = ''true''', '0', 'another is not stopped'),
	('SELECT FROM scheduler_switch(true, NULL, NULL, NULL) s WHERE s -> ''changed'' = ''true'' AND s -> ''stopped'' = ''false''', '1', 'nor all: it stops itself'),
	('SELECT FROM campaign_create(request_tenant(), ''{"name": "Mine", "account": "fx-one"}'') WHERE status = 422', '1', 'another''s account has no name here'),
	('SELECT FROM campaign_create(request_tenant(), ''{"name": "Mine"}'') WHERE status = 201', '1', 'a campaign of its own is made'),
	('INSERT INTO leads (tenant_id, phone) VALUES (request_tenant(), ''+12125550196'')', '1', 'and a lead, triggers and all')) v (command, expected, what);
SELECT is(fx.as_tenant('fx', command), expected, what) FROM (VALUES
	(format('SELECT FROM gates(%s, now()) HAVING count(*) > 15', :'follow_up'), '1', 'its own are all told'),
	(format('SELECT FROM resolve_call(%L, ''close'', NULL) WHERE status = 200', :'undetermined'), '1', 'its own call is resolved, and what follows is done'),
	('UPDATE lanes SET active = NOT active', (SELECT count(*)::text FROM lanes WHERE tenant_id = 'fx'), 'its lanes are switched, campaigns with them'),
	('UPDATE leads SET paused = true', (SELECT count(*)::text FROM leads WHERE tenant_id = 'fx'), 'its leads are changed, and looked at again'),
	('DELETE FROM suppressions', '1', 'a suppression is lifted'),
	('DELETE FROM redial_queue', '1', 'a record is removed, and what was made of it called off'),
	(format('DELETE FROM leads WHERE id = %s', :'lead'), '1', 'a lead goes, and all that hangs on it')) v (command, expected, what);

SELECT is(fx.as_tenant('nobody', 'SELECT'), 'CT404 no tenant nobody', 'a tenant that is not there is nobody');
SELECT is(request_tenant() || coalesce(bound_tenant(), '-'), 'default-', 'a request of nobody in particular makes what is the default tenant''s');
SET LOCAL ROLE carillon_tenant;
SELECT is_empty('SELECT id FROM carillon.leads', 'the role alone sees nothing');
RESET ROLE;

-- ---- The processes and people see all of it ---------------------------------------------------------------------------

CREATE FUNCTION fx.rows(the_role text, the_table regclass) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	PERFORM set_config('role', the_role, true);
	EXECUTE format('SELECT count(*) FROM %s', the_table) INTO n;
	PERFORM set_config('role', 'none', true);
	RETURN n;
END $$;
SELECT is_empty(format($$SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'carillon'::regnamespace AND c.relkind IN ('r', 'p')
	AND has_table_privilege(%1$L, c.oid, 'SELECT') AND fx.rows(%1$L, c.oid::regclass) <> fx.rows('none', c.oid::regclass)$$, role), role || ' sees all rows of what it reads')
FROM (VALUES ('carillon_producer'), ('carillon_consumer'), ('carillon_webhook'), ('carillon_readonly')) v (role);

SELECT * FROM finish();
ROLLBACK;
