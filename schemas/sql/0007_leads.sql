-- SPDX-License-Identifier: Apache-2.0
-- What the API of leads, follow-ups and suppressions reads and shows.

-- ---- Values of a request ------------------------------------------------------------------------------------------

-- ISO 8601 with an offset; null: it is none, or no such day. The offset is taken off here: PostgreSQL knows none of 16 hours and more.
CREATE FUNCTION iso_time(given text) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
DECLARE
	parts text[] := regexp_match(given, '^([0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.][0-9]+)?)?)'
		'(?:Z|([+-](?:[01][0-9]|2[0-3])):?([0-5][0-9]))$');
BEGIN
	RETURN (parts[1]::timestamp - coalesce(parts[2] || ':' || parts[3], '0')::interval) AT TIME ZONE 'UTC';
EXCEPTION WHEN data_exception THEN
	RETURN NULL;
END $$;

-- In a query a "+" may arrive as a blank: before an offset, and before a number.
CREATE FUNCTION query_time(given text) RETURNS timestamptz LANGUAGE sql STABLE AS $$
	SELECT carillon.iso_time(regexp_replace(given, ' ([0-9]{2}:?[0-9]{2})$', '+\1'))
$$;

-- The numbers that a caller may mean: with or without "+", bare digits, a country code or none.
CREATE FUNCTION query_phones(given text) RETURNS text[] LANGUAGE sql STABLE AS $$
	SELECT array_remove(ARRAY[carillon.normalize_phone(given), '+' || nullif(regexp_replace(given, '[^0-9]', '', 'g'), '')], NULL)
$$;

CREATE FUNCTION query_id(given text) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN given ~ '^[0-9]{1,18}$' THEN given::bigint END
$$;

