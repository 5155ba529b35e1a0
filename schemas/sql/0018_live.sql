-- SPDX-License-Identifier: Apache-2.0
-- What the page shows as it happens. Nothing is counted beforehand: that would cost each dispatch, also while nobody looks. So counts are
-- bounded or by an index, and who asks waits longer the longer an answer took (producer/api/live.h).

-- ---- Which processes run ---------------------------------------------------------------------------------------------

-- Each says every few seconds that it lives; one that has not for ten minutes is forgotten.
CREATE TABLE processes (
	name      text NOT NULL CHECK (name IN ('producer', 'consumer')),
	instance  text NOT NULL CHECK (length(instance) BETWEEN 1 AND 300),
	seen_at   timestamptz NOT NULL DEFAULT now(),
	lag       jsonb NOT NULL DEFAULT '{}',           -- messages behind, by group
	stopped_at timestamptz,                          -- the last stop of everything that it heard of, and
	stop_ms   bigint,                                -- how long after it the first byte of its last POST left
	PRIMARY KEY (name, instance)
) WITH (fillfactor = 50);

-- ---- The ledger by time ----------------------------------------------------------------------------------------------

-- The least id that a job of this moment can have: ids begin with the milliseconds.
CREATE FUNCTION job_id_from(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
	SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

-- Calls that were dialed since, with what came of them. A job is made before it is dialed, by its lease at most.
CREATE FUNCTION dialed_since(since timestamptz) RETURNS TABLE (posted_at timestamptz, is_over boolean, answered boolean, succeeded boolean)
LANGUAGE sql STABLE AS $$
	SELECT c.posted_at, c.status IN ('completed', 'failed'), c.status IN ('in_progress', 'completed'),
		coalesce(c.success, false) OR c.outcome IN (SELECT r.outcome FROM carillon.outcome_rules r WHERE r.action = 'success')
	FROM carillon.calls c
	WHERE c.job_id >= carillon.job_id_from(since - interval '1 hour') AND c.posted_at >= since AND c.kind <> 'outside'
		AND c.status NOT IN ('rejected', 'not_dialed')
$$;

-- Arrays of one length: the beginnings of minutes (of an hour) or of five minutes (of a day), and the calls dialed in each.
CREATE FUNCTION live_series(range text) RETURNS jsonb LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	step CONSTANT interval := CASE range WHEN 'hour' THEN '1 minute' ELSE '5 minutes' END;
	since CONSTANT timestamptz := date_bin(step, now() - CASE range WHEN 'hour' THEN interval '1 hour' ELSE interval '1 day' END, 'epoch');
BEGIN
	RETURN (WITH made AS MATERIALIZED (
		SELECT date_bin(step, d.posted_at, 'epoch') AS at, count(*) AS dispatched, count(*) FILTER (WHERE d.answered) AS answered,
			count(*) FILTER (WHERE d.succeeded) AS succeeded
		FROM carillon.dialed_since(since) d GROUP BY 1
	)
	SELECT jsonb_build_object('t', jsonb_agg(extract(epoch FROM b.at)::bigint ORDER BY b.at), 'dispatched', jsonb_agg(coalesce(m.dispatched, 0) ORDER BY b.at),
		'answered', jsonb_agg(coalesce(m.answered, 0) ORDER BY b.at), 'succeeded', jsonb_agg(coalesce(m.succeeded, 0) ORDER BY b.at))
	FROM generate_series(since, now(), step) b (at) LEFT JOIN made m USING (at));
END $$;

-- ---- Figures ---------------------------------------------------------------------------------------------------------

-- When the day began where the tenant works: in the zone of its workflow's hours.
CREATE FUNCTION live_day() RETURNS timestamptz LANGUAGE sql STABLE AS $$
	SELECT date_trunc('day', now() AT TIME ZONE z.name) AT TIME ZONE z.name
	FROM (SELECT coalesce((SELECT n.time_zone FROM carillon.lanes n WHERE n.tenant_id = carillon.request_tenant() AND n.name = 'workflow'), 'UTC') AS name) z
$$;

-- What waits: up to `most` are counted, of a tenant's in each lane; more are as many as the last vacuum found.
CREATE FUNCTION live_waiting(most bigint) RETURNS bigint LANGUAGE sql STABLE AS $$
	SELECT CASE WHEN e.n > most AND carillon.bound_tenant() IS NULL THEN e.n
		ELSE (SELECT coalesce(sum(c.n), 0)::bigint FROM carillon.lanes l CROSS JOIN LATERAL (SELECT count(*) AS n FROM (
			SELECT FROM carillon.follow_ups f WHERE f.lane_id = l.id AND f.next_look_at IS NOT NULL LIMIT most) x) c) END
	FROM (SELECT reltuples::bigint AS n FROM pg_class WHERE oid = 'carillon.follow_ups_scheduled'::regclass) e
$$;

-- What is everybody's, and so nothing for a tenant: it has no right to these tables, and gets nothing of them here.
CREATE FUNCTION live_system() RETURNS jsonb LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = carillon AS $$
BEGIN
	IF bound_tenant() IS NOT NULL THEN
		RETURN jsonb_build_object('deadLetters', 0, 'processes', jsonb_build_array(), 'missing', jsonb_build_array(), 'lag', jsonb_build_object(), 'lastStopSeconds', NULL);
	END IF;
	RETURN jsonb_build_object(
		'deadLetters', (SELECT count(*) FROM (SELECT FROM dead_letters WHERE resolved_at IS NULL LIMIT 100000) d),
		-- The webhook may write nothing: it is known by its connection.
		'processes', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', p.name, 'instance', p.instance,
			'seenSecondsAgo', floor(greatest(extract(epoch FROM now() - p.seen_at), 0))::integer) ORDER BY p.name, p.instance), '[]')
			FROM (SELECT name, instance, seen_at FROM processes
				UNION ALL SELECT 'webhook', 'connection ' || a.pid, now() FROM pg_stat_activity a
				WHERE a.datname = current_database() AND a.application_name = 'carillon-webhook'
				ORDER BY 3 DESC LIMIT 100) p),
		'lag', (SELECT coalesce(jsonb_object_agg(g.key, g.lag), '{}') FROM (SELECT l.key, sum(l.value::bigint) AS lag
			FROM processes p CROSS JOIN LATERAL jsonb_each_text(p.lag) l WHERE p.seen_at > now() - interval '30 seconds' GROUP BY l.key) g),
		-- A kind of which none is left is not in the list to be seen missing.
		'missing', (SELECT coalesce(jsonb_agg(k.name ORDER BY k.name), '[]') FROM (VALUES ('consumer'), ('producer'), ('webhook')) k (name)
			WHERE NOT EXISTS (SELECT FROM processes p WHERE p.name = k.name AND p.seen_at > now() - interval '30 seconds')
			AND NOT (k.name = 'webhook' AND EXISTS (SELECT FROM pg_stat_activity a
				WHERE a.datname = current_database() AND a.application_name = 'carillon-webhook'))),
		-- Known once each dispatcher has measured this stop, and not the one before.
		'lastStopSeconds', (SELECT CASE WHEN bool_and(p.stopped_at IS NOT DISTINCT FROM s.at OR NOT p.dispatches) THEN
				round(max(p.stop_ms) FILTER (WHERE p.stopped_at = s.at) / 1000.0, 3) END
			FROM (SELECT coalesce((SELECT to_ms(updated_at) FROM settings WHERE key = 'stopped' AND value = 'true'),
					(SELECT max(to_ms(stopped_at)) FROM processes)) AS at) s
			CROSS JOIN (SELECT to_ms(stopped_at) AS stopped_at, stop_ms, EXISTS (SELECT FROM jsonb_object_keys(lag) g WHERE g LIKE '%dispatch') AS dispatches
				FROM processes WHERE seen_at > now() - interval '30 seconds') p));
