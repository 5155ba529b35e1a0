-- SPDX-License-Identifier: Apache-2.0
-- The plan: what would be dialed when. The claim's own gates are asked, as they will be at a later time, for groups of follow-ups
-- that they can't tell apart: those of one lane whose leads have the same zones and states, unless something is known of the
-- number itself (a call, a suppression), which makes it a group of its own.

CREATE TYPE plan_group AS (
	follow_up_id bigint,             -- one that stands for all of them; a redial record's id, negative, before that has one
	lane_id bigint, n bigint,
	at timestamptz,                  -- looked at then
	gate text, opens_at timestamptz, -- what held it then, and when that ends, if this is known
	zones text[], w_start time, w_end time   -- the hours of its leads, where they bind
);

-- Redial records whose time comes by `until`, and that get their follow-up only then.
CREATE FUNCTION plan_redials(until timestamptz) RETURNS TABLE (id bigint, tenant_id text, lane_id bigint, lead_id bigint, at timestamptz)
LANGUAGE sql STABLE AS $$
	SELECT -r.id, r.tenant_id, n.id, r.lead_ref, r.next_redial_timestamp
	FROM carillon.redial_queue r JOIN carillon.lanes n ON n.tenant_id = r.tenant_id AND n.name = 'redial'
	WHERE r.status IN ('pending', 'rescheduled') AND r.seeded_for IS DISTINCT FROM r.next_redial_timestamp
	AND r.next_redial_timestamp <= until AND r.lead_ref IS NOT NULL
	AND carillon.redial_is_ready(r.status, r.attempts, least(r.next_redial_timestamp, now()), (carillon.redial_setting() ->> 'max_attempts')::integer)
	AND (SELECT true FROM carillon.follow_ups f WHERE f.source = 'redial' AND f.source_id = r.id::text
		AND f.status IN ('pending', 'queued', 'dialing') LIMIT 1) IS NULL
$$;

-- The follow-up of a group's id; of a redial record, the one that it will get.
CREATE FUNCTION plan_follow_up(the_id bigint) RETURNS SETOF follow_ups LANGUAGE sql STABLE AS $$
	SELECT f FROM carillon.follow_ups f WHERE f.id = the_id
	UNION ALL
	SELECT jsonb_populate_record(NULL::carillon.follow_ups, jsonb_build_object('id', the_id, 'tenant_id', r.tenant_id, 'lead_id', r.lead_ref,
		'lane_id', n.id, 'kind', 'redial', 'source', 'redial', 'source_id', r.id, 'status', 'pending', 'attempts', 0, 'due_at', r.next_redial_timestamp))
	FROM carillon.redial_queue r JOIN carillon.lanes n ON n.tenant_id = r.tenant_id AND n.name = 'redial' WHERE r.id = -the_id
$$;

