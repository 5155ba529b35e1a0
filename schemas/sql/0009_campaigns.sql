-- SPDX-License-Identifier: Apache-2.0
-- Campaigns: how their calls are scheduled. The gates frequency and retry_limit (0004_gates.sql) decide when one is dialed.

-- Schedules the calls of these contacts: for the time they ask for, or the next opening of the campaign's lane. While a campaign
-- stands still its calls are scheduled as those that its stop called off, to be taken up when it starts.
CREATE FUNCTION campaign_schedule(contacts bigint[]) RETURNS bigint LANGUAGE sql VOLATILE AS $$
	WITH contact AS MATERIALIZED (
		SELECT id, campaign_id, lead_id, scheduled, schedule_at FROM carillon.campaign_contacts WHERE id = ANY (contacts) AND schedule_at IS NOT NULL
	), campaign AS MATERIALIZED (   -- nobody starts or stops one meanwhile; who locks many takes campaigns before lanes, each by their ids
		SELECT id, tenant_id, lane_id, deleted_at FROM carillon.campaigns
		WHERE id = ANY (ARRAY(SELECT DISTINCT campaign_id FROM contact)) ORDER BY id FOR SHARE
	), lane AS MATERIALIZED (
		SELECT id, active, priority FROM carillon.lanes WHERE id = ANY (ARRAY(SELECT lane_id FROM campaign)) ORDER BY id FOR SHARE
	), wanted AS MATERIALIZED (
		SELECT c.id, c.lead_id, c.scheduled, greatest(c.schedule_at, now()) AS schedule_at, k.tenant_id, k.lane_id,
			n.active, n.priority, k.deleted_at IS NULL AS is_there
		FROM contact c JOIN campaign k ON k.id = c.campaign_id JOIN lane n ON n.id = k.lane_id
	), opening AS MATERIALIZED (   -- once for those that share lane and time
		SELECT d.*, coalesce(carillon.next_opening(d.schedule_at, d.lane_id, '{}', NULL, NULL), d.schedule_at) AS at
		FROM (SELECT DISTINCT lane_id, schedule_at FROM wanted WHERE is_there) d
	), scheduled AS (
		INSERT INTO carillon.follow_ups (tenant_id, lead_id, kind, lane_id, source, source_id, occurrence, status, reason, priority, due_at, next_look_at)
		SELECT w.tenant_id, w.lead_id, 'campaign', w.lane_id, 'campaign', w.id::text, (w.scheduled + 1)::text,
			CASE WHEN w.active THEN 'pending' ELSE 'cancelled' END, CASE WHEN NOT w.active THEN 'campaign_stopped' END,
			w.priority, o.at, CASE WHEN w.active THEN o.at END
		FROM wanted w JOIN opening o USING (lane_id, schedule_at)
		ON CONFLICT (source, source_id, occurrence) DO NOTHING
		RETURNING 1
	), noted AS (
		UPDATE carillon.campaign_contacts c SET schedule_at = NULL, scheduled = c.scheduled + w.is_there::integer
		FROM wanted w WHERE c.id = w.id
	)
	SELECT count(*) FROM scheduled
$$;

CREATE TRIGGER campaign_contacts_due AFTER INSERT ON campaign_contacts REFERENCING NEW TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION notify_rows('carillon_due');

-- A campaign's call is over: a recurring one is followed by the next cycle's, whatever its outcome; another by the next day's
-- until one succeeds or the number of attempts is reached. One that asked to be called back is not called before that.
CREATE FUNCTION campaign_call_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE carillon.campaign_contacts c SET schedule_at = greatest(CASE WHEN NEW.callback_at < now() + interval '90 days' THEN NEW.callback_at END,
		carillon.next_cycle(k.frequency, coalesce(NEW.posted_at, NEW.claimed_at) AT TIME ZONE coalesce(n.time_zone, 'UTC'))
			AT TIME ZONE coalesce(n.time_zone, 'UTC'))
	FROM carillon.follow_ups f, carillon.campaigns k JOIN carillon.lanes n ON n.id = k.lane_id
	WHERE f.id = NEW.follow_up_id AND f.source = 'campaign' AND c.id = CASE WHEN f.source_id ~ '^[0-9]{1,18}$' THEN f.source_id::bigint END AND c.scheduled::text = f.occurrence
	AND k.id = c.campaign_id AND k.deleted_at IS NULL
	AND CASE k.frequency WHEN 'none' THEN NOT carillon.call_succeeded(NEW.tenant_id, NEW.outcome, NEW.success, NEW.callback_at)
		AND (SELECT count(*) FROM carillon.calls o WHERE o.phone = NEW.phone AND o.lane_id = NEW.lane_id
			AND o.tenant_id = NEW.tenant_id AND o.status NOT IN ('rejected', 'not_dialed')) < k.retry_attempts
		ELSE carillon.outcome_action(NEW.tenant_id, NEW.outcome) <> 'suppress' END;
	RETURN NULL;
