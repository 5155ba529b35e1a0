-- SPDX-License-Identifier: Apache-2.0
-- Claims due follow-ups of the lanes locked under this token, all lanes at once: candidates by priority and time, the
-- gates over the set, held rows put off, the rest limited by batch per run, free slots, the account's slots and the rate.
-- $1 token, $2 producer, $3 claims in all lanes together, $4 lease in seconds
WITH served AS MATERIALIZED (
	SELECT n.*, g AS verdict, g.closed,
		lane_tokens(n.rate_per_second, n.tokens, n.tokens_at, now()) AS filled
	FROM lanes n JOIN lane_gates(now()) g ON g.lane_id = n.id
	WHERE n.claim_token = $1::uuid
), lanes_room AS MATERIALIZED (   -- what the lanes' own accounts have left
	SELECT a.id, r.free FROM accounts a CROSS JOIN LATERAL account_slots(a.id, a.max_concurrent) s
	CROSS JOIN LATERAL account_room(s.free, a.max_concurrent) r
	WHERE a.id IN (SELECT account_id FROM served WHERE closed IS NULL)
), budget AS MATERIALIZED (
	SELECT n.id, n.verdict, m.mixed, CASE WHEN NOT m.mixed THEN a.free END AS room,
		least($3::bigint, nullif(n.batch_per_run, 0), floor(n.filled), s.free)::bigint AS free
	FROM served n CROSS JOIN LATERAL lane_slots(n.id, n.max_concurrent) s
	CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM follow_ups f
		WHERE f.lane_id = n.id AND f.next_look_at IS NOT NULL AND f.account_id IS NOT NULL) AS mixed OFFSET 0) m
	LEFT JOIN lanes_room a ON a.id = n.account_id
	WHERE n.closed IS NULL
), checked AS MATERIALIZED (
	SELECT c.next_look_at, g.follow_up_id, g.lane_id, g.account_id, b.free AS lane_room, c.priority, g.hold, g.dial_by, g.phone, g.tenant_id, g.account,
		g.zones, g.use_lead_window, g.lead_start, g.lead_end, g.opens_from, g.breaker_until
	FROM budget b
	-- Some more than there is room for: held ones take no place. Where all are its own account's, that has to have room too.
	CROSS JOIN LATERAL (SELECT greatest(least(b.free, b.room) + 20, 120) AS most) m
	CROSS JOIN LATERAL (
		(SELECT q.* FROM (VALUES (2), (1), (0)) p (priority) CROSS JOIN LATERAL (
			SELECT id, next_look_at, priority, lead_id, due_at, attempts, tenant_id, kind, account_id FROM follow_ups
			WHERE NOT b.mixed AND lane_id = b.id AND priority = p.priority AND next_look_at <= now()
			ORDER BY next_look_at LIMIT m.most) q
		ORDER BY q.priority DESC, q.next_look_at LIMIT m.most)
		-- Where some have an account of their own, these and the others apart: the backlog of a full account hides those of another.
		UNION ALL
		(SELECT q.* FROM (VALUES (2), (1), (0)) p (priority) CROSS JOIN LATERAL (
			SELECT id, next_look_at, priority, lead_id, due_at, attempts, tenant_id, kind, account_id FROM follow_ups
			WHERE b.mixed AND lane_id = b.id AND priority = p.priority AND next_look_at <= now() AND account_id IS NOT NULL
			ORDER BY next_look_at LIMIT m.most) q
		ORDER BY q.priority DESC, q.next_look_at LIMIT m.most)
		UNION ALL
		(SELECT q.* FROM (VALUES (2), (1), (0)) p (priority) CROSS JOIN LATERAL (
			SELECT id, next_look_at, priority, lead_id, due_at, attempts, tenant_id, kind, account_id FROM follow_ups
			WHERE b.mixed AND lane_id = b.id AND priority = p.priority AND next_look_at <= now() AND account_id IS NULL
			ORDER BY next_look_at LIMIT m.most) q
		ORDER BY q.priority DESC, q.next_look_at LIMIT m.most)) c
	CROSS JOIN LATERAL (SELECT *
		FROM lead_gates(c.id, c.tenant_id, b.id, c.lead_id, c.account_id, c.kind, c.attempts, c.due_at, b.verdict, now()) OFFSET 0) g
	WHERE b.free > 0
), room AS MATERIALIZED (
	SELECT a.id, coalesce(l.free, r.free) AS free, a.max_concurrent > 0 AS limited FROM accounts a LEFT JOIN lanes_room l ON l.id = a.id
	LEFT JOIN LATERAL (SELECT r.free FROM account_slots(a.id, a.max_concurrent) s CROSS JOIN LATERAL account_room(s.free, a.max_concurrent) r
		WHERE l.id IS NULL OFFSET 0) r ON true   -- inside: what is known is not counted again
	WHERE a.id IN (SELECT account_id FROM checked WHERE hold IS NULL)
), shared AS MATERIALIZED (   -- phones of more than one: few, and all others stay in the order they came in
	SELECT phone FROM checked WHERE hold IS NULL GROUP BY phone HAVING count(*) > 1
), one_per_phone AS NOT MATERIALIZED (   -- from here on what is sorted by is of one width and comes first: it is found without a look at the rest
	SELECT c.next_look_at, c.follow_up_id, c.lane_id, c.account_id, c.lane_room, r.free AS room, c.priority, c.dial_by, c.phone, c.account
	FROM checked c JOIN room r ON r.id = c.account_id
	WHERE c.hold IS NULL AND r.free > 0 AND c.phone NOT IN (SELECT phone FROM shared)
	UNION ALL
	(SELECT DISTINCT ON (c.tenant_id, c.phone) c.next_look_at, c.follow_up_id, c.lane_id, c.account_id, c.lane_room, r.free, c.priority,
		c.dial_by, c.phone, c.account
	FROM checked c JOIN room r ON r.id = c.account_id
	WHERE c.hold IS NULL AND r.free > 0 AND (c.phone IN (SELECT phone FROM shared)) IS TRUE
	ORDER BY c.tenant_id, c.phone, c.priority DESC, c.next_look_at)
), used AS MATERIALIZED (   -- what the lanes of an account with a limit have of it already
	SELECT o.lane_id, o.account_id, (SELECT count(*) FROM live v WHERE v.account_id = o.account_id AND v.lane_id = o.lane_id AND v.state <> 'undetermined')
		+ (SELECT count(*) FROM lane_queued(o.lane_id) q WHERE coalesce(q.account_id, o.account_id) = o.account_id) AS n
	FROM (SELECT DISTINCT lane_id, account_id FROM checked
		WHERE hold IS NULL AND (account_id IN (SELECT id FROM room WHERE limited AND free > 0)) IS TRUE) o
), alone AS MATERIALIZED (   -- one lane and one account: there is one order then
	SELECT min(lane_id) = max(lane_id) AND min(account_id) = max(account_id) AS "is" FROM checked WHERE hold IS NULL
), ranked AS (   -- lanes in turn: what they share goes to each alike, however long one of them has waited; a full account takes no place
	SELECT r.*, row_number() OVER (ORDER BY priority DESC, in_lane, next_look_at) AS in_all,
		row_number() OVER (PARTITION BY account_id ORDER BY priority DESC, in_lane + coalesce(u.n, 0), next_look_at) AS in_account
	FROM (SELECT t.*, row_number() OVER (PARTITION BY lane_id ORDER BY priority DESC, next_look_at) AS in_lane
		FROM (SELECT o.*, row_number() OVER (PARTITION BY lane_id, account_id ORDER BY priority DESC, next_look_at) AS in_turn
			FROM one_per_phone o WHERE NOT (SELECT "is" FROM alone)) t
		WHERE t.in_turn <= t.room) r
	LEFT JOIN used u USING (lane_id, account_id)
), picked AS MATERIALIZED (
	SELECT follow_up_id, lane_id, account_id, in_all AS number, dial_by, phone, account
	FROM ranked
	WHERE in_lane <= lane_room AND in_all <= $3::bigint AND in_account <= room
	UNION ALL
	SELECT follow_up_id, lane_id, account_id, in_all, dial_by, phone, account
	FROM (SELECT o.*, row_number() OVER (ORDER BY priority DESC, next_look_at) AS in_all FROM one_per_phone o WHERE (SELECT "is" FROM alone)) r
	WHERE in_all <= least(lane_room, room)
), claimed AS (
	INSERT INTO claims (lane_id, account_id, producer, jobs, lease_s, lease_until)
	SELECT lane_id, account_id, $2, count(*), $4::integer, now() + $4::integer * interval '1 second' FROM picked GROUP BY lane_id, account_id
	RETURNING id, lane_id, account_id, lease_until
), queued AS (
	UPDATE follow_ups f SET status = 'queued', job_id = uuid_v7((SELECT uuid_v7_prefix()), (SELECT uuid_v7_first()) + p.number), claim_id = c.id,
		lease_until = c.lease_until, gate = NULL, next_look_at = NULL
	FROM picked p JOIN claimed c ON c.lane_id = p.lane_id AND c.account_id = p.account_id
	WHERE f.id = p.follow_up_id AND f.status || '' = 'pending'   -- by primary key, not by the partial index
	RETURNING f.claim_id, f.job_id, f.id AS follow_up_id, f.tenant_id, f.kind, f.lead_id, p.phone, p.account, f.attempts, f.due_at, p.dial_by
), opening AS (   -- once for the rows that share lane, zones and hours
	SELECT d.*, next_opening(d.opens_from, d.lane_id,
		CASE WHEN d.use_lead_window THEN d.zones ELSE '{}' END, d.lead_start, d.lead_end) AS opens_at
	FROM (SELECT DISTINCT lane_id, zones, use_lead_window, lead_start, lead_end, opens_from FROM checked WHERE hold_opens(hold)) d
), held AS (
	UPDATE follow_ups f SET
		status = CASE WHEN hold_is_final(h.hold) THEN 'skipped' ELSE 'pending' END,
		reason = CASE WHEN hold_is_final(h.hold) THEN h.hold END,
		gate = hold_gate(h.hold, h.opens_at),
		next_look_at = look_again_at(h.hold, now(), h.opens_at, h.breaker_until)
	FROM (SELECT k.*, o.opens_at FROM checked k LEFT JOIN opening o USING (lane_id, zones, use_lead_window, lead_start, lead_end, opens_from)
		WHERE k.hold IS NOT NULL) h
	WHERE f.id = h.follow_up_id AND f.status || '' = 'pending'
	RETURNING f.gate, f.status
), spent AS (
	UPDATE lanes n SET claim_token = NULL,
		tokens = coalesce(s.filled - (SELECT count(*) FROM picked p WHERE p.lane_id = n.id), 0),
		tokens_at = CASE WHEN n.rate_per_second IS NULL THEN n.tokens_at ELSE now() END,
		next_at = CASE WHEN s.closed IN ('day', 'holiday', 'window')
			THEN least(coalesce(next_opening(now(), n.id, '{}', NULL, NULL), 'infinity'), now() + interval '5 minutes')
			ELSE '-infinity' END
	FROM served s WHERE n.id = s.id
)
SELECT 'job' AS row, NULL AS gate, 1 AS n, claim_id, job_id, follow_up_id, tenant_id AS tenant, kind, lead_id,
	phone, account, attempts + 1 AS attempt, to_ms(due_at) AS due_at, to_ms(dial_by) AS dial_by
FROM queued
UNION ALL   -- accounts whose queue has no room for a portion yet: nobody tells when it has
SELECT 'full', NULL, count(*), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM room WHERE NOT limited AND free = 0 HAVING count(*) > 0
UNION ALL
SELECT CASE status WHEN 'skipped' THEN 'skipped' ELSE 'held' END, gate, count(*),
	NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM held GROUP BY status, gate
UNION ALL   -- a closed lane holds its rows without touching them
SELECT 'held', s.closed, count(*), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM served s CROSS JOIN LATERAL (SELECT FROM follow_ups f, (VALUES (2), (1), (0)) p (priority)
	WHERE f.lane_id = s.id AND f.priority = p.priority AND f.next_look_at <= now() LIMIT 10000) w
WHERE s.closed IS NOT NULL GROUP BY s.closed
