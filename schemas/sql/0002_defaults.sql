-- SPDX-License-Identifier: Apache-2.0
-- What exists from the start: the default tenant with its lanes, the settings and the outcome rules.

-- Each tenant has these lanes: without them its leads would have nowhere to wait.
CREATE FUNCTION tenants_lanes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO carillon.lanes (tenant_id, name, window_start, window_end, time_zone, use_lead_window, max_concurrent, batch_per_run)
	VALUES (NEW.id, 'follow_ups', NULL, NULL, NULL, true, 50, 500),
	       (NEW.id, 'redial', '11:00', '20:00', 'America/New_York', false, 1, 50),
	       (NEW.id, 'workflow', '09:00', '17:00', 'America/New_York', false, 10, 10);
	RETURN NULL;
END $$;
CREATE TRIGGER tenants_lanes AFTER INSERT ON tenants FOR EACH ROW EXECUTE FUNCTION tenants_lanes();

INSERT INTO tenants (id, name) VALUES ('default', 'Default');

-- Settings that gates and sources read; the producer writes those that come from its environment.
INSERT INTO settings (key, value) VALUES
	('stopped', 'false'),                       -- the kill switch over everything
	('lead_window', '{"start": "08:00", "end": "21:00"}'),
	('account_queued_max', '10000'),            -- jobs of an account in Kafka that nobody has taken
	('unknown_zone', '"closed"'),               -- or "lane": the lane's zone, 10:00 to 17:00
	('redial', '{"enabled": true, "running": true, "redial_interval_minutes": 30, "max_attempts": 4,
	             "process_interval_minutes": 5, "retention_days": 30}');

-- An outcome without a rule is a retry. CALLBACK without an agreed time counts as a success.
INSERT INTO outcome_rules (outcome, action) VALUES
	('TRANSFERRED', 'success'), ('SALE', 'success'), ('ACA', 'success'),
	('CALLBACK', 'callback'), ('DO_NOT_CALL', 'suppress'), ('NOT_INTERESTED', 'stop');

-- People's sessions find the tables by their plain names. A migrating role that does not own the database may not set that.
DO $$
BEGIN
	EXECUTE format('ALTER DATABASE %I SET search_path = carillon, public', current_database());
EXCEPTION WHEN insufficient_privilege THEN
	RAISE NOTICE 'search_path of database % is left as it is', current_database();
END $$;
