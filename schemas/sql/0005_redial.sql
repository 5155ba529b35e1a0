-- SPDX-License-Identifier: Apache-2.0
-- What the API shows: outcome rules and words, and the redial queue as its guide has it. Times are milliseconds since 1970 and, beside them, ISO 8601 in UTC.

CREATE FUNCTION iso_utc(t timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

-- ---- Outcome rules and words as the API shows them ---------------------------------------------------------------

CREATE FUNCTION providers() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
	SELECT '{bland,classifier,convoso,generic,omni,twilio,vapi}'::text[]
$$;

-- The built-in meanings as rows, in their order. built_in is words_built_in of common/rules/words.h.
CREATE FUNCTION built_in_words(built_in jsonb)
RETURNS TABLE (provider text, kind text, match text, word text, outcome text, ord bigint) LANGUAGE sql IMMUTABLE AS $$
	SELECT k ->> 'provider', lower(k ->> 'kind'), lower(k ->> 'match'), k ->> 'word', k ->> 'outcome', ord
	FROM jsonb_array_elements(built_in) WITH ORDINALITY b (k, ord) WHERE jsonb_typeof(k) = 'object'
$$;

-- What a word means without a row; null: nothing, so that it is an outcome itself.
CREATE FUNCTION built_in_meaning(built_in jsonb, the_provider text, the_word text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT k.outcome FROM carillon.built_in_words(built_in) k
	WHERE k.provider IN (the_provider, '*') AND CASE k.match WHEN 'prefix' THEN starts_with(the_word, k.word)
		WHEN 'part' THEN strpos(the_word, k.word) > 0 ELSE the_word = k.word END
	ORDER BY k.ord LIMIT 1
$$;

-- What a tenant's words mean (null: everybody's), rows first; `default` is what each would mean without a row.
CREATE FUNCTION outcome_words_of(built_in jsonb, the_tenant text, the_provider text) RETURNS jsonb LANGUAGE sql STABLE AS $$
	WITH own AS MATERIALIZED (
		SELECT DISTINCT ON (w.provider, w.word) w.* FROM carillon.outcome_words w
		WHERE w.tenant_id IS NULL OR w.tenant_id = the_tenant
		ORDER BY w.provider, w.word, w.tenant_id NULLS LAST
	)
	SELECT coalesce(jsonb_agg(jsonb_build_object('provider', provider, 'word', word, 'match', match, 'outcome', outcome,
		'default', meant, 'tenant', tenant, 'updated_at', updated_at) ORDER BY provider, ord, word), '[]')
	FROM (SELECT provider, word, 'exact' AS match, outcome, carillon.built_in_meaning(built_in, provider, word) AS meant,
			tenant_id AS tenant, carillon.iso_utc(updated_at) AS updated_at, 0 AS ord
		FROM own
		UNION ALL
		SELECT provider, word, match, outcome, outcome, NULL, NULL, ord FROM carillon.built_in_words(built_in) k
		WHERE k.match <> 'exact' OR NOT EXISTS (SELECT FROM own o WHERE (o.provider, o.word) = (k.provider, k.word))) w
	WHERE the_provider IS NULL OR provider IN (the_provider, '*')
$$;

CREATE FUNCTION outcome_rule_shown(outcome text, action text, next_stage text, tenant text, updated_at timestamptz) RETURNS jsonb
LANGUAGE sql STABLE AS $$
	SELECT jsonb_build_object('outcome', outcome, 'action', action, 'next_stage', next_stage, 'tenant', tenant,
		'updated_at', carillon.iso_utc(updated_at))
$$;

-- ---- Redial records ----------------------------------------------------------------------------------------------

-- Its time has come and it has a dial left; business hours are not asked, as the guide's formula does not. An agreed callback is
-- kept after the last attempt too, up to twice the limit.
CREATE FUNCTION redial_is_ready(status text, attempts integer, next_at timestamptz, max_attempts integer) RETURNS boolean
LANGUAGE sql STABLE AS $$
	SELECT next_at <= now() AND (status = 'pending' AND attempts < max_attempts OR status = 'rescheduled' AND attempts < 2 * max_attempts)
$$;

-- What a message says is to be done, and when that was decided. A callback is agreed upon for a time to come: assistants get years
-- wrong, and one that was over would ring the person again at once. Without such a time it is a redial.
CREATE FUNCTION redial_decision(e call_events) RETURNS TABLE (at timestamptz, action text, callback_at timestamptz) LANGUAGE sql IMMUTABLE AS $$
	SELECT d.at, CASE WHEN (e).body ->> 'action' = 'callback' AND d.agreed_at IS NULL THEN 'schedule' ELSE (e).body ->> 'action' END, d.agreed_at
	FROM (SELECT t.at, CASE WHEN (e).callback_at > t.at AND (e).callback_at < t.at + interval '90 days' THEN (e).callback_at END AS agreed_at
		FROM (SELECT coalesce((e).occurred_at, (e).received_at, (e).recorded_at) AS at) t) d
$$;

CREATE FUNCTION redial_setting() RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT value FROM carillon.settings WHERE key = 'redial'
$$;

-- The success outcomes are the rules of everybody; what CALLBACK without a time means is no choice.
CREATE FUNCTION redial_config() RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT value || jsonb_build_object('max_redial_attempts', value -> 'max_attempts', 'success_outcomes', (
		SELECT coalesce(jsonb_agg(outcome ORDER BY outcome), '[]') FROM carillon.outcome_rules WHERE tenant_id IS NULL AND action = 'success'))
	FROM carillon.settings WHERE key = 'redial'
$$;

CREATE FUNCTION redial_record(r redial_queue, max_attempts integer) RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT jsonb_build_object('tenant', (r).tenant_id, 'lead_id', (r).lead_id, 'phone_number', (r).phone_number, 'list_id', (r).list_id, 'first_name', (r).first_name,
		'last_name', (r).last_name, 'state', (r).state, 'attempts', (r).attempts, 'status', (r).status, 'outcomes', to_jsonb((r).outcomes),
		'last_outcome', (r).last_outcome, 'last_call_id', (r).last_call_id,
		'last_call_timestamp', carillon.to_ms((r).last_call_timestamp), 'next_redial_timestamp', carillon.to_ms((r).next_redial_timestamp),
		'scheduled_callback_time', carillon.to_ms((r).scheduled_callback_time),
		'created_at', carillon.to_ms((r).created_at), 'updated_at', carillon.to_ms((r).updated_at),
		'last_call_iso', carillon.iso_utc((r).last_call_timestamp), 'next_redial_iso', carillon.iso_utc((r).next_redial_timestamp),
		'created_at_iso', carillon.iso_utc((r).created_at),
		'minutes_until_next_redial', greatest(0, ceil(extract(epoch FROM (r).next_redial_timestamp - now()) / 60))::bigint,
		'is_ready', coalesce(carillon.redial_is_ready((r).status, (r).attempts, (r).next_redial_timestamp, max_attempts), false))
$$;

-- What was updated before is past the retention.
CREATE FUNCTION redial_oldest() RETURNS timestamptz LANGUAGE sql STABLE AS $$
	SELECT now() - (carillon.redial_setting() ->> 'retention_days')::integer * interval '1 day'
$$;

-- A record that is no longer to be dialed, whoever says so, calls off what was made of it; a call that is being dialed goes on.
CREATE FUNCTION redial_call_off() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE carillon.follow_ups SET status = 'cancelled', reason = CASE TG_OP WHEN 'DELETE' THEN 'removed' ELSE NEW.status END,
		gate = NULL, next_look_at = NULL, lease_until = NULL
	WHERE source = 'redial' AND source_id = OLD.id::text AND status IN ('pending', 'queued');
	IF TG_OP = 'DELETE' THEN   -- the end of a call that is under way does not bring it back
		UPDATE carillon.calls SET decided_at = now()
		WHERE decided_at IS NULL AND job_id IN (SELECT job_id FROM carillon.follow_ups
			WHERE source = 'redial' AND source_id = OLD.id::text AND status IN ('dialing', 'completed', 'undetermined'));
		-- What the retention removes needs no note: no file brings in what is that old.
		INSERT INTO carillon.redial_removed (tenant_id, lead_id, phone_digits)
		SELECT OLD.tenant_id, OLD.lead_id, OLD.phone_digits WHERE OLD.updated_at >= carillon.redial_oldest()
		ON CONFLICT (tenant_id, lead_id, phone_digits) DO UPDATE SET removed_at = excluded.removed_at;
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER redial_ended AFTER UPDATE OF status ON redial_queue FOR EACH ROW
	WHEN (OLD.status IN ('pending', 'rescheduled') AND NEW.status NOT IN ('pending', 'rescheduled')) EXECUTE FUNCTION redial_call_off();
CREATE TRIGGER redial_removed AFTER DELETE ON redial_queue FOR EACH ROW EXECUTE FUNCTION redial_call_off();

-- And a follow-up that will never be dialed, or was refused for good, ends its record: nothing else would.
CREATE FUNCTION redial_refused() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	the_record bigint := CASE WHEN NEW.source_id ~ '^[0-9]{1,18}$' THEN NEW.source_id::bigint END;
BEGIN
	WITH ended AS (
		UPDATE carillon.redial_queue r SET status = 'completed', next_redial_timestamp = NULL, updated_at = now()
		FROM (SELECT status FROM carillon.redial_queue WHERE id = the_record) was
		WHERE r.id = the_record AND r.status IN ('pending', 'rescheduled')
		RETURNING r.id, was.status
	)
	INSERT INTO carillon.transitions (entity, entity_id, from_state, to_state, reason, actor)
	SELECT 'redial', id::text, status, 'completed', coalesce(NEW.reason, NEW.status), 'gates' FROM ended;
	RETURN NULL;
END $$;
CREATE TRIGGER redial_refused AFTER UPDATE OF status ON follow_ups FOR EACH ROW
	WHEN (NEW.status IN ('skipped', 'failed') AND NEW.source = 'redial' AND OLD.status <> NEW.status) EXECUTE FUNCTION redial_refused();

-- What was being dialed when its record was paused, removed or ended, and was not dialed after all, is called off too.
CREATE FUNCTION redial_not_dialed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	the_status text;
BEGIN
	SELECT r.status INTO the_status FROM carillon.redial_queue r 
	WHERE r.id = CASE WHEN NEW.source_id ~ '^[0-9]{1,18}$' THEN NEW.source_id::bigint END FOR SHARE;
	IF coalesce(the_status, 'removed') NOT IN ('pending', 'rescheduled') THEN
		UPDATE carillon.follow_ups SET status = 'cancelled', reason = coalesce(the_status, 'removed'), gate = NULL, next_look_at = NULL
		WHERE id = NEW.id;
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER redial_not_dialed AFTER UPDATE OF status ON follow_ups FOR EACH ROW
	WHEN (NEW.status = 'pending' AND OLD.status IN ('dialing', 'undetermined') AND NEW.source = 'redial') EXECUTE FUNCTION redial_not_dialed();

-- Records older than the retention: final ones go, open ones are closed and go a retention later.
CREATE FUNCTION redial_retain(most bigint, by_whom text) RETURNS TABLE (removed bigint, closed bigint) LANGUAGE sql VOLATILE AS $$
	WITH old AS MATERIALIZED (
		SELECT id, status FROM carillon.redial_queue
		WHERE updated_at < (SELECT carillon.redial_oldest())
		ORDER BY updated_at LIMIT most FOR UPDATE SKIP LOCKED
	), removed AS (
		DELETE FROM carillon.redial_queue WHERE id = ANY (ARRAY(SELECT id FROM old WHERE status IN ('completed', 'max_attempts')))
		RETURNING id, status
	), closed AS (
		UPDATE carillon.redial_queue SET status = 'completed', next_redial_timestamp = NULL, updated_at = now()
		WHERE id = ANY (ARRAY(SELECT id FROM old WHERE status NOT IN ('completed', 'max_attempts')))
		RETURNING id
	), forgotten AS (
		DELETE FROM carillon.redial_removed WHERE removed_at < (SELECT carillon.redial_oldest())
	), noted AS (
		INSERT INTO carillon.transitions (entity, entity_id, from_state, to_state, reason, actor)
		SELECT 'redial', id::text, status, 'removed', 'retention', by_whom FROM removed
		UNION ALL
		SELECT 'redial', c.id::text, o.status, 'completed', 'retention', by_whom FROM closed c JOIN old o USING (id)
	)
	SELECT (SELECT count(*) FROM removed), (SELECT count(*) FROM closed)
$$;

CREATE INDEX redial_queue_lead ON redial_queue (lead_id);
CREATE INDEX redial_queue_updated ON redial_queue (updated_at);
-- What is counted of each record: `status` reads this alone, a fifth of the table.
CREATE INDEX redial_queue_counts ON redial_queue (status, next_redial_timestamp, attempts);

-- A file as one JSON object, or what is wrong with it. An escape that stands for no character (\u0000, half a pair) would make all
-- of it unreadable: it becomes U+FDD0, which no text has, for the one who reads the values to find.
CREATE FUNCTION json_file(given text, OUT content json, OUT problem text) LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	no_escape CONSTANT text := '(?<!\\)((?:\\\\)*)';
	place text;
BEGIN
	content := '{}';
	IF position('\u' IN given) > 0 THEN
		given := regexp_replace(given, no_escape || '(?:\\u0000|\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f][0-9a-f]{2})|(?<!\\ud[89ab][0-9a-f]{2})\\ud[c-f][0-9a-f]{2})',
			'\1\ufdd0', 'gi');
	END IF;
	IF json_typeof(given::json) = 'object' THEN
		content := given;
	ELSE
		problem := 'the file is not a JSON object of records';
	END IF;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
	GET STACKED DIAGNOSTICS problem := MESSAGE_TEXT, place := PG_EXCEPTION_CONTEXT;
	problem := 'the file is not JSON: ' || problem || coalesce(', ' || substring(place FROM 'line [0-9]+'), '');
END $$;
