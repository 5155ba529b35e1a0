-- SPDX-License-Identifier: Apache-2.0
-- The gates: every reason not to dial now, once, over sets.
--
-- lane_gates() and lead_gates() are SQL functions of one SELECT without settings of their own, so that the planner
-- inlines them. A claim asks lane_gates(at) once for its lanes and gives each lane's verdict to the lead_gates() of its
-- rows; carillon.gates() unpivots the same columns for `explain`. A boolean column is true when its gate holds. `hold` is the
-- first of them, in the order of common/tbl/gate.h.

-- Is a local time inside a window? No window: always. start > end: over midnight. 24:00 is a legal end.
CREATE FUNCTION in_window(t time, w_start time, w_end time) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN w_start IS NULL THEN true
		WHEN w_start < w_end THEN t >= w_start AND t < w_end
		ELSE t >= w_start OR t < w_end END
$$;

-- The local day a window's run belongs to: after midnight it is still the day it opened on.
CREATE FUNCTION window_day(l timestamp, w_start time, w_end time) RETURNS date LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN w_start > w_end AND l::time < w_end THEN l::date - 1 ELSE l::date END
$$;

-- When the window that is open at local time l closes; infinity for one that never does.
CREATE FUNCTION window_close(l timestamp, w_start time, w_end time, zone text) RETURNS timestamptz LANGUAGE sql STABLE AS $$
	SELECT CASE WHEN w_start IS NULL OR w_start = '00:00' AND w_end = '24:00' THEN 'infinity'::timestamptz
		ELSE (window_day(l, w_start, w_end) + CASE WHEN w_start >= w_end THEN 1 ELSE 0 END + w_end) AT TIME ZONE zone END
$$;

-- The redial queue has switches of its own, which close its lanes.
CREATE FUNCTION redial_runs() RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN coalesce((SELECT value @> '{"enabled": true, "running": true}' FROM carillon.settings WHERE key = 'redial'), false);
END $$;

-- What is never null and of one width comes first: it is found without a look at what is before it.
CREATE TYPE lane_verdict AS (
	lane_id bigint, closes_at timestamptz, use_lead_window boolean, stopped boolean, lane boolean, "day" boolean, holiday boolean,
	"window" boolean, account_id bigint, cap_24h integer, cap_7d integer, time_zone text, closed text,
	frequency text, retry_attempts integer, called_since timestamptz, next_cycle timestamptz       -- of a campaign's
);

-- A campaign's cycle at local time l: the ISO week (from Monday), else the day. Ends are starts of the next.
CREATE FUNCTION cycle_start(frequency text, l timestamp) RETURNS timestamp LANGUAGE sql IMMUTABLE AS $$
	SELECT date_trunc(CASE frequency WHEN 'weekly' THEN 'week' ELSE 'day' END, l)
$$;

CREATE FUNCTION next_cycle(frequency text, l timestamp) RETURNS timestamp LANGUAGE sql IMMUTABLE AS $$
	SELECT carillon.cycle_start(frequency, l) + CASE frequency WHEN 'weekly' THEN interval '7 days' ELSE interval '1 day' END
$$;

