-- SPDX-License-Identifier: Apache-2.0
-- Finds the calls of parked messages: of this batch's own, and of those that waited for one of its results. Those with our job id
-- have it already (inbox_insert.sql); others by the account's provider call id, else by phone, if exactly one call of the account
-- to it can be meant. Locks the calls, and the leads of decisions, so that the statements after this one see what other recorders
-- did, and leaves the messages to recorder_batch(): they take these and no others, which another recorder may be at. Answers
-- with the calls that a message proves to exist although they are not accepted yet.
-- $1 accounts and $2 event ids of the batch's messages, $3 job ids and $4 provider call ids of its results, $5 also take up
-- those left behind
WITH waiting AS MATERIALIZED (
	SELECT e.id, e.state FROM unnest($1::text[], $2::text[]) b (account, event_id)
		JOIN call_events e ON e.account = b.account AND e.event_id = b.event_id
	UNION
	SELECT id, state FROM call_events WHERE state = 'parked' AND provider_call_id = ANY ($4::text[])
	UNION
	SELECT id, state FROM call_events WHERE state = 'parked' AND call_job_id = ANY ($3::uuid[])
	UNION   -- those that a call of another dialer's was made for just now
	SELECT id, state FROM call_events WHERE id = ANY (nullif(current_setting('carillon.told', true), '')::bigint[])
	UNION
	(SELECT id, state FROM call_events WHERE state = 'parked' AND $5::boolean AND recorded_at > now() - interval '1 hour'
	 ORDER BY recorded_at DESC LIMIT 1000)
), many AS MATERIALIZED (   -- of generate_subscripts the planner expects a thousand rows: no nested loops over what follows
	SELECT ids[i] AS id FROM (SELECT array_agg(id) FILTER (WHERE state = 'parked') AS ids FROM waiting) w
		CROSS JOIN generate_subscripts(ids, 1) i
), message AS MATERIALIZED (
	SELECT e.id, e.message, e.tenant_id, a.id AS account_id, e.account, e.job_id, e.provider_call_id, e.phone, e.call_job_id,
		coalesce(e.occurred_at, e.received_at) AS at, e.recorded_at
	FROM many w JOIN call_events e USING (id)
	LEFT JOIN accounts a ON a.name = e.account AND a.tenant_id = e.tenant_id
), by_id AS MATERIALIZED (
	SELECT m.id, coalesce(m.call_job_id, c.job_id) AS call_job_id
	FROM message m LEFT JOIN provider_calls c ON c.account_id = m.account_id AND c.provider_call_id = m.provider_call_id
	WHERE m.call_job_id IS NOT NULL OR c.job_id IS NOT NULL
), by_phone AS (   -- what was given up may be the call meant too, so it makes a second one ambiguous; so does one claimed since: `at` is the provider's clock
	SELECT m.id, min(c.job_id::text)::uuid AS call_job_id, m.provider_call_id
	FROM message m JOIN calls c ON c.phone = m.phone AND c.account_id = m.account_id
		AND c.claimed_at < greatest(m.at, m.recorded_at) AND c.claimed_at > m.at - interval '1 day'
		AND (c.status IN ('dialing', 'unknown', 'undetermined', 'not_dialed', 'calling', 'ringing', 'in_progress')
			OR c.status = 'failed' AND c.resolution = 'close' AND c.event_rank = 0)
		AND (c.provider_call_id IS NULL OR m.provider_call_id IS NULL)
	WHERE m.job_id IS NULL AND NOT EXISTS (SELECT FROM by_id b WHERE b.id = m.id)
	GROUP BY m.id, m.provider_call_id, m.at
	HAVING count(*) = 1 AND min(c.claimed_at) < m.at
), found AS MATERIALIZED (
	SELECT id, call_job_id FROM by_id
	UNION ALL
	SELECT id, call_job_id FROM by_phone p   -- two ids for one call: at least one of them is another's
	WHERE NOT EXISTS (SELECT FROM by_phone o WHERE o.call_job_id = p.call_job_id AND o.provider_call_id <> p.provider_call_id)
), resolved AS (
	UPDATE call_events e SET call_job_id = f.call_job_id
	FROM found f WHERE e.id = f.id AND e.call_job_id IS NULL
), call AS MATERIALIZED (
	SELECT c.job_id, c.account_id, c.lead_id, c.status
	FROM calls c WHERE c.job_id IN (SELECT call_job_id FROM found)
	ORDER BY c.job_id FOR NO KEY UPDATE
), lead AS MATERIALIZED (
	SELECT l.id FROM leads l
	WHERE l.id IN (SELECT c.lead_id FROM call c JOIN found f ON f.call_job_id = c.job_id JOIN message m USING (id)
		WHERE m.message <> 'event')
	ORDER BY l.id FOR NO KEY UPDATE
), proved AS (
	SELECT c.job_id, c.account_id, min(m.provider_call_id) AS provider_call_id
	FROM call c JOIN found f ON f.call_job_id = c.job_id JOIN message m USING (id)
	WHERE c.status IN ('dialing', 'unknown', 'undetermined')
	GROUP BY c.job_id, c.account_id
)
SELECT p.job_id, CASE WHEN NOT EXISTS (SELECT FROM provider_calls o WHERE o.account_id = p.account_id
		AND o.provider_call_id = p.provider_call_id AND o.job_id <> p.job_id)
	AND p.job_id = min(p.job_id::text) OVER (PARTITION BY p.account_id, p.provider_call_id)::uuid
	THEN p.provider_call_id END AS provider_call_id
FROM proved p
UNION ALL   -- no row, but what it names is done whether or not anything is proved
SELECT NULL, NULL WHERE (SELECT count(*) FROM lead) < 0
	OR set_config('carillon.batch', (SELECT coalesce(array_agg(id), '{}')::text FROM found), true) IS NULL
