-- SPDX-License-Identifier: Apache-2.0
-- Least privilege: exactly these rights on tables, columns and functions, and what they mean in use.
BEGIN;
\ir lib/fixture.psql
SELECT plan(63);

-- ---- Every table right of every role, and no other -------------------------------------------------------------------

CREATE TEMP TABLE rights AS
SELECT substr(r.rolname, 10) COLLATE "default" AS role, string_agg(p.letter, '' ORDER BY p.n) AS rights, c.relname AS "table"
FROM pg_class c CROSS JOIN pg_roles r
CROSS JOIN (VALUES (1, 'r', 'SELECT'), (2, 'a', 'INSERT'), (3, 'w', 'UPDATE'), (4, 'd', 'DELETE'), (5, 'D', 'TRUNCATE'),
	(6, 'x', 'REFERENCES'), (7, 't', 'TRIGGER')) p (n, letter, privilege)
WHERE c.relnamespace = 'carillon'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
AND r.rolname IN ('carillon_producer', 'carillon_consumer', 'carillon_webhook', 'carillon_readonly', 'carillon_tenant')
AND has_table_privilege(r.oid, c.oid, p.privilege)
GROUP BY 1, 3;

CREATE TEMP TABLE wanted (role, rights, tables) AS VALUES
	('webhook', 'r', 'accounts outcome_rules outcome_words time_zones'),
	('producer', 'rawd', 'tenants accounts lanes holidays leads follow_ups claims redial_queue redial_removed suppressions outcome_rules outcome_words settings campaigns campaign_contacts'
		' pending_calls call_classifications workflow_calls workflow_runs uploads upload_rows processes'),
	('producer', 'ra', 'transitions'),
	('producer', 'raw', 'api_keys ended_totals'),
	('producer', 'rw', 'calls call_events dead_letters audit_differences'),
	('producer', 'rwd', 'live'),
	('producer', 'rad', 'ended_calls ended_sessions'),
	('producer', 'r', 'audits provider_calls call_reports applied_offsets time_zones phone_zones schema_migrations workflow_arrows'
		' scheduler_dashboard stuck_calls call_sessions scheduler_runs'),
	('consumer', 'r', 'tenants lanes holidays settings outcome_rules outcome_words accounts time_zones phone_zones schema_migrations claims campaigns workflow_arrows'),
	('consumer', 'rw', 'follow_ups campaign_contacts pending_calls workflow_calls'),
	('consumer', 'raw', 'leads call_classifications ended_totals'),
	('consumer', 'raw', 'audits audit_differences calls provider_calls call_events call_reports redial_queue suppressions dead_letters applied_offsets'),
	('consumer', 'rawd', 'live processes'),
	('consumer', 'rad', 'ended_calls'),
	('consumer', 'ra', 'transitions'),
	('readonly', 'r', 'audits audit_differences tenants lanes holidays leads follow_ups claims calls provider_calls live call_events call_reports redial_queue redial_removed suppressions'
		' outcome_rules outcome_words settings transitions dead_letters applied_offsets time_zones phone_zones schema_migrations campaigns campaign_contacts'
		' uploads upload_rows ended_calls ended_totals processes pending_calls call_classifications workflow_arrows workflow_calls workflow_runs scheduler_dashboard stuck_calls call_sessions scheduler_runs'),
	('tenant', 'rawd', 'holidays leads suppressions redial_queue campaign_contacts call_classifications'),
	('tenant', 'raw', 'ended_totals lanes follow_ups campaigns redial_removed pending_calls workflow_calls'),
	('tenant', 'ra', 'transitions'),
	('tenant', 'ra', 'uploads'),
	('tenant', 'rw', 'calls'),
	('tenant', 'rwd', 'live'),
	('tenant', 'rad', 'ended_calls'),
	('tenant', 'r', 'upload_rows tenants claims provider_calls call_reports call_events outcome_rules settings time_zones phone_zones workflow_arrows');