-- The lateral sub-selects with OFFSET 0 are computed once a row; without it the planner would copy their expressions to
-- every place that names them.
CREATE FUNCTION lane_gates(at timestamptz) RETURNS SETOF lane_verdict LANGUAGE sql STABLE AS $$
	SELECT n.id, g.closes_at, n.use_lead_window, g.stopped, g.lane, g."day", g.holiday, g."window", n.account_id, n.cap_24h, n.cap_7d,
		n.time_zone, CASE WHEN g.stopped THEN 'stopped' WHEN g.lane THEN 'lane' WHEN g."day" THEN 'day'
			WHEN g.holiday THEN 'holiday' WHEN g."window" THEN 'window' END,
		k.frequency, k.retry_attempts,
		-- After midnight a window's run is still that of the day it opened on: one call a day, and one a run.
		CASE WHEN carillon.window_day(l.now, n.window_start, n.window_end) < l.now::date
			THEN least(carillon.cycle_start(k.frequency, l.now), carillon.window_day(l.now, n.window_start, n.window_end) + n.window_start)
			ELSE carillon.cycle_start(k.frequency, l.now) END AT TIME ZONE coalesce(n.time_zone, 'UTC'),
		CASE WHEN carillon.window_day(l.now, n.window_start, n.window_end) < l.now::date THEN g.closes_at
			ELSE carillon.next_cycle(k.frequency, l.now) AT TIME ZONE coalesce(n.time_zone, 'UTC') END
	FROM carillon.lanes n
	JOIN carillon.tenants t ON t.id = n.tenant_id
	LEFT JOIN carillon.campaigns k ON k.lane_id = n.id
	CROSS JOIN LATERAL (SELECT at AT TIME ZONE coalesce(n.time_zone, 'UTC') AS now OFFSET 0) l
	CROSS JOIN LATERAL (SELECT
		t.stopped_at IS NOT NULL OR (SELECT s.everything FROM carillon.stops() s) AS stopped,   -- once a statement, not a lane
		NOT n.active OR n.name = 'redial' AND NOT carillon.redial_runs() AS lane,
		n.days IS NOT NULL AND extract(isodow FROM carillon.window_day(l.now, n.window_start, n.window_end))::smallint <> ALL (n.days) AS "day",
		EXISTS (SELECT FROM carillon.holidays h WHERE h.tenant_id = n.tenant_id
			AND h.day = carillon.window_day(l.now, n.window_start, n.window_end)) AS holiday,
		NOT carillon.in_window(l.now::time, n.window_start, n.window_end) AS "window",
		CASE WHEN n.days IS NOT NULL AND (n.window_start IS NULL OR n.window_start = '00:00' AND n.window_end = '24:00')
			THEN (l.now::date + 1)::timestamp AT TIME ZONE coalesce(n.time_zone, 'UTC')   -- the next day may be none of its own
			ELSE carillon.window_close(l.now, n.window_start, n.window_end, coalesce(n.time_zone, 'UTC')) END AS closes_at
		OFFSET 0) g
$$;

CREATE TYPE follow_up_verdict AS (
	follow_up_id bigint, tenant_id text, lane_id bigint, lead_id bigint, account_id bigint, account text, provider text,
	kind text, phone text, zones text[], first_name text, last_name text, state text, variables jsonb, stage text,
	attempts integer, due_at timestamptz, use_lead_window boolean, breaker_until timestamptz, live_job_id uuid,
	no_phone boolean, number boolean, closed_stage boolean, suppressed boolean, stopped boolean, lane boolean, paused boolean,
	credentials boolean, breaker boolean, "day" boolean, holiday boolean, "window" boolean, zone boolean, lead_window boolean,
	is_live boolean, frequency boolean, retry_limit boolean, cap boolean, dial_by timestamptz, lead_start time, lead_end time,
	opens_from timestamptz, hold text      -- an opening is looked for from then on
);

-- What a rule makes of an outcome, and of one that no rule names.
CREATE FUNCTION outcome_action(the_tenant text, the_outcome text) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT coalesce((SELECT action FROM carillon.outcome_rules r
		WHERE r.outcome = the_outcome AND (r.tenant_id = the_tenant OR r.tenant_id IS NULL)
		ORDER BY r.tenant_id NULLS LAST LIMIT 1), 'retry')
$$;

-- Has nothing more to be tried after this call?
CREATE FUNCTION call_succeeded(the_tenant text, outcome text, success boolean, callback_at timestamptz) RETURNS boolean LANGUAGE sql STABLE AS $$
	SELECT coalesce(success, false) OR outcome IS NOT NULL AND CASE carillon.outcome_action(the_tenant, outcome)
		WHEN 'callback' THEN callback_at IS NULL WHEN 'retry' THEN false ELSE true END
$$;

-- All gates of a follow-up, be it one of the queue or one that could be, with the verdict of its lane at the same time. Columns, no
-- row: of a whole row each column would be looked for anew wherever it is named.
CREATE FUNCTION lead_gates(the_follow_up bigint, the_tenant text, the_lane bigint, the_lead bigint, own_account bigint, the_kind text,
	attempts_made integer, was_due_at timestamptz, n lane_verdict, at timestamptz) RETURNS SETOF follow_up_verdict
