-- SPDX-License-Identifier: Apache-2.0
-- What the API of lanes, holidays and settings reads and shows. A change of them has what they hold looked at again (the sweeper's
-- pacing), and the times of campaigns' calls follow (0009_campaigns.sql).

-- A day of the calendar; null: it is none.
CREATE FUNCTION calendar_day(given text) RETURNS date LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN CASE WHEN given ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' THEN make_date(left(given, 4)::integer, substr(given, 6, 2)::integer, right(given, 2)::integer) END;
EXCEPTION WHEN data_exception THEN
	RETURN NULL;
END $$;

CREATE FUNCTION holiday_record(h holidays) RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT jsonb_build_object('day', to_char((h).day, 'YYYY-MM-DD'), 'name', (h).name, 'tenant', (h).tenant_id)
$$;

-- What is wrong with a member of a holiday; null: nothing.
CREATE FUNCTION holiday_problem(field text, given jsonb) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT CASE field
		WHEN 'day' THEN CASE WHEN jsonb_typeof(given) <> 'string' OR carillon.calendar_day(given #>> '{}') IS NULL THEN 'a day, such as 2026-12-25' END
		WHEN 'name' THEN CASE WHEN jsonb_typeof(given) <> 'string' THEN 'text' ELSE carillon.text_problem(given #>> '{}', 200) END
		ELSE 'no such member' END
$$;

CREATE FUNCTION lane_record(n lanes) RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT jsonb_build_object('id', (n).id, 'tenant', (n).tenant_id, 'name', (n).name,
		'campaign', (SELECT k.id FROM carillon.campaigns k WHERE k.lane_id = (n).id),
		'account', (SELECT a.name FROM carillon.accounts a WHERE a.id = (n).account_id), 'active', (n).active,
		'stopped_at', carillon.iso_utc((n).stopped_at), 'window_start', left((n).window_start::text, 5), 'window_end', left((n).window_end::text, 5),
		'days', to_jsonb((n).days), 'time_zone', (n).time_zone, 'use_lead_window', (n).use_lead_window, 'max_concurrent', (n).max_concurrent,
		'batch_per_run', (n).batch_per_run, 'rate_per_second', (n).rate_per_second, 'cap_24h', (n).cap_24h, 'cap_7d', (n).cap_7d,
		'closed', (SELECT g.closed FROM carillon.lane_gates(now()) g WHERE g.lane_id = (n).id))
$$;

-- A lane's members by the names that a campaign has for them, whose checks are the same.
CREATE FUNCTION lane_member(field text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT '{"account": "account", "active": "isActive", "window_start": "startTime", "window_end": "endTime", "days": "scheduleDays",
		"time_zone": "timeZone", "use_lead_window": "useLeadWindow", "max_concurrent": "maxConcurrent", "batch_per_run": "maxPerRun",
		"rate_per_second": "callsPerSecond", "cap_24h": "maxPerNumber24h", "cap_7d": "maxPerNumber7d"}'::jsonb ->> field
$$;

-- All that is wrong with a change of a lane that is as `was`.
CREATE FUNCTION lane_problems(the_tenant text, was jsonb, given jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
	bad jsonb;
	n jsonb := was || given;
BEGIN
	SELECT jsonb_agg(jsonb_build_object('field', left(m.key, 100), 'detail', p.detail) ORDER BY m.key) INTO bad
	FROM jsonb_each(given) m CROSS JOIN LATERAL (SELECT CASE WHEN carillon.lane_member(m.key) IS NULL THEN 'no such field, or not one that can be changed'
		ELSE carillon.campaign_problem(the_tenant, carillon.lane_member(m.key), m.value) END AS detail) p WHERE p.detail IS NOT NULL;
	IF bad IS NULL THEN
		SELECT jsonb_agg(jsonb_build_object('field', v.field, 'detail', v.detail)) INTO bad FROM (VALUES
			('window_end', (n -> 'window_start' = 'null') <> (n -> 'window_end' = 'null'), 'a window has a window_start and a window_end'),
			('window_end', carillon.day_time(n ->> 'window_start') = carillon.day_time(n ->> 'window_end'), 'not the window_start: such a window never opens'),
			('window_start', carillon.day_time(n ->> 'window_start') = '24:00', 'before 24:00'),
			('time_zone', n -> 'time_zone' = 'null' AND (n -> 'window_start' <> 'null' OR n -> 'days' NOT IN ('null', '[]')),
				'missing: hours and days are those of a zone')) v (field, is_bad, detail)
		WHERE v.is_bad;
	END IF;
	RETURN bad;
END $$;

CREATE FUNCTION lane_change(the_id bigint, given jsonb) RETURNS TABLE (status integer, body jsonb) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	l carillon.lanes;
	n jsonb;
	bad jsonb;
	the_campaign bigint;
BEGIN
	SELECT * INTO l FROM carillon.lanes x WHERE x.id = the_id FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RETURN QUERY SELECT 404, carillon.problem(404, 'no such lane');
		RETURN;
	END IF;
	SELECT k.id INTO the_campaign FROM carillon.campaigns k WHERE k.lane_id = the_id;
	IF FOUND THEN
		RETURN QUERY SELECT 409, carillon.problem(409, format('the lane is a campaign''s: change that (PATCH /api/campaigns/%s)', the_campaign));
		RETURN;
	END IF;
	bad := carillon.lane_problems(l.tenant_id, carillon.lane_record(l), given);
	IF bad IS NOT NULL THEN
		RETURN QUERY SELECT 422, carillon.problems(bad);
		RETURN;
	END IF;
	n := carillon.lane_record(l) || given;
	UPDATE carillon.lanes x SET account_id = (SELECT a.id FROM carillon.accounts a WHERE a.name = n ->> 'account' AND a.tenant_id = l.tenant_id),
		active = (n ->> 'active')::boolean, window_start = carillon.day_time(n ->> 'window_start'), window_end = carillon.day_time(n ->> 'window_end'),
		days = CASE WHEN n -> 'days' NOT IN ('null', '[]') THEN ARRAY(SELECT DISTINCT CASE WHEN d = 0 THEN 7 ELSE d END
			FROM (SELECT (e #>> '{}')::numeric::smallint AS d FROM jsonb_array_elements(n -> 'days') e) s ORDER BY 1) END,
		time_zone = n ->> 'time_zone', use_lead_window = (n ->> 'use_lead_window')::boolean,
		max_concurrent = (n ->> 'max_concurrent')::numeric::integer, batch_per_run = (n ->> 'batch_per_run')::numeric::integer,
		rate_per_second = (n ->> 'rate_per_second')::double precision, cap_24h = (n ->> 'cap_24h')::numeric::integer,
		cap_7d = (n ->> 'cap_7d')::numeric::integer
	WHERE x.id = the_id RETURNING * INTO l;
	RETURN QUERY SELECT 200, carillon.lane_record(l);
END $$;

-- The settings that people see. What the environment gives is written again when a producer starts with another value of it.
CREATE FUNCTION settings_shown() RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT jsonb_build_object('settings', jsonb_object_agg(v.key, jsonb_build_object('value', s.value, 'updated_at', carillon.iso_utc(s.updated_at),
		'variable', v.variable, 'lasts', CASE WHEN v.variable IS NULL THEN 'until it is changed' ELSE 'until a producer starts with another ' || v.variable END,
		'change', v.change)))
	FROM (VALUES ('lead_window', 'LEAD_WINDOW', 'PATCH /api/settings'), ('unknown_zone', 'UNKNOWN_ZONE', 'PATCH /api/settings'),
		('stopped', NULL, 'POST /api/scheduler/stop and start'), ('redial', NULL, 'PUT /api/admin/redial-queue/config')) v (key, variable, change)
	JOIN carillon.settings s USING (key)
$$;

-- What is wrong with a member of a change; null: nothing.
CREATE FUNCTION setting_problem(field text, given jsonb) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT CASE field
		WHEN 'lead_window' THEN CASE WHEN jsonb_typeof(given) = 'object' AND (SELECT array_agg(key ORDER BY key) = '{end,start}' FROM jsonb_object_keys(
				CASE jsonb_typeof(given) WHEN 'object' THEN given ELSE '{}' END) key)
			AND carillon.day_time(given ->> 'start') < carillon.day_time(given ->> 'end') THEN NULL
			ELSE 'a start and a later end of the day, such as {"start": "08:00", "end": "21:00"}' END
		WHEN 'unknown_zone' THEN CASE WHEN coalesce(given IN ('"closed"', '"lane"'), false) THEN NULL ELSE 'closed or lane' END
		WHEN 'stopped' THEN 'changed by POST /api/scheduler/stop and start'
		WHEN 'redial' THEN 'changed by PUT /api/admin/redial-queue/config'
		ELSE 'no such setting' END
$$;

-- PL/pgSQL, so that what it answers with is what it has written.
CREATE FUNCTION settings_change(given jsonb) RETURNS TABLE (status integer, body jsonb) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	bad jsonb;
BEGIN
	SELECT jsonb_agg(jsonb_build_object('field', left(m.key, 100), 'detail', p.detail) ORDER BY m.key) INTO bad
	FROM jsonb_each(given) m CROSS JOIN LATERAL (SELECT carillon.setting_problem(m.key, m.value) AS detail) p WHERE p.detail IS NOT NULL;
	IF bad IS NOT NULL THEN
		RETURN QUERY SELECT 422, carillon.problems(bad);
		RETURN;
	END IF;
	UPDATE carillon.settings s SET value = w.value, updated_at = now()
	FROM (SELECT m.key, CASE m.key WHEN 'lead_window' THEN jsonb_build_object('start', left(carillon.day_time(m.value ->> 'start')::text, 5),
		'end', left(carillon.day_time(m.value ->> 'end')::text, 5)) ELSE m.value END AS value FROM jsonb_each(given) m) w
	WHERE s.key = w.key AND s.value <> w.value;
	RETURN QUERY SELECT 200, carillon.settings_shown();
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA carillon FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA carillon TO carillon_producer, carillon_consumer, carillon_readonly;
