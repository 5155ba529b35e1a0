-- SPDX-License-Identifier: Apache-2.0
-- POST import: a monthly file of the redial guide, {"LEADID_DIGITS": {record}, ...}. Every problem of every record is told, the
-- others come in. Of several records of one lead and number the one that was updated last counts, in this file or a former one.
-- A record that was dialed, changed or removed here is no longer the files' business, and one older than the retention never is.
-- A lead that is not there yet is made, for the queue alone.
-- $1 the file
WITH file AS MATERIALIZED (
	SELECT content, problem FROM json_file($1::text)
), entry AS MATERIALIZED (
	SELECT e.n, left(e.key, 200) AS key, json_typeof(e.value) = 'object' AS is_object, r.*
	FROM file CROSS JOIN LATERAL json_each(content) WITH ORDINALITY e (key, value, n)
	CROSS JOIN LATERAL json_to_record(CASE json_typeof(e.value) WHEN 'object' THEN e.value ELSE '{}' END) r (lead_id json, phone_number json,
		list_id json, first_name json, last_name json, state json, attempts json, last_call_timestamp json, next_redial_timestamp json,
		scheduled_callback_time json, outcomes json, last_outcome json, last_call_id json, created_at json, updated_at json, status json)
), word AS (   -- texts and numbers, each with what it must be
	SELECT n, name, CASE
		WHEN type IS NULL OR type = 'null' THEN CASE WHEN needed THEN 'is missing' END
		WHEN kind = 'ms' THEN CASE WHEN type <> 'number' OR value !~ '^[1-9][0-9]{11,12}$' THEN 'not milliseconds since 1970, of this century' END
		WHEN kind = 'number' THEN CASE WHEN type <> 'number' OR value !~ '^[0-9]{1,6}$' THEN 'not a whole number from 0 to 999999' END
		WHEN type NOT IN ('string', 'number') THEN 'not a text'
		WHEN position(U&'\FDD0' IN value) > 0 THEN 'not a text: it has a character that no text can have'
		WHEN length(value) > longest THEN format('longer than %s characters', longest)
		WHEN needed AND value = '' THEN 'is missing'
		WHEN name = 'phone_number' AND normalize_phone(value) IS NULL THEN 'not a phone number such as +15551234567'
		WHEN name = 'status' AND value NOT IN ('pending', 'rescheduled', 'completed', 'max_attempts', 'paused')
			THEN 'none of pending, rescheduled, completed, max_attempts, paused' END AS problem
	FROM entry e CROSS JOIN LATERAL (VALUES
		('lead_id', e.lead_id, 'text', true, 100), ('phone_number', e.phone_number, 'text', true, 60), ('list_id', e.list_id, 'text', false, 200),
		('first_name', e.first_name, 'text', false, 200), ('last_name', e.last_name, 'text', false, 200), ('state', e.state, 'text', false, 200),
		('attempts', e.attempts, 'number', true, 0), ('last_call_timestamp', e.last_call_timestamp, 'ms', false, 0),
		('next_redial_timestamp', e.next_redial_timestamp, 'ms', false, 0), ('scheduled_callback_time', e.scheduled_callback_time, 'ms', false, 0),
		('last_outcome', e.last_outcome, 'text', false, 200), ('last_call_id', e.last_call_id, 'text', false, 200),
		('created_at', e.created_at, 'ms', false, 0), ('updated_at', e.updated_at, 'ms', true, 0), ('status', e.status, 'text', true, 20)
	) f (name, given, kind, needed, longest)
	CROSS JOIN LATERAL (SELECT json_typeof(given) AS type, given #>> '{}' AS value OFFSET 0) v
	WHERE e.is_object
), wrong AS MATERIALIZED (
	SELECT n, NULL AS field, 'not a record: an object is' AS detail FROM entry WHERE NOT is_object
	UNION ALL SELECT n, name, problem FROM word WHERE problem IS NOT NULL
	UNION ALL
	SELECT n, 'outcomes', 'not an array of texts' FROM entry
	WHERE json_typeof(outcomes) <> 'null' AND (json_typeof(outcomes) <> 'array'
		OR EXISTS (SELECT FROM json_array_elements(CASE json_typeof(outcomes) WHEN 'array' THEN outcomes ELSE '[]' END) o
			WHERE json_typeof(o) <> 'string' OR length(o #>> '{}') > 200 OR position(U&'\FDD0' IN o #>> '{}') > 0))
	UNION ALL
	SELECT n, 'next_redial_timestamp', 'is missing: a record that is to be dialed needs one' FROM entry
	WHERE status::text IN ('"pending"', '"rescheduled"') AND coalesce(json_typeof(next_redial_timestamp), 'null') = 'null'
	AND (status::text = '"pending"' OR coalesce(json_typeof(scheduled_callback_time), 'null') = 'null')
), setting AS MATERIALIZED (
	SELECT (s ->> 'max_attempts')::integer AS max_attempts, now() - (s ->> 'retention_days')::integer * interval '1 day' AS oldest
	FROM redial_setting() s
), read AS MATERIALIZED (   -- what was checked can be cast
	SELECT e.n, e.key, e.lead_id #>> '{}' AS lead_id, normalize_phone(e.phone_number #>> '{}') AS phone,
		e.list_id #>> '{}' AS list_id, e.first_name #>> '{}' AS first_name, e.last_name #>> '{}' AS last_name, e.state #>> '{}' AS state,
		e.attempts::text::integer AS attempts, from_ms((e.last_call_timestamp #>> '{}')::bigint) AS last_call_timestamp,
		from_ms((e.next_redial_timestamp #>> '{}')::bigint) AS next_redial_timestamp,
		from_ms((e.scheduled_callback_time #>> '{}')::bigint) AS scheduled_callback_time,
		ARRAY(SELECT json_array_elements_text(CASE json_typeof(e.outcomes) WHEN 'array' THEN e.outcomes ELSE '[]' END)) AS outcomes,
		e.last_outcome #>> '{}' AS last_outcome, e.last_call_id #>> '{}' AS last_call_id,
		from_ms((e.created_at #>> '{}')::bigint) AS created_at, from_ms((e.updated_at #>> '{}')::bigint) AS updated_at, e.status #>> '{}' AS status
	FROM entry e WHERE e.n NOT IN (SELECT n FROM wrong)
), newest AS MATERIALIZED (   -- as the queue will have them, each with the record and the lead that are there
	SELECT DISTINCT ON (r.lead_id, r.phone) r.n, r.key, r.lead_id, r.phone, r.list_id, r.first_name, r.last_name, r.state, r.attempts,
		r.last_call_timestamp, coalesce(r.next_redial_timestamp, r.scheduled_callback_time) AS next_redial_timestamp, r.scheduled_callback_time,
		r.outcomes[greatest(1, cardinality(r.outcomes) - 49):] AS outcomes, r.last_outcome, r.last_call_id,
		coalesce(r.created_at, r.last_call_timestamp, r.updated_at) AS created_at, r.updated_at,
		CASE WHEN r.status = 'pending' AND r.attempts >= s.max_attempts OR r.status = 'rescheduled' AND r.attempts >= 2 * s.max_attempts
			THEN 'max_attempts' ELSE r.status END AS status,
		q.id IS NULL AS is_new, q.status AS from_state, r.updated_at < s.oldest AS is_old,
		coalesce(q.seeded_for IS NOT NULL OR q.updated_at IS DISTINCT FROM q.imported_at OR q.updated_at >= r.updated_at
			OR g.removed_at >= r.updated_at, false) AS is_past
	FROM read r CROSS JOIN setting s
	CROSS JOIN LATERAL (SELECT regexp_replace(r.phone, '[^0-9]', '', 'g') AS digits OFFSET 0) d
	LEFT JOIN LATERAL (SELECT id, status, seeded_for, updated_at, imported_at FROM redial_queue   -- by its key, however many there are
		WHERE tenant_id = request_tenant() AND lead_id = r.lead_id AND phone_digits = d.digits OFFSET 0) q ON true
	LEFT JOIN LATERAL (SELECT removed_at FROM redial_removed
		WHERE tenant_id = request_tenant() AND lead_id = r.lead_id AND phone_digits = d.digits OFFSET 0) g ON true
	ORDER BY r.lead_id, r.phone, r.updated_at DESC, r.n DESC
), wanted AS MATERIALIZED (
	SELECT w.*, row_number() OVER (PARTITION BY w.lead_id ORDER BY w.updated_at DESC, w.n DESC) AS nth, l.id AS lead_ref, l.phone_e164
	FROM newest w LEFT JOIN LATERAL (SELECT id, phone_e164 FROM leads
		WHERE tenant_id = request_tenant() AND external_id = w.lead_id OFFSET 0) l ON true
	WHERE w.is_new AND NOT w.is_old AND NOT w.is_past
), made AS (   -- one that somebody makes meanwhile is waited for and taken as it is
	INSERT INTO leads (tenant_id, external_id, phone, first_name, last_name, state, list_id, auto_follow_up)
	SELECT request_tenant(), lead_id, phone, first_name, last_name, state, list_id, false FROM wanted WHERE lead_ref IS NULL AND nth = 1 ORDER BY lead_id
	ON CONFLICT (tenant_id, external_id) DO UPDATE SET external_id = excluded.external_id
	RETURNING id, external_id, phone_e164
), placed AS MATERIALIZED (   -- a lead is dialed at its own number
	SELECT w.n, w.key, CASE WHEN coalesce(w.phone_e164, m.phone_e164) = w.phone THEN coalesce(w.lead_ref, m.id) END AS lead_ref
	FROM wanted w LEFT JOIN made m ON m.external_id = w.lead_id
), stored AS (
	INSERT INTO redial_queue AS q (tenant_id, lead_id, phone_number, lead_ref, list_id, first_name, last_name, state, attempts, last_call_timestamp,
		next_redial_timestamp, scheduled_callback_time, outcomes, last_outcome, last_call_id, status, created_at, updated_at, imported_at)
	SELECT request_tenant(), w.lead_id, w.phone, p.lead_ref, w.list_id, w.first_name, w.last_name, w.state, w.attempts, w.last_call_timestamp,
		CASE WHEN w.status NOT IN ('completed', 'max_attempts') THEN w.next_redial_timestamp END, w.scheduled_callback_time, w.outcomes,
		w.last_outcome, w.last_call_id, w.status, w.created_at, w.updated_at, w.updated_at
	FROM newest w LEFT JOIN placed p USING (n)
	WHERE NOT w.is_old AND NOT w.is_past AND (NOT w.is_new OR p.lead_ref IS NOT NULL)
	ORDER BY w.lead_id, w.phone
	ON CONFLICT (tenant_id, lead_id, phone_digits) DO UPDATE SET list_id = excluded.list_id, first_name = excluded.first_name,
		last_name = excluded.last_name, state = excluded.state, attempts = excluded.attempts, last_call_timestamp = excluded.last_call_timestamp,
		next_redial_timestamp = excluded.next_redial_timestamp, scheduled_callback_time = excluded.scheduled_callback_time,
		outcomes = excluded.outcomes, last_outcome = excluded.last_outcome, last_call_id = excluded.last_call_id, status = excluded.status,
		created_at = excluded.created_at, updated_at = excluded.updated_at, imported_at = excluded.imported_at
	WHERE q.updated_at = q.imported_at AND q.seeded_for IS NULL AND excluded.updated_at > q.updated_at
	RETURNING q.id, q.lead_id, q.phone_number, q.status
), changed AS MATERIALIZED (
	SELECT s.id, s.status, w.is_new, w.from_state FROM stored s JOIN newest w ON w.lead_id = s.lead_id AND w.phone = s.phone_number
), noted AS (
	INSERT INTO transitions (entity, entity_id, from_state, to_state, reason, actor)
	SELECT 'redial', id::text, from_state, status, 'import', 'operator' FROM changed WHERE from_state IS DISTINCT FROM status
), problem AS MATERIALIZED (
	SELECT x.n, e.key, x.field, x.detail FROM wrong x JOIN entry e USING (n)
	UNION ALL
	SELECT n, key, 'phone_number', 'its lead has another number here: change that first' FROM placed WHERE lead_ref IS NULL
), sums AS MATERIALIZED (
	SELECT (SELECT count(*) FROM entry) AS records, (SELECT count(DISTINCT n) FROM problem) AS rejected,
		(SELECT count(*) FROM changed WHERE is_new) AS created, (SELECT count(*) FROM changed WHERE NOT is_new) AS updated,
		(SELECT count(*) FROM newest WHERE is_old) AS expired
)
SELECT CASE WHEN f.problem IS NULL THEN 200 ELSE 422 END AS status, CASE WHEN f.problem IS NOT NULL
	THEN json_build_object('success', false, 'error', f.problem)
	ELSE json_build_object('success', true, 'timestamp', iso_utc(now()), 'message', format('%s of %s records imported', created + updated, records),
		'records', records, 'created', created, 'updated', updated, 'unchanged', records - created - updated - expired - rejected,
		'expired', expired, 'rejected', rejected, 'errors', (SELECT coalesce(json_agg(json_build_object('key', key, 'field', field, 'detail', detail)
			ORDER BY n, field), '[]') FROM problem)) END AS body
FROM file f, sums