LANGUAGE sql STABLE AS $$
	SELECT the_follow_up, the_tenant, the_lane, the_lead, a.id, a.name, a.provider, the_kind, l.phone_e164, z.zones, l.first_name,
		l.last_name, l.state, l.raw_payload -> 'variables', l.stage, attempts_made, was_due_at, (n).use_lead_window, a.breaker_until,
		v.job_id, g.no_phone, g.number, g.closed_stage, g.suppressed, (n).stopped, (n).lane, l.paused, g.credentials, g.breaker,
		(n)."day", (n).holiday, (n)."window", g.zone, g.lead_window, g.is_live, g.campaign[1], g.campaign[2], g.cap, least((n).closes_at, g.closes_at),
		z.w_start, z.w_end, CASE WHEN g.campaign[1] THEN (n).next_cycle ELSE at END,
		CASE WHEN g.no_phone THEN 'no_phone' WHEN g.number THEN 'number' WHEN g.closed_stage THEN 'stage'
			WHEN g.suppressed THEN 'suppressed' WHEN (n).stopped THEN 'stopped' WHEN (n).lane THEN 'lane' WHEN l.paused THEN 'paused'
			WHEN g.credentials THEN 'credentials' WHEN g.breaker THEN 'breaker' WHEN (n)."day" THEN 'day'
			WHEN (n).holiday THEN 'holiday' WHEN (n)."window" THEN 'window' WHEN g.zone THEN 'zone'
			WHEN g.lead_window THEN 'lead_window' WHEN g.is_live THEN 'live' WHEN g.campaign[2] THEN 'retry_limit'
			WHEN g.campaign[1] THEN 'frequency' WHEN g.cap THEN 'cap' END
	FROM carillon.leads l
	LEFT JOIN carillon.accounts a ON a.id = coalesce(own_account, (n).account_id)
	-- Looked up by this phone, each apart: of a table that it saw empty the planner would read the whole for every lead.
	LEFT JOIN LATERAL (SELECT s.phone FROM carillon.suppressions s WHERE s.phone = l.phone_e164 AND s.tenant_id = the_tenant
		AND (s.expires_at IS NULL OR s.expires_at > at) OFFSET 0) s ON true
	LEFT JOIN LATERAL (SELECT v.job_id, v.follow_up_id FROM carillon.live v
		WHERE v.phone = l.phone_e164 AND v.tenant_id = the_tenant OFFSET 0) v ON true
	CROSS JOIN LATERAL (SELECT
		-- UNKNOWN_ZONE=lane: a number without a zone may use its lane's, in narrower hours; never where a bad zone was given.
		CASE WHEN l.zones <> '{}' OR coalesce(l.time_zone, '') <> '' OR (n).time_zone IS NULL
			OR (SELECT value FROM carillon.settings WHERE key = 'unknown_zone') IS DISTINCT FROM '"lane"' THEN l.zones
			ELSE ARRAY[(n).time_zone] END AS zones,
		CASE WHEN l.zones = '{}' THEN greatest('10:00', (SELECT (value ->> 'start')::time FROM carillon.settings WHERE key = 'lead_window'))
			ELSE (SELECT (value ->> 'start')::time FROM carillon.settings WHERE key = 'lead_window') END AS w_start,
		CASE WHEN l.zones = '{}' THEN least('17:00', (SELECT (value ->> 'end')::time FROM carillon.settings WHERE key = 'lead_window'))
			ELSE (SELECT (value ->> 'end')::time FROM carillon.settings WHERE key = 'lead_window') END AS w_end
		OFFSET 0) z
	-- Most have one zone; only others are worth a sub-select.
	CROSS JOIN LATERAL (SELECT CASE WHEN (n).use_lead_window THEN cardinality(z.zones) ELSE 0 END AS zones,
		CASE WHEN (n).use_lead_window THEN at AT TIME ZONE z.zones[1] END AS now OFFSET 0) w
	CROSS JOIN LATERAL (SELECT
		coalesce(l.phone, '') = '' AS no_phone,
		l.phone_e164 IS NULL OR NOT carillon.number_is_dialable(l.phone_e164) AS number,
		l.stage IN ('closed', 'lost') AS closed_stage,
		s.phone IS NOT NULL AS suppressed,
		a.id IS NULL OR NOT a.active AS credentials,
		coalesce(a.breaker_until > at, false) AS breaker,
		(n).use_lead_window AND z.zones = '{}' AS zone,
		CASE w.zones WHEN 0 THEN false WHEN 1 THEN NOT carillon.in_window(w.now::time, z.w_start, z.w_end)
			ELSE (SELECT bool_or(NOT carillon.in_window((at AT TIME ZONE there)::time, z.w_start, z.w_end)) FROM unnest(z.zones) there) END AS lead_window,
		CASE w.zones WHEN 0 THEN NULL WHEN 1 THEN carillon.window_close(w.now, z.w_start, z.w_end, z.zones[1])
			ELSE (SELECT min(carillon.window_close(at AT TIME ZONE there, z.w_start, z.w_end, there)) FROM unnest(z.zones) there) END AS closes_at,
		v.job_id IS NOT NULL AND v.follow_up_id <> the_follow_up AS is_live,
		CASE WHEN (n).cap_24h IS NULL AND (n).cap_7d IS NULL THEN false ELSE (SELECT
			coalesce(count(*) FILTER (WHERE c.claimed_at > at - interval '24 hours') >= (n).cap_24h, false)
				OR coalesce(count(*) >= (n).cap_7d, false)
			FROM carillon.calls c WHERE c.phone = l.phone_e164 AND c.tenant_id = the_tenant
			AND c.claimed_at > at - interval '7 days' AND c.status NOT IN ('rejected', 'not_dialed')) END AS cap,
		-- Calls of this campaign to this number: at most one a cycle; in all, where cycles don't start afresh.
		CASE WHEN (n).frequency IS NOT NULL THEN (SELECT ARRAY[
			coalesce(bool_or(c.dialed_at >= (n).called_since), false),
			(n).frequency = 'none' AND (count(*) >= (n).retry_attempts
				OR coalesce(bool_or(carillon.call_succeeded(the_tenant, c.outcome, c.success, c.callback_at)), false)) IS TRUE]
			FROM (SELECT coalesce(c.posted_at, c.claimed_at) AS dialed_at, c.outcome, c.success, c.callback_at FROM carillon.calls c
				WHERE c.phone = l.phone_e164 AND c.tenant_id = the_tenant AND c.lane_id = the_lane AND c.status NOT IN ('rejected', 'not_dialed')
				AND c.claimed_at >= CASE (n).frequency WHEN 'none' THEN '-infinity' ELSE (n).called_since - interval '1 day' END) c)
			ELSE '{f,f}' END AS campaign   -- frequency, retry limit
		OFFSET 0) g
	WHERE l.id = the_lead
