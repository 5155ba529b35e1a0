-- SPDX-License-Identifier: Apache-2.0
-- The history of calls: those that were dialed, from the ledger, and those that are scheduled or were called off, from the queue, as
-- one list, the youngest first. Its order is by what never changes: when a call was claimed, when a follow-up was made.
--
-- Millions of rows change their status in place, and an index on what changes would cost every one of those updates an entry in
-- each index of the table. So a call that ends is noted once in ended_calls; those that go on are in `live`; and the indexes of
-- follow_ups are on what a dispatch does not touch.
-- What that costs, in WAL without page images: 120 bytes for a follow-up that is made, none for its claim, its call and its result,
-- 290 for a call's end; 1.3 kB for a lead that is made, for the search of names.

CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;

CREATE TABLE ended_calls (
	lane_id bigint NOT NULL,
	status  text NOT NULL,                          -- as the ledger's; `refused`: rejected, and not to be tried again
	at      timestamptz NOT NULL,                   -- calls.claimed_at
	job_id  uuid NOT NULL,
	lead_id bigint NOT NULL,
	PRIMARY KEY (lane_id, status, at, job_id) INCLUDE (lead_id)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.02);   -- read by its key alone

CREATE FUNCTION ended_word(status text, refusal text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN status = 'rejected' AND refusal IN ('number', 'configuration') THEN 'refused' ELSE status END
$$;

-- How many of them are older than `before`: who asks how far a campaign is would count the same millions each time. What is younger
-- than two days is never in it, so that a call's end has nothing to do here; an end that comes later is added.
CREATE TABLE ended_totals (
	lane_id bigint NOT NULL REFERENCES lanes ON DELETE CASCADE,
	status  text NOT NULL,
	before  timestamptz NOT NULL DEFAULT '-infinity',
	n       bigint NOT NULL DEFAULT 0,
	PRIMARY KEY (lane_id, status)
);

-- The row is locked before it is read: whoever moves `before` over this end waits until it is there to be counted.
CREATE FUNCTION ended_late(the_lane bigint, word text, ended_at timestamptz, change integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO carillon.ended_totals (lane_id, status) VALUES (the_lane, word) ON CONFLICT DO NOTHING;
	PERFORM FROM carillon.ended_totals WHERE lane_id = the_lane AND status = word FOR NO KEY UPDATE;
	UPDATE carillon.ended_totals SET n = n + change WHERE lane_id = the_lane AND status = word AND before > ended_at;
END $$;

-- Counts what has become three days old, of so many lanes and statuses where that was a day ago; how many those were.
CREATE FUNCTION ended_count(the_limit bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	t record;
	counted bigint := 0;
BEGIN
	FOR t IN SELECT n.id, s.status FROM carillon.lanes n CROSS JOIN (VALUES ('completed'), ('failed')) s (status)
		LEFT JOIN carillon.ended_totals o ON o.lane_id = n.id AND o.status = s.status
		WHERE coalesce(o.before, '-infinity') < now() - interval '4 days' ORDER BY n.id, s.status LIMIT the_limit
	LOOP
		INSERT INTO carillon.ended_totals (lane_id, status) VALUES (t.id, t.status) ON CONFLICT DO NOTHING;
		PERFORM FROM carillon.ended_totals WHERE lane_id = t.id AND status = t.status FOR NO KEY UPDATE;
		UPDATE carillon.ended_totals o SET before = now() - interval '3 days', n = n + (SELECT count(*) FROM carillon.ended_calls e
			WHERE e.lane_id = o.lane_id AND e.status = o.status AND e.at >= o.before AND e.at < now() - interval '3 days')
		WHERE o.lane_id = t.id AND o.status = t.status AND o.before < now() - interval '4 days';
		counted := counted + 1;
	END LOOP;
	RETURN counted;
END $$;

CREATE FUNCTION ended_total(the_lane bigint, word text) RETURNS bigint LANGUAGE sql STABLE AS $$
	SELECT coalesce(o.n, 0) + (SELECT count(*) FROM carillon.ended_calls e
		WHERE e.lane_id = the_lane AND e.status = word AND e.at >= coalesce(o.before, '-infinity'))
	FROM (SELECT) one LEFT JOIN carillon.ended_totals o ON o.lane_id = the_lane AND o.status = word
$$;

-- One that is taken up again goes on, and is noted when it ends again.
CREATE FUNCTION calls_ended() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	is_late CONSTANT boolean := NEW.claimed_at < now() - interval '2 days';
BEGIN
	IF TG_OP = 'UPDATE' AND OLD.status IN ('completed', 'failed', 'rejected', 'not_dialed') THEN
		DELETE FROM carillon.ended_calls WHERE lane_id = OLD.lane_id AND status = carillon.ended_word(OLD.status, OLD.refusal)
			AND at = OLD.claimed_at AND job_id = OLD.job_id;
		IF is_late AND FOUND THEN
			PERFORM carillon.ended_late(OLD.lane_id, carillon.ended_word(OLD.status, OLD.refusal), OLD.claimed_at, -1);
		END IF;
	END IF;
	IF NEW.status IN ('completed', 'failed', 'rejected', 'not_dialed') THEN
		INSERT INTO carillon.ended_calls (lane_id, status, at, job_id, lead_id)
		VALUES (NEW.lane_id, carillon.ended_word(NEW.status, NEW.refusal), NEW.claimed_at, NEW.job_id, NEW.lead_id) ON CONFLICT DO NOTHING;
		IF is_late AND FOUND THEN
			PERFORM carillon.ended_late(NEW.lane_id, carillon.ended_word(NEW.status, NEW.refusal), NEW.claimed_at, 1);
		END IF;
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER calls_ended AFTER UPDATE OF status ON calls FOR EACH ROW
	WHEN (OLD.status <> NEW.status AND (NEW.status IN ('completed', 'failed', 'rejected', 'not_dialed')
		OR OLD.status IN ('completed', 'failed', 'rejected', 'not_dialed'))) EXECUTE FUNCTION calls_ended();
CREATE TRIGGER calls_ended_before AFTER INSERT ON calls FOR EACH ROW
	WHEN (NEW.status IN ('completed', 'failed', 'rejected', 'not_dialed')) EXECUTE FUNCTION calls_ended();

CREATE INDEX follow_ups_scheduled ON follow_ups (lane_id, created_at, id) INCLUDE (source) WHERE next_look_at IS NOT NULL;
CREATE INDEX follow_ups_called_off ON follow_ups (lane_id, created_at, id) WHERE reason IS NOT NULL;   -- a dispatch leaves it null

-- Names and numbers by any part of them. The pending list is read by every search, so it is short.
CREATE INDEX leads_search ON leads USING gin ((coalesce(first_name, '') || ' ' || coalesce(last_name, '')) gin_trgm_ops, phone_e164 gin_trgm_ops)
	WITH (gin_pending_list_limit = 256);

-- ---- Reading --------------------------------------------------------------------------------------------------------

-- A word of the history, or one of the ledger's own, as where to look: null for all that a history shows. What was put back to the
-- queue is shown as the follow-up it is again, and by the ledger's words alone.
CREATE TYPE history_words AS (live text[], ended text[], queue text[]);
CREATE FUNCTION history_words(word text) RETURNS history_words LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE word
		WHEN 'scheduled' THEN ROW('{}', '{}', '{pending,queued}')::carillon.history_words
		WHEN 'cancelled' THEN ROW('{}', '{}', '{cancelled,skipped}')::carillon.history_words
		WHEN 'calling' THEN ROW('{dialing,calling,ringing}', '{}', '{}')::carillon.history_words
		WHEN 'completed' THEN ROW('{}', '{completed}', '{}')::carillon.history_words
		WHEN 'failed' THEN ROW('{}', '{failed,refused}', '{}')::carillon.history_words
		WHEN 'rejected' THEN ROW('{}', '{rejected,refused}', '{}')::carillon.history_words
		WHEN 'not_dialed' THEN ROW('{}', '{not_dialed}', '{}')::carillon.history_words
		ELSE CASE WHEN word IN ('in_progress', 'dialing', 'ringing', 'unknown', 'undetermined') THEN ROW(ARRAY[word], '{}', '{}')::carillon.history_words
			WHEN word IS NULL THEN ROW('{dialing,calling,ringing,in_progress,unknown,undetermined}', '{completed,failed,refused}',
				'{pending,queued,cancelled,skipped}')::carillon.history_words END END
$$;

-- Where an entry of the list stands: a call, or a follow-up; and whose it is.
CREATE TYPE history_key AS (at timestamptz, job_id uuid, follow_up_id bigint, lead_id bigint);

-- The places in which a page begins and ends: entries strictly behind (at, job_id) and (at, follow_up_id), at or after from_at.
CREATE TYPE history_range AS (from_at timestamptz, before timestamptz, before_job uuid, before_follow_up bigint);

-- `after` is what history_next() gave. Of entries of one moment calls come first.
CREATE FUNCTION history_next(k history_key) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT (extract(epoch FROM (k).at) * 1000000)::bigint || coalesce('c' || replace((k).job_id::text, '-', ''), 's' || (k).follow_up_id)
$$;
CREATE FUNCTION history_behind(r history_range, k history_key) RETURNS history_range LANGUAGE sql IMMUTABLE AS $$
	SELECT ROW((r).from_at, (k).at, coalesce((k).job_id, '00000000-0000-0000-0000-000000000000'),
		coalesce((k).follow_up_id, 9223372036854775807))::carillon.history_range
$$;
CREATE FUNCTION history_range(from_at timestamptz, to_at timestamptz, after text) RETURNS history_range LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (WITH place AS (
		SELECT ROW('epoch'::timestamptz + p[1]::bigint * interval '1 microsecond', p[2]::uuid, p[3]::bigint, NULL)::carillon.history_key AS key
		FROM regexp_match(after, '^([0-9]{1,16})(?:c([0-9a-f]{32})|s([0-9]{1,18}))$') p
	)
	SELECT CASE WHEN (p.key).at < (t.whole).before THEN carillon.history_behind(t.whole, p.key) ELSE t.whole END
	FROM (SELECT ROW(coalesce(from_at, '-infinity'), coalesce(to_at, 'infinity'), '00000000-0000-0000-0000-000000000000', 0)::carillon.history_range AS whole) t
	LEFT JOIN place p ON true);
END $$;

-- The first entries of a range: in these lanes, of these words, of these leads (null: of all). Each lane is asked for a few, then
-- those that can have a place on the page for all down to where the page is sure to end.
CREATE FUNCTION history_keys(lanes bigint[], w history_words, r history_range, of_leads bigint[], most integer) RETURNS SETOF history_key
LANGUAGE plpgsql STABLE SET enable_bitmapscan = off SET enable_seqscan = off AS $$
DECLARE
	few integer := 1 + 2 * most / greatest(cardinality(lanes), 1);
BEGIN
	IF of_leads IS NOT NULL THEN
		RETURN QUERY
		SELECT k.at, k.job_id, k.follow_up_id, k.lead_id FROM (
			SELECT c.claimed_at AS at, c.job_id, NULL::bigint AS follow_up_id, l.id AS lead_id FROM unnest(of_leads) l (id) CROSS JOIN LATERAL (
				SELECT x.claimed_at, x.job_id FROM carillon.calls x
				WHERE x.lead_id = l.id AND x.lane_id = ANY (lanes)
				AND (x.status = ANY (w.live) OR carillon.ended_word(x.status, x.refusal) = ANY (w.ended))
				AND (x.claimed_at, x.job_id) < (r.before, r.before_job) AND x.claimed_at >= r.from_at OFFSET 0) c
			UNION ALL
			SELECT f.created_at, NULL, f.id, l.id FROM unnest(of_leads) l (id) CROSS JOIN LATERAL (
				SELECT x.created_at, x.id FROM carillon.follow_ups x
				WHERE x.lead_id = l.id AND x.lane_id = ANY (lanes) AND x.status = ANY (w.queue)
				AND (x.created_at, x.id) < (r.before, r.before_follow_up) AND x.created_at >= r.from_at OFFSET 0) f) k
		ORDER BY k.at DESC, k.job_id DESC NULLS LAST, k.follow_up_id DESC LIMIT most;
		RETURN;
	END IF;
	RETURN QUERY
	WITH ended_head AS MATERIALIZED (
		SELECT n.id AS lane_id, s.status, h.at FROM unnest(lanes) n (id) CROSS JOIN unnest(w.ended) s (status) CROSS JOIN LATERAL (
			SELECT e.at FROM carillon.ended_calls e
			WHERE e.lane_id = n.id AND e.status = s.status AND (e.at, e.job_id) < (r.before, r.before_job) AND e.at >= r.from_at
			ORDER BY e.at DESC, e.job_id DESC LIMIT few) h
	), pending_head AS MATERIALIZED (
		SELECT n.id AS lane_id, h.at FROM unnest(lanes) n (id) CROSS JOIN LATERAL (
			SELECT f.created_at AS at FROM carillon.follow_ups f
			WHERE f.lane_id = n.id AND f.next_look_at IS NOT NULL AND (f.created_at, f.id) < (r.before, r.before_follow_up) AND f.created_at >= r.from_at
			ORDER BY f.created_at DESC, f.id DESC LIMIT few) h
		WHERE 'pending' = ANY (w.queue)
	), off_head AS MATERIALIZED (
		SELECT n.id AS lane_id, h.at FROM unnest(lanes) n (id) CROSS JOIN LATERAL (
			SELECT f.created_at AS at FROM carillon.follow_ups f
			WHERE f.lane_id = n.id AND f.reason IS NOT NULL AND f.status = ANY (w.queue)
			AND (f.created_at, f.id) < (r.before, r.before_follow_up) AND f.created_at >= r.from_at
			ORDER BY f.created_at DESC, f.id DESC LIMIT few) h
		WHERE 'cancelled' = ANY (w.queue)
	), down_to AS MATERIALIZED (   -- so many entries are at or after it
		SELECT CASE WHEN count(*) = most THEN min(at) ELSE r.from_at END AS at
		FROM (SELECT at FROM ended_head UNION ALL SELECT at FROM pending_head UNION ALL SELECT at FROM off_head ORDER BY at DESC LIMIT most) h
	)
	SELECT k.at, k.job_id, k.follow_up_id, k.lead_id FROM (
		SELECT e.at, e.job_id, NULL::bigint AS follow_up_id, e.lead_id
		FROM (SELECT DISTINCT h.lane_id, h.status FROM ended_head h WHERE h.at >= (SELECT at FROM down_to)) h CROSS JOIN LATERAL (
			SELECT x.at, x.job_id, x.lead_id FROM carillon.ended_calls x
			WHERE x.lane_id = h.lane_id AND x.status = h.status AND (x.at, x.job_id) < (r.before, r.before_job) AND x.at >= (SELECT at FROM down_to)
			ORDER BY x.at DESC, x.job_id DESC LIMIT most) e
		UNION ALL
		SELECT c.claimed_at, c.job_id, NULL, c.lead_id FROM carillon.live v CROSS JOIN LATERAL (
			SELECT x.claimed_at, x.job_id, x.lead_id FROM carillon.calls x
			WHERE x.job_id = v.job_id AND x.status = ANY (w.live) AND (x.claimed_at, x.job_id) < (r.before, r.before_job)
			AND x.claimed_at >= r.from_at OFFSET 0) c
		WHERE cardinality(w.live) > 0 AND v.lane_id = ANY (lanes)
		UNION ALL
		SELECT f.created_at, NULL, f.id, f.lead_id
		FROM (SELECT DISTINCT h.lane_id FROM pending_head h WHERE h.at >= (SELECT at FROM down_to)) h CROSS JOIN LATERAL (
			SELECT x.created_at, x.id, x.lead_id FROM carillon.follow_ups x
			WHERE x.lane_id = h.lane_id AND x.next_look_at IS NOT NULL AND (x.created_at, x.id) < (r.before, r.before_follow_up)
			AND x.created_at >= (SELECT at FROM down_to)
			ORDER BY x.created_at DESC, x.id DESC LIMIT most) f
		UNION ALL
		SELECT f.created_at, NULL, f.id, f.lead_id
		FROM (SELECT DISTINCT h.lane_id FROM off_head h WHERE h.at >= (SELECT at FROM down_to)) h CROSS JOIN LATERAL (
			SELECT x.created_at, x.id, x.lead_id FROM carillon.follow_ups x
			WHERE x.lane_id = h.lane_id AND x.reason IS NOT NULL AND x.status = ANY (w.queue)
			AND (x.created_at, x.id) < (r.before, r.before_follow_up) AND x.created_at >= (SELECT at FROM down_to)
			ORDER BY x.created_at DESC, x.id DESC LIMIT most) f
		UNION ALL
		SELECT f.created_at, NULL, f.id, f.lead_id FROM carillon.claims k CROSS JOIN LATERAL (
			SELECT x.created_at, x.id, x.lead_id FROM carillon.follow_ups x
			WHERE x.claim_id = k.id AND x.status = 'queued' AND (x.created_at, x.id) < (r.before, r.before_follow_up)
			AND x.created_at >= r.from_at OFFSET 0) f
		WHERE 'queued' = ANY (w.queue) AND k.lane_id = ANY (lanes)) k
	ORDER BY k.at DESC, k.job_id DESC NULLS LAST, k.follow_up_id DESC LIMIT most;
END $$;

-- What is looked for: a part of a name, and if it is written as a number, of the digits. LIKE patterns.
CREATE TYPE history_search AS (name text, digits text, is_indexed boolean);
CREATE FUNCTION history_search(q text) RETURNS history_search LANGUAGE sql IMMUTABLE AS $$
	SELECT ROW('%' || regexp_replace(q, '([\\%_])', '\\\1', 'g') || '%',
		CASE WHEN q ~ '^[-0-9 +().]*[0-9][-0-9 +().]*$' THEN '%' || regexp_replace(q, '[^0-9]', '', 'g') || '%' END,
		q ~ '[[:alnum:]]{3}' OR q ~ '^[-0-9 +().]*$' AND length(regexp_replace(q, '[^0-9]', '', 'g')) >= 3)::carillon.history_search
$$;

-- Their ids alone, and with the rights of the schema's owner: where a policy hides other tenants' leads, the planner may not look for
-- a pattern before it, and so not in the index. A tenant's request finds its own alone, whatever tenants it names.
CREATE FUNCTION leads_like(s history_search, tenants text[], most integer) RETURNS bigint[] LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = carillon, pg_temp SET enable_seqscan = off AS $$
BEGIN
	RETURN ARRAY(SELECT l.id FROM carillon.leads l
		WHERE (coalesce(l.first_name, '') || ' ' || coalesce(l.last_name, '') ILIKE s.name OR l.phone_e164 LIKE s.digits) AND l.tenant_id = ANY (tenants)
		AND (carillon.bound_tenant() IS NULL OR l.tenant_id = carillon.bound_tenant())
		LIMIT most);
END $$;

-- Up to `most` ids of the leads that fit, in their order, behind `after`. Those that come next are looked through; where few of them
-- fit, those that bear the name are looked for, if they are not too many themselves. Of a million of which hardly one fits, only so many
-- are looked through at once: `read_to` is then how far that came, and the page may be short.
CREATE FUNCTION leads_page(the_stage text, q text, the_list text, the_state text, is_paused text, after bigint, most integer,
	walk_max integer DEFAULT 200000, OUT ids bigint[], OUT read_to bigint) LANGUAGE plpgsql STABLE SET jit = off AS $$
DECLARE
	many CONSTANT integer := 5000;
	walked integer := 0;
	leads_max CONSTANT integer := 3000;
	s carillon.history_search := carillon.history_search(q);
	depth integer := most;
	found bigint[];
	seen record;
BEGIN
	s.digits := NULL;
	ids := '{}';
	LOOP
		SELECT coalesce(array_agg(l.id ORDER BY l.id) FILTER (WHERE l.fits), '{}') AS fitting, max(l.id) AS last, count(*) AS n INTO seen
		FROM (SELECT x.id, carillon.lead_fits(x, the_stage, q, the_list, the_state, is_paused) AS fits FROM carillon.leads x
			WHERE x.id > after ORDER BY x.id LIMIT depth) l;
		ids := ids || seen.fitting;
		EXIT WHEN cardinality(ids) >= most OR seen.n < depth;
		after := seen.last;
		walked := walked + depth;
		IF walked >= walk_max THEN
			read_to := after;
			EXIT;
		END IF;
		IF depth >= many AND found IS NULL AND s.is_indexed THEN
			found := carillon.leads_like(s, ARRAY(SELECT id FROM carillon.tenants), leads_max + 1);
			IF cardinality(found) <= leads_max THEN
				ids := ids || ARRAY(SELECT l.id FROM carillon.leads l WHERE l.id = ANY (found) AND l.id > after
					AND carillon.lead_fits(l, the_stage, q, the_list, the_state, is_paused) ORDER BY l.id);
				EXIT;
			END IF;
		END IF;
		depth := greatest(depth, many);
	END LOOP;
	ids := ids[1:most];
END $$;

-- Those of the keys whose leads fit, in their order.
CREATE FUNCTION history_fitting(keys history_key[], s history_search) RETURNS history_key[] LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT ARRAY(SELECT ROW(k.at, k.job_id, k.follow_up_id, k.lead_id)::carillon.history_key
		FROM unnest(keys) WITH ORDINALITY k (at, job_id, follow_up_id, lead_id, n)
		WHERE (SELECT coalesce(o.first_name, '') || ' ' || coalesce(o.last_name, '') ILIKE s.name OR o.phone_e164 LIKE s.digits
			FROM carillon.leads o WHERE o.id = k.lead_id)
		ORDER BY k.n));
END $$;

-- A page of the history: up to `most` entries. A search looks through the youngest ones first, as far as the first few of them promise
-- a full page, and else for the leads that fit. What fits many leads, but few of the youngest entries, is looked for among those for
-- a while and no longer: `read_to` is then how far that came, and the page may be short.
CREATE FUNCTION history_page(lanes bigint[], tenants text[], word text, r history_range, q text, of_leads bigint[], most integer,
	OUT keys history_key[], OUT read_to history_key) LANGUAGE plpgsql STABLE SET jit = off AS $$
DECLARE
	many CONSTANT integer := 5000;
	leads_max CONSTANT integer := 3000;
	w carillon.history_words := carillon.history_words(word);
	s carillon.history_search := carillon.history_search(q);
	depth integer := 300;
	walked_so_far integer := 0;
	promised bigint;
	walked carillon.history_key[];
	behind carillon.history_range := r;
	found bigint[];
BEGIN
	IF q IS NULL OR of_leads IS NOT NULL THEN
		keys := ARRAY(SELECT k FROM carillon.history_keys(lanes, w, r, of_leads, most) k);
		IF q IS NOT NULL THEN
			keys := carillon.history_fitting(keys, s);
		END IF;
		RETURN;
	END IF;
	keys := '{}';
	LOOP
		walked := ARRAY(SELECT k FROM carillon.history_keys(lanes, w, behind, NULL, depth) k);
		keys := keys || carillon.history_fitting(walked, s);
		EXIT WHEN cardinality(keys) >= most OR cardinality(walked) < depth;
		walked_so_far := walked_so_far + depth;
		promised := most::bigint * walked_so_far * 5 / (4 * greatest(cardinality(keys), 1)) + 1;
		IF found IS NULL AND s.is_indexed AND promised > many THEN
			found := carillon.leads_like(s, tenants, leads_max + 1);
			IF cardinality(found) <= leads_max THEN
				keys := ARRAY(SELECT k FROM carillon.history_keys(lanes, w, r, found, most) k);
				RETURN;
			END IF;
		END IF;
		IF walked_so_far >= many THEN
			read_to := walked[depth];
			EXIT;
		END IF;
		behind := carillon.history_behind(behind, walked[depth]);
		depth := least(promised, many) - walked_so_far;
	END LOOP;
	keys := keys[1:most];
END $$;

-- ---- Showing ----------------------------------------------------------------------------------------------------------

-- Why something was not dialed, in the words of common/tbl/gate.h.
CREATE FUNCTION gate_message(gate text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE gate
		WHEN 'no_phone' THEN 'the lead has no phone'
		WHEN 'number' THEN 'the phone is no dialable number (shape, emergency, N11, premium)'
		WHEN 'stage' THEN 'the lead is closed or lost'
		WHEN 'suppressed' THEN 'on the do-not-call list'
		WHEN 'stopped' THEN 'everything, the tenant or the campaign is stopped'
		WHEN 'lane' THEN 'the lane is not active'
		WHEN 'paused' THEN 'the lead is paused'
		WHEN 'credentials' THEN 'the lane has no usable provider account'
		WHEN 'breaker' THEN 'the account is in trouble with its provider'
		WHEN 'day' THEN 'not a day of the lane'
		WHEN 'holiday' THEN 'a holiday of the tenant'
		WHEN 'window' THEN 'outside the lane''s hours'
		WHEN 'zone' THEN 'the lead''s time zone is not known: fill in leads.time_zone'
		WHEN 'lead_window' THEN 'outside the hours in one of the lead''s possible zones'
		WHEN 'no_common_window' THEN 'lane and lead share no opening within 14 days'
		WHEN 'live' THEN 'a call to this phone is under way or undetermined'
		WHEN 'retry_limit' THEN 'the campaign has called this number as often as it may, or with success'
		WHEN 'frequency' THEN 'the campaign has called this number today, or this week'
		WHEN 'cap' THEN 'the number had its calls for 24 hours or 7 days'
		WHEN 'concurrency' THEN 'the lane or the account has no free slot'
		WHEN 'rate' THEN 'the lane''s rate is used up'
		WHEN 'dial_by' THEN 'the job came too late for its window' END
$$;

CREATE FUNCTION scheduled_message(f follow_ups) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT CASE (f).status
		WHEN 'pending' THEN concat(CASE WHEN (f).gate IS NOT NULL THEN 'Held: ' || coalesce(carillon.gate_message((f).gate), (f).gate)
			WHEN (f).next_look_at > now() THEN 'Waits for its time' ELSE 'Due' END, '; the last try: ' || (f).last_error, '.')
		WHEN 'queued' THEN 'On its way to be dialed.'
		WHEN 'skipped' THEN 'Not dialed: ' || coalesce(carillon.gate_message((f).reason), (f).reason) || '.'
		ELSE 'Called off' || CASE (f).reason WHEN 'operator' THEN ' by an operator' WHEN 'campaign_stopped' THEN ': its campaign was stopped'
			WHEN 'call_found' THEN ': the call before it was dialed after all' WHEN 'paused' THEN ': its redial record was paused'
			ELSE coalesce(': ' || (f).reason, '') END || '.' END
$$;

-- One that has no call: the members of call_record(), by the id of its follow-up.
CREATE FUNCTION scheduled_record(f follow_ups) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT jsonb_build_object('id', 's' || (f).id, 'status', CASE WHEN (f).status IN ('pending', 'queued') THEN 'scheduled' ELSE 'cancelled' END,
			'ledgerStatus', NULL, 'message', carillon.scheduled_message(f), 'timestamp', carillon.iso_utc((f).created_at),
			'scheduledTime', carillon.iso_utc((f).due_at), 'nextLookAt', CASE WHEN isfinite((f).next_look_at) THEN carillon.iso_utc((f).next_look_at) END,
			'tenant', (f).tenant_id, 'kind', (f).kind, 'contactId', (f).lead_id, 'contactName', l.name, 'phone', l.phone,
			'campaignId', k.id, 'campaignName', k.name, 'followUpId', (f).id, 'attempt', (f).attempts + 1, 'gate', (f).gate, 'reason', (f).reason)
		|| jsonb_build_object('provider', a.provider, 'account', a.name, 'error', (f).last_error)
		|| '{"providerCallId": null, "dialedAt": null, "acceptedAt": null, "endedAt": null, "httpStatus": null, "refusal": null,
			"outcome": null, "endedReason": null, "success": null, "callbackAt": null, "durationSeconds": null, "resolution": null}'
	FROM carillon.lanes n
	LEFT JOIN LATERAL (SELECT nullif(concat_ws(' ', first_name, last_name), '') AS name, coalesce(phone_e164, phone) AS phone
		FROM carillon.leads WHERE id = (f).lead_id) l ON true
	LEFT JOIN LATERAL (SELECT id, name FROM carillon.campaigns WHERE lane_id = n.id AND (f).kind = 'campaign') k ON true
	LEFT JOIN LATERAL (SELECT provider, name FROM carillon.accounts WHERE id = coalesce((f).account_id, n.account_id)) a ON true
	WHERE n.id = (f).lane_id);
END $$;

CREATE FUNCTION history_record(k history_key) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF (k).job_id IS NOT NULL THEN
		RETURN (SELECT carillon.call_record(c) FROM carillon.calls c WHERE c.job_id = (k).job_id);
	END IF;
	RETURN (SELECT carillon.scheduled_record(f) FROM carillon.follow_ups f WHERE f.id = (k).follow_up_id);
END $$;

-- The follow-up that such an id names.
CREATE FUNCTION history_follow_up(id text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN id ~ '^s[0-9]{1,18}$' THEN substr(id, 2)::bigint END
$$;

-- ---- What a request asks for ----------------------------------------------------------------------------------------

-- A time with its offset, or a day of UTC: its start, or with `is_end` its end.
CREATE FUNCTION history_time(given text, is_end boolean) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN CASE WHEN given ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' THEN (given::date + is_end::integer)::timestamp AT TIME ZONE 'UTC'
		ELSE carillon.query_time(given) END;
EXCEPTION WHEN data_exception THEN
	RETURN NULL;
END $$;

CREATE FUNCTION history_problems(campaign text, word text, from_text text, to_text text, q text, the_lead text, page text, after text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT jsonb_agg(jsonb_build_object('field', field, 'detail', detail)) FROM (VALUES
		(campaign IS NOT NULL AND carillon.query_id(campaign) IS NULL, 'campaign', 'a number'),
		(word IS NOT NULL AND carillon.history_words(word) IS NULL, 'status',
			'scheduled, calling, in_progress, completed, failed or cancelled; or dialing, ringing, unknown, undetermined, rejected or not_dialed'),
		(from_text IS NOT NULL AND carillon.history_time(from_text, false) IS NULL, 'from', 'a day, or a time with its offset, such as 2026-03-01T15:00:00Z'),
		(to_text IS NOT NULL AND carillon.history_time(to_text, true) IS NULL, 'to', 'a day, or a time with its offset, such as 2026-03-01T15:00:00Z'),
		(btrim(q) = '' OR length(q) > 100, 'q', 'a part of a name or of a number, up to 100 characters'),
		(the_lead IS NOT NULL AND carillon.query_id(the_lead) IS NULL, 'lead_id', 'a number'),
		(page IS NOT NULL AND carillon.query_limit(page) IS NULL, 'limit', 'a number from 1 to 1000'),
		(after !~ '^[0-9]{1,16}(c[0-9a-f]{32}|s[0-9]{1,18})$', 'after', 'what an answer gave as next')) v (is_bad, field, detail)
	WHERE is_bad);
END $$;

-- The page that such a request, without problems, asks for.
CREATE FUNCTION history_asked(campaign text, word text, from_text text, to_text text, q text, the_lead text, most integer, after text,
	OUT keys history_key[], OUT read_to history_key) LANGUAGE plpgsql STABLE AS $$
DECLARE
	lanes bigint[];
	tenants text[];
	page record;
BEGIN
	SELECT array_agg(n.id), array_agg(DISTINCT n.tenant_id) INTO lanes, tenants FROM carillon.lanes n
	WHERE campaign IS NULL OR n.id = (SELECT k.lane_id FROM carillon.campaigns k WHERE k.id = carillon.query_id(campaign));
	SELECT * INTO page FROM carillon.history_page(coalesce(lanes, '{}'), coalesce(tenants, '{}'), word,
		carillon.history_range(carillon.history_time(from_text, false), carillon.history_time(to_text, true), after), btrim(q),
		CASE WHEN the_lead IS NOT NULL THEN ARRAY[carillon.query_id(the_lead)] END, most) p;
	keys := page.keys;
	read_to := page.read_to;
END $$;

-- ---- What an operator decides -----------------------------------------------------------------------------------------

-- It is not dialed, also where its job is in Kafka: no claim takes it. One that the redial queue made pauses its record, which would
-- wait for it else. Again it changes nothing.
CREATE FUNCTION follow_up_cancel(the_id bigint) RETURNS TABLE (status integer, entry follow_ups) LANGUAGE plpgsql AS $$
DECLARE
	was text;
	record carillon.redial_queue;
BEGIN
	SELECT f.* INTO entry FROM carillon.follow_ups f WHERE f.id = the_id FOR UPDATE;
	was := entry.status;
	status := CASE WHEN was IS NULL THEN 404 WHEN was IN ('pending', 'queued', 'cancelled') THEN 200 ELSE 409 END;
	IF was IN ('pending', 'queued') THEN
		UPDATE carillon.follow_ups f SET status = 'cancelled', reason = CASE f.source WHEN 'redial' THEN 'paused' ELSE 'operator' END,
			gate = NULL, next_look_at = NULL, lease_until = NULL
		WHERE f.id = the_id RETURNING f.* INTO entry;
		INSERT INTO carillon.transitions (entity, entity_id, from_state, to_state, reason, actor)
		VALUES ('call', 's' || the_id, 'scheduled', 'cancelled', 'operator', 'operator');
	END IF;
	IF was IN ('pending', 'queued') AND entry.source = 'redial' THEN
		SELECT r.* INTO record FROM carillon.redial_queue r
		WHERE r.id = carillon.query_id(entry.source_id) AND r.status IN ('pending', 'rescheduled') FOR UPDATE;
		UPDATE carillon.redial_queue r SET status = 'paused', updated_at = now() WHERE r.id = record.id;
		INSERT INTO carillon.transitions (entity, entity_id, from_state, to_state, reason, actor)
		SELECT 'redial', record.id::text, record.status, 'paused', 'follow-up cancelled', 'operator' WHERE record.id IS NOT NULL;
	END IF;
	RETURN NEXT;
END $$;

-- One that waits is due now, before all that waits in bulk: the call that was to come anyway, and none beside it.
CREATE FUNCTION follow_up_hurry(the_id bigint) RETURNS TABLE (status integer, entry follow_ups) LANGUAGE plpgsql AS $$
BEGIN
	SELECT f.* INTO entry FROM carillon.follow_ups f WHERE f.id = the_id FOR UPDATE;
	status := CASE WHEN entry.status IS NULL THEN 404 WHEN entry.status = 'pending' THEN 200 ELSE 409 END;
	IF status = 200 THEN
		UPDATE carillon.follow_ups f SET due_at = least(f.due_at, now()), next_look_at = now(), priority = 2
		WHERE f.id = the_id RETURNING f.* INTO entry;
		INSERT INTO carillon.transitions (entity, entity_id, from_state, to_state, reason, actor)
		VALUES ('call', 's' || the_id, 'scheduled', 'scheduled', 'now', 'operator');
	END IF;
	RETURN NEXT;
END $$;

-- Providers that end a call when they are told to: those of common/tbl/hang_up.h.
CREATE FUNCTION provider_hangs_up(provider text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
	SELECT provider IN ('vapi', 'bland', 'twilio')
$$;

-- Providers that may begin to dial long after they took a call, and are told when it is too late: those of common/tbl/call_off.h.
CREATE FUNCTION provider_calls_off(provider text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
	SELECT provider IN ('twilio')
$$;

-- How long a call whose end named no outcome is left alone before its provider is asked: a report may be on its way. Of Twilio none is:
-- with detection that does not hold up the call, who answered is in the call's record and not in the callback of its end.
CREATE FUNCTION provider_report_wait(provider text) RETURNS interval LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE provider WHEN 'twilio' THEN interval '3 seconds' ELSE interval '1 minute' END
$$;

-- Asked again while the wish waits it changes nothing; asked after it was carried out, it is carried out again.
CREATE FUNCTION call_hang_up(the_job uuid, the_follow_up bigint) RETURNS TABLE (status integer, body jsonb) LANGUAGE plpgsql AS $$
DECLARE
	c carillon.calls;
	refusal text;
BEGIN
	SELECT * INTO c FROM carillon.calls k WHERE k.job_id = the_job FOR NO KEY UPDATE;
	IF c.job_id IS NULL AND NOT EXISTS (SELECT FROM carillon.follow_ups f WHERE f.id = the_follow_up) THEN
		RETURN QUERY SELECT 404, carillon.problem(404, 'no such call');
		RETURN;
	END IF;
	refusal := CASE WHEN c.job_id IS NULL THEN 'the call is not dialed yet: POST .../cancel calls it off'
		WHEN c.status IN ('rejected', 'not_dialed') THEN 'nothing was dialed'
		WHEN c.status IN ('completed', 'failed') THEN 'the call is over'
		WHEN NOT carillon.provider_hangs_up(c.provider) THEN format('%s can''t end a call: it ends by itself', c.provider)
		WHEN c.status IN ('dialing', 'unknown', 'undetermined') OR c.provider_call_id IS NULL
			THEN 'its provider has not confirmed the call yet: try again when its status is calling' END;
	IF refusal IS NULL THEN
		UPDATE carillon.live v SET hang_up_at = now(), hang_up_tries = 0, next_check_at = now()
		WHERE v.job_id = the_job AND v.hang_up_at IS NULL;
		IF FOUND THEN
			INSERT INTO carillon.transitions (entity, entity_id, from_state, to_state, reason, actor)
			VALUES ('call', the_job::text, c.status, c.status, 'hang_up', 'operator');
			PERFORM pg_notify('carillon_hang_up', '');
		ELSIF NOT EXISTS (SELECT FROM carillon.live v WHERE v.job_id = the_job) THEN
			refusal := 'the call is over';
		END IF;
	END IF;
	IF refusal IS NOT NULL THEN
		RETURN QUERY SELECT 409, carillon.problem(409, refusal);
		RETURN;
	END IF;
	RETURN QUERY SELECT 202, carillon.call_record(c);
END $$;

REVOKE ALL ON ended_calls FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA carillon FROM PUBLIC;
GRANT SELECT, INSERT, DELETE ON ended_calls TO carillon_producer, carillon_consumer;
GRANT SELECT, INSERT, UPDATE ON ended_totals TO carillon_producer, carillon_consumer;
GRANT SELECT ON ended_calls, ended_totals TO carillon_readonly;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA carillon TO carillon_producer, carillon_consumer, carillon_readonly;