END $$;
CREATE TRIGGER campaign_call_ended AFTER UPDATE OF outcome ON calls FOR EACH ROW
	WHEN (NEW.kind = 'campaign' AND OLD.outcome IS NULL AND NEW.outcome IS NOT NULL) EXECUTE FUNCTION campaign_call_ended();

-- Neither what its provider refused because of settings nor what an operator called off ends a recurrence: the next cycle's follows.
CREATE FUNCTION campaign_call_missed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE carillon.campaign_contacts c SET schedule_at = carillon.next_cycle(k.frequency, greatest(NEW.due_at, now()) AT TIME ZONE coalesce(n.time_zone, 'UTC'))
		AT TIME ZONE coalesce(n.time_zone, 'UTC')
	FROM carillon.campaigns k JOIN carillon.lanes n ON n.id = k.lane_id
	WHERE c.id = CASE WHEN NEW.source_id ~ '^[0-9]{1,18}$' THEN NEW.source_id::bigint END AND c.scheduled::text = NEW.occurrence
	AND k.id = c.campaign_id AND k.deleted_at IS NULL AND k.frequency <> 'none';
	RETURN NULL;
END $$;
CREATE TRIGGER campaign_call_missed AFTER UPDATE OF status ON follow_ups FOR EACH ROW
	WHEN (NEW.source = 'campaign' AND OLD.status <> NEW.status AND (NEW.status = 'failed' AND NEW.reason = 'configuration'
		OR NEW.status = 'cancelled' AND NEW.reason = 'operator')) EXECUTE FUNCTION campaign_call_missed();

-- What became of a campaign's calls to a number.
CREATE FUNCTION campaign_calls(the_tenant text, the_lane bigint, the_phone text)
RETURNS TABLE (dials bigint, succeeded boolean, ended boolean, dialed_at timestamptz, callback_at timestamptz, action text) LANGUAGE sql STABLE AS $$
	SELECT count(*), bool_or(carillon.call_succeeded(o.tenant_id, o.outcome, o.success, o.callback_at)), bool_and(o.outcome IS NOT NULL),
		max(coalesce(o.posted_at, o.claimed_at)), (array_agg(o.callback_at ORDER BY o.claimed_at DESC))[1],
		carillon.outcome_action(the_tenant, (array_agg(o.outcome ORDER BY o.claimed_at DESC))[1])
	FROM carillon.calls o WHERE o.phone = the_phone AND o.tenant_id = the_tenant AND o.lane_id = the_lane
	AND o.status NOT IN ('rejected', 'not_dialed')
$$;

