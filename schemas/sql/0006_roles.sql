-- SPDX-License-Identifier: Apache-2.0
-- Least privilege, by group roles; deployments make a login role in each. The schema's owner migrates.

DO $$
DECLARE r text;
BEGIN
	FOREACH r IN ARRAY ARRAY['carillon_producer', 'carillon_consumer', 'carillon_webhook', 'carillon_readonly', 'carillon_tenant'] LOOP
		-- Roles belong to the cluster: another database's migration may make it now, or an administrator has made it for
		-- an owner who may not.
		IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN
			BEGIN
				EXECUTE format('CREATE ROLE %I NOLOGIN NOINHERIT', r);
			EXCEPTION WHEN duplicate_object OR unique_violation THEN
				NULL;
			END;
		END IF;
		EXECUTE format('GRANT USAGE ON SCHEMA carillon TO %I', r);
	END LOOP;
END $$;

REVOKE ALL ON ALL TABLES IN SCHEMA carillon FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA carillon FROM PUBLIC;

-- The webhook faces the internet: accounts, rules and the zones of accounts' times, and nothing else.
GRANT SELECT ON accounts, outcome_rules, outcome_words, time_zones TO carillon_webhook;

-- The scheduler and the control API.
GRANT SELECT, INSERT, UPDATE, DELETE ON tenants, accounts, lanes, holidays, leads, follow_ups, claims, redial_queue, redial_removed,
	suppressions, outcome_rules, outcome_words, settings TO carillon_producer;
GRANT SELECT, INSERT ON transitions TO carillon_producer;
GRANT SELECT, UPDATE ON calls, live, call_events, dead_letters TO carillon_producer;
GRANT DELETE ON live TO carillon_producer;
GRANT SELECT ON provider_calls, call_reports, applied_offsets, time_zones, phone_zones, schema_migrations TO carillon_producer;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA carillon TO carillon_producer, carillon_consumer, carillon_readonly;

-- The dispatcher and the recorder: no credentials can be changed, nothing but live rows and queue facts removed.
GRANT SELECT ON tenants, lanes, holidays, settings, outcome_rules, outcome_words, accounts, time_zones, phone_zones, schema_migrations, claims TO carillon_consumer;
GRANT UPDATE (breaker_until, breaker_reason) ON accounts TO carillon_consumer;
GRANT SELECT, UPDATE ON leads, follow_ups TO carillon_consumer;
GRANT INSERT ON leads TO carillon_consumer;   -- of those that another dialer calls
GRANT SELECT, INSERT, UPDATE ON calls, provider_calls, live, call_events, call_reports, redial_queue, suppressions, dead_letters,
	applied_offsets TO carillon_consumer;
GRANT DELETE ON live TO carillon_consumer;
GRANT SELECT, INSERT ON transitions TO carillon_consumer;

-- People who look: everything but the sealed credentials.
GRANT SELECT ON tenants, lanes, holidays, leads, follow_ups, claims, calls, provider_calls, live, call_events, call_reports, redial_queue, redial_removed,
	suppressions, outcome_rules, outcome_words, settings, transitions, dead_letters, applied_offsets, time_zones, phone_zones, schema_migrations TO carillon_readonly;
GRANT SELECT (id, tenant_id, name, provider, active, source, settings, credential_names, max_concurrent, breaker_until, breaker_reason, created_at, updated_at)
	ON accounts TO carillon_readonly;