-- The groups that wait in these lanes, and when each is looked at next. A held one's own look is only the claim's next try. Of more
-- numbers that something is known of than can be looked at, each stands for `every` of them.
CREATE FUNCTION plan_waiting(lanes bigint[], until timestamptz, most bigint) RETURNS TABLE (waits plan_group, every bigint) LANGUAGE sql STABLE AS $$
	WITH redial AS MATERIALIZED (
		SELECT * FROM carillon.plan_redials(plan_waiting.until)
	), waiting AS MATERIALIZED (
		SELECT f.id, f.lane_id, f.account_id, t.at, l.zones, coalesce(l.time_zone, '') <> '' AS has_zone, coalesce(l.phone, '') = '' AS no_phone,
			coalesce(carillon.number_is_dialable(l.phone_e164), false) AS dialable, l.stage IN ('closed', 'lost') AS is_closed, l.paused,
			(SELECT true FROM carillon.suppressions s WHERE s.phone = l.phone_e164 AND s.tenant_id = f.tenant_id LIMIT 1) IS TRUE
				OR (SELECT true FROM carillon.live v WHERE v.phone = l.phone_e164 AND v.tenant_id = f.tenant_id LIMIT 1) IS TRUE
				OR p.counts_calls AND (SELECT true FROM carillon.calls c WHERE c.phone = l.phone_e164 AND c.tenant_id = f.tenant_id LIMIT 1) IS TRUE AS is_known
		FROM unnest(plan_waiting.lanes) lane_id
		CROSS JOIN LATERAL (SELECT n.cap_24h IS NOT NULL OR n.cap_7d IS NOT NULL OR EXISTS (SELECT FROM carillon.campaigns k WHERE k.lane_id = n.id) AS counts_calls
			FROM carillon.lanes n WHERE n.id = lane_id OFFSET 0) p
		CROSS JOIN LATERAL (SELECT q.id, q.lane_id, q.account_id, q.tenant_id, q.lead_id, CASE WHEN q.gate IS NULL THEN q.next_look_at ELSE q.due_at END AS at
			FROM carillon.follow_ups q WHERE q.lane_id = lane_id.lane_id AND q.next_look_at IS NOT NULL
			UNION ALL SELECT r.id, r.lane_id, NULL, r.tenant_id, r.lead_id, r.at FROM redial r WHERE r.lane_id = lane_id.lane_id) f
		JOIN carillon.leads l ON l.id = f.lead_id
		CROSS JOIN LATERAL (SELECT CASE WHEN f.at > now() THEN date_trunc('minute', f.at + interval '59.999999 seconds') ELSE now() END AS at) t
	), share AS MATERIALIZED (
		SELECT greatest(ceil(count(*) FILTER (WHERE is_known) / most::numeric), 1)::bigint AS every FROM waiting
	)
	SELECT (min(w.id), w.lane_id, count(*) * CASE WHEN w.is_known THEN s.every ELSE 1 END, w.at, NULL, NULL, NULL, NULL, NULL)::carillon.plan_group, s.every
	FROM waiting w CROSS JOIN share s
	WHERE NOT w.is_known OR abs(w.id) % s.every = 0
	GROUP BY w.lane_id, w.account_id, w.at, w.zones, w.has_zone, w.no_phone, w.dialable, w.is_closed, w.paused, w.is_known, CASE WHEN w.is_known THEN w.id END, s.every
$$;

-- The gates of these groups, each at its time. Openings are looked for once for those that share lane and hours.
CREATE FUNCTION plan_look(given plan_group[]) RETURNS SETOF plan_group LANGUAGE sql STABLE AS $$
	WITH asked AS MATERIALIZED (
		SELECT * FROM unnest(given)
	), verdict AS MATERIALIZED (
		SELECT d.lane_id, d.at, l.c FROM (SELECT DISTINCT lane_id, at FROM asked) d
		CROSS JOIN LATERAL (SELECT c FROM carillon.lane_gates(d.at) c WHERE c.lane_id = d.lane_id OFFSET 0) l
	), checked AS MATERIALIZED (
		SELECT a.follow_up_id, a.lane_id, a.n, a.at, g.hold, CASE WHEN g.use_lead_window THEN g.zones ELSE '{}' END AS zones, g.lead_start,
			g.lead_end, g.opens_from, g.breaker_until, g.phone, g.tenant_id, (v.c).cap_24h, (v.c).cap_7d
		FROM asked a JOIN verdict v USING (lane_id, at) CROSS JOIN LATERAL carillon.plan_follow_up(a.follow_up_id) f
		CROSS JOIN LATERAL (SELECT * FROM carillon.lead_gates(f, v.c, a.at) OFFSET 0) g
	), opening AS MATERIALIZED (
		SELECT d.*, carillon.next_opening(d.opens_from, d.lane_id, d.zones, d.lead_start, d.lead_end) AS opens_at
		FROM (SELECT DISTINCT lane_id, zones, lead_start, lead_end, opens_from FROM checked WHERE carillon.hold_opens(hold)) d
	)
	SELECT c.follow_up_id, c.lane_id, c.n, c.at, carillon.hold_gate(c.hold, o.opens_at),
		CASE WHEN carillon.hold_opens(c.hold) THEN o.opens_at WHEN c.hold = 'breaker' THEN c.breaker_until
			WHEN c.hold = 'cap' THEN carillon.cap_opens(c.phone, c.tenant_id, c.cap_24h, c.cap_7d, c.at) END,
		c.zones, c.lead_start, c.lead_end
	FROM checked c LEFT JOIN opening o USING (lane_id, zones, lead_start, lead_end, opens_from)
$$;

