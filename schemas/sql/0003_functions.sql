-- SPDX-License-Identifier: Apache-2.0
-- Small functions and the triggers that keep derived columns.

-- Functions that triggers call are PL/pgSQL's, which keeps their plans for the session; one in SQL is planned at each call.

-- The tenant that the transaction is bound to (0020_tenants.sql); null: none, all are seen.
CREATE FUNCTION bound_tenant() RETURNS text LANGUAGE sql STABLE AS $$
	SELECT nullif(current_setting('carillon.tenant', true), '')
$$;
-- The one whose is what a request makes.
CREATE FUNCTION request_tenant() RETURNS text LANGUAGE sql STABLE AS $$
	SELECT coalesce(nullif(current_setting('carillon.tenant', true), ''), 'default')
$$;

-- E.164 by structure; the same rules as common/phone.h (both are tested with tests/vectors/phone.tsv).
CREATE FUNCTION normalize_phone(given text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	bare text := CASE WHEN given ~ '^\+[0-9]{7,15}$' THEN given ELSE regexp_replace(regexp_replace(given, '(#|x|ext|extn|extension)[.:]?[ 0-9]*$', '', 'i'),
		'[\s()./\u00A0\u00AD\u2000-\u200F\u2010-\u2015\u202A-\u202F\u205F\u2060\u2212\u3000\uFEFF-]', '', 'g') END;
	e164 text := CASE
		WHEN bare = given AND bare ~ '^\+' THEN bare
		WHEN bare ~ '[^0-9+]' OR bare ~ '.\+' THEN NULL
		WHEN bare ~ '^\+' THEN bare
		WHEN bare ~ '^011' THEN '+' || substr(bare, 4)
		WHEN bare ~ '^00' THEN '+' || substr(bare, 3)
		WHEN bare ~ '^1[0-9]{10}$' THEN '+' || bare
		WHEN bare ~ '^[2-9][0-9]{9}$' THEN '+1' || bare
		END;
BEGIN
	RETURN CASE WHEN e164 ~ '^\+1[0-9]{10}$' OR e164 ~ '^\+[2-9][0-9]{6,14}$' THEN e164 END;
END $$;

-- Emergency and N11 codes, 900 and 976 numbers are never dialed. Every dispatch asks this twice: a regular expression takes four
-- times as long.
CREATE FUNCTION number_is_dialable(e164 text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
	SELECT e164 IS NOT NULL AND (e164 NOT LIKE '+1%' OR NOT (e164 LIKE '+111%' OR e164 LIKE '+1900%' OR e164 LIKE '+1___976%'
		OR e164 LIKE '+1_11%' AND e164 NOT LIKE '+1011%'
		OR e164 LIKE '+1____11%' AND e164 NOT LIKE '+1___011%' AND e164 NOT LIKE '+1___111%'))
$$;

-- All zones of the number's block: the longest prefix in North America; elsewhere every zone of the country, because
-- a mobile number says nothing about the place. Empty: not known (toll-free, country entry of many zones).
CREATE FUNCTION phone_zone_names(e164 text) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN coalesce((SELECT zones FROM carillon.phone_zones
		WHERE prefix = ANY (ARRAY(SELECT substr(e164, 2, n) FROM generate_series(1, 9) n)) AND prefix <> '1'   -- by key
		ORDER BY CASE WHEN e164 LIKE '+1%' THEN -length(prefix) ELSE length(prefix) END LIMIT 1), '{}');
END $$;

CREATE FUNCTION lead_zones(own_zone text, e164 text) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
DECLARE
	names text[] := CASE WHEN own_zone IS NULL OR own_zone = '' THEN carillon.phone_zone_names(e164) ELSE ARRAY[own_zone] END;
	zone text;
BEGIN
	FOREACH zone IN ARRAY names LOOP   -- by key, a few; one unknown: closed
		IF NOT EXISTS (SELECT FROM carillon.time_zones t WHERE t.name = zone) THEN
			RETURN '{}';
		END IF;
	END LOOP;
	RETURN names;
END $$;

-- Updates are watched by AFTER triggers with a condition, which write again in the rare case that it holds. A BEFORE trigger
-- would lock each row that is updated, whatever its condition says: a WAL record more for every dispatch.
CREATE FUNCTION leads_derive() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.phone_e164 := carillon.normalize_phone(NEW.phone);
	NEW.zones := carillon.lead_zones(NEW.time_zone, NEW.phone_e164);
	IF NOT NEW.auto_follow_up THEN   -- nothing for the lead source to look at
		NEW.seeded_at := coalesce(NEW.seeded_at, now());
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER leads_derive BEFORE INSERT ON leads FOR EACH ROW EXECUTE FUNCTION leads_derive();

-- A lead that changed is looked at again: by the lead source, and by the gates that held its follow-ups.
CREATE FUNCTION leads_look_again() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	e164 text := carillon.normalize_phone(NEW.phone);
BEGIN
	UPDATE carillon.leads SET seeded_at = NULL, updated_at = now(), phone_e164 = e164, zones = carillon.lead_zones(NEW.time_zone, e164)
	WHERE id = NEW.id;
	UPDATE carillon.follow_ups SET next_look_at = greatest(due_at, now())
	WHERE lead_id = NEW.id AND status = 'pending' AND gate IS NOT NULL;
	RETURN NULL;
END $$;
CREATE TRIGGER leads_look_again AFTER UPDATE OF phone, time_zone, stage, auto_follow_up, paused, call_date ON leads
	FOR EACH ROW WHEN (OLD.phone IS DISTINCT FROM NEW.phone OR OLD.time_zone IS DISTINCT FROM NEW.time_zone
		OR OLD.auto_follow_up <> NEW.auto_follow_up OR OLD.paused <> NEW.paused
		OR OLD.stage IN ('closed', 'lost') AND NEW.stage NOT IN ('closed', 'lost')
		OR OLD.stage NOT IN ('new', 'contacted', 'visit_scheduled') AND NEW.stage IN ('new', 'contacted', 'visit_scheduled')
		OR OLD.call_date IS NOT NULL AND NEW.call_date IS NULL)
	EXECUTE FUNCTION leads_look_again();

-- A lead that was skipped because of its number is looked at again once that is suppressed no more.
CREATE FUNCTION suppressions_lifted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE carillon.leads SET seeded_at = NULL WHERE phone_e164 = OLD.phone AND tenant_id = OLD.tenant_id AND seeded_at IS NOT NULL;
	RETURN NULL;
END $$;
CREATE TRIGGER suppressions_lifted AFTER DELETE ON suppressions FOR EACH ROW EXECUTE FUNCTION suppressions_lifted();

-- What the lead source looks for, and the follow-ups that it respects: one that is open or was final for good.
CREATE FUNCTION lead_is_uncalled(l leads) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
	SELECT (l).auto_follow_up AND (l).call_date IS NULL AND (l).phone IS NOT NULL AND (l).stage IN ('new', 'contacted', 'visit_scheduled')
$$;
CREATE FUNCTION blocks_seed(f follow_ups) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
	SELECT (f).kind = 'follow_up' AND (f).status <> 'skipped'
$$;

-- INSERT INTO follow_ups (lead_id, due_at, status) works as written: tenant, lane, source and look are filled in.
CREATE FUNCTION follow_ups_fill() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.next_look_at := CASE WHEN NEW.status = 'pending' THEN coalesce(NEW.next_look_at, NEW.due_at) END;
	NEW.source_id := coalesce(NEW.source_id, NEW.id::text);
	IF NEW.lane_id IS NULL THEN
		SELECT l.tenant_id INTO NEW.tenant_id FROM carillon.leads l WHERE l.id = NEW.lead_id;
		SELECT n.id INTO NEW.lane_id FROM carillon.lanes n WHERE n.tenant_id = NEW.tenant_id AND n.name =
			CASE NEW.kind WHEN 'redial' THEN 'redial' WHEN 'classify' THEN 'workflow' WHEN 'task' THEN 'workflow'
			ELSE 'follow_ups' END;
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER follow_ups_fill BEFORE INSERT ON follow_ups FOR EACH ROW
	WHEN (NEW.lane_id IS NULL OR NEW.source_id IS NULL OR (NEW.status = 'pending') <> (NEW.next_look_at IS NOT NULL))
	EXECUTE FUNCTION follow_ups_fill();

-- UPDATE follow_ups SET status or due_at works too: a pending one has a time at which it is looked at, no other has.
CREATE FUNCTION follow_ups_redue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE carillon.follow_ups SET next_look_at = CASE WHEN status = 'pending' THEN due_at END WHERE id = NEW.id;
	RETURN NULL;
END $$;
CREATE TRIGGER follow_ups_redue AFTER UPDATE OF due_at, status, next_look_at ON follow_ups FOR EACH ROW
	WHEN ((NEW.status = 'pending') <> (NEW.next_look_at IS NOT NULL)
		OR NEW.status = 'pending' AND OLD.due_at IS DISTINCT FROM NEW.due_at) EXECUTE FUNCTION follow_ups_redue();

-- Wake-ups, one a statement: something is due sooner, or a rule of pacing changed.
CREATE FUNCTION notify_channel() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_notify(TG_ARGV[0], '');
	RETURN NULL;
END $$;
-- Not for a statement that changed nothing: neither the sources' passes nor the recorder's batches are to wake anybody.
CREATE FUNCTION notify_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT FROM changed) THEN
		PERFORM pg_notify(TG_ARGV[0], '');
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER follow_ups_due AFTER INSERT ON follow_ups REFERENCING NEW TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION notify_rows('carillon_due');
CREATE TRIGGER leads_due AFTER INSERT ON leads REFERENCING NEW TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION notify_rows('carillon_due');
CREATE TRIGGER suppressions_added AFTER INSERT ON suppressions REFERENCING NEW TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION notify_rows('carillon_settings');
CREATE TRIGGER suppressions_changed AFTER UPDATE ON suppressions REFERENCING NEW TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION notify_rows('carillon_settings');
CREATE TRIGGER suppressions_removed AFTER DELETE ON suppressions REFERENCING OLD TABLE AS changed
	FOR EACH STATEMENT EXECUTE FUNCTION notify_rows('carillon_settings');
CREATE TRIGGER settings_changed AFTER INSERT OR UPDATE OR DELETE ON settings FOR EACH STATEMENT EXECUTE FUNCTION notify_channel('carillon_settings');
CREATE TRIGGER rules_changed AFTER INSERT OR UPDATE OR DELETE ON outcome_rules FOR EACH STATEMENT EXECUTE FUNCTION notify_channel('carillon_settings');
CREATE TRIGGER words_changed AFTER INSERT OR UPDATE OR DELETE ON outcome_words FOR EACH STATEMENT EXECUTE FUNCTION notify_channel('carillon_settings');
CREATE TRIGGER tenants_changed AFTER UPDATE ON tenants FOR EACH STATEMENT EXECUTE FUNCTION notify_channel('carillon_settings');
CREATE TRIGGER accounts_changed AFTER INSERT OR DELETE OR UPDATE OF active, settings, credentials, max_concurrent, name ON accounts
	FOR EACH STATEMENT EXECUTE FUNCTION notify_channel('carillon_settings');

CREATE FUNCTION lanes_reopen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.next_at := '-infinity';
	NEW.stopped_at := CASE WHEN NEW.active THEN NULL WHEN OLD.active THEN clock_timestamp() ELSE NEW.stopped_at END;
	PERFORM pg_notify('carillon_settings', '');
	PERFORM pg_notify('carillon_due', '');
	RETURN NEW;
END $$;
CREATE TRIGGER lanes_changed BEFORE UPDATE OF active, account_id, window_start, window_end, days, time_zone, use_lead_window,
	max_concurrent, batch_per_run, rate_per_second, cap_24h, cap_7d ON lanes FOR EACH ROW EXECUTE FUNCTION lanes_reopen();

-- UUIDv7 (RFC 9562): sorts by time, so that ledger inserts stay local in the index. Many at once have one prefix and count on from
-- a random number (section 6.2, method 2): none costs a random number of its own, and their index entries are neighbours.
CREATE FUNCTION uuid_v7_prefix() RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7' || substr(gen_random_uuid()::text, 1, 3)
$$;
-- The variant's two bits are those of v4; the next is 0, so that no sum carries into them.
CREATE FUNCTION uuid_v7_first() RETURNS bigint LANGUAGE sql VOLATILE AS $$
	SELECT ('x' || replace(substr(gen_random_uuid()::text, 20), '-', ''))::bit(64)::bigint & ~(1::bigint << 61)
$$;
CREATE FUNCTION uuid_v7(prefix text DEFAULT uuid_v7_prefix(), number bigint DEFAULT uuid_v7_first()) RETURNS uuid LANGUAGE sql VOLATILE AS $$
	SELECT (prefix || to_hex(number))::uuid
$$;

-- STABLE, as the functions of timestamptz are that they call: what claims more is not inlined, but run as a query for each row.
CREATE FUNCTION to_ms(t timestamptz) RETURNS bigint LANGUAGE sql STABLE AS $$
	SELECT CASE WHEN isfinite(t) THEN (extract(epoch FROM t) * 1000)::bigint END
$$;
CREATE FUNCTION from_ms(ms bigint) RETURNS timestamptz LANGUAGE sql STABLE AS $$
	SELECT 'epoch'::timestamptz + ms * interval '1 millisecond'
$$;

CREATE FUNCTION call_rank(status text) RETURNS smallint LANGUAGE sql IMMUTABLE AS $$
	SELECT (CASE status WHEN 'dialing' THEN 0 WHEN 'unknown' THEN 1 WHEN 'undetermined' THEN 1 WHEN 'calling' THEN 2
		WHEN 'ringing' THEN 3 WHEN 'in_progress' THEN 4 ELSE 5 END)::smallint
$$;

-- The messages of the recorder's transaction whose calls are known and locked (inbox_resolve.sql).
CREATE FUNCTION recorder_batch() RETURNS bigint[] LANGUAGE sql STABLE AS $$
	SELECT nullif(current_setting('carillon.batch', true), '')::bigint[]
$$;

-- A word as outcomes and outcome_words have it: letters and digits in upper case, each run of anything else one '_'. The same as
-- word_normalize() of common/rules/words.h.
CREATE FUNCTION outcome_word(given text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT btrim(regexp_replace(upper(given COLLATE "C"), '[^A-Z0-9]+', '_', 'g'), '_')
$$;

-- Nobody and nothing was reached.
CREATE FUNCTION outcome_is_failure(outcome text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
	SELECT outcome IN ('NO_ANSWER', 'BUSY', 'FAILED', 'CANCELLED', 'BAD_NUMBER', 'UNKNOWN')
$$;

-- The id by which a lead is known to the redial queue: the dialer's own. That of a lead's further number is kept beside it, since
-- external ids are one a lead.
CREATE FUNCTION redial_key(external_id text, raw_payload jsonb, id bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT coalesce(external_id, raw_payload #>> '{dialer,lead_id}', id::text)
$$;

-- ---- CSV ----------------------------------------------------------------------------------------------------------------

-- RFC 4180. What a spreadsheet would take for a formula is made text by an apostrophe before it; a phone number is none.
CREATE FUNCTION csv_cell(given text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN cell ~ '[",\r\n]' THEN '"' || replace(cell, '"', '""') || '"' ELSE cell END
	FROM (SELECT CASE WHEN given ~ '^[-=+@\t\r\n]' AND given !~ '^\+[0-9]{7,15}$' THEN '''' || given ELSE coalesce(given, '') END AS cell) c
$$;

-- ---- Refusals of the API (RFC 9457) -------------------------------------------------------------------------------

CREATE FUNCTION problem(status integer, detail text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_build_object('type', 'about:blank', 'title', CASE status WHEN 404 THEN 'Not Found' WHEN 409 THEN 'Conflict'
		WHEN 422 THEN 'Unprocessable Content' ELSE 'Bad Request' END, 'status', status, 'detail', detail)
$$;

-- All that is wrong with a request: errors is an array of {"field", "detail"}, with "row" where there are several records.
CREATE FUNCTION problems(errors jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT carillon.problem(422, CASE jsonb_array_length(errors) WHEN 1 THEN errors -> 0 ->> 'field' || ': ' || (errors -> 0 ->> 'detail')
		ELSE jsonb_array_length(errors) || ' values can''t be used' END) || jsonb_build_object('errors', errors)
$$;

-- A page of a list, of records that were read up to one more than `most`: of that one `next` tells, to be asked for as `after`. `read_to`:
-- the page is short, as nothing was looked through behind it. Or what is wrong with the request.
CREATE FUNCTION page_answer(list text, bad jsonb, most bigint, keys text[], records jsonb[], read_to text DEFAULT NULL)
RETURNS TABLE (status integer, body jsonb) LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN bad IS NULL THEN 200 ELSE 422 END, CASE WHEN bad IS NOT NULL THEN carillon.problems(bad)
		ELSE jsonb_build_object(list, to_jsonb(records[:most]))
			|| CASE WHEN cardinality(keys) > most THEN jsonb_build_object('next', keys[most])
				WHEN read_to IS NOT NULL THEN jsonb_build_object('next', read_to) ELSE '{}' END END
$$;

-- ---- What stops everything ----------------------------------------------------------------------------------------

-- PostgreSQL's timeline, which a failover and a recovery change; NULL on a standby.
CREATE FUNCTION timeline() RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END;
END $$;

INSERT INTO settings (key, value) VALUES ('timeline', to_jsonb(timeline()));

-- Another timeline than the one that was confirmed: what the former server committed last may be missing here, calls that were
-- dialed among it. Nobody is dialed until an operator has looked and says so (scheduler_switch). PL/pgSQL keeps its
-- plan, which an SQL function that is not inlined makes anew for each statement.
CREATE FUNCTION timeline_changed() RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN coalesce((SELECT value #>> '{}' FROM carillon.settings WHERE key = 'timeline') <> carillon.timeline(), false);
END $$;

-- By the kill switch, or by a changed timeline. In a FROM it is part of the statement, where a function would be one of its own.
CREATE FUNCTION stops() RETURNS TABLE (everything boolean) LANGUAGE sql STABLE AS $$
	SELECT coalesce(bool_or(CASE s.key WHEN 'stopped' THEN s.value = 'true' ELSE s.value #>> '{}' <> carillon.timeline() END), false)
	FROM carillon.settings s WHERE s.key IN ('stopped', 'timeline')
$$;
CREATE FUNCTION all_stopped() RETURNS boolean LANGUAGE sql STABLE AS $$
	SELECT everything FROM carillon.stops()
$$;
