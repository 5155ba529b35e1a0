-- SPDX-License-Identifier: Apache-2.0
-- Campaigns: how their calls are scheduled. The gates frequency and retry_limit (0004_gates.sql) decide when one is dialed.

-- Schedules the calls of these contacts: for the time they ask for, or the next opening of the campaign's lane. While a campaign
-- stands still its calls are scheduled as those that its stop called off, to be taken up when it starts.
CREATE FUNCTION campaign_schedule(contacts bigint[]) RETURNS bigint LANGUAGE sql VOLATILE AS $$
	WITH wanted AS MATERIALIZED (
		SELECT c.id, c.lead_id, c.scheduled, greatest(c.schedule_at, now()) AS schedule_at, k.tenant_id, k.lane_id,
			n.active, k.deleted_at IS NULL AS exists
		FROM carillon.campaign_contacts c JOIN carillon.campaigns k ON k.id = c.campaign_id JOIN carillon.lanes n ON n.id = k.lane_id
		WHERE c.id = ANY (contacts) AND c.schedule_at IS NOT NULL
	), opening AS MATERIALIZED (   -- once for those that share lane and time
		SELECT d.*, coalesce(carillon.next_opening(d.schedule_at, d.lane_id, '{}', NULL, NULL), d.schedule_at) AS at
		FROM (SELECT DISTINCT lane_id, schedule_at FROM wanted WHERE exists) d
	), scheduled AS (
		INSERT INTO carillon.follow_ups (tenant_id, lead_id, kind, lane_id, source, source_id, occurrence, status, reason, due_at, next_look_at)
		SELECT w.tenant_id, w.lead_id, 'campaign', w.lane_id, 'campaign', w.id::text, (w.scheduled + 1)::text,
			CASE WHEN w.active THEN 'pending' ELSE 'cancelled' END, CASE WHEN NOT w.active THEN 'campaign_stopped' END,
			o.at, CASE WHEN w.active THEN o.at END
		FROM wanted w JOIN opening o USING (lane_id, schedule_at)
		ON CONFLICT (source, source_id, occurrence) DO NOTHING
		RETURNING 1
	), noted AS (
		UPDATE carillon.campaign_contacts c SET schedule_at = NULL, scheduled = c.scheduled + w.exists::integer
		FROM wanted w WHERE c.id = w.id
	)
	SELECT count(*) FROM scheduled
$$;

-- A campaign's call is over: a recurring one is followed by the next cycle's, whatever its outcome; another by the next day's
-- until one succeeds or the number of attempts is reached. One that asked to be called back is not called before that.
CREATE FUNCTION campaign_call_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE carillon.campaign_contacts c SET schedule_at = greatest(CASE WHEN NEW.callback_at < now() + interval '90 days' THEN NEW.callback_at END,
		carillon.next_cycle(k.frequency, coalesce(NEW.posted_at, NEW.claimed_at) AT TIME ZONE coalesce(n.time_zone, 'UTC'))
			AT TIME ZONE coalesce(n.time_zone, 'UTC'))
	FROM carillon.follow_ups f, carillon.campaigns k JOIN carillon.lanes n ON n.id = k.lane_id
	WHERE f.id = NEW.follow_up_id AND f.source = 'campaign' AND c.id = f.source_id::bigint AND c.scheduled::text = f.occurrence
	AND k.id = c.campaign_id AND k.deleted_at IS NULL
	AND CASE k.frequency WHEN 'none' THEN NOT carillon.call_succeeded(NEW.tenant_id, NEW.outcome, NEW.success)
		AND (SELECT count(*) FROM carillon.calls o WHERE o.phone = NEW.phone AND o.lane_id = NEW.lane_id
			AND o.tenant_id = NEW.tenant_id AND o.status NOT IN ('rejected', 'not_dialed')) < k.retry_attempts
		ELSE carillon.outcome_action(NEW.tenant_id, NEW.outcome) <> 'suppress' END;
	RETURN NULL;
