-- SPDX-License-Identifier: Apache-2.0
-- Tenants apart from each other: keys of the API, and row-level security for the requests of one tenant. Such a request runs as
-- carillon_tenant with carillon.tenant set, and then no statement, whatever it forgets, reads or writes another tenant's row.
-- This file is the last one: it says of each table what a tenant may do, and a table of which it says nothing is closed.

CREATE TABLE api_keys (
	id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant_id  text REFERENCES tenants,             -- null: a key to all of them
	name       text NOT NULL CHECK (name <> ''),
	role       text NOT NULL CHECK (role IN ('read', 'operate')),
	hash       bytea NOT NULL UNIQUE CHECK (length(hash) = 32),   -- SHA-256 of the key, which has 244 random bits
	created_at timestamptz NOT NULL DEFAULT now(),
	expires_at timestamptz,
	revoked_at timestamptz
);
CREATE TRIGGER api_keys_changed AFTER INSERT OR UPDATE OR DELETE ON api_keys FOR EACH STATEMENT EXECUTE FUNCTION notify_channel('carillon_settings');

-- Sessions of the page that were ended before their time. All else of a session is in its cookie.
CREATE TABLE ended_sessions (
	id         bytea PRIMARY KEY CHECK (length(id) = 16),
	expires_at timestamptz NOT NULL
);
CREATE INDEX ended_sessions_expiry ON ended_sessions (expires_at);
CREATE TRIGGER ended_sessions_changed AFTER INSERT ON ended_sessions FOR EACH STATEMENT EXECUTE FUNCTION notify_channel('carillon_settings');

-- Who decided: known of what a tenant's own request does, null of all else.
ALTER TABLE transitions ADD tenant_id text DEFAULT bound_tenant();

-- ---- The role -------------------------------------------------------------------------------------------------------

-- Whoever serves the API may become it, and has none of its rights before: the producer does not inherit them. As with the roles
-- themselves, another database's migration may do it now, or an administrator has done it.
DO $$
DECLARE
	r text;
BEGIN
	IF (SELECT rolinherit FROM pg_roles WHERE rolname = 'carillon_producer') THEN
		ALTER ROLE carillon_producer NOINHERIT;
	END IF;
	FOREACH r IN ARRAY ARRAY['carillon_producer', current_user] LOOP   -- the owner, where the producer logs in as it
		IF NOT pg_has_role(r, 'carillon_tenant', 'MEMBER') THEN
			BEGIN
				EXECUTE format('GRANT carillon_tenant TO %I', r);
			EXCEPTION WHEN unique_violation OR internal_error THEN
				NULL;
			WHEN insufficient_privilege THEN
				RAISE NOTICE 'role % can''t be made a member of carillon_tenant: an administrator has to', r;
			END;
		END IF;
	END LOOP;
END $$;

-- The rest of the transaction is the tenant's. Without that tenant there is no rest: to go on would be to go on as everybody.
CREATE FUNCTION bind_tenant(the_tenant text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM carillon.tenants t WHERE t.id = the_tenant) THEN
		RAISE EXCEPTION 'no tenant %', the_tenant USING ERRCODE = 'CT404';
	END IF;
	PERFORM set_config('carillon.tenant', the_tenant, true), set_config('role', 'carillon_tenant', true);
END $$;

-- ---- Whose a row is -------------------------------------------------------------------------------------------------

-- For each table what a tenant may do, which rows are its own, and what must hold of a row it writes besides. The processes' own
-- roles have all rows; `true` is folded away by the planner, so that their statements are planned as without policies.
DO $$
DECLARE
	t record;
	own CONSTANT text := 'tenant_id = carillon.bound_tenant()';