-- When each group can be dialed: looked at in its time, then when what held it ends, a few times over; null: not by `until`, or
-- nobody knows. `gate` and `opens_at` are those of the first look; null where it is not due by then.
CREATE FUNCTION plan_times(waiting plan_group[], until timestamptz)
RETURNS TABLE (lane_id bigint, n bigint, due boolean, gate text, opens_at timestamptz, dialed_at timestamptz, zones text[], w_start time, w_end time)
LANGUAGE sql STABLE AS $$
	WITH first AS MATERIALIZED (
		SELECT * FROM carillon.plan_look(ARRAY(SELECT w::carillon.plan_group FROM unnest(waiting) w WHERE w.at <= until))
	), second AS MATERIALIZED (
		SELECT * FROM carillon.plan_look(ARRAY(SELECT (follow_up_id, p.lane_id, p.n, p.opens_at, NULL, NULL, NULL, NULL, NULL)::carillon.plan_group
			FROM first p WHERE p.gate IS NOT NULL AND p.opens_at <= until))
	), third AS MATERIALIZED (
		SELECT * FROM carillon.plan_look(ARRAY(SELECT (follow_up_id, p.lane_id, p.n, p.opens_at, NULL, NULL, NULL, NULL, NULL)::carillon.plan_group
			FROM second p WHERE p.gate IS NOT NULL AND p.opens_at <= until))
	), fourth AS MATERIALIZED (
		SELECT * FROM carillon.plan_look(ARRAY(SELECT (follow_up_id, p.lane_id, p.n, p.opens_at, NULL, NULL, NULL, NULL, NULL)::carillon.plan_group
			FROM third p WHERE p.gate IS NOT NULL AND p.opens_at <= until))
	), passed AS MATERIALIZED (
		SELECT * FROM first p WHERE p.gate IS NULL UNION ALL SELECT * FROM second p WHERE p.gate IS NULL
		UNION ALL SELECT * FROM third p WHERE p.gate IS NULL UNION ALL SELECT * FROM fourth p WHERE p.gate IS NULL
	)
	SELECT w.lane_id, w.n, f.follow_up_id IS NOT NULL, f.gate, f.opens_at, p.at, p.zones, p.w_start, p.w_end
	FROM unnest(waiting) w LEFT JOIN first f USING (follow_up_id) LEFT JOIN passed p USING (follow_up_id)
$$;

-- How many calls an hour a lane can begin, by its limits and its account's, and the limit that says so; both null: any number. A
-- call fills a slot for as long as the lane's did lately, else as its tenant's did, else for a minute. An account's slots go to its
-- lanes in turn, so each that has something waiting is given the same part of them.
CREATE FUNCTION plan_pace(lanes bigint[])
RETURNS TABLE (lane_id bigint, mean_call_s double precision, per_hour double precision, limited_by text) LANGUAGE sql STABLE AS $$
	WITH looked_at AS MATERIALIZED (   -- these, and some of their tenants' others
		SELECT unnest(lanes) AS id
		UNION SELECT o.id FROM (SELECT DISTINCT n.tenant_id FROM carillon.lanes n WHERE n.id = ANY (lanes)) t
			CROSS JOIN LATERAL (SELECT n.id FROM carillon.lanes n WHERE n.tenant_id = t.tenant_id ORDER BY n.id LIMIT 20) o
	), lately AS MATERIALIZED (   -- by the lane's own index: of all calls a tenant's may be few
		SELECT n.id AS lane_id, n.tenant_id, extract(epoch FROM c.ended_at - c.claimed_at)::double precision AS s
		FROM looked_at a JOIN carillon.lanes n ON n.id = a.id
		CROSS JOIN (VALUES ('completed'), ('failed')) w (word)
		CROSS JOIN LATERAL (SELECT e.job_id FROM carillon.ended_calls e WHERE e.lane_id = n.id AND e.status = w.word ORDER BY e.at DESC LIMIT 100) e
		CROSS JOIN LATERAL (SELECT k.ended_at, k.claimed_at FROM carillon.calls k WHERE k.job_id = e.job_id OFFSET 0) c
		WHERE c.ended_at > c.claimed_at
	)
	SELECT n.id, m.s, p.per_hour, p.limited_by
	FROM carillon.lanes n LEFT JOIN carillon.accounts a ON a.id = n.account_id
	CROSS JOIN LATERAL (SELECT greatest(coalesce((SELECT avg(l.s) FROM lately l WHERE l.lane_id = n.id),
		(SELECT avg(l.s) FROM lately l WHERE l.tenant_id = n.tenant_id), 60), 0.1) AS s) m
	CROSS JOIN LATERAL (SELECT greatest(count(*), 1) AS sharers FROM carillon.lanes o WHERE o.account_id = a.id AND o.active AND a.max_concurrent > 0
		AND EXISTS (SELECT FROM carillon.follow_ups f WHERE f.lane_id = o.id AND f.next_look_at IS NOT NULL)) x
	LEFT JOIN LATERAL (SELECT per_hour, limited_by FROM (VALUES
			(n.rate_per_second * 3600, 'rate'), (nullif(n.max_concurrent, 0) * 3600 / m.s, 'concurrency'),
			(nullif(n.batch_per_run, 0) * 3600.0, 'batch_per_run'), (nullif(a.max_concurrent, 0) * 3600 / m.s / x.sharers, 'account')) v (per_hour, limited_by)
		WHERE per_hour IS NOT NULL ORDER BY per_hour LIMIT 1) p ON true
	WHERE n.id = ANY (lanes)
