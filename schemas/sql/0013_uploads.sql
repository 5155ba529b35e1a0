-- SPDX-License-Identifier: Apache-2.0
-- Contacts of a campaign from a file: staged whole, each row with its verdict, then applied in batches of one transaction each.
-- Both are kept in logged tables, so that whoever finds an upload unfinished goes on exactly behind its last batch.

CREATE TABLE uploads (
	id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant_id   text NOT NULL REFERENCES tenants,
	campaign_id bigint NOT NULL REFERENCES campaigns,
	preview     boolean NOT NULL,
	state       text NOT NULL DEFAULT 'receiving' CHECK (state IN ('receiving', 'applying', 'done', 'abandoned', 'failed')),
	reason      text,                               -- why it was abandoned or failed
	header      text NOT NULL DEFAULT '',           -- of the file of rejected rows
	worker      text NOT NULL,                      -- who is at it,
	touched_at  timestamptz NOT NULL DEFAULT now(), -- and was last
	applied_to  bigint NOT NULL DEFAULT 0,          -- rows up to this one are done with
	rows        bigint NOT NULL DEFAULT 0,
	created     bigint NOT NULL DEFAULT 0,
	updated     bigint NOT NULL DEFAULT 0,
	duplicates  bigint NOT NULL DEFAULT 0,
	rejected    bigint NOT NULL DEFAULT 0,
	tidied      boolean NOT NULL DEFAULT false,     -- of its rows only those are left that were rejected
	created_at  timestamptz NOT NULL DEFAULT now(),
	finished_at timestamptz
) WITH (fillfactor = 50);
CREATE INDEX uploads_campaign ON uploads (campaign_id, id);
CREATE INDEX uploads_open ON uploads (id) WHERE state IN ('receiving', 'applying') OR NOT tidied;
CREATE INDEX uploads_finished ON uploads (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE upload_rows (
	upload_id bigint NOT NULL,                      -- removed with its upload, in batches
	row       bigint NOT NULL,                      -- as a spreadsheet counts
	line      text NOT NULL,                        -- as CSV, for the file of rejected rows
	members   jsonb NOT NULL,                       -- as a JSON body would have it
	e164      text,                                 -- of a good row
	problems  jsonb,                                -- of a rejected one: [{"column", "value", "reason"}]
	PRIMARY KEY (upload_id, row)
);
CREATE INDEX upload_rows_phone ON upload_rows (upload_id, e164, row) WHERE e164 IS NOT NULL;
CREATE INDEX upload_rows_rejected ON upload_rows (upload_id, row) WHERE problems IS NOT NULL;

-- As the API shows it.
CREATE FUNCTION upload_record(u uploads) RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT jsonb_build_object('upload', (u).id, 'campaignId', (u).campaign_id, 'preview', (u).preview, 'state', (u).state,
		'reason', (u).reason, 'rows', (u).rows, 'created', (u).created, 'updated', (u).updated, 'duplicates', (u).duplicates,
		'rejected', (u).rejected,
		'rejectedRows', coalesce((SELECT jsonb_agg(jsonb_build_object('row', b.row) || b.problem ORDER BY b.row, b.problem ->> 'column')
			FROM (SELECT r.row, p.problem FROM (SELECT row, problems FROM carillon.upload_rows
					WHERE upload_id = (u).id AND problems IS NOT NULL ORDER BY row LIMIT 100) r
				CROSS JOIN LATERAL jsonb_array_elements(r.problems) p (problem) ORDER BY r.row, p.problem ->> 'column' LIMIT 100) b), '[]'),
		'rejectedUrl', CASE WHEN (u).rejected > 0 AND (u).state IN ('applying', 'done')
			THEN format('/api/campaigns/%s/uploads/%s/rejected', (u).campaign_id, (u).id) END,
		'createdAt', carillon.iso_utc((u).created_at), 'finishedAt', carillon.iso_utc((u).finished_at))
$$;

-- What is wrong with a member of a contact; null: nothing.
CREATE FUNCTION contact_problem(field text, given jsonb) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN CASE WHEN field IN ('phone', 'first_name', 'last_name', 'state', 'time_zone', 'variables', 'external_id', 'list_id', '')
		THEN carillon.lead_problem(field, given) ELSE 'no such field of a contact' END;
END $$;

-- Stages rows with their verdict; a row that is there already stays. Answers how many of them can't be used.
-- A fault is what makes a row unreadable: its members are not looked at.
CREATE FUNCTION upload_stage(the_upload bigint, numbers bigint[], lines text[], members text[], faults text[])
RETURNS bigint LANGUAGE sql VOLATILE AS $$
	WITH given AS MATERIALIZED (
		SELECT g.row, g.line, g.fault, g.member::jsonb AS members, carillon.normalize_phone(g.member::jsonb ->> 'phone') AS e164
		FROM unnest(numbers, lines, members, faults) g (row, line, member, fault)
	), bad AS MATERIALIZED (
		SELECT g.row, left(m.key, 100) AS field, carillon.masked(m.value) AS value, p.detail
		FROM given g CROSS JOIN LATERAL jsonb_each(g.members) m
		LEFT JOIN carillon.time_zones t ON m.key = 'time_zone' AND t.name = m.value #>> '{}'
		CROSS JOIN LATERAL (SELECT carillon.contact_problem(m.key, m.value) AS detail OFFSET 0) p
		-- Most members are short texts, in which nothing can be wrong: only the others are asked about.
		WHERE g.fault IS NULL AND t.name IS NULL AND (m.key NOT IN ('first_name', 'last_name', 'state', 'external_id', 'list_id', 'variables')
			OR jsonb_typeof(m.value) <> CASE m.key WHEN 'variables' THEN 'object' ELSE 'string' END
			OR length(m.value::text) NOT BETWEEN 3 AND CASE m.key WHEN 'variables' THEN 16384 ELSE 200 END
			OR position(U&'\FFFD' IN m.value::text) > 0)
		AND (m.key <> 'phone' OR g.e164 IS NULL) AND p.detail IS NOT NULL
		UNION ALL
		SELECT g.row, 'phone', carillon.masked(g.members -> 'phone'), CASE WHEN coalesce(g.members ->> 'phone', '') = '' THEN 'missing'
			ELSE 'no number that can be called, such as +12125550101' END
		FROM given g WHERE g.fault IS NULL AND CASE WHEN carillon.number_is_dialable(g.e164) THEN false ELSE true END
		AND carillon.phone_problem(coalesce(g.members ->> 'phone', '')) IS NULL
		UNION ALL
		SELECT g.row, NULL, NULL, g.fault FROM given g WHERE g.fault IS NOT NULL
	), verdict AS MATERIALIZED (
		SELECT b.row, jsonb_agg(jsonb_build_object('column', b.field, 'value', b.value, 'reason', b.detail) ORDER BY b.field) AS problems
		FROM bad b GROUP BY b.row
	), staged AS (
		INSERT INTO carillon.upload_rows (upload_id, row, line, members, e164, problems)
		SELECT the_upload, g.row, g.line, g.members, CASE WHEN v.row IS NULL THEN g.e164 END, v.problems
		FROM given g LEFT JOIN verdict v ON v.row = g.row
		ON CONFLICT DO NOTHING
		RETURNING problems IS NOT NULL AS is_bad
	), touched AS (
		UPDATE carillon.uploads u SET touched_at = now(), rows = u.rows + (SELECT count(*) FROM staged),
			rejected = u.rejected + (SELECT count(*) FROM staged WHERE is_bad)
		WHERE u.id = the_upload AND u.state = 'receiving'
	)
	SELECT count(*) FROM staged WHERE is_bad
$$;

-- What a row changes of a lead: variables are added to.
CREATE FUNCTION contact_members(l leads, members jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT (members - 'phone') || CASE WHEN members ? 'variables'
		THEN jsonb_build_object('variables', coalesce((l).raw_payload -> 'variables', '{}') || (members -> 'variables')) ELSE '{}' END
$$;

-- Applies the next batch of good rows: the first of each number makes a lead, or is that of the lead who has it, and a contact.
-- What was rejected is no obstacle to a later row of the same number. A contact that waits for no call any more is called again, unless
-- there is nothing to be gained by it. A preview counts the same and changes nothing. `missed` are leads that it did not make, because
-- somebody else made one of the same external_id meanwhile.
CREATE FUNCTION upload_batch(u uploads, most bigint)
RETURNS TABLE (good bigint, people bigint, known bigint, updated bigint, missed bigint, last_row bigint)
LANGUAGE sql VOLATILE AS $$
	WITH batch AS MATERIALIZED (
		SELECT r.row, r.members, r.e164 FROM carillon.upload_rows r
		WHERE r.upload_id = (u).id AND r.row > (u).applied_to ORDER BY r.row LIMIT most
	), person AS MATERIALIZED (   -- the first row of each number
		SELECT b.row, b.members - 'external_id' AS members, b.e164, l.id AS lead_id,
			CASE WHEN row_number() OVER (PARTITION BY b.members ->> 'external_id' ORDER BY b.row) = 1 THEN b.members ->> 'external_id' END AS external_id
		FROM batch b
		-- By the number: asked for the first, the planner would go through rows and leads in their order.
		CROSS JOIN LATERAL (SELECT min(f.row) AS row FROM (SELECT o.row FROM carillon.upload_rows o
			WHERE o.upload_id = (u).id AND o.e164 = b.e164 OFFSET 0) f) f
		CROSS JOIN LATERAL (SELECT min(l.id) AS id FROM (SELECT o.id FROM carillon.leads o
			WHERE o.phone_e164 = b.e164 AND o.tenant_id || '' = (u).tenant_id OFFSET 0) l) l
		WHERE f.row = b.row
	), known AS MATERIALIZED (
		SELECT p.lead_id, p.e164, c.id, c.scheduled, c.schedule_at
		FROM person p JOIN carillon.campaign_contacts c ON c.lead_id = p.lead_id AND c.campaign_id = (u).campaign_id
	), done_with AS MATERIALIZED (
		SELECT n.id FROM known n JOIN carillon.campaigns k ON k.id = (u).campaign_id CROSS JOIN LATERAL (
			SELECT f.status, f.reason FROM carillon.follow_ups f
			WHERE f.source = 'campaign' AND f.source_id = n.id::text AND f.occurrence = n.scheduled::text OFFSET 0) f
		CROSS JOIN LATERAL carillon.campaign_calls(k.tenant_id, k.lane_id, n.e164) d
		WHERE n.schedule_at IS NULL AND NOT (u).preview
		AND (f.status = 'skipped' OR f.status = 'failed' AND f.reason = 'configuration' OR f.status = 'cancelled' AND f.reason = 'operator'
			OR f.status = 'completed' AND d.ended)
		AND carillon.campaign_goes_on(k.frequency, k.retry_attempts, d.dials, d.succeeded, d.action)
	), again AS (
		UPDATE carillon.campaign_contacts SET schedule_at = now() WHERE schedule_at IS NULL AND id = ANY (ARRAY(
			SELECT c.id FROM carillon.campaign_contacts c JOIN done_with USING (id) ORDER BY c.id FOR NO KEY UPDATE OF c))
	), changing AS MATERIALIZED (
		SELECT l.id, w.given FROM person p JOIN carillon.leads l ON l.id = p.lead_id
		CROSS JOIN LATERAL (SELECT carillon.contact_members(l, p.members) AS with_its, p.members AS given OFFSET 0) w
		WHERE carillon.lead_with(l, w.with_its) IS DISTINCT FROM l
	), locked AS MATERIALIZED (   -- as they are now: a result may have been noted in one meanwhile
		SELECT l FROM carillon.leads l WHERE l.id = ANY (ARRAY(SELECT id FROM changing)) AND NOT (u).preview ORDER BY l.id FOR NO KEY UPDATE
	), changed AS (
		UPDATE carillon.leads l SET first_name = (n).first_name, last_name = (n).last_name, state = (n).state, list_id = (n).list_id,
			time_zone = (n).time_zone, raw_payload = (n).raw_payload, updated_at = now()
		FROM locked o JOIN changing c ON c.id = (o.l).id
		CROSS JOIN LATERAL carillon.lead_with(o.l, carillon.contact_members(o.l, c.given)) n
		WHERE l.id = c.id
	), made AS (
		INSERT INTO carillon.leads (tenant_id, external_id, first_name, last_name, phone, state, list_id, time_zone, auto_follow_up, raw_payload)
		SELECT (u).tenant_id, CASE WHEN NOT EXISTS (SELECT FROM carillon.leads o WHERE o.tenant_id = (u).tenant_id
				AND o.external_id = p.external_id) THEN p.external_id END,
			p.members ->> 'first_name', p.members ->> 'last_name', p.members ->> 'phone', p.members ->> 'state', p.members ->> 'list_id',
			p.members ->> 'time_zone', false,
			CASE WHEN p.members ? 'variables' THEN jsonb_build_object('variables', p.members -> 'variables') ELSE '{}' END
		FROM person p WHERE p.lead_id IS NULL AND NOT (u).preview ORDER BY p.row
		ON CONFLICT (tenant_id, external_id) DO NOTHING
		RETURNING id
	), joined AS (
		INSERT INTO carillon.campaign_contacts (campaign_id, lead_id)
		SELECT (u).campaign_id, x.id FROM (SELECT id FROM made UNION ALL SELECT p.lead_id FROM person p
			WHERE p.lead_id IS NOT NULL AND NOT (u).preview AND (p.lead_id IN (SELECT lead_id FROM known)) IS NOT TRUE) x
		ON CONFLICT (campaign_id, lead_id) DO NOTHING
	)
	SELECT (SELECT count(*) FROM batch WHERE e164 IS NOT NULL), (SELECT count(*) FROM person), (SELECT count(*) FROM known),
		(SELECT count(*) FROM changing c WHERE c.id IN (SELECT lead_id FROM known)),
		CASE WHEN (u).preview THEN 0 ELSE (SELECT count(*) FROM person WHERE lead_id IS NULL) - (SELECT count(*) FROM made) END, (SELECT max(row) FROM batch)
$$;

-- One batch of an upload whose file is here. Its row is locked first, so that two who are at it take turns.
CREATE FUNCTION upload_apply(the_upload bigint, the_worker text, most bigint) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	u carillon.uploads;
	b record;
BEGIN
	SELECT * INTO u FROM carillon.uploads WHERE id = the_upload FOR NO KEY UPDATE;
	IF u.state = 'applying' THEN
		PERFORM FROM carillon.campaigns k WHERE k.id = u.campaign_id AND k.deleted_at IS NULL;
		IF NOT FOUND THEN
			UPDATE carillon.uploads SET state = 'failed', reason = 'the campaign was deleted', finished_at = now() WHERE id = u.id RETURNING * INTO u;
			RETURN carillon.upload_record(u);
		END IF;
		-- Two files with the same people, at the same time: the second finds the leads of the first.
		PERFORM pg_advisory_xact_lock(hashtext('carillon upload ' || u.tenant_id));
		SELECT * INTO b FROM carillon.upload_batch(u, most);
		IF b.missed > 0 THEN   -- the next try sees them
			RAISE EXCEPTION 'leads of the same external_id were made meanwhile' USING ERRCODE = 'serialization_failure';
		END IF;
		UPDATE carillon.uploads o SET worker = the_worker, touched_at = now(), applied_to = coalesce(b.last_row, o.applied_to),
			created = o.created + b.people - b.known, updated = o.updated + b.updated,
			duplicates = o.duplicates + b.good - (b.people - b.known) - b.updated,
			state = CASE WHEN b.last_row IS NULL THEN 'done' ELSE 'applying' END,
			finished_at = CASE WHEN b.last_row IS NULL THEN now() END
		WHERE o.id = u.id RETURNING * INTO u;
	END IF;
	RETURN CASE WHEN u.state = 'applying' THEN jsonb_build_object('upload', u.id, 'state', u.state) ELSE carillon.upload_record(u) END;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA carillon FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON uploads, upload_rows TO carillon_producer;
GRANT SELECT ON uploads, upload_rows TO carillon_readonly;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA carillon TO carillon_producer, carillon_consumer, carillon_readonly;