BEGIN
	FOR t IN SELECT * FROM (VALUES
		('tenants', 'SELECT, UPDATE (stopped_at, stop_reason)', 'id = carillon.bound_tenant()', 'true'),
		('accounts', 'SELECT (id, tenant_id, name, provider, active, source, settings, credential_names, max_concurrent, breaker_until, breaker_reason,'
			' created_at, updated_at)', own, 'true'),
		('api_keys', NULL, own, 'true'),
		('ended_sessions', NULL, 'false', 'true'),
		('processes', NULL, 'false', 'true'),
		('holidays', 'SELECT, INSERT, UPDATE, DELETE', own, 'true'),
		('lanes', 'SELECT, INSERT, UPDATE', own, 'account_id IS NULL OR EXISTS (SELECT FROM carillon.accounts a WHERE a.id = account_id)'),
		('leads', 'SELECT, INSERT, UPDATE, DELETE', own, 'true'),
		('suppressions', 'SELECT, INSERT, UPDATE, DELETE', own, 'true'),
		('follow_ups', 'SELECT, INSERT, UPDATE', own, 'EXISTS (SELECT FROM carillon.leads l WHERE l.id = lead_id)'
			' AND EXISTS (SELECT FROM carillon.lanes n WHERE n.id = lane_id)'
			' AND (account_id IS NULL OR EXISTS (SELECT FROM carillon.accounts a WHERE a.id = account_id))'),
		('claims', 'SELECT', 'EXISTS (SELECT FROM carillon.lanes n WHERE n.id = lane_id)', 'true'),
		('campaigns', 'SELECT, INSERT, UPDATE', own, 'EXISTS (SELECT FROM carillon.lanes n WHERE n.id = lane_id)'),
		-- Of its lead nothing is asked here: the statement that adds a contact may be the one that makes the lead.
		('campaign_contacts', 'SELECT, INSERT, UPDATE, DELETE', 'EXISTS (SELECT FROM carillon.campaigns k WHERE k.id = campaign_id)', 'true'),
		('uploads', 'SELECT, INSERT', own, 'EXISTS (SELECT FROM carillon.campaigns k WHERE k.id = campaign_id)'),
		('upload_rows', 'SELECT', 'EXISTS (SELECT FROM carillon.uploads u WHERE u.id = upload_id)', 'true'),
		('calls', 'SELECT, UPDATE', own, 'true'),
		('live', 'SELECT, UPDATE, DELETE', own, 'true'),
		('ended_calls', 'SELECT, INSERT, DELETE', 'EXISTS (SELECT FROM carillon.lanes n WHERE n.id = lane_id)', 'true'),
		('ended_totals', 'SELECT, INSERT, UPDATE', 'EXISTS (SELECT FROM carillon.lanes n WHERE n.id = lane_id)', 'true'),
		('provider_calls', 'SELECT', 'EXISTS (SELECT FROM carillon.calls c WHERE c.job_id = provider_calls.job_id)', 'true'),
		('call_reports', 'SELECT', 'EXISTS (SELECT FROM carillon.calls c WHERE c.job_id = call_reports.job_id)', 'true'),
		('call_events', 'SELECT', own, 'true'),
		('redial_queue', 'SELECT, INSERT, UPDATE, DELETE', own, 'true'),
		('redial_removed', 'SELECT, INSERT, UPDATE', own, 'true'),
		('outcome_rules', 'SELECT', 'tenant_id IS NULL OR ' || own, 'true'),
		('outcome_words', NULL, 'tenant_id IS NULL OR ' || own, 'true'),
		('settings', 'SELECT', 'key IN (''stopped'', ''timeline'', ''lead_window'', ''unknown_zone'', ''account_queued_max'', ''redial'', ''workflow'')', 'true'),
		-- Its own decisions, and what the processes note of what is its own.
		('transitions', 'SELECT, INSERT', own || ' OR tenant_id IS NULL AND CASE entity'
			' WHEN ''lead'' THEN EXISTS (SELECT FROM carillon.leads l WHERE l.id = carillon.query_id(entity_id))'
			' WHEN ''redial'' THEN EXISTS (SELECT FROM carillon.redial_queue q WHERE q.id = carillon.query_id(entity_id))'
			' WHEN ''campaign'' THEN EXISTS (SELECT FROM carillon.campaigns k WHERE k.id = carillon.query_id(entity_id))'
			' WHEN ''pending_call'' THEN EXISTS (SELECT FROM carillon.pending_calls p WHERE p.id = carillon.query_uuid(entity_id))'
			' WHEN ''call'' THEN EXISTS (SELECT FROM carillon.calls c WHERE c.job_id = carillon.query_uuid(entity_id))'
			' WHEN ''tenant'' THEN entity_id = carillon.bound_tenant() ELSE false END', own),
		('pending_calls', 'SELECT, INSERT, UPDATE', own, 'true'),
		('call_classifications', 'SELECT, INSERT, UPDATE, DELETE', own, 'true'),
		('workflow_calls', 'SELECT, INSERT, UPDATE', 'EXISTS (SELECT FROM carillon.pending_calls p WHERE p.id = pending_call_id)', 'true'),
		('workflow_arrows', 'SELECT', 'true', 'true'),
		('workflow_runs', NULL, 'false', 'true'),
		('dead_letters', NULL, 'false', 'true'),
		('audits', NULL, 'false', 'true'),
		('audit_differences', NULL, own, 'true'),
		('applied_offsets', NULL, 'false', 'true')) v ("table", rights, own, of_written)
	LOOP
		EXECUTE format('ALTER TABLE carillon.%I ENABLE ROW LEVEL SECURITY', t."table");
		EXECUTE format('CREATE POLICY all_rows ON carillon.%I TO carillon_producer, carillon_consumer, carillon_webhook, carillon_readonly'
			' USING (true) WITH CHECK (true)', t."table");
		EXECUTE format('CREATE POLICY own_rows ON carillon.%I TO carillon_tenant USING (%s) WITH CHECK ((%2$s) AND (%s))',
			t."table", t.own, t.of_written);
		IF t.rights IS NOT NULL THEN
			EXECUTE format('GRANT %s ON carillon.%I TO carillon_tenant', t.rights, t."table");
		END IF;
	END LOOP;