$$;

CREATE TYPE plan_time AS (lane_id bigint, n bigint, due boolean, gate text, opens_at timestamptz, dialed_at timestamptz, zones text[], w_start time, w_end time);

-- What comes of it by hours, the first of which begins with `since`: for each lane its sets of hours, and per set and hour how many
-- become free to be dialed, and for how much of the hour it is open (by quarters).
CREATE FUNCTION plan_hours(times plan_time[], since timestamptz, until timestamptz)
RETURNS TABLE (lane_id bigint, sets integer, hours integer, came bigint[], open double precision[]) LANGUAGE sql STABLE AS $$
	WITH free AS MATERIALIZED (
		SELECT t.*, floor(extract(epoch FROM t.dialed_at - date_trunc('hour', since, 'UTC')) / 3600)::integer AS hour FROM unnest(times) t WHERE t.dialed_at < until
	), lead_hours AS MATERIALIZED (
		SELECT row_number() OVER () AS id, h.* FROM (SELECT DISTINCT zones, w_start, w_end FROM free) h
	), lane_set AS MATERIALIZED (   -- who came first goes first
		SELECT f.lane_id, h.id, row_number() OVER (PARTITION BY f.lane_id ORDER BY min(f.dialed_at), h.id)::integer AS no
		FROM free f JOIN lead_hours h ON (h.zones, h.w_start, h.w_end) = (f.zones, f.w_start, f.w_end) GROUP BY f.lane_id, h.id
	), quarter AS MATERIALIZED (
		SELECT greatest(q, since) AS at, extract(epoch FROM least(q + interval '15 minutes', until) - greatest(q, since)) / 3600 AS part, floor(extract(epoch FROM q - date_trunc('hour', since, 'UTC')) / 3600)::integer AS hour
		FROM generate_series(date_bin('15 minutes', since, '2000-01-01Z'), until - interval '1 microsecond', interval '15 minutes') q
	), lane_open AS MATERIALIZED (
		SELECT l.lane_id, q.at, q.hour, q.part FROM (SELECT DISTINCT s.lane_id FROM lane_set s) l CROSS JOIN quarter q
		CROSS JOIN LATERAL (SELECT FROM carillon.lane_gates(q.at) g WHERE g.lane_id = l.lane_id AND NOT g."day" AND NOT g.holiday AND NOT g."window" OFFSET 0) g
	), lead_open AS MATERIALIZED (
		SELECT h.id, q.at FROM lead_hours h CROSS JOIN quarter q
		WHERE NOT EXISTS (SELECT FROM unnest(h.zones) z WHERE NOT carillon.in_window((q.at AT TIME ZONE z)::time, h.w_start, h.w_end))
	), both_open AS MATERIALIZED (
		SELECT s.lane_id, s.no, o.hour, sum(o.part) AS part
		FROM lane_set s JOIN lane_open o USING (lane_id) JOIN lead_open h ON h.id = s.id AND h.at = o.at GROUP BY s.lane_id, s.no, o.hour
	), come AS MATERIALIZED (
		SELECT f.lane_id, s.no, f.hour, sum(f.n)::bigint AS n FROM free f JOIN lead_hours h ON (h.zones, h.w_start, h.w_end) = (f.zones, f.w_start, f.w_end)
		JOIN lane_set s ON s.lane_id = f.lane_id AND s.id = h.id GROUP BY f.lane_id, s.no, f.hour
	), last AS (
		SELECT max(hour) AS hour FROM quarter
	)
	SELECT s.lane_id, max(s.no), (SELECT hour + 1 FROM last), array_agg(coalesce(c.n, 0) ORDER BY s.no, h),
		array_agg(coalesce(b.part, CASE WHEN c.n > 0 THEN 0.25 ELSE 0 END)::double precision ORDER BY s.no, h)   -- open between two quarters
	FROM lane_set s CROSS JOIN generate_series(0, (SELECT hour FROM last)) h
	LEFT JOIN come c ON c.lane_id = s.lane_id AND c.no = s.no AND c.hour = h
	LEFT JOIN both_open b ON b.lane_id = s.lane_id AND b.no = s.no AND b.hour = h
	GROUP BY s.lane_id
