-- SPDX-License-Identifier: Apache-2.0
-- Every message about a call first comes here, once per account and event id; a copy vanishes. Somebody who asked not to be
-- called is put on the list in the same breath, whether or not the call is ever found. A message that carries our job id has
-- its call at once: the ledger's row is older than anything a provider can say.
-- $1 messages, $2 accounts, $3 event ids, $4 tenants, $5 types, $6 ranks, $7 provider call ids, $8 job ids, $9 lead ids,
-- $10 phones, $11 outcomes, $12 ended reasons, $13 successes, $14 callback_at, $15 durations (ms), $16 occurred_at,
-- $17 received_at, $18 bodies, $19 raw
WITH entered AS (
	INSERT INTO call_events (message, account, event_id, tenant_id, type, rank, provider_call_id, job_id, call_job_id, lead_id, phone,
		outcome, ended_reason, success, callback_at, duration_ms, occurred_at, received_at, body, raw)
	SELECT m.message, m.account, m.event_id, m.tenant_id, m.type, m.rank, m.provider_call_id, m.job_id, c.job_id, m.lead_id, m.phone,
		m.outcome, m.ended_reason, m.success, from_ms(m.callback_ms), m.duration_ms, from_ms(m.occurred_ms), from_ms(m.received_ms),
		m.body, m.raw
	FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::text[], $8::uuid[], $9::text[],
		$10::text[], $11::text[], $12::text[], $13::boolean[], $14::bigint[], $15::integer[], $16::bigint[], $17::bigint[],
		$18::jsonb[], $19::bytea[])
		m (message, account, event_id, tenant_id, type, rank, provider_call_id, job_id, lead_id, phone, outcome,
		ended_reason, success, callback_ms, duration_ms, occurred_ms, received_ms, body, raw)
	LEFT JOIN accounts a ON a.name = m.account AND a.tenant_id = m.tenant_id
	LEFT JOIN calls c ON c.job_id = m.job_id AND c.tenant_id = m.tenant_id AND (m.account = '' OR c.account_id = a.id)
	ORDER BY m.account, m.event_id   -- one order for all recorders
	ON CONFLICT (account, event_id) DO NOTHING
	RETURNING message, tenant_id, normalize_phone(phone) AS phone, outcome, body
)
INSERT INTO suppressions (tenant_id, phone, reason, source)
SELECT DISTINCT ON (tenant_id, phone) tenant_id, phone, coalesce(outcome, ''), 'call'
FROM entered
WHERE message = 'redial' AND (body ->> 'suppress')::boolean AND phone IS NOT NULL
ORDER BY tenant_id, phone, outcome
ON CONFLICT (tenant_id, phone) DO UPDATE SET expires_at = NULL, created_at = now() WHERE suppressions.expires_at IS NOT NULL