SELECT set_eq(format('SELECT "table"::text, rights FROM rights WHERE role = %L', role),
	format('SELECT t, rights FROM wanted, string_to_table(tables, '' '') t WHERE role = %L', role),
	role || ' has these rights to tables, and no other')
FROM (VALUES ('webhook'), ('producer'), ('consumer'), ('readonly'), ('tenant')) v (role);

-- ---- Columns: rights that the table's do not tell -----------------------------------------------------------------------

CREATE TEMP TABLE column_rights AS
SELECT substr(r.rolname, 10) COLLATE "default" AS role, p.privilege, c.relname::text COLLATE "default" AS "table", a.attname::text COLLATE "default" AS "column"
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped CROSS JOIN pg_roles r
CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('REFERENCES')) p (privilege)
WHERE c.relnamespace = 'carillon'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
AND r.rolname IN ('carillon_producer', 'carillon_consumer', 'carillon_webhook', 'carillon_readonly', 'carillon_tenant')
AND has_column_privilege(r.oid, c.oid, a.attnum, p.privilege) AND NOT has_table_privilege(r.oid, c.oid, p.privilege);

SELECT results_eq('SELECT * FROM column_rights WHERE role NOT IN (''readonly'', ''tenant'') ORDER BY 4', $$VALUES
	('consumer', 'UPDATE', 'accounts', 'breaker_reason'), ('consumer', 'UPDATE', 'accounts', 'breaker_until')$$,
	'of the processes, the consumer alone has a right to single columns: the breaker''s');
SELECT set_eq('SELECT privilege, "table", "column" FROM column_rights WHERE role = ''readonly''',
	$$SELECT 'SELECT' AS privilege, 'accounts' AS "table", attname::text AS "column" FROM pg_attribute
		WHERE attrelid = 'carillon.accounts'::regclass AND attnum > 0 AND NOT attisdropped AND attname <> 'credentials'$$,
	'people who look see all of an account but its credentials');
SELECT set_eq('SELECT privilege, "table", "column" FROM column_rights WHERE role = ''tenant'' AND "table" <> ''tenants''',
	$$SELECT "privilege", "table", "column" FROM column_rights WHERE role = 'readonly'$$, 'tenants too');
SELECT set_eq('SELECT privilege, "column" FROM column_rights WHERE role = ''tenant'' AND "table" = ''tenants''',
	$$VALUES ('UPDATE', 'stopped_at'), ('UPDATE', 'stop_reason')$$, 'and they may stop themselves');

-- ---- Functions, schema, the world ------------------------------------------------------------------------------------------

CREATE TEMP TABLE functions AS
SELECT p.oid, p.proname::text AS name, p.prorettype = 'trigger'::regtype AS is_trigger FROM pg_proc p WHERE p.pronamespace = 'carillon'::regnamespace;
SELECT cmp_ok(count(*), '>', 15::bigint, 'there are functions') FROM functions;
SELECT is_empty('SELECT name FROM functions WHERE has_function_privilege(''carillon_webhook'', oid, ''EXECUTE'')',
	'the webhook may call none of them');
SELECT is_empty(format('SELECT name FROM functions WHERE NOT is_trigger AND name <> ''note_migration'' AND NOT has_function_privilege(%L, oid, ''EXECUTE'')', role),
	role || ' may call those of the schema')
FROM (VALUES ('carillon_producer'), ('carillon_consumer'), ('carillon_readonly'), ('carillon_tenant')) v (role);
SELECT is_empty($$SELECT name FROM functions JOIN pg_proc USING (oid) WHERE prosecdef AND name NOT IN ('leads_like', 'live_system')$$,
	'no function lends its owner''s rights, but for the search of names, and what the page says of the system');
SELECT is_empty($$SELECT c.relname FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace = 'carillon'::regnamespace AND a.grantee = 0$$,
	'everybody else has no right to a table');
SELECT is_empty($$SELECT p.proname FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
	WHERE p.pronamespace = 'carillon'::regnamespace AND a.grantee = 0$$, 'nor to a function');