$$;

-- How many a lane dials in each hour: as many as have come and its pace permits; the rest waits for the next hour that is open to it.
CREATE FUNCTION plan_run(sets integer, hours integer, came bigint[], open double precision[], per_hour double precision) RETURNS bigint[]
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	left_over bigint[] := array_fill(0::bigint, ARRAY[sets]);
	dials bigint[] := array_fill(0::bigint, ARRAY[hours]);
	room double precision := 0;   -- of this hour; less than one call stays for the next
	most double precision;
	made bigint;
	i integer;
BEGIN
	FOR h IN 1..hours LOOP
		room := CASE WHEN room > 0 THEN room - floor(room) ELSE 0 END;
		most := 0;
		FOR s IN 1..sets LOOP
			i := (s - 1) * hours + h;
			left_over[s] := left_over[s] + came[i];
			IF left_over[s] > 0 THEN
				most := greatest(most, open[i]);
			END IF;
		END LOOP;
		room := room + coalesce(per_hour, 0) * most;
		FOR s IN 1..sets LOOP
			i := (s - 1) * hours + h;
			CONTINUE WHEN left_over[s] = 0 OR open[i] = 0;
			made := CASE WHEN per_hour IS NULL THEN left_over[s] ELSE least(left_over[s], floor(room + 1e-6), ceil(per_hour * open[i])) END;
			left_over[s] := left_over[s] - made;
			dials[h] := dials[h] + made;
			room := room - CASE WHEN per_hour IS NULL THEN 0 ELSE made END;
		END LOOP;
	END LOOP;
	RETURN dials;
END $$;

-- As the API shows it, of one lane or of all that have something waiting; `most`: of lanes, and of numbers that are looked at each.
CREATE FUNCTION plan(the_hours integer, the_lane bigint, most_lanes integer DEFAULT 256, most_known bigint DEFAULT 20000) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
	until timestamptz := now() + the_hours * interval '1 hour';
	begin_at timestamptz := date_trunc('hour', now(), 'UTC');
	all_lanes bigint[] := ARRAY(SELECT n.id FROM carillon.lanes n WHERE (the_lane IS NULL OR n.id = the_lane)
		AND (EXISTS (SELECT FROM carillon.follow_ups f WHERE f.lane_id = n.id AND f.next_look_at IS NOT NULL)
			OR n.name = 'redial' AND n.id IN (SELECT r.lane_id FROM carillon.plan_redials(until) r)) ORDER BY n.id);
	lanes bigint[] := all_lanes[1:most_lanes];
	waiting carillon.plan_group[];
	times carillon.plan_time[];
	every bigint;
	planned jsonb;
