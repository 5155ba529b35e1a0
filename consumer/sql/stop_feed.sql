-- SPDX-License-Identifier: Apache-2.0
-- What must not be dialed any more although its claim passed the gates: the stops of the moment, and the numbers suppressed
-- since the oldest claim that can still be unsent. Only lanes with a claimed call matter, or with one that is queued: its claim
-- may have passed the gates before the stop and be committed after this. Those that stopped lately are told anyway, since it is
-- measured how long they were dialed after it: by the stop's time and its age, both of this clock.
-- $1 age in seconds of the oldest such claim, $2 job ids of the calls that wait for their first byte
WITH many AS MATERIALIZED (
	SELECT count(*) > 10000 AS it FROM (SELECT FROM suppressions WHERE created_at > now() - $1::integer * interval '1 second' LIMIT 10001) r
), stop AS (
	SELECT 'all' AS what, '' AS tenant, '' AS key, updated_at AS at FROM settings WHERE key = 'stopped' AND value = 'true'
	UNION ALL
	SELECT 'all', '', '', NULL WHERE timeline_changed()
	UNION ALL
	SELECT 'tenant', id, '', stopped_at FROM tenants WHERE stopped_at IS NOT NULL
	UNION ALL
	SELECT 'account', '', name, NULL FROM accounts WHERE NOT active
	UNION ALL
	SELECT 'lane', '', n.id::text, n.stopped_at FROM lanes n
	WHERE (NOT n.active OR n.name = 'redial' AND NOT redial_runs())   -- a scalar sub-select: the planner would hash all of live for an EXISTS
	AND (n.stopped_at > now() - interval '1 minute'
		OR (SELECT true FROM live v WHERE v.lane_id = n.id AND v.state = 'dialing' LIMIT 1)
		OR (SELECT true FROM lane_queued(n.id) LIMIT 1))
	UNION ALL
	SELECT 'phone', tenant_id, phone, NULL FROM suppressions   -- few: all of them
	WHERE created_at > now() - $1::integer * interval '1 second' AND (expires_at IS NULL OR expires_at > now())
	AND NOT (SELECT it FROM many)
	UNION ALL
	SELECT 'phone', s.tenant_id, s.phone, NULL FROM (   -- a list was imported: those of claimed and queued calls
		SELECT tenant_id, phone FROM live WHERE state = 'dialing'
		UNION
		SELECT l.tenant_id, l.phone_e164 FROM claims k CROSS JOIN LATERAL (   -- by claim: never all that was ever claimed
			SELECT f.lead_id FROM follow_ups f WHERE f.claim_id = k.id AND f.status = 'queued' OFFSET 0) f JOIN leads l ON l.id = f.lead_id) c
	JOIN suppressions s USING (tenant_id, phone)
	WHERE (SELECT it FROM many) AND s.created_at > now() - $1::integer * interval '1 second' AND (s.expires_at IS NULL OR s.expires_at > now())
	UNION ALL
	SELECT CASE WHEN l.paused THEN 'paused' ELSE 'stage' END, '', l.id::text, NULL
	FROM unnest($2::uuid[]) j (id) CROSS JOIN LATERAL (SELECT lead_id FROM calls WHERE job_id = j.id OFFSET 0) c
	CROSS JOIN LATERAL (SELECT id, paused, stage FROM leads WHERE id = c.lead_id OFFSET 0) l
	WHERE l.paused OR l.stage IN ('closed', 'lost')
)
SELECT what, tenant, key, to_ms(at) AS at_ms, ceil(extract(epoch FROM clock_timestamp() - at) * 1000)::bigint AS age_ms FROM stop