END $$;

CREATE FUNCTION live_figures() RETURNS jsonb LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan AS $$
DECLARE
	most CONSTANT bigint := 100000;
BEGIN
	RETURN (WITH talk AS MATERIALIZED (
		SELECT count(*) FILTER (WHERE v.state IN ('dialing', 'unknown', 'calling', 'ringing')) AS dialing,
			count(*) FILTER (WHERE v.state = 'in_progress') AS live, count(*) FILTER (WHERE v.state = 'undetermined') AS undetermined
		FROM carillon.live v
	), due AS MATERIALIZED (   -- of lanes that are open
		SELECT coalesce(sum(d.n), 0) AS n, min(d.since) AS since
		FROM carillon.lanes n JOIN carillon.lane_gates(now()) g ON g.lane_id = n.id AND g.closed IS NULL
		CROSS JOIN (VALUES (2), (1), (0)) p (priority)
		CROSS JOIN LATERAL (SELECT count(*) AS n, min(f.next_look_at) AS since FROM (SELECT x.next_look_at FROM carillon.follow_ups x
			WHERE x.lane_id = n.id AND x.priority = p.priority AND x.next_look_at <= now() ORDER BY x.next_look_at LIMIT most) f) d
	), today AS MATERIALIZED (
		SELECT count(*) FILTER (WHERE d.is_over) AS done, count(*) FILTER (WHERE d.is_over AND d.succeeded) AS succeeded
		FROM carillon.dialed_since(carillon.live_day()) d
	)
	SELECT jsonb_build_object('waiting', carillon.live_waiting(most), 'due', due.n, 'dialing', talk.dialing, 'live', talk.live, 'doneToday', today.done,
		'successRateToday', CASE WHEN today.done > 0 THEN round(today.succeeded::numeric / today.done, 4) END,
		'oldestDueSeconds', floor(extract(epoch FROM now() - due.since))::bigint, 'undetermined', talk.undetermined,
		'breakers', (SELECT coalesce(jsonb_agg(jsonb_build_object('account', a.name, 'state', CASE WHEN a.breaker_until > now() THEN 'open'
				WHEN a.breaker_until > now() - interval '1 minute' THEN 'half_open' ELSE 'closed' END,
				'until', CASE WHEN a.breaker_until > now() THEN carillon.iso_utc(a.breaker_until) END, 'reason', CASE WHEN a.breaker_until > now() THEN a.breaker_reason END)
				ORDER BY a.name), '[]')
			FROM (SELECT x.name, x.breaker_until, x.breaker_reason FROM carillon.accounts x WHERE x.active AND x.provider IN ('omni', 'vapi', 'bland', 'twilio') ORDER BY x.name LIMIT 100) a),
		'stopped', carillon.all_stopped()
			OR EXISTS (SELECT FROM carillon.tenants t WHERE t.id = carillon.bound_tenant() AND t.stopped_at IS NOT NULL))
	FROM talk, due, today);
END $$;

-- ---- A campaign's hours --------------------------------------------------------------------------------------------------

-- When it may call next, by its own hours, days and holidays: up to `most` windows, each to begin within two weeks of the one before.
-- One that never closes has no end, and is the last.
CREATE FUNCTION campaign_windows(the_lane bigint, most integer) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
	found jsonb := '[]';
	opens timestamptz;
	closes timestamptz := now();
BEGIN
	WHILE jsonb_array_length(found) < most LOOP
		opens := carillon.next_opening(closes, the_lane, '{}', NULL, NULL);
		EXIT WHEN opens IS NULL;
		SELECT g.closes_at INTO closes FROM carillon.lane_gates(opens) g WHERE g.lane_id = the_lane;
		found := found || jsonb_build_object('start', carillon.iso_utc(opens), 'end', CASE WHEN isfinite(closes) THEN carillon.iso_utc(closes) END);
		EXIT WHEN NOT isfinite(closes);
	END LOOP;
	RETURN found;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA carillon FROM PUBLIC;
REVOKE ALL ON processes FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON processes TO carillon_producer, carillon_consumer;
GRANT SELECT ON processes TO carillon_readonly;