$$;

CREATE FUNCTION lead_gates(f follow_ups, n lane_verdict, at timestamptz) RETURNS SETOF follow_up_verdict LANGUAGE sql STABLE AS $$
	SELECT g.* FROM carillon.lead_gates((f).id, (f).tenant_id, (f).lane_id, (f).lead_id, (f).account_id, (f).kind, (f).attempts,
		(f).due_at, n, at) g
$$;

CREATE FUNCTION follow_up_gates(the_follow_up bigint, n lane_verdict, at timestamptz) RETURNS SETOF follow_up_verdict
LANGUAGE sql STABLE AS $$
	SELECT g.* FROM carillon.follow_ups f
	CROSS JOIN LATERAL carillon.lead_gates(f.id, f.tenant_id, f.lane_id, f.lead_id, f.account_id, f.kind, f.attempts, f.due_at, n, at) g
	WHERE f.id = the_follow_up
$$;

-- The same for any follow-ups, by their own lanes.
CREATE FUNCTION follow_up_gates(at timestamptz) RETURNS SETOF follow_up_verdict LANGUAGE sql STABLE AS $$
	SELECT g.* FROM carillon.follow_ups f
	CROSS JOIN LATERAL (SELECT n FROM carillon.lane_gates(at) n WHERE n.lane_id = f.lane_id OFFSET 0) l
	CROSS JOIN LATERAL carillon.follow_up_gates(f.id, l.n, at) g
$$;