CREATE FUNCTION query_uuid(given text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN given ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN given::uuid END
$$;

-- An id in a body: a whole number, 5.0 too, or its digits.
CREATE FUNCTION json_id(given jsonb) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
	SELECT carillon.query_id(CASE jsonb_typeof(given) WHEN 'number' THEN trim_scale((given #>> '{}')::numeric)::text
		WHEN 'string' THEN given #>> '{}' END)
$$;

-- The members of an object, whole numbers without a fraction: 5.0 is 5.
CREATE FUNCTION whole_numbers(given jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN given @? 'strict $.* ? (@.type() == "number")'
		THEN given || (SELECT jsonb_object_agg(key, trim_scale((value #>> '{}')::numeric)) FROM jsonb_each(given) WHERE jsonb_typeof(value) = 'number')
		ELSE given END
$$;

-- A page's length: from 1 to 1000, 100 if nothing is said; null: it is none.
CREATE FUNCTION query_limit(given text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN given IS NULL THEN 100 WHEN given ~ '^[1-9][0-9]{0,2}$|^1000$' THEN given::integer END
$$;

-- What an answer repeats of a value that can't be used: no number of a person can be read from it.
CREATE FUNCTION masked(given jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT regexp_replace(left(given #>> '{}', 60), '[0-9](?=.*[0-9].*[0-9])', '*', 'g')
$$;

-- A row that lost its text's encoding on the way: Latin-1 where UTF-8 was said.
CREATE FUNCTION text_problem(given text, longest integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN given LIKE '%' || U&'\FFFD' || '%' THEN 'not UTF-8; save the file as CSV UTF-8'
		WHEN length(given) > longest THEN format('at most %s characters', longest) END
$$;

CREATE FUNCTION phone_problem(given text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN given ~* '^\s*[0-9]+([.,][0-9]+)?e[+]?[0-9]+\s*$'
		THEN 'a spreadsheet has shortened this number; format its column as text and save again' ELSE carillon.text_problem(given, 64) END
$$;

CREATE FUNCTION zone_exists(zone text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM carillon.time_zones t WHERE t.name = zone);
END $$;

-- What is wrong with a member of a lead; null: nothing. An expression without a query: it is asked for each of many.
CREATE FUNCTION lead_problem(field text, given jsonb) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
	kind text := jsonb_typeof(given);
	word text := given #>> '{}';
BEGIN
	RETURN CASE
		WHEN field IN ('external_id', 'phone', 'list_id') THEN
			CASE WHEN kind = 'null' THEN NULL
				WHEN kind = 'number' AND word !~ '^[0-9]{1,18}$' OR kind NOT IN ('number', 'string') THEN 'text, or a whole number'
				WHEN field = 'phone' THEN carillon.phone_problem(word)
				WHEN word = '' THEN 'not empty; null for none'
				ELSE carillon.text_problem(word, 200) END
		WHEN field IN ('first_name', 'last_name', 'state') THEN
			CASE WHEN kind = 'null' THEN NULL WHEN kind <> 'string' THEN 'text' ELSE carillon.text_problem(word, 200) END
		WHEN field = 'time_zone' THEN
			CASE WHEN kind <> 'null' AND (kind <> 'string' OR NOT carillon.zone_exists(word))
				THEN 'the name of a time zone, such as America/New_York' END
		WHEN field = 'stage' THEN
			CASE WHEN kind <> 'string' OR word !~ '^[a-z][a-z0-9_]{0,62}$'
				THEN 'a word in lower case, such as new, contacted, visit_scheduled, closed or lost' END
		WHEN field = 'call_date' THEN
			CASE WHEN kind <> 'null' AND (kind <> 'string' OR carillon.iso_time(word) IS NULL)
				THEN 'a time with its offset, such as 2026-03-01T15:00:00Z' END
		WHEN field IN ('auto_follow_up', 'paused') THEN CASE WHEN kind <> 'boolean' THEN 'true or false' END
		WHEN field IN ('variables', 'raw_payload') THEN
			CASE WHEN kind <> 'object' THEN 'an object'
				WHEN field = 'raw_payload' AND given ? 'dispatch' THEN 'dispatch is written by the dispatch alone'
				ELSE carillon.text_problem(word, 16384) END
		WHEN field = '' THEN 'a value in a column that the header does not name'
		ELSE 'no such field' END;
END $$;

-- What is wrong with a suppression: of a member, or, of "phone", that there is none (given is null then). `e164` is its number.
CREATE FUNCTION suppression_problem(field text, given jsonb, e164 text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
	kind text := coalesce(jsonb_typeof(given), 'null');
	word text := given #>> '{}';
BEGIN
	RETURN CASE
		WHEN field = 'phone' THEN
			CASE WHEN kind = 'null' THEN 'missing' WHEN kind NOT IN ('string', 'number') THEN 'text'
				WHEN e164 IS NULL THEN coalesce(carillon.phone_problem(word), 'no phone number, such as +12125550101') END
		WHEN field = 'reason' THEN
			CASE WHEN kind = 'null' THEN NULL WHEN kind <> 'string' THEN 'text' ELSE carillon.text_problem(word, 500) END
		WHEN field = 'expires_at' THEN
			CASE WHEN kind <> 'null' AND (kind <> 'string' OR carillon.iso_time(word) IS NULL)
				THEN 'a time with its offset, such as 2027-01-01T00:00:00Z; null: never'
				WHEN carillon.iso_time(word) <= now() THEN 'in the future' END
		WHEN field = '' THEN 'a value in a column that the header does not name'
		ELSE 'no such field' END;
END $$;

-- ---- Leads ----------------------------------------------------------------------------------------------------------

CREATE FUNCTION lead_blank() RETURNS leads LANGUAGE sql STABLE AS $$
	SELECT jsonb_populate_record(NULL::carillon.leads, jsonb_build_object('tenant_id', carillon.request_tenant(), 'stage', 'new', 'auto_follow_up', true,
		'paused', false, 'zones', '[]'::jsonb, 'raw_payload', '{}'::jsonb, 'created_at', now(), 'updated_at', now()))
$$;

-- The lead as it is once these members are set, which lead_problem() has found good; the others stay as they are.
CREATE FUNCTION lead_with(l leads, given jsonb) RETURNS leads LANGUAGE plpgsql STABLE AS $$
BEGIN
	l := jsonb_populate_record(l, given - '{raw_payload,variables}'::text[]);
	l.raw_payload := l.raw_payload || coalesce(given -> 'raw_payload', '{}')
		|| CASE WHEN given ? 'variables' THEN jsonb_build_object('variables', given -> 'variables') ELSE '{}' END;
	RETURN l;
END $$;
-- With what triggers make of it.
CREATE FUNCTION lead_derived(l leads) RETURNS leads LANGUAGE plpgsql STABLE AS $$
BEGIN
	l.phone_e164 := carillon.normalize_phone(l.phone);
	l.zones := carillon.lead_zones(l.time_zone, l.phone_e164);
	RETURN l;
END $$;

CREATE FUNCTION lead_record(l leads) RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT jsonb_build_object('id', (l).id, 'tenant', (l).tenant_id, 'external_id', (l).external_id, 'first_name', (l).first_name,
		'last_name', (l).last_name, 'phone', (l).phone, 'phone_e164', (l).phone_e164, 'state', (l).state, 'list_id', (l).list_id,
		'time_zone', (l).time_zone, 'zones', to_jsonb((l).zones), 'stage', (l).stage, 'call_date', carillon.iso_utc((l).call_date),
		'auto_follow_up', (l).auto_follow_up, 'paused', (l).paused, 'variables', coalesce((l).raw_payload -> 'variables', '{}'),
		'raw_payload', (l).raw_payload, 'created_at', carillon.iso_utc((l).created_at), 'updated_at', carillon.iso_utc((l).updated_at))
$$;

CREATE FUNCTION lead_fits(l leads, the_stage text, q text, the_list text, the_state text, is_paused text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
	SELECT (the_stage IS NULL OR (l).stage = the_stage) AND (the_list IS NULL OR (l).list_id = the_list)
		AND (the_state IS NULL OR (l).state = the_state) AND (is_paused IS NULL OR (l).paused = (is_paused = 'true'))
		AND (q IS NULL OR position(lower(q) IN lower(coalesce((l).first_name, '') || ' ' || coalesce((l).last_name, ''))) > 0)
$$;

-- ---- Follow-ups -------------------------------------------------------------------------------------------------------

CREATE FUNCTION follow_up_record(f follow_ups) RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT jsonb_build_object('id', (f).id, 'tenant', (f).tenant_id, 'lead_id', (f).lead_id, 'kind', (f).kind,
		'lane', (SELECT n.name FROM carillon.lanes n WHERE n.id = (f).lane_id),
		'account', (SELECT a.name FROM carillon.accounts a WHERE a.id = (f).account_id), 'source', (f).source, 'status', (f).status,
		'priority', (f).priority, 'due_at', carillon.iso_utc((f).due_at), 'next_look_at', carillon.iso_utc((f).next_look_at),
		'gate', (f).gate, 'reason', (f).reason, 'last_error', (f).last_error, 'attempts', (f).attempts, 'job_id', (f).job_id,
		'completed_at', carillon.iso_utc((f).completed_at), 'created_at', carillon.iso_utc((f).created_at))
$$;

-- A follow-up by hand, unless the lead has one that is open: `open` is that one's. PL/pgSQL, because each of its statements
-- sees what was committed while the former waited; the lead's row is what two of these, or one and the lead source, wait for.
CREATE FUNCTION follow_up_create(the_lead bigint, the_lane bigint, due timestamptz, the_priority integer)
RETURNS TABLE (open bigint, made jsonb) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	UPDATE carillon.leads SET seeded_at = coalesce(seeded_at, now()) WHERE id = the_lead;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	SELECT f.id INTO open FROM carillon.follow_ups f
	WHERE f.lead_id = the_lead AND f.status IN ('pending', 'queued', 'dialing') ORDER BY f.id LIMIT 1;
	IF open IS NULL THEN
		INSERT INTO carillon.follow_ups (tenant_id, lead_id, lane_id, source, due_at, priority)
		SELECT l.tenant_id, l.id, the_lane, 'api', due, the_priority FROM carillon.leads l WHERE l.id = the_lead
		RETURNING carillon.follow_up_record(follow_ups) INTO made;
	END IF;
	RETURN NEXT;
END $$;

-- ---- Suppressions -----------------------------------------------------------------------------------------------------

CREATE FUNCTION suppression_record(s suppressions) RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT jsonb_build_object('phone', (s).phone, 'tenant', (s).tenant_id, 'reason', (s).reason, 'source', (s).source,
		'expires_at', carillon.iso_utc((s).expires_at), 'created_at', carillon.iso_utc((s).created_at))
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA carillon FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA carillon TO carillon_producer, carillon_consumer, carillon_readonly;