END $$;

GRANT SELECT ON time_zones, phone_zones TO carillon_tenant;   -- the world's
GRANT SELECT, INSERT, UPDATE ON api_keys TO carillon_producer;
GRANT SELECT, INSERT, DELETE ON ended_sessions TO carillon_producer;

-- ---- The API ---------------------------------------------------------------------------------------------------------

CREATE FUNCTION tenant_record(t tenants) RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT jsonb_build_object('id', (t).id, 'name', (t).name, 'stopped', (t).stopped_at IS NOT NULL,
		'stopped_at', carillon.iso_utc((t).stopped_at), 'stop_reason', (t).stop_reason, 'created_at', carillon.iso_utc((t).created_at))
$$;

CREATE FUNCTION api_key_record(k api_keys) RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT jsonb_build_object('id', (k).id, 'tenant', (k).tenant_id, 'name', (k).name, 'role', (k).role,
		'created_at', carillon.iso_utc((k).created_at), 'expires_at', carillon.iso_utc((k).expires_at),
		'revoked_at', carillon.iso_utc((k).revoked_at))
$$;

-- Of credentials the names alone; null of the environment's accounts, which the database knows nothing of.
CREATE FUNCTION account_record(a accounts) RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT jsonb_build_object('name', (a).name, 'tenant', (a).tenant_id, 'provider', (a).provider, 'source', (a).source,
		'active', (a).active, 'max_concurrent', (a).max_concurrent, 'settings', (a).settings,
		'credentials', CASE (a).source WHEN 'api' THEN to_jsonb((a).credential_names) END,
		'breaker_until', carillon.iso_utc((a).breaker_until), 'breaker_reason', (a).breaker_reason,
		'created_at', carillon.iso_utc((a).created_at), 'updated_at', carillon.iso_utc((a).updated_at))
$$;

-- The settings and the credentials that a provider's account has (common/accounts.h).
CREATE FUNCTION account_members(the_provider text, part text) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE part WHEN 'settings' THEN settings ELSE credentials END FROM (VALUES
		('omni', '{base_url,url,agent_id,from_number_id}'::text[], '{api_key,webhook_token}'::text[]),
		('vapi', '{base_url,assistant_id,phone_number_id,webhook_auth}', '{api_key,webhook_secret}'),
		('twilio', '{account_sid,base_url,from_number,twiml_url,machine_detection}', '{auth_token}'),
		('bland', '{base_url,from_number,pathway_id,pathway_version,agent_id,persona_id,task}', '{api_key,webhook_secret}'),
		('convoso', '{fields,time_zone}', '{webhook_secret}'),
		('classifier', '{}', '{webhook_secret}'),
		('generic', '{}', '{webhook_secret}')) m (provider, settings, credentials)
	WHERE provider = the_provider
$$;

-- What is wrong with a member of `settings` or `credentials`; null: nothing. Of a credential the value is not here: it is
-- "sealed", or what it is if it is no text.
CREATE FUNCTION account_member_problem(the_provider text, part text, member text, given jsonb) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
	kind text := jsonb_typeof(given);
	word text := given #>> '{}';