-- The first instant from `at` on, within 14 days, when lane and lead windows are open together; null if there is none.
-- It can only be `at` itself or the opening of one of the windows, so those instants are tried.
CREATE FUNCTION next_opening(at timestamptz, the_lane bigint, zones text[], w_start time, w_end time) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
	SELECT min(c.t) FROM (
		SELECT at AS t
		UNION SELECT ((at AT TIME ZONE w.zone)::date + d + coalesce(w.opens, '00:00')) AT TIME ZONE w.zone
		FROM generate_series(0, 14) d, (
			SELECT n.time_zone AS zone, n.window_start AS opens FROM carillon.lanes n WHERE n.id = the_lane AND n.time_zone IS NOT NULL
			UNION SELECT name, w_start FROM unnest(zones) name
			UNION SELECT 'UTC', '00:00' FROM carillon.lanes n WHERE n.id = the_lane AND n.time_zone IS NULL) w
	) c
	WHERE c.t >= at AND c.t <= at + interval '14 days'
	AND EXISTS (SELECT FROM carillon.lane_gates(c.t) g WHERE g.lane_id = the_lane AND NOT g."day" AND NOT g.holiday AND NOT g."window")
	AND NOT EXISTS (SELECT FROM unnest(zones) name WHERE NOT carillon.in_window((c.t AT TIME ZONE name)::time, w_start, w_end))
$$;