SELECT schema_privs_are('carillon', role::name, '{USAGE}', role || ' uses the schema and makes nothing in it')
FROM (VALUES ('carillon_producer'), ('carillon_consumer'), ('carillon_webhook'), ('carillon_readonly'), ('carillon_tenant')) v (role);
SELECT is_empty($$SELECT rolname FROM pg_roles WHERE rolname LIKE 'carillon\_%' AND rolname IN ('carillon_producer', 'carillon_consumer',
	'carillon_webhook', 'carillon_readonly', 'carillon_tenant') AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolcanlogin OR rolbypassrls)$$,
	'the group roles have no power of their own and no login');
SELECT is(pg_has_role('carillon_producer', 'carillon_tenant', 'MEMBER') AND NOT pg_has_role('carillon_producer', 'carillon_tenant', 'USAGE'), true,
	'the producer may become a tenant, and has none of its rights before');

-- ---- In use ------------------------------------------------------------------------------------------------------------------

SELECT fx.lane('follow_ups') AS lane \gset
SELECT fx.follow_up(fx.lead(), :lane) AS f \gset

-- Runs as the role; answers with the SQLSTATE, or `works`.
CREATE FUNCTION fx.as_role(role text, command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text := 'works';
BEGIN
	EXECUTE format('SET LOCAL ROLE carillon_%s', role);
	BEGIN
		EXECUTE command;
		RAISE SQLSTATE 'FX000';
	EXCEPTION WHEN SQLSTATE 'FX000' THEN
		NULL;
	WHEN OTHERS THEN
		state := SQLSTATE;
	END;
	RESET ROLE;
	RETURN state;
END $$;

\set webhook_rules `cat :'root'/webhook/sql/outcome_rules.sql`
\set accounts `cat :'root'/common/sql/accounts.sql`
SELECT is(fx.as_role(role, command), expected, format('%s: %s', role, what))
FROM (VALUES
	('webhook', :'webhook_rules', 'works', 'reads the rules'),
	('webhook', :'accounts', 'works', 'reads the accounts'),
	('webhook', 'SELECT FROM carillon.leads', '42501', 'no leads'),
	('webhook', 'SELECT FROM carillon.calls', '42501', 'no calls'),
	('webhook', 'SELECT FROM carillon.settings', '42501', 'no settings'),
	('webhook', 'SELECT FROM carillon.suppressions', '42501', 'no numbers'),
	('webhook', 'INSERT INTO carillon.outcome_rules (outcome, action) VALUES (''X'', ''stop'')', '42501', 'no new rule'),
	('webhook', 'UPDATE carillon.accounts SET active = active', '42501', 'no change of an account'),
	('webhook', 'SELECT carillon.normalize_phone(''1'')', '42501', 'no function'),
	('webhook', 'CREATE TABLE carillon.mine ()', '42501', 'no table of its own'),
	('producer', 'INSERT INTO leads (phone) VALUES (''+12125550101'')', 'works', 'makes a lead, triggers and all'),
	('producer', format('INSERT INTO follow_ups (lead_id, due_at, status) SELECT lead_id, now(), ''pending'' FROM follow_ups WHERE id = %s', :f), 'works',
		'makes a follow-up'),
	('producer', 'UPDATE lanes SET active = false', 'works', 'changes a lane'),
	('producer', format('SELECT * FROM gates(%s, now())', :f), 'works', 'explains'),
	('producer', 'INSERT INTO calls (job_id) VALUES (gen_random_uuid())', '42501', 'does not dial'),
	('producer', 'DELETE FROM transitions', '42501', 'history stays'),
	('consumer', 'UPDATE leads SET paused = NOT paused', 'works', 'changes a lead, triggers and all'),
	('consumer', 'UPDATE accounts SET breaker_until = now()', 'works', 'opens a breaker'),
	('consumer', 'UPDATE accounts SET credentials = NULL', '42501', 'leaves credentials alone'),
	('consumer', 'INSERT INTO follow_ups (lead_id) SELECT id FROM leads', '42501', 'makes no follow-ups'),
	('consumer', 'DELETE FROM calls', '42501', 'the ledger stays'),
	('consumer', 'DELETE FROM leads', '42501', 'leads stay'),
	('consumer', 'UPDATE settings SET value = ''false''', '42501', 'does not start what was stopped'),
	('consumer', 'UPDATE tenants SET stopped_at = NULL', '42501', 'nor a tenant'),
	('readonly', format('SELECT * FROM gates(%s, now())', :f), 'works', 'explains'),
	('readonly', 'SELECT name FROM accounts', 'works', 'sees accounts'),
	('readonly', 'SELECT credentials FROM accounts', '42501', 'sees no credentials'),
	('readonly', 'UPDATE leads SET paused = true', '42501', 'changes nothing')) v (role, command, expected, what);

-- ---- All that a role must not do is tried ----------------------------------------------------------------------------------------

-- Every table, whether it has rows or not: a right is asked for before a row is looked at.
CREATE TEMP TABLE attempts AS
SELECT r.role, c.relname || ' ' || p.privilege AS what, format(p.command, c.relname, a.attname) AS command
FROM (VALUES ('webhook'), ('producer'), ('consumer'), ('readonly'), ('tenant')) r (role)
CROSS JOIN pg_class c
CROSS JOIN (VALUES ('r', 'SELECT', 'SELECT * FROM carillon.%1$I'), ('a', 'INSERT', 'INSERT INTO carillon.%1$I DEFAULT VALUES'),
	('w', 'UPDATE', 'UPDATE carillon.%1$I SET %2$I = %2$I'), ('d', 'DELETE', 'DELETE FROM carillon.%1$I'),
	('D', 'TRUNCATE', 'TRUNCATE carillon.%1$I CASCADE')) p (letter, privilege, command)
CROSS JOIN LATERAL (SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attidentity = '' AND attgenerated = ''
	AND attname NOT IN ('breaker_until', 'breaker_reason', 'stopped_at', 'stop_reason') ORDER BY attnum LIMIT 1) a
WHERE c.relnamespace = 'carillon'::regnamespace AND (c.relkind IN ('r', 'p') OR c.relkind IN ('v', 'm') AND p.letter = 'r')
AND NOT EXISTS (SELECT FROM wanted w, string_to_table(w.tables, ' ') t WHERE w.role = r.role AND t = c.relname AND w.rights LIKE '%' || p.letter || '%');

SELECT is_empty(format('SELECT what, fx.as_role(role, command) FROM attempts WHERE role = %L AND fx.as_role(role, command) <> ''42501''', role),
	format('%s: %s attempts on tables are refused', role, count(*)))
FROM attempts GROUP BY role;

CREATE TEMP TABLE beyond (command) AS VALUES ('CREATE TABLE carillon.mine ()'), ('CREATE FUNCTION carillon.mine() RETURNS int LANGUAGE sql RETURN 1'),
	('ALTER TABLE carillon.leads DROP COLUMN phone'), ('DROP TABLE carillon.suppressions'), ('ALTER TABLE carillon.calls DISABLE TRIGGER ALL'),
	('ALTER TABLE carillon.leads DISABLE ROW LEVEL SECURITY'), ('CREATE INDEX ON carillon.leads (phone)'), ('CREATE ROLE mine SUPERUSER'),
	('ALTER ROLE carillon_webhook SUPERUSER'), ('CREATE SCHEMA mine'), ('CREATE EXTENSION file_fdw'), ('SET log_statement = none'),
	('COPY (SELECT 1) TO PROGRAM ''true'''), ('COPY (SELECT 1) TO ''/tmp/mine'''), ('SELECT pg_read_file(''/etc/passwd'')'),
	('SELECT rolpassword FROM pg_authid'), ('SET session_replication_role = replica'), ('SELECT pg_reload_conf()');
SELECT is_empty(format('SELECT command, fx.as_role(%1$L, command) FROM beyond WHERE fx.as_role(%1$L, command) <> ''42501''', role),
	role || ': nor does it get beyond its tables')
FROM (VALUES ('webhook'), ('producer'), ('consumer'), ('readonly'), ('tenant')) v (role);

SELECT * FROM finish();
ROLLBACK;
