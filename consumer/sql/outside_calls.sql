-- SPDX-License-Identifier: Apache-2.0
-- Calls that another dialer made: nothing but its events tells of them. The first decision on one gives it a row in the ledger, over
-- and never live, by an id made of the dialer's own; what else waits for it is told, and taken up by inbox_resolve.sql. Its lead is the one with that number and that
-- id, else a new one that is dialed by the redial queue alone; without an id, the only one with that number.
-- $1 accounts and $2 event ids of the batch's messages, $3 also take up those left behind, $4 providers that dial by themselves,
-- separated by spaces
WITH waiting AS MATERIALIZED (
	SELECT e.id FROM unnest($1::text[], $2::text[]) b (account, event_id)
		JOIN call_events e ON e.account = b.account AND e.event_id = b.event_id
	WHERE e.state = 'parked' AND e.message = 'redial'
	UNION
	(SELECT id FROM call_events WHERE state = 'parked' AND message = 'redial' AND $3::boolean AND recorded_at > now() - interval '1 hour'
	 ORDER BY recorded_at DESC LIMIT 1000)
), named AS MATERIALIZED (   -- each call once; its id is the same for every recorder
	SELECT DISTINCT ON (a.id, e.provider_call_id) e.tenant_id, a.id AS account_id, a.name AS account, a.provider, e.provider_call_id,
		md5(a.id || ' ' || e.provider_call_id)::uuid AS job_id, normalize_phone(e.phone) AS phone, e.lead_id AS their_id, e.outcome,
		coalesce(e.occurred_at, e.received_at, e.recorded_at) AS at, e.body
	FROM waiting w JOIN call_events e USING (id)
	JOIN accounts a ON a.name = e.account AND a.tenant_id = e.tenant_id AND a.provider = ANY (string_to_array($4::text, ' '))
	WHERE e.call_job_id IS NULL AND e.job_id IS NULL AND e.provider_call_id IS NOT NULL AND normalize_phone(e.phone) IS NOT NULL
		AND NOT EXISTS (SELECT FROM provider_calls p WHERE p.account_id = a.id AND p.provider_call_id = e.provider_call_id)
	ORDER BY a.id, e.provider_call_id, e.event_id
), known AS MATERIALIZED (
	SELECT n.*, l.lead_id, l.candidates, EXISTS (SELECT FROM leads o WHERE o.tenant_id = n.tenant_id AND o.external_id = n.their_id)
		OR row_number() OVER (PARTITION BY n.tenant_id, n.their_id ORDER BY n.phone) > 1 AS id_is_taken
	FROM named n CROSS JOIN LATERAL (SELECT min(l.id) AS lead_id, count(*) AS candidates FROM leads l
		WHERE l.phone_e164 = n.phone AND l.tenant_id = n.tenant_id
		AND (n.their_id IS NULL OR n.their_id = redial_key(l.external_id, l.raw_payload, l.id))) l
), made AS (
	INSERT INTO leads (tenant_id, external_id, phone, first_name, last_name, state, list_id, auto_follow_up, raw_payload)
	SELECT DISTINCT ON (k.tenant_id, k.their_id, k.phone) k.tenant_id, CASE WHEN NOT k.id_is_taken THEN k.their_id END, k.phone,
		k.body ->> 'first_name', k.body ->> 'last_name', k.body ->> 'state', k.body ->> 'list_id', false,
		jsonb_build_object('dialer', jsonb_strip_nulls(jsonb_build_object('account', k.account, 'lead_id', k.their_id)))
	FROM known k WHERE k.candidates = 0
	ORDER BY k.tenant_id, k.their_id, k.phone, k.id_is_taken
	ON CONFLICT (tenant_id, external_id) DO UPDATE SET updated_at = leads.updated_at   -- another recorder's; its phone is compared below
	RETURNING id, tenant_id, phone_e164, redial_key(external_id, raw_payload, id) AS key
), placed AS MATERIALIZED (
	SELECT k.*, CASE WHEN k.candidates = 0 THEN (SELECT m.id FROM made m WHERE m.tenant_id = k.tenant_id AND m.phone_e164 = k.phone
			AND (k.their_id IS NULL OR m.key = k.their_id) ORDER BY m.id LIMIT 1)
		WHEN k.candidates = 1 OR k.their_id IS NOT NULL THEN k.lead_id END AS the_lead
	FROM known k
), dialed AS (
	INSERT INTO calls (job_id, tenant_id, kind, lane_id, lead_id, account_id, provider, phone, attempt, status, worker, due_at, claimed_at,
		posted_at, ended_at, provider_call_id, outcome)
	SELECT job_id, tenant_id, 'outside', (SELECT n.id FROM lanes n WHERE n.tenant_id = placed.tenant_id AND n.name = 'redial'), the_lead, account_id, provider, phone, 1,
		CASE WHEN outcome_is_failure(outcome) THEN 'failed' ELSE 'completed' END,
		account, at, at, at, at, provider_call_id, outcome
	FROM placed WHERE the_lead IS NOT NULL
	ORDER BY job_id
	ON CONFLICT DO NOTHING
	RETURNING job_id, account_id, provider_call_id
), keyed AS (
	INSERT INTO provider_calls (account_id, provider_call_id, job_id)
	SELECT account_id, provider_call_id, job_id FROM dialed
	ORDER BY account_id, provider_call_id
	ON CONFLICT DO NOTHING
), told AS (   -- what may have come before
	UPDATE call_events e SET call_job_id = p.job_id FROM placed p
	WHERE e.state = 'parked' AND e.provider_call_id = p.provider_call_id AND e.account = p.account AND e.tenant_id = p.tenant_id
		AND e.message IN ('event', 'stage') AND e.call_job_id IS NULL AND p.the_lead IS NOT NULL
	RETURNING e.id
)
SELECT (SELECT count(*) FROM dialed) AS calls, set_config('carillon.told', (SELECT coalesce(array_agg(id), '{}')::text FROM told), true)
