-- SPDX-License-Identifier: Apache-2.0
-- POST follow-ups: a call by hand, at once or at a time. A lead has one open follow-up at most. $1 a JSON object
WITH given AS MATERIALIZED (
	SELECT $1::jsonb AS g, json_id($1::jsonb -> 'lead_id') AS lead_id,
		CASE WHEN jsonb_typeof($1::jsonb -> 'due_at') = 'string' THEN iso_time($1::jsonb ->> 'due_at') END AS due_at,
		coalesce($1::jsonb ->> 'lane', 'follow_ups') AS lane
), lead AS MATERIALIZED (
	SELECT l.id, n.id AS lane_id FROM given JOIN leads l ON l.id = given.lead_id LEFT JOIN lanes n ON n.tenant_id = l.tenant_id AND n.name = given.lane
), bad AS MATERIALIZED (
	SELECT field, detail FROM given CROSS JOIN LATERAL (VALUES
		('lead_id', lead_id IS NULL, 'the id of a lead'),
		('due_at', coalesce(jsonb_typeof(g -> 'due_at'), 'null') <> 'null' AND due_at IS NULL, 'a time with its offset, such as 2026-03-01T15:00:00Z'),
		('lane', jsonb_typeof(g -> 'lane') NOT IN ('string', 'null'), 'the name of a lane'),
		('priority', jsonb_typeof(g -> 'priority') <> 'null' AND g -> 'priority' NOT IN ('0', '1', '2'), '0 (bulk), 1 (normal) or 2 (a call by hand)')) v (field, is_bad, detail)
	WHERE is_bad
	UNION ALL
	SELECT left(key, 100), 'no such field' FROM given, jsonb_object_keys(g) key WHERE key NOT IN ('lead_id', 'due_at', 'lane', 'priority')
), made AS MATERIALIZED (
	SELECT m.* FROM lead CROSS JOIN given CROSS JOIN LATERAL follow_up_create(lead.id, lead.lane_id, coalesce(given.due_at, now()),
		CASE WHEN given.g -> 'priority' IN ('0', '1', '2') THEN (given.g ->> 'priority')::numeric::integer ELSE 1 END) m
	WHERE lead.lane_id IS NOT NULL AND NOT EXISTS (SELECT FROM bad)
), verdict AS MATERIALIZED (
	SELECT CASE WHEN EXISTS (SELECT FROM bad) THEN 422 WHEN NOT EXISTS (SELECT FROM made) THEN 404
		WHEN (SELECT open FROM made) IS NOT NULL THEN 409 ELSE 201 END AS status
)
SELECT v.status, CASE v.status
	WHEN 422 THEN problems((SELECT jsonb_agg(jsonb_build_object('field', field, 'detail', detail)) FROM bad))
	WHEN 404 THEN problem(404, CASE WHEN EXISTS (SELECT FROM lead WHERE lane_id IS NULL) THEN 'no such lane' ELSE 'no such lead' END)
	WHEN 409 THEN problem(409, format('the lead has an open follow-up: %s', (SELECT open FROM made)))
		|| jsonb_build_object('follow_up_id', (SELECT open FROM made))
	ELSE (SELECT made FROM made) END AS body
FROM verdict v