END $$;
CREATE TRIGGER campaign_call_ended AFTER UPDATE OF outcome ON calls FOR EACH ROW
	WHEN (NEW.kind = 'campaign' AND OLD.outcome IS NULL AND NEW.outcome IS NOT NULL) EXECUTE FUNCTION campaign_call_ended();

-- Starting or stopping a campaign is its lane's switch, in force at once; its scheduled calls follow, a batch at a time.
CREATE FUNCTION campaign_switched() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE carillon.campaigns SET changing = true, changed_up_to = 0, updated_at = now() WHERE lane_id = NEW.id;
	RETURN NULL;
END $$;
CREATE TRIGGER campaign_switched AFTER UPDATE OF active ON lanes FOR EACH ROW
	WHEN (OLD.active <> NEW.active) EXECUTE FUNCTION campaign_switched();

-- The next batch of a campaign that was started or stopped. Answers how many follow-ups it looked at.
CREATE FUNCTION campaign_switch(most bigint) RETURNS bigint LANGUAGE sql VOLATILE AS $$
	WITH campaign AS MATERIALIZED (
		SELECT k.id, k.lane_id, k.changed_up_to, n.active AND k.deleted_at IS NULL AS active
		FROM carillon.campaigns k JOIN carillon.lanes n ON n.id = k.lane_id
		WHERE k.changing ORDER BY k.id LIMIT 1 FOR NO KEY UPDATE OF k SKIP LOCKED
	), batch AS MATERIALIZED (
		SELECT f.id, f.status, f.reason, k.active FROM campaign k CROSS JOIN LATERAL (
			SELECT id, status, reason FROM carillon.follow_ups
			WHERE source = 'campaign' AND lane_id = k.lane_id AND id > k.changed_up_to ORDER BY id LIMIT most) f
	), stopped AS (
		UPDATE carillon.follow_ups SET status = 'cancelled', reason = 'campaign_stopped', gate = NULL, next_look_at = NULL, lease_until = NULL
		WHERE id = ANY (ARRAY(SELECT id FROM batch WHERE NOT active)) AND status IN ('pending', 'queued')
	), resumed AS (
		UPDATE carillon.follow_ups SET status = 'pending', reason = NULL, job_id = NULL, claim_id = NULL, next_look_at = greatest(due_at, now())
		WHERE id = ANY (ARRAY(SELECT id FROM batch WHERE active)) AND status = 'cancelled' AND reason = 'campaign_stopped'
	), noted AS (
		UPDATE carillon.campaigns k SET changing = (SELECT count(*) FROM batch) >= most,
			changed_up_to = coalesce((SELECT max(id) FROM batch), 0)
		FROM campaign c WHERE k.id = c.id
	)
	SELECT CASE WHEN EXISTS (SELECT FROM campaign) THEN greatest((SELECT count(*) FROM batch), 1) ELSE 0 END
$$;

-- What a campaign may do is looked at again with other rules.
CREATE FUNCTION campaign_look_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE carillon.follow_ups SET next_look_at = greatest(due_at, now())
	WHERE source = 'campaign' AND lane_id = NEW.lane_id AND status = 'pending' AND gate = 'frequency';
	UPDATE carillon.lanes SET next_at = '-infinity' WHERE id = NEW.lane_id;
	PERFORM pg_notify('carillon_due', '');
	RETURN NULL;
END $$;
CREATE TRIGGER campaign_look_again AFTER UPDATE OF frequency, retry_attempts ON campaigns FOR EACH ROW
	WHEN (OLD.frequency <> NEW.frequency OR OLD.retry_attempts <> NEW.retry_attempts) EXECUTE FUNCTION campaign_look_again();

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA carillon FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON campaigns, campaign_contacts TO carillon_producer;
GRANT SELECT ON campaigns TO carillon_consumer, carillon_readonly;
GRANT SELECT, UPDATE ON campaign_contacts TO carillon_consumer;
GRANT SELECT ON campaign_contacts TO carillon_readonly;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA carillon TO carillon_producer, carillon_consumer, carillon_readonly;