BEGIN
	RETURN CASE
		WHEN member <> ALL (coalesce(carillon.account_members(the_provider, part), '{}')) THEN
			CASE WHEN member = ANY (carillon.account_members(the_provider, 'credentials')) THEN 'a secret: give it in credentials'
				ELSE format('%s has %s', the_provider, coalesce(nullif(array_to_string(carillon.account_members(the_provider, part), ', '), ''), 'none')) END
		WHEN kind = 'null' THEN NULL
		WHEN part = 'credentials' THEN CASE WHEN kind <> 'string' THEN 'text of 1 to 4096 characters; null for none' END
		WHEN member = 'fields' THEN CASE WHEN kind <> 'object' OR EXISTS (SELECT FROM jsonb_each(CASE kind WHEN 'object' THEN given ELSE '{}' END) f
			WHERE jsonb_typeof(f.value) <> 'string' OR length(f.value #>> '{}') NOT BETWEEN 1 AND 200) THEN 'an object of texts; null for none' END
		WHEN kind NOT IN ('string', 'number') OR word = '' THEN 'text, or a number; null for none'
		WHEN member LIKE '%url' AND word !~ '^https?://[^/ ]+' THEN 'an address, such as https://api.example.com'
		WHEN member = 'time_zone' AND NOT carillon.zone_exists(word) THEN 'the name of a time zone, such as America/New_York'
		WHEN member = 'webhook_auth' AND word NOT IN ('any', 'bearer', 'secret', 'hmac') THEN 'any, bearer, secret or hmac'
		WHEN member = 'machine_detection' AND word NOT IN ('Enable', 'DetectMessageEnd', 'off') THEN 'Enable, DetectMessageEnd or off'
		ELSE carillon.text_problem(word, 4096) END;
END $$;

-- All that is wrong with an account that is made (the_provider null) or changed; null: nothing.
CREATE FUNCTION account_problems(the_provider text, given jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
	is_new CONSTANT boolean := the_provider IS NULL;
	bad jsonb;
BEGIN
	the_provider := coalesce(the_provider, CASE WHEN given ->> 'provider' = ANY (carillon.providers()) THEN given ->> 'provider' END);
	SELECT jsonb_agg(jsonb_build_object('field', field, 'detail', detail) ORDER BY field) INTO bad FROM (
		SELECT m.key AS field, CASE
			WHEN m.key IN ('name', 'provider', 'tenant') AND NOT is_new THEN 'an account keeps it'
			WHEN m.key = 'name' THEN CASE WHEN jsonb_typeof(m.value) <> 'string' OR m.value #>> '{}' !~ '^[a-z0-9][a-z0-9_-]{0,62}$'
				THEN '1 to 63 small letters, digits, underscores and hyphens' END
			WHEN m.key = 'provider' THEN CASE WHEN the_provider IS NULL OR jsonb_typeof(m.value) <> 'string'
				THEN 'one of ' || array_to_string(carillon.providers(), ', ') END
			WHEN m.key = 'tenant' THEN CASE WHEN jsonb_typeof(m.value) <> 'string' OR NOT EXISTS (SELECT FROM carillon.tenants t WHERE t.id = m.value #>> '{}')
				THEN 'the id of a tenant' END
			WHEN m.key = 'active' THEN CASE WHEN jsonb_typeof(m.value) <> 'boolean' THEN 'true or false' END
			WHEN m.key = 'max_concurrent' THEN CASE WHEN NOT carillon.whole_number(m.value, 0, 100000) THEN 'a whole number up to 100000; 0 for no limit' END
			WHEN m.key IN ('settings', 'credentials') THEN CASE WHEN jsonb_typeof(m.value) <> 'object' THEN 'an object' END
			ELSE 'no such field' END AS detail
		FROM jsonb_each(given) m
		UNION ALL
		SELECT needed, 'missing' FROM unnest('{name,provider}'::text[]) needed WHERE is_new AND NOT given ? needed
		UNION ALL
		SELECT p.key || '.' || left(m.key, 100), carillon.account_member_problem(the_provider, p.key, m.key, m.value)
		FROM jsonb_each(given) p CROSS JOIN LATERAL jsonb_each(CASE jsonb_typeof(p.value) WHEN 'object' THEN p.value ELSE '{}' END) m
		WHERE p.key IN ('settings', 'credentials') AND the_provider IS NOT NULL) x
	WHERE detail IS NOT NULL;
	RETURN bad;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA carillon FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA carillon TO carillon_producer, carillon_consumer, carillon_readonly, carillon_tenant;