BEGIN
	SELECT array_agg(w.waits), max(w.every) INTO waiting, every FROM carillon.plan_waiting(lanes, until, most_known) w;
	times := ARRAY(SELECT (t.lane_id, t.n, t.due, t.gate, t.opens_at, t.dialed_at, t.zones, t.w_start, t.w_end)::carillon.plan_time
		FROM carillon.plan_times(coalesce(waiting, '{}'), until) t);
	WITH run AS MATERIALIZED (
		SELECT h.lane_id, carillon.plan_run(h.sets, h.hours, h.came, h.open, p.per_hour) AS dials
		FROM carillon.plan_hours(times, now(), until) h JOIN carillon.plan_pace(lanes) p USING (lane_id)
	), dial AS (
		SELECT r.lane_id, greatest(begin_at + (d.hour - 1) * interval '1 hour', now()) AS at, d.calls FROM run r CROSS JOIN LATERAL unnest(r.dials) WITH ORDINALITY d (calls, hour) WHERE d.calls > 0
	), hold AS (
		SELECT t.lane_id, t.gate, sum(t.n) AS n, min(t.opens_at) AS opens_first, max(t.opens_at) AS opens_last, bool_or(t.opens_at IS NULL) AS unknown
		FROM unnest(times) t WHERE t.gate IS NOT NULL GROUP BY t.lane_id, t.gate
	)
	SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('lane', n.name, 'campaign', (SELECT jsonb_build_object('id', k.id, 'name', k.name) FROM carillon.campaigns k WHERE k.lane_id = n.id)))
		|| jsonb_build_object('tenant', n.tenant_id, 'time_zone', coalesce(n.time_zone, 'UTC'), 'active', n.active,
			'waiting', w.n, 'planned', coalesce(d.calls, 0), 'later', w.n - coalesce(d.calls, 0), 'due_later', w.due_later,
			'calls_per_hour', round(p.per_hour::numeric, 1), 'limited_by', p.limited_by, 'mean_call_seconds', round(p.mean_call_s::numeric, 1),
			'hours', coalesce(d.hours, '[]'),
			'held', coalesce((SELECT jsonb_agg(jsonb_build_object('gate', h.gate, 'calls', h.n, 'final', carillon.hold_is_final(h.gate), 'opens_first', carillon.iso_utc(h.opens_first),
				'opens_last', CASE WHEN NOT h.unknown THEN carillon.iso_utc(h.opens_last) END) ORDER BY h.n DESC, h.gate) FROM hold h WHERE h.lane_id = n.id), '[]')) ORDER BY n.id)
	INTO planned
	FROM (SELECT t.lane_id, sum(t.n) AS n, coalesce(sum(t.n) FILTER (WHERE NOT t.due), 0) AS due_later FROM unnest(times) t GROUP BY t.lane_id) w
	JOIN carillon.lanes n ON n.id = w.lane_id JOIN carillon.plan_pace(lanes) p ON p.lane_id = n.id
	LEFT JOIN LATERAL (SELECT sum(i.calls) AS calls, jsonb_agg(jsonb_build_object('at', carillon.iso_utc(i.at),
			'local', to_char(i.at AT TIME ZONE coalesce(n.time_zone, 'UTC'), 'YYYY-MM-DD"T"HH24:MI'), 'calls', i.calls) ORDER BY i.at) AS hours
		FROM dial i WHERE i.lane_id = n.id HAVING count(*) > 0) d ON true;
	RETURN jsonb_build_object('from', carillon.iso_utc(now()), 'to', carillon.iso_utc(until), 'hours', the_hours, 'lanes', coalesce(planned, '[]'),
		'lanes_left_out', greatest(cardinality(all_lanes) - most_lanes, 0), 'looked_at_one_in', coalesce(every, 1),
		'waiting', coalesce((SELECT sum((l ->> 'waiting')::bigint) FROM jsonb_array_elements(planned) l), 0),
		'planned', coalesce((SELECT sum((l ->> 'planned')::bigint) FROM jsonb_array_elements(planned) l), 0),
		'assumptions', jsonb_build_array('what waits now is planned, and redial records whose time comes: not the calls that follow from these, nor contacts that have no scheduled call yet',
			'nobody stops, starts or changes anything', 'each call fills its slot for mean_call_seconds, and no dial fails before it begins',
			'lanes of one account are planned as if each had it to itself', 'a pass of the scheduler each second',
			'what does not fit into an hour goes to the next that is open to it, those that came first before others'));
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA carillon FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA carillon TO carillon_producer, carillon_consumer, carillon_readonly;