CREATE FUNCTION hold_is_final(hold text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
	SELECT hold IN ('no_phone', 'number', 'stage', 'suppressed', 'retry_limit')
$$;

-- It ends at the next opening.
CREATE FUNCTION hold_opens(hold text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
	SELECT hold IN ('day', 'holiday', 'window', 'lead_window', 'frequency')
$$;

-- When a held follow-up is looked at again; never, if the hold is final. `opening` is next_opening() where a window holds.
CREATE FUNCTION look_again_at(hold text, at timestamptz, opening timestamptz, breaker_until timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
	SELECT CASE
		WHEN carillon.hold_is_final(hold) THEN NULL
		WHEN carillon.hold_opens(hold) THEN coalesce(opening, at + interval '6 hours')
		WHEN hold = 'breaker' THEN breaker_until
		WHEN hold = 'live' THEN at + interval '15 seconds'
		WHEN hold IN ('stopped', 'lane', 'credentials') THEN at + interval '30 seconds'
		WHEN hold = 'cap' THEN at + interval '15 minutes'
		ELSE at + interval '1 hour' END
$$;

-- What is written of a hold: a window that no common hour of lane and zones ever opens has a name of its own.
CREATE FUNCTION hold_gate(hold text, opens_at timestamptz) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN hold = 'lead_window' AND opens_at IS NULL THEN 'no_common_window' ELSE hold END
$$;

-- ---- Limits: what a lane and an account have left, null where there is no limit --------------------------------------

-- Jobs of a lane that nobody has taken yet. Claim by claim, of which there are few (forget_claims.sql): what else was ever claimed
-- still names its claim, and must not be read.
CREATE FUNCTION lane_queued(the_lane bigint) RETURNS TABLE (account_id bigint) LANGUAGE sql STABLE AS $$
	SELECT q.account_id FROM carillon.claims k CROSS JOIN LATERAL (
		SELECT f.account_id FROM carillon.follow_ups f WHERE f.claim_id = k.id AND f.status = 'queued' OFFSET 0) q
	WHERE k.lane_id = the_lane
$$;

-- Counted once each, wherever it is named (OFFSET 0). Live calls and queued jobs fill slots; a call that stays undetermined holds its phone alone.
CREATE FUNCTION lane_slots(the_lane bigint, most integer) RETURNS TABLE (free bigint) LANGUAGE sql STABLE AS $$
	SELECT CASE WHEN most > 0 THEN greatest(0, most
		- (SELECT count(*) FROM carillon.live v WHERE v.lane_id = the_lane AND v.state <> 'undetermined')
		- (SELECT count(*) FROM carillon.lane_queued(the_lane))) END OFFSET 0
$$;

-- Where an account has no limit, a job that is published long before anybody can take it would only grow old in Kafka.
CREATE FUNCTION account_slots(the_account bigint, most integer) RETURNS TABLE (free bigint) LANGUAGE sql STABLE AS $$
	SELECT greatest(0, least(m.queued, CASE WHEN most > 0 THEN most
			- (SELECT count(*) FROM carillon.live v WHERE v.account_id = the_account AND v.state <> 'undetermined') END)
		- (SELECT count(*) FROM carillon.claims k JOIN carillon.lanes n ON n.id = k.lane_id CROSS JOIN LATERAL (
			SELECT FROM carillon.follow_ups f WHERE f.claim_id = k.id AND f.status = 'queued'
			AND coalesce(f.account_id, n.account_id) = the_account OFFSET 0) q
			WHERE k.account_id = the_account OR n.account_id = the_account))
	FROM (SELECT (value #>> '{}')::bigint AS queued FROM carillon.settings WHERE key = 'account_queued_max') m OFFSET 0
$$;

-- The same for a claim, which fills what has no limit in portions: each look at a full queue costs a count.
CREATE FUNCTION account_room(slots bigint, most integer) RETURNS TABLE (free bigint) LANGUAGE sql STABLE AS $$
	SELECT CASE WHEN most > 0 OR slots >= (SELECT (value #>> '{}')::bigint / 4 FROM carillon.settings WHERE key = 'account_queued_max')
		THEN slots ELSE 0 END
$$;

-- The rate's bucket: dials that may begin at once.
CREATE FUNCTION lane_tokens(rate double precision, tokens double precision, tokens_at timestamptz, at timestamptz)
RETURNS double precision LANGUAGE sql STABLE AS $$
	SELECT CASE WHEN rate IS NOT NULL THEN least(greatest(rate, 1), tokens + extract(epoch FROM at - tokens_at) * rate) END
$$;

-- When the oldest of the dials that fill a cap no longer counts.
CREATE FUNCTION cap_opens(the_phone text, the_tenant text, most_24h integer, most_7d integer, at timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
	SELECT greatest(
		(SELECT c.claimed_at + interval '24 hours' FROM carillon.calls c WHERE most_24h IS NOT NULL AND c.phone = the_phone AND c.tenant_id = the_tenant
			AND c.claimed_at > at - interval '24 hours' AND c.status NOT IN ('rejected', 'not_dialed')
			ORDER BY c.claimed_at DESC OFFSET most_24h - 1 LIMIT 1),
		(SELECT c.claimed_at + interval '7 days' FROM carillon.calls c WHERE most_7d IS NOT NULL AND c.phone = the_phone AND c.tenant_id = the_tenant
			AND c.claimed_at > at - interval '7 days' AND c.status NOT IN ('rejected', 'not_dialed')
			ORDER BY c.claimed_at DESC OFFSET most_7d - 1 LIMIT 1))
$$;

-- For people and the API: every gate of a follow-up with its verdict, the facts used and when it opens. What is live, queued
-- and spent is that of now.
CREATE FUNCTION gates_of(f follow_ups, at timestamptz)
RETURNS TABLE (gate text, verdict text, facts jsonb, opens_at timestamptz) LANGUAGE sql STABLE AS $$
	SELECT v.gate, CASE WHEN v.holds THEN 'hold' ELSE 'pass' END, v.facts,
		CASE WHEN NOT v.holds OR carillon.hold_is_final(v.gate) THEN NULL
			WHEN v.gate = 'breaker' THEN g.breaker_until
			WHEN v.gate IN ('day', 'holiday', 'window') THEN carillon.next_opening(at, g.lane_id, '{}', NULL, NULL)
			WHEN v.gate IN ('lead_window', 'no_common_window') THEN o.opening
			WHEN v.gate = 'frequency' THEN carillon.next_opening(g.opens_from, g.lane_id,
				CASE WHEN g.use_lead_window THEN g.zones ELSE '{}' END, g.lead_start, g.lead_end)
			WHEN v.gate = 'cap' THEN carillon.cap_opens(g.phone, g.tenant_id, n.cap_24h, n.cap_7d, at)
			WHEN v.gate = 'rate' THEN at + (1 - t.tokens) / n.rate_per_second * interval '1 second' END
	FROM (SELECT c FROM carillon.lane_gates(at) c WHERE c.lane_id = (f).lane_id) w
	CROSS JOIN LATERAL carillon.lead_gates(f, w.c, at) g
	JOIN carillon.lanes n ON n.id = g.lane_id
	JOIN carillon.leads l ON l.id = g.lead_id
	LEFT JOIN carillon.campaigns k ON k.lane_id = n.id
	LEFT JOIN carillon.accounts a ON a.id = g.account_id
	CROSS JOIN LATERAL carillon.lane_slots(n.id, n.max_concurrent) ls
	CROSS JOIN LATERAL carillon.account_slots(a.id, a.max_concurrent) acs
	CROSS JOIN LATERAL carillon.account_room(acs.free, a.max_concurrent) acr
	CROSS JOIN LATERAL (SELECT carillon.lane_tokens(n.rate_per_second, n.tokens, n.tokens_at, at) AS tokens) t
	CROSS JOIN LATERAL (SELECT carillon.next_opening(at, g.lane_id, CASE WHEN g.use_lead_window THEN g.zones ELSE '{}' END, g.lead_start, g.lead_end) AS opening) o
	CROSS JOIN LATERAL (VALUES
		(1, 'no_phone', g.no_phone, jsonb_build_object('phone_given', coalesce(l.phone, '') <> '')),
		(2, 'number', g.number, jsonb_build_object('e164', g.phone)),
		(3, 'stage', g.closed_stage, jsonb_build_object('stage', g.stage)),
		(4, 'suppressed', g.suppressed, jsonb_build_object('suppressed', g.suppressed)),
		(5, 'stopped', g.stopped, jsonb_build_object('tenant', g.tenant_id)
			|| CASE WHEN carillon.timeline_changed() THEN jsonb_build_object('timeline', 'changed') ELSE '{}' END),
		(6, 'lane', g.lane, jsonb_build_object('lane', n.name, 'active', n.active)
			|| CASE n.name WHEN 'redial' THEN jsonb_build_object('queue_runs', carillon.redial_runs()) ELSE '{}' END),
		(7, 'paused', g.paused, jsonb_build_object('paused', g.paused)),
		(8, 'credentials', g.credentials, jsonb_build_object('account', g.account)),
		(9, 'breaker', g.breaker, jsonb_build_object('until', g.breaker_until)),
		(10, 'day', g."day", jsonb_build_object('days', n.days, 'time_zone', n.time_zone)),
		(11, 'holiday', g.holiday, jsonb_build_object('holiday', g.holiday)),
		(12, 'window', g."window", jsonb_build_object('start', n.window_start, 'end', n.window_end, 'time_zone', n.time_zone)),
		(13, 'zone', g.zone, jsonb_build_object('time_zone', l.time_zone, 'zones', to_jsonb(g.zones))),
		(14, 'lead_window', g.lead_window, jsonb_build_object('start', g.lead_start, 'end', g.lead_end, 'zones', to_jsonb(g.zones), 'used', g.use_lead_window)),
		(15, 'no_common_window', o.opening IS NULL AND NOT g.zone, jsonb_build_object('days_searched', 14)),
		(16, 'live', g.is_live, jsonb_build_object('job_id', g.live_job_id)),
		(17, 'retry_limit', g.retry_limit, jsonb_build_object('retry_attempts', k.retry_attempts)),
		(18, 'frequency', g.frequency, jsonb_build_object('frequency', k.frequency)),
		(19, 'cap', g.cap, jsonb_build_object('cap_24h', n.cap_24h, 'cap_7d', n.cap_7d)),
		-- A job that is queued has its slot and its token.
		(20, 'concurrency', (f).status = 'pending' AND coalesce(least(ls.free, acr.free) = 0, false),
			jsonb_build_object('lane_limit', n.max_concurrent, 'lane_free', ls.free, 'account_limit', a.max_concurrent, 'account_free', acs.free,
				'account_queued_max', (SELECT value FROM carillon.settings WHERE key = 'account_queued_max'))),
		(21, 'rate', (f).status = 'pending' AND coalesce(t.tokens < 1, false), jsonb_build_object('per_second', n.rate_per_second))
	) v (ord, gate, holds, facts)
	ORDER BY v.ord
$$;

CREATE FUNCTION gates(the_follow_up bigint, at timestamptz)
RETURNS TABLE (gate text, verdict text, facts jsonb, opens_at timestamptz) LANGUAGE sql STABLE AS $$
	SELECT g.* FROM carillon.follow_ups f CROSS JOIN LATERAL carillon.gates_of(f, at) g WHERE f.id = the_follow_up
$$;
