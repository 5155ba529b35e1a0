-- SPDX-License-Identifier: Apache-2.0
-- GET leads/{id}/explain: would the lead be dialed at that time, and what of all that could hold it does? Asked of its open
-- follow-up; without one, of the one that the lead source would make. The answer to the gates is theirs: gates_of().
-- $1 lead id, $2 at
WITH lead AS MATERIALIZED (
	SELECT l FROM leads l WHERE l.id = query_id($1::text)
), asked AS MATERIALIZED (
	SELECT CASE WHEN $2::text IS NULL THEN now() ELSE query_time($2) END AS at
), waiting AS MATERIALIZED (   -- the one that is furthest
	SELECT f FROM follow_ups f WHERE f.lead_id = (SELECT (l).id FROM lead) AND f.status IN ('pending', 'queued', 'dialing')
	ORDER BY array_position('{dialing,queued,pending}', f.status), f.next_look_at, f.id LIMIT 1
), last AS MATERIALIZED (
	SELECT id, kind, status, reason, blocks_seed(f) AS blocks FROM follow_ups f WHERE f.lead_id = (SELECT (l).id FROM lead)
	ORDER BY blocks_seed(f) DESC, id DESC LIMIT 1
), asked_of AS MATERIALIZED (
	SELECT f FROM waiting
	UNION ALL
	SELECT jsonb_populate_record(NULL::follow_ups, jsonb_build_object('id', 0, 'tenant_id', (l).tenant_id, 'lead_id', (l).id,
		'kind', 'follow_up', 'lane_id', n.id, 'status', 'pending', 'attempts', 0, 'due_at', a.at, 'next_look_at', a.at))
	FROM asked a CROSS JOIN lead JOIN lanes n ON n.tenant_id = (l).tenant_id AND n.name = 'follow_ups' WHERE NOT EXISTS (SELECT FROM waiting)
), seed AS MATERIALIZED (   -- why the lead source makes none
	SELECT array_remove(ARRAY[
		CASE WHEN NOT (l).auto_follow_up THEN 'auto_follow_up is off' END,
		CASE WHEN (l).call_date IS NOT NULL THEN 'it has a call_date' END,
		CASE WHEN (l).phone IS NULL THEN 'it has no phone' END,
		CASE WHEN NOT lead_is_uncalled(l) AND (l).auto_follow_up AND (l).call_date IS NULL AND (l).phone IS NOT NULL
			THEN 'its stage is not one to call in' END,
		(SELECT format('follow-up %s is %s', id, status) FROM last WHERE blocks),
		CASE WHEN lead_is_uncalled(l) AND (l).seeded_at IS NOT NULL AND (SELECT blocks FROM last) IS NOT TRUE
			THEN coalesce((SELECT format('follow-up %s was %s: %s', id, status, reason) FROM last), 'it was looked at already') END], NULL) AS why
	FROM lead
), gate AS MATERIALIZED (
	SELECT -1 AS ord, 'follow_up' AS gate, (f).id = 0 AND s.why <> '{}' OR (f).status = 'dialing' AS holds,
		CASE (f).id WHEN 0 THEN jsonb_build_object('follow_up_id', NULL, 'would_be_made', s.why = '{}', 'why_not', to_jsonb(s.why))
			ELSE jsonb_build_object('follow_up_id', (f).id, 'status', (f).status, 'kind', (f).kind, 'source', (f).source) END AS facts,
		NULL::timestamptz AS opens_at
	FROM asked_of, seed s
	UNION ALL
	SELECT 0, 'due', (f).status = 'pending' AND (f).next_look_at > a.at,
		jsonb_build_object('due_at', iso_utc((f).due_at), 'next_look_at', iso_utc((f).next_look_at), 'attempts', (f).attempts,
			'last_error', (f).last_error, 'held_by', (f).gate),
		CASE WHEN (f).status = 'pending' AND (f).next_look_at > a.at THEN (f).next_look_at END
	FROM asked_of, asked a
	UNION ALL
	SELECT g.ord, g.gate, g.verdict = 'hold', g.facts, g.opens_at
	FROM asked_of CROSS JOIN asked a CROSS JOIN LATERAL gates_of(f, a.at) WITH ORDINALITY g (gate, verdict, facts, opens_at, ord)
	WHERE a.at IS NOT NULL
), next AS (   -- those that time opens, together; what a person or a call must end has no time
	SELECT next_opening(h.at, g.lane_id, CASE WHEN g.use_lead_window THEN g.zones ELSE '{}' END, g.lead_start, g.lead_end) AS at
	FROM asked a CROSS JOIN asked_of
	CROSS JOIN LATERAL (SELECT greatest(a.at, max(t.opens_at) FILTER (WHERE t.gate IN ('due', 'breaker', 'cap', 'rate'))) AS at,
		coalesce(bool_and(t.gate IN ('due', 'breaker', 'day', 'holiday', 'window', 'lead_window', 'cap', 'rate') AND t.opens_at IS NOT NULL), true) AS will_open
		FROM gate t WHERE t.holds) h
	JOIN lane_gates(a.at) n ON n.lane_id = (asked_of.f).lane_id
	CROSS JOIN LATERAL lead_gates(asked_of.f, n, a.at) g
	WHERE h.will_open
)
SELECT CASE WHEN NOT EXISTS (SELECT FROM lead) THEN 404 WHEN a.at IS NULL THEN 422 ELSE 200 END AS status,
	CASE WHEN NOT EXISTS (SELECT FROM lead) THEN problem(404, 'no such lead')
		WHEN a.at IS NULL THEN problems(jsonb_build_array(jsonb_build_object('field', 'at',
			'detail', 'a time with its offset, such as 2026-03-01T15:00:00Z')))
		ELSE jsonb_build_object('lead_id', (SELECT (l).id FROM lead), 'at', iso_utc(a.at),
			'allowed', (SELECT NOT bool_or(holds) FROM gate), 'next_allowed_at', iso_utc((SELECT at FROM next)),
			'follow_up', (SELECT follow_up_record(f) FROM waiting),
			'gates', (SELECT jsonb_agg(jsonb_build_object('gate', gate, 'verdict', CASE WHEN holds THEN 'hold' ELSE 'pass' END, 'facts', facts,
				'opens_at', iso_utc(opens_at)) ORDER BY ord) FROM gate)) END AS body
FROM asked a