-- May another one follow these?
CREATE FUNCTION campaign_goes_on(frequency text, attempts integer, dials bigint, succeeded boolean, action text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE frequency WHEN 'none' THEN dials < attempts AND succeeded IS NOT TRUE ELSE action <> 'suppress' END
$$;

-- Starting or stopping a campaign is its lane's switch, in force at once; its scheduled calls follow, a batch at a time.
CREATE FUNCTION campaign_switched() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE carillon.campaigns SET changing = true, change_at = '-infinity', updated_at = now() WHERE lane_id = NEW.id;
	RETURN NULL;
END $$;
CREATE TRIGGER campaign_switched AFTER UPDATE OF active ON lanes FOR EACH ROW
	WHEN (OLD.active <> NEW.active) EXECUTE FUNCTION campaign_switched();

-- Starts or stops a campaign. Answers whether that changed anything; null: there is none. PL/pgSQL, because each of its statements
-- sees what was committed while the former waited.
CREATE FUNCTION campaign_turn(the_id bigint, starts boolean, the_reason text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	PERFORM FROM carillon.campaigns k JOIN carillon.lanes n ON n.id = k.lane_id
	WHERE k.id = the_id AND k.deleted_at IS NULL FOR NO KEY UPDATE OF k, n;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	UPDATE carillon.lanes n SET active = starts FROM carillon.campaigns k WHERE k.id = the_id AND n.id = k.lane_id AND n.active <> starts;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	INSERT INTO carillon.transitions (entity, entity_id, from_state, to_state, reason, note, actor)
	VALUES ('campaign', the_id::text, CASE WHEN starts THEN 'stopped' ELSE 'active' END, CASE WHEN starts THEN 'active' ELSE 'stopped' END,
		CASE WHEN starts THEN 'start' ELSE 'stop' END, the_reason, 'operator');
	RETURN true;
END $$;

-- What a stop calls off: what waits, and what is queued; what a start takes up: what a stop called off. Read from where these alone
-- are, however many calls the campaign ever had.
CREATE FUNCTION campaign_waiting(the_lane bigint, starts boolean) RETURNS SETOF bigint LANGUAGE sql STABLE AS $$
	SELECT f.id FROM carillon.follow_ups f WHERE NOT starts AND f.lane_id = the_lane AND f.next_look_at IS NOT NULL AND f.source = 'campaign'
	UNION ALL
	SELECT q.id FROM carillon.claims c CROSS JOIN LATERAL (SELECT f.id FROM carillon.follow_ups f
		WHERE f.claim_id = c.id AND f.status = 'queued' AND f.source = 'campaign' OFFSET 0) q
	WHERE NOT starts AND c.lane_id = the_lane
	UNION ALL
	SELECT f.id FROM carillon.follow_ups f WHERE starts AND f.lane_id = the_lane AND f.reason = 'campaign_stopped' AND f.status = 'cancelled'
$$;

-- The next batch of a campaign that was started or stopped; those that are at it take turns. Answers how many follow-ups it looked at.
-- A stop is through only when a dispatcher holds none of its calls any more, for one that it has not sent comes back to wait.
CREATE FUNCTION campaign_switch(most bigint) RETURNS bigint LANGUAGE sql VOLATILE AS $$
	WITH campaign AS MATERIALIZED (
		SELECT k.id, k.lane_id, n.active AND k.deleted_at IS NULL AS active
		FROM carillon.campaigns k JOIN carillon.lanes n ON n.id = k.lane_id
		WHERE k.changing AND k.change_at <= now() ORDER BY k.change_at LIMIT 1 FOR NO KEY UPDATE OF k, n SKIP LOCKED
	), batch AS MATERIALIZED (
		SELECT f.id, k.active FROM campaign k CROSS JOIN LATERAL (SELECT w AS id FROM carillon.campaign_waiting(k.lane_id, k.active) w LIMIT most) f
	), stopped AS (
		UPDATE carillon.follow_ups SET status = 'cancelled', reason = 'campaign_stopped', gate = NULL, next_look_at = NULL, lease_until = NULL
		WHERE id = ANY (ARRAY(SELECT id FROM batch WHERE NOT active)) AND status IN ('pending', 'queued')
	), resumed AS (
		UPDATE carillon.follow_ups SET status = 'pending', reason = NULL, job_id = NULL, claim_id = NULL, next_look_at = greatest(due_at, now())
		WHERE id = ANY (ARRAY(SELECT id FROM batch WHERE active)) AND status = 'cancelled' AND reason = 'campaign_stopped'
	), state AS MATERIALIZED (
		SELECT k.id, (SELECT count(*) FROM batch) AS looked,
			EXISTS (SELECT FROM carillon.live v WHERE v.lane_id = k.lane_id AND v.state IN ('dialing', 'unknown')) AS held
		FROM campaign k
	), noted AS (
		UPDATE carillon.campaigns k SET changing = s.looked > 0 OR NOT c.active AND s.held,
			change_at = now() + CASE WHEN s.looked > 0 THEN 0 ELSE 1 END * interval '1 second'
		FROM state s JOIN campaign c USING (id) WHERE k.id = s.id
	)
	SELECT coalesce((SELECT greatest(looked, 1) FROM state), 0)
$$;

-- Whose calls are to be looked at: those of campaigns whose hours, days, zone, frequency, attempts, account or priority have changed.
CREATE FUNCTION campaign_hours_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE carillon.campaigns SET rescheduling = true, rescheduled_up_to = 0 WHERE lane_id = NEW.id AND deleted_at IS NULL;
	RETURN NULL;
END $$;
CREATE TRIGGER campaign_hours_changed AFTER UPDATE OF window_start, window_end, days, time_zone, account_id, priority ON lanes FOR EACH ROW
	WHEN ((OLD.window_start, OLD.window_end, OLD.days, OLD.time_zone, OLD.account_id, OLD.priority)
		IS DISTINCT FROM (NEW.window_start, NEW.window_end, NEW.days, NEW.time_zone, NEW.account_id, NEW.priority))
	EXECUTE FUNCTION campaign_hours_changed();

-- What a campaign may do is looked at again with other rules: by campaign_reschedule().
CREATE FUNCTION campaign_look_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE carillon.lanes SET next_at = '-infinity' WHERE id = NEW.lane_id;   -- waits for a claim, which may hold calls by the rules before
	UPDATE carillon.campaigns SET rescheduling = true, rescheduled_up_to = 0 WHERE id = NEW.id;
	RETURN NULL;
END $$;
CREATE TRIGGER campaign_look_again AFTER UPDATE OF frequency, retry_attempts, assistant_id, phone_number_id ON campaigns FOR EACH ROW
	WHEN ((OLD.frequency, OLD.retry_attempts, OLD.assistant_id, OLD.phone_number_id)
		IS DISTINCT FROM (NEW.frequency, NEW.retry_attempts, NEW.assistant_id, NEW.phone_number_id)) EXECUTE FUNCTION campaign_look_again();

-- What an account was refused for may be mended.
CREATE FUNCTION campaign_account_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE carillon.campaigns SET rescheduling = true, rescheduled_up_to = 0 WHERE id = ANY (ARRAY(SELECT k.id
		FROM carillon.campaigns k JOIN carillon.lanes n ON n.id = k.lane_id
		WHERE n.account_id = NEW.id AND k.deleted_at IS NULL ORDER BY k.id FOR NO KEY UPDATE OF k));
	RETURN NULL;
END $$;
CREATE TRIGGER campaign_account_changed AFTER UPDATE OF settings, credentials ON accounts FOR EACH ROW
	WHEN ((OLD.settings, OLD.credentials) IS DISTINCT FROM (NEW.settings, NEW.credentials)) EXECUTE FUNCTION campaign_account_changed();

-- A day that is, or is no more, a holiday moves openings: of all lanes of its tenant.
CREATE FUNCTION holidays_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE carillon.campaigns SET rescheduling = true, rescheduled_up_to = 0 WHERE id = ANY (ARRAY(SELECT k.id FROM carillon.campaigns k
		WHERE k.tenant_id IN (SELECT tenant_id FROM changed) AND k.deleted_at IS NULL ORDER BY k.id FOR NO KEY UPDATE));
	UPDATE carillon.lanes SET next_at = '-infinity' WHERE id = ANY (ARRAY(SELECT n.id FROM carillon.lanes n
		WHERE n.tenant_id IN (SELECT tenant_id FROM changed) AND n.next_at > now() ORDER BY n.id FOR NO KEY UPDATE));
	PERFORM pg_notify('carillon_due', '');
	RETURN NULL;
END $$;
CREATE TRIGGER holidays_added AFTER INSERT ON holidays REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION holidays_changed();
CREATE TRIGGER holidays_removed AFTER DELETE ON holidays REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION holidays_changed();

-- The next contacts of a campaign whose hours or rules have changed: a scheduled call that waits for its time gets the one it would
-- be given now, what the campaign's frequency holds is looked at again, and contacts that were done with get another call if they are
-- to have one by now. A call that an operator called off is not made up for: the next one keeps its cycle. Answers how many were looked at.
CREATE FUNCTION campaign_reschedule(most bigint) RETURNS bigint LANGUAGE sql VOLATILE AS $$
	WITH campaign AS MATERIALIZED (
		SELECT k.*, coalesce(n.time_zone, 'UTC') AS zone, n.priority FROM carillon.campaigns k JOIN carillon.lanes n ON n.id = k.lane_id
		WHERE k.rescheduling ORDER BY k.rescheduled_up_to, k.id LIMIT 1 FOR NO KEY UPDATE OF k SKIP LOCKED
	), contact AS MATERIALIZED (
		SELECT c.id, c.lead_id, c.scheduled, c.schedule_at FROM campaign k CROSS JOIN LATERAL (
			SELECT * FROM carillon.campaign_contacts o WHERE o.campaign_id = k.id AND o.lead_id > k.rescheduled_up_to ORDER BY o.lead_id LIMIT most) c
	), latest AS MATERIALIZED (   -- the last scheduled call of each, and what came of all
		SELECT c.id, f.id AS follow_up_id, f.status, f.reason, f.due_at, d.dials, d.succeeded, d.action, greatest(now(),
			CASE WHEN d.callback_at < now() + interval '90 days' THEN d.callback_at END,
			carillon.next_cycle(k.frequency, d.dialed_at AT TIME ZONE k.zone) AT TIME ZONE k.zone,
			(SELECT carillon.cycle_start(k.frequency, f.due_at AT TIME ZONE k.zone) AT TIME ZONE k.zone FROM carillon.follow_ups p
				WHERE p.source = 'campaign' AND p.source_id = c.id::text AND p.occurrence = (c.scheduled - 1)::text
				AND p.status = 'cancelled' AND p.reason = 'operator' AND k.frequency <> 'none')) AS wanted_at,
			d.ended
		FROM campaign k CROSS JOIN contact c
		JOIN carillon.follow_ups f ON f.source = 'campaign' AND f.source_id = c.id::text AND f.occurrence = c.scheduled::text
		JOIN carillon.leads l ON l.id = c.lead_id
		CROSS JOIN LATERAL carillon.campaign_calls(k.tenant_id, k.lane_id, l.phone_e164) d
		WHERE c.schedule_at IS NULL
	), opening AS MATERIALIZED (   -- once for those of the same time
		SELECT w.wanted_at, coalesce(carillon.next_opening(w.wanted_at, k.lane_id, '{}', NULL, NULL), w.wanted_at) AS at
		FROM campaign k CROSS JOIN (SELECT DISTINCT wanted_at FROM latest WHERE status IN ('pending', 'cancelled')) w
	), moved AS (
		UPDATE carillon.follow_ups f SET due_at = CASE WHEN t.due_at > now() THEN o.at ELSE f.due_at END,
			next_look_at = CASE WHEN t.due_at > now() OR f.gate IS DISTINCT FROM 'frequency' THEN f.next_look_at ELSE now() END,
			priority = CASE WHEN f.priority < 2 THEN k.priority ELSE f.priority END   -- one that somebody hurried stays first
		FROM campaign k CROSS JOIN latest t JOIN opening o USING (wanted_at)
		WHERE f.id = t.follow_up_id AND (f.status = 'pending' OR f.status = 'cancelled' AND f.reason = 'campaign_stopped')
		AND (CASE WHEN t.due_at > now() THEN t.due_at <> o.at ELSE f.status = 'pending' AND f.gate = 'frequency' END
			OR f.priority < 2 AND f.priority <> k.priority)
	), taken_up AS (
		UPDATE carillon.campaign_contacts c SET schedule_at = t.wanted_at FROM latest t CROSS JOIN campaign k
		WHERE c.id = t.id AND c.schedule_at IS NULL AND k.deleted_at IS NULL
		AND (t.status = 'completed' AND t.ended OR t.status = 'skipped' AND t.reason = 'retry_limit' OR t.status = 'failed' AND t.reason = 'configuration')
		AND carillon.campaign_goes_on(k.frequency, k.retry_attempts, t.dials, t.succeeded, t.action)
	), noted AS (
		UPDATE carillon.campaigns k SET rescheduling = (SELECT count(*) FROM contact) >= most,
			rescheduled_up_to = coalesce((SELECT max(lead_id) FROM contact), 0)
		FROM campaign c WHERE k.id = c.id
	)
	SELECT CASE WHEN EXISTS (SELECT FROM campaign) THEN greatest((SELECT count(*) FROM contact), 1) ELSE 0 END
$$;

-- Then there may be something to do.
CREATE TRIGGER campaign_rescheduled AFTER UPDATE OF rescheduling ON campaigns FOR EACH ROW
	WHEN (OLD.rescheduling AND NOT NEW.rescheduling) EXECUTE FUNCTION notify_channel('carillon_due');

-- ---- The API ---------------------------------------------------------------------------------------------------------

-- As the API shows a campaign, and takes it: in the guide's words.
CREATE FUNCTION campaign_record(k campaigns) RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT jsonb_build_object('id', (k).id, 'tenant', (k).tenant_id, 'name', (k).name,
		'account', (SELECT a.name FROM carillon.accounts a WHERE a.id = n.account_id),
		'assistantId', (k).assistant_id, 'phoneNumberId', (k).phone_number_id, 'scheduleFrequency', (k).frequency,
		'scheduleDays', to_jsonb((k).schedule_days), 'startTime', left(n.window_start::text, 5), 'endTime', left(n.window_end::text, 5),
		'timeZone', n.time_zone, 'retryAttempts', (k).retry_attempts, 'maxConcurrent', n.max_concurrent, 'maxPerRun', n.batch_per_run,
		'callsPerSecond', n.rate_per_second, 'maxPerNumber24h', n.cap_24h, 'maxPerNumber7d', n.cap_7d, 'priority', n.priority,
		'useLeadWindow', n.use_lead_window, 'isActive', n.active AND (k).deleted_at IS NULL, 'deletedAt', carillon.iso_utc((k).deleted_at),
		'createdAt', carillon.iso_utc((k).created_at), 'updatedAt', carillon.iso_utc((k).updated_at))
	FROM carillon.lanes n WHERE n.id = (k).lane_id
$$;

-- What is not said of a new one.
CREATE FUNCTION campaign_blank() RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT '{"name": null, "account": null, "assistantId": null, "phoneNumberId": null, "scheduleFrequency": "none", "scheduleDays": null,
		"startTime": null, "endTime": null, "timeZone": null, "retryAttempts": 3, "maxConcurrent": 10, "maxPerRun": 50,
		"callsPerSecond": null, "maxPerNumber24h": null, "maxPerNumber7d": null, "priority": 0, "useLeadWindow": true,
		"isActive": true}'::jsonb
$$;

CREATE FUNCTION whole_number(given jsonb, lowest integer, highest integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN jsonb_typeof(given) = 'number' THEN (given #>> '{}')::numeric % 1 = 0 AND (given #>> '{}')::numeric BETWEEN lowest AND highest
		ELSE false END
$$;

-- A time of day in minutes: 09:00, 9:00 or 09:00:00; 24:00 is one for an end. Null: it is none.
CREATE FUNCTION day_time(given text) RETURNS time LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN given ~ '^(([01]?[0-9]|2[0-3]):[0-5][0-9]|24:00)(:00)?$' THEN given::time END
$$;

-- What is wrong with a member; null: nothing.
CREATE FUNCTION campaign_problem(the_tenant text, field text, given jsonb) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
	kind text := jsonb_typeof(given);
	word text := given #>> '{}';
BEGIN
	RETURN CASE
		WHEN field = 'name' THEN CASE WHEN kind <> 'string' OR trim(word) = '' THEN 'text that names the campaign' ELSE carillon.text_problem(word, 200) END
		WHEN field = 'account' THEN CASE WHEN kind = 'null' THEN NULL WHEN kind <> 'string' OR NOT EXISTS (SELECT FROM carillon.accounts a
			WHERE a.name = word AND a.tenant_id = the_tenant) THEN 'the name of a provider account; null for none' END
		WHEN field IN ('assistantId', 'phoneNumberId') THEN CASE WHEN kind = 'null' THEN NULL WHEN kind <> 'string' OR word = '' THEN 'text; null for the account''s'
			ELSE carillon.text_problem(word, 200) END
		WHEN field = 'scheduleFrequency' THEN CASE WHEN kind <> 'null' AND word NOT IN ('none', 'daily', 'weekly', 'custom')
			THEN 'none, daily, weekly or custom' END
		WHEN field = 'scheduleDays' THEN CASE WHEN kind = 'null' THEN NULL WHEN kind <> 'array' OR EXISTS (SELECT FROM jsonb_array_elements(
			CASE kind WHEN 'array' THEN given ELSE '[]' END) d WHERE NOT carillon.whole_number(d, 0, 7)) THEN 'an array of days: 1 is Monday, 7 or 0 is Sunday' END
		WHEN field IN ('startTime', 'endTime') THEN CASE WHEN kind <> 'null' AND (kind <> 'string' OR carillon.day_time(word) IS NULL)
			THEN 'a time of day, such as 09:00; null for any' END
		WHEN field = 'timeZone' THEN CASE WHEN kind <> 'null' AND (kind <> 'string' OR NOT EXISTS (SELECT FROM carillon.time_zones t WHERE t.name = word))
			THEN 'the name of a time zone, such as America/New_York' END
		WHEN field = 'retryAttempts' THEN CASE WHEN NOT carillon.whole_number(given, 1, 100) THEN 'a whole number from 1 to 100' END
		WHEN field IN ('maxConcurrent', 'maxPerRun') THEN CASE WHEN NOT carillon.whole_number(given, 0, 100000)
			THEN 'a whole number up to 100000; 0 for no limit' END
		WHEN field = 'callsPerSecond' THEN CASE WHEN kind = 'null' THEN NULL WHEN kind <> 'number' THEN 'a number above 0; null for no limit'
			WHEN word::numeric NOT BETWEEN 0.0001 AND 10000 THEN 'from 0.0001 to 10000; null for no limit' END
		WHEN field IN ('maxPerNumber24h', 'maxPerNumber7d') THEN CASE WHEN kind <> 'null' AND NOT carillon.whole_number(given, 1, 1000)
			THEN 'a whole number from 1 to 1000; null for no limit' END
		WHEN field = 'priority' THEN CASE WHEN NOT carillon.whole_number(given, 0, 1) THEN '0 for bulk, or 1' END
		WHEN field IN ('useLeadWindow', 'isActive') THEN CASE WHEN kind <> 'boolean' THEN 'true or false' END
		ELSE 'no such field' END;
END $$;

-- All that is wrong with a request that makes a campaign of `was`: its members, and what they don't go with. A member that is wrong by
-- itself is no reason to find fault with another.
CREATE FUNCTION campaign_problems(the_tenant text, was jsonb, given jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
	bad jsonb;
	wrong text[];
	k jsonb;
	the_provider text;
BEGIN
	SELECT jsonb_agg(jsonb_build_object('field', left(m.key, 100), 'detail', p.detail)), coalesce(array_agg(m.key), '{}') INTO bad, wrong
	FROM jsonb_each(given) m CROSS JOIN LATERAL (SELECT carillon.campaign_problem(the_tenant, m.key, m.value) AS detail) p WHERE p.detail IS NOT NULL;
	IF was -> 'name' = 'null' AND NOT given ? 'name' THEN
		bad := coalesce(bad, '[]') || '{"field": "name", "detail": "missing"}'::jsonb;
	END IF;
	k := was || (given - wrong);
	the_provider := (SELECT a.provider FROM carillon.accounts a WHERE a.name = k ->> 'account' AND a.tenant_id = the_tenant);
	RETURN nullif(coalesce(bad, '[]') || coalesce((SELECT jsonb_agg(jsonb_build_object('field', v.field, 'detail', v.detail)) FROM (VALUES
		('endTime', '{startTime}'::text[], (k -> 'startTime' = 'null') <> (k -> 'endTime' = 'null'), 'a window has a startTime and an endTime'),
		('endTime', '{startTime}', carillon.day_time(k ->> 'startTime') = carillon.day_time(k ->> 'endTime'), 'not the startTime: such a window never opens'),
		('startTime', '{}', carillon.day_time(k ->> 'startTime') = '24:00', 'before 24:00'),
		('timeZone', '{startTime,scheduleFrequency}', k -> 'timeZone' = 'null' AND (k -> 'startTime' <> 'null' OR k ->> 'scheduleFrequency' <> 'none'),
			'missing: hours, days and weeks are those of a zone'),
		('assistantId', '{account}', k -> 'assistantId' <> 'null' AND the_provider IS DISTINCT FROM 'vapi', 'null: only an account of Vapi takes another than its own'),
		('phoneNumberId', '{account}', k -> 'phoneNumberId' <> 'null' AND the_provider IS DISTINCT FROM 'vapi', 'null: only an account of Vapi takes another than its own'),
		('scheduleDays', '{scheduleFrequency}', k ->> 'scheduleFrequency' IN ('weekly', 'custom') AND coalesce(k -> 'scheduleDays', 'null') IN ('null', '[]'),
			'missing: a ' || (k ->> 'scheduleFrequency') || ' campaign has days')) v (field, needs, is_bad, detail)
		WHERE v.is_bad AND NOT v.field || v.needs && wrong), '[]'), '[]');
END $$;

-- Writes members that campaign_problems() has found good; the_id is null for a new campaign. Answers with its id.
CREATE FUNCTION campaign_write(the_tenant text, the_id bigint, was jsonb, given jsonb) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	k jsonb := was || given;
	cycle text := coalesce(k ->> 'scheduleFrequency', 'none');
	the_days smallint[] := CASE WHEN k -> 'scheduleDays' NOT IN ('null', '[]') THEN ARRAY(SELECT DISTINCT CASE WHEN d = 0 THEN 7 ELSE d END
		FROM (SELECT (e #>> '{}')::numeric::smallint AS d FROM jsonb_array_elements(k -> 'scheduleDays') e) x ORDER BY 1) END;
	is_new boolean := the_id IS NULL;
	pace carillon.lanes;
BEGIN
	IF is_new THEN
		INSERT INTO carillon.lanes (tenant_id, name, active) VALUES (the_tenant, 'campaign:' || gen_random_uuid(), false) RETURNING * INTO pace;
		INSERT INTO carillon.campaigns (tenant_id, lane_id, name) VALUES (the_tenant, pace.id, k ->> 'name') RETURNING id INTO the_id;
	ELSE
		SELECT n.* INTO pace FROM carillon.lanes n JOIN carillon.campaigns c ON c.lane_id = n.id WHERE c.id = the_id;
	END IF;
	UPDATE carillon.campaigns SET name = k ->> 'name', assistant_id = k ->> 'assistantId', phone_number_id = k ->> 'phoneNumberId',
		frequency = cycle, schedule_days = the_days, retry_attempts = (k ->> 'retryAttempts')::numeric::integer, updated_at = now()
	WHERE id = the_id;
	UPDATE carillon.lanes SET account_id = (SELECT a.id FROM carillon.accounts a WHERE a.name = k ->> 'account' AND a.tenant_id = the_tenant),
		window_start = carillon.day_time(k ->> 'startTime'), window_end = carillon.day_time(k ->> 'endTime'), time_zone = k ->> 'timeZone',
		days = CASE WHEN cycle IN ('weekly', 'custom') THEN the_days END,
		use_lead_window = (k ->> 'useLeadWindow')::boolean, max_concurrent = (k ->> 'maxConcurrent')::numeric::integer,
		batch_per_run = (k ->> 'maxPerRun')::numeric::integer, rate_per_second = (k ->> 'callsPerSecond')::double precision,
		cap_24h = (k ->> 'maxPerNumber24h')::numeric::integer, cap_7d = (k ->> 'maxPerNumber7d')::numeric::integer,
		priority = (k ->> 'priority')::numeric::smallint, active = (k ->> 'isActive')::boolean
	WHERE id = pace.id;
	IF is_new OR pace.active <> (k ->> 'isActive')::boolean THEN
		INSERT INTO carillon.transitions (entity, entity_id, from_state, to_state, actor)
		VALUES ('campaign', the_id::text, CASE WHEN is_new THEN NULL WHEN pace.active THEN 'active' ELSE 'stopped' END,
			CASE WHEN (k ->> 'isActive')::boolean THEN 'active' ELSE 'stopped' END, 'operator');
	END IF;
	RETURN the_id;
END $$;

CREATE FUNCTION campaign_create(the_tenant text, given jsonb) RETURNS TABLE (status integer, body jsonb) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	bad jsonb := carillon.campaign_problems(the_tenant, carillon.campaign_blank(), given);
	made bigint;
BEGIN
	IF bad IS NOT NULL THEN
		RETURN QUERY SELECT 422, carillon.problems(bad);
		RETURN;
	END IF;
	made := carillon.campaign_write(the_tenant, NULL, carillon.campaign_blank(), given);
	RETURN QUERY SELECT 201, carillon.campaign_record(k) FROM carillon.campaigns k WHERE k.id = made;
END $$;

CREATE FUNCTION campaign_change(the_id bigint, given jsonb) RETURNS TABLE (status integer, body jsonb) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	was jsonb;
	bad jsonb;
	the_tenant text;
BEGIN
	-- A statement of its own: the next one sees what was committed while this one waited.
	PERFORM FROM carillon.campaigns k JOIN carillon.lanes n ON n.id = k.lane_id WHERE k.id = the_id FOR NO KEY UPDATE;
	SELECT k.tenant_id, carillon.campaign_record(k) INTO the_tenant, was FROM carillon.campaigns k
	WHERE k.id = the_id AND k.deleted_at IS NULL FOR NO KEY UPDATE OF k;
	IF NOT FOUND THEN
		RETURN QUERY SELECT 404, carillon.problem(404, 'no such campaign');
		RETURN;
	END IF;
	bad := carillon.campaign_problems(the_tenant, was, given);
	IF bad IS NOT NULL THEN
		RETURN QUERY SELECT 422, carillon.problems(bad);
		RETURN;
	END IF;
	PERFORM carillon.campaign_write(the_tenant, the_id, was, given);
	RETURN QUERY SELECT 200, carillon.campaign_record(k) FROM carillon.campaigns k WHERE k.id = the_id;
END $$;

-- Where the campaign stands. Calls are those of the history's words, each counted where it alone is (0015_history.sql), so that none
-- is looked up but those of the last minutes; the rest of `scheduled` is done at the pace of the last ten by `eta`, hours in which it
-- is closed not counted.
CREATE FUNCTION campaign_progress(the_campaign campaigns) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (WITH talk AS MATERIALIZED (
		SELECT v.state, c.posted_at FROM carillon.live v CROSS JOIN LATERAL (SELECT x.posted_at, x.kind FROM carillon.calls x
			WHERE x.job_id = v.job_id OFFSET 0) c
		WHERE v.lane_id = the_campaign.lane_id AND c.kind = 'campaign'
	), late AS MATERIALIZED (   -- ended lately: claimed not long before it was posted
		SELECT c.posted_at FROM (VALUES ('completed'), ('failed')) s (status) CROSS JOIN LATERAL (SELECT e.job_id FROM carillon.ended_calls e
			WHERE e.lane_id = the_campaign.lane_id AND e.status = s.status AND e.at > now() - interval '20 minutes' OFFSET 0) e
		CROSS JOIN LATERAL (SELECT x.posted_at FROM carillon.calls x WHERE x.job_id = e.job_id OFFSET 0) c
	), off AS MATERIALIZED (
		SELECT f.status AS step, f.reason, count(*) AS n FROM carillon.follow_ups f
		WHERE f.lane_id = the_campaign.lane_id AND f.reason IS NOT NULL AND f.source = 'campaign' GROUP BY f.status, f.reason
	), counted AS MATERIALIZED (
		SELECT (SELECT count(*) FROM carillon.campaign_waiting(the_campaign.lane_id, false)) AS scheduled,
			(SELECT count(*) FROM (VALUES (2), (1), (0)) p (priority), carillon.follow_ups f   -- of a recurring campaign: of another day or week
				WHERE the_campaign.frequency <> 'none' AND f.lane_id = the_campaign.lane_id AND f.priority = p.priority AND f.next_look_at >=
					(SELECT carillon.next_cycle(the_campaign.frequency, now() AT TIME ZONE coalesce(n.time_zone, 'UTC'))
						AT TIME ZONE coalesce(n.time_zone, 'UTC') FROM carillon.lanes n WHERE n.id = the_campaign.lane_id)) AS later,
			(SELECT count(*) FROM talk WHERE state IN ('dialing', 'unknown', 'calling', 'ringing')) AS calling,
			(SELECT count(*) FROM talk WHERE state = 'in_progress') AS in_progress,
			(SELECT count(*) FROM talk WHERE state = 'undetermined') AS undetermined,
			carillon.ended_total(the_campaign.lane_id, 'completed') AS completed,
			carillon.ended_total(the_campaign.lane_id, 'failed')
				+ (SELECT coalesce(sum(n), 0) FROM off WHERE step = 'failed') AS failed,
			(SELECT coalesce(sum(n), 0) FROM off WHERE step = 'cancelled') AS cancelled,
			pace.n AS lately, greatest(1, extract(epoch FROM now() - pace.since) / 60)::float8 AS minutes
		FROM (SELECT count(*) AS n, min(posted_at) AS since
			FROM (SELECT posted_at FROM talk WHERE state <> 'undetermined' UNION ALL SELECT posted_at FROM late) p
			WHERE posted_at > now() - interval '10 minutes') pace
	)
	SELECT jsonb_build_object('contacts', (SELECT count(*) FROM carillon.campaign_contacts c WHERE c.campaign_id = the_campaign.id),
		'scheduled', scheduled, 'calling', calling, 'inProgress', in_progress, 'completed', completed, 'failed', failed,
		'cancelled', cancelled, 'undetermined', undetermined,
		'skipped', coalesce((SELECT jsonb_object_agg(reason, n) FROM off WHERE step = 'skipped'), '{}'),
		'callsPerMinute', round((lately / minutes)::numeric, 1),
		'eta', CASE WHEN scheduled > later AND lately > 0 THEN carillon.iso_utc(now() + (scheduled - later) * minutes / lately * interval '1 minute') END)
	FROM counted);
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA carillon FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON campaigns, campaign_contacts TO carillon_producer;
GRANT SELECT ON campaigns TO carillon_consumer, carillon_readonly;
GRANT SELECT, UPDATE ON campaign_contacts TO carillon_consumer;
GRANT SELECT ON campaign_contacts TO carillon_readonly;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA carillon TO carillon_producer, carillon_consumer, carillon_readonly;
